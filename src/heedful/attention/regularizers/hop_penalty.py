"""Hops look at different keys, sharply (Lin et al. 2017)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ._weights import mean_item, visible_weights


def hop_penalty(
    weights: Float[Tensor, "batch hops keys"], key_mask: Bool[Tensor, "batch keys"] | None = None
) -> Float[Tensor, ""]:
    """`||A A^T - I||^2`, squared Frobenius norm: hops look at different keys, sharply (Lin et al. 2017, section 2.2).

    Source: Lin et al.: A Structured Self-attentive Sentence Embedding, 2017, section 2.2.

    Cost: time hops^2 * keys; memory hops^2.

    >>> hop_penalty(torch.tensor([[[1.0, 0.0], [1.0, 0.0]]]))
    tensor(2.)
    """
    weights, hops, keys = visible_weights(weights, None, key_mask)
    unit = torch.eye(weights.shape[1], dtype=weights.dtype, device=weights.device)
    return mean_item((weights @ weights.transpose(1, 2) - unit).square().sum((1, 2)), hops, keys)
