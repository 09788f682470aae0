"""Coverage attention: the coverage score, everywhere, softmax (See, Liu and Manning 2017, section 2.3)."""

from .base import Attention
from .scores import CoverageScore
from .source import SEE_2017, mechanism


@mechanism(SEE_2017(place="section 2.3"))
def CoverageAttention(query_dim: int, key_dim: int, hidden_dim: int) -> Attention:  # noqa: N802
    """Softmax of `energy . tanh(W query + U key + w coverage + b)`, so that what was read often is known.

    The queries are scanned one by one.

    Args:
        query_dim: features of a query (a decoder state).
        key_dim: features of a key (an encoder output).
        hidden_dim: features of the tanh layer.

    Raises:
        ValueError: a size is not positive.

    >>> import torch
    >>> CoverageAttention(query_dim=4, key_dim=5, hidden_dim=7)(torch.ones(2, 3, 4), torch.ones(2, 6, 5)).context.shape
    torch.Size([2, 3, 5])
    """
    return Attention(CoverageScore(query_dim, key_dim, hidden_dim))
