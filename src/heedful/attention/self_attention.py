"""Self-attention: one sequence looks at itself by scaled dot products (Vaswani et al. 2017, section 3.2)."""

from .base import Attention
from .scores import ScaledDotScore
from .source import VASWANI_2017, mechanism
from .windows import Window


@mechanism(VASWANI_2017(place="section 3.2.1"))
def SelfAttention(dim: int, window: Window | None = None, dropout: float = 0.0) -> Attention:  # noqa: N802
    """Softmax of `query . key / sqrt(dim)`, for a sequence that is query, key and value at once.

    One head without projections: they are the caller's, or those of `MultiHeadAttention`, which makes several of it.

    Args:
        dim: features of a step.
        window: which steps a step sees, such as `CausalWindow()`; every one when left out.
        dropout: share of the weights that is dropped in training.

    Cost: time steps^2 * dim; memory steps, and steps^2 for weights.

    Raises:
        ValueError: the size is not positive, or the share is none.

    >>> import torch
    >>> from heedful.attention.windows import CausalWindow
    >>> steps = torch.ones(2, 3, 4)
    >>> SelfAttention(dim=4, window=CausalWindow())(steps, steps).context.shape
    torch.Size([2, 3, 4])
    """
    return Attention(ScaledDotScore(dim), window, dropout=dropout)
