"""Soft cap: another score, held within limits by tanh (Gemma Team 2024, section 2)."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from heedful import _refusals
from heedful.attention.source import GEMMA_2024
from heedful.functional import widen

from .base import Score


class SoftcapScore(Score):
    """`scores = cap tanh(inner / cap)`, `inner` the scores of another score: all stay between `-cap` and `cap`.

    Scores of minus infinity stay what they are, so that what they hide remains hidden.

    Args:
        score: the other score.
        cap: the limit; 50 in the paper.

    Parameters: those of the other score, under `score`; state and memory, too, are its own.

    Cost: time that of its score; memory queries * keys.

    Raises:
        ValueError: the cap is not a positive number, or the score is none (a TypeError, too).

    >>> from heedful.attention.scores import DotScore
    >>> SoftcapScore(DotScore(1), cap=2.0)(torch.ones(1, 1, 1), torch.tensor([[[0.1], [100.0]]]))[0]
    tensor([[[0.0999, 2.0000]]])
    """

    source = GEMMA_2024(place="section 2, logit soft-capping")

    def __init__(self, score: Score, cap: float = 50.0) -> None:
        _refusals.check_part("score", score, Score, "DotScore(64)")
        super().__init__(score.query_dim, score.key_dim)
        _refusals.check_numbers(cap=cap)
        if not 0 < cap < math.inf:
            raise ValueError(f"cap is {cap}; expected a number above 0. For no cap use the score as it is.")
        self.score, self.cap = score, cap
        self.stateful = score.stateful
        self.compares_directly = score.compares_directly
        self.bounded = score.bounded

    def remember(self, key: Float[Tensor, "batch keys key_dim"]) -> Any:
        """As the other score does."""
        return self.score.remember(key)

    def begin(self, key: Any) -> Any:
        """As the other score does."""
        return self.score.begin(key)

    def forward(
        self, query: Float[Tensor, "batch queries query_dim"], key: Any, state: Any = None
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        inner, state = self.score(query, key, state)
        wide = widen(inner)
        return torch.where(wide == -torch.inf, wide, self.cap * torch.tanh(wide / self.cap)), state

    def update(self, state: Any, weights: Float[Tensor, "batch queries keys"]) -> Any:
        """As the other score does."""
        return self.score.update(state, weights)
