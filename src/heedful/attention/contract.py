"""What every attention takes and returns: outputs, memories and states as values, and what a decoder asks for."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

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
    _check_tensor("query", query)
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
    _check_tensor("key", key)
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
    _check_tensor("value", value)
    if value.dim() != 3 or value.shape[:2] != key.shape[:2]:
        raise _refusals.not_a_value_for_each_key(value.shape, key.shape)
    if not value.is_floating_point():
        raise _refusals.not_floats(value.dtype, "value")


def check_state(state: Any, batch: int) -> None:
    """Refuse what is no state, or one of another batch; `None` begins.

    Raises:
        ValueError: it is so (a TypeError, too, of what is none).
    """
    if state is None:
        return
    _refusals.check_part("state", state, AttentionState, "attention.begin(memory)")
    if state.position.shape[0] != batch:
        raise ValueError(
            f"state is of {state.position.shape[0]} batch items but query and memory of {batch}; expected as many: "
            "reorder memory and state together."
        )


def _check_tensor(name: str, given: object) -> None:
    if not isinstance(given, Tensor):
        raise _refusals.not_a_tensor(name, given)


def first_state(kept: Tensor, position: int) -> AttentionState:
    """The state before the first query, whose place is `position`, over what is `kept [batch, ...]` of the keys."""
    return AttentionState(torch.full((kept.shape[0],), position, dtype=torch.long, device=kept.device))


class AttentionLayer(nn.Module, ABC):
    """What can be asked of every attention that a decoder may use: `Attention`, and layers with heads or gates.

    Attributes:
        query_dim: features of a query.
        key_dim: features of a key.
        context_dim: features of a context where the keys are the values.
        memory_kind: class of what `remember` returns.
    """

    query_dim: int
    key_dim: int
    context_dim: int
    memory_kind: type = Memory

    def check_memory(self, memory: Any) -> None:
        """Refuse a memory that is none of this layer.

        Raises:
            TypeError: the message says what came, and what returns one (a ValueError, too).
        """
        _refusals.check_part("memory", memory, self.memory_kind, "attention.remember(key)")

    @abstractmethod
    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        key: Float[Tensor, "batch keys key_dim"],
        value: Float[Tensor, "batch keys value_dim"] | None = None,
        mask: Bool[Tensor, "#batch #queries #keys"] | None = None,
        need_weights: bool = False,
    ) -> AttentionOutput:
        """Look with every query at once; equal to `step`, one query at a time.

        Args:
            query: `[batch, queries, query_dim]`.
            key: `[batch, keys, key_dim]`; the query itself for self-attention.
            value: `[batch, keys, value_dim]`; the keys when left out.
            mask: boolean, broadcasts to `[batch, queries, keys]`, True = may look, the same for every head. A query
                that may look nowhere gets a context of zeros. A key that the mask hides from every query may hold
                anything, NaN too; one hidden from some only, or by the window, any finite value whose scores are
                finite.
            need_weights: return the weights, `[batch, (heads,) queries, keys]`, beside the same context.
        """

    @abstractmethod
    def remember(
        self,
        key: Float[Tensor, "batch keys key_dim"],
        value: Float[Tensor, "batch keys value_dim"] | None = None,
        mask: Bool[Tensor, "#batch 1 #keys"] | None = None,
    ) -> Any:
        """Prepare keys and values once, for many calls of `step`.

        Args:
            key: `[batch, keys, key_dim]`.
            value: `[batch, keys, value_dim]`; the keys when left out.
            mask: `[batch, 1, keys]`, as `padding_mask` gives it.
        """

    @abstractmethod
    def extend(
        self,
        memory: Any,
        key: Float[Tensor, "batch more key_dim"],
        value: Float[Tensor, "batch more value_dim"] | None = None,
        mask: Bool[Tensor, "#batch 1 #more"] | None = None,
    ) -> Any:
        """Append keys and values: cached self-attention. Returns a new memory; the old one stays as it was.

        Args:
            memory: from `remember` or `extend`.
            key: `[batch, more, key_dim]`.
            value: `[batch, more, value_dim]`; the keys when left out.
            mask: `[batch, 1, more]`, of the further keys alone.
        """

    def begin(self, memory: Any, position: int = 0) -> AttentionState:
        """The state before the first query.

        Args:
            memory: what will be looked at.
            position: place of the first query; after a prompt of `n` tokens, `n`.
        """
        return first_state(memory.value, position)

    def step(
        self,
        query: Float[Tensor, "batch 1 query_dim"],
        memory: Any,
        state: AttentionState | None = None,
        need_weights: bool = False,
    ) -> tuple[AttentionOutput, AttentionState]:
        """One decoding step.

        Args:
            query: `[batch, 1, query_dim]`.
            memory: from `remember` or `extend`.
            state: what the last step returned; `None` to begin.
            need_weights: return the weights, too.
        """
        return self.look(query, memory, state, need_weights)

    @abstractmethod
    def look(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        memory: Any,
        state: AttentionState | None = None,
        need_weights: bool = False,
    ) -> tuple[AttentionOutput, AttentionState]:
        """`step` for any number of queries at once: teacher forcing over a whole target.

        Args:
            query: `[batch, queries, query_dim]`.
            memory: from `remember` or `extend`.
            state: what the last call returned; `None` to begin.
            need_weights: return the weights, too.
        """
