"""Second derivatives of additive attention: the plain formula, one block of queries at a time.

The gradients that come back to the gradients of queries, keys, values and energy are a direction in the space of these.
The gradient of (gradients . direction) is that of the outputs' derivative along it, weighted with their first
gradients: one forward and one backward pass through plain operators. A block holds `chunked.BLOCK` numbers; a dozen of
its size live at once.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from heedful.kernels.additive.chunked import blocks, visible
from heedful.kernels.additive.reference import masked_softmax


class _Last(torch.autograd.Function):
    """Hands on second derivatives; there is no third."""

    @staticmethod
    def forward(ctx, *found):  # noqa: ARG004
        return tuple(tensor.view_as(tensor) if isinstance(tensor, Tensor) else None for tensor in found)

    @staticmethod
    def backward(ctx, *grads):  # noqa: ARG004
        raise RuntimeError(
            "a third derivative of additive attention was asked for; it is differentiable twice. Write its formula "
            "with torch.tanh and torch.softmax where more are needed."
        )


def derivatives(
    formula: Callable[..., tuple[Tensor | None, ...]],
    flows: tuple[Tensor, ...],
    tensors: tuple[Tensor | None, ...],
    *rest: Any,
) -> tuple[Tensor | None, ...]:
    """What `formula` finds, `scores` or `attention`: computed in float32 or float64, without autocast, in the types of
    the tensors.
    """
    dtype = torch.float64 if any(t is not None and t.dtype == torch.float64 for t in tensors) else torch.float32
    own = [None if tensor is None else tensor.detach().to(dtype) for tensor in tensors]
    with torch.autocast(flows[0].device.type, enabled=False), torch.enable_grad():
        found = formula([flow.detach().to(dtype) for flow in flows], *own, *rest)
    found = [None if a is None or b is None else a.to(b.dtype) for a, b in zip(found, tensors, strict=True)]
    if not torch.is_grad_enabled():
        return tuple(found)
    return _Last.apply(*(None if tensor is None else tensor.requires_grad_() for tensor in found))  # pyright: ignore[reportReturnType]


def scores(flows: list[Tensor], grad: Tensor, query: Tensor, key: Tensor, energy: Tensor) -> tuple[Tensor, ...]:
    """Gradients of `grad`, the gradient of the scores, and of query, key and energy; `flows` into the gradients of
    these three.
    """
    found = _zeros(grad, query, key, energy)
    for b, q in blocks(query.shape[0], query.shape[1], key.shape[1] * query.shape[2]):
        part = _leaves(query[b, q], key[b], energy)
        _, speed = _speed(part, (flows[0][b, q], flows[1][b], flows[2]))
        grads = torch.autograd.grad(speed, part, grad[b, q])
        found[0][b, q], found[1][b, q] = speed.detach(), grads[0]
        found[2][b] += grads[1]
        found[3].add_(grads[2])
    return found


def attention(
    flows: list[Tensor], grad_context: Tensor, grad_weights: Tensor | None, query: Tensor, key: Tensor, value: Tensor,
    energy: Tensor, mask: Tensor | None,
) -> tuple[Tensor | None, ...]:  # fmt: skip
    """Gradients of `grad_context` and `grad_weights`, the first gradients, and of query, key, value and energy;
    `flows` are the gradients of the gradients of these four.
    """
    given = query.new_zeros(()) if grad_weights is None else grad_weights
    given = given.expand(query.shape[0], query.shape[1], key.shape[1])
    # hidden keys may hold anything, and so may the gradients of their gradients, which are zero
    key_flow, value_flow, _ = visible(query, flows[1], flows[2], mask)
    key, value, mask = visible(query, key, value, mask)
    given = given if mask is None else given.where(mask, 0.0)
    grad_given = torch.zeros_like(given) if grad_weights is not None else None
    found = _zeros(grad_context, query, key, value, energy)
    for b, q in blocks(query.shape[0], query.shape[1], key.shape[1] * query.shape[2]):
        part = _leaves(query[b, q], key[b], value[b], energy)
        own, seen = (flows[0][b, q], key_flow[b], value_flow[b], flows[3]), None if mask is None else mask[b, q]
        speeds = _speeds(part, own, seen)
        grads = torch.autograd.grad(speeds, part, (grad_context[b, q], given[b, q]))
        found[0][b, q], found[1][b, q] = speeds[0].detach(), grads[0]
        found[2][b] += grads[1]
        found[3][b] += grads[2]
        found[4].add_(grads[3])
        if grad_given is not None:
            grad_given[b, q] = speeds[1].detach()
    return found[0], grad_given, *found[1:]


def _zeros(*tensors: Tensor) -> tuple[Tensor, ...]:
    return tuple(tensor.new_zeros(tensor.shape) for tensor in tensors)


def _leaves(*tensors: Tensor) -> tuple[Tensor, ...]:
    return tuple(tensor.detach().requires_grad_() for tensor in tensors)


def _speed(own: tuple[Tensor, ...], flows: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """Scores of a block of queries, keys and energy, and how fast they change along the direction of the flows."""
    query, key, energy = own
    query_flow, key_flow, energy_flow = flows
    sums = query.unsqueeze(2) + key.unsqueeze(1)
    # the slope of tanh; the difference 1 - tanh^2 loses every digit far out
    slope = 4 * torch.sigmoid(2 * sums) * torch.sigmoid(-2 * sums)
    hidden = torch.tanh(sums)
    speed = (slope * (query_flow.unsqueeze(2) + key_flow.unsqueeze(1))) @ energy + hidden @ energy_flow
    return hidden @ energy, speed


def _speeds(own: tuple[Tensor, ...], flows: tuple[Tensor, ...], mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """How fast the contexts and the weights of a block change."""
    query, key, value, energy = own
    query_flow, key_flow, value_flow, energy_flow = flows
    found, speed = _speed((query, key, energy), (query_flow, key_flow, energy_flow))
    weights = masked_softmax(found, mask)
    speed = weights * (speed - (weights * speed).sum(-1, keepdim=True))
    return speed @ value + weights @ value_flow, speed
