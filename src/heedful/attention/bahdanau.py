"""Bahdanau attention: the additive score, everywhere, softmax (Bahdanau, Cho and Bengio 2015, section 3.1)."""

from .base import Attention
from .scores import AdditiveScore, NormalizedAdditiveScore
from .source import BAHDANAU_2015, SALIMANS_2016, mechanism


@mechanism(BAHDANAU_2015(place="section 3.1, appendix A.1.2"))
def BahdanauAttention(query_dim: int, key_dim: int, hidden_dim: int, bias: bool = False) -> Attention:  # noqa: N802
    """Additive attention: softmax over the keys of `energy . tanh(W query + U key)`.

    Args:
        query_dim: features of a query (a decoder state).
        key_dim: features of a key (an encoder output).
        hidden_dim: features of the tanh layer.
        bias: add a bias inside the tanh.

    Cost: time queries * keys * hidden_dim; memory (queries + keys) * hidden_dim, and queries * keys for weights.

    Raises:
        ValueError: a size is not positive.

    >>> import torch
    >>> attention = BahdanauAttention(query_dim=4, key_dim=5, hidden_dim=7)
    >>> attention(torch.ones(2, 3, 4), torch.ones(2, 6, 5)).context.shape
    torch.Size([2, 3, 5])
    """
    return Attention(AdditiveScore(query_dim, key_dim, hidden_dim, bias))


@mechanism(SALIMANS_2016(place="equation 2"))
def NormedBahdanauAttention(query_dim: int, key_dim: int, hidden_dim: int) -> Attention:  # noqa: N802
    """Additive attention whose energy is weight-normalised: `g energy / ||energy|| . tanh(W query + U key + b)`.

    The paper is that of weight normalisation; for attention it is an addition of tensorflow/nmt ("normed Bahdanau").

    Args:
        query_dim: features of a query.
        key_dim: features of a key.
        hidden_dim: features of the tanh layer.

    Cost: time queries * keys * hidden_dim; memory (queries + keys) * hidden_dim, and queries * keys for weights.

    Raises:
        ValueError: a size is not positive.

    >>> import torch
    >>> attention = NormedBahdanauAttention(query_dim=4, key_dim=5, hidden_dim=7)
    >>> attention(torch.ones(2, 3, 4), torch.ones(2, 6, 5)).context.shape
    torch.Size([2, 3, 5])
    """
    return Attention(NormalizedAdditiveScore(query_dim, key_dim, hidden_dim))
