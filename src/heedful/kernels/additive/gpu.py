"""Additive scores on a CUDA device, in Triton; imported at the first call on such a device.

The kernels read queries and keys with units first, [batch, units, queries or keys], four units at a time. Such a group
comes as factors e^{2x} where its values are neither too large for them nor so small that 1 - 2 r would lose them, and
as it is elsewhere; which of the two is decided on the device, without waiting for it. Softmax and context are
PyTorch's, a bounded block at a time.
"""

from functools import partial

import torch
import triton  # pyright: ignore[reportMissingImports]: comes with torch on CUDA
import triton.language as tl  # pyright: ignore[reportMissingImports]
from torch import Tensor

from heedful.kernels.additive import chunked

# Magnitudes between which a group of units comes as factors, and the cut of their product.
_RANGE = {torch.float32: (0.02, 43.0, 2.0**27), torch.float64: (2e-4, 350.0, 2.0**57)}
_GROUP = tl.constexpr(4)
_ROWS, _COLUMNS = 32, 64
# Scores held at once: 16 MiB of float32 keep the device busy between launches.
_BLOCK = 1 << 22


@triton.jit
def _power(x, y, direct, cut):
    """P of rows and columns of one unit, cut where tanh has rounded to 1; NaN stays."""
    if direct:
        p = tl.exp(2 * (x[:, None] + y[None, :]))
    else:
        p = x[:, None] * y[None, :]
    return tl.where(p > cut, cut, p)


@triton.jit
def _scores_kernel(
    query,
    key,
    energy,
    direct,
    bias,
    out,
    queries,
    keys,
    units,
    cut,
    tile_rows: tl.constexpr,
    tile_columns: tl.constexpr,
):
    """Write bias - 2 sum of energy / (1 + P), one tile of queries x keys; four units share a division."""
    batch = tl.program_id(2).to(tl.int64)
    row, column = (
        tl.program_id(0) * tile_rows + tl.arange(0, tile_rows),
        tl.program_id(1) * tile_columns + tl.arange(0, tile_columns),
    )
    rows, columns = row < queries, column < keys
    query += batch * units * queries + row
    key += batch * units * keys + column
    found = tl.zeros((tile_rows, tile_columns), dtype=out.dtype.element_ty)
    for unit in range(0, units, _GROUP):
        own = tl.load(direct + unit // _GROUP) != 0
        x, y = query + unit * queries, key + unit * keys
        p1 = _power(tl.load(x, rows, 0.0), tl.load(y, columns, 0.0), own, cut)
        p2 = _power(tl.load(x + queries, rows, 0.0), tl.load(y + keys, columns, 0.0), own, cut)
        p3 = _power(tl.load(x + 2 * queries, rows, 0.0), tl.load(y + 2 * keys, columns, 0.0), own, cut)
        p4 = _power(tl.load(x + 3 * queries, rows, 0.0), tl.load(y + 3 * keys, columns, 0.0), own, cut)
        e1, e2 = tl.load(energy + unit), tl.load(energy + unit + 1)
        e3, e4 = tl.load(energy + unit + 2), tl.load(energy + unit + 3)
        d1, d2, d3, d4 = 1 + p1, 1 + p2, 1 + p3, 1 + p4
        d12, d34 = d1 * d2, d3 * d4
        found += ((e1 * d2 + e2 * d1) * d34 + (e3 * d4 + e4 * d3) * d12) / (d12 * d34)
    at = out + batch * queries * keys + row[:, None].to(tl.int64) * keys + column[None, :]
    tl.store(at, tl.load(bias) - 2 * found, rows[:, None] & columns[None, :])


@triton.jit
def _tanh(x, y, r, direct, small):
    """1 - 2 r, or the series of tanh where too little of the difference is left."""
    tanh = 1 - 2 * r
    if direct:
        s = x[:, None] + y[None, :]
        tanh = tl.where(tl.abs(s) <= small, s - s * s * s / 3, tanh)
    return tanh


@triton.jit
def _slopes_kernel(
    query, key, grad, energy, direct, grad_query, tanh_sum, queries, keys, units, grad_row, grad_column, cut, small,
    tile_rows: tl.constexpr, tile_columns: tl.constexpr,
):  # fmt: skip
    """What flows into a tile of queries of one unit, and its sum of grad * tanh; queries and keys may change places."""
    batch, unit = tl.program_id(2).to(tl.int64), tl.program_id(1)
    row = tl.program_id(0) * tile_rows + tl.arange(0, tile_rows)
    rows = row < queries
    own = tl.load(direct + unit // _GROUP) != 0
    x = tl.load(query + (batch * units + unit) * queries + row, rows, 0.0)
    flow = tl.zeros((tile_rows, tile_columns), dtype=grad.dtype.element_ty)
    mass = tl.zeros((tile_rows, tile_columns), dtype=grad.dtype.element_ty)
    grad += batch * queries * keys + row[:, None].to(tl.int64) * grad_row
    for first in range(0, keys, tile_columns):
        column = first + tl.arange(0, tile_columns)
        columns = column < keys
        y = tl.load(key + (batch * units + unit) * keys + column, columns, 0.0)
        g = tl.load(grad + column[None, :].to(tl.int64) * grad_column, rows[:, None] & columns[None, :], 0.0)
        p = _power(x, y, own, cut)
        r = 1 / (1 + p)
        mass += tl.where(g == 0, 0.0, g * _tanh(x, y, r, own, small))
        flow += tl.where(g == 0, 0.0, g * (r * r * p))
    scale = 4 * tl.load(energy + unit)
    tl.store(grad_query + (batch * units + unit) * queries + row, scale * tl.sum(flow, 1), rows)
    tl.store(tanh_sum + (batch * units + unit) * tl.num_programs(0) + tl.program_id(0), tl.sum(tl.sum(mass, 1), 0))


def _prepare(query: Tensor, key: Tensor, energy: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Units first, as factors or as they are, in groups of four; the energy to match; which groups are as they are."""
    least, most, _ = _RANGE[query.dtype]
    missing = -query.shape[2] % _GROUP.value
    query, key = (torch.nn.functional.pad(t, (0, missing)).transpose(1, 2).contiguous() for t in (query, key))
    size = torch.cat((query.abs(), key.abs()), 2).amax((0, 2))
    # A comparison with NaN is false.
    factors = ((size <= most) & (size >= least)).view(-1, _GROUP.value).all(1)
    chosen = factors.repeat_interleave(_GROUP.value).view(1, -1, 1)
    query, key = (torch.where(chosen, torch.exp(2 * t.where(chosen, 0.0)), t) for t in (query, key))
    return query, key, torch.nn.functional.pad(energy, (0, missing)).contiguous(), (~factors).to(torch.int8)


def scores_forward(query: Tensor, key: Tensor, energy: Tensor) -> tuple[Tensor, None]:
    """Scores [batch, queries, keys]; no plan is needed for the way back."""
    batch, queries, keys = query.shape[0], query.shape[1], key.shape[1]
    out = query.new_zeros(batch, queries, keys)
    if out.numel() * energy.numel():
        x, y, padded, direct = _prepare(query, key, energy)
        grid = (triton.cdiv(queries, _ROWS), triton.cdiv(keys, _COLUMNS), batch)
        cut = _RANGE[query.dtype][2]
        _scores_kernel[grid](  # pyright: ignore[reportIndexIssue]: compiled by Triton
            x,
            y,
            padded,
            direct,
            energy.sum(),
            out,
            queries,
            keys,
            padded.shape[0],
            cut,
            tile_rows=_ROWS,
            tile_columns=_COLUMNS,
        )
    return out, None


def scores_backward(
    grad: Tensor, query: Tensor, key: Tensor, energy: Tensor, plan: None = None  # noqa: ARG001
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of query, key and energy: one kernel, once for each side."""
    if not grad.numel() * energy.numel():
        return torch.zeros_like(query), torch.zeros_like(key), torch.zeros_like(energy)
    units, (small, _, cut) = energy.shape[0], _RANGE[query.dtype]
    grad = grad.contiguous()
    x, y, padded, direct = _prepare(query, key, energy)
    found = []
    for own, other, strides in ((x, y, (grad.shape[2], 1)), (y, x, (1, grad.shape[2]))):
        batch, padded_units, rows = own.shape
        grid = (triton.cdiv(rows, _ROWS), padded_units, batch)
        flow, mass = torch.empty_like(own), own.new_empty(batch, padded_units, grid[0])
        _slopes_kernel[grid](  # pyright: ignore[reportIndexIssue]
            own, other, grad, padded, direct, flow, mass, rows, other.shape[2], padded_units, *strides, cut, small,
            tile_rows=_ROWS, tile_columns=_COLUMNS,
        )  # fmt: skip
        found.append((flow.transpose(1, 2)[..., :units].contiguous(), mass.sum((0, 2))[:units]))
    return found[0][0], found[1][0], found[0][1]


attention_forward = partial(chunked.attention_forward, scores=scores_forward, size=_BLOCK)
attention_backward = partial(chunked.attention_backward, scores=scores_forward, slopes=scores_backward, size=_BLOCK)
