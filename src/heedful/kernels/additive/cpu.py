"""Fused additive attention on the CPU: the kernels' arrays, in which blocks, as which jobs.

Nothing of queries x keys x units is stored, and of queries x keys no more than a block.
"""

from dataclasses import dataclass
from functools import cache
from types import ModuleType

import torch
from torch import Tensor

from heedful.kernels.additive.chunked import BLOCK, blocks
from heedful.kernels.additive.plan import Plan, Side, constants, kernels, lanes, plan
from heedful.kernels.threads import address, share

# What a gradient costs, in scores.
_SLOPE = 2
_ROWS = torch.contiguous_format
# Queries of a long memory whose gradients are taken together: with fewer, its keys are read again and again.
_QUERIES = 64
# Up to so large a sum of a query and a key, two terms of the series of tanh are closer than 1 - 2 r.
_SMALL = {torch.float32: 0.02, torch.float64: 2e-4}


@cache
def _back() -> ModuleType:
    from heedful.kernels.additive import cpu_gradients

    return cpu_gradients


def _worth_keeping(sides: Plan) -> Plan | None:
    """The plan for the backward pass, unless its factors are so large that memory matters more than time."""
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
) -> None:  # fmt: skip
    """Run the forward kernel over all rows."""
    batch, queries, keys = shape
    numbers = (
        *sides.numbers(), address(seen), address(rows), *((0, 0, 0) if rows is None else rows.stride()),
        address(value), 0 if value is None else value.shape[2], address(context), address(out), softmax, queries, keys,
    )  # fmt: skip
    units, dtype = sides.size()
    kernel = kernels().forward(*constants(dtype), *sides.marks())
    share(kernel, numbers, batch * queries, batch * queries * keys * units, min(queries, 4))


def scores_forward(query: Tensor, key: Tensor, energy: Tensor) -> tuple[Tensor, Plan | None]:
    """Scores [batch, queries, keys], and the plan if the backward pass can reuse it."""
    shape = (query.shape[0], query.shape[1], key.shape[1])
    out = query.new_empty(shape)
    if out.numel() == 0:
        return out, None
    sides = plan(query, key, energy, None)
    _forward(sides, shape, None, None, None, None, out, False)
    return out, _worth_keeping(sides)


def scores_backward(grad: Tensor, query: Tensor, key: Tensor, energy: Tensor, sides: Plan | None) -> tuple[Tensor, ...]:
    """Gradients of query, key and energy."""
    if grad.numel() == 0 or energy.numel() == 0:
        return _zeros(query, key, energy)
    sides = sides or plan(query, key, energy, None)
    part = _Part(sides, query, key, *_room(query, key, sides, None), None)
    grad_energy = part.add(grad.contiguous(), True, True)
    return part.grad_query, part.grad_key, grad_energy


def attention_forward(
    query: Tensor, key: Tensor, value: Tensor, energy: Tensor, mask: Tensor | None, need_weights: bool, need_grad: bool
) -> tuple[Tensor, Tensor | None, Plan | None]:
    """Context, weights (if asked for, or so few that it pays to keep them for the backward pass) and the plan."""
    batch, queries, _ = query.shape
    keys = key.shape[1]
    shape = batch, queries, keys
    kept = need_weights or (need_grad and batch * queries * keys <= BLOCK)
    weights = query.new_empty(shape) if kept else None
    if batch * queries * keys == 0:
        return value.new_zeros(batch, queries, value.shape[2]), weights, None
    seen, rows = _visibility(mask, batch, queries, keys)
    sides, value = plan(query, key, energy, seen), value.contiguous()
    context = value.new_empty(batch, queries, value.shape[2])
    _forward(sides, shape, seen, rows, value, context, weights, True)
    return context, weights, _worth_keeping(sides)


def attention_backward(
    query: Tensor, key: Tensor, value: Tensor, energy: Tensor, grad_context: Tensor, grad_weights: Tensor | None,
    mask: Tensor | None, weights: Tensor | None, sides: Plan | None,
) -> tuple[Tensor, ...]:  # fmt: skip
    """Gradients of query, key, value and energy; weights that were not kept are computed again, block by block."""
    batch, queries, keys = query.shape[0], query.shape[1], key.shape[1]
    size = batch * queries * keys
    if size == 0:
        return _zeros(query, key, value, energy)
    seen, rows = _visibility(mask, batch, queries, keys)
    sides, value = sides or plan(query, key, energy, seen), value.contiguous()
    grad_value = torch.empty_like(value)
    part = _Part(sides, query, key, *_room(query, key, sides, seen), seen)
    reads = _Reads(rows, value, grad_value, grad_context.contiguous(), weights, grad_weights)
    most = max(BLOCK, min(_QUERIES * keys, 4 * BLOCK))
    if size <= most:
        room = query.new_empty(size)
        return part.grad_query, part.grad_key, grad_value, _go_back(part, reads, room, True, True)
    grad_energy, room = torch.zeros_like(energy), query.new_empty(max(most, keys))
    for b, q in blocks(batch, queries, keys, most):
        grad_energy += _go_back(part.block(b, q), reads.block(b, q), room, q.start == 0, q.stop == queries)
    return part.grad_query, part.grad_key, grad_value, grad_energy


def _zeros(*tensors: Tensor) -> tuple[Tensor, ...]:
    return tuple(tensor.new_zeros(tensor.shape) for tensor in tensors)


def _room(query: Tensor, key: Tensor, sides: Plan, seen: Tensor | None) -> tuple[Tensor, Tensor]:
    """Room for the gradients of queries and keys; with zeros where the kernel leaves some out."""
    left_out = seen is not None or any(side.columns is not None for side, _, _ in sides.sides())
    make = torch.zeros_like if left_out else torch.empty_like
    return torch.empty_like(query, memory_format=_ROWS), make(key, memory_format=_ROWS)


@dataclass(slots=True)
class _Part:
    """What a part of the scores is made of, and where the gradients of that go."""

    sides: Plan
    query: Tensor
    key: Tensor
    grad_query: Tensor
    grad_key: Tensor
    seen: Tensor | None

    def block(self, b: slice, q: slice) -> "_Part":
        """Some batch items, some queries of theirs."""
        seen = None if self.seen is None else self.seen[b]
        pairs = self.query[b, q], self.key[b], self.grad_query[b, q], self.grad_key[b]
        return _Part(self.sides.block(b, q), *pairs, seen)

    def add(self, grad: Tensor, fresh: bool, done: bool) -> Tensor:
        """Write or add what the gradient of the scores contributes, and return that of the energy."""
        grad_energy = None
        for side, direct, wide in self.sides.sides():
            if side.columns is None:
                grad_energy = gradients(
                    side, direct, wide, grad, self.seen, self.grad_query, self.grad_key, fresh, done
                )
                continue
            query = grad.new_empty(*self.query.shape[:2], side.units)
            key = grad.new_zeros(*self.key.shape[:2], side.units)
            energy = gradients(side, direct, wide, grad, self.seen, query, key, True, True)
            self.grad_query[..., side.columns] = query
            self.grad_key[..., side.columns] += key
            grad_energy = grad.new_zeros(self.key.shape[2]) if grad_energy is None else grad_energy
            grad_energy[side.columns] = energy
        if self.sides.peak <= _SMALL[grad.dtype]:
            grad_energy = _small_energy(grad, self.query, self.key)
        return grad_energy  # pyright: ignore[reportReturnType]: a plan has a side


@dataclass(slots=True)
class _Reads:
    """What a part of the contexts is made of besides its scores, and its gradient."""

    rows: Tensor | None
    value: Tensor
    grad_value: Tensor
    grad_context: Tensor
    weights: Tensor | None
    grad_weights: Tensor | None

    def block(self, b: slice, q: slice) -> "_Reads":
        """Some batch items, some queries of theirs."""
        rows, weights, given = (
            None if tensor is None else tensor[b, q] for tensor in (self.rows, self.weights, self.grad_weights)
        )
        return _Reads(rows, self.value[b], self.grad_value[b], self.grad_context[b, q], weights, given)


def _go_back(part: _Part, reads: _Reads, room: Tensor, fresh: bool, done: bool) -> Tensor:
    """Write the gradients of a part, and return that of the energy; `room` is for the gradient of the scores."""
    batch, queries, keys = shape = reads.grad_context.shape[0], reads.grad_context.shape[1], reads.value.shape[1]
    weights, given, flow = reads.weights, reads.grad_weights, reads.grad_context
    if weights is None:
        weights = room.new_empty(shape)
        _forward(part.sides, shape, part.seen, reads.rows, None, None, weights, True)
    grad = room[: batch * queries * keys].view(shape)
    slope(weights, None if given is None else given.contiguous(), reads.value, flow, part.seen, grad)
    add_value_gradient(weights, flow, reads.grad_value, fresh)
    return part.add(grad, fresh, done)


def _small_energy(grad: Tensor, query: Tensor, key: Tensor) -> Tensor:
    """Sum of grad * tanh(a + b) by the series x - x^3 / 3, from products of sums."""
    rows, columns = grad.sum(2, keepdim=True), grad.sum(1).unsqueeze(-1)
    cross = (query.square() * (grad @ key) + query * (grad @ key.square())).sum((0, 1))
    cubes = (query**3 * rows).sum((0, 1)) + (key**3 * columns).sum((0, 1)) + 3 * cross
    return (query * rows).sum((0, 1)) + (key * columns).sum((0, 1)) - cubes / 3


def gradients(
    side: Side, direct: int | None, wide: int | None, grad: Tensor, seen: Tensor | None, grad_query: Tensor | None,
    grad_key: Tensor | None, fresh: bool, done: bool,
) -> Tensor:  # fmt: skip
    """Fill the gradients of queries and keys, unless None; returns that of the energy. `fresh` and `done`: see the
    kernel.
    """
    batch, queries, keys = grad.shape
    grad_energy = grad.new_empty(batch, side.units)
    numbers = (
        address(side.x), address(side.y), address(grad), address(side.energy), address(grad_query),
        address(grad_key), address(grad_energy), address(seen), queries, keys, side.units, fresh, done,
    )  # fmt: skip
    of_query, of_key = None if grad_query is None else 1, None if grad_key is None else 1
    kernel = _back().gradients(*constants(grad.dtype), direct, wide, of_query, of_key)
    registers = batch * -(-side.units // lanes(grad.dtype))
    # Each slice gathers the gradients of the scores anew.
    share(kernel, numbers, registers, _SLOPE * batch * queries * keys * side.units, 4)
    return grad_energy.view(side.units) if batch == 1 else grad_energy.sum(0)


def slope(
    weights: Tensor, given: Tensor | None, value: Tensor, flow: Tensor, seen: Tensor | None, grad: Tensor
) -> None:  # fmt: skip
    """Fill `grad`, the gradient of the scores, from those of their weights (`given`) and contexts (`flow`)."""
    batch, queries, keys = weights.shape
    numbers = (
        address(weights), address(grad), address(given), address(value), value.shape[2], address(flow),
        address(seen), queries, keys,
    )  # fmt: skip
    kernel = _back().slope(constants(grad.dtype)[0])
    share(kernel, numbers, batch * queries, batch * queries * keys * value.shape[2], min(queries, 16))


def add_value_gradient(weights: Tensor, flow: Tensor, grad_value: Tensor, fresh: bool) -> None:
    """Add to the gradient of the values (write it if `fresh`): weights transposed times that of the contexts."""
    batch, queries, keys = weights.shape
    numbers = (
        address(weights), address(flow), flow.shape[2], address(grad_value), queries, keys, fresh
    )  # fmt: skip
    tiles = batch * -(-keys // _back().TILE_KEYS)
    share(_back().value_gradient(constants(flow.dtype)[0]), numbers, tiles, batch * queries * keys * flow.shape[2])
