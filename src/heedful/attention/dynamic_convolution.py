"""Dynamic convolution attention: where to look from where one looked, and the query (Battenberg et al. 2020)."""

from .base import Attention
from .scores import DynamicConvolutionScore
from .source import BATTENBERG_2020, mechanism


@mechanism(BATTENBERG_2020(place="section 2.4"))
def DynamicConvolutionAttention(  # noqa: N802
    query_dim: int, key_dim: int, hidden_dim: int = 128, filters: int = 8, width: int = 21
) -> Attention:
    """Softmax of `energy . tanh(U f + T g + b) + log prior`, f and g convolutions of the last weights; moves forward.

    The filters of g come from the query; what the keys hold has no part in it. The queries are scanned one by one.

    Args:
        query_dim: features of a query (a decoder state).
        key_dim: features of a key (an encoder output).
        hidden_dim: features of the tanh layers.
        filters: number of learned filters, and of those from the query.
        width: keys that a filter sees at once; odd.

    State: the last weights.

    Cost: time queries * keys * filters * (width + hidden_dim), one query after another; memory keys * hidden_dim,
    and queries * keys.

    Raises:
        ValueError: a size is not positive, or `width` is even.

    >>> import torch
    >>> attention = DynamicConvolutionAttention(query_dim=4, key_dim=5, hidden_dim=7)
    >>> attention(torch.ones(2, 3, 4), torch.ones(2, 6, 5)).context.shape
    torch.Size([2, 3, 5])
    """
    return Attention(DynamicConvolutionScore(query_dim, key_dim, hidden_dim, filters, width))
