"""Distance attention: heads look at what is near, queries and keys projected alike (Kim et al. 2021, section 3.2)."""

from .base import Attention
from .head_projections import check_heads
from .multi_head import MultiHeadAttention
from .scores import DistanceScore
from .source import KIM_2021, mechanism
from .windows import Window


@mechanism(KIM_2021(place="section 3.2"))
def DistanceAttention(  # noqa: N802
    query_dim: int, num_heads: int, window: Window | None = None, dropout: float = 0.0
) -> MultiHeadAttention:
    """`softmax(-||W_h query - W_h key||^2 / sqrt(head_dim)) W_v,h key` in each head: one projection for both sides.

    That the projections are one is what lets the paper bound how fast the context may change with its input. For the
    bound it multiplies the values by `W_h^T W_h / sqrt(head_dim)` as well, which is left out here. The projection has
    two names in the state: `safetensors.torch.save_model` writes it once.

    Args:
        query_dim: features of a query and of a key, and of the context.
        num_heads: heads, which share out `query_dim`.
        window: which keys a query may see besides the mask.
        dropout: share of the weights that is dropped in training.

    Cost: time queries * keys * dim, and projections steps * dim^2; memory heads * queries * keys.

    Raises:
        ValueError: what `MultiHeadAttention` refuses.

    >>> import torch
    >>> attention = DistanceAttention(8, num_heads=2)
    >>> attention(torch.ones(3, 4, 8), torch.ones(3, 5, 8)).context.shape, attention.key_proj is attention.query_proj
    (torch.Size([3, 4, 8]), True)
    """
    check_heads(query_dim, num_heads)
    head_dim = query_dim // num_heads
    attention = Attention(DistanceScore(head_dim, head_dim**-0.5), window, dropout=dropout)
    layer = MultiHeadAttention(query_dim, num_heads, attention=attention)
    layer.key_proj = layer.query_proj
    return layer
