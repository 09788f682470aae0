"""Fused additive attention on the CPU: what comes as factors and what directly, in which blocks, on which threads.

Factors e^{2x} serve where |x| stays below a limit at which both they and their product with any other are safe; a unit that goes
beyond it, or is no number, is taken directly, e^{2(a + b)}, exact for every input. Nothing of queries x keys x units is stored.
"""

from dataclasses import dataclass
from functools import cache
from math import inf
from types import ModuleType

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from heedful.kernels.additive.chunked import BLOCK, blocks
from heedful.kernels.threads import share

# The unit, the cut of the product where tanh has rounded to 1, and the largest magnitude whose factor is normal and finite.
_NUMBERS = {
    torch.float32: (np.float32(1), np.float32(2.0**27), np.float32(43)),
    torch.float64: (np.float64(1), np.float64(2.0**57), np.float64(350)),
}
# Up to so many queries the factors of the keys do not repay themselves, or the context is read by the kernel.
_FEW = 2
_FEW_READS = 4
# A gradient costs about twice a score.
_SLOPE = 2


@cache
def kernels() -> ModuleType:
    """The compiled kernels; Numba is imported at the first call."""
    from heedful.kernels.additive import cpu_kernels

    return cpu_kernels


@cache
def _lanes(dtype: torch.dtype) -> int:
    from heedful.kernels.simd import lanes_of

    return lanes_of(_NUMBERS[dtype][0].dtype)


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def _filled(tensor: Tensor) -> Tensor:
    """Contiguous, with zero units up to whole registers."""
    missing = -tensor.shape[-1] % _lanes(tensor.dtype)
    return pad(tensor, (0, missing)) if missing else tensor.contiguous()


def exponentials(tensor: Tensor) -> tuple[Tensor, float]:
    """e^{2x} with units up to whole registers, NaN beyond the limit; and the largest magnitude, infinity beyond the limit."""
    source = _filled(tensor)
    target = torch.empty_like(source)
    unit, _, limit = _NUMBERS[tensor.dtype]
    registers = source.numel() // _lanes(tensor.dtype)
    args = (unit, limit, source.data_ptr(), target.data_ptr())
    return target, max(share(kernels().exponentials, args, registers, 4 * source.numel()), default=0.0)


@dataclass(frozen=True)
class Side:
    """Queries, keys and energy of some units, filled up to whole registers: as factors, or as they are."""

    x: Tensor
    y: Tensor
    energy: Tensor
    columns: Tensor | None = None

    @property
    def units(self) -> int:
        """Units of the arrays, those filled in included."""
        return self.energy.shape[0]


@dataclass(frozen=True)
class Plan:
    """How each unit is taken: `product` by factors, `direct` by the exponential of the sum; `peak` bounds |a + b|."""

    product: Side | None
    direct: Side | None
    peak: float = inf

    def addresses(self) -> tuple[int, ...]:
        """What the forward kernel reads."""
        near, far = self.product, self.direct
        product = (0, 0, 0, 0) if near is None else (*map(_address, (near.x, near.y, near.energy)), near.units)
        direct = (0, 0, 0, 0) if far is None else (*map(_address, (far.x, far.y, far.energy)), far.units)
        return (*product, *direct)


def plan(query: Tensor, key: Tensor, energy: Tensor, factors: Tensor | None, seen: Tensor | None) -> Plan:
    """Factors for every unit if the range allows it, and they repay themselves or are there already."""
    if factors is None and query.shape[1] <= _FEW:
        return Plan(None, Side(_filled(query), _filled(key), _filled(energy)))
    x, query_peak = exponentials(query)
    y, key_peak = exponentials(key) if factors is None else (factors, 0.0)
    if max(query_peak, key_peak) == inf:
        return split(query, key, energy, seen)
    return Plan(Side(x, y, _filled(energy)), None, query_peak + key_peak if factors is None else inf)


def split(query: Tensor, key: Tensor, energy: Tensor, seen: Tensor | None) -> Plan:
    """Factors for the units whose visible range allows it, the others directly."""
    limit = float(_NUMBERS[query.dtype][2])
    visible = key if seen is None else key.masked_fill(~seen.unsqueeze(-1), 0.0)
    safe = (query.abs() <= limit).all(1).all(0) & (visible.abs() <= limit).all(1).all(0)
    near, far = safe.nonzero().squeeze(-1), (~safe).nonzero().squeeze(-1)
    x, y = exponentials(query[..., near])[0], exponentials(visible[..., near])[0]
    product = Side(x, y, _filled(energy[near]), near) if near.numel() else None
    direct = Side(_filled(query[..., far]), _filled(key[..., far]), _filled(energy[far]), far) if far.numel() else None
    return Plan(product, direct)


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
    sides: Plan, energy: Tensor, shape: tuple[int, int, int], seen: Tensor | None, rows: Tensor | None,
    value: Tensor | None, context: Tensor | None, out: Tensor, softmax: bool,
) -> bool:  # fmt: skip
    """Run the forward kernel over all rows; False if a sum was no number."""
    batch, queries, keys = shape
    unit, cut, _ = _NUMBERS[energy.dtype]
    value_dim = 0 if value is None else value.shape[2]
    args = (
        unit, cut, *sides.addresses(), _address(seen), _address(rows), *((0, 0, 0) if rows is None else rows.stride()),
        _address(value), value_dim, _address(context), _address(out), softmax, queries, keys,
    )  # fmt: skip
    work = batch * queries * keys * energy.shape[0]
    return not any(trace != trace for trace in share(kernels().forward, args, batch * queries, work))


def _block_of(sides: Plan, b: slice, q: slice) -> Plan:
    """The rows of a block: a range of batch items with all their queries, or of queries of one item."""

    def part(side: Side | None) -> Side | None:
        return None if side is None else Side(side.x[b, q], side.y[b], side.energy, side.columns)

    return Plan(part(sides.product), part(sides.direct), sides.peak)


def scores_forward(query: Tensor, key: Tensor, energy: Tensor, factors: Tensor | None) -> tuple[Tensor, Plan | None]:
    """scores [batch, queries, keys], and the plan that the backward pass may use again."""
    shape = (query.shape[0], query.shape[1], key.shape[1])
    out = query.new_empty(shape)
    sides = plan(query, key, energy, factors, None)
    if not _forward(sides, energy, shape, None, None, None, None, out, False) and sides.product is not None:
        sides = split(query, key, energy, None)
        _forward(sides, energy, shape, None, None, None, None, out, False)
    return out, _worth_keeping(sides)


def _gradients(
    sides: Plan, grad: Tensor, shape: tuple[int, int, int], seen: Tensor | None, grads: list[Tensor], fresh: bool
) -> Tensor:
    """Fill the gradient of the queries, add to that of the keys (written if fresh), return that of the energy less sum(grad)."""
    batch, queries, keys = shape
    grad_query, grad_key = grads
    grad_energy = grad.new_zeros(grad_query.shape[2])
    for side, kernel in ((sides.product, kernels().product_gradients), (sides.direct, kernels().direct_gradients)):
        if side is None:
            continue
        whole = side.units == grad_query.shape[2]
        own_query = grad_query if whole else grad.new_empty(batch, queries, side.units)
        own_key = grad_key if whole else grad.new_zeros(batch, keys, side.units)
        sum_r = grad.new_empty(batch, side.units)
        scale = 4 * side.energy
        unit, cut, _ = _NUMBERS[grad.dtype]
        args = (
            unit, cut, side.x.data_ptr(), side.y.data_ptr(), grad.data_ptr(), scale.data_ptr(), own_query.data_ptr(),
            own_key.data_ptr(), sum_r.data_ptr(), _address(seen), queries, keys, side.units, fresh or not whole,
        )  # fmt: skip
        registers = batch * side.units // _lanes(grad.dtype)
        share(kernel, args, registers, _SLOPE * batch * queries * keys * side.units)
        sums = -2 * sum_r.sum(0)
        if whole:
            grad_energy += sums
            continue
        columns = slice(0, grad_query.shape[2]) if side.columns is None else side.columns
        count = grad_query.shape[2] if side.columns is None else side.columns.numel()
        grad_query[..., columns] = own_query[..., :count]
        grad_key[..., columns] += own_key[..., :count]
        grad_energy[columns] += sums[:count]
    return grad_energy


def _empty_gradients(sides: Plan, query: Tensor, key: Tensor, seen: Tensor | None) -> tuple[Tensor, Tensor]:
    """Room for the gradients; the keys' must be clear where the kernel writes only some rows or columns."""
    whole = any(side is not None and side.units == query.shape[2] for side in (sides.product, sides.direct))
    written = whole and seen is None and query.shape[1] > 0
    grad_query = query.new_empty(query.shape)
    return grad_query, key.new_empty(key.shape) if written else key.new_zeros(key.shape)


def scores_backward(
    grad: Tensor, query: Tensor, key: Tensor, energy: Tensor, sides: Plan | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of query, key and energy."""
    sides = sides or plan(query, key, energy, None, None)
    shape = (query.shape[0], query.shape[1], key.shape[1])
    grad = grad.contiguous()
    grad_query, grad_key = _empty_gradients(sides, query, key, None)
    grad_energy = _gradients(sides, grad, shape, None, [grad_query, grad_key], True)
    grad_energy += grad.sum()
    return grad_query, grad_key.mul_(4 * energy), grad_energy


def attention_forward(
    query: Tensor, key: Tensor, value: Tensor, energy: Tensor, mask: Tensor | None, factors: Tensor | None,
    need_weights: bool,
) -> tuple[Tensor, Tensor | None, Plan | None]:  # fmt: skip
    """Context, weights (if asked for, or so small that the backward pass had better have them) and the plan."""
    batch, queries, keys = query.shape[0], query.shape[1], key.shape[1]
    seen, rows = _visibility(mask, batch, queries, keys)
    sides = plan(query, key, energy, factors, seen)
    room = value.new_empty if keys else value.new_zeros
    context = room(batch, queries, value.shape[2])
    kept = need_weights or batch * queries * keys <= BLOCK
    weights = query.new_empty(batch, queries, keys) if kept else None
    if not _attend(sides, energy, seen, rows, value, context, weights) and sides.product is not None:
        sides = split(query, key, energy, seen)
        _attend(sides, energy, seen, rows, value, context, weights)
    return context, weights, _worth_keeping(sides)


def _attend(
    sides: Plan, energy: Tensor, seen: Tensor | None, rows: Tensor | None, value: Tensor, context: Tensor,
    weights: Tensor | None,
) -> bool:  # fmt: skip
    """Fill the context, and the weights where there is room for them; False if a score was no number."""
    (batch, queries, _), keys = context.shape, value.shape[1]
    if queries <= _FEW_READS and weights is not None:
        return _forward(sides, energy, (batch, queries, keys), seen, rows, value.contiguous(), context, weights, True)
    value = _clean(value, seen)
    sound = True
    for b, q in blocks(batch, queries, keys):
        block = _block(weights, b, q, keys, value)
        own = None if seen is None else seen[b], None if rows is None else rows[b, q]
        sound &= _forward(_block_of(sides, b, q), energy, tuple(block.shape), *own, None, None, block, True)
        torch.bmm(block, value[b], out=context[b, q])
    return sound


def _clean(value: Tensor, seen: Tensor | None) -> Tensor:
    """0 * NaN is NaN: what no query may see is 0 before the product."""
    return value.contiguous() if seen is None else value.masked_fill(~seen.unsqueeze(-1), 0.0)


def _block(whole: Tensor | None, b: slice, q: slice, keys: int, like: Tensor) -> Tensor:
    """The block of an array of queries x keys, or room for one."""
    return like.new_empty(b.stop - b.start, q.stop - q.start, keys) if whole is None else whole[b, q]


def attention_backward(
    grad_context: Tensor, grad_weights: Tensor | None, query: Tensor, key: Tensor, value: Tensor, energy: Tensor,
    mask: Tensor | None, weights: Tensor | None, sides: Plan | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of query, key, value and energy; weights that were not kept are computed again, block by block."""
    batch, queries, keys = query.shape[0], query.shape[1], key.shape[1]
    seen, rows = _visibility(mask, batch, queries, keys)
    sides = sides or plan(query, key, energy, None, seen)
    grad_query, grad_key = _empty_gradients(sides, query, key, seen)
    grad_value, grad_energy = torch.zeros_like(value), torch.zeros_like(energy)
    grad_context, value = grad_context.contiguous(), _clean(value, seen)
    for b, q in blocks(batch, queries, keys):
        block, parts, own_seen = (
            _block(weights, b, q, keys, query),
            _block_of(sides, b, q),
            None if seen is None else seen[b],
        )
        if weights is None:
            own = own_seen, None if rows is None else rows[b, q]
            _forward(parts, energy, tuple(block.shape), *own, None, None, block, True)
        grad = torch.bmm(grad_context[b, q], value[b].transpose(1, 2))
        given = None if grad_weights is None else grad_weights[b, q].contiguous()
        _slope(block, grad, given)
        room = [grad_query[b, q], grad_key[b]]
        grad_energy += _gradients(parts, grad, tuple(block.shape), own_seen, room, q.start == 0)
        grad_value[b].baddbmm_(block.transpose(1, 2), grad_context[b, q])
    return grad_query, grad_key.mul_(4 * energy), grad_value, grad_energy


def _slope(weights: Tensor, grad: Tensor, given: Tensor | None) -> None:
    """Turn the gradient of the weights into that of the scores, in place."""
    batch, queries, keys = weights.shape
    unit = _NUMBERS[grad.dtype][0]
    args = (unit, weights.data_ptr(), grad.data_ptr(), _address(given), 0, 0, 0, 0, queries, keys)
    share(kernels().slope, args, batch * queries, 4 * grad.numel())
