"""What every attention takes and returns: outputs, memories and states as values, and what a decoder asks for."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from heedful import _refusals
from heedful._pytree import register_pytree


@register_pytree
@dataclass(frozen=True)
class AttentionOutput:
    """What one look returns; `context, weights = output` takes it apart.

    Attributes:
        context: `[batch, queries, value_dim]`, the weighted sum of the values.
        weights: `[batch, (heads,) queries, keys]`, or `None` unless asked for.
    """

    context: Float[Tensor, "batch queries value_dim"]
    weights: Float[Tensor, "batch *heads queries keys"] | None = None

    def __iter__(self) -> Iterator[Tensor | None]:
        return iter((self.context, self.weights))


@register_pytree
@dataclass(frozen=True)
class Memory:
    """What is looked at, prepared once: a value, never kept by a module.

    Attributes:
        key: what the score remembered of the keys (a tensor or a pytree, keys on axis 1).
        value: `[batch, keys, value_dim]`, hidden rows replaced by 0.
        mask: `[batch, 1, keys]`, True = may look; `None` when nothing is hidden.
    """

    key: Any
    value: Float[Tensor, "batch keys value_dim"]
    mask: Bool[Tensor, "batch 1 keys"] | None


@register_pytree
@dataclass(frozen=True)
class AttentionState:
    """What a look leaves for the next one; each part of the attention owns one field.

    Attributes:
        position: `[batch]`, place of the next query, counted from 0.
        score, window, normalizer: their own states, `None` where they have none.
    """

    position: Int[Tensor, " batch"]
    score: Any = None
    window: Any = None
    normalizer: Any = None


def check_query(query: Tensor, batch: int, features: int, who: str) -> None:
    """Refuse queries that are not `[batch, queries, features]` of floating point.

    Raises:
        ValueError: they are not; `who` expected such.
    """
    if query.dim() != 3:
        raise _refusals.not_three_axes("query", query.shape, "[batch, queries, features]")
    if query.shape[0] != batch:
        raise _refusals.other_batch(query.shape[0], batch)
    if query.shape[2] != features:
        raise _refusals.other_features("query", query.shape[2], who, features)
    if not query.is_floating_point():
        raise _refusals.not_floats(query.dtype, "query")


def check_key(key: Tensor, features: int, who: str) -> None:
    """Refuse keys that are not `[batch, keys, features]` of floating point.

    Raises:
        ValueError: they are not; `who` expected such.
    """
    if key.dim() != 3:
        raise _refusals.not_three_axes("key", key.shape, "[batch, keys, features]")
    if key.shape[2] != features:
        raise _refusals.other_features("key", key.shape[2], who, features)
    if not key.is_floating_point():
        raise _refusals.not_floats(key.dtype, "key")


def check_value(value: Tensor, key: Tensor) -> None:
    """Refuse values that are not `[batch, keys, any]` of floating point, one for each key.

    Raises:
        ValueError: they are not.
    """
    if value.dim() != 3 or value.shape[:2] != key.shape[:2]:
        raise _refusals.not_a_value_for_each_key(value.shape, key.shape)
    if not value.is_floating_point():
        raise _refusals.not_floats(value.dtype, "value")


def first_state(kept: Tensor, position: int) -> AttentionState:
    """The state before the first query, whose place is `position`, over what is `kept [batch, ...]` of the keys."""
    return AttentionState(torch.full((kept.shape[0],), position, dtype=torch.long, device=kept.device))


@runtime_checkable
class DecoderAttention(Protocol):
    """What a decoder needs of an attention layer: `Attention` has it, and so have the layers with heads or gates."""

    @property
    def query_dim(self) -> int:
        """Features of a query."""
        ...

    @property
    def key_dim(self) -> int:
        """Features of a key."""
        ...

    @property
    def context_dim(self) -> int:
        """Features of a context whose values are the keys."""
        ...

    def remember(self, key: Tensor, value: Tensor | None = None, mask: Tensor | None = None) -> Any:
        """Prepare keys and values once, for many calls of `look`."""
        ...

    def step(
        self, query: Tensor, memory: Any, state: AttentionState | None = None, need_weights: bool = False
    ) -> tuple[AttentionOutput, AttentionState]:
        """`look` for one query."""
        ...

    def look(
        self, query: Tensor, memory: Any, state: AttentionState | None = None, need_weights: bool = False
    ) -> tuple[AttentionOutput, AttentionState]:
        """Look with any number of queries, and hand on the state."""
        ...
