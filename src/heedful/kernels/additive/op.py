"""Additive attention as operators: gradients written by hand, and the choice of the path.

Eager code takes a `torch.autograd.Function`, which costs a third of an operator's call; `torch.compile` keeps the
operators `heedful::additive_scores` and `heedful::additive_attention` whole; `torch.export` gets the plain tanh form.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from heedful.kernels.additive import reference
from heedful.kernels.additive.backend import backend
from heedful.kernels.additive.steps import AdditiveMemory, fits, step_attention, step_scores


def _compute_dtype(*tensors: Tensor) -> torch.dtype:
    """The widest type that came; half and bfloat16 are computed in float32."""
    return torch.float64 if any(tensor.dtype == torch.float64 for tensor in tensors) else torch.float32


def _exactly(tensor: Tensor) -> AbstractContextManager[object]:
    """No autocast inside: it would cast the blocks of a product to half."""
    kind = tensor.device.type
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()


def _scores(query: Tensor, key: Tensor, energy: Tensor) -> tuple[Tensor, Any]:
    dtype = _compute_dtype(query, key, energy)
    with _exactly(query):
        wide = query.to(dtype), key.to(dtype), energy.to(dtype)
        scores, plan = backend(query).scores_forward(*wide)
    return scores.to(query.dtype), plan


def _scores_gradients(
    grad: Tensor, query: Tensor, key: Tensor, energy: Tensor, plan: Any = None
) -> tuple[Tensor, Tensor, Tensor]:
    dtype = _compute_dtype(query, key, energy)
    with _exactly(query):
        wide = query.to(dtype), key.to(dtype), energy.to(dtype)
        grads = backend(query).scores_backward(grad.to(dtype), *wide, plan)
    return grads[0].to(query.dtype), grads[1].to(key.dtype), grads[2].to(energy.dtype)


def _attention(
    query: Tensor, key: Tensor, value: Tensor, energy: Tensor, mask: Tensor | None, need_weights: bool,
    need_grad: bool,
) -> tuple[Tensor, Tensor | None, Any]:  # fmt: skip
    dtype = _compute_dtype(query, key, value, energy)
    with _exactly(query):
        wide = query.to(dtype), key.to(dtype), value.to(dtype), energy.to(dtype)
        context, weights, plan = backend(query).attention_forward(*wide, mask, need_weights, need_grad)
    return context.to(value.dtype), weights, plan


def _attention_gradients(
    grad_context: Tensor, grad_weights: Tensor | None, query: Tensor, key: Tensor, value: Tensor, energy: Tensor,
    mask: Tensor | None, weights: Tensor | None = None, plan: Any = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    dtype = _compute_dtype(query, key, value, energy)
    with _exactly(query):
        wide = query.to(dtype), key.to(dtype), value.to(dtype), energy.to(dtype)
        grad_weights = None if grad_weights is None else grad_weights.to(dtype)
        grads = backend(query).attention_backward(grad_context.to(dtype), grad_weights, *wide, mask, weights, plan)
    own = query, key, value, energy
    query_grad, key_grad, value_grad, energy_grad = (g.to(tensor.dtype) for g, tensor in zip(grads, own, strict=True))
    return query_grad, key_grad, value_grad, energy_grad


class _Scores(torch.autograd.Function):
    @staticmethod
    def forward(ctx, query, key, energy):
        ctx.save_for_backward(query, key, energy)
        scores, ctx.plan = _scores(query, key, energy)
        return scores

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        query, key, energy = ctx.saved_tensors
        return _scores_gradients(grad, query, key, energy, ctx.plan)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx, query, key, value, energy, mask, need_weights):
        context, weights, ctx.plan = _attention(
            query, key, value, energy, mask, need_weights, any(ctx.needs_input_grad)
        )
        ctx.save_for_backward(query, key, value, energy, mask, weights)
        ctx.set_materialize_grads(False)
        return context, weights.to(value.dtype) if need_weights and weights is not None else None

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_context, grad_weights):
        query, key, value, energy, mask, weights = ctx.saved_tensors
        if grad_context is None:
            grad_context = value.new_zeros(*query.shape[:2], value.shape[2])
        saved = query, key, value, energy, mask, weights
        return *_attention_gradients(grad_context, grad_weights, *saved, ctx.plan), None, None


@torch.library.custom_op("heedful::additive_scores", mutates_args=())
def _scores_op(query: Tensor, key: Tensor, energy: Tensor) -> Tensor:
    return _scores(query, key, energy)[0]


@_scores_op.register_fake
def _(query, key, energy):  # noqa: ARG001
    return query.new_empty(query.shape[0], query.shape[1], key.shape[1])


@torch.library.custom_op("heedful::additive_scores_backward", mutates_args=())
def _scores_backward_op(grad: Tensor, query: Tensor, key: Tensor, energy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return _scores_gradients(grad, query, key, energy)


@_scores_backward_op.register_fake
def _(grad, query, key, energy):  # noqa: ARG001
    return tuple(tensor.new_empty(tensor.shape) for tensor in (query, key, energy))


_scores_op.register_autograd(
    lambda ctx, grad: _scores_backward_op(grad, *ctx.saved_tensors),
    setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs),  # noqa: ARG005
)


@torch.library.custom_op("heedful::additive_attention", mutates_args=())
def _attention_op(
    query: Tensor, key: Tensor, value: Tensor, energy: Tensor, mask: Tensor | None, need_weights: bool
) -> tuple[Tensor, Tensor]:
    context, weights, _ = _attention(query, key, value, energy, mask, need_weights, False)
    return context, weights.to(value.dtype) if need_weights and weights is not None else value.new_empty(0)


@_attention_op.register_fake
def _(query, key, value, energy, mask, need_weights):  # noqa: ARG001
    batch, queries, keys = query.shape[0], query.shape[1], key.shape[1]
    weights = value.new_empty(batch, queries, keys) if need_weights else value.new_empty(0)
    return value.new_empty(batch, queries, value.shape[2]), weights


@torch.library.custom_op("heedful::additive_attention_backward", mutates_args=())
def _attention_backward_op(
    grad_context: Tensor, grad_weights: Tensor | None, query: Tensor, key: Tensor, value: Tensor, energy: Tensor,
    mask: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    return _attention_gradients(grad_context, grad_weights, query, key, value, energy, mask)


@_attention_backward_op.register_fake
def _(grad_context, grad_weights, query, key, value, energy, mask):  # noqa: ARG001
    return tuple(tensor.new_empty(tensor.shape) for tensor in (query, key, value, energy))


def _keep_inputs(ctx, inputs, output):  # noqa: ARG001
    *tensors, ctx.need_weights = inputs
    ctx.save_for_backward(*tensors)


def _attention_autograd(ctx, grad_context, grad_weights):
    given = grad_weights if ctx.need_weights else None
    return *_attention_backward_op(grad_context, given, *ctx.saved_tensors), None, None


_attention_op.register_autograd(_attention_autograd, setup_context=_keep_inputs)


def additive_scores(query: Tensor, key: Tensor | AdditiveMemory, energy: Tensor) -> Tensor:
    """Scores [batch, queries, keys] by the fastest path for device and mode."""
    if isinstance(key, AdditiveMemory):
        if fits(query, key, energy, None, None):
            return step_scores(query, key, energy)
        key = key.key
    if not torch.compiler.is_compiling():
        return _Scores.apply(query, key, energy)  # pyright: ignore[reportReturnType]: apply is not annotated
    if _is_exporting():
        return reference.additive_scores(query, key, energy)
    return _scores_op(query, key, energy)


def additive_attention(
    query: Tensor, key: Tensor | AdditiveMemory, value: Tensor, energy: Tensor, mask: Tensor | None, need_weights: bool
) -> tuple[Tensor, Tensor | None]:
    """Context [batch, queries, value_dim], and weights [batch, queries, keys] if asked for; `mask` has three axes."""
    if isinstance(key, AdditiveMemory):
        if fits(query, key, energy, mask, value):
            context, weights = step_attention(query, key, value, energy, mask)
            return context, weights if need_weights else None
        key = key.key
    if not torch.compiler.is_compiling():
        return _Attention.apply(query, key, value, energy, mask, need_weights)  # pyright: ignore[reportReturnType]
    if _is_exporting():
        whole = None if mask is None else mask.expand(query.shape[0], query.shape[1], key.shape[1])
        context, weights = reference.additive_attention(query, key, value, energy, whole)
        return context, weights if need_weights else None
    context, weights = _attention_op(query, key, value, energy, mask, need_weights)
    return context, weights if need_weights else None


def _is_exporting() -> bool:
    """Whether `torch.export` is tracing; torch 2.6 cannot tell, and takes the operators."""
    return getattr(torch.compiler, "is_exporting", lambda: False)()
