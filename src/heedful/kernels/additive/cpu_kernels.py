"""Additive attention on the CPU: Numba kernels over slices of the work, called with addresses.

Every array is contiguous, and a register holds neighbouring units of one query or key. They come as factors e^{2x},
whose product is all the inner loop needs, or as they are (`direct`), where the range is too large for the product or
one use does not repay the factors. With P = e^{2(a + b)}, cut at 2^27 (float64: 2^57) where tanh has long rounded to 1,
and r = 1 / (1 + P):

    score = sum(energy) - 2 sum_u energy_u r_u        slope of tanh = 4 P r^2

Where no product can exceed what four denominators multiplied can bear, the cut is left out; otherwise the factors are
`wide`. Keys that no query of the batch item may see are never read.
"""

from functools import lru_cache

import numpy as np
from numba import njit

from heedful.kernels.parallel import compiled, leave, next_slice, numbers
from heedful.kernels.products import multiply
from heedful.kernels.simd import (
    INNER,
    add_totals,
    address_of,
    at_least,
    at_most,
    exp,
    get,
    get_byte,
    get_index,
    keep,
    lanes,
    largest,
    load,
    load_some,
    magnitude,
    place_of,
    put,
    scratch,
    shift,
    splat,
    store,
    total,
    where_within,
)

# Numbers of one tile of sums, so that a very long memory takes fewer queries at a time.
_TILE_SUMS = 1 << 20
# Bytes of keys that stay in the first-level cache while the queries of a tile pass over them.
_TILE_BYTES = 24576
TILE_QUERIES = 16


@lru_cache(typed=True)  # 1 of float32 equals 1 of float64
def exponentials(unit, limit):
    """Kernel over rows of units: target = e^{2 source}, with whole registers of units, NaN beyond the limit.

    Leaves the largest magnitude, or infinity. Numbers: source, target, units.
    """

    @compiled
    def body(job):
        _exponentials(unit, limit, job)

    return body


@njit(**INNER)
def whole(unit, units):
    """As many units as fill whole registers."""
    return (units + lanes(unit) - 1) // lanes(unit) * lanes(unit)


@njit(**INNER)
def _exponentials(unit, limit, job):
    source, target, units = numbers(job, 0, 3)
    ceiling, endless = splat(limit), splat(unit / (unit - unit))
    peak = ceiling - ceiling
    start, stop = next_slice(job)
    while start < stop:
        for row in range(start, stop):
            for u in range(0, units, lanes(unit)):
                x = load_some(unit, units - u, source, row * units + u)
                size = where_within(x, ceiling, magnitude(x), endless)
                peak = at_least(peak, size)
                # 0 while the size is finite, NaN when it is infinite
                store(target, row * whole(unit, units) + u, exp(unit, x + x) + (size - size))
        start, stop = next_slice(job)
    leave(job, largest(peak))


@njit(**INNER)
def power(unit, direct, wide, x, y, limit):
    """P. `direct`: x and y are no factors; `wide`: their product needs the cut. None or 1, chosen when compiled."""
    if direct is not None:
        doubled = x + y
        return at_most(exp(unit, doubled + doubled), limit)
    if wide is not None:
        return at_most(x * y, limit)
    return x * y


@njit(**INNER)
def visible(seen, batch, keys, index):
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
def _quotient(direct, wide, unit, limit, x, y, energy, u):
    """Energy / (1 + P), summed over four registers of units.

    Four denominators of wide factors share one division. Of narrow ones, `x` is divided by the energy and `energy`
    holds inverses: the denominators carry the energy, nothing is left to multiply, and two share a division.
    """
    if direct is None and wide is None:
        return _pair_quotient(unit, x, y, energy, u) + _pair_quotient(unit, x, y, energy, u + 2 * lanes(unit))
    n, one, cut = lanes(unit), splat(unit), splat(limit)
    d1 = power(unit, direct, wide, load(unit, x, u), load(unit, y, u), cut) + one
    d2 = power(unit, direct, wide, load(unit, x, u + n), load(unit, y, u + n), cut) + one
    d3 = power(unit, direct, wide, load(unit, x, u + 2 * n), load(unit, y, u + 2 * n), cut) + one
    d4 = power(unit, direct, wide, load(unit, x, u + 3 * n), load(unit, y, u + 3 * n), cut) + one
    d12, d34 = d1 * d2, d3 * d4
    n12 = load(unit, energy, u) * d2 + load(unit, energy, u + n) * d1
    n34 = load(unit, energy, u + 2 * n) * d4 + load(unit, energy, u + 3 * n) * d3
    return (n12 * d34 + n34 * d12) / (d12 * d34)


@njit(**INNER)
def _pair_quotient(unit, x, y, inverse, u):
    n = lanes(unit)
    d1 = load(unit, x, u) * load(unit, y, u) + load(unit, inverse, u)
    d2 = load(unit, x, u + n) * load(unit, y, u + n) + load(unit, inverse, u + n)
    return (d1 + d2) / (d1 * d2)


@njit(**INNER)
def _single(direct, wide, unit, limit, x, y, energy, u, units):
    """Energy / (1 + P) of one register of units; of what is left of it, where they are taken directly."""
    if direct is None and wide is None:
        return splat(unit) / (load(unit, x, u) * load(unit, y, u) + load(unit, energy, u))
    if direct is not None:
        left, right = load_some(unit, units - u, x, u), load_some(unit, units - u, y, u)
    else:
        left, right = load(unit, x, u), load(unit, y, u)
    return load(unit, energy, u) / (power(unit, direct, wide, left, right, splat(limit)) + splat(unit))


@njit(**INNER)
def _add_four(direct, wide, alone, unit, limit, x, y, energy, units, begin, end, index, sums):
    """Add sum_u energy_u r_u of one query with four keys to four sums; units by four registers, or each `alone`."""
    y0, y1 = shift(unit, y, get_index(index, 0) * units), shift(unit, y, get_index(index, 1) * units)
    y2, y3 = shift(unit, y, get_index(index, 2) * units), shift(unit, y, get_index(index, 3) * units)
    s0 = s1 = s2 = s3 = splat(unit - unit)
    if alone is None:
        for u in range(begin, end, 4 * lanes(unit)):
            s0 = s0 + _quotient(direct, wide, unit, limit, x, y0, energy, u)
            s1 = s1 + _quotient(direct, wide, unit, limit, x, y1, energy, u)
            s2 = s2 + _quotient(direct, wide, unit, limit, x, y2, energy, u)
            s3 = s3 + _quotient(direct, wide, unit, limit, x, y3, energy, u)
    else:
        for u in range(begin, end, lanes(unit)):
            s0 = s0 + _single(direct, wide, unit, limit, x, y0, energy, u, units)
            s1 = s1 + _single(direct, wide, unit, limit, x, y1, energy, u, units)
            s2 = s2 + _single(direct, wide, unit, limit, x, y2, energy, u, units)
            s3 = s3 + _single(direct, wide, unit, limit, x, y3, energy, u, units)
    add_totals(sums, s0, s1, s2, s3)


@njit(**INNER)
def _add_part(
    direct, wide, alone, unit, limit, x, y, energy, units, begin, end,
    index, count, rows, sums, width, mask, mask_query, mask_key,
):  # fmt: skip
    """`_add_four` for all rows and listed keys, a tile of keys at a time; four keys hidden together are left out."""
    if begin == end:
        return
    tile = max(4, _TILE_BYTES // shift(unit, 0, units) // 4 * 4)
    for first in range(0, count, tile):
        for row in range(rows):
            own, found = shift(unit, x, row * units), shift(unit, sums, row * width)
            for j in range(first, min(first + tile, count), 4):
                if mask != 0 and not _any_visible(mask + row * mask_query, mask_key, index + 8 * j):
                    continue
                at = shift(unit, found, j)
                _add_four(direct, wide, alone, unit, limit, own, y, energy, units, begin, end, index + 8 * j, at)


@njit(**INNER)
def _any_visible(mask, mask_key, index):
    near = get_byte(mask, get_index(index, 0) * mask_key) | get_byte(mask, get_index(index, 1) * mask_key)
    far = get_byte(mask, get_index(index, 2) * mask_key) | get_byte(mask, get_index(index, 3) * mask_key)
    return (near | far) != 0


@njit(**INNER)
def _add_sums(
    direct, wide, unit, limit, x, y, energy, units, index, count, rows, sums, width, mask, mask_query, mask_key
):  # fmt: skip
    """Add sum_u energy_u r_u of some rows with the listed keys to `sums`."""
    fours = units - units % (4 * lanes(unit))
    _add_part(
        direct, wide, None, unit, limit, x, y, energy, units, 0, fours,
        index, count, rows, sums, width, mask, mask_query, mask_key,
    )  # fmt: skip
    _add_part(
        direct, wide, 1, unit, limit, x, y, energy, units, fours, units,
        index, count, rows, sums, width, mask, mask_query, mask_key,
    )  # fmt: skip


@njit(**INNER)
def _invert(unit, energy, units, digits):
    """Energy becomes mean / energy, at most 2^digits: less adds too little to show. Returns the mean."""
    mean, count, floor = unit - unit, unit - unit, unit
    for _ in range(units):
        count += unit
    for _ in range(digits):
        floor /= unit + unit
    for u in range(units):
        mean += abs(get(unit, energy, u)) / count
    for u in range(whole(unit, units)):
        share = get(unit, energy, u) / mean if mean > 0 else unit
        size = unit / max(abs(share), floor)
        put(energy, u, size if share >= 0 else -size)
    return mean


@njit(**INNER)
def _largest(unit, energy, units):
    """The largest magnitude, 1 if it is less."""
    found = unit
    for u in range(units):
        found = max(found, abs(get(unit, energy, u)))
    return found


@njit(**INNER)
def _divide(unit, energy, units, size):
    for u in range(units):
        put(energy, u, get(unit, energy, u) / size)


@njit(**INNER)
def _add_products(
    wide, unit, limit, x, y, energy, units, own, index, count, rows, sums, width, mask, mask_query, mask_key
):  # fmt: skip
    """`_add_sums` of factors; where they are narrow, `energy` holds its inverses and `own` is room for a tile."""
    if wide is not None:
        _add_sums(
            None, wide, unit, limit, x, y, energy, units,
            index, count, rows, sums, width, mask, mask_query, mask_key,
        )  # fmt: skip
        return
    for i in range(rows):
        for u in range(0, units, lanes(unit)):
            store(own, i * units + u, load(unit, x, i * units + u) * load(unit, energy, u))
    _add_sums(
        None, None, unit, limit, own, y, energy, units,
        index, count, rows, sums, width, mask, mask_query, mask_key,
    )  # fmt: skip


@njit(**INNER)
def _weigh(unit, scale, row, count, width, mask, mask_key, index):
    """Turn sums into weights in place: softmax of scale * sums over the visible keys; the constant is left out."""
    n, zero = lanes(unit), splat(unit - unit)
    hidden = -unit / (unit - unit)
    for j in range(0, count, n):
        store(row, j, load(unit, row, j) * splat(scale))
    if mask != 0:
        for j in range(count):
            if get_byte(mask, get_index(index, j) * mask_key) == 0:
                put(row, j, hidden)
    for j in range(count, width):
        put(row, j, hidden)
    peak = splat(hidden)
    for j in range(0, width, n):
        peak = at_least(peak, load(unit, row, j))
    top = largest(peak)
    if top == hidden:
        top = unit - unit
    mass = zero
    for j in range(0, width, n):
        weight = exp(unit, load(unit, row, j) - splat(top))
        mass = mass + weight
        store(row, j, weight)
    every = total(mass)
    # A row that sees nothing has no mass, and keeps its zeros.
    part = splat(unit / every if every != 0 else unit)
    for j in range(0, width, n):
        store(row, j, load(unit, row, j) * part)


@njit(**INNER)
def _scatter(unit, row, index, count, keys, target):
    """Write a row over the listed keys to a row over all keys."""
    if count == keys:
        for j in range(keys):
            put(target, j, get(unit, row, j))
        return
    for k in range(keys):
        put(target, k, unit - unit)
    for j in range(count):
        put(target, get_index(index, j), get(unit, row, j))


@njit(**INNER)
def _copy(unit, source, target, count):
    """Copy numbers, with zeros up to whole registers; returns their sum."""
    mass = splat(unit - unit)
    for i in range(0, count, lanes(unit)):
        found = load_some(unit, count - i, source, i)
        mass = mass + found
        store(target, i, found)
    return total(mass)


@lru_cache(typed=True)  # 1 of float32 equals 1 of float64
def forward(unit, cut, near, far, wide):
    """Kernel over rows, batch x queries: scores, or weights and (unless `value` is 0) the context.

    `near`, `far` (1 or None): are there units by factors, units taken directly? `wide`: do the factors need the cut?
    Leaves 0, or more if a sum was NaN. Numbers: x, y, energy, units of the near side, the same of the far side (`x`,
    `y` [batch, queries or keys, units], of the near side in whole registers); where factors are not wide, which power
    of 2 bounds the inverse of their energy; `seen` [batch, keys] or 0; the mask or 0, and its three strides, all in
    bytes; value or 0 and its width; context; where weights or scores go, or 0; softmax or not; queries; keys.
    """

    @compiled
    def body(job):
        _forward(unit, cut, near, far, wide, job)

    return body


@njit(**INNER)
def _forward(unit, limit, near, far, wide, job):
    x, y, near_energy, near_units, a, b, far_energy, far_units, digits = numbers(job, 0, 9)
    seen, mask, mask_batch, mask_query, mask_key, value, value_dim = numbers(job, 9, 7)
    context, out, softmax, queries, keys = numbers(job, 16, 5)
    width = (keys + lanes(unit) + 3) // lanes(unit) * lanes(unit)
    tile = min(TILE_QUERIES, max(1, _TILE_SUMS // width), queries)
    units = whole(unit, near_units)
    index_list, sums_room = np.empty(keys + 4, np.int64), scratch(unit, tile * width)
    near_room, far_room = scratch(unit, (tile + 1) * units), scratch(unit, whole(unit, far_units))
    index, sums, energy = address_of(index_list), place_of(sums_room), place_of(near_room)
    own, direct_energy = shift(unit, energy, units), place_of(far_room)
    bias, trace, scale = unit - unit, unit - unit, -unit - unit
    if near is not None:
        bias += _copy(unit, near_energy, energy, near_units)
    if far is not None:
        bias += _copy(unit, far_energy, direct_energy, far_units)
    if near is not None and wide is None:
        scale *= _invert(unit, energy, near_units, digits)
    else:
        # times four denominators, a large energy would exceed the numbers
        size = max(_largest(unit, energy, near_units), _largest(unit, direct_energy, far_units))
        _divide(unit, energy, near_units, size)
        _divide(unit, direct_energy, far_units, size)
        scale *= size
    start, stop = next_slice(job)
    while start < stop:
        row, count = start, 0
        while row < stop:
            batch, query = row // queries, row % queries
            rows = min(tile, queries - query, stop - row)
            if row == start or query == 0:
                count = visible(seen, batch, keys, index_list)
            for i in range(0, rows * width, lanes(unit)):
                store(sums, i, splat(unit - unit))
            hidden = mask + batch * mask_batch + query * mask_query if mask != 0 else 0
            if near is not None:
                _add_products(
                    wide, unit, limit, shift(unit, x, row * units), shift(unit, y, batch * keys * units), energy, units,
                    own, index, count, rows, sums, width, hidden, mask_query, mask_key,
                )  # fmt: skip
            if far is not None:
                _add_sums(
                    1, None, unit, limit, shift(unit, a, row * far_units), shift(unit, b, batch * keys * far_units),
                    direct_energy, far_units, index, count, rows, sums, width, hidden, mask_query, mask_key,
                )  # fmt: skip
            trace += _finish(
                unit, sums, width, bias, scale, rows, index, count, keys, hidden, mask_query, mask_key, softmax,
                0 if out == 0 else shift(unit, out, row * keys),
            )  # fmt: skip
            if value != 0:
                memory, target = shift(unit, value, batch * keys * value_dim), shift(unit, context, row * value_dim)
                multiply(unit, sums, width, 1, rows, count, memory, value_dim, index, target, value_dim, True)
            row += rows
        start, stop = next_slice(job)
    if trace != trace:
        leave(job, unit)
    keep(index_list)
    keep(sums_room)
    keep(near_room)
    keep(far_room)


@njit(**INNER)
def _finish(unit, sums, width, bias, scale, rows, index, count, keys, mask, mask_query, mask_key, softmax, out):
    """Turn the sums of a tile into scores or weights, and write them out; NaN if one was NaN, else 0."""
    trace = splat(unit - unit)
    for i in range(0, rows * width, lanes(unit)):
        trace = trace + (load(unit, sums, i) - load(unit, sums, i))
    for i in range(rows):
        line = shift(unit, sums, i * width)
        if softmax:
            _weigh(unit, scale, line, count, width, mask + i * mask_query if mask != 0 else 0, mask_key, index)
        else:
            for j in range(0, width, lanes(unit)):
                store(line, j, splat(bias) + splat(scale) * load(unit, line, j))
        if out != 0:
            _scatter(unit, line, index, count, keys, shift(unit, out, i * keys))
    return total(trace)
