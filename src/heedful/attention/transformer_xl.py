"""Transformer-XL's attention: content and distance, each with a bias of the query (Dai et al. 2019, section 3.3)."""

from .base import Attention
from .scores import ContentBiasScore
from .source import DAI_2019, mechanism
from .windows import RelativeWindow


@mechanism(DAI_2019(place="section 3.3"))
def TransformerXLAttention(dim: int, position_dim: int | None = None, causal: bool = True) -> Attention:  # noqa: N802
    """Softmax of `((query + u) . key + (query + v) . W R[distance]) / sqrt(dim)`, `R` sines and cosines.

    One head, of a query and keys that are projected before; `MultiHeadAttention` makes several of it. The segments
    before are remembered by `extend`; in the paper their keys take no gradient, which is the caller's to detach.

    Args:
        dim: features of a query and of a key.
        position_dim: features of `R`, an even number; `dim` when left out.
        causal: hide the keys after the query's place.

    Cost: time heads * queries * (queries + keys) * head_dim; memory heads * queries * keys.

    Raises:
        ValueError: a size is not positive, or `position_dim` is odd.

    >>> import torch
    >>> TransformerXLAttention(dim=4)(torch.ones(2, 3, 4), torch.ones(2, 6, 4)).context.shape
    torch.Size([2, 3, 4])
    """
    return Attention(ContentBiasScore(dim), RelativeWindow(dim, position_dim, causal))
