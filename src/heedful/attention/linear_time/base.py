"""Attention that never holds a matrix of queries x keys: layers with projections and heads of their own."""

from abc import abstractmethod
from dataclasses import replace
from typing import Any, ClassVar

from jaxtyping import Bool, Float
from torch import Tensor
from torch.utils import _pytree as pytree

from heedful import _refusals
from heedful.attention.contract import (
    AttentionLayer,
    AttentionOutput,
    AttentionState,
    check_key,
    check_query,
    check_state,
    check_value,
    first_state,
)
from heedful.attention.heads import split_heads
from heedful.attention.scores.base import check_sizes
from heedful.attention.source import Source
from heedful.functional import check_mask, hide
from heedful.layers import Linear


class LinearTimeAttention(AttentionLayer):
    """Projects query, key and value, lets each head look for itself, joins and projects what they read.

    Subclasses are final: one mechanism each; the first line of a subclass' docstring is its formula. The public calls
    are those of `Attention`, with two differences. A mask hides keys from all queries, `[batch, 1, keys]`: an arbitrary
    one would need the matrix that is saved here. The memory is what the mechanism sums up, mostly of constant size, so
    that causal self-attention decodes by `extend` with a token and then `step` with it.

    Parameters of the projections, as `nn.Linear` starts them, without biases: `query_proj.weight [dim, dim]`,
    `key_proj.weight [dim, key_dim]`, `value_proj.weight [dim, value_dim]`, `output_proj.weight [dim, dim]`.

    Attributes:
        source: paper, place and year.
        causal: query `i` sees the keys up to `i`, of as many keys as queries.
        self_only: query `i` and key `i` are one step, so that there are as many of both.
        no_memory: why there is no `remember`, `extend` and `step`; empty where there is.
    """

    kind = "mechanism"
    source: ClassVar[Source]
    causal: bool = False
    self_only: bool = False
    no_memory: str = ""

    def __init__(self, dim: int, num_heads: int, key_dim: int | None = None, value_dim: int | None = None) -> None:
        super().__init__()
        key_dim = dim if key_dim is None else key_dim
        value_dim = key_dim if value_dim is None else value_dim
        check_sizes(dim=dim, num_heads=num_heads, key_dim=key_dim, value_dim=value_dim)
        if dim % num_heads:
            raise ValueError(f"dim is {dim}; expected a multiple of num_heads, {num_heads}: heads of one size.")
        self.query_dim, self.key_dim, self.value_dim, self.context_dim = dim, key_dim, value_dim, dim
        self.num_heads, self.head_dim = num_heads, dim // num_heads
        self.query_proj = Linear(dim, dim, bias=False)
        self.key_proj = Linear(key_dim, dim, bias=False)
        self.value_proj = Linear(value_dim, dim, bias=False)
        self.output_proj = Linear(dim, dim, bias=False)

    @abstractmethod
    def attend(
        self,
        query: Float[Tensor, "batch heads queries head_dim"],
        key: Float[Tensor, "batch heads keys head_dim"],
        value: Float[Tensor, "batch heads keys head_dim"],
        visible: Bool[Tensor, "batch 1 keys"] | None,
        need_weights: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """What each head reads `[batch, heads, queries, head_dim]`, and the matrix by which it does, on request."""

    def gather(
        self,
        memory: Any,
        key: Float[Tensor, "batch heads keys head_dim"],
        value: Float[Tensor, "batch heads keys head_dim"],
        visible: Bool[Tensor, "batch 1 keys"] | None,
    ) -> Any:
        """The memory with these keys, too; `None` to begin."""
        raise NotImplementedError

    def read(
        self, query: Float[Tensor, "batch heads queries head_dim"], memory: Any
    ) -> Float[Tensor, "batch heads queries head_dim"]:
        """What each head reads in a memory."""
        raise NotImplementedError

    def finish(
        self, read: Float[Tensor, "batch heads queries head_dim"], query: Float[Tensor, "batch queries dim"]
    ) -> Float[Tensor, "batch queries dim"]:
        """From what the heads read to the context; a row of zeros must stay one."""
        return self.output_proj(read.transpose(1, 2).flatten(2))

    def forward(
        self,
        query: Float[Tensor, "batch queries dim"],
        key: Float[Tensor, "batch keys key_dim"],
        value: Float[Tensor, "batch keys value_dim"] | None = None,
        mask: Bool[Tensor, "#batch #queries #keys"] | None = None,
        need_weights: bool = False,
    ) -> AttentionOutput:
        """Look with every query at once.

        Args:
            query: `[batch, queries, dim]`.
            key: `[batch, keys, key_dim]`.
            value: `[batch, keys, value_dim]`; the keys when left out.
            mask: boolean, `[batch, 1, keys]`, as `padding_mask` gives it, True = may look. What is hidden may hold
                anything, NaN too; where `query` is the same tensor as `key`, its hidden rows as well. A query that
                sees nothing gets zeros.
            need_weights: return the weights `[batch, heads, queries, keys]`, too, at the price of that matrix.

        Raises:
            ValueError: a shape does not fit, the mask is not boolean or hides keys from some queries only.
        """
        check_key(key, self.key_dim, type(self).__name__)
        check_query(query, key.shape[0], self.query_dim, type(self).__name__)
        if (self.causal or self.self_only) and query.shape[1] != key.shape[1]:
            raise ValueError(
                f"there are {query.shape[1]} queries and {key.shape[1]} keys; this {type(self).__name__} expected one "
                "query for each key. To go on after earlier keys, use remember, extend and step."
            )
        hidden_key, value, visible = self._prepare(key, value, mask)
        hidden_query = hidden_key if query is key else query
        heads = split_heads(self.query_proj(hidden_query), self.num_heads)
        read, weights = self.attend(heads, *self._project(hidden_key, value), visible, need_weights)
        return AttentionOutput(self.finish(read, hidden_query), weights)

    def remember(
        self,
        key: Float[Tensor, "batch keys key_dim"],
        value: Float[Tensor, "batch keys value_dim"] | None = None,
        mask: Bool[Tensor, "#batch 1 #keys"] | None = None,
    ) -> Any:
        """Sum up keys and values once, for many calls of `step`.

        Raises:
            ValueError: this mechanism has no memory; the message says why.
        """
        return self._gather(None, key, value, mask)

    def extend(
        self,
        memory: Any,
        key: Float[Tensor, "batch more key_dim"],
        value: Float[Tensor, "batch more value_dim"] | None = None,
        mask: Bool[Tensor, "#batch 1 #more"] | None = None,
    ) -> Any:
        """The memory with further keys and values; the old one stays as it was.

        Raises:
            ValueError: this mechanism has no memory; the message says why.
        """
        if not self.no_memory:
            self.check_memory(memory)
        return self._gather(memory, key, value, mask)

    def begin(self, memory: Any, position: int = 0) -> AttentionState:
        """The state before the first query: its place alone, since everything else is in the memory.

        Args:
            memory: what will be looked at.
            position: place of the first query.
        """
        some = pytree.tree_leaves(memory)[0]
        return first_state(some, position)

    def look(
        self,
        query: Float[Tensor, "batch queries dim"],
        memory: Any,
        state: AttentionState | None = None,
        need_weights: bool = False,
    ) -> tuple[AttentionOutput, AttentionState]:
        """`step` for any number of queries at once, which in self-attention is one: each has a memory of its own.

        Args:
            query: `[batch, queries, dim]`.
            memory: from `remember` or `extend`.
            state: what the last call returned; `None` to begin. It only counts.
            need_weights: refused, since the memory no longer knows the single keys.

        Raises:
            ValueError: weights were asked for, several queries in self-attention, or the shape does not fit.
        """
        if need_weights:
            raise ValueError(
                f"need_weights is True; {type(self).__name__} has none to give in steps, since its memory is summed up "
                "and knows the single keys no longer. Call the layer with all keys, or leave need_weights out."
            )
        self.check_memory(memory)
        begun = self.begin(memory)
        check_query(query, begun.position.shape[0], self.query_dim, type(self).__name__)
        check_state(state, query.shape[0])
        state = begun if state is None else state
        if (self.causal or self.self_only) and query.shape[1] != 1:
            raise ValueError(
                f"there are {query.shape[1]} queries; {type(self).__name__} expected one in a step, at the last key of "
                "the memory. Extend the memory key by key, or call the layer with all of them."
            )
        read = self.read(split_heads(self.query_proj(query), self.num_heads), memory)
        return AttentionOutput(self.finish(read, query)), replace(state, position=state.position + query.shape[1])

    def _gather(self, memory: Any, key: Tensor, value: Tensor | None, mask: Tensor | None) -> Any:
        if self.no_memory:
            raise ValueError(f"{type(self).__name__} expected a call with all queries and keys: {self.no_memory}.")
        key, value, visible = self._prepare(key, value, mask)
        return self.gather(memory, *self._project(key, value), visible)

    def _prepare(self, key: Tensor, value: Tensor | None, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Keys and values with hidden rows replaced by 0, and the mask in full."""
        check_key(key, self.key_dim, type(self).__name__)
        value = key if value is None else value
        check_value(value, key)
        if value.shape[2] != self.value_dim:
            raise _refusals.other_features("value", value.shape[2], type(self).__name__, self.value_dim)
        batch, keys = key.shape[:2]
        if mask is None:
            return key, value, None
        if mask.dim() == 3 and mask.shape[1] != 1:
            raise ValueError(
                f"mask has shape {tuple(mask.shape)}; {type(self).__name__} expected [batch, 1, keys] = [{batch}, 1, "
                f"{keys}], the same keys hidden from every query. For other masks use Attention with ScaledDotScore."
            )
        check_mask(mask, batch, 1, keys)
        visible = mask.expand(batch, 1, keys)
        hidden = hide(key, visible.squeeze(1))
        return hidden, hidden if value is key else hide(value, visible.squeeze(1)), visible

    def _project(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        return split_heads(self.key_proj(key), self.num_heads), split_heads(self.value_proj(value), self.num_heads)
