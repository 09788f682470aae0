"""One gradient for many steps: what a decoder reads again and again gets its gradient at the end, in one go.

A decoder looks at the same keys and values at every step, and autograd would write and add a gradient as large as they
are each time. `defer(tensor, merge)` hands on the tensor; a step that finds it in its input leaves the few numbers its
gradient is made of in the tensor's node, and returns no gradient. When all steps of the backward pass are done, the
node merges them.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class _Deferred(torch.autograd.Function):
    @staticmethod
    def forward(ctx, tensor, merge):
        ctx.merge = merge
        # notes by backward pass: a pass that never comes here must not leave its notes to the next one
        ctx.notes = {}
        ctx.set_materialize_grads(False)
        return tensor.view_as(tensor)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        notes = ctx.notes.pop(_current_pass(), None)
        if notes is None:
            return grad, None
        merged = ctx.merge(notes)
        return merged if grad is None else merged + grad, None


def _current_pass() -> int:
    return torch._C._current_graph_task_id()


def defer(tensor: Tensor, merge: Callable[[list[Any]], Tensor]) -> Tensor:
    """The same tensor, whose gradient from many steps `merge` computes from their notes."""
    return _Deferred.apply(tensor, merge) if torch.is_grad_enabled() and tensor.requires_grad else tensor


def gathers(tensor: Tensor) -> Any:
    """The node that gathers this tensor's gradient, or None."""
    node = tensor.grad_fn
    return node if hasattr(node, "notes") else None


def note(node: Any, entry: Any) -> None:
    """Leave what a gradient is made of; only in a backward pass."""
    node.notes.setdefault(_current_pass(), []).append(entry)
