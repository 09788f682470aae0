"""Additive attention as operators: the gradient written by hand, and the dispatch to the fastest path at hand."""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from heedful.kernels.additive import chunked, reference


def _wide(tensor: Tensor) -> Tensor:
    """Half and bfloat16 are computed in float32."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


class _Scores(torch.autograd.Function):
    @staticmethod
    def forward(ctx, query, key, energy):
        ctx.save_for_backward(query, key, energy)
        return chunked.scores_forward(_wide(query), _wide(key), _wide(energy)).to(query.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        saved = ctx.saved_tensors
        grads = chunked.scores_backward(_wide(grad), *(_wide(tensor) for tensor in saved))
        return tuple(grad.to(tensor.dtype) for grad, tensor in zip(grads, saved, strict=True))


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx, query, key, value, energy, mask, need_weights):
        ctx.save_for_backward(query, key, value, energy, mask)
        ctx.set_materialize_grads(False)
        context, weights = chunked.attention_forward(
            _wide(query), _wide(key), _wide(value), _wide(energy), mask, need_weights
        )
        return context.to(value.dtype), None if weights is None else weights.to(value.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_context, grad_weights):
        query, key, value, energy, mask = ctx.saved_tensors
        if grad_context is None:
            grad_context = value.new_zeros(*query.shape[:2], value.shape[2])
        grad_weights = None if grad_weights is None else _wide(grad_weights)
        saved = query, key, value, energy
        grads = chunked.attention_backward(
            _wide(grad_context), grad_weights, *(_wide(tensor) for tensor in saved), mask
        )
        return *(grad.to(tensor.dtype) for grad, tensor in zip(grads, saved, strict=True)), None, None


def additive_scores(query: Tensor, key: Tensor, energy: Tensor) -> Tensor:
    """scores[b, q, k] = energy . tanh(query[b, q] + key[b, k])."""
    if torch.compiler.is_compiling():
        return reference.additive_scores(query, key, energy)
    return _Scores.apply(query, key, energy)


def additive_attention(
    query: Tensor, key: Tensor, value: Tensor, energy: Tensor, mask: Tensor | None, need_weights: bool
) -> tuple[Tensor, Tensor | None]:
    """Context and weights (None unless asked)."""
    if mask is not None:
        mask = mask.expand(query.shape[0], query.shape[1], key.shape[1])
        seen = mask.any(dim=-2).unsqueeze(-1)
        key, value = key.where(seen, 0.0), value.where(seen, 0.0)
    if torch.compiler.is_compiling():
        return reference.additive_attention(query, key, value, energy, mask)
    return _Attention.apply(query, key, value, energy, mask, need_weights)
