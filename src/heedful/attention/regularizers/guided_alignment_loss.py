"""Distance of the weights from given links (Chen et al. 2016)."""

from typing import Literal, get_args

from jaxtyping import Bool, Float
from torch import Tensor

from heedful import _refusals

from ._weights import mean_item, safe_log, visible_weights

AlignmentLoss = Literal["cross_entropy", "squared", "product"]


def guided_alignment_loss(
    weights: Float[Tensor, "batch queries keys"],
    gold: Float[Tensor, "batch queries keys"],
    query_mask: Bool[Tensor, "batch queries"] | None = None,
    key_mask: Bool[Tensor, "batch keys"] | None = None,
    loss: AlignmentLoss = "cross_entropy",
) -> Float[Tensor, ""]:
    """Distance of the weights from given links, the mean over the queries that have one (Chen et al.; Liu et al. 2016).

    Args:
        weights: `[batch, queries, keys]`.
        gold: links of the same shape, from 0 up; each row is divided by its sum, and a row without links is left out.
        query_mask: real queries.
        key_mask: real keys; a link to another one does not count.
        loss: "cross_entropy" `-sum G ln w`, "squared" `sum (w - G)^2 / 2`, or "product" `-ln sum G w`.

    Raises:
        ValueError: an unknown loss.

    Source: Chen et al.: Guided Alignment Training for Topic-Aware Neural Machine Translation, 2016, section on
    guided alignment training.

    Cost: time queries * keys; memory queries * keys.

    >>> import torch
    >>> guided_alignment_loss(torch.eye(3).unsqueeze(0), torch.eye(3).unsqueeze(0)) == 0
    tensor(True)
    """
    if loss not in get_args(AlignmentLoss):
        raise _refusals.unknown_choice("loss", loss, get_args(AlignmentLoss))
    weights, _, keys = visible_weights(weights, query_mask, key_mask)
    gold, _, _ = visible_weights(gold.to(weights.dtype), query_mask, key_mask)
    total = gold.sum(2, keepdim=True)
    linked = total.squeeze(2) > 0
    gold = gold / total.masked_fill(total == 0, 1)
    if loss == "squared":
        rows = (weights - gold).square().sum(2) / 2
    elif loss == "product":
        rows = -safe_log((gold * weights).sum(2))
    else:
        rows = -(gold * safe_log(weights)).sum(2)
    each = rows.masked_fill(~linked, 0).sum(1) / linked.sum(1).clamp_min(1)
    return mean_item(each, linked, keys)
