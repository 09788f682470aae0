"""What multi-head mechanisms share: features split over heads, and heads as further items of a batch."""

from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from heedful._pytree import map_tensors, register_pytree

Tree = TypeVar("Tree")


@register_pytree
@dataclass(frozen=True)
class HeadsMemory:
    """What is looked at, projected once for every head: a value, never kept by a module.

    Attributes:
        key: what the heads' score remembered (a tensor or a pytree, each `[batch, kv_heads, keys, ...]`).
        value: `[batch, kv_heads, keys, head_dim]`, hidden rows replaced by 0.
        mask: `[batch, kv_heads, 1, keys]`, True = may look; `None` when nothing is hidden.
    """

    key: Any
    value: Float[Tensor, "batch kv_heads keys head_dim"]
    mask: Bool[Tensor, "batch kv_heads 1 keys"] | None


def split_heads(
    features: Float[Tensor, "batch steps features"], num_heads: int
) -> Float[Tensor, "batch {num_heads} steps head_dim"]:
    """The features of each step in `num_heads` equal parts.

    >>> split_heads(torch.ones(2, 3, 8), 4).shape
    torch.Size([2, 4, 3, 2])
    """
    return features.unflatten(-1, (num_heads, features.shape[-1] // num_heads)).transpose(1, 2)


def join_heads(features: Float[Tensor, "batch heads steps head_dim"]) -> Float[Tensor, "batch steps features"]:
    """The inverse of `split_heads`.

    >>> join_heads(torch.ones(2, 4, 3, 2)).shape
    torch.Size([2, 3, 8])
    """
    return features.transpose(1, 2).flatten(2)


def heads_of(batch: int, heads: int, device: torch.device) -> Int[Tensor, " {batch}"]:
    """The head of each row of a batch in which the heads of an item stand side by side.

    Raises:
        ValueError: the batch is no multiple of the heads.

    >>> heads_of(4, 2, torch.device("cpu"))
    tensor([0, 1, 0, 1])
    """
    if batch % heads:
        raise ValueError(
            f"a batch of {batch} came to numbers of {heads} heads; expected a multiple of {heads}, the heads of each "
            "item side by side, as multi-head attention folds them."
        )
    return torch.arange(batch, device=device) % heads


def fold(tree: Tree) -> Tree:
    """Heads as items of the batch: `[batch, heads, ...]` to `[batch * heads, ...]`, in every tensor of a pytree."""
    return map_tensors(lambda tensor: tensor.flatten(0, 1), tree)


def unfold(tree: Tree, heads: int) -> Tree:
    """The inverse of `fold`."""
    # the size of the batch, too: it may be 0
    return map_tensors(lambda tensor: tensor.unflatten(0, (tensor.shape[0] // heads, heads)), tree)
