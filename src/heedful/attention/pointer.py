"""Pointer networks: the weights over the keys are the answer (Vinyals, Fortunato and Jaitly 2015, section 2.3)."""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from heedful import _refusals
from heedful.functional import check_mask, masked_log_softmax, masked_softmax, widen

from .base import Attention
from .contract import Memory
from .scores import AdditiveScore
from .source import VINYALS_2015

# for pointing, and for the glimpses before it
PointerMemory = tuple[Memory, Any]


class PointerAttention(nn.Module):
    """`log p = log softmax over the keys of energy . tanh(W query + U key)`: the weights are the answer; no context.

    What is fed to a decoder's next step is the input that belongs to the key that was named. Keys that must not be
    named again are hidden by the mask of `point`.

    Args:
        query_dim: features of a query.
        key_dim: features of a key.
        hidden_dim: features of the tanh layer.
        glimpses: looks with additive attention of its own before it points, each with the context of the one before
            (Bello et al. 2017); they need queries and keys of one size.
        clip: scores become `clip * tanh(scores)`, so that no key is ever certain (10 in Bello et al. 2017).

    Parameters: those of `AdditiveScore`, under `pointing.score`; with glimpses the same again, under `glimpse.score`.

    Cost: time queries * keys * hidden_dim; memory (queries + keys) * hidden_dim, and queries * keys for weights.

    Raises:
        ValueError: a size or `clip` is not positive, `glimpses` is negative, or glimpses would change the size of the
            query.

    >>> pointer = PointerAttention(query_dim=4, key_dim=5, hidden_dim=7)
    >>> pointer(torch.ones(2, 3, 4), torch.ones(2, 6, 5)).exp().sum(-1).shape
    torch.Size([2, 3])
    """

    source = VINYALS_2015(place="section 2.3")
    kind = "layer"

    def __init__(
        self, query_dim: int, key_dim: int, hidden_dim: int, glimpses: int = 0, clip: float | None = None
    ) -> None:
        super().__init__()
        _refusals.check_sizes(0, glimpses=glimpses)
        if clip is not None:
            _refusals.check_numbers(clip=clip)
        if clip is not None and not clip > 0:
            raise ValueError(f"clip is {clip}; expected a number above 0, or None for scores as they are.")
        if glimpses and query_dim != key_dim:
            raise ValueError(
                f"a query has {query_dim} features and a key {key_dim}; a glimpse puts a sum of keys in the place of "
                "the query. Project one of them to the other's size, or leave glimpses at 0."
            )
        # an attention around the score checks and hides the keys
        self.pointing = Attention(AdditiveScore(query_dim, key_dim, hidden_dim))
        self.glimpse = Attention(AdditiveScore(query_dim, key_dim, hidden_dim)) if glimpses else None
        self.glimpses, self.clip = glimpses, clip

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        key: Float[Tensor, "batch keys key_dim"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None = None,
    ) -> Float[Tensor, "batch queries keys"]:
        """Log-probability of each key, minus infinity where hidden, float32 or wider.

        Args:
            query: `[batch, queries, query_dim]`.
            key: `[batch, keys, key_dim]`.
            mask: boolean, broadcasts to `[batch, queries, keys]`, True = may be named. A key hidden from every query
                may hold anything; a query that may name none has minus infinity everywhere, and no gradient.

        Raises:
            ValueError: a shape does not fit, or the mask is not boolean (a TypeError, too).
        """
        check_mask(mask, query.shape[0], query.shape[1], key.shape[1])
        return self.point(query, self.remember(key, None if mask is None else mask.any(1, keepdim=True)), mask)

    def remember(
        self, key: Float[Tensor, "batch keys key_dim"], mask: Bool[Tensor, "#batch 1 #keys"] | None = None
    ) -> PointerMemory:
        """Project the keys once, for many calls of `point`: for pointing, and for the glimpses.

        Args:
            key: `[batch, keys, key_dim]`.
            mask: `[batch, 1, keys]`, as `padding_mask` gives it.
        """
        glimpsed = None if self.glimpse is None else self.glimpse.remember(key, mask=mask)
        return self.pointing.remember(key, mask=mask), glimpsed

    def point(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        memory: PointerMemory,
        mask: Bool[Tensor, "#batch #queries #keys"] | None = None,
    ) -> Float[Tensor, "batch queries keys"]:
        """Log-probability of each key, minus infinity where hidden.

        Args:
            query: `[batch, queries, query_dim]`.
            memory: from `remember`.
            mask: what may be named this time, besides the mask of the memory: `~visited` for no key twice.
        """
        pointed, glimpsed = memory
        if query.dim() != 3:
            raise _refusals.not_three_axes("query", query.shape, "[batch, queries, features]")
        if query.shape[2] != self.pointing.query_dim:
            raise _refusals.other_features("query", query.shape[2], type(self).__name__, self.pointing.query_dim)
        check_mask(mask, query.shape[0], query.shape[1], pointed.value.shape[1])
        # without glimpses the loop is empty
        glimpse = self.glimpse or self.pointing
        for _ in range(self.glimpses):
            scores, visible = _scores(glimpse, query, glimpsed, mask)
            weights = masked_softmax(scores, visible).to(query.dtype)
            query = torch.einsum("bqk,bkv->bqv", weights, glimpsed.value.to(query.dtype))
        scores, visible = _scores(self.pointing, query, pointed, mask)
        return masked_log_softmax(scores if self.clip is None else self.clip * torch.tanh(scores), visible)


def _scores(attention: Attention, query: Tensor, memory: Memory, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Scores in float32 or wider, and what may be seen this time."""
    scores, _ = attention.score(query, memory.key)
    if mask is None or memory.mask is None:
        return widen(scores), memory.mask if mask is None else mask
    return widen(scores), mask & memory.mask
