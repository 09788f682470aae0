"""Operations on memory and state, which are plain dataclasses of tensors with the batch axis first."""

from collections.abc import Callable
from dataclasses import fields
from typing import TypeVar

import torch
from jaxtyping import Int
from torch import Tensor
from torch.utils import _pytree as pytree

Tree = TypeVar("Tree")
# the fields of every registered dataclass
_FIELDS: dict[type, tuple[str, ...]] = {}


def register_pytree(cls: type[Tree]) -> type[Tree]:
    """Make a dataclass a pytree, so that `torch.compile`, `torch.export`, `reorder` and `to_device` see its tensors."""
    pytree.register_dataclass(cls, serialized_type_name=f"heedful.{cls.__name__}")
    _FIELDS[cls] = tuple(field.name for field in fields(cls))  # pyright: ignore[reportArgumentType]
    return cls


def map_tensors(function: Callable[[Tensor], Tensor], tree: Tree) -> Tree:
    """Apply `function` to every tensor of a pytree; anything else (`None`, numbers) stays as it is."""
    # what a decoding step goes through dozens of times; torch's own walk takes a quarter of a small step
    if tree is None or isinstance(tree, Tensor):
        return tree if tree is None else function(tree)  # pyright: ignore[reportReturnType]
    if type(tree) is tuple:
        return tuple(map_tensors(function, part) for part in tree)  # pyright: ignore[reportReturnType]
    if names := _FIELDS.get(type(tree)):
        return type(tree)(*(map_tensors(function, getattr(tree, name)) for name in names))
    return pytree.tree_map(lambda leaf: function(leaf) if isinstance(leaf, Tensor) else leaf, tree)


def reorder(tree: Tree, index: Int[Tensor, " rows"]) -> Tree:
    """Take rows `index` of the batch axis of every tensor: what a beam does when hypotheses change places.

    >>> reorder({"cell": torch.tensor([[1.0], [2.0]])}, torch.tensor([1, 1, 0]))["cell"].flatten()
    tensor([2., 2., 1.])
    """
    return map_tensors(lambda tensor: tensor.index_select(0, index), tree)


def repeat(tree: Tree, times: int) -> Tree:
    """Repeat every batch row `times` times, neighbours together: one row per hypothesis of a beam.

    >>> repeat(torch.tensor([[1.0], [2.0]]), 2).flatten()
    tensor([1., 1., 2., 2.])
    """
    return map_tensors(lambda tensor: tensor.repeat_interleave(times, 0), tree)


def to_device(tree: Tree, device: torch.device | str) -> Tree:
    """Move every tensor of a pytree to `device`."""
    return map_tensors(lambda tensor: tensor.to(device), tree)


def concatenate(first: Tree, second: Tree, dim: int) -> Tree:
    """Join two pytrees of one shape tensor by tensor along `dim`; where both hold `None`, `None` stays."""
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return torch.cat((first, second), dim)  # pyright: ignore[reportReturnType]
    return pytree.tree_map(lambda a, b: torch.cat((a, b), dim) if isinstance(a, Tensor) else a, first, second)
