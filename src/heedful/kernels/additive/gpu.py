"""Additive attention on a CUDA device, in Triton; imported at the first call on such a device.

Scores, weights and gradients come from the kernels of `gpu_kernels`, a bounded block of queries x keys at a time; the
products with the values are those of cuBLAS. Nothing here waits for the device: how each group of units is taken is
decided there.
"""

from dataclasses import dataclass

import torch
import triton  # pyright: ignore[reportMissingImports]: comes with torch on CUDA
from torch import Tensor
from torch.nn.functional import pad

from heedful.kernels.additive import gpu_kernels as kernels
from heedful.kernels.additive.chunked import blocks, visible

# Least magnitude for which 1 - 2 r does; up to which sum of two no cut is needed, up to which one a factor serves; cut.
_RANGE = {torch.float32: (0.02, 10.0, 43.0, 2.0**27), torch.float64: (2e-4, 80.0, 350.0, 2.0**57)}
_GROUP = kernels.GROUP.value
# Tiles of queries x keys: of scores, of gradients; columns of a softmax.
_SCORES, _SLOPES, _ROW = (32, 64), (32, 32), 1024
# Triton 3.10 will no longer fuse a multiplication and an addition unless told to.
_FUSED = {"enable_fp_fusion": True}
# Elements of one block of queries x keys: 16 MiB of float32 keep the device busy, and two of them stay in its cache.
_BLOCK = 1 << 22


@dataclass(frozen=True)
class Plan:
    """What the kernels read.

    Attributes:
        x: `[batch, units, queries]`, units up to whole groups: factors e^{2 query}, or the queries, as `modes` says.
        y: the same of the keys.
        energy: `[units]`, over `scale`, its largest magnitude.
        modes: `[units / 4]`, how each group is taken.
        bias: the sum of the energy.
    """

    x: Tensor
    y: Tensor
    energy: Tensor
    modes: Tensor
    bias: Tensor
    scale: Tensor

    def block(self, b: slice, q: slice) -> "Plan":
        """Some batch items, some queries of theirs."""
        return Plan(self.x[b, :, q], self.y[b], self.energy, self.modes, self.bias, self.scale)


def _largest(tensor: Tensor, missing: int) -> Tensor:
    """The largest magnitude of each unit; 1 for those that fill the last group."""
    return pad(tensor.abs().amax((0, 1)), (0, missing), value=1.0)


def _plan(query: Tensor, key: Tensor, energy: Tensor) -> Plan:
    missing = -query.shape[2] % _GROUP
    least, narrow, most, _ = _RANGE[query.dtype]
    sizes = _largest(query, missing), _largest(key, missing)
    size, reach = (found.view(-1, _GROUP) for found in (torch.maximum(*sizes), sizes[0] + sizes[1]))
    # A comparison with NaN is false.
    factors = ((size <= most) & (size >= least)).all(1)
    near = torch.where((reach <= narrow).all(1), kernels.NARROW.value, kernels.WIDE.value)
    modes = torch.where(factors, near, kernels.DIRECT.value).to(torch.int32)
    chosen = factors.repeat_interleave(_GROUP).view(1, -1, 1)
    x, y = (pad(tensor, (0, missing)).transpose(1, 2).contiguous() for tensor in (query, key))
    x, y = (torch.where(chosen, torch.exp(2 * torch.where(chosen, tensor, 0.0)), tensor) for tensor in (x, y))
    scale = energy.abs().amax()
    scale = torch.where(scale > 0, scale, 1.0)
    return Plan(x, y, pad(energy / scale, (0, missing)), modes, energy.sum(), scale)


def _scores(plan: Plan, mask: Tensor | None, out: Tensor) -> None:
    """Fill a contiguous block with scores, -inf where hidden."""
    batch, queries, keys = out.shape
    rows, columns = _SCORES
    grid = (batch * triton.cdiv(queries, rows), triton.cdiv(keys, columns))
    hidden = None if mask is None else mask.view(torch.uint8)
    strides = (0, 0, 0) if hidden is None else hidden.stride()
    kernels.scores_kernel[grid](
        plan.x, plan.y, plan.energy, plan.modes, plan.bias, plan.scale, hidden, out, *plan.x.stride()[:2],
        *plan.y.stride()[:2], *strides, queries, keys, plan.energy.shape[0], _RANGE[out.dtype][3],
        masked=hidden is not None, tile_rows=rows, tile_columns=columns, **_FUSED,
    )  # fmt: skip


def _weights(plan: Plan, mask: Tensor | None, out: Tensor) -> Tensor:
    """Fill a contiguous block with weights."""
    _scores(plan, mask, out)
    tile = min(_ROW, triton.next_power_of_2(out.shape[2]))
    kernels.softmax_kernel[(out.shape[0] * out.shape[1],)](out, out.shape[2], tile=tile, **_FUSED)
    return out


class _Gradients:
    """Gradients of query, key and energy, units first, filled block by block."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.dtype = plan, plan.x.dtype
        self.x, self.y = torch.empty_like(plan.x), torch.zeros_like(plan.y)
        self.energy = torch.zeros_like(plan.energy)

    def add(self, grad: Tensor, b: slice, q: slice) -> None:
        """Add what the gradient of a block of scores contributes; each query has one block."""
        part, (batch, row, column) = self.plan.block(b, q), grad.stride()
        self.energy += self._slopes(part.x, part.y, grad, self.x[b, :, q], (batch, row, column), first=True)
        self._slopes(part.y, part.x, grad, self.y[b], (batch, column, row), first=False)

    def _slopes(
        self, own: Tensor, other: Tensor, grad: Tensor, found: Tensor, strides: tuple[int, ...], first: bool
    ) -> Tensor:
        """One side's gradient; on the first, returns the sums of grad * tanh."""
        (rows, columns), (least, _, _, cut) = _SLOPES, _RANGE[self.dtype]
        batch, units, count = own.shape
        grid = (batch * triton.cdiv(count, rows), units // _GROUP)
        mass = own.new_empty(grid[0] if first else 0, units)
        kernels.slopes_kernel[grid](
            own, other, grad, self.plan.modes, found, mass, *own.stride()[:2], *other.stride()[:2],
            *found.stride()[:2], *strides, count, other.shape[2], cut, least, add=not first, weigh=first,
            tile_rows=rows, tile_columns=columns, **_FUSED,
        )  # fmt: skip
        return mass.sum(0)

    def finished(self, energy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The gradients of query, key and energy, in the shapes these came in."""
        units = energy.shape[0]
        query, key = (side.transpose(1, 2)[..., :units] * (4 * energy) for side in (self.x, self.y))
        return query, key, self.energy[:units]


def scores_forward(query: Tensor, key: Tensor, energy: Tensor) -> tuple[Tensor, None]:
    """Scores [batch, queries, keys]; the backward pass needs no plan."""
    out = query.new_zeros(query.shape[0], query.shape[1], key.shape[1])
    if out.numel() * energy.numel():
        _scores(_plan(query, key, energy), None, out)
    return out, None


def scores_backward(
    grad: Tensor, query: Tensor, key: Tensor, energy: Tensor, plan: None = None  # noqa: ARG001
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of query, key and energy."""
    if not grad.numel() * energy.numel():
        return torch.zeros_like(query), torch.zeros_like(key), torch.zeros_like(energy)
    gradients = _Gradients(_plan(query, key, energy))
    gradients.add(grad, slice(0, grad.shape[0]), slice(0, grad.shape[1]))
    return gradients.finished(energy)


def _uniform(query: Tensor, key: Tensor, mask: Tensor | None) -> Tensor:
    """Weights where there is no unit to tell keys apart."""
    seen = query.new_ones(()) if mask is None else mask.to(query.dtype)
    seen = seen.expand(query.shape[0], query.shape[1], key.shape[1])
    return seen / seen.sum(-1, keepdim=True).clamp(min=1)


def attention_forward(
    query: Tensor, key: Tensor, value: Tensor, energy: Tensor, mask: Tensor | None, need_weights: bool, need_grad: bool
) -> tuple[Tensor, Tensor | None, None]:
    """Context, and the weights if asked for, or so few that the backward pass reuses them; it needs no plan."""
    batch, queries, keys = shape = query.shape[0], query.shape[1], key.shape[1]
    key, value, mask = visible(query, key, value, mask)
    kept = need_weights or (need_grad and batch * queries * keys <= _BLOCK)
    if not batch * queries * keys * energy.numel():
        found = _uniform(query, key, mask)
        return found @ value, found if kept else None, None
    plan, weights = _plan(query, key, energy), query.new_empty(shape) if kept else None
    context = value.new_empty(batch, queries, value.shape[2])
    for b, q in blocks(batch, queries, keys, _BLOCK):
        part = plan.block(b, q)
        block = query.new_empty(part.x.shape[0], part.x.shape[2], keys) if weights is None else weights[b, q]
        context[b, q] = _weights(part, None if mask is None else mask[b, q], block) @ value[b]
    return context, weights, None


def attention_backward(
    query: Tensor, key: Tensor, value: Tensor, energy: Tensor, grad_context: Tensor, grad_weights: Tensor | None,
    mask: Tensor | None, weights: Tensor | None = None, plan: None = None,  # noqa: ARG001
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of query, key, value and energy; weights that were not kept are computed again, block by block."""
    key, value, mask = visible(query, key, value, mask)
    batch, queries, keys = query.shape[0], query.shape[1], key.shape[1]
    if not batch * queries * keys * energy.numel():
        grad_value = _uniform(query, key, mask).transpose(1, 2) @ grad_context
        return torch.zeros_like(query), torch.zeros_like(key), grad_value, torch.zeros_like(energy)
    prepared = _plan(query, key, energy)
    gradients, grad_value = _Gradients(prepared), torch.zeros_like(value)
    for b, q in blocks(batch, queries, keys, _BLOCK):
        part, flow = prepared.block(b, q), grad_context[b, q] @ value[b].transpose(1, 2)
        seen = None if mask is None else mask[b, q]
        block = _weights(part, seen, torch.empty_like(flow)) if weights is None else weights[b, q]
        grad_value[b] += block.transpose(1, 2) @ grad_context[b, q]
        if grad_weights is not None:
            flow += grad_weights[b, q]
        tile = min(_ROW, triton.next_power_of_2(keys))
        kernels.softmax_slope_kernel[(flow.shape[0] * flow.shape[1],)](block, flow, keys, tile=tile, **_FUSED)
        gradients.add(flow, b, q)
    grad_query, grad_key, grad_energy = gradients.finished(energy)
    return grad_query, grad_key, grad_value, grad_energy
