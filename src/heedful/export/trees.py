"""Trees of tensors as dictionaries with names, and what all graphs need of torch: axes of any size, and quiet."""

import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.export import Dim
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

Tensors = dict[str, Tensor]
Structure = tuple[list[Any], Any, list[str]]


def named(tree: Any) -> Tensors:
    """The tensors of a pytree by their path, such as `layers.0.memory.key`.

    >>> named({"key": torch.ones(2), "mask": None})
    {'key': tensor([1., 1.])}
    """
    leaves = pytree.tree_flatten_with_path(tree)[0]
    return {_path(path): leaf for path, leaf in leaves if isinstance(leaf, Tensor)}


def _path(path: Any) -> str:
    """Fields, keys and places on the way to a leaf, joined by points."""
    return re.sub(r"[\[\]'.]+", ".", pytree.keystr(path)).strip(".")


def structure(tree: Any) -> Structure:
    """A tree without its tensors: leaves, how they hang together, and their names."""
    leaves, spec = pytree.tree_flatten_with_path(tree)
    return [None if isinstance(leaf, Tensor) else leaf for _, leaf in leaves], spec, [_path(path) for path, _ in leaves]


def filled(whole: Structure, tensors: Tensors) -> Any:
    """The tree again, with these tensors in their places."""
    leaves, spec, names = whole
    return pytree.tree_unflatten([tensors.get(name, leaf) for name, leaf in zip(names, leaves, strict=True)], spec)


def about(dtype: torch.dtype, shape: Sequence[str | int]) -> dict[str, Any]:
    """Type and axes of a tensor, as `heedful.json` tells them.

    >>> about(torch.float32, ("batch", 7))
    {'type': 'float32', 'shape': ['batch', 7]}
    """
    return {"type": str(dtype).removeprefix("torch."), "shape": [*shape]}


def dynamic(axes: Sequence[str | int]) -> dict[int, Any]:
    """Which axes may have any size, as `torch.export` takes it: those that have a name."""
    # not a named Dim: torch cannot prove of it that strides of caches grow with the steps, and gives up
    return {number: Dim.AUTO for number, axis in enumerate(axes) if isinstance(axis, str)}


class Plain(TorchDispatchMode):
    """Operators as they are; under any such mode nothing is prepared for kernels that a graph cannot call."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


@contextmanager
def quiet() -> Iterator[None]:
    """Without what torch says of its own internals: parameters looked up anew, packages that it could use."""
    level = logging.root.manager.disable
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(level)
