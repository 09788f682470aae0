"""The third axis of attention: scores to weights."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from jaxtyping import Bool, Float
from torch import Tensor, nn

from heedful.attention.source import Source


class Normalizer(nn.Module, ABC):
    """Turns scores into weights. Subclasses are final: one rule each.

    The first line of a subclass' docstring is its formula; the catalogue shows it.

    Attributes:
        source: paper, place and year.
        stateful: True when the weights of one query depend on the queries before it.
        chooses: True when each row has at most one key, of weight 1.
    """

    source: ClassVar[Source]
    stateful: ClassVar[bool] = False
    chooses: ClassVar[bool] = False

    @property
    def is_plain_softmax(self) -> bool:
        """Whether a fused softmax gives the same context."""
        return False

    @abstractmethod
    def forward(
        self,
        scores: Float[Tensor, "batch queries keys"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        """Weights of each row over its visible keys, and the next state.

        Args:
            scores: `[batch, queries, keys]`, in float32 or wider; one query at a time where `stateful`. Minus infinity
                hides its key, too; a score that the mask hides may hold anything.
            mask: boolean, broadcasts to the scores, True = may look.
            state: what the last call returned, `None` to begin and where there is none; batch axis first.

        Returns:
            weights of the shape of the scores, 0 where hidden, a whole row of zeros where nothing is visible; and the
            next state.
        """
