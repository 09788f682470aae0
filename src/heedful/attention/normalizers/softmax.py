"""Softmax, with a temperature (Bahdanau, Cho and Bengio 2015, equation 6; Chorowski et al. 2015, section 2.3)."""

import math
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from heedful import _refusals
from heedful.attention.source import BAHDANAU_2015
from heedful.functional import masked_softmax, widen

from .base import Normalizer, per_head

# below it the softmax is nearly one-hot, and its gradients vanish or explode
_LEAST_LEARNED = 0.01


class SoftmaxNormalizer(Normalizer):
    """`weights[q, :] = softmax(scores[q, :] / temperature)`, the ordinary distribution over the visible keys.

    A temperature for each query is a factor on what makes its scores, as `sharpness="query"` of `CosineScore` is.

    Args:
        temperature: above 1 flatter, below 1 sharper; where it is learned, its first value.
        learned: learn it, as `softplus(raw) + 0.01`; not in the papers.
        heads: learned numbers: 1, or how many heads of an item stand side by side in the batch, as multi-head attention
            folds them.

    Parameters: `raw [heads]` where it is learned.

    Cost: time queries * keys; memory queries * keys, none where the score is fused.

    Raises:
        ValueError: the temperature is not a positive number, or not above 0.01 where it is learned; `heads` is not a
            whole number from 1 up; in a call, a batch that is no multiple of the heads.

    >>> SoftmaxNormalizer()(torch.zeros(1, 1, 3), torch.tensor([[[True, True, False]]]))[0]
    tensor([[[0.5000, 0.5000, 0.0000]]])
    """

    source = BAHDANAU_2015(place="equation 6")

    def __init__(self, temperature: float = 1.0, learned: bool = False, heads: int = 1) -> None:
        super().__init__()
        _refusals.check_sizes(heads=heads)
        least = _LEAST_LEARNED if learned else 0
        _refusals.check_numbers(temperature=temperature)
        if not least < temperature < math.inf:
            raise ValueError(f"temperature is {temperature}; expected a number above {least} (1 changes nothing).")
        self.temperature = temperature
        # softplus turned round, without overflow where the temperature is high
        raw = temperature - least + math.log(-math.expm1(least - temperature)) if learned else 0.0
        self.raw = nn.Parameter(torch.full((heads,), raw)) if learned else None
        self.heads = heads if learned else 1

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
            scores = scores / per_head(softplus(widen(self.raw)) + _LEAST_LEARNED, scores)
        elif self.temperature != 1:
            scores = scores / self.temperature
        return masked_softmax(scores, mask), state
