"""Forward attention: location-sensitive score, alignments that stay or advance by one (Zhang, Ling and Dai 2018)."""

from .base import Attention
from .normalizers import ForwardNormalizer, ForwardTransitionNormalizer
from .scores import LocationSensitiveScore, TransitionScore
from .source import ZHANG_2018, mechanism


@mechanism(ZHANG_2018(place="algorithm 1"))
def ForwardAttention(  # noqa: N802
    query_dim: int, key_dim: int, hidden_dim: int, filters: int = 10, width: int = 31
) -> Attention:
    """Weights `~ (last[n] + last[n - 1]) exp(energy . tanh(W query + V key + U f + b))`, f a convolution of the last.

    A query reaches one key further than the one before it: a target shorter than the memory does not see its end. The
    queries are scanned one by one. Number and width of the filters are not the paper's.

    Args:
        query_dim: features of a query (a decoder state).
        key_dim: features of a key (an encoder output).
        hidden_dim: features of the tanh layer.
        filters: features f of each key's neighbourhood.
        width: keys that the convolution sees at once; odd.

    State: the last weights.

    Cost: time queries * keys * hidden_dim, one query after another; memory keys * hidden_dim, and queries * keys.

    Raises:
        ValueError: a size is not positive, or `width` is even.

    >>> import torch
    >>> ForwardAttention(query_dim=4, key_dim=5, hidden_dim=7)(torch.ones(2, 3, 4), torch.ones(2, 6, 5)).context.shape
    torch.Size([2, 3, 5])
    """
    return Attention(
        LocationSensitiveScore(query_dim, key_dim, hidden_dim, filters, width), normalizer=ForwardNormalizer()
    )


@mechanism(ZHANG_2018(place="algorithm 2"))
def ForwardTransitionAttention(  # noqa: N802
    query_dim: int, key_dim: int, hidden_dim: int, filters: int = 10, width: int = 31, speed: float = 0.0
) -> Attention:
    """`ForwardAttention` with a transition agent: `~ ((1 - u) last[n] + u last[n - 1]) exp(score[n])`, u learned.

    The chance u to move on is `sigmoid(w . [last context; last query] + b)`. The queries are scanned one by one.

    Args:
        query_dim: features of a query (a decoder state).
        key_dim: features of a key (an encoder output).
        hidden_dim: features of the tanh layer.
        filters: features of each key's neighbourhood.
        width: keys that the convolution sees at once; odd.
        speed: added to the log-odds of u in evaluation mode: above 0 it reads faster, below 0 slower.

    State: the last weights and the chance to move on.

    Cost: time queries * keys * hidden_dim, one query after another; memory keys * hidden_dim, and queries * keys.

    Raises:
        ValueError: a size is not positive, `width` is even, or `speed` not finite.

    >>> import torch
    >>> attention = ForwardTransitionAttention(query_dim=4, key_dim=5, hidden_dim=7)
    >>> attention(torch.ones(2, 3, 4), torch.ones(2, 6, 5)).context.shape
    torch.Size([2, 3, 5])
    """
    score = LocationSensitiveScore(query_dim, key_dim, hidden_dim, filters, width)
    return Attention(TransitionScore(score), normalizer=ForwardTransitionNormalizer(speed))
