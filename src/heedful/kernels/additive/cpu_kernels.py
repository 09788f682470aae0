"""Additive attention on the CPU: serial Numba kernels over slices of the work, called with addresses.

Every array is contiguous; queries and keys end in `units`, a multiple of the lanes of a register, and a register holds
neighbouring units of one query or key. They come as factors e^{2x} (`product`), whose product is all the inner loop needs, or as
they are (`direct`), where the range is too wide for the product or one use does not repay the factors. With P = e^{2(a + b)}, cut
at 2^27 (float64: 2^57) where tanh has long rounded to 1, and r = 1 / (1 + P):

    score = sum(energy) - 2 sum_u energy_u r_u        slope of tanh = 4 P r^2

One division serves four units in the forward pass and two keys in the backward pass. Keys that no query may see are never read.
"""

import numpy as np
from numba import njit

from heedful.kernels.simd import (
    INNER,
    OUTER,
    address_of,
    at_least,
    at_most,
    exp,
    get,
    get_byte,
    lanes,
    largest,
    load,
    magnitude_within,
    put,
    shift,
    splat,
    store,
    total,
    zero_where_zero,
)

# Bytes of keys that stay in the first-level cache while the queries of a tile pass over them.
_TILE_BYTES = 24576
_TILE_QUERIES = 16


@njit(**INNER)
def _pair(unit, direct, x, y, limit):
    """P from the factors e^{2a} and e^{2b}, or from a and b themselves: `direct` is None or 1, chosen when compiled."""
    if direct is None:
        return at_most(x * y, limit)
    doubled = x + y
    return at_most(exp(unit, doubled + doubled), limit)


@njit(**OUTER)
def exponentials(unit, limit, source, target, start, stop):
    """Registers start to stop of target = e^{2 source}, NaN beyond the limit; returns the largest magnitude, or infinity."""
    ceiling = splat(limit)
    peak = ceiling - ceiling
    for i in range(start * lanes(unit), stop * lanes(unit), lanes(unit)):
        x = load(unit, source, i)
        magnitude = magnitude_within(x, ceiling)
        peak = at_least(peak, magnitude)
        # 0 while the magnitude is finite, NaN when it is infinite
        store(target, i, exp(unit, x + x) + (magnitude - magnitude))
    return largest(peak)


@njit(**INNER)
def _visible(seen, batch, keys, index):
    """List the keys of a batch item that some query may see; four more entries repeat the last, for reading only."""
    count = 0
    for k in range(keys):
        index[count] = k
        if seen == 0 or get_byte(seen, batch * keys + k) != 0:
            count += 1
    for k in range(count, count + 4):
        index[k] = index[max(count - 1, 0)]
    return count


@njit(**INNER)
def _quotient(direct, unit, limit, x, y, energy, u):
    """energy / (1 + P), summed over four registers of units with one division."""
    n, one, ceiling = lanes(unit), splat(unit), splat(limit)
    d1 = _pair(unit, direct, load(unit, x, u), load(unit, y, u), ceiling) + one
    d2 = _pair(unit, direct, load(unit, x, u + n), load(unit, y, u + n), ceiling) + one
    d3 = _pair(unit, direct, load(unit, x, u + 2 * n), load(unit, y, u + 2 * n), ceiling) + one
    d4 = _pair(unit, direct, load(unit, x, u + 3 * n), load(unit, y, u + 3 * n), ceiling) + one
    d12, d34 = d1 * d2, d3 * d4
    n12 = load(unit, energy, u) * d2 + load(unit, energy, u + n) * d1
    n34 = load(unit, energy, u + 2 * n) * d4 + load(unit, energy, u + 3 * n) * d3
    return (n12 * d34 + n34 * d12) / (d12 * d34)


@njit(**INNER)
def _single(direct, unit, limit, x, y, energy, u):
    """energy / (1 + P) of one register of units."""
    return load(unit, energy, u) / (_pair(unit, direct, load(unit, x, u), load(unit, y, u), splat(limit)) + splat(unit))


@njit(**INNER)
def _four_sums(direct, unit, limit, x, y0, y1, y2, y3, energy, units):
    """sum_u energy_u r_u of one query with four keys."""
    step = 4 * lanes(unit)
    s0 = s1 = s2 = s3 = splat(unit - unit)
    for u in range(0, units - units % step, step):
        s0 = s0 + _quotient(direct, unit, limit, x, y0, energy, u)
        s1 = s1 + _quotient(direct, unit, limit, x, y1, energy, u)
        s2 = s2 + _quotient(direct, unit, limit, x, y2, energy, u)
        s3 = s3 + _quotient(direct, unit, limit, x, y3, energy, u)
    for u in range(units - units % step, units, lanes(unit)):
        s0 = s0 + _single(direct, unit, limit, x, y0, energy, u)
        s1 = s1 + _single(direct, unit, limit, x, y1, energy, u)
        s2 = s2 + _single(direct, unit, limit, x, y2, energy, u)
        s3 = s3 + _single(direct, unit, limit, x, y3, energy, u)
    return total(s0), total(s1), total(s2), total(s3)


@njit(**INNER)
def _add_sums(direct, unit, limit, x, y, energy, units, index, count, rows, sums, width, mask, mask_query, mask_key):
    """Add sum_u energy_u r_u of `rows` queries with the listed keys to `sums`; four keys hidden together are left out."""
    tile = max(4, _TILE_BYTES // max(shift(unit, 0, units), 1) // 4 * 4)
    for first in range(0, count, tile):
        for row in range(rows):
            for j in range(first, min(first + tile, count), 4):
                if mask != 0 and not _any_visible(mask + row * mask_query, mask_key, index, j):
                    continue
                y0, y1 = shift(unit, y, index[j] * units), shift(unit, y, index[j + 1] * units)
                y2, y3 = shift(unit, y, index[j + 2] * units), shift(unit, y, index[j + 3] * units)
                query = shift(unit, x, row * units)
                s0, s1, s2, s3 = _four_sums(direct, unit, limit, query, y0, y1, y2, y3, energy, units)
                at = shift(unit, sums, row * width + j)
                put(at, 0, get(unit, at, 0) + s0)
                put(at, 1, get(unit, at, 1) + s1)
                put(at, 2, get(unit, at, 2) + s2)
                put(at, 3, get(unit, at, 3) + s3)


@njit(**INNER)
def _any_visible(mask, mask_key, index, j):
    for i in range(4):
        if get_byte(mask, index[j + i] * mask_key) != 0:
            return True
    return False


@njit(**INNER)
def _weigh(unit, row, count, width, mask, mask_key, index):
    """Turn sums into weights in place: softmax of -2 sums over the visible keys, the constant sum(energy) left out."""
    hidden = -unit / (unit - unit)
    for j in range(count):
        put(row, j, get(unit, row, j) * (-unit - unit))
    if mask != 0:
        for j in range(count):
            if get_byte(mask, index[j] * mask_key) == 0:
                put(row, j, hidden)
    peak = splat(hidden)
    for j in range(count, width):
        put(row, j, hidden)
    for j in range(0, width, lanes(unit)):
        peak = at_least(peak, load(unit, row, j))
    top = largest(peak)
    if top == hidden:
        top = unit - unit
    mass = splat(unit - unit)
    for j in range(0, width, lanes(unit)):
        weight = exp(unit, load(unit, row, j) - splat(top))
        mass = mass + weight
        store(row, j, weight)
    whole = total(mass)
    # A row that sees nothing has no mass, and keeps its zeros.
    part = splat(unit / whole if whole != 0 else unit)
    for j in range(0, width, lanes(unit)):
        store(row, j, load(unit, row, j) * part)


@njit(**INNER)
def _scatter(unit, row, index, count, keys, target):
    """Write a row over the listed keys to a row over all keys."""
    if count == keys:
        for j in range(count):
            put(target, j, get(unit, row, j))
        return
    for k in range(keys):
        put(target, k, unit - unit)
    for j in range(count):
        put(target, index[j], get(unit, row, j))


@njit(**INNER)
def _read(unit, row, index, count, value, value_dim, context):
    """context = sum of weight * value over the listed keys, four at a time."""
    for v in range(value_dim):
        put(context, v, unit - unit)
    whole = value_dim - value_dim % lanes(unit)
    for j in range(0, count, 4):
        w0, w1, w2, w3 = get(unit, row, j), get(unit, row, j + 1), get(unit, row, j + 2), get(unit, row, j + 3)
        v0, v1 = shift(unit, value, index[j] * value_dim), shift(unit, value, index[j + 1] * value_dim)
        v2, v3 = shift(unit, value, index[j + 2] * value_dim), shift(unit, value, index[j + 3] * value_dim)
        for v in range(0, whole, lanes(unit)):
            near = load(unit, v0, v) * splat(w0) + load(unit, v1, v) * splat(w1)
            far = load(unit, v2, v) * splat(w2) + load(unit, v3, v) * splat(w3)
            store(context, v, load(unit, context, v) + (near + far))
        for v in range(whole, value_dim):
            near = get(unit, v0, v) * w0 + get(unit, v1, v) * w1
            put(context, v, get(unit, context, v) + near + get(unit, v2, v) * w2 + get(unit, v3, v) * w3)


@njit(**OUTER)
def forward(
    unit, limit, x, y, energy, units, a, b, wide_energy, wide, seen, mask, mask_batch, mask_query, mask_key,
    value, value_dim, context, out, softmax, queries, keys, start, stop,
):  # fmt: skip
    """Rows start to stop of batch x queries: scores, or weights and (unless `value` is 0) the context.

    `x`, `y` [batch, queries or keys, units] are factors, `a`, `b` [.., wide] the units taken directly; `seen` [batch, keys] and
    `mask` (with its strides) are bytes or 0; `out` [batch, queries, keys]. Returns 0, or NaN if a sum was NaN.
    """
    width = (keys + lanes(unit) + 3) // lanes(unit) * lanes(unit)
    index = np.empty(keys + 4, np.int64)
    scratch = np.full(_TILE_QUERIES * width, unit)
    sums = address_of(scratch)
    bias = _sum(unit, energy, units) + _sum(unit, wide_energy, wide)
    trace = splat(unit - unit)
    row = start
    while row < stop:
        batch, query = row // queries, row % queries
        rows = min(_TILE_QUERIES, queries - query, stop - row)
        if row == start or query == 0:
            count = _visible(seen, batch, keys, index)
        for i in range(rows * width):
            scratch[i] = unit - unit
        hidden = mask + batch * mask_batch + query * mask_query if mask != 0 else 0
        _add_sums(
            None, unit, limit, shift(unit, x, row * units), shift(unit, y, batch * keys * units), energy, units,
            index, count, rows, sums, width, hidden, mask_query, mask_key,
        )  # fmt: skip
        _add_sums(
            1, unit, limit, shift(unit, a, row * wide), shift(unit, b, batch * keys * wide), wide_energy, wide,
            index, count, rows, sums, width, hidden, mask_query, mask_key,
        )  # fmt: skip
        for i in range(0, rows * width, lanes(unit)):
            trace = trace + (load(unit, sums, i) - load(unit, sums, i))
        for i in range(rows):
            line, target = shift(unit, sums, i * width), shift(unit, out, (row + i) * keys)
            if softmax:
                own = hidden + i * mask_query if mask != 0 else 0
                _weigh(unit, line, count, width, own, mask_key, index)
            else:
                for j in range(count):
                    put(line, j, bias - (unit + unit) * get(unit, line, j))
            _scatter(unit, line, index, count, keys, target)
            if value != 0:
                memory = shift(unit, value, batch * keys * value_dim)
                _read(unit, line, index, count, memory, value_dim, shift(unit, context, (row + i) * value_dim))
        row += rows
    return total(trace)


@njit(**INNER)
def _sum(unit, numbers, count):
    whole = splat(unit - unit)
    for i in range(0, count, lanes(unit)):
        whole = whole + load(unit, numbers, i)
    return total(whole)


@njit(**OUTER)
def slope(
    unit, weights, grad, given, value, grad_context, value_dim, seen, queries, keys, start, stop
):  # fmt: skip
    """Rows start to stop of the gradient of the scores, from the weights and what flows into context and weights.

    `grad` [batch, queries, keys] is overwritten; it comes with the gradient of the weights that flows through the context, unless
    `value` and `grad_context` are given to compute it here. `given` is the gradient of the weights themselves, or 0.
    """
    index = np.empty(keys + 4, np.int64)
    whole = keys - keys % lanes(unit)
    for row in range(start, stop):
        if value != 0 and (row == start or row % queries == 0):
            count = _visible(seen, row // queries, keys, index)
        weight, flow = shift(unit, weights, row * keys), shift(unit, grad, row * keys)
        if value != 0:
            memory = shift(unit, value, row // queries * keys * value_dim)
            _dots(unit, shift(unit, grad_context, row * value_dim), memory, value_dim, index, count, keys, flow)
        if given != 0:
            for k in range(keys):
                put(flow, k, get(unit, flow, k) + get(unit, given, row * keys + k))
        mean = splat(unit - unit)
        for k in range(0, whole, lanes(unit)):
            mean = mean + zero_where_zero(load(unit, flow, k), load(unit, weight, k)) * load(unit, weight, k)
        middle = total(mean)
        for k in range(whole, keys):
            if get(unit, weight, k) != 0:
                middle += get(unit, weight, k) * get(unit, flow, k)
        for k in range(0, whole, lanes(unit)):
            difference = load(unit, flow, k) - splat(middle)
            store(flow, k, zero_where_zero(difference, load(unit, weight, k)) * load(unit, weight, k))
        for k in range(whole, keys):
            share = get(unit, weight, k)
            put(flow, k, share * (get(unit, flow, k) - middle) if share != 0 else share)


@njit(**INNER)
def _dots(unit, grad, value, value_dim, index, count, keys, flow):
    """flow[k] = grad . value[k] for the listed keys, 0 elsewhere."""
    whole = value_dim - value_dim % lanes(unit)
    if count < keys:
        for k in range(keys):
            put(flow, k, unit - unit)
    for j in range(count):
        own = shift(unit, value, index[j] * value_dim)
        dot = splat(unit - unit)
        for v in range(0, whole, lanes(unit)):
            dot = dot + load(unit, own, v) * load(unit, grad, v)
        rest = total(dot)
        for v in range(whole, value_dim):
            rest += get(unit, own, v) * get(unit, grad, v)
        put(flow, index[j], rest)


@njit(**INNER)
def _four_gradients(direct, unit, limit, x, y, flow, grad_x, grad_y, sum_r, index, some, rows, units, u, fresh):  # fmt: skip
    """One register of units of `rows` queries with four keys, of which `some` are real; the keys' sums stay in registers."""
    one, ceiling = splat(unit), splat(limit)
    k0, k1 = load(unit, y, index[0] * units + u), load(unit, y, index[1] * units + u)
    k2, k3 = load(unit, y, index[2] * units + u), load(unit, y, index[3] * units + u)
    b0 = b1 = b2 = b3 = mass = one - one
    for row in range(rows):
        q = load(unit, x, row * units + u)
        p0, p1 = _pair(unit, direct, q, k0, ceiling), _pair(unit, direct, q, k1, ceiling)
        p2, p3 = _pair(unit, direct, q, k2, ceiling), _pair(unit, direct, q, k3, ceiling)
        d0, d1, d2, d3 = p0 + one, p1 + one, p2 + one, p3 + one
        near, far = one / (d0 * d1), one / (d2 * d3)
        r0, r1, r2, r3 = near * d1, near * d0, far * d3, far * d2
        s0, s1 = r0 * splat(get(unit, flow, 4 * row)), r1 * splat(get(unit, flow, 4 * row + 1))
        s2, s3 = r2 * splat(get(unit, flow, 4 * row + 2)), r3 * splat(get(unit, flow, 4 * row + 3))
        w0, w1, w2, w3 = s0 * r0 * p0, s1 * r1 * p1, s2 * r2 * p2, s3 * r3 * p3
        if grad_x is not None:
            mass = mass + ((s0 + s1) + (s2 + s3))
            at = row * units + u
            store(grad_x, at, load(unit, grad_x, at) + ((w0 + w1) + (w2 + w3)))
        if grad_y is not None:
            b0, b1, b2, b3 = b0 + w0, b1 + w1, b2 + w2, b3 + w3
    if grad_x is not None:
        store(sum_r, u, load(unit, sum_r, u) + mass)
    if grad_y is not None:
        _settle(unit, grad_y, index[0] * units + u, b0, fresh)
        if some > 1:
            _settle(unit, grad_y, index[1] * units + u, b1, fresh)
        if some > 2:
            _settle(unit, grad_y, index[2] * units + u, b2, fresh)
        if some > 3:
            _settle(unit, grad_y, index[3] * units + u, b3, fresh)


@njit(**INNER)
def _settle(unit, target, at, found, fresh):
    """Write a sum, or add it to the one that is there."""
    store(target, at, found if fresh else found + load(unit, target, at))


@njit(**INNER)
def _fill_rows(unit, target, scale, first, rows, units, begin, end):
    """Multiply columns begin to end of some rows by `scale`; 0 clears them."""
    for row in range(first, first + rows):
        for u in range(begin, end, lanes(unit)):
            at = row * units + u
            store(target, at, load(unit, target, at) * load(unit, scale, u) if scale != 0 else splat(unit - unit))


@njit(**INNER)
def _gradients(
    direct, unit, limit, x, y, grad, scale, grad_x, grad_y, sum_r, seen, queries, keys, units, fresh, start, stop
):  # fmt: skip
    """Registers start to stop of batch x units: what flows into queries and keys, and sum of grad * r per unit.

    `scale` is 4 energy. `grad_x` or `grad_y` may be None, and is then not computed. The keys' sums are written if `fresh`, else
    added to those that are there, and carry no scale yet.
    """
    index = np.empty(keys + 4, np.int64)
    buffer = np.full(4 * _TILE_QUERIES, unit)
    flow = address_of(buffer)
    tile_buffer = np.full(units, unit)
    tile_sums = address_of(tile_buffer)
    registers = units // lanes(unit)
    job = start
    while job < stop:
        batch = job // registers
        begin = (job - batch * registers) * lanes(unit)
        end = min(stop - batch * registers, registers) * lanes(unit)
        job += (end - begin) // lanes(unit)
        count = _visible(seen, batch, keys, index)
        memory = shift(unit, y, batch * keys * units)
        if grad_x is not None:
            _fill_rows(unit, sum_r, 0, batch, 1, units, begin, end)
        for query in range(0, queries, _TILE_QUERIES):
            rows = min(_TILE_QUERIES, queries - query)
            first = batch * queries + query
            if grad_x is not None:
                _fill_rows(unit, grad_x, 0, first, rows, units, begin, end)
                _fill_rows(unit, tile_sums, 0, 0, 1, units, begin, end)
            for j in range(0, count, 4):
                some = min(4, count - j)
                _gather(unit, grad, first, rows, keys, index[j:], some, buffer)
                for u in range(begin, end, lanes(unit)):
                    _four_gradients(
                        direct, unit, limit, shift(unit, x, first * units), memory, flow,
                        None if grad_x is None else shift(unit, grad_x, first * units),
                        None if grad_y is None else shift(unit, grad_y, batch * keys * units),
                        tile_sums,
                        index[j:], some, rows, units, u, fresh and query == 0,
                    )  # fmt: skip
            if grad_x is not None:
                _fill_rows(unit, grad_x, scale, first, rows, units, begin, end)
                # Sums of sums: a million terms one by one would lose three digits.
                for u in range(begin, end, lanes(unit)):
                    at = batch * units + u
                    store(sum_r, at, load(unit, sum_r, at) + load(unit, tile_sums, u))


@njit(**INNER)
def _gather(unit, grad, first, rows, keys, index, some, buffer):
    """The gradients of `rows` queries with four keys, side by side; 0 for a key that only fills the four."""
    for row in range(rows):
        for i in range(4):
            at = (first + row) * keys + index[i]
            buffer[4 * row + i] = get(unit, grad, at) if i < some else unit - unit


@njit(**OUTER)
def product_gradients(
    unit, limit, x, y, grad, scale, grad_x, grad_y, sum_r, seen, queries, keys, units, fresh, start, stop
):  # fmt: skip
    """`_gradients` of the units that come as factors."""
    _gradients(
        None, unit, limit, x, y, grad, scale, grad_x, grad_y, sum_r, seen, queries, keys, units, fresh, start, stop
    )  # fmt: skip


@njit(**OUTER)
def direct_gradients(
    unit, limit, x, y, grad, scale, grad_x, grad_y, sum_r, seen, queries, keys, units, fresh, start, stop
):  # fmt: skip
    """`_gradients` of the units that come as they are."""
    _gradients(
        1, unit, limit, x, y, grad, scale, grad_x, grad_y, sum_r, seen, queries, keys, units, fresh, start, stop
    )  # fmt: skip
