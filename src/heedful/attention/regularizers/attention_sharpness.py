"""How sharp weights are: the sum of their squares (Simpson 1949)."""

from jaxtyping import Bool, Float
from torch import Tensor

from ._weights import mean_item, mean_row, visible_weights


def attention_sharpness(
    weights: Float[Tensor, "batch queries keys"],
    query_mask: Bool[Tensor, "batch queries"] | None = None,
    key_mask: Bool[Tensor, "batch keys"] | None = None,
) -> Float[Tensor, ""]:
    """`sum_k w^2`, the mean over the real queries of each item: 1 looks at one key, `1 / n` at n keys alike.

    Source: Simpson: Measurement of Diversity, 1949, equation of the index.

    Cost: time queries * keys; memory queries * keys.

    >>> import torch
    >>> attention_sharpness(torch.full((1, 3, 4), 0.25))
    tensor(0.2500)
    """
    weights, queries, keys = visible_weights(weights, query_mask, key_mask)
    return mean_item(mean_row(weights.square().sum(2), queries), queries, keys)
