"""Sine attention: the sine score, everywhere, softmax (heedful 2026)."""

from .base import Attention
from .scores import SineScore
from .source import HEEDFUL_2026, mechanism


@mechanism(HEEDFUL_2026(place="section 1"))
def SineAttention(query_dim: int, key_dim: int, hidden_dim: int, harmonics: int = 1) -> Attention:  # noqa: N802
    """Softmax of `energy . sin(W query + U key + b)`: additive attention at the price of dot-product attention.

    Args:
        query_dim: features of a query (a decoder state).
        key_dim: features of a key (an encoder output).
        hidden_dim: units of the sine layer.
        harmonics: sines of each unit.

    Cost: time queries * keys * 2 hidden_dim; memory (queries + keys) * hidden_dim, and queries * keys for weights.

    Raises:
        ValueError: a size is not positive.

    >>> import torch
    >>> SineAttention(query_dim=4, key_dim=5, hidden_dim=7)(torch.ones(2, 3, 4), torch.ones(2, 6, 5)).context.shape
    torch.Size([2, 3, 5])
    """
    return Attention(SineScore(query_dim, key_dim, hidden_dim, harmonics))
