"""Softmax, with a temperature (the universal normaliser; sharpening as in Chorowski et al. 2015, section 2.3)."""

from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor

from heedful.attention.source import Source
from heedful.functional import masked_softmax

from .base import Normalizer


class SoftmaxNormalizer(Normalizer):
    """The ordinary distribution over the visible keys, `softmax(scores / temperature)`.

    Args:
        temperature: above 1 flatter, below 1 sharper.

    Raises:
        ValueError: the temperature is not a positive number.
    """

    source = Source("Bahdanau, Cho and Bengio: NMT by Jointly Learning to Align and Translate", "section 3.1", 2015)

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
        mask: Bool[Tensor, "#batch #queries keys"] | None,
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        scores = scores if self.temperature == 1 else scores / self.temperature
        return masked_softmax(scores, mask), state
