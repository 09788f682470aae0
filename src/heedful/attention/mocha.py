"""Monotonic stops with a soft look back, over a chunk (Chiu and Raffel 2018) or to the start (Arivazhagan 2019)."""

from .base import Attention
from .normalizers import ChunkwiseNormalizer
from .scores import NormalizedAdditiveScore, PairedScore
from .source import ARIVAZHAGAN_2019, CHIU_2018, mechanism


@mechanism(CHIU_2018(place="section 2.3, equations 14 to 26"))
def MochaAttention(  # noqa: N802
    query_dim: int,
    key_dim: int,
    hidden_dim: int,
    width: int | None = 2,
    offset: float = -1.0,
    noise: float = 1.0,
    hard: bool = True,
) -> Attention:
    """Stop as `MonotonicAttention` does, then attend softly over the `width` keys that end at the stop.

    Two normed additive scores: log-odds of stopping with an offset, and a second one for the chunk. Training reads the
    expectation over stops, computed for all keys at once; evaluation stops at one key, in linear time. The queries are
    scanned one by one.

    Args:
        query_dim: features of a query (a decoder state).
        key_dim: features of a key (an encoder output).
        hidden_dim: features of each tanh layer.
        width: keys of a chunk (2 for speech, 8 for summaries in the paper); `None` for all up to the stop.
        offset: first value of the learned offset of the log-odds; the longer the memories, the lower.
        noise: standard deviation of the noise on the log-odds, in training mode only.
        hard: stop at one key in evaluation mode; otherwise the expectation.

    State: the last chances to stop; in evaluation the place of the last stop.

    Cost: time queries * keys * (hidden_dim + width); in evaluation queries * width + keys scores; memory queries *
    keys * width.

    Raises:
        ValueError: a size is not positive, or the noise is negative.

    >>> import torch
    >>> attention = MochaAttention(query_dim=4, key_dim=5, hidden_dim=7)
    >>> attention(torch.ones(2, 3, 4), torch.ones(2, 6, 5)).context.shape
    torch.Size([2, 3, 5])
    """
    stop = NormalizedAdditiveScore(query_dim, key_dim, hidden_dim, offset)
    chunk = NormalizedAdditiveScore(query_dim, key_dim, hidden_dim)
    return Attention(PairedScore(stop, chunk), normalizer=ChunkwiseNormalizer(width, noise, hard))


@mechanism(ARIVAZHAGAN_2019(place="section 3"))
def MilkAttention(  # noqa: N802
    query_dim: int, key_dim: int, hidden_dim: int, offset: float = -1.0, noise: float = 1.0, hard: bool = True
) -> Attention:
    """Monotonic infinite lookback: stop as `MonotonicAttention` does, then attend softly over all keys up to the stop.

    `MochaAttention` with `width=None`; the queries are scanned one by one. Train it with
    `heedful.training.latency_loss` of the stops, or it learns to wait for the end.

    Args:
        query_dim: features of a query (a decoder state).
        key_dim: features of a key (an encoder output).
        hidden_dim: features of each tanh layer.
        offset: first value of the learned offset of the log-odds; the longer the memories, the lower.
        noise: standard deviation of the noise on the log-odds, in training mode only.
        hard: stop at one key in evaluation mode; otherwise the expectation.

    State: the last chances to stop.

    Cost: time queries * keys^2 at most; memory queries * keys^2 at most.

    Raises:
        ValueError: a size is not positive, or the noise is negative.

    >>> import torch
    >>> attention = MilkAttention(query_dim=4, key_dim=5, hidden_dim=7)
    >>> attention(torch.ones(2, 3, 4), torch.ones(2, 6, 5)).context.shape
    torch.Size([2, 3, 5])
    """
    return MochaAttention(query_dim, key_dim, hidden_dim, None, offset, noise, hard)
