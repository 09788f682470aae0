"""Additive attention as operators of torch, which graphs keep whole, and whose gradients are operators, too.

`heedful::additive_scores` and `heedful::additive_attention` have their gradients from `..._backward`, and those have
theirs from `second_derivatives`: the operators are differentiable twice, wherever they are called from.
"""

from typing import Any

import torch
from torch import Tensor

from heedful.kernels.additive import second_derivatives
from heedful.kernels.additive.backend import backend

COMPUTED = torch.float32, torch.float64


def computed(tensor: Tensor) -> Tensor:
    """The tensor in the type that is computed in."""
    return tensor if tensor.dtype in COMPUTED else tensor.float()


def _run(name: str, tensors: tuple[Tensor, ...], *rest: Any) -> tuple[Any, ...]:
    """Call a function of the backend: half and bfloat16 in float32, mixed types in the widest.

    Autocast stays outside: it would cast the blocks of a product to half.
    """
    first = tensors[0]
    dtype, device = first.dtype, first.device.type
    for tensor in tensors:
        if tensor.dtype is not dtype or dtype not in COMPUTED:
            dtype = torch.float64 if any(entry.dtype == torch.float64 for entry in tensors) else torch.float32
            tensors = tuple(entry.to(dtype) for entry in tensors)
            rest = tuple(_cast(entry, dtype) for entry in rest)
            break
    function = getattr(backend(first), name)
    if torch.is_autocast_enabled(device):
        with torch.autocast(device, enabled=False):
            return function(*tensors, *rest)
    return function(*tensors, *rest)


def _cast(entry: Any, dtype: torch.dtype) -> Any:
    return entry.to(dtype) if isinstance(entry, Tensor) and entry.is_floating_point() else entry


def _as(tensors: tuple[Tensor, ...], like: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Gradients in the types of their tensors."""
    return tuple(a if a.dtype is b.dtype else a.to(b.dtype) for a, b in zip(tensors, like, strict=True))


def scores(query: Tensor, key: Tensor, energy: Tensor) -> tuple[Tensor, Any]:
    """Scores [batch, queries, keys], and the plan if the backward pass can reuse it, or None."""
    found, plan = _run("scores_forward", (query, key, energy))
    return found.to(query.dtype), plan


def scores_gradients(
    grad: Tensor, query: Tensor, key: Tensor, energy: Tensor, plan: Any = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of query, key and energy."""
    own = query, key, energy
    grad_query, grad_key, grad_energy = _as(_run("scores_backward", (grad, *own), plan), own)
    return grad_query, grad_key, grad_energy


def attention(
    query: Tensor, key: Tensor, value: Tensor, energy: Tensor, mask: Tensor | None, need_weights: bool,
    need_grad: bool,
) -> tuple[Tensor, Tensor | None, Any]:  # fmt: skip
    """Context, weights if asked for or worth keeping, and the plan if the backward pass can reuse it, or None."""
    context, weights, plan = _run("attention_forward", (query, key, value, energy), mask, need_weights, need_grad)
    return context if context.dtype is value.dtype else context.to(value.dtype), weights, plan


def attention_gradients(
    grad_context: Tensor, grad_weights: Tensor | None, query: Tensor, key: Tensor, value: Tensor, energy: Tensor,
    mask: Tensor | None, weights: Tensor | None = None, plan: Any = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of query, key, value and energy."""
    own = query, key, value, energy
    grads = _run("attention_backward", (*own, grad_context), grad_weights, mask, weights, plan)
    grad_query, grad_key, grad_value, grad_energy = _as(grads, own)
    return grad_query, grad_key, grad_value, grad_energy


@torch.library.custom_op("heedful::additive_scores", mutates_args=())
def scores_op(query: Tensor, key: Tensor, energy: Tensor) -> Tensor:
    """Scores [batch, queries, keys]."""
    return scores(query, key, energy)[0]


@scores_op.register_fake
def _(query, key, energy):  # noqa: ARG001
    return query.new_empty(query.shape[0], query.shape[1], key.shape[1])


@torch.library.custom_op("heedful::additive_scores_backward", mutates_args=())
def scores_backward_op(grad: Tensor, query: Tensor, key: Tensor, energy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of query, key and energy; differentiable once."""
    return scores_gradients(grad, query, key, energy)


@scores_backward_op.register_fake
def _(grad, query, key, energy):  # noqa: ARG001
    return tuple(tensor.new_empty(tensor.shape) for tensor in (query, key, energy))


scores_backward_op.register_autograd(
    lambda ctx, *flows: second_derivatives.derivatives(second_derivatives.scores, flows, ctx.saved_tensors),
    setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs),  # noqa: ARG005
)
scores_op.register_autograd(
    lambda ctx, grad: scores_backward_op(grad, *ctx.saved_tensors),
    setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs),  # noqa: ARG005
)


@torch.library.custom_op("heedful::additive_attention", mutates_args=())
def attention_op(
    query: Tensor, key: Tensor, value: Tensor, energy: Tensor, mask: Tensor | None, need_weights: bool
) -> tuple[Tensor, Tensor]:
    """Context and weights; nothing in their place if they are not asked for."""
    context, weights, _ = attention(query, key, value, energy, mask, need_weights, False)
    return context, weights.to(value.dtype) if need_weights and weights is not None else value.new_empty(0)


@attention_op.register_fake
def _(query, key, value, energy, mask, need_weights):  # noqa: ARG001
    batch, queries, keys = query.shape[0], query.shape[1], key.shape[1]
    weights = value.new_empty(batch, queries, keys) if need_weights else value.new_empty(0)
    return value.new_empty(batch, queries, value.shape[2]), weights


@torch.library.custom_op("heedful::additive_attention_backward", mutates_args=())
def attention_backward_op(
    grad_context: Tensor, grad_weights: Tensor | None, query: Tensor, key: Tensor, value: Tensor, energy: Tensor,
    mask: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of query, key, value and energy; differentiable once."""
    return attention_gradients(grad_context, grad_weights, query, key, value, energy, mask)


@attention_backward_op.register_fake
def _(grad_context, grad_weights, query, key, value, energy, mask):  # noqa: ARG001
    return tuple(tensor.new_empty(tensor.shape) for tensor in (query, key, value, energy))


def _attention_second(ctx, *flows):
    *tensors, mask = ctx.saved_tensors
    return *second_derivatives.derivatives(second_derivatives.attention, flows, tuple(tensors), mask), None


attention_backward_op.register_autograd(
    _attention_second,
    setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs),  # noqa: ARG005
)


def _keep_inputs(ctx, inputs, output):  # noqa: ARG001
    *tensors, ctx.need_weights = inputs
    ctx.save_for_backward(*tensors)


def _attention_autograd(ctx, grad_context, grad_weights):
    given = grad_weights if ctx.need_weights else None
    return *attention_backward_op(grad_context, given, *ctx.saved_tensors), None, None


attention_op.register_autograd(_attention_autograd, setup_context=_keep_inputs)
