"""Transition agent: beside a score, the log-odds that the alignment moves on (Zhang, Ling and Dai 2018)."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import linear, pad

from heedful import _refusals
from heedful._pytree import register_pytree
from heedful.attention.source import ZHANG_2018
from heedful.functional import widen

from .base import Score


@register_pytree
@dataclass(frozen=True)
class TransitionState:
    """What the agent sees at the next query: this one, and the weights it got; and the inner score's own state.

    Attributes:
        score: state of the score that is beside.
        query: `[batch, 1, query_dim]`, zeros to begin.
        weights: `[batch, 1, keys]`, zeros to begin; of a query that was only scored so far, those before it.
        asked: `[batch]`, whether there was a query.
    """

    score: Any
    query: Float[Tensor, "batch 1 query_dim"]
    weights: Float[Tensor, "batch 1 keys"]
    asked: Bool[Tensor, " batch"]


class TransitionScore(Score):
    """`scores[0] = score(query, key)`, `scores[1, k] = w . [last context; last query] + b`, log-odds of moving on.

    For `ForwardTransitionNormalizer`, which begins with a chance of one half: the first query has none before it. The
    context here is read from the keys, which in an encoder-decoder are the values. In the paper the agent has a hidden
    layer and sees the last output, too; that it is one linear map is what implementations do.
    One query at a time: a call over many scans them.

    Args:
        score: how alike query and key are.

    Parameters: those of the score, under `score`, `agent [1, key_dim + query_dim]` Glorot uniform, `bias [1]`, 0.

    State: `TransitionState`: the last query and its weights, and the state of the score.

    Cost: time that of its score; memory queries * keys.

    Raises:
        ValueError: the score gives more than one score of each key.

    >>> from heedful.attention.scores import DotScore
    >>> score = TransitionScore(DotScore(4))
    >>> score(torch.ones(2, 1, 4), score.remember(torch.ones(2, 7, 4)))[0].shape
    torch.Size([2, 2, 7])
    """

    source = ZHANG_2018(place="algorithm 2")
    stateful = True
    energies = 2

    def __init__(self, score: Score) -> None:
        _refusals.check_part("score", score, Score, "DotScore(64)")
        super().__init__(score.query_dim, score.key_dim)
        if score.energies != 1:
            raise _refusals.no_part_of_a_pair(type(score).__name__)
        self.score = score
        self.agent = nn.Parameter(torch.empty(1, score.key_dim + score.query_dim))
        self.bias = nn.Parameter(torch.zeros(1))
        nn.init.xavier_uniform_(self.agent)

    def remember(self, key: Float[Tensor, "batch keys key_dim"]) -> tuple[Any, Float[Tensor, "batch keys key_dim"]]:
        """What the score remembers, and the keys, from which contexts are read."""
        return self.score.remember(key), key

    def keep(
        self, key: tuple[Any, Tensor], value: Float[Tensor, "batch keys value_dim"]
    ) -> tuple[tuple[Any, Tensor], Float[Tensor, "batch keys value_dim"]]:
        """What the score keeps, and the keys."""
        kept, value = self.score.keep(key[0], value)
        return (kept, key[1]), value

    def begin(self, key: tuple[Any, Float[Tensor, "batch keys key_dim"]]) -> TransitionState:
        """No query yet."""
        inner, keys = key
        query = keys.new_zeros(keys.shape[0], 1, self.query_dim)
        asked = torch.zeros(keys.shape[0], dtype=torch.bool, device=keys.device)
        return TransitionState(
            self.score.begin(inner), query, widen(keys.new_zeros(keys.shape[0], 1, keys.shape[1])), asked
        )

    def forward(
        self,
        query: Float[Tensor, "batch 1 query_dim"],
        key: tuple[Any, Float[Tensor, "batch keys key_dim"]],
        state: TransitionState | None = None,
    ) -> tuple[Float[Tensor, "batch 2 keys"], TransitionState]:
        state = self.begin(key) if state is None else state
        scores, inner = self.score(query, key[0], state.score)
        scores = widen(scores)
        weights = pad(state.weights, (0, key[1].shape[1] - state.weights.shape[2]))
        context = torch.einsum("bqk,bkv->bqv", weights.to(key[1].dtype), key[1])
        seen = torch.cat((context, state.query.to(context.dtype)), -1)
        moves = widen(linear(seen, self.agent, self.bias))
        # the first query has no other before it
        moves = torch.where(state.asked.view(-1, 1, 1), moves, 0).expand_as(scores)
        return torch.cat((scores, moves), 1), TransitionState(inner, query, weights, torch.ones_like(state.asked))

    def update(self, state: TransitionState, weights: Float[Tensor, "batch 1 keys"]) -> TransitionState:
        return replace(state, score=self.score.update(state.score, weights), weights=weights)
