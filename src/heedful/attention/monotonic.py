"""Attention that only moves forward, over the normed additive score with an offset (Raffel 2017; He 2019)."""

from .base import Attention
from .normalizers import MonotonicNormalizer, StepwiseNormalizer
from .scores import NormalizedAdditiveScore
from .source import HE_2019, RAFFEL_2017, mechanism


@mechanism(RAFFEL_2017(place="section 2.4, equations 9 to 14"))
def MonotonicAttention(  # noqa: N802
    query_dim: int, key_dim: int, hidden_dim: int, offset: float = -1.0, noise: float = 1.0, hard: bool = True
) -> Attention:
    """Stop at key `j` with chance `sigmoid(g energy / ||energy|| . tanh(W query + U key + b) + r)`, or go on.

    Each query begins at the key where the one before it stopped: the expectation in training mode, one key at most in
    evaluation mode. The queries are scanned one by one. The paper's other score, a scaled product with an offset:
    `Attention(ScaledDotScore(dim, learned=True, offset=-1.0), normalizer=MonotonicNormalizer())`.

    Args:
        query_dim: features of a query (a decoder state).
        key_dim: features of a key (an encoder output).
        hidden_dim: features of the tanh layer.
        offset: first value of the learned `r`; the longer the memories, the lower (-4 in the paper for speech).
        noise: standard deviation of the noise on the scores, in training mode only.
        hard: choose one key in evaluation mode; otherwise the expectation.

    State: the last weights; in evaluation the place of the last stop.

    Cost: time queries * keys * hidden_dim; in evaluation queries + keys scores; memory keys * hidden_dim, and
    queries * keys.

    Raises:
        ValueError: a size is not positive, or the noise is negative.

    >>> import torch
    >>> attention = MonotonicAttention(query_dim=4, key_dim=5, hidden_dim=7)
    >>> attention(torch.ones(2, 3, 4), torch.ones(2, 6, 5)).context.shape
    torch.Size([2, 3, 5])
    """
    score = NormalizedAdditiveScore(query_dim, key_dim, hidden_dim, offset)
    return Attention(score, normalizer=MonotonicNormalizer(noise, hard))


@mechanism(HE_2019(place="equation 8"))
def StepwiseAttention(  # noqa: N802
    query_dim: int,
    key_dim: int,
    hidden_dim: int,
    offset: float = 0.0,
    noise: float = 2.0,
    hard: bool = True,
    absorb: bool = False,
) -> Attention:
    """Stay at a key with chance `sigmoid(g energy / ||energy|| . tanh(W query + U key + b) + r)`, or move on by one.

    The expectation in training mode, one key in evaluation mode. The queries are scanned one by one. The paper has
    location-sensitive scores: `Attention(LocationSensitiveScore(..), normalizer=StepwiseNormalizer())`.

    Args:
        query_dim: features of a query (a decoder state).
        key_dim: features of a key (an encoder output).
        hidden_dim: features of the tanh layer.
        offset: first value of the learned `r`; the more queries to a key, the higher.
        noise: standard deviation of the noise on the scores, in training mode only.
        hard: choose one key in evaluation mode; otherwise the expectation.
        absorb: keep at the last visible key what would leave it; not in the paper.

    State: the last weights; in evaluation the last place.

    Cost: time queries * keys * hidden_dim, one query after another; memory keys * hidden_dim, and queries * keys.

    Raises:
        ValueError: a size is not positive, or the noise is negative.

    >>> import torch
    >>> attention = StepwiseAttention(query_dim=4, key_dim=5, hidden_dim=7)
    >>> attention(torch.ones(2, 3, 4), torch.ones(2, 6, 5)).context.shape
    torch.Size([2, 3, 5])
    """
    score = NormalizedAdditiveScore(query_dim, key_dim, hidden_dim, offset)
    return Attention(score, normalizer=StepwiseNormalizer(noise, hard, absorb))
