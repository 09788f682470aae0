"""Sparsemax: the nearest distribution, with exact zeros (Martins and Astudillo 2016)."""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from heedful.attention.source import MARTINS_2016

from .base import Normalizer, erase, finite_rows


def sparsemax(scores: Float[Tensor, "*batch keys"]) -> Float[Tensor, "*batch keys"]:
    """The distribution nearest to the scores: `max(scores - tau, 0)`, tau so that the row sums to 1.

    >>> sparsemax(torch.tensor([0.1, 0.9, 2.0]))
    tensor([0., 0., 1.])
    """
    # the sum may leave float16's range; a constant shift changes nothing
    shifted = scores - scores.detach().amax(-1, keepdim=True)
    ordered = shifted.sort(-1, descending=True).values
    count = torch.arange(1, scores.shape[-1] + 1, device=scores.device, dtype=scores.dtype)
    total = ordered.cumsum(-1)
    # at least the largest; a row that holds NaN finds none, and stays NaN
    support = (1 + count * ordered > total).sum(-1, keepdim=True).clamp_min(1)
    tau = (total.gather(-1, support - 1) - 1) / support
    return (shifted - tau).clamp_min(0)


class SparsemaxNormalizer(Normalizer):
    """`weights = max(scores - tau, 0)`, tau so that the visible keys of a row sum to 1: the nearest distribution.

    Cost: time queries * keys * log keys; memory queries * keys.

    >>> SparsemaxNormalizer()(torch.tensor([[[1.0, 0.5, -2.0]]]), None)[0]
    tensor([[[0.7500, 0.2500, 0.0000]]])
    """

    source = MARTINS_2016(place="section 2.2, algorithm 1")

    def forward(
        self,
        scores: Float[Tensor, "batch queries keys"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        # a score more than 1 below the largest has no weight
        finite, hidden = finite_rows(scores, mask, below=2.0)
        return erase(sparsemax(finite) if scores.shape[-1] else finite, hidden), state
