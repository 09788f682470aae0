"""Fused additive attention on the CPU: the kernels' arrays, in which blocks, as which jobs.

Nothing of queries x keys x units is stored, and of queries x keys no more than a block.
"""

from functools import cache
from types import ModuleType

import torch
from torch import Tensor

from heedful.kernels.additive.chunked import BLOCK, blocks
from heedful.kernels.additive.plan import Plan, Side, constants, filled, kernels, lanes, plan
from heedful.kernels.threads import share

# What a gradient costs, in scores.
_SLOPE = 2
# Up to so large a sum of a query and a key, two terms of the series of tanh are closer than 1 - 2 r.
_SMALL = {torch.float32: 0.02, torch.float64: 2e-4}


@cache
def _back() -> ModuleType:
    from heedful.kernels.additive import cpu_gradients

    return cpu_gradients


def address(tensor: Tensor | None) -> int:
    """Where a contiguous tensor begins; 0 for none."""
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
) -> None:  # fmt: skip
    """Run the forward kernel over all rows."""
    batch, queries, keys = shape
    numbers = (
        *sides.numbers(), address(seen), address(rows), *((0, 0, 0) if rows is None else rows.stride()),
        address(value), 0 if value is None else value.shape[2], address(context), address(out), softmax, queries, keys,
    )  # fmt: skip
    own = (sides.product or sides.direct).energy  # pyright: ignore[reportOptionalMemberAccess]: one of them is there
    kernel = kernels().forward(*constants(own.dtype), *sides.marks())
    work = batch * queries * keys * sum(side.units for side, _, _ in sides.sides())
    share(kernel, numbers, batch * queries, work, min(queries, 4))


def scores_forward(query: Tensor, key: Tensor, energy: Tensor) -> tuple[Tensor, Plan | None]:
    """Scores [batch, queries, keys], and the plan if the backward pass had better have it."""
    shape = (query.shape[0], query.shape[1], key.shape[1])
    out = query.new_empty(shape)
    if out.numel() == 0:
        return out, None
    sides = plan(query, key, energy, None)
    _forward(sides, shape, None, None, None, None, out, False)
    return out, _worth_keeping(sides)


class _Gradients:
    """Gradients of query, key and energy, filled block by block."""

    def __init__(self, query: Tensor, key: Tensor, sides: Plan, seen: Tensor | None) -> None:
        self.inputs, self.sides, self.seen = (query, key), sides, seen
        written = seen is None and all(self._whole(side) for side, _, _ in sides.sides())
        self.query = query.new_empty(query.shape)
        self.key = key.new_empty(key.shape) if written else key.new_zeros(key.shape)
        self.energy = key.new_zeros(key.shape[2])

    def _whole(self, side: Side) -> bool:
        return side.units == self.inputs[0].shape[2] and side.columns is None

    def add(self, grad: Tensor, b: slice, q: slice) -> None:
        """Add what the gradient `grad` of a block of scores contributes; blocks of queries come in order."""
        seen, units = None if self.seen is None else self.seen[b], self.energy.shape[0]
        energy = torch.zeros_like(self.energy)
        for side, direct, wide in self.sides.block(b, q).sides():
            if self._whole(side):
                ends = q.start == 0, q.stop == self.query.shape[1]
                energy += gradients(side, direct, wide, grad, seen, self.query[b, q], self.key[b], *ends)
                continue
            query = grad.new_empty(grad.shape[0], grad.shape[1], side.units)
            key = grad.new_zeros(grad.shape[0], grad.shape[2], side.units)
            sums = gradients(side, direct, wide, grad, seen, query, key, True, True)
            columns = slice(0, units) if side.columns is None else side.columns
            count = units if side.columns is None else side.columns.numel()
            self.query[b, q][..., columns] = query[..., :count]
            self.key[b][..., columns] += key[..., :count]
            energy[columns] += sums[:count]
        if self.sides.peak <= _SMALL[grad.dtype]:
            query, key = self.inputs
            energy = _small_energy(grad, query[b, q], key[b])
        self.energy += energy


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
        side.x.data_ptr(), side.y.data_ptr(), grad.data_ptr(), side.energy.data_ptr(), address(grad_query),
        address(grad_key), grad_energy.data_ptr(), address(seen), queries, keys, side.units, fresh, done,
    )  # fmt: skip
    of_query, of_key = None if grad_query is None else 1, None if grad_key is None else 1
    kernel = _back().gradients(*constants(grad.dtype), direct, wide, of_query, of_key)
    registers = batch * side.units // lanes(grad.dtype)
    share(kernel, numbers, registers, _SLOPE * grad.numel() * side.units, 2)
    return grad_energy[0] if batch == 1 else grad_energy.sum(0)


def _zeros(*tensors: Tensor) -> tuple[Tensor, ...]:
    return tuple(tensor.new_zeros(tensor.shape) for tensor in tensors)


def scores_backward(grad: Tensor, query: Tensor, key: Tensor, energy: Tensor, sides: Plan | None) -> tuple[Tensor, ...]:
    """Gradients of query, key and energy."""
    if grad.numel() == 0 or energy.numel() == 0:
        return _zeros(query, key, energy)
    grads = _Gradients(query, key, sides or plan(query, key, energy, None), None)
    grads.add(grad.contiguous(), slice(0, grad.shape[0]), slice(0, grad.shape[1]))
    return grads.query, grads.key, grads.energy


def attention_forward(
    query: Tensor, key: Tensor, value: Tensor, energy: Tensor, mask: Tensor | None, need_weights: bool, need_grad: bool
) -> tuple[Tensor, Tensor | None, Plan | None]:
    """Context, weights (if asked for, or so few that the backward pass had better have them) and the plan."""
    shape = batch, queries, keys = query.shape[0], query.shape[1], key.shape[1]
    kept = need_weights or (need_grad and batch * queries * keys <= BLOCK)
    weights = query.new_empty(shape) if kept else None
    if batch * queries * keys == 0:
        return value.new_zeros(batch, queries, value.shape[2]), weights, None
    seen, rows = _visibility(mask, batch, queries, keys)
    sides, own_value = plan(query, key, energy, seen), filled(value)
    context = value.new_empty(batch, queries, own_value.shape[2])
    _forward(sides, shape, seen, rows, own_value, context, weights, True)
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
    sides = sides or plan(query, key, energy, seen)
    grads, own_value, flow = _Gradients(query, key, sides, seen), filled(value), filled(grad_context)
    grad_value = own_value.new_empty(own_value.shape)
    for b, q in blocks(batch, queries, keys, BLOCK if weights is not None else BLOCK // 4):
        own_seen = None if seen is None else seen[b]
        if weights is None:
            block = query.new_empty(b.stop - b.start, q.stop - q.start, keys)
            shape, own_rows = (block.shape[0], block.shape[1], keys), None if rows is None else rows[b, q]
            _forward(sides.block(b, q), shape, own_seen, own_rows, None, None, block, True)
        else:
            block = weights[b, q]
        given = None if grad_weights is None else grad_weights[b, q].contiguous()
        grad = slope(block, given, own_value[b], flow[b, q], own_seen)
        add_value_gradient(block, flow[b, q], grad_value[b], q.start == 0)
        grads.add(grad, b, q)
    return grads.query, grads.key, grad_value[..., : value.shape[2]].contiguous(), grads.energy


def slope(weights: Tensor, given: Tensor | None, value: Tensor, flow: Tensor, seen: Tensor | None) -> Tensor:
    """The gradient of a block of scores, from what flows into its weights (`given`) and contexts (`flow`)."""
    batch, queries, keys = weights.shape
    grad = torch.empty_like(weights)
    numbers = (
        weights.data_ptr(), grad.data_ptr(), address(given), value.data_ptr(), value.shape[2], flow.data_ptr(),
        address(seen), queries, keys,
    )  # fmt: skip
    kernel = _back().slope(constants(grad.dtype)[0])
    share(kernel, numbers, batch * queries, grad.numel() * value.shape[2], min(queries, 16))
    return grad


def add_value_gradient(weights: Tensor, flow: Tensor, grad_value: Tensor, fresh: bool) -> None:
    """Add to the gradient of the values (write it if `fresh`): weights transposed, times what flows into contexts."""
    batch, queries, keys = weights.shape
    numbers = (
        weights.data_ptr(), flow.data_ptr(), flow.shape[2], grad_value.data_ptr(), queries, keys, fresh
    )  # fmt: skip
    tiles = batch * -(-keys // _back().TILE_KEYS)
    share(_back().value_gradient(constants(flow.dtype)[0]), numbers, tiles, weights.numel() * flow.shape[2])
