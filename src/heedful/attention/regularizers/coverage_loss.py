"""Not to read again what was read (See et al. 2017)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ._weights import mean_item, visible_weights


def coverage_loss(
    weights: Float[Tensor, "batch queries keys"],
    query_mask: Bool[Tensor, "batch queries"] | None = None,
    key_mask: Bool[Tensor, "batch keys"] | None = None,
) -> Float[Tensor, ""]:
    """`sum_q sum_k min(weights[q, k], sum_{j < q} weights[j, k])`: not to read again (See et al. 2017, section 2.3).

    A query adds 1 at most. The authors' code takes the mean over the queries instead of their sum.

    Source: See, Liu and Manning: Get To The Point: Summarization with Pointer-Generator Networks, 2017, section
    2.3, equations 12 and 13.

    Cost: time queries * keys; memory queries * keys.

    >>> coverage_loss(torch.tensor([[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]]))
    tensor(1.)
    """
    weights, queries, keys = visible_weights(weights, query_mask, key_mask)
    coverage = torch.cat((torch.zeros_like(weights[:, :1]), weights[:, :-1].cumsum(1)), 1)
    return mean_item(torch.minimum(weights, coverage[:, : weights.shape[1]]).sum((1, 2)), queries, keys)
