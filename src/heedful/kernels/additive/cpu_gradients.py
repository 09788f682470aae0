"""The backward pass of `cpu_kernels`: from the gradient of context and weights to that of queries, keys and energy."""

from functools import lru_cache

import numpy as np
from numba import njit
from numba.core.registry import cpu_target

from heedful.kernels.additive.cpu_kernels import TILE_QUERIES, power, visible, whole
from heedful.kernels.parallel import compiled, next_slice, numbers
from heedful.kernels.products import DEPTH, multiply
from heedful.kernels.simd import (
    INNER,
    address_of,
    get,
    get_index,
    keep,
    lanes,
    load,
    load_some,
    place_of,
    put,
    reciprocal,
    reciprocals,
    scratch,
    shift,
    splat,
    store,
    store_some,
    total,
    where_within,
    zero_where_zero,
)

# Up to so many queries a dot product for each key is cheaper than turning the values over.
_FEW = 4
# Whether factors that the sums of narrow units have in common are left to their end, which is a multiplication more and
# three additions less. Zen 4 has pipes for additions alone, which are free where multiplications keep the others busy.
_FACTORED = cpu_target.target_context.codegen().magic_tuple()[1] != "znver4"
# Keys whose values' gradients are computed together.
TILE_KEYS = 32


@lru_cache(typed=True)  # 1 of float32 equals 1 of float64
def slope(unit):
    """Kernel over rows, batch x queries: the gradient of the scores.

    It follows from the weights and from the gradients of the context (through `value`) and of the weights (`given`, or
    0). Numbers: weights, gradient, given, value, its width, gradient of the context, `seen` or 0, queries, keys.
    """

    @compiled
    def body(job):
        _slope(unit, job)

    return body


@njit(**INNER)
def _slope(unit, job):
    weights, grad, given, value, value_dim, grad_context, seen, queries, keys = numbers(job, 0, 9)
    n = lanes(unit)
    index_list, packed = np.empty(keys + 4, np.int64), scratch(unit, 4 * n * value_dim)
    found = scratch(unit, 4 * n * TILE_QUERIES)
    row, stop = next_slice(job)
    while row < stop:
        batch = row // queries
        rows = min((batch + 1) * queries, stop) - row
        count = visible(seen, batch, keys, index_list)
        flow, memory = shift(unit, grad, row * keys), shift(unit, value, batch * keys * value_dim)
        source = shift(unit, grad_context, row * value_dim)
        if count < keys:
            for k in range(rows * keys):
                put(flow, k, unit - unit)
        _flow(
            unit, source, memory, value_dim, address_of(index_list), count, keys, rows, flow,
            place_of(packed), place_of(found),
        )  # fmt: skip
        for i in range(row, row + rows):
            own = 0 if given == 0 else shift(unit, given, i * keys)
            _slope_row(unit, shift(unit, weights, i * keys), shift(unit, grad, i * keys), own, keys)
        row += rows
        if row == stop:
            row, stop = next_slice(job)
    keep(index_list)
    keep(packed)
    keep(found)


@njit(**INNER)
def _flow(unit, source, value, value_dim, index, count, keys, rows, flow, packed, found):
    """flow[i, k] = source[i] . value[k] for the listed keys."""
    wide = 4 * lanes(unit)
    if rows <= _FEW:
        for i in range(rows):
            _dots(unit, shift(unit, source, i * value_dim), value, value_dim, index, count, shift(unit, flow, i * keys))
        return
    for first in range(0, count, wide):
        some = min(wide, count - first)
        for j in range(wide):
            own = shift(unit, value, get_index(index, first + min(j, some - 1)) * value_dim)
            for v in range(value_dim):
                put(packed, v * wide + j, get(unit, own, v))
        for i in range(0, rows, TILE_QUERIES):
            block = min(TILE_QUERIES, rows - i)
            own, target = shift(unit, source, i * value_dim), shift(unit, flow, i * keys)
            if some == wide and count == keys:
                multiply(
                    unit, own, value_dim, 1, block, value_dim, packed, wide, 0, shift(unit, target, first), keys, True
                )
                continue
            multiply(unit, own, value_dim, 1, block, value_dim, packed, wide, 0, found, wide, True)
            for r in range(block):
                for j in range(some):
                    put(target, r * keys + get_index(index, first + j), get(unit, found, r * wide + j))


@njit(**INNER)
def _dots(unit, source, value, value_dim, index, count, flow):
    """flow[k] = source . value[k] for the listed keys, one by one."""
    for j in range(count):
        own = shift(unit, value, get_index(index, j) * value_dim)
        dot = splat(unit - unit)
        for v in range(0, value_dim, lanes(unit)):
            dot = dot + load_some(unit, value_dim - v, own, v) * load_some(unit, value_dim - v, source, v)
        put(flow, get_index(index, j), total(dot))


@njit(**INNER)
def _slope_row(unit, weight, flow, given, keys):
    """Slope = weight * (flow - sum of weight * flow); 0 where the weight is 0, whatever its gradient."""
    n, full = lanes(unit), keys - keys % lanes(unit)
    if given != 0:
        for k in range(keys):
            put(flow, k, get(unit, flow, k) + get(unit, given, k))
    mean = splat(unit - unit)
    for k in range(0, full, n):
        mean = mean + zero_where_zero(load(unit, flow, k), load(unit, weight, k)) * load(unit, weight, k)
    middle = total(mean)
    for k in range(full, keys):
        if get(unit, weight, k) != 0:
            middle += get(unit, weight, k) * get(unit, flow, k)
    for k in range(0, full, n):
        difference = load(unit, flow, k) - splat(middle)
        store(flow, k, zero_where_zero(difference, load(unit, weight, k)) * load(unit, weight, k))
    for k in range(full, keys):
        share = get(unit, weight, k)
        put(flow, k, share * (get(unit, flow, k) - middle) if share != 0 else share)


@lru_cache(typed=True)  # 1 of float32 equals 1 of float64
def value_gradient(unit):
    """Kernel over batch x tiles of keys: the values' gradient, weights transposed times the gradient of the context.

    Numbers: weights, gradient of the context, its width, gradient of the values (written if `fresh`, else added to),
    queries, keys, fresh.
    """

    @compiled
    def body(job):
        _value_gradient(unit, job)

    return body


@njit(**INNER)
def _value_gradient(unit, job):
    weights, grad_context, value_dim, grad_value, queries, keys, fresh = numbers(job, 0, 7)
    tiles = (keys + TILE_KEYS - 1) // TILE_KEYS
    packed_list = scratch(unit, TILE_KEYS * DEPTH)
    packed = place_of(packed_list)
    tile, stop = next_slice(job)
    while tile < stop:
        batch, first = tile // tiles, tile % tiles * TILE_KEYS
        rows = min(TILE_KEYS, keys - first)
        target = shift(unit, grad_value, (batch * keys + first) * value_dim)
        for query in range(0, queries, DEPTH):
            some = min(DEPTH, queries - query)
            own = shift(unit, weights, (batch * queries + query) * keys + first)
            # A column of the weights would meet the same few places of the cache again and again.
            for q in range(some):
                for k in range(rows):
                    put(packed, q * TILE_KEYS + k, get(unit, own, q * keys + k))
            flow = shift(unit, grad_context, (batch * queries + query) * value_dim)
            new = fresh != 0 and query == 0
            multiply(unit, packed, 1, TILE_KEYS, rows, some, flow, value_dim, 0, target, value_dim, new)
        tile += 1
        if tile == stop:
            tile, stop = next_slice(job)
    keep(packed_list)


@njit(**INNER)
def _load(direct, unit, left, address, index):
    """A register of factors, which fill registers, or of what is left of units taken directly."""
    if direct is not None:
        return load_some(unit, left, address, index)
    return load(unit, address, index)


@njit(**INNER)
def _four_slopes(
    direct, wide, of_x, of_y, unit, limit, x, y, stride, flow, found_x, grad_y, sums, index, some, rows, units, u, fresh
):  # fmt: skip
    """One register of units of `rows` queries with four keys, `some` of them real; the keys' sums stay in registers."""
    # far out: nothing multiplies these denominators
    one, cut = splat(unit), splat(limit * limit * limit * limit)
    left = units - u
    k0 = _load(direct, unit, left, y, get_index(index, 0) * stride + u)
    k1 = _load(direct, unit, left, y, get_index(index, 1) * stride + u)
    k2 = _load(direct, unit, left, y, get_index(index, 2) * stride + u)
    k3 = _load(direct, unit, left, y, get_index(index, 3) * stride + u)
    b0 = b1 = b2 = b3 = mass = one - one
    for row in range(rows):
        q = _load(direct, unit, left, x, row * stride + u)
        p0, p1 = power(unit, direct, wide, q, k0, cut), power(unit, direct, wide, q, k1, cut)
        p2, p3 = power(unit, direct, wide, q, k2, cut), power(unit, direct, wide, q, k3, cut)
        if direct is None and wide is None:
            r0, r1 = reciprocals(unit, p0 + one, p1 + one)
            r2, r3 = reciprocals(unit, p2 + one, p3 + one)
        else:
            # each by itself: two together may exceed the numbers, or one may be none
            r0, r1 = reciprocal(unit, p0 + one), reciprocal(unit, p1 + one)
            r2, r3 = reciprocal(unit, p2 + one), reciprocal(unit, p3 + one)
        s0, s1 = r0 * splat(get(unit, flow, 4 * row)), r1 * splat(get(unit, flow, 4 * row + 1))
        s2, s3 = r2 * splat(get(unit, flow, 4 * row + 2)), r3 * splat(get(unit, flow, 4 * row + 3))
        if direct is None and wide is None and _FACTORED:
            w0, w1, w2, w3 = s0 * r0, s1 * r1, s2 * r2, s3 * r3
            # P = q k: each factor that a sum has in common is left to its end
            if of_x is not None:
                found = (w0 * k0 + w1 * k1) + (w2 * k2 + w3 * k3)
            w0, w1, w2, w3 = w0 * q, w1 * q, w2 * q, w3 * q
        else:
            # P r is nearly 1 far out, where r r would be no number
            w0, w1, w2, w3 = s0 * (p0 * r0), s1 * (p1 * r1), s2 * (p2 * r2), s3 * (p3 * r3)
            found = (w0 + w1) + (w2 + w3)
        if direct is not None:
            g0, g1 = splat(get(unit, flow, 4 * row)), splat(get(unit, flow, 4 * row + 1))
            g2, g3 = splat(get(unit, flow, 4 * row + 2)), splat(get(unit, flow, 4 * row + 3))
            s0, s1 = g0 * _tanh(unit, limit, q + k0, r0), g1 * _tanh(unit, limit, q + k1, r1)
            s2, s3 = g2 * _tanh(unit, limit, q + k2, r2), g3 * _tanh(unit, limit, q + k3, r3)
        if of_x is not None:
            mass = mass + ((s0 + s1) + (s2 + s3))
            at = row * whole(unit, units) + u
            store(found_x, at, load(unit, found_x, at) + found)
        if of_y is not None:
            b0, b1, b2, b3 = b0 + w0, b1 + w1, b2 + w2, b3 + w3
    if of_x is not None:
        store(sums, u, load(unit, sums, u) + mass)
    if of_y is not None:
        _settle(unit, left, grad_y, get_index(index, 0) * units + u, b0, fresh)
        if some > 1:
            _settle(unit, left, grad_y, get_index(index, 1) * units + u, b1, fresh)
        if some > 2:
            _settle(unit, left, grad_y, get_index(index, 2) * units + u, b2, fresh)
        if some > 3:
            _settle(unit, left, grad_y, get_index(index, 3) * units + u, b3, fresh)


@njit(**INNER)
def _tanh(unit, limit, x, r):
    """1 - 2 r, or the series of tanh x where so little of that difference is left that rounding shows."""
    series = x - x * x * x * splat(unit / (unit + unit + unit))
    return where_within(x, splat(unit / np.sqrt(np.sqrt(limit))), series, splat(unit) - (r + r))


@njit(**INNER)
def _settle(unit, left, target, at, found, fresh):
    """Write a sum, or add it to the one that is there."""
    store_some(left, target, at, found if fresh else found + load_some(unit, left, target, at))


@njit(**INNER)
def _clear(unit, target, begin, end):
    for i in range(begin, end, lanes(unit)):
        store(target, i, splat(unit - unit))


@njit(**INNER)
def _scaled(direct, wide, unit, found, energy, factors, at, units, u):
    """A register of sums times 4 energy, and times the factors where they were left to the end."""
    found = found * load_some(unit, units - u, energy, u) * splat(unit + unit + unit + unit)
    if direct is None and wide is None and _FACTORED:
        return found * load(unit, factors, at * whole(unit, units) + u)
    return found


@njit(**INNER)
def _finish_queries(direct, wide, unit, found_x, grad_x, energy, x, row, rows, units, begin, end, sums, masses, mass):
    """Write the gradients of a tile of queries, and add its part of the energy's: sums of sums, for a million terms
    one by one would lose three digits.
    """
    for i in range(rows):
        for u in range(begin, end, lanes(unit)):
            found = load(unit, found_x, i * whole(unit, units) + u)
            found = _scaled(direct, wide, unit, found, energy, x, row + i, units, u)
            store_some(units - u, grad_x, (row + i) * units + u, found)
    for u in range(begin, end, lanes(unit)):
        part = load(unit, sums, u)
        if direct is None:
            # the sums are of grad * r; tanh is 1 - 2 r
            part = splat(mass) - (part + part)
        store(masses, u, load(unit, masses, u) + part)


@njit(**INNER)
def _gather(unit, grad, row, rows, keys, index, some, flow):
    """The gradients of `rows` queries with four keys, side by side, 0 for a key that only fills the four; any at
    all?
    """
    anything = False
    for i in range(rows):
        for j in range(4):
            found = get(unit, grad, (row + i) * keys + get_index(index, j)) if j < some else unit - unit
            put(flow, 4 * i + j, found)
            anything |= found != 0
    return anything


@lru_cache(typed=True)  # 1 of float32 equals 1 of float64
def gradients(unit, cut, direct, wide, of_x, of_y):
    """Kernel over registers, batch x units: the gradients of queries, keys and energy.

    `of_x` and `of_y` (1 or None) say whose gradients are asked for; that of the energy comes with the queries'.
    Numbers: x, y, gradient of the scores, energy, gradients of x, of y, of the energy [batch, units], `seen` or 0,
    queries, keys, units, fresh, done. The keys' sums are written if `fresh`, else added to those that are there; the
    last call of several says `done`.
    """

    @compiled
    def body(job):
        _gradients(unit, cut, direct, wide, of_x, of_y, job)

    return body


@njit(**INNER)
def _gradients(unit, limit, direct, wide, of_x, of_y, job):
    x, y, grad, energy, grad_x, grad_y, grad_energy, seen, queries, keys, units, fresh, done = numbers(job, 0, 13)
    room = whole(unit, units)
    stride, registers = room if direct is None else units, room // lanes(unit)
    index_list, buffer = np.empty(keys + 4, np.int64), scratch(unit, 4 * TILE_QUERIES + (TILE_QUERIES + 2) * room)
    index, flow = address_of(index_list), place_of(buffer)
    found_x = shift(unit, flow, 4 * TILE_QUERIES)
    sums = shift(unit, found_x, TILE_QUERIES * room)
    masses = shift(unit, sums, room)
    start, stop = next_slice(job)
    while start < stop:
        batch = start // registers
        begin, end = (start - batch * registers) * lanes(unit), min(stop - batch * registers, registers) * lanes(unit)
        count = visible(seen, batch, keys, index_list)
        own_y, own_grad_y = shift(unit, y, batch * keys * stride), shift(unit, grad_y, batch * keys * units)
        _clear(unit, masses, begin, end)
        for query in range(0, queries, TILE_QUERIES):
            rows, row = min(TILE_QUERIES, queries - query), batch * queries + query
            new = fresh != 0 and query == 0
            mass = splat(unit - unit)
            _clear(unit, flow, 0, 4 * TILE_QUERIES)
            _clear(unit, sums, begin, end)
            for i in range(rows):
                _clear(unit, found_x, i * room + begin, i * room + end)
            for j in range(0, count, 4):
                some = min(4, count - j)
                if not _gather(unit, grad, row, rows, keys, index + 8 * j, some, flow) and not new:
                    continue
                for i in range(0, 4 * rows, lanes(unit)):
                    mass = mass + load(unit, flow, i)
                for u in range(begin, end, lanes(unit)):
                    _four_slopes(
                        direct, wide, of_x, of_y, unit, limit, shift(unit, x, row * stride), own_y, stride, flow,
                        found_x, own_grad_y, sums, index + 8 * j, some, rows, units, u, new,
                    )  # fmt: skip
            if of_x is not None:
                _finish_queries(
                    direct, wide, unit, found_x, grad_x, energy, x, row, rows, units, begin, end, sums, masses,
                    total(mass),
                )  # fmt: skip
        if of_x is not None:
            for u in range(begin, end, lanes(unit)):
                store_some(units - u, grad_energy, batch * units + u, load(unit, masses, u))
        if of_y is not None and done != 0:
            for j in range(count):
                row = batch * keys + get_index(index, j)
                for u in range(begin, end, lanes(unit)):
                    found = load_some(unit, units - u, grad_y, row * units + u)
                    found = _scaled(direct, wide, unit, found, energy, y, row, units, u)
                    store_some(units - u, grad_y, row * units + u, found)
        start += (end - begin) // lanes(unit)
        if start == stop:
            start, stop = next_slice(job)
    keep(index_list)
    keep(buffer)
