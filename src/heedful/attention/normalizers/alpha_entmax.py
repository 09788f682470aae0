"""Entmax with any exponent from softmax to sparsemax, fixed or learned (Peters 2019; Correia 2019)."""

import math
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from heedful import _refusals
from heedful.attention.source import CORREIA_2019
from heedful.functional import widen

from .base import Normalizer, erase, finite_rows, per_head

# after these the threshold is known to 1e-8; each of the two Newton steps squares the error
_HALVINGS = 30
# least `alpha - 1`, where the weights are a softmax to the last digit of float32
_LEAST = 1e-6


def _powers(scores: Tensor, tau: Tensor, above: Tensor) -> Tensor:
    """`(1 + above (scores - tau))^(1 / above)`, 0 where the base is not above 0."""
    base = above * (scores - tau)
    inside = base > -1
    # through the logarithm no digit is lost near alpha = 1, where this is exp(scores - tau)
    return (torch.log1p(base.where(inside, 0)) / above).exp().where(inside, 0)


def _threshold(scores: Tensor, above: Tensor) -> Tensor:
    """A little below the tau of rows whose largest score is 0, without a gradient."""
    low = torch.zeros_like(scores[..., :1])
    # the largest weight of a row lies between 1 / keys and 1
    keys = scores.new_full((), scores.shape[-1])
    width = -torch.expm1(-above * keys.log()) / above
    for _ in range(_HALVINGS):
        width = width / 2
        too_low = _powers(scores, low + width, above).sum(-1, keepdim=True) >= 1
        low = torch.where(too_low, low + width, low)
    return low


def alpha_entmax(scores: Float[Tensor, "*batch keys"], alpha: Float[Tensor, "..."]) -> Float[Tensor, "*batch keys"]:
    """`max((alpha - 1) scores - tau, 0)^(1 / (alpha - 1))`, tau so that the row sums to 1; differentiable in both.

    Args:
        scores: `[*batch, keys]`, finite.
        alpha: above 1 (softmax) up to 2 (sparsemax); broadcasts to `[*batch, 1]`.

    >>> alpha_entmax(torch.tensor([0.0, 0.0, -4.0]), torch.tensor(1.5))
    tensor([0.5000, 0.5000, 0.0000])
    """
    above = alpha - 1
    shifted = scores - scores.detach().amax(-1, keepdim=True)
    tau = _threshold(shifted.detach(), above.detach())
    # two steps, so that the second derivative is right, too; both come from below and pass no edge of the support
    for _ in range(2):
        powers = _powers(shifted, tau, above)
        inside = powers > 0
        slope = powers.where(inside, 1).pow(1 - above).where(inside, 0).sum(-1, keepdim=True)
        tau = tau + (powers.sum(-1, keepdim=True) - 1) / slope
    weights = _powers(shifted, tau, above)
    return weights / weights.sum(-1, keepdim=True)


class AlphaEntmaxNormalizer(Normalizer):
    """`weights = max((alpha - 1) scores - tau, 0)^(1 / (alpha - 1))`, tau so that the visible keys sum to 1.

    Near 1 it is softmax, at 1.5 `Entmax15Normalizer`, at 2 sparsemax: the larger, the fewer keys keep a weight.

    Args:
        alpha: above 1, up to 2; where it is learned, its first value, below 2.
        learned: learn it, as `1 + sigmoid(raw)`.
        heads: learned alphas: 1, or how many heads of an item stand side by side in the batch, as multi-head attention
            folds them.

    Parameters: `raw [heads]` where it is learned, at first `logit(alpha - 1)`.

    Cost: time queries * keys * halvings; memory queries * keys.

    Raises:
        ValueError: alpha is out of range, or `heads` not a whole number from 1 up; in a call, a batch that is no
            multiple of the heads.

    >>> AlphaEntmaxNormalizer(2.0)(torch.tensor([[[1.0, 0.5, -2.0]]]), None)[0]
    tensor([[[0.7500, 0.2500, 0.0000]]])
    """

    source = CORREIA_2019(place="section 3, proposition 1")

    def __init__(self, alpha: float = 1.5, learned: bool = False, heads: int = 1) -> None:
        super().__init__()
        _refusals.check_sizes(heads=heads)
        _refusals.check_numbers(alpha=alpha)
        if not 1 < alpha <= 2 or (learned and alpha == 2):
            bound = "below 2, where it is learned" if learned else "up to 2 (SparsemaxNormalizer)"
            raise ValueError(f"alpha is {alpha}; expected a number above 1 (SoftmaxNormalizer) and {bound}.")
        self.alpha = alpha
        self.raw = nn.Parameter(torch.full((heads,), math.log((alpha - 1) / (2 - alpha)))) if learned else None
        self.heads = heads if learned else 1

    def forward(
        self,
        scores: Float[Tensor, "batch queries keys"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        alpha = per_head(self.exponent().to(scores), scores)
        # a score more than 1 / (alpha - 1) below the largest has no weight
        finite, hidden = finite_rows(scores, mask, below=1 / _LEAST + 1)
        return erase(alpha_entmax(finite, alpha) if scores.shape[-1] else finite, hidden), state

    def exponent(self) -> Float[Tensor, " heads"]:
        """The alphas in use, `[heads]`."""
        if self.raw is None:
            return torch.tensor([self.alpha], dtype=torch.float64)
        return 1 + torch.sigmoid(widen(self.raw)).clamp_min(_LEAST)
