"""Exponential: scores that are logarithms of weights, as they are (Graves 2013, section 5)."""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from heedful.attention.source import GRAVES_2013

from .base import Normalizer, erase


class ExponentialNormalizer(Normalizer):
    """`weights[q, k] = exp(scores[q, k])`, not divided by their sum: for scores that are logarithms of weights.

    `GaussianMixtureScore` yields them. Those of other scores have no bound, and are refused.

    Cost: time queries * keys; memory queries * keys.

    >>> ExponentialNormalizer()(torch.tensor([[[0.25, 2.0]]]).log(), torch.tensor([[[True, False]]]))[0]
    tensor([[[0.2500, 0.0000]]])
    """

    source = GRAVES_2013(place="section 5, the soft window")
    reads_log_weights = True

    def forward(
        self,
        scores: Float[Tensor, "batch queries keys"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        hidden = scores == -torch.inf
        if mask is not None:
            hidden = hidden | ~mask
        return erase(scores.masked_fill(hidden, 0).exp(), hidden), state
