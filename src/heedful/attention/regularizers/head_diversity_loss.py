"""Heads look at different keys (Li et al. 2018)."""

from jaxtyping import Bool, Float
from torch import Tensor

from ._weights import mean_item, mean_row, visible_weights


def head_diversity_loss(
    weights: Float[Tensor, "batch heads queries keys"],
    query_mask: Bool[Tensor, "batch queries"] | None = None,
    key_mask: Bool[Tensor, "batch keys"] | None = None,
) -> Float[Tensor, ""]:
    """`sum_k w[h, q, k] w[i, q, k]`, the mean over pairs of heads and real queries: 0 where heads share no key.

    Source: Li et al.: Multi-Head Attention with Disagreement Regularization, 2018, section on disagreement on
    attended positions.

    Cost: time heads * queries * keys; memory heads * queries * keys.

    >>> import torch
    >>> head_diversity_loss(torch.eye(3).view(1, 3, 1, 3))
    tensor(0.)
    """
    batch, heads, many, known = weights.shape
    _, queries, keys = visible_weights(weights.new_zeros(batch, many, known), query_mask, key_mask)
    flat, _, _ = visible_weights(weights.flatten(1, 2), queries.repeat(1, heads), keys)
    weights = flat.view(batch, heads, many, known)
    # all ordered pairs are the square of the sum less the pairs of a head with itself
    pairs = weights.sum(1).square().sum(2) - weights.square().sum((1, 3))
    return mean_item(mean_row(pairs / max(heads * (heads - 1), 1), queries), queries, keys)
