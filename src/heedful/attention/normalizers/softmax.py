"""Softmax, with a temperature (Bahdanau, Cho and Bengio 2015, equation 6; Chorowski et al. 2015, section 2.3)."""

import math
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from heedful.attention.source import BAHDANAU_2015
from heedful.functional import masked_softmax, widen

from .base import Normalizer

# below it the softmax is nearly one-hot, and its gradients vanish or explode
_LEAST_LEARNED = 0.01


class SoftmaxNormalizer(Normalizer):
    """`weights[q, :] = softmax(scores[q, :] / temperature)`, the ordinary distribution over the visible keys.

    Args:
        temperature: above 1 flatter, below 1 sharper; where it is learned, its first value.
        learned: learn it, as `softplus(raw) + 0.01`; not in the papers.

    Parameters: `raw []` where it is learned.

    Cost: time queries * keys; memory queries * keys, none where the score is fused.

    Raises:
        ValueError: the temperature is not a positive number, or not above 0.01 where it is learned.

    >>> SoftmaxNormalizer()(torch.zeros(1, 1, 3), torch.tensor([[[True, True, False]]]))[0]
    tensor([[[0.5000, 0.5000, 0.0000]]])
    """

    source = BAHDANAU_2015(place="equation 6")

    def __init__(self, temperature: float = 1.0, learned: bool = False) -> None:
        super().__init__()
        least = _LEAST_LEARNED if learned else 0
        if not least < temperature < math.inf:
            raise ValueError(f"temperature is {temperature}; expected a number above {least} (1 changes nothing).")
        self.temperature = temperature
        self.raw = nn.Parameter(torch.tensor(temperature - least).expm1().log()) if learned else None

    @property
    def is_plain_softmax(self) -> bool:
        return self.raw is None and self.temperature == 1

    def forward(
        self,
        scores: Float[Tensor, "batch queries keys"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        if self.raw is not None:
            scores = scores / (softplus(widen(self.raw)) + _LEAST_LEARNED)
        elif self.temperature != 1:
            scores = scores / self.temperature
        return masked_softmax(scores, mask), state
