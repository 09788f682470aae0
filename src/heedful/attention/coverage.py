"""Coverage attention: a coverage score, everywhere, softmax (See, Liu and Manning 2017; Tu et al. 2016)."""

from .base import Attention
from .scores import CoverageScore, LinguisticCoverageScore, NeuralCoverageScore
from .source import SEE_2017, TU_2016, mechanism


@mechanism(SEE_2017(place="section 2.3"))
def CoverageAttention(  # noqa: N802
    query_dim: int, key_dim: int, hidden_dim: int, coverage_enabled: bool = True
) -> Attention:
    """Softmax of `energy . tanh(W query + U key + w c + b)`, `c` the sum of the weights that each key received.

    The queries are scanned one by one.

    Args:
        query_dim: features of a query (a decoder state).
        key_dim: features of a key (an encoder output).
        hidden_dim: features of the tanh layer.
        coverage_enabled: read the coverage; the paper trains without it at first (`attention.score.coverage_enabled`
            turns it on).

    State: the sum of the weights.

    Cost: time queries * keys * hidden_dim, one query after another; memory keys * hidden_dim, and queries * keys.

    Raises:
        ValueError: a size is not positive.

    >>> import torch
    >>> CoverageAttention(query_dim=4, key_dim=5, hidden_dim=7)(torch.ones(2, 3, 4), torch.ones(2, 6, 5)).context.shape
    torch.Size([2, 3, 5])
    """
    return Attention(CoverageScore(query_dim, key_dim, hidden_dim, coverage_enabled))


@mechanism(TU_2016(place="section 3.1.1, linguistic coverage"))
def LinguisticCoverageAttention(query_dim: int, key_dim: int, hidden_dim: int) -> Attention:  # noqa: N802
    """Softmax of `energy . tanh(W query + U key + w c + b)`, `c` the weights received over a predicted fertility.

    The queries are scanned one by one.

    Args:
        query_dim: features of a query (a decoder state).
        key_dim: features of a key (an encoder output).
        hidden_dim: features of the tanh layer.

    State: the sum of the weights.

    Cost: time queries * keys * hidden_dim, one query after another; memory keys * hidden_dim, and queries * keys.

    Raises:
        ValueError: a size is not positive.

    >>> import torch
    >>> attention = LinguisticCoverageAttention(query_dim=4, key_dim=5, hidden_dim=7)
    >>> attention(torch.ones(2, 3, 4), torch.ones(2, 6, 5)).context.shape
    torch.Size([2, 3, 5])
    """
    return Attention(LinguisticCoverageScore(query_dim, key_dim, hidden_dim))


@mechanism(TU_2016(place="section 3.1.2, neural network based coverage"))
def NeuralCoverageAttention(query_dim: int, key_dim: int, hidden_dim: int) -> Attention:  # noqa: N802
    """Softmax of `energy . tanh(W query + U key + V c + b)`, `c` 10 features of each key, kept by a recurrent cell.

    The queries are scanned one by one.

    Args:
        query_dim: features of a query (a decoder state).
        key_dim: features of a key (an encoder output).
        hidden_dim: features of the tanh layer.

    State: what the cell keeps of each key.

    Cost: time queries * keys * (hidden_dim + 100), one query after another; memory keys * hidden_dim, and queries *
    keys.

    Raises:
        ValueError: a size is not positive.

    >>> import torch
    >>> attention = NeuralCoverageAttention(query_dim=4, key_dim=5, hidden_dim=7)
    >>> attention(torch.ones(2, 3, 4), torch.ones(2, 6, 5)).context.shape
    torch.Size([2, 3, 5])
    """
    return Attention(NeuralCoverageScore(query_dim, key_dim, hidden_dim))
