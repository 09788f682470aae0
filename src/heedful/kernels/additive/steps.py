"""One decoding step after the other over the same keys: their factors are kept, their gradients gathered.

A step costs so little that every call around it counts: this is the shortest way from tensors to kernel, for what a
decoder does (float32 or float64 on the CPU, one mask per batch item). Everything else takes the general way of `op`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import torch
from torch import Tensor

from heedful._pytree import register_pytree
from heedful.kernels.additive import cpu, operators
from heedful.kernels.additive.backend import choice, reads_numbers, records_gradients
from heedful.kernels.additive.deferred import defer, gathers, note
from heedful.kernels.additive.plan import Side, constants, exponentials, kernels
from heedful.kernels.threads import address, share


@register_pytree
@dataclass(frozen=True)
class AdditiveMemory:
    """Projected keys, ready for many steps; a value, whose tensors a beam may reorder.

    Attributes:
        key: `[batch, keys, units]`; their gradient is gathered over all steps of a backward pass. Where the path in use
            computes half precision in float32, they are cast here, once for all steps.
        factors: `[batch, keys, units up to whole registers]`, e^{2 key}, NaN where the key is out of range; `None`
            where the path in use needs none.
    """

    key: Tensor
    factors: Tensor | None


def remember_keys(key: Tensor) -> AdditiveMemory:
    """Take the exponentials of projected keys once, for many steps."""
    if not reads_numbers(key) or choice(key.device.type)[0] != "numba":
        return AdditiveMemory(key, None)
    key = operators.computed(key)
    factors, _ = exponentials(key.detach())
    return AdditiveMemory(defer(key, _merge_keys), factors)


def remember_values(value: Tensor) -> Tensor:
    """The same values, in the type that is computed in; their gradient is gathered over all steps."""
    if not reads_numbers(value) or choice(value.device.type)[0] != "numba":
        return value
    return defer(operators.computed(value), _merge_values)


def fits(query: Tensor, memory: AdditiveMemory, energy: Tensor, mask: Tensor | None, value: Tensor | None) -> bool:
    """Whether the shortest way is open."""
    factors, key = memory.factors, memory.key
    if factors is None or query.shape[1] != 1 or key.numel() == 0:
        return False
    if not query.dtype == key.dtype == energy.dtype == factors.dtype:
        return False
    if not (factors.is_contiguous() and energy.is_contiguous()):
        return False
    if mask is not None and (mask.shape != (key.shape[0], 1, key.shape[1]) or not mask.is_contiguous()):
        return False
    if value is None:
        return True
    return value.dtype == key.dtype and value.numel() > 0 and value.is_contiguous()


class _Step(torch.autograd.Function):
    """Context and weights of one query per batch item, or its scores where there is no value."""

    @staticmethod
    def forward(ctx, query, key, value, energy, factors, mask):
        ctx.set_materialize_grads(False)
        context, out, x = _forward(query, factors, value, energy, mask)
        ctx.plan, ctx.nodes = None, (gathers(key), None if value is None else gathers(value))
        if x is None:
            # out of the factors' range: the general way, forth and back
            if value is None:
                out, ctx.plan = cpu.scores_forward(query, key, energy)
            else:
                context, out, ctx.plan = cpu.attention_forward(query, key, value, energy, mask, True, True)
        ctx.save_for_backward(query, key, value, energy, mask, out, x, factors)
        return out if value is None else (context, out)

    @staticmethod
    def backward(ctx, *grads):
        *own, x, factors = ctx.saved_tensors
        grads = _present(grads, own)
        if records_gradients():
            return *_recorded(grads, own), None, None
        if x is None:
            return *_general(grads, own, ctx.plan), None, None
        return *_gathered(grads, own, x, factors, ctx.nodes), None, None


def _forward(
    query: Tensor, factors: Tensor, value: Tensor | None, energy: Tensor, mask: Tensor | None
) -> tuple[Tensor | None, Tensor, Tensor | None]:
    """Context (unless there is no value), weights or scores, and e^{2 query}: None if a factor is out of range."""
    batch, keys, units = factors.shape[0], factors.shape[1], energy.shape[0]
    x, largest = exponentials(query)
    out = query.new_empty(batch, 1, keys)
    if largest == inf:
        return None, out, None
    value_dim = 0 if value is None else value.shape[2]
    context = None if value is None else value.new_empty(batch, 1, value_dim)
    numbers = (
        address(x), address(factors), address(energy), units, 0, 0, 0, 0, 0, address(mask), 0, 0, 0, 0,
        address(value), value_dim, address(context), address(out), value is not None, 1, keys,
    )  # fmt: skip
    kernel = kernels().forward(*constants(query.dtype), 1, None, 1)
    not_a_number = share(kernel, numbers, batch, factors.numel() + batch * keys * value_dim)
    return (None, out, None) if not_a_number else (context, out, x)


def _room(side: Side, mask: Tensor | None) -> Tensor:
    """Room for the gradient of the keys; the kernel leaves out those that are hidden."""
    batch, keys, _ = side.y.shape
    make = side.y.new_empty if mask is None else side.y.new_zeros
    return make((batch, keys, side.units))


def _value_gradient(weights: Tensor, flow: Tensor) -> Tensor:
    grad_value = flow.new_empty(flow.shape[0], weights.shape[2], flow.shape[2])
    cpu.add_value_gradient(weights, flow, grad_value, True)
    return grad_value


def _present(grads: tuple[Any, ...], saved: Sequence[Any]) -> tuple[Any, ...]:
    """The gradient that flows into the context, zero if none does, and that of the weights; or that of the scores."""
    value = saved[2]
    if value is None or grads[0] is not None:
        return grads
    return value.new_zeros(value.shape[0], 1, value.shape[2]), grads[1]


def _recorded(grads: tuple[Any, ...], saved: Sequence[Any]) -> tuple[Any, ...]:
    """The gradients by operators, whose own gradients a graph may ask for; each step by itself."""
    query, key, value, energy, mask, _ = saved
    if value is not None:
        return operators.attention_backward_op(*grads, query, key, value, energy, mask)
    grad_query, grad_key, grad_energy = operators.scores_backward_op(grads[0], query, key, energy)
    return grad_query, grad_key, None, grad_energy


def _general(grads: tuple[Any, ...], saved: Sequence[Any], plan: Any) -> tuple[Any, ...]:
    query, key, value, energy, mask, out = saved
    if value is not None:
        return cpu.attention_backward(query, key, value, energy, grads[0], grads[1], mask, out, plan)
    grad_query, grad_key, grad_energy = cpu.scores_backward(grads[0], query, key, energy, plan)
    return grad_query, grad_key, None, grad_energy


def _gathered(
    grads: tuple[Any, ...], saved: Sequence[Any], x: Tensor, factors: Tensor, nodes: tuple[Any, Any]
) -> tuple[Any, ...]:
    """The gradients of query and energy; those of key and value now, or noted for the end of the backward pass."""
    _, _, value, energy, mask, out = saved
    key_node, value_node = nodes
    grad_value = None
    if value is None:
        grad = grads[0].contiguous()
    else:
        flow = grads[0].contiguous()
        given = None if grads[1] is None else grads[1].contiguous()
        grad = torch.empty_like(out)
        cpu.slope(out, given, value, flow, mask, grad)
        if value_node is None or not note(value_node, (out, flow)):
            grad_value = _value_gradient(out, flow)
    side = Side(x, factors, energy)
    noted = key_node is not None and note(key_node, (x, factors, energy, mask, grad))
    grad_query, grad_key = x.new_empty(x.shape[0], 1, side.units), None if noted else _room(side, mask)
    grad_energy = cpu.gradients(side, None, 1, grad, mask, grad_query, grad_key, True, True)
    return grad_query, grad_key, grad_value, grad_energy


def _merge_keys(notes: list[Any]) -> Tensor:
    """The gradient of the keys from all steps: as many queries at once."""
    groups: dict[tuple[int, ...], list[Any]] = {}
    for entry in notes:
        _, factors, energy, mask, _ = entry
        same = address(factors), address(energy), address(mask)
        groups.setdefault(same, []).append(entry)
    merged = []
    for entries in groups.values():
        x, grad = torch.cat([entry[0] for entry in entries], 1), torch.cat([entry[4] for entry in entries], 1)
        _, factors, energy, mask, _ = entries[0]
        side = Side(x, factors, energy)
        merged.append(_room(side, mask))
        cpu.gradients(side, None, 1, grad, mask, None, merged[-1], True, True)
    return merged[0] if len(merged) == 1 else torch.stack(merged).sum(0)


def _merge_values(notes: list[Any]) -> Tensor:
    """The gradient of the values from all steps."""
    return _value_gradient(torch.cat([weights for weights, _ in notes], 1), torch.cat([flow for _, flow in notes], 1))


def step_scores(query: Tensor, memory: AdditiveMemory, energy: Tensor) -> Tensor:
    """Scores [batch, 1, keys]."""
    return _Step.apply(query, memory.key, None, energy, memory.factors, None)  # pyright: ignore[reportReturnType]


def step_attention(
    query: Tensor, memory: AdditiveMemory, value: Tensor, energy: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Context [batch, 1, value_dim] and weights [batch, 1, keys]."""
    return _Step.apply(query, memory.key, value, energy, memory.factors, mask)  # pyright: ignore[reportReturnType]
