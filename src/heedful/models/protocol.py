"""The protocol that every decoding method needs of a model."""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class StepOutput:
    """What one decoding step returns.

    Attributes:
        logits: `[batch, vocab_size]`, before the softmax.
        weights: `[batch, source_len]`, what the step looked at; `None` unless asked for, or without attention.
    """

    logits: Float[Tensor, "batch vocab_size"]
    weights: Float[Tensor, "batch source_len"] | None = None


@runtime_checkable
class StepModel(Protocol):
    """Encode once, start, then step token by token; everything handed on is a pytree of tensors, batch axis first."""

    def encode(self, source: Int[Tensor, "batch source_len"], lengths: Int[Tensor, " batch"]) -> Any:
        """Read the source sentences."""
        ...

    def start(self, encoded: Any) -> Any:
        """The decoder's state before its first token."""
        ...

    def step(
        self, tokens: Int[Tensor, " batch"], state: Any, encoded: Any, need_weights: bool = False
    ) -> tuple[StepOutput, Any]:
        """Take the last tokens in, give the next tokens' logits and the next state."""
        ...
