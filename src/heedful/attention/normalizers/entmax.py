"""Entmax with exponent 1.5: between softmax and sparsemax (Peters, Niculae and Martins 2019)."""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from heedful.attention.source import PETERS_2019

from .base import Normalizer, erase, finite_rows


class _Entmax15(torch.autograd.Function):
    """The threshold is found without a gradient; the Jacobian is known in closed form."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor) -> Tensor:
        halves = (scores - scores.amax(-1, keepdim=True)) / 2
        ordered = halves.sort(-1, descending=True).values
        count = torch.arange(1, scores.shape[-1] + 1, device=scores.device, dtype=scores.dtype)
        mean = ordered.cumsum(-1) / count
        spread = count * ((ordered**2).cumsum(-1) / count - mean**2)
        tau = mean - ((1 - spread) / count).clamp_min(0).sqrt()
        # at least the largest; a row that holds NaN finds none, and stays NaN
        support = (tau <= ordered).sum(-1, keepdim=True).clamp_min(1)
        root = (halves - tau.gather(-1, support - 1)).clamp_min(0)
        ctx.save_for_backward(root)
        return root**2

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Tensor:
        (root,) = ctx.saved_tensors
        slope = root * upstream[0]
        return slope - root * (slope.sum(-1, keepdim=True) / root.sum(-1, keepdim=True))


def entmax15(scores: Float[Tensor, "*batch keys"]) -> Float[Tensor, "*batch keys"]:
    """`max(scores / 2 - tau, 0)^2`, tau so that the row sums to 1: exact zeros, and smooth where it is above 0.

    >>> entmax15(torch.tensor([0.0, 0.0, -4.0]))
    tensor([0.5000, 0.5000, 0.0000])
    """
    return _Entmax15.apply(scores)


class Entmax15Normalizer(Normalizer):
    """`weights = max(scores / 2 - tau, 0)^2`, tau so that the visible keys of a row sum to 1.

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
