"""Softmax, with a temperature (Bahdanau, Cho and Bengio 2015, equation 6; Chorowski et al. 2015, section 2.3)."""

from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor

from heedful.attention.source import BAHDANAU_2015
from heedful.functional import masked_softmax

from .base import Normalizer


class SoftmaxNormalizer(Normalizer):
    """`weights[q, :] = softmax(scores[q, :] / temperature)`, the ordinary distribution over the visible keys.

    Args:
        temperature: above 1 flatter, below 1 sharper.

    Raises:
        ValueError: the temperature is not a positive number.

    >>> import torch
    >>> SoftmaxNormalizer()(torch.zeros(1, 1, 3), torch.tensor([[[True, True, False]]]))[0]
    tensor([[[0.5000, 0.5000, 0.0000]]])
    """

    source = BAHDANAU_2015(place="equation 6")

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"temperature is {temperature}; expected a number above 0 (1 changes nothing).")
        self.temperature = temperature

    @property
    def is_plain_softmax(self) -> bool:
        return self.temperature == 1

    def forward(
        self,
        scores: Float[Tensor, "batch queries keys"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        scores = scores if self.is_plain_softmax else scores / self.temperature
        return masked_softmax(scores, mask), state
