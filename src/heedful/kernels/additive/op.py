"""Additive attention as operators: gradients written by hand, and the choice of the path.

Eager code takes a `torch.autograd.Function`, which costs a third of an operator's call; `torch.compile` keeps the
operators `heedful::additive_scores` and `heedful::additive_attention` whole, as does whatever else records or has no
numbers; `torch.export`, TorchScript and `torch.func` get the plain tanh form.
"""

from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import peek_interpreter_stack
from torch.autograd import forward_ad
from torch.autograd.function import once_differentiable

from heedful.kernels.additive import reference
from heedful.kernels.additive.backend import backend, reads_numbers
from heedful.kernels.additive.steps import AdditiveMemory, fits, step_attention, step_scores

_COMPUTED = torch.float32, torch.float64
# Up to so many elements of batch x queries x keys x units, PyTorch's operators cost less than ours, forth and back.
_FEW = 4096


def _run(name: str, tensors: tuple[Tensor, ...], *rest: Any) -> tuple[Any, ...]:
    """Call a function of the backend: half and bfloat16 in float32, mixed types in the widest.

    Autocast stays outside: it would cast the blocks of a product to half.
    """
    first = tensors[0]
    dtype, device = first.dtype, first.device.type
    for tensor in tensors:
        if tensor.dtype is not dtype or dtype not in _COMPUTED:
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


def _scores(query: Tensor, key: Tensor, energy: Tensor) -> tuple[Tensor, Any]:
    scores, plan = _run("scores_forward", (query, key, energy))
    return scores.to(query.dtype), plan


def _scores_gradients(
    grad: Tensor, query: Tensor, key: Tensor, energy: Tensor, plan: Any = None
) -> tuple[Tensor, Tensor, Tensor]:
    own = query, key, energy
    grad_query, grad_key, grad_energy = _as(_run("scores_backward", (grad, *own), plan), own)
    return grad_query, grad_key, grad_energy


def _attention(
    query: Tensor, key: Tensor, value: Tensor, energy: Tensor, mask: Tensor | None, need_weights: bool,
    need_grad: bool,
) -> tuple[Tensor, Tensor | None, Any]:  # fmt: skip
    context, weights, plan = _run("attention_forward", (query, key, value, energy), mask, need_weights, need_grad)
    return context if context.dtype is value.dtype else context.to(value.dtype), weights, plan


def _attention_gradients(
    grad_context: Tensor, grad_weights: Tensor | None, query: Tensor, key: Tensor, value: Tensor, energy: Tensor,
    mask: Tensor | None, weights: Tensor | None = None, plan: Any = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    own = query, key, value, energy
    grads = _run("attention_backward", (*own, grad_context), grad_weights, mask, weights, plan)
    grad_query, grad_key, grad_value, grad_energy = _as(grads, own)
    return grad_query, grad_key, grad_value, grad_energy


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
        if torch.compiler.is_compiling():  # what calls backward() is compiled: a kernel is not to be traced
            return _scores_backward_op(grad, query, key, energy)
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
        if torch.compiler.is_compiling():
            own = query, key, value, energy, mask
            return *_attention_backward_op(grad_context, grad_weights, *own), None, None
        saved = query, key, value, energy, mask, weights
        return *_attention_gradients(grad_context, grad_weights, *saved, ctx.plan), None, None


class _OnlyKey(torch.autograd.Function):
    """A single key, whose weight is 1 whatever its score: a gradient for the value alone."""

    @staticmethod
    def forward(ctx, query, key, value, energy):
        ctx.save_for_backward(query, key, energy)
        return reference.only_key_attention(query, key, value, energy)

    @staticmethod
    def backward(ctx, grad):
        query, key, energy = map(torch.zeros_like, ctx.saved_tensors)
        return query, key, grad if grad.shape[1] == 1 else grad.sum(1, keepdim=True), energy


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
    memory, key = (key, key.key) if isinstance(key, AdditiveMemory) else (None, key)
    if reads_numbers(query, key, energy):
        if memory is not None and fits(query, memory, energy, None, None):
            return step_scores(query, memory, energy)
        if not _differentiates(query, key, energy):
            return _scores(query, key, energy)[0]
        return _Scores.apply(query, key, energy)  # pyright: ignore[reportReturnType]: apply is not annotated
    if _is_for_others():
        return reference.additive_scores(query, key, energy)
    return _scores_op(query, key, energy)


def additive_attention(
    query: Tensor, key: Tensor | AdditiveMemory, value: Tensor, energy: Tensor, mask: Tensor | None, need_weights: bool
) -> tuple[Tensor, Tensor | None]:
    """Context [batch, queries, value_dim], and weights [batch, queries, keys] if asked for; `mask` has three axes."""
    memory, key = (key, key.key) if isinstance(key, AdditiveMemory) else (None, key)
    if reads_numbers(query, key, value, energy):
        if memory is not None and fits(query, memory, energy, mask, value):
            context, weights = step_attention(query, memory, value, energy, mask)
            return context, weights if need_weights else None
        wanted = _differentiates(query, key, value, energy)
        if mask is None and _is_small(query, key, value, energy, wanted):
            if key.shape[1] == 1 and not need_weights:
                read = _OnlyKey.apply if wanted and forward_ad._current_level < 0 else reference.only_key_attention
                return read(query, key, value, energy), None  # pyright: ignore[reportReturnType]: apply is not annotated
            context, weights = reference.small_attention(query, key, value, energy)
            return context, weights if need_weights else None
        if not wanted:
            context, weights, _ = _attention(query, key, value, energy, mask, need_weights, False)
            return context, None if weights is None else weights.to(value.dtype)
        return _Attention.apply(query, key, value, energy, mask, need_weights)  # pyright: ignore[reportReturnType]
    if _is_for_others():
        whole = None if mask is None else mask.expand(query.shape[0], query.shape[1], key.shape[1])
        context, weights = reference.additive_attention(query, key, value, energy, whole)
        return context, weights if need_weights else None
    context, weights = _attention_op(query, key, value, energy, mask, need_weights)
    return context, weights if need_weights else None


def _differentiates(*tensors: Tensor) -> bool:
    """Whether autograd must know of the call: a gradient is wanted, or a tangent may be carried along."""
    if forward_ad._current_level >= 0:
        return True
    if torch.is_grad_enabled():
        for tensor in tensors:
            if tensor.requires_grad:
                return True
    return False


def _is_small(query: Tensor, key: Tensor, value: Tensor, energy: Tensor, wanted: bool) -> bool:
    """Whether the plain formula costs less than a call of ours, with or without a gradient (`wanted`): few elements, or
    hardly a key.
    """
    keys = key.shape[1]
    if keys > 2 and not (wanted and query.numel() * keys <= _FEW):
        return False
    own = query.dtype is key.dtype is value.dtype is energy.dtype and query.dtype in _COMPUTED
    return own and query.is_cpu and not torch.is_autocast_enabled("cpu")


def _is_for_others() -> bool:
    """Whether a graph that may run without heedful is made (TorchScript; torch.export, which torch 2.6 cannot tell from
    torch.compile), or torch.func transforms the call and wants operators with rules of their own.
    """
    if torch.compiler.is_compiling():
        return getattr(torch.compiler, "is_exporting", lambda: False)()
    return torch._C._get_tracing_state() is not None or peek_interpreter_stack() is not None
