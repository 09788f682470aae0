"""Multi-head attention: several smaller attentions side by side (Vaswani et al. 2017, section 3.2.2)."""

import copy

from jaxtyping import Bool, Float
from torch import Tensor, nn

from heedful._pytree import map_tensors
from heedful.functional import check_mask, hide

from .base import Attention
from .contract import AttentionLayer, AttentionOutput, AttentionState, Memory, check_query, check_state
from .head_projections import HeadProjections, check_head_dim, check_parts_of_heads
from .heads import HeadsMemory, fold, join_heads, split_heads, unfold
from .projections import check_no_own_key, copy_weights
from .query_key_transform import QueryKeyTransform
from .scores import DotScore, ScaledDotScore
from .source import VASWANI_2017


class MultiHeadAttention(HeadProjections, AttentionLayer):
    """`context = W_o [head_1; ..; head_H]`, `head_h = attention(W_q,h query, W_k,h key, W_v,h value)`.

    Every head is one `Attention`: any score, window and normaliser. Heads are further items of its batch, so that they
    share its parameters, if it has any; `PerHeadScore` gives each its own. With fewer heads for keys and values, query
    head `h` reads from head `h // (num_heads / num_kv_heads)` of those (grouped queries, Ainslie et al. 2023; one of
    them is multi-query attention, Shazeer 2019), and the memory is so much smaller.

    Args:
        query_dim: features of a query, and of the context.
        num_heads: heads, which share out `query_dim`.
        key_dim: features of a key; those of a query when left out.
        value_dim: features of a value; those of a key when left out.
        num_kv_heads: heads of keys and values, a divisor of `num_heads`, which is the default.
        attention: what every head does, over `query_dim / num_heads` features; by default `ScaledDotScore` under a
            softmax (`DotScore` where `transform` has the norm "l2"). Its dropout drops weights.
        transform: normalises and rotates queries and keys of every head before they are compared.
        bias: add biases to the four projections.

    Parameters: `query_proj`, `key_proj`, `value_proj`, `output_proj`, linear layers; Glorot, the first three as parts
    of one matrix where their sizes are equal; biases 0.

    State: that of its attention; the memory is keys and values `[batch, num_kv_heads, keys, head_dim]`.

    Cost: time queries * keys * dim, and projections steps * dim^2; memory (queries + keys) * dim, and heads *
    queries * keys for weights.

    Raises:
        ValueError: heads that do not divide the features or each other, an attention or transform of another size; in
            a call, what `Attention` refuses.

    Attributes:
        finish: what is done to the heads' contexts, side by side, before `output_proj`: a module of contexts
            `[batch, queries, query_dim]` and the queries, or `None`.

    A row that sees nothing reads zeros in every head: its context is the bias of `output_proj`.

    >>> import torch
    >>> attention = MultiHeadAttention(query_dim=8, num_heads=2, key_dim=6)
    >>> output = attention(torch.ones(3, 4, 8), torch.ones(3, 5, 6), need_weights=True)
    >>> output.context.shape, output.weights.shape
    (torch.Size([3, 4, 8]), torch.Size([3, 2, 4, 5]))
    """

    kind = "mechanism"
    source = VASWANI_2017(place="section 3.2.2")
    memory_kind = HeadsMemory

    def __init__(
        self,
        query_dim: int,
        num_heads: int,
        key_dim: int | None = None,
        value_dim: int | None = None,
        num_kv_heads: int | None = None,
        attention: Attention | None = None,
        transform: QueryKeyTransform | None = None,
        bias: bool = True,
    ) -> None:
        super().__init__(query_dim, num_heads, key_dim, value_dim, num_kv_heads, bias)
        if attention is None:
            bare = getattr(transform, "norm", None) == "l2"
            attention = Attention(DotScore(self.head_dim) if bare else ScaledDotScore(self.head_dim))
        check_head_dim(attention, transform, self.head_dim)
        check_parts_of_heads(attention, self.num_heads, self.num_kv_heads)
        self.attention, self.transform = attention, transform
        self.finish: nn.Module | None = None

    @classmethod
    def from_torch(cls, layer: nn.MultiheadAttention) -> "MultiHeadAttention":
        """The same attention as a layer of torch, with a copy of its weights; its dropout stays.

        Its masks are the negation of ours: True there means "may not look".

        Args:
            layer: with `batch_first` or without (ours is batch first), without `add_bias_kv` and `add_zero_attn`.

        Raises:
            ValueError: the layer adds keys of its own.

        >>> MultiHeadAttention.from_torch(nn.MultiheadAttention(8, 2, kdim=6, vdim=5)).value_dim
        5
        """
        check_no_own_key(layer)
        attention = Attention(ScaledDotScore(layer.embed_dim // layer.num_heads), dropout=layer.dropout)
        sizes = layer.embed_dim, layer.num_heads, layer.kdim, layer.vdim
        ours = cls(*sizes, attention=attention, bias=layer.in_proj_bias is not None)
        copy_weights(layer, ours.query_proj, ours.key_proj, ours.value_proj, ours.output_proj)
        return ours.train(layer.training)

    def grouped(self, num_kv_heads: int) -> "MultiHeadAttention":
        """A copy with fewer heads for keys and values, each the mean of those that it replaces (Ainslie et al. 2023).

        It reads differently from the layer, but near enough to go on training from there.

        Args:
            num_kv_heads: a divisor of those that the layer has.

        Raises:
            ValueError: it is none, or queries and keys have one projection, or each head a score of its own.

        >>> MultiHeadAttention(8, num_heads=4).grouped(2).key_proj.weight.shape
        torch.Size([4, 8])
        """
        if self.key_proj is self.query_proj:
            raise ValueError(
                "queries and keys have one projection, which cannot have fewer heads for keys alone; expected a layer "
                "with two. Give key_proj a projection of its own first, such as copy.deepcopy(layer.query_proj)."
            )
        check_parts_of_heads(self.attention, self.num_heads, num_kv_heads)
        layer = copy.deepcopy(self)
        layer.merge_kv_heads(num_kv_heads)
        return layer

    @property
    def stateful(self) -> bool:
        """Whether one query's weights depend on the queries before it."""
        return self.attention.stateful

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        key: Float[Tensor, "batch keys key_dim"],
        value: Float[Tensor, "batch keys value_dim"] | None = None,
        mask: Bool[Tensor, "#batch #queries #keys"] | None = None,
        need_weights: bool = False,
    ) -> AttentionOutput:
        value = self.check_pair(key, value)
        check_query(query, key.shape[0], self.query_dim, type(self).__name__)
        check_mask(mask, query.shape[0], query.shape[1], key.shape[1])
        if mask is not None:
            # before the projections: 0 * NaN is NaN in their gradient
            visible = mask.any(1)
            key, value = hide(key, visible), hide(value, visible)
            mask = mask if mask.shape[0] == 1 else mask.repeat_interleave(self.num_heads, 0)
        first = self.attention.first_position(query.shape[1], key.shape[1])
        keys, values = (self.share(heads) for heads in self._project(key, value, 0))
        output = self.attention(self._project_query(query, first), fold(keys), fold(values), mask, need_weights)
        return self._join(output, query)

    def remember(
        self,
        key: Float[Tensor, "batch keys key_dim"],
        value: Float[Tensor, "batch keys value_dim"] | None = None,
        mask: Bool[Tensor, "#batch 1 #keys"] | None = None,
    ) -> HeadsMemory:
        return self._unfold(self._remember(key, value, mask, 0))

    def extend(
        self,
        memory: HeadsMemory,
        key: Float[Tensor, "batch more key_dim"],
        value: Float[Tensor, "batch more value_dim"] | None = None,
        mask: Bool[Tensor, "#batch 1 #more"] | None = None,
    ) -> HeadsMemory:
        self.check_memory(memory)
        more = self._remember(key, value, mask, memory.value.shape[2])
        return self._unfold(self.attention.join(Memory(*fold((memory.key, memory.value, memory.mask))), more))

    def look(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        memory: HeadsMemory,
        state: AttentionState | None = None,
        need_weights: bool = False,
    ) -> tuple[AttentionOutput, AttentionState]:
        self.check_memory(memory)
        check_query(query, memory.value.shape[0], self.query_dim, type(self).__name__)
        check_state(state, query.shape[0])
        state = self.begin(memory) if state is None else state
        shared = map_tensors(self.share, (memory.key, memory.value, memory.mask))
        parts = fold((state.score, state.window, state.normalizer))
        position = state.position.repeat_interleave(self.num_heads)
        output, after = self.attention.look(
            self._project_query(query, state.position),
            Memory(*fold(shared)),
            AttentionState(position, *parts),
            need_weights,
        )
        parts = unfold((after.score, after.window, after.normalizer), self.num_heads)
        return self._join(output, query), AttentionState(state.position + query.shape[1], *parts)

    def start(self, memory: HeadsMemory) -> AttentionState:
        """The same with the states of all parts; see `Attention.start`."""
        shared = map_tensors(self.share, (memory.key, memory.value, memory.mask))
        begun = self.attention.start(Memory(*fold(shared)))
        parts = unfold((begun.score, begun.window, begun.normalizer), self.num_heads)
        return AttentionState(self.begin(memory).position, *parts)

    def _remember(self, key: Tensor, value: Tensor | None, mask: Tensor | None, position: int) -> Memory:
        value = self.check_pair(key, value)
        check_mask(mask, key.shape[0], 1, key.shape[1])
        if mask is not None:
            mask = mask.expand(key.shape[0], 1, key.shape[1])
            key, value = hide(key, mask.squeeze(1)), hide(value, mask.squeeze(1))
            mask = mask.repeat_interleave(self.num_kv_heads, 0)
        keys, values = self._project(key, value, position)
        return self.attention.remember(fold(keys), fold(values), mask)

    def _unfold(self, memory: Memory) -> HeadsMemory:
        return HeadsMemory(*unfold((memory.key, memory.value, memory.mask), self.num_kv_heads))

    def _project(self, key: Tensor, value: Tensor, position: int) -> tuple[Tensor, Tensor]:
        keys, values = self.project_pair(key, value)
        return keys if self.transform is None else self.transform.key(keys, position), values

    def _project_query(self, query: Tensor, position: Tensor | int) -> Tensor:
        queries = split_heads(self.query_proj(query), self.num_heads)
        return fold(queries if self.transform is None else self.transform.query(queries, position))

    def _join(self, output: AttentionOutput, query: Tensor) -> AttentionOutput:
        weights = None if output.weights is None else unfold(output.weights, self.num_heads)
        contexts = join_heads(unfold(output.context, self.num_heads))
        if self.finish is not None:
            contexts = self.finish(contexts, query)
        return AttentionOutput(self.output_proj(contexts), weights)
