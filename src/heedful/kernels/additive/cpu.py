"""Fused additive attention on the CPU: the kernels' arrays, in which blocks, on which threads.

Nothing of queries x keys x units is stored, and of queries x keys no more than a block.
"""

from collections.abc import Callable
from functools import cache
from math import inf
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from heedful.kernels.additive.chunked import BLOCK, blocks
from heedful.kernels.additive.plan import NUMBERS, Plan, Side, filled, kernels, lanes, numbers, plan, split
from heedful.kernels.threads import share

# What a gradient costs, in scores.
_SLOPE = 2
# Up to so large a sum of a query and a key, two terms of the series of tanh are closer than 1 - 2 r.
_SMALL = {torch.float32: 0.02, torch.float64: 2e-4}


@cache
def _back() -> ModuleType:
    from heedful.kernels.additive import cpu_gradients

    return cpu_gradients


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def _worth_keeping(sides: Plan) -> Plan | None:
    """The plan for the way back, unless its factors are so large that memory matters more than making them again."""
    near = sides.product
    return sides if near is None or near.x.numel() + near.y.numel() <= BLOCK else None


def _visibility(mask: Tensor | None, batch: int, queries: int, keys: int) -> tuple[Tensor | None, Tensor | None]:
    """Which keys some query of the batch item sees [batch, keys], and the mask itself where it depends on the query."""
    if mask is None:
        return None, None
    if mask.shape[1] == 1 or queries == 1:
        return mask[:, 0].expand(batch, keys).contiguous(), None
    return mask.any(1).expand(batch, keys).contiguous(), mask.expand(batch, queries, keys)


def _forward(
    sides: Plan, shape: tuple[int, int, int], seen: Tensor | None, rows: Tensor | None, value: Tensor | None,
    context: Tensor | None, out: Tensor | None, softmax: bool,
) -> bool:  # fmt: skip
    """Run the forward kernel over all rows; False if a sum was no number."""
    batch, queries, keys = shape
    energy = (sides.product or sides.direct).energy  # pyright: ignore[reportOptionalMemberAccess]: one of them is there
    value_dim = 0 if value is None else value.shape[2]
    args = (
        *numbers(energy.dtype), *sides.addresses(), _address(seen), _address(rows),
        *((0, 0, 0) if rows is None else rows.stride()), _address(value), value_dim, _address(context), _address(out),
        softmax, queries, keys,
    )  # fmt: skip
    work = batch * queries * keys * sum(side.units for side, _, _ in sides.sides())
    return not any(trace != trace for trace in share(kernels().forward, args, batch * queries, work))


def _soundly(run: Callable[[Plan], bool], sides: Plan, again: Callable[[], Plan]) -> Plan:
    """Run by a plan; where a factor of a remembered key turns out to be none, run once more by a careful plan."""
    if run(sides) or sides.product is None:
        return sides
    sides = again()
    run(sides)
    return sides


def scores_forward(query: Tensor, key: Tensor, energy: Tensor, factors: Tensor | None) -> tuple[Tensor, Plan | None]:
    """Scores [batch, queries, keys], and the plan if the backward pass had better have it."""
    shape = (query.shape[0], query.shape[1], key.shape[1])
    out = query.new_empty(shape)
    if out.numel() == 0:
        return out, None
    sides = _soundly(
        lambda sides: _forward(sides, shape, None, None, None, None, out, False),
        plan(query, key, energy, factors, None),
        lambda: split(query, key, energy, None),
    )
    return out, _worth_keeping(sides)


class _Gradients:
    """Gradients of query, key and energy, filled block by block."""

    def __init__(self, query: Tensor, key: Tensor, sides: Plan, seen: Tensor | None) -> None:
        self.units = query.shape[2]
        written = seen is None and all(self._whole(side) for side, _, _ in sides.sides())
        self.query = torch.empty_like(query, memory_format=torch.contiguous_format)
        self.key = key.new_empty(key.shape) if written else key.new_zeros(key.shape)
        self.energy = key.new_zeros(self.units)

    def _whole(self, side: Side) -> bool:
        return side.units == self.units and side.columns is None

    def add(self, sides: Plan, grad: Tensor, seen: Tensor | None, b: slice, q: slice, done: bool) -> None:
        """Add what the gradient `grad` of a block of scores contributes."""
        for side, direct, wide in sides.sides():
            whole = self._whole(side)
            shape = (grad.shape[0], grad.shape[1], side.units)
            query = self.query[b, q] if whole else grad.new_empty(shape)
            key = self.key[b] if whole else grad.new_zeros(grad.shape[0], grad.shape[2], side.units)
            first = q.start == 0 or not whole
            sums = _gradients(side, direct, wide, grad, seen, query, key, first, done or not whole)
            if whole:
                self.energy += sums
                continue
            columns = slice(0, self.units) if side.columns is None else side.columns
            count = self.units if side.columns is None else side.columns.numel()
            self.query[b, q][..., columns] = query[..., :count]
            self.key[b][..., columns] += key[..., :count]
            self.energy[columns] += sums[:count]


def _gradients(
    side: Side, direct: int | None, wide: int | None, grad: Tensor, seen: Tensor | None, grad_query: Tensor | None,
    grad_key: Tensor | None, fresh: bool, done: bool,
) -> Tensor:  # fmt: skip
    """Run the kernel; returns the gradient of the energy."""
    batch, queries, keys = grad.shape
    sum_r, scale = grad.new_empty(batch, side.units), 4 * side.energy
    args = (
        *numbers(grad.dtype), direct, wide, side.x.data_ptr(), side.y.data_ptr(), grad.data_ptr(), scale.data_ptr(),
        None if grad_query is None else grad_query.data_ptr(), None if grad_key is None else grad_key.data_ptr(),
        sum_r.data_ptr(), _address(seen), queries, keys, side.units, fresh, done,
    )  # fmt: skip
    registers = batch * side.units // lanes(grad.dtype)
    share(_back().gradients, args, registers, _SLOPE * grad.numel() * side.units)
    sums = sum_r.sum(0)
    return sums if direct else grad.sum() - 2 * sums


def _zeros(*tensors: Tensor) -> tuple[Tensor, ...]:
    return tuple(tensor.new_zeros(tensor.shape) for tensor in tensors)


def scores_backward(grad: Tensor, query: Tensor, key: Tensor, energy: Tensor, sides: Plan | None) -> tuple[Tensor, ...]:
    """Gradients of query, key and energy."""
    if grad.numel() == 0 or energy.numel() == 0:
        return _zeros(query, key, energy)
    sides = sides or plan(query, key, energy, None, None)
    grads = _Gradients(query, key, sides, None)
    grads.add(sides, grad.contiguous(), None, slice(0, grad.shape[0]), slice(0, grad.shape[1]), True)
    if sides.peak <= _SMALL[grad.dtype]:
        grads.energy = _small_energy_gradient(grad, query, key)
    return grads.query, grads.key, grads.energy


def _small_energy_gradient(grad: Tensor, query: Tensor, key: Tensor) -> Tensor:
    """Sum of grad * tanh(a + b) by the series x - x^3 / 3, from products of sums.

    Where every |a + b| is small, 1 - 2 r is little more than its rounding error.
    """
    rows, columns = grad.sum(2, keepdim=True), grad.sum(1).unsqueeze(-1)
    cross = (query.square() * (grad @ key) + query * (grad @ key.square())).sum((0, 1))
    cubes = (query**3 * rows).sum((0, 1)) + (key**3 * columns).sum((0, 1)) + 3 * cross
    return (query * rows).sum((0, 1)) + (key * columns).sum((0, 1)) - cubes / 3


def _values(value: Tensor, seen: Tensor | None) -> Tensor:
    """Whole registers; what no query may see is 0 before any product, for 0 * NaN is NaN."""
    return filled(value if seen is None else value.masked_fill(~seen.unsqueeze(-1), 0.0))


def attention_forward(
    query: Tensor, key: Tensor, value: Tensor, energy: Tensor, mask: Tensor | None, factors: Tensor | None,
    need_weights: bool, need_grad: bool,
) -> tuple[Tensor, Tensor | None, Plan | None]:  # fmt: skip
    """Context, weights (if asked for, or so few that the backward pass had better have them) and the plan."""
    shape = batch, queries, keys = query.shape[0], query.shape[1], key.shape[1]
    kept = need_weights or (need_grad and batch * queries * keys <= BLOCK)
    weights = query.new_empty(shape) if kept else None
    if batch * queries * keys == 0:
        return value.new_zeros(batch, queries, value.shape[2]), weights, None
    seen, rows = _visibility(mask, batch, queries, keys)
    own_value = filled(value)
    context = value.new_empty(batch, queries, own_value.shape[2])
    sides = _soundly(
        lambda sides: _forward(sides, shape, seen, rows, own_value, context, weights, True),
        plan(query, key, energy, factors, seen),
        lambda: split(query, key, energy, seen),
    )
    return context[..., : value.shape[2]].contiguous(), weights, _worth_keeping(sides)


def attention_backward(
    grad_context: Tensor, grad_weights: Tensor | None, query: Tensor, key: Tensor, value: Tensor, energy: Tensor,
    mask: Tensor | None, weights: Tensor | None, sides: Plan | None,
) -> tuple[Tensor, ...]:  # fmt: skip
    """Gradients of query, key, value and energy; weights that were not kept are computed again, block by block."""
    batch, queries, keys = query.shape[0], query.shape[1], key.shape[1]
    if batch * queries * keys == 0:
        return _zeros(query, key, value, energy)
    seen, rows = _visibility(mask, batch, queries, keys)
    sides = sides or plan(query, key, energy, None, seen)
    grads = _Gradients(query, key, sides, seen)
    own_value, flow = filled(value), filled(grad_context)
    grad_value, small = own_value.new_empty(own_value.shape), torch.zeros_like(energy)
    for b, q in blocks(batch, queries, keys):
        parts, own_seen = sides.block(b, q), None if seen is None else seen[b]
        block = query.new_empty(b.stop - b.start, q.stop - q.start, keys) if weights is None else weights[b, q]
        if weights is None:
            own_rows = None if rows is None else rows[b, q]
            _forward(parts, (block.shape[0], block.shape[1], keys), own_seen, own_rows, None, None, block, True)
        given = None if grad_weights is None else grad_weights[b, q].contiguous()
        grad = _slope(block, given, own_value[b], flow[b, q], own_seen)
        _add_value_gradient(block, flow[b, q], grad_value[b], q.start == 0)
        grads.add(parts, grad, own_seen, b, q, q.stop == queries)
        small += _small_energy_gradient(grad, query[b, q], key[b]) if sides.peak <= _SMALL[grad.dtype] else 0
    grad_energy = small if sides.peak <= _SMALL[energy.dtype] else grads.energy
    return grads.query, grads.key, grad_value[..., : value.shape[2]].contiguous(), grad_energy


def _slope(weights: Tensor, given: Tensor | None, value: Tensor, flow: Tensor, seen: Tensor | None) -> Tensor:
    """The gradient of a block of scores, from what flows into its weights (`given`) and contexts (`flow`)."""
    batch, queries, keys = weights.shape
    grad = torch.empty_like(weights)
    args = (
        numbers(grad.dtype)[0], weights.data_ptr(), grad.data_ptr(), _address(given), value.data_ptr(), value.shape[2],
        flow.data_ptr(), _address(seen), queries, keys,
    )  # fmt: skip
    share(_back().slope, args, batch * queries, grad.numel() * value.shape[2])
    return grad


def _add_value_gradient(weights: Tensor, flow: Tensor, grad_value: Tensor, fresh: bool) -> None:
    batch, queries, keys = weights.shape
    args: tuple[Any, ...] = (
        numbers(flow.dtype)[0], weights.data_ptr(), flow.data_ptr(), flow.shape[2], grad_value.data_ptr(), queries,
        keys, fresh,
    )  # fmt: skip
    tiles = batch * -(-keys // _back().TILE_KEYS)
    share(_back().value_gradient, args, tiles, weights.numel() * flow.shape[2])


def step_forward(
    query: Tensor, factors: Tensor, value: Tensor | None, energy: Tensor, mask: Tensor | None
) -> tuple[Tensor | None, Tensor, Tensor | None]:
    """Context (unless there is no value), weights or scores, and e^{2 query}: None if a factor is out of range."""
    batch, keys, units = factors.shape
    query, x, out = query.contiguous(), query.new_empty(batch, 1, units), query.new_empty(batch, 1, keys)
    energy = energy.contiguous()
    unit, cut, limit, _ = NUMBERS[query.dtype]
    run = kernels()
    registers = batch * units // lanes(query.dtype)
    if run.exponentials(unit, limit, query.data_ptr(), x.data_ptr(), 0, registers) == inf:
        return None, out, None
    value_dim = 0 if value is None else value.shape[2]
    context = None if value is None else value.new_empty(batch, 1, value_dim)
    args = (
        unit, cut, 1, x.data_ptr(), factors.data_ptr(), energy.data_ptr(), units, None, None, None, None,
        _address(mask), 0, 0, 0, 0, _address(value), value_dim, _address(context), out.data_ptr(), value is not None,
        1, keys,
    )  # fmt: skip
    for trace in share(run.forward, args, batch, factors.numel() + batch * keys * value_dim):
        if trace != trace:
            return None, out, None
    return context, out, x


def step_slope(weights: Tensor, given: Tensor | None, value: Tensor, flow: Tensor, mask: Tensor | None) -> Tensor:
    """The gradient of one step's scores."""
    return _slope(weights, None if given is None else given.contiguous(), value, flow, mask)


def step_gradients(
    x: Tensor, factors: Tensor, energy: Tensor, mask: Tensor | None, grad: Tensor, now: bool
) -> tuple[Tensor, Tensor | None, Tensor]:
    """The gradients of one step's query, of the keys (if wanted `now`) and of the energy."""
    grad_query, grad_key = torch.empty_like(x), None
    if now:
        grad_key = torch.empty_like(factors) if mask is None else torch.zeros_like(factors)
    sums = _gradients(Side(x, factors, energy), None, 1, grad, mask, grad_query, grad_key, True, True)
    return grad_query, grad_key, sums


def key_gradient(x: Tensor, factors: Tensor, energy: Tensor, mask: Tensor | None, grad: Tensor) -> Tensor:
    """The gradient of the keys from many queries."""
    grad_key = torch.empty_like(factors) if mask is None else torch.zeros_like(factors)
    _gradients(Side(x, factors, energy), None, 1, grad, mask, None, grad_key, True, True)
    return grad_key


def value_gradient(weights: Tensor, flow: Tensor) -> Tensor:
    """The gradient of the values from the weights and what flows into the contexts."""
    grad_value = flow.new_empty(flow.shape[0], weights.shape[2], flow.shape[2])
    _add_value_gradient(weights, flow, grad_value, True)
    return grad_value
