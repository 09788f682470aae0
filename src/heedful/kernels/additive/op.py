"""Additive attention as operators: gradients written by hand, and the choice of the path.

Eager code takes a `torch.autograd.Function`, which costs a third of an operator's call; `torch.compile` keeps the
operators `heedful::additive_scores` and `heedful::additive_attention` whole, as does whatever else records or has no
numbers; `torch.export`, TorchScript and `torch.func` get the plain tanh form. Where a graph of the gradients is asked
for (`create_graph=True`), operators compute them that have derivatives of their own (`second_derivatives`).
"""

import torch
from torch import Tensor
from torch._C._functorch import peek_interpreter_stack
from torch.autograd import forward_ad

from heedful.kernels.additive import operators, reference
from heedful.kernels.additive.backend import reads_numbers, records_gradients
from heedful.kernels.additive.steps import AdditiveMemory, fits, step_attention, step_scores

# Up to so many elements of batch x queries x keys x units, PyTorch's operators cost less than ours.
_FEW = 4096


class _Scores(torch.autograd.Function):
    @staticmethod
    def forward(ctx, query, key, energy):
        ctx.save_for_backward(query, key, energy)
        scores, ctx.plan = operators.scores(query, key, energy)
        return scores

    @staticmethod
    def backward(ctx, grad):
        query, key, energy = ctx.saved_tensors
        if records_gradients():
            return operators.scores_backward_op(grad, query, key, energy)
        return operators.scores_gradients(grad, query, key, energy, ctx.plan)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx, query, key, value, energy, mask, need_weights):
        context, weights, ctx.plan = operators.attention(
            query, key, value, energy, mask, need_weights, any(ctx.needs_input_grad)
        )
        ctx.save_for_backward(query, key, value, energy, mask, weights)
        ctx.set_materialize_grads(False)
        return context, weights.to(value.dtype) if need_weights and weights is not None else None

    @staticmethod
    def backward(ctx, grad_context, grad_weights):
        query, key, value, energy, mask, weights = ctx.saved_tensors
        if grad_context is None:
            grad_context = value.new_zeros(*query.shape[:2], value.shape[2])
        if records_gradients():
            own = query, key, value, energy, mask
            return *operators.attention_backward_op(grad_context, grad_weights, *own), None, None
        saved = query, key, value, energy, mask, weights
        return *operators.attention_gradients(grad_context, grad_weights, *saved, ctx.plan), None, None


class _OnlyKey(torch.autograd.Function):
    """A single key, whose weight is 1 whatever its score: a gradient for the value alone."""

    @staticmethod
    def forward(ctx, query, key, value, energy):
        ctx.save_for_backward(query, key, value, energy)
        return reference.only_key_attention(query, key, value, energy)

    @staticmethod
    def backward(ctx, grad):
        if records_gradients():
            return operators.attention_backward_op(grad, None, *ctx.saved_tensors, None)
        query, key, _, energy = map(torch.zeros_like, ctx.saved_tensors)
        return query, key, grad if grad.shape[1] == 1 else grad.sum(1, keepdim=True), energy


def additive_scores(query: Tensor, key: Tensor | AdditiveMemory, energy: Tensor) -> Tensor:
    """Scores [batch, queries, keys] by the fastest path for device and mode."""
    if widens(query, key):
        return additive_scores(query.float(), key, energy.float()).to(query.dtype)
    memory, key = (key, key.key) if isinstance(key, AdditiveMemory) else (None, key)
    if reads_numbers(query, key, energy):
        if memory is not None and fits(query, memory, energy, None, None):
            return step_scores(query, memory, energy)
        if not _differentiates(query, key, energy):
            return operators.scores(query, key, energy)[0]
        return _Scores.apply(query, key, energy)  # pyright: ignore[reportReturnType]: apply is not annotated
    if _is_for_others():
        return reference.additive_scores(query, key, energy)
    return operators.scores_op(query, key, energy)


def additive_attention(
    query: Tensor, key: Tensor | AdditiveMemory, value: Tensor, energy: Tensor, mask: Tensor | None, need_weights: bool
) -> tuple[Tensor, Tensor | None]:
    """Context [batch, queries, value_dim], and weights [batch, queries, keys] if asked for; `mask` has three axes."""
    if widens(query, key):
        wide = additive_attention(query.float(), key, value.float(), energy.float(), mask, need_weights)
        context, weights = (None if one is None else one.to(query.dtype) for one in wide)
        return context, weights  # pyright: ignore[reportReturnType]: there is a context
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
            context, weights, _ = operators.attention(query, key, value, energy, mask, need_weights, False)
            return context, None if weights is None else weights.to(value.dtype)
        return _Attention.apply(query, key, value, energy, mask, need_weights)  # pyright: ignore[reportReturnType]
    if _is_for_others():
        whole = None if mask is None else mask.expand(query.shape[0], query.shape[1], key.shape[1])
        context, weights = reference.additive_attention(query, key, value, energy, whole)
        return context, weights if need_weights else None
    context, weights = operators.attention_op(query, key, value, energy, mask, need_weights)
    return context, weights if need_weights else None


def widens(query: Tensor, key: Tensor | AdditiveMemory) -> bool:
    """Whether a query of half precision meets keys that were cast to float32 once for all steps."""
    half = query.dtype not in operators.COMPUTED
    return half and isinstance(key, AdditiveMemory) and key.key.dtype == torch.float32


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
    own = query.dtype is key.dtype is value.dtype is energy.dtype and query.dtype in operators.COMPUTED
    return own and query.is_cpu and not torch.is_autocast_enabled("cpu")


def _is_for_others() -> bool:
    """Whether a graph that may run without heedful is made (TorchScript; torch.export, which torch 2.6 cannot tell from
    torch.compile), or torch.func transforms the call and wants operators with rules of their own.
    """
    if torch.compiler.is_compiling():
        return getattr(torch.compiler, "is_exporting", lambda: False)()
    return torch._C._get_tracing_state() is not None or peek_interpreter_stack() is not None
