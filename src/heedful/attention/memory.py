"""Masks of a memory in full, and two memories as one: what caches are extended with."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from heedful._pytree import concatenate

from .contract import Memory


def full_mask(
    mask: Bool[Tensor, "#batch 1 #keys"] | None, kept: Float[Tensor, "batch keys features"]
) -> Bool[Tensor, "batch 1 keys"]:
    """The mask over what is kept of each key; where there is none, nothing is hidden.

    >>> full_mask(None, torch.zeros(1, 3, 2))
    tensor([[[True, True, True]]])
    """
    shape = (kept.shape[0], 1, kept.shape[1])
    return torch.ones(shape, dtype=torch.bool, device=kept.device) if mask is None else mask.expand(shape)


def join_masks(
    mask: Bool[Tensor, "#batch 1 #keys"] | None,
    kept: Float[Tensor, "batch keys features"],
    more_mask: Bool[Tensor, "#batch 1 #more"] | None,
    more: Float[Tensor, "batch more features"],
) -> Bool[Tensor, "batch 1 all"] | None:
    """The mask of both side by side; `None` where neither hides anything."""
    if mask is None and more_mask is None:
        return None
    return torch.cat((full_mask(mask, kept), full_mask(more_mask, more)), -1)


def join_memories(memory: Memory, more: Memory) -> Memory:
    """Two memories as one, the keys of the second behind those of the first.

    Raises:
        ValueError: the second is of another batch or has values of other features.
    """
    old, new = memory.value, more.value
    if old.shape[0] != new.shape[0] or old.shape[2] != new.shape[2]:
        raise ValueError(
            f"the further values have shape {tuple(new.shape)}; expected [{old.shape[0]}, any, {old.shape[2]}] "
            f"to continue a memory of shape {tuple(old.shape)}."
        )
    mask = join_masks(memory.mask, old, more.mask, new)
    return Memory(concatenate(memory.key, more.key, 1), concatenate(old, new, 1), mask)
