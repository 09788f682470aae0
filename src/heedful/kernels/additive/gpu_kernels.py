"""Additive attention in Triton: the kernels; `gpu` prepares what they read.

Queries and keys come with units first, [batch, units, queries or keys], four units at a time. A mode for each group of
four, decided on the device, says what they are: factors e^{2x} so narrow in range that four denominators multiplied
stay finite, factors whose product needs a cut, or the numbers as they are. With P = e^{2(a + b)} and r = 1 / (1 + P):

    score = sum(energy) - 2 sum_u energy_u r_u        slope of tanh = 4 P r^2
"""

import triton  # pyright: ignore[reportMissingImports]: comes with torch on CUDA
import triton.language as tl  # pyright: ignore[reportMissingImports]

NARROW, WIDE, DIRECT = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)
GROUP = tl.constexpr(4)


@triton.jit
def _power(x, y, mode, cut):
    """P of rows and columns of one unit, cut where tanh has rounded to 1; NaN stays."""
    p = x[:, None] * y[None, :]
    if mode != NARROW:
        if mode == DIRECT:
            p = tl.exp(2 * (x[:, None] + y[None, :]))
        p = tl.where(p > cut, cut, p)
    return p


@triton.jit
def _quotient(x, x_unit, rows, y, y_unit, columns, energy, mode, cut):
    """Energy / (1 + P), summed over a group: four units share a division."""
    d1 = 1 + _power(tl.load(x, rows, 0.0), tl.load(y, columns, 0.0), mode, cut)
    d2 = 1 + _power(tl.load(x + x_unit, rows, 0.0), tl.load(y + y_unit, columns, 0.0), mode, cut)
    d3 = 1 + _power(tl.load(x + 2 * x_unit, rows, 0.0), tl.load(y + 2 * y_unit, columns, 0.0), mode, cut)
    d4 = 1 + _power(tl.load(x + 3 * x_unit, rows, 0.0), tl.load(y + 3 * y_unit, columns, 0.0), mode, cut)
    e1, e2, e3, e4 = tl.load(energy), tl.load(energy + 1), tl.load(energy + 2), tl.load(energy + 3)
    d12, d34 = d1 * d2, d3 * d4
    return ((e1 * d2 + e2 * d1) * d34 + (e3 * d4 + e4 * d3) * d12) / (d12 * d34)


@triton.jit
def scores_kernel(
    x, y, energy, modes, bias, scale, mask, out, x_batch, x_unit, y_batch, y_unit, mask_batch, mask_row, mask_column,
    queries, keys, units, cut, masked: tl.constexpr, tile_rows: tl.constexpr, tile_columns: tl.constexpr,
):  # fmt: skip
    """Write a tile of out [batch, queries, keys]: bias - 2 scale sum of energy / (1 + P), -inf where hidden.

    A tile that is hidden from end to end costs nothing.
    """
    tiles = tl.cdiv(queries, tile_rows)
    batch = (tl.program_id(0) // tiles).to(tl.int64)
    row = tl.program_id(0) % tiles * tile_rows + tl.arange(0, tile_rows)
    column = tl.program_id(1) * tile_columns + tl.arange(0, tile_columns)
    rows, columns = row < queries, column < keys
    inside = rows[:, None] & columns[None, :]
    visible = inside
    if masked:
        places = row[:, None].to(tl.int64) * mask_row + column[None, :].to(tl.int64) * mask_column
        visible = tl.load(mask + batch * mask_batch + places, inside, 0) != 0
    found = tl.zeros((tile_rows, tile_columns), dtype=out.dtype.element_ty)
    if tl.sum(tl.sum(visible.to(tl.int32), 1), 0) > 0:
        own, other = x + batch * x_batch + row, y + batch * y_batch + column
        for unit in range(0, units, GROUP):
            mode = tl.load(modes + unit // GROUP)
            found += _quotient(
                own + unit * x_unit, x_unit, rows, other + unit * y_unit, y_unit, columns, energy + unit, mode, cut
            )
    found = tl.load(bias) - 2 * tl.load(scale) * found
    if masked:
        found = tl.where(visible, found, float("-inf"))
    tl.store(out + (batch * queries + row[:, None]) * keys + column[None, :], found, inside)


@triton.jit
def softmax_kernel(scores, keys, tile: tl.constexpr):
    """Turn a row of scores into weights; one that is hidden from end to end into zeros."""
    scores += tl.program_id(0).to(tl.int64) * keys
    top = tl.full((tile,), float("-inf"), dtype=scores.dtype.element_ty)
    for first in range(0, keys, tile):
        column = first + tl.arange(0, tile)
        top = tl.maximum(top, tl.load(scores + column, column < keys, float("-inf")))
    peak = tl.max(top, 0)
    peak = tl.where(peak == float("-inf"), 0.0, peak)
    mass = tl.zeros((tile,), dtype=scores.dtype.element_ty)
    for first in range(0, keys, tile):
        column = first + tl.arange(0, tile)
        mass += tl.exp(tl.load(scores + column, column < keys, float("-inf")) - peak)
    whole = tl.sum(mass, 0)
    part = 1 / tl.where(whole == 0, 1.0, whole)
    for first in range(0, keys, tile):
        column = first + tl.arange(0, tile)
        weight = tl.exp(tl.load(scores + column, column < keys, 0.0) - peak) * part
        tl.store(scores + column, weight, column < keys)


@triton.jit
def softmax_slope_kernel(weights, flow, keys, tile: tl.constexpr):
    """Turn the gradient of a row of weights into that of its scores; 0 where the weight is 0."""
    start = tl.program_id(0).to(tl.int64) * keys
    weights, flow = weights + start, flow + start
    products = tl.zeros((tile,), dtype=flow.dtype.element_ty)
    for first in range(0, keys, tile):
        column = first + tl.arange(0, tile)
        weight, given = tl.load(weights + column, column < keys, 0.0), tl.load(flow + column, column < keys, 0.0)
        products += tl.where(weight == 0, 0.0, weight * given)
    mean = tl.sum(products, 0)
    for first in range(0, keys, tile):
        column = first + tl.arange(0, tile)
        weight, given = tl.load(weights + column, column < keys, 0.0), tl.load(flow + column, column < keys, 0.0)
        tl.store(flow + column, tl.where(weight == 0, 0.0, weight * (given - mean)), column < keys)


@triton.jit
def _tanh(x, y, r, mode, small):
    """1 - 2 r, or the series of tanh where too little of the difference is left."""
    tanh = 1 - 2 * r
    if mode == DIRECT:
        s = x[:, None] + y[None, :]
        tanh = tl.where(tl.abs(s) <= small, s - s * s * s / 3, tanh)
    return tanh


@triton.jit
def _reciprocals(p1, p2, p3, p4, mode):
    """1 / (1 + P) of four units, from one division; of its own where four together may exceed the numbers."""
    d1, d2, d3, d4 = 1 + p1, 1 + p2, 1 + p3, 1 + p4
    if mode != NARROW:
        r1, r2, r3, r4 = 1 / d1, 1 / d2, 1 / d3, 1 / d4
    else:
        d12, d34 = d1 * d2, d3 * d4
        both = 1 / (d12 * d34)
        r12, r34 = both * d34, both * d12
        r1, r2, r3, r4 = r12 * d2, r12 * d1, r34 * d4, r34 * d3
    return r1, r2, r3, r4


@triton.jit
def _settle(target, found, rows, add: tl.constexpr):
    """Write the sums of a tile's rows, or add them to what is there."""
    sums = tl.sum(found, 1)
    if add:
        sums += tl.load(target, rows, 0.0)
    tl.store(target, sums, rows)


@triton.jit
def slopes_kernel(
    x, y, grad, modes, found, mass, x_batch, x_unit, y_batch, y_unit, found_batch, found_unit, grad_batch, grad_row,
    grad_column, queries, keys, cut, small, add: tl.constexpr, weigh: tl.constexpr, tile_rows: tl.constexpr,
    tile_columns: tl.constexpr,
):  # fmt: skip
    """The gradient of a tile of queries of four units, over 4 energy: the sum over keys of grad P r^2; `add`: to that.

    Queries and keys may change places. `weigh`: the tile's sums of grad * tanh, too, into mass [programs, units].
    """
    tiles = tl.cdiv(queries, tile_rows)
    batch, unit = (tl.program_id(0) // tiles).to(tl.int64), tl.program_id(1) * GROUP
    row = tl.program_id(0) % tiles * tile_rows + tl.arange(0, tile_rows)
    rows, mode = row < queries, tl.load(modes + tl.program_id(1))
    x += batch * x_batch + unit * x_unit + row
    y += batch * y_batch + unit * y_unit
    grad += batch * grad_batch + row[:, None].to(tl.int64) * grad_row
    x1, x2 = tl.load(x, rows, 0.0), tl.load(x + x_unit, rows, 0.0)
    x3, x4 = tl.load(x + 2 * x_unit, rows, 0.0), tl.load(x + 3 * x_unit, rows, 0.0)
    f1 = tl.zeros((tile_rows, tile_columns), dtype=grad.dtype.element_ty)
    f2, f3, f4, m1, m2, m3, m4 = f1, f1, f1, f1, f1, f1, f1
    # the slope keeps its digits far beyond where tanh has rounded to 1
    far = tl.cast(cut, grad.dtype.element_ty)
    far = far * far * (far * far)
    for first in range(0, keys, tile_columns):
        column = first + tl.arange(0, tile_columns)
        columns = column < keys
        g = tl.load(grad + column[None, :].to(tl.int64) * grad_column, rows[:, None] & columns[None, :], 0.0)
        # NaN differs from 0, too.
        if tl.sum(tl.sum((g != 0).to(tl.int32), 1), 0) > 0:
            y1, y2 = tl.load(y + column, columns, 0.0), tl.load(y + y_unit + column, columns, 0.0)
            y3 = tl.load(y + 2 * y_unit + column, columns, 0.0)
            y4 = tl.load(y + 3 * y_unit + column, columns, 0.0)
            p1, p2 = _power(x1, y1, mode, far), _power(x2, y2, mode, far)
            p3, p4 = _power(x3, y3, mode, far), _power(x4, y4, mode, far)
            if mode == DIRECT:
                # What is hidden may hold no number.
                p1, p2 = tl.where(g == 0, 1.0, p1), tl.where(g == 0, 1.0, p2)
                p3, p4 = tl.where(g == 0, 1.0, p3), tl.where(g == 0, 1.0, p4)
            r1, r2, r3, r4 = _reciprocals(p1, p2, p3, p4, mode)
            f1 += g * r1 * (r1 * p1)
            f2 += g * r2 * (r2 * p2)
            f3 += g * r3 * (r3 * p3)
            f4 += g * r4 * (r4 * p4)
            if weigh:
                m1 += g * _tanh(x1, y1, r1, mode, small)
                m2 += g * _tanh(x2, y2, r2, mode, small)
                m3 += g * _tanh(x3, y3, r3, mode, small)
                m4 += g * _tanh(x4, y4, r4, mode, small)
    found += batch * found_batch + unit * found_unit + row
    _settle(found, f1, rows, add)
    _settle(found + found_unit, f2, rows, add)
    _settle(found + 2 * found_unit, f3, rows, add)
    _settle(found + 3 * found_unit, f4, rows, add)
    if weigh:
        mass += tl.program_id(0).to(tl.int64) * tl.num_programs(1) * GROUP + unit
        tl.store(mass, tl.sum(tl.sum(m1, 1), 0))
        tl.store(mass + 1, tl.sum(tl.sum(m2, 1), 0))
        tl.store(mass + 2, tl.sum(tl.sum(m3, 1), 0))
        tl.store(mass + 3, tl.sum(tl.sum(m4, 1), 0))
