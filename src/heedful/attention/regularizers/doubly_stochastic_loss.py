"""Every key is read about once in total (Xu et al. 2015)."""

from jaxtyping import Bool, Float
from torch import Tensor

from ._weights import mean_item, visible_weights


def doubly_stochastic_loss(
    weights: Float[Tensor, "batch queries keys"],
    query_mask: Bool[Tensor, "batch queries"] | None = None,
    key_mask: Bool[Tensor, "batch keys"] | None = None,
    balanced: bool = False,
) -> Float[Tensor, ""]:
    """`sum_k (1 - sum_q weights[q, k])^2`: every key is read about once in total (Xu et al. 2015, section 4.2.1).

    Args:
        weights: `[batch, queries, keys]`.
        query_mask: real queries.
        key_mask: real keys.
        balanced: aim at `queries / keys` instead of 1, where there are not as many queries as keys (not in the paper).

    Source: Xu et al.: Show, Attend and Tell: Neural Image Caption Generation with Visual Attention, 2015, section
    4.2.1, equation 14.

    Cost: time queries * keys; memory queries * keys.

    >>> import torch
    >>> doubly_stochastic_loss(torch.eye(3).unsqueeze(0))
    tensor(0.)
    """
    weights, queries, keys = visible_weights(weights, query_mask, key_mask)
    asked, known = (real.sum(1, keepdim=True).to(weights.dtype) for real in (queries, keys))
    target = asked / known.clamp_min(1) if balanced else 1.0
    return mean_item(((target - weights.sum(1)).square() * keys).sum(1), queries, keys)
