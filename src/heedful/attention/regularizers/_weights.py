"""What all losses on weights share: hidden weights are 0, and means are over what is real."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from heedful import _refusals
from heedful.functional import widen


def visible_weights(
    weights: Tensor, query_mask: Tensor | None, key_mask: Tensor | None
) -> tuple[Float[Tensor, "batch queries keys"], Bool[Tensor, "batch queries"], Bool[Tensor, "batch keys"]]:
    """Weights that are 0 where hidden, in float32 or wider, and both masks."""
    if weights.dim() != 3:
        raise ValueError(
            f"weights have shape {tuple(weights.shape)}; expected [batch, queries, keys]. For one sentence write "
            "weights[None], for one head weights[:, 0], for the mean over heads weights.mean(1)."
        )
    masks = []
    for name, mask, axis in (("query_mask", query_mask, 1), ("key_mask", key_mask, 2)):
        shape = (weights.shape[0], weights.shape[axis])
        if mask is None:
            mask = torch.ones(shape, dtype=torch.bool, device=weights.device)
        if mask.dtype != torch.bool:
            raise _refusals.not_boolean(mask.dtype, name)
        if mask.shape != shape:
            raise _refusals.mask_misfits(mask.shape, shape, f"[batch, {name.removesuffix('_mask')} places]", name)
        masks.append(mask)
    queries, keys = masks
    return widen(weights).masked_fill(~(queries.unsqueeze(2) & keys.unsqueeze(1)), 0), queries, keys


def mean_row(rows: Tensor, queries: Tensor) -> Tensor:
    """Mean over the real queries of each item."""
    return rows.masked_fill(~queries, 0).sum(1) / queries.sum(1).clamp_min(1)


def mean_item(each: Tensor, queries: Tensor, keys: Tensor) -> Tensor:
    """Mean over the items that have a real query and a real key."""
    real = queries.any(1) & keys.any(1)
    return each.masked_fill(~real, 0).sum() / real.sum().clamp_min(1)


def share_of_length(real: Tensor, dtype: torch.dtype) -> Tensor:
    """How far each real place is from the first one, as a share of their number."""
    return (real.cumsum(1) - 1) / real.sum(1, keepdim=True).clamp_min(1).to(dtype)


def safe_log(weights: Tensor) -> Tensor:
    """Logarithm; of what is too small for a finite slope that of the smallest number, and no slope."""
    return weights.clamp_min(torch.finfo(weights.dtype).tiny).log()
