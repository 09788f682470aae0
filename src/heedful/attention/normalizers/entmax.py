"""Entmax with exponent 1.5: between softmax and sparsemax (Peters, Niculae and Martins 2019)."""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from heedful.attention.source import PETERS_2019

from .base import Normalizer, erase, finite_rows


def _support(halves: Float[Tensor, "*batch keys"]) -> Bool[Tensor, "*batch keys"]:
    """Which keys keep a weight, found on the ordered row."""
    ordered = halves.sort(-1, descending=True).values
    count = torch.arange(1, halves.shape[-1] + 1, device=halves.device, dtype=halves.dtype)
    mean = ordered.cumsum(-1) / count
    spread = (ordered**2).cumsum(-1) - count * mean**2
    tau = mean - ((1 - spread) / count).clamp_min(0).sqrt()
    # at least the largest; a row that holds NaN finds none, and stays NaN
    last = (tau <= ordered).sum(-1, keepdim=True).clamp_min(1) - 1
    return halves >= ordered.gather(-1, last)


def entmax15(scores: Float[Tensor, "*batch keys"]) -> Float[Tensor, "*batch keys"]:
    """`max(scores / 2 - tau, 0)^2`, tau so that the row sums to 1: exact zeros, and smooth where it is above 0.

    >>> entmax15(torch.tensor([0.0, 0.0, -4.0]))
    tensor([0.5000, 0.5000, 0.0000])
    """
    halves = (scores - scores.detach().amax(-1, keepdim=True)) / 2
    support = _support(halves.detach())
    count = support.sum(-1, keepdim=True).clamp_min(1)
    mean = halves.where(support, 0).sum(-1, keepdim=True) / count
    spread = (halves - mean).where(support, 0).square().sum(-1, keepdim=True)
    tau = mean - ((1 - spread) / count).sqrt()
    return (halves - tau).clamp_min(0).square()


class Entmax15Normalizer(Normalizer):
    """`weights = max(scores / 2 - tau, 0)^2`, tau so that the visible keys of a row sum to 1.

    Cost: time queries * keys * log keys; memory queries * keys.

    >>> Entmax15Normalizer()(torch.tensor([[[3.0, 3.0, -2.0]]]), None)[0]
    tensor([[[0.5000, 0.5000, 0.0000]]])
    """

    source = PETERS_2019(place="section 4.1, algorithm 2")

    def forward(
        self,
        scores: Float[Tensor, "batch queries keys"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        # a score more than 2 below the largest has no weight
        finite, hidden = finite_rows(scores, mask, below=3.0)
        return erase(entmax15(finite) if scores.shape[-1] else finite, hidden), state
