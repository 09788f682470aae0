"""One gradient for many steps: what a decoder reads again and again gets its gradient at the end, in one go.

A decoder looks at the same keys and values at every step, and autograd would write and add a gradient as large as they
are each time. `defer(tensor, merge)` hands on the tensor; a step that finds it in its input leaves the few numbers its
gradient is made of in the tensor's node, and returns no gradient. When all steps of the backward pass are done, the
node merges them.

A pass that ends at the tensor handed on (`autograd.grad(loss, memory.key)`) never comes to that node: there every step
returns its gradient. So it does where gradients are to have gradients.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class _Deferred(torch.autograd.Function):
    @staticmethod
    def forward(ctx, tensor, merge):
        ctx.merge = merge
        # notes by backward pass: a pass that never comes here must not leave its notes to the next one
        ctx.notes = {}
        ctx.set_materialize_grads(False)
        return tensor.view_as(tensor)

    @staticmethod
    def backward(ctx, grad):
        notes = ctx.notes.pop(_current_pass(), None)
        if notes is None:
            return grad, None
        merged = ctx.merge(notes)
        return merged if grad is None else merged + grad, None


class _Handed(torch.autograd.Function):
    """The tensor as steps see it, one node before that of the notes, so that a pass may end here."""

    @staticmethod
    def forward(ctx, tensor):
        ctx.later = tensor.grad_fn
        ctx.set_materialize_grads(False)
        return tensor.view_as(tensor)

    @staticmethod
    def backward(ctx, grad):  # noqa: ARG004
        return grad


def _current_pass() -> int:
    return torch._C._current_graph_task_id()


def defer(tensor: Tensor, merge: Callable[[list[Any]], Tensor]) -> Tensor:
    """The same tensor, whose gradient from many steps `merge` computes from their notes."""
    if not (torch.is_grad_enabled() and tensor.requires_grad):
        return tensor
    return _Handed.apply(_Deferred.apply(tensor, merge))  # pyright: ignore[reportReturnType]: apply is not annotated


def gathers(tensor: Tensor) -> Any:
    """The node of a tensor that `later` handed on, or None."""
    node = tensor.grad_fn
    return node if hasattr(node, "later") else None


def note(node: Any, entry: Any) -> bool:
    """In a backward pass: leave what a gradient is made of with such a node.

    Returns:
        Whether that was all; False where the pass ends at the tensor itself, and wants the gradient now.
    """
    comes_to = torch._C._will_engine_execute_node
    if not comes_to(node.later):
        return not comes_to(node)
    node.later.notes.setdefault(_current_pass(), []).append(entry)
    return True
