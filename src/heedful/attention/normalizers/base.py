"""The third axis of attention: scores to weights."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from jaxtyping import Bool, Float
from torch import Tensor, nn

from heedful.attention.source import Source


class Normalizer(nn.Module, ABC):
    """Turns scores into weights. Subclasses are final: one rule each.

    Attributes:
        stateful: True when the weights of one query depend on the queries before it.
    """

    source: ClassVar[Source]
    stateful: ClassVar[bool] = False

    @property
    def is_plain_softmax(self) -> bool:
        """Whether a fused softmax gives the same context."""
        return False

    @abstractmethod
    def forward(
        self,
        scores: Float[Tensor, "batch queries keys"],
        mask: Bool[Tensor, "#batch #queries keys"] | None,
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        """Weights of each row over its visible keys (a row that sees nothing gets zeros), and the next state."""
