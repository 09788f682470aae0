"""Location-sensitive attention (Chorowski et al. 2015, section 2.2; with the running sum, Shen et al. 2018)."""

from .base import Attention
from .normalizers import Normalizer
from .scores import LocationSensitiveScore
from .source import CHOROWSKI_2015, SHEN_2018, mechanism
from .windows import Window


@mechanism(CHOROWSKI_2015(place="section 2.2"))
def ChorowskiAttention(  # noqa: N802
    query_dim: int,
    key_dim: int,
    hidden_dim: int,
    filters: int = 10,
    width: int = 201,
    window: Window | None = None,
    normalizer: Normalizer | None = None,
) -> Attention:
    """Softmax of `energy . tanh(W query + V key + U f + b)`, f a convolution of the weights of the query before.

    The queries are scanned one by one. For long inputs the paper has, in section 2.3, three ways to keep to the keys
    that matter: `AttentionWindow` while decoding, a softmax with a temperature below 1, and `SmoothedNormalizer` where
    many keys matter.

    Args:
        query_dim: features of a query (a decoder state).
        key_dim: features of a key (an encoder output).
        hidden_dim: features of the tanh layer.
        filters: features f of each key's neighbourhood.
        width: keys that the convolution sees at once; odd.
        window: which keys a query sees; every one when left out.
        normalizer: scores to weights; softmax when left out.

    State: the last weights.

    Cost: time queries * keys * (hidden_dim + filters * width), one query after another; memory keys * hidden_dim,
    and queries * keys.

    Raises:
        ValueError: a size is not positive, or `width` is even.

    >>> import torch
    >>> ChorowskiAttention(query_dim=4, key_dim=5, hidden_dim=7)(torch.ones(2, 3, 4), torch.ones(2, 6, 5)).context.shape
    torch.Size([2, 3, 5])
    """
    return Attention(LocationSensitiveScore(query_dim, key_dim, hidden_dim, filters, width), window, normalizer)


@mechanism(SHEN_2018(place="section 2.2"))
def TacotronAttention(  # noqa: N802
    query_dim: int, key_dim: int, hidden_dim: int = 128, filters: int = 32, width: int = 31
) -> Attention:
    """Softmax of `energy . tanh(W query + V key + U f + b)`, f a convolution of the last weights and of their sum.

    The queries are scanned one by one.

    Args:
        query_dim: features of a query (a decoder state).
        key_dim: features of a key (an encoder output).
        hidden_dim: features of the tanh layer.
        filters: features f of each key's neighbourhood.
        width: keys that the convolution sees at once; odd.

    State: the last weights and their sum.

    Cost: time queries * keys * (hidden_dim + filters * width), one query after another; memory keys * hidden_dim,
    and queries * keys.

    Raises:
        ValueError: a size is not positive, or `width` is even.

    >>> import torch
    >>> TacotronAttention(query_dim=4, key_dim=5)(torch.ones(2, 3, 4), torch.ones(2, 6, 5)).context.shape
    torch.Size([2, 3, 5])
    """
    return Attention(LocationSensitiveScore(query_dim, key_dim, hidden_dim, filters, width, "previous_and_total"))
