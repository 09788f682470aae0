"""A key is read as much as was predicted (Tu et al. 2016)."""

from jaxtyping import Bool, Float
from torch import Tensor

from heedful.functional import widen

from ._weights import mean_item, visible_weights


def fertility_loss(
    weights: Float[Tensor, "batch queries keys"],
    fertility: Float[Tensor, "batch keys"],
    query_mask: Bool[Tensor, "batch queries"] | None = None,
    key_mask: Bool[Tensor, "batch keys"] | None = None,
) -> Float[Tensor, ""]:
    """`sum_k (fertility[k] - sum_q weights[q, k])^2`: a key is read as much as was predicted (Tu et al. 2016).

    Both sides receive a gradient.

    Source: Tu et al.: Modeling Coverage for Neural Machine Translation, 2016, section on training, auxiliary
    objective.

    Cost: time queries * keys; memory queries * keys.

    >>> import torch
    >>> fertility_loss(torch.eye(3).unsqueeze(0), torch.ones(1, 3))
    tensor(0.)
    """
    weights, queries, keys = visible_weights(weights, query_mask, key_mask)
    fertility = widen(fertility).masked_fill(~keys, 0)
    return mean_item((fertility - weights.sum(1)).square().sum(1), queries, keys)
