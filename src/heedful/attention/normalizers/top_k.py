"""Top-k: softmax among the best few keys (Zhao et al. 2019, explicit sparse Transformer)."""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from heedful.attention.source import ZHAO_2019
from heedful.functional import masked_softmax

from .base import Normalizer, finite_rows


class TopKNormalizer(Normalizer):
    """`weights = softmax` over the k largest visible scores, 0 elsewhere; of equal scores the first ones stay.

    Args:
        k: how many keys keep a weight.
        straight_through: give the weights the gradient of the softmax over all visible keys, so that those left out
            learn, too (not in the paper). Not beside dropout on the weights, which would leave out others.

    Cost: time queries * keys * log keys; memory queries * keys.

    Raises:
        ValueError: `k` is not a whole number from 1 up.

    >>> TopKNormalizer(2)(torch.tensor([[[1.0, 1.0, 1.0]]]), None)[0]
    tensor([[[0.5000, 0.5000, 0.0000]]])
    """

    source = ZHAO_2019(place="section 2.2")

    def __init__(self, k: int, straight_through: bool = False) -> None:
        super().__init__()
        if not isinstance(k, int) or isinstance(k, bool) or k < 1:
            raise ValueError(f"k is {k!r}; expected a whole number from 1 up, the keys that keep a weight.")
        self.k, self.straight_through = k, straight_through
        self.refuses_dropout = straight_through

    def forward(
        self,
        scores: Float[Tensor, "batch queries keys"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        finite, hidden = finite_rows(scores.detach(), mask, below=1.0)
        seen = finite.masked_fill(hidden, -torch.inf)
        # the k-th largest; of those that equal it, the first ones have what room is left
        least = seen.sort(dim=-1, descending=True).values[..., : self.k][..., -1:]
        above, equal = seen > least, seen == least
        kept = above | (equal & (equal.cumsum(-1) <= self.k - above.sum(-1, keepdim=True)))
        weights = masked_softmax(scores, kept & ~hidden)
        if self.straight_through:
            soft = masked_softmax(scores, mask)
            # the bracket is exactly 0, so that what is left out has no weight
            weights = weights.detach() + (soft - soft.detach())
        return weights, state
