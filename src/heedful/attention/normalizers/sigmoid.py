"""Sigmoid: keys do not compete (Ramapuram et al. 2024)."""

from typing import Any, Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from heedful import _refusals
from heedful.attention.source import RAMAPURAM_2024

from .base import Normalizer, erase, finite_rows, per_head

Count = Literal["visible", "all"]


class SigmoidNormalizer(Normalizer):
    """`weights = sigmoid(scores + b)`, `b = -ln n`, each key for itself: a row sums to anything between 0 and n.

    The paper's n is the length of the sequence. Counting what a row sees, which is the default, padding and later keys
    change nothing; the number of all keys of the call is the paper's.

    Args:
        count: of which keys n is the number, "visible" or "all".
        learned: add a learned number to b.
        heads: learned numbers: 1, or how many heads of an item stand side by side in the batch, as multi-head attention
            folds them.

    Parameters: none, or `bias [heads]`, 0 to begin, if it is learned.

    Cost: time queries * keys; memory queries * keys.

    Raises:
        ValueError: an unknown count; `heads` is not a whole number from 1 up; in a call, a batch that is no multiple of
            the heads.

    >>> SigmoidNormalizer()(torch.zeros(1, 1, 3), None)[0]
    tensor([[[0.2500, 0.2500, 0.2500]]])
    """

    source = RAMAPURAM_2024(place="section 3")

    def __init__(self, count: Count = "visible", learned: bool = False, heads: int = 1) -> None:
        super().__init__()
        if count not in get_args(Count):
            raise _refusals.unknown_choice("count", count, get_args(Count))
        _refusals.check_sizes(heads=heads)
        self.count = count
        self.bias = nn.Parameter(torch.zeros(heads)) if learned else None
        self.heads = heads if learned else 1

    def forward(
        self,
        scores: Float[Tensor, "batch queries keys"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        finite, hidden = finite_rows(scores, mask, below=0.0)
        number = (~hidden if self.count == "visible" else torch.ones_like(hidden)).sum(-1, keepdim=True).clamp_min(1)
        shifted = finite - number.to(scores.dtype).log()
        if self.bias is not None:
            shifted = shifted + per_head(self.bias.to(scores), scores)
        return erase(torch.sigmoid(shifted), hidden), state
