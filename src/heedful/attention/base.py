"""Attention = score + window + normaliser + read.

scores -> add bias -> hide -> normalise -> gain -> dropout -> weighted sum of the values. The mask comes after every
transform of the scores; the weights handed out are those before dropout.
"""

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from heedful import _refusals
from heedful.functional import check_mask, hide, widen
from heedful.layers.dropout import Dropout

from .chosen_keys import choose_keys, read_chosen, spread
from .composition import check_parts, wrong_key
from .contract import (
    AttentionLayer,
    AttentionOutput,
    AttentionState,
    Memory,
    check_key,
    check_query,
    check_state,
    check_value,
)
from .memory import full_mask, join_memories
from .normalizers import Normalizer, SoftmaxNormalizer
from .scores import Score
from .windows import EverywhereWindow, View, Window

# memories longer than this are scored piece by piece, where the normaliser allows it
_LONG = 64


class Attention(AttentionLayer):
    """Any score, any window, any normaliser, behind one interface.

    Args:
        score: how alike query and key are.
        window: which keys a query may see besides the mask; every one by default.
        normalizer: scores to weights; softmax by default.
        dropout: share of the weights that is dropped in training (the weights returned are those before).

    Raises:
        ValueError: parts that do not compose: a window with a gain and a normaliser that chooses one key, bounded
            scores where log-odds are read, scores that are no logarithms where these are, fewer or more scores of each
            key than the normaliser reads, a window for queries of another size, or dropout beside one that refuses it;
            a part that is none (a TypeError, too); or, in a call, a shape does not fit, the mask is not boolean or
            another tensor not of floating point (both a TypeError, too); the message names what came, what was
            expected and the way out.

    >>> from heedful.attention.scores import DotScore
    >>> attention = Attention(DotScore(4))
    >>> output = attention(torch.ones(2, 3, 4), torch.ones(2, 5, 4), need_weights=True)
    >>> output.context.shape, output.weights.shape
    (torch.Size([2, 3, 4]), torch.Size([2, 3, 5]))
    """

    def __init__(
        self, score: Score, window: Window | None = None, normalizer: Normalizer | None = None, dropout: float = 0.0
    ) -> None:
        super().__init__()
        _refusals.check_numbers(dropout=dropout)
        if not 0 <= dropout < 1:
            raise _refusals.no_share(dropout)
        _refusals.check_part("score", score, Score, "DotScore(64)")
        self.query_dim, self.key_dim, self.context_dim = score.query_dim, score.key_dim, score.key_dim
        self.score = score
        self.window = EverywhereWindow() if window is None else window
        self.normalizer = SoftmaxNormalizer() if normalizer is None else normalizer
        self.dropout = Dropout(dropout)
        check_parts(self.score, self.window, self.normalizer, dropout)

    @property
    def stateful(self) -> bool:
        """Whether one query's weights depend on the queries before it."""
        return any(part.stateful for part in (self.score, self.window, self.normalizer))

    @property
    def begins_by_window(self) -> bool:
        """Whether the state before the first query depends on which keys the window shows to it."""
        moves = self.normalizer.stateful and self.normalizer.begins_by_mask
        return moves and not isinstance(self.window, EverywhereWindow)

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        key: Float[Tensor, "batch keys key_dim"],
        value: Float[Tensor, "batch keys value_dim"] | None = None,
        mask: Bool[Tensor, "#batch #queries #keys"] | None = None,
        need_weights: bool = False,
    ) -> AttentionOutput:
        self._check_pair(key, value)
        check_query(query, key.shape[0], self.query_dim, type(self.score).__name__)
        check_mask(mask, query.shape[0], query.shape[1], key.shape[1])
        memory = self._prepare(key, value, mask)
        state = self.begin(memory, self.first_position(query.shape[1], key.shape[1]))
        run = self.scan if self.stateful else self._look
        return run(query, memory, mask, state, need_weights)[0]

    def remember(
        self,
        key: Float[Tensor, "batch keys key_dim"],
        value: Float[Tensor, "batch keys value_dim"] | None = None,
        mask: Bool[Tensor, "#batch 1 #keys"] | None = None,
    ) -> Memory:
        self._check_pair(key, value)
        check_mask(mask, key.shape[0], 1, key.shape[1])
        memory = self._prepare(key, value, mask)
        kept, ready = self.score.keep(memory.key, memory.value)
        # they may be cast for the fused path, which alone gives their type back
        biased = self.window.biases or self.window.scales
        return Memory(kept, ready if self._wants_fusing() and not biased else memory.value, memory.mask)

    def extend(
        self,
        memory: Memory,
        key: Float[Tensor, "batch more key_dim"],
        value: Float[Tensor, "batch more value_dim"] | None = None,
        mask: Bool[Tensor, "#batch 1 #more"] | None = None,
    ) -> Memory:
        self.check_memory(memory)
        return self.join(memory, self.remember(key, value, mask))

    def join(self, memory: Memory, more: Memory) -> Memory:
        """Two memories as one, the keys of the second behind those of the first."""
        return join_memories(memory, more)

    def look(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        memory: Memory,
        state: AttentionState | None = None,
        need_weights: bool = False,
    ) -> tuple[AttentionOutput, AttentionState]:
        self.check_memory(memory)
        check_query(query, memory.value.shape[0], self.query_dim, type(self.score).__name__)
        check_state(state, query.shape[0])
        state = self.begin(memory) if state is None else state
        if self.stateful and query.shape[1] != 1:
            return self.scan(query, memory, memory.mask, state, need_weights)
        return self._look(query, memory, memory.mask, state, need_weights)

    def start(self, memory: Memory) -> AttentionState:
        """The state before the first query, with those of all parts, as graphs need it; `begin` leaves these out.

        Args:
            memory: what will be looked at.

        Raises:
            ValueError: what the first query sees depends on a window, so that nothing is known before it.
        """
        if self.begins_by_window:
            raise ValueError(
                f"what the first query sees depends on {type(self.window).__name__}; leave the state out at the first "
                "step."
            )
        visible = full_mask(memory.mask, memory.value).squeeze(1)
        return replace(
            self.begin(memory),
            score=self.score.begin(memory.key),
            window=self.window.begin(visible.sum(1)),
            normalizer=self.normalizer.begin(visible, widen(memory.value).dtype),
        )

    def _prepare(self, key: Tensor, value: Tensor | None, mask: Tensor | None) -> Memory:
        value = key if value is None else value
        if mask is None:
            return Memory(self.score.remember(key), value, None)
        visible = full_mask(mask.any(1, keepdim=True), value)
        hidden_value = hide(value, visible.squeeze(1))
        hidden_key = hidden_value if key is value else hide(key, visible.squeeze(1))
        return Memory(self.score.remember(hidden_key), hidden_value, visible)

    def first_position(self, queries: int, keys: int) -> int:
        """Place of the first of so many queries in one call over so many keys, as the window wants it."""
        return max(keys - queries, 0) if self.window.aligned_to_end else 0

    def _look(
        self, query: Tensor, memory: Memory, mask: Tensor | None, state: AttentionState, need_weights: bool
    ) -> tuple[AttentionOutput, AttentionState]:
        if self._can_choose(memory):
            return self._choose(query, memory, mask, state, need_weights)
        view, window_state = self._view(query, memory, state)
        if view.mask is not None:
            mask = view.mask if mask is None else mask & view.mask
        if self._can_fuse(view, need_weights):
            output = AttentionOutput(*self.score.attend(query, memory.key, memory.value, mask, need_weights))
            return output, self._next(state, query, state.score, window_state, state.normalizer)
        scores, score_state = self.score(query, memory.key, state.score)
        scores = widen(scores)
        if view.bias is not None:
            scores = scores + view.bias
        weights, normalizer_state = self.normalizer(scores, mask, state.normalizer)
        if view.gain is not None:
            weights = weights * view.gain
        score_state = self.score.update(score_state, weights)
        window_state = self.window.update(window_state, weights)
        weights = weights.to(memory.value.dtype)
        context = self._read(self.dropout(weights), memory.value, state)
        output = AttentionOutput(context, weights if need_weights else None)
        return output, self._next(state, query, score_state, window_state, normalizer_state)

    def _read(self, weights: Tensor, value: Tensor, state: AttentionState) -> Tensor:
        context = torch.einsum("bqk,bkv->bqv", weights, value)
        added = self.window.read(widen(weights), self._positions(weights, state)) if self.window.reads else None
        if added is None:
            return context
        if added.shape[2] != value.shape[2]:
            raise _refusals.other_features("value", value.shape[2], type(self.window).__name__, added.shape[2])
        return (widen(context) + added).to(context.dtype)

    @staticmethod
    def _positions(query: Tensor, state: AttentionState) -> Tensor:
        return state.position.unsqueeze(1) + torch.arange(query.shape[1], device=query.device)

    def _view(self, query: Tensor, memory: Memory, state: AttentionState) -> tuple[View, Any]:
        if isinstance(self.window, EverywhereWindow):
            # the common case, and it needs neither lengths nor positions
            return View(), state.window
        keys = memory.value.shape[1]
        lengths = full_mask(memory.mask, memory.value).sum((1, 2))
        return self.window(query, self._positions(query, state), lengths, keys, state.window)

    def _can_fuse(self, view: View, need_weights: bool) -> bool:
        """Whether nothing but a plain softmax is wanted, so that no scores need to be held."""
        able = self.score.weighs if need_weights else self.score.fused
        return able and self._wants_fusing() and view.bias is None and view.gain is None

    def _wants_fusing(self) -> bool:
        """Whether a plain softmax is wanted, as far as that is known before the window says its bias and gain."""
        # such a window needs the weights
        needed = self.window.stateful or self.window.reads or (self.training and self.dropout.p > 0)
        return self.score.fused and self.normalizer.is_plain_softmax and not needed

    def _can_choose(self, memory: Memory) -> bool:
        """Whether the memory is long, and the normaliser needs the scores of a few of its keys only."""
        able = self.normalizer.online and not self.score.stateful and isinstance(self.window, EverywhereWindow)
        # how many keys are scored depends on the scores, which a traced graph cannot express
        return able and not torch.compiler.is_compiling() and memory.value.shape[1] > _LONG

    def _choose(
        self, query: Tensor, memory: Memory, mask: Tensor | None, state: AttentionState, need_weights: bool
    ) -> tuple[AttentionOutput, AttentionState]:
        visible = full_mask(mask, memory.value).squeeze(1)
        places, weights, after = choose_keys(self.score, self.normalizer, query, memory, visible, state.normalizer)
        context = read_chosen(self.dropout(weights), memory.value, places)
        whole = spread(weights, places, memory.value.shape[1]) if need_weights else None
        return AttentionOutput(context, whole), self._next(state, query, state.score, state.window, after)

    @staticmethod
    def _next(state: AttentionState, query: Tensor, score: Any, window: Any, normalizer: Any) -> AttentionState:
        return replace(
            state, position=state.position + query.shape[1], score=score, window=window, normalizer=normalizer
        )

    def scan(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        memory: Memory,
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        state: AttentionState,
        need_weights: bool = False,
    ) -> tuple[AttentionOutput, AttentionState]:
        """Look with query after query, as parts must whose weights depend on the queries before; `look` checks first.

        An exported graph puts its own loop in place of this one.

        Args:
            query: `[batch, queries, query_dim]`.
            memory: what `remember` returned.
            mask: `[batch or 1, queries or 1, keys or 1]`, True = may look, in place of the memory's own.
            state: the place of the first query.
            need_weights: return the weights, `[batch, queries, keys]`, too.

        >>> from heedful.attention.normalizers import MonotonicNormalizer
        >>> from heedful.attention.scores import DotScore
        >>> attention = Attention(DotScore(4), normalizer=MonotonicNormalizer())
        >>> memory = attention.remember(torch.randn(2, 5, 4))
        >>> output, state = attention.scan(torch.randn(2, 3, 4), memory, None, attention.begin(memory), True)
        >>> output.weights.shape, state.position.tolist()
        (torch.Size([2, 3, 5]), [3, 3])
        """
        batch, keys, _ = memory.value.shape
        contexts, weights = [memory.value[:, :0]], [memory.value.new_empty(batch, 0, keys)]
        for index in range(query.shape[1]):
            row = mask if mask is None or mask.shape[1] == 1 else mask[:, index : index + 1]
            output, state = self._look(query[:, index : index + 1], memory, row, state, need_weights)
            contexts.append(output.context)
            if output.weights is not None:
                weights.append(output.weights)
        return AttentionOutput(torch.cat(contexts, 1), torch.cat(weights, 1) if need_weights else None), state

    def _check_pair(self, key: Tensor, value: Tensor | None) -> None:
        if isinstance(key, Tensor) and key.dim() == 3 and key.shape[2] != self.key_dim:
            raise wrong_key(self.score, key.shape[2])
        check_key(key, self.key_dim, type(self.score).__name__)
        if value is not None:
            check_value(value, key)
