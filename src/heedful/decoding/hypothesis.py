"""What a search returns for one sentence: a hypothesis, and the score that ranks it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Hypothesis:
    """One output of a search.

    Attributes:
        tokens: the ids said, without BOS and EOS.
        log_probs: natural logarithm of the probability the model gave each token, in order; the last one is that of EOS
            if `finished`. They are the model's own: no constraint, penalty, temperature or truncation changes them.
        score: what ranks it, whatever the method: `sum(log_probs) / length_norm(len(log_probs), length penalty)`, less
            what the penalty for coverage takes. With a penalty for repetition the sum is of the log-probabilities as
            that penalty leaves them.
        weights: `[len(tokens), source_len]`, what the model looked at when it said each token, the mean of its heads,
            on the CPU, without the padding of the batch; None unless asked for, or where the model has no attention.
        heads: `[layers, heads, len(tokens), source_len]`, the same of every layer and head, one tensor for each model
            of an ensemble that has attention; empty unless asked for. A recurrent model has one of each.
        finished: whether the model ended by EOS; False if the maximum length, or a dead end, cut it off.

    >>> Hypothesis(tokens=[7, 5], log_probs=[-0.5, -1.0, -0.25], score=-1.75).finished
    True
    """

    tokens: list[int]
    log_probs: list[float]
    score: float
    weights: Tensor | None = field(default=None, compare=False)
    finished: bool = True
    heads: tuple[Tensor, ...] = field(default=(), compare=False)


def length_norm(length: int | Tensor, length_penalty: float) -> Any:
    """`((5 + length) / 6) ** length_penalty`, by which a sum of log-probabilities is divided (Wu et al. 2016, eq. 14).

    >>> length_norm(7, 1.0)
    2.0
    """
    return ((5 + length) / 6) ** length_penalty


def score_of(log_probs: Sequence[float], length_penalty: float) -> float:
    """The score of a hypothesis; higher is better.

    >>> score_of([-1.0, -2.0, -0.5, -0.5, -1.0, -0.5, -0.5], 1.0)
    -3.0
    """
    return math.fsum(log_probs) / length_norm(len(log_probs), length_penalty)
