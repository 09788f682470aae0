"""The protocols of models: what every decoding method needs of one, and an encoder of its embedding."""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class StepOutput:
    """What one decoding step returns.

    Attributes:
        logits: `[batch, vocab_size]`, before the softmax.
        weights: `[batch, source_len]`, what the step looked at, the mean of its heads; `None` unless asked for, or
            without attention.
        heads: `[batch, layers, heads, source_len]`, of each head, where there are weights; a model alone has one such
            tensor, and a look without heads is one of one layer. Empty where the model does not say.
    """

    logits: Float[Tensor, "batch vocab_size"]
    weights: Float[Tensor, "batch source_len"] | None = None
    heads: tuple[Float[Tensor, "batch _ _ source_len"], ...] = ()


@runtime_checkable
class Embedding(Protocol):
    """What an encoder reads through: ids of tokens, or regions of a picture, to vectors of `dim` features."""

    @property
    def dim(self) -> int:
        """Features of a vector."""
        ...

    def __call__(self, source: Any, /) -> Tensor: ...


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
