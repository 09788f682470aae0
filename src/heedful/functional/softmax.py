"""Softmax over what may be seen."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .precision import widen


def masked_softmax(
    scores: Float[Tensor, "*batch queries keys"], mask: Bool[Tensor, "*#batch #queries #keys"] | None = None
) -> Float[Tensor, "*batch queries keys"]:
    """Softmax over the visible keys of each row; a row that sees nothing gets zeros, and zero gradient.

    Half-precision scores are normalised in float32 and cast back.

    Args:
        scores: `[batch, (heads,) queries, keys]`. A score of minus infinity hides its key, too.
        mask: boolean, broadcasts to the scores, True = may look.

    Returns:
        weights of the same shape; each row sums to 1, or to 0 where nothing is visible.

    >>> masked_softmax(torch.zeros(1, 2, 2), torch.tensor([[[True, False], [False, False]]]))
    tensor([[[1., 0.],
             [0., 0.]]])
    """
    safe, hidden = _safe(scores, mask)
    return torch.softmax(safe, -1).masked_fill(hidden, 0).to(scores.dtype)


def masked_log_softmax(
    scores: Float[Tensor, "*batch queries keys"], mask: Bool[Tensor, "*#batch #queries #keys"] | None = None
) -> Float[Tensor, "*batch queries keys"]:
    """Logarithm of `masked_softmax`, in float32 or wider: minus infinity at hidden keys, without a gradient there.

    Args:
        scores: `[batch, (heads,) queries, keys]`. A score of minus infinity hides its key, too.
        mask: boolean, broadcasts to the scores, True = may look.

    >>> masked_log_softmax(torch.zeros(1, 1, 3), torch.tensor([[[True, True, False]]]))
    tensor([[[-0.6931, -0.6931,    -inf]]])
    """
    safe, hidden = _safe(scores, mask)
    return torch.log_softmax(safe, -1).masked_fill(hidden, -torch.inf)


def _safe(scores: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Scores to be normalised, and what is hidden."""
    wide = widen(scores)
    hidden = wide == -torch.inf
    if mask is not None:
        hidden = hidden | ~mask
    # an empty row is softmaxed over zeros and then erased: every intermediate value and gradient stays finite
    empty = hidden.all(-1, keepdim=True)
    return wide.masked_fill(hidden, -torch.inf).masked_fill(empty, 0), hidden
