"""Small matrix products inside a Numba kernel, for rows that are in the cache already."""

from numba.extending import register_jitable

from heedful.kernels.simd import INNER, get, get_index, lanes, load, load_some, shift, splat, store, store_some

# Unlike `njit`, it compiles no function of its own for every constant that a caller writes down.
_inner = register_jitable(**INNER)
# Rows of the second factor that stay in the first-level cache while the rows of the first pass over them.
DEPTH = 128


@_inner
def multiply(unit, a, a_row, a_column, rows, depth, b, width, index, c, c_row, fresh):
    """c[i, :] = sum_j a[i, j] b[index[j], :], or added to what `c` holds unless `fresh`.

    `a` has strides `a_row`, `a_column`; `b` has rows of `width`; `index` lists them, or is 0 for all in order; rows of
    `c` are `c_row` apart.
    """
    n = lanes(unit)
    pairs = width - width % (2 * n)
    for first in range(0, depth, DEPTH):
        last = min(first + DEPTH, depth)
        new = fresh and first == 0
        for v in range(0, pairs, 2 * n):
            for row in range(0, rows, 4):
                _four_by_two(unit, a, a_row, a_column, rows, row, first, last, b, width, index, c, c_row, v, new)
        for v in range(pairs, width, n):
            for row in range(0, rows, 4):
                _four_by_one(unit, a, a_row, a_column, rows, row, first, last, b, width, index, c, c_row, v, new)
    if depth == 0 and fresh:
        for row in range(rows):
            for v in range(0, width, n):
                store_some(width - v, c, row * c_row + v, splat(unit - unit))


@_inner
def _four_by_two(unit, a, a_row, a_column, rows, row, first, last, b, width, index, c, c_row, v, new):
    """Four rows and two registers; rows beyond the last repeat it, and write the same twice."""
    n, end = lanes(unit), rows - 1
    r0, r1, r2, r3 = row, min(row + 1, end), min(row + 2, end), min(row + 3, end)
    c0, c1, c2, c3 = r0 * c_row + v, r1 * c_row + v, r2 * c_row + v, r3 * c_row + v
    s00 = s01 = s10 = s11 = s20 = s21 = s30 = s31 = splat(unit - unit)
    if not new:
        s00, s01, s10, s11 = load(unit, c, c0), load(unit, c, c0 + n), load(unit, c, c1), load(unit, c, c1 + n)
        s20, s21, s30, s31 = load(unit, c, c2), load(unit, c, c2 + n), load(unit, c, c3), load(unit, c, c3 + n)
    for j in range(first, last):
        own = shift(unit, b, (get_index(index, j) if index != 0 else j) * width + v)
        near, far = load(unit, own, 0), load(unit, own, n)
        at = j * a_column
        w0, w1 = splat(get(unit, a, r0 * a_row + at)), splat(get(unit, a, r1 * a_row + at))
        w2, w3 = splat(get(unit, a, r2 * a_row + at)), splat(get(unit, a, r3 * a_row + at))
        s00, s01, s10, s11 = s00 + w0 * near, s01 + w0 * far, s10 + w1 * near, s11 + w1 * far
        s20, s21, s30, s31 = s20 + w2 * near, s21 + w2 * far, s30 + w3 * near, s31 + w3 * far
    store(c, c0, s00)
    store(c, c0 + n, s01)
    store(c, c1, s10)
    store(c, c1 + n, s11)
    store(c, c2, s20)
    store(c, c2 + n, s21)
    store(c, c3, s30)
    store(c, c3 + n, s31)


@_inner
def _four_by_one(unit, a, a_row, a_column, rows, row, first, last, b, width, index, c, c_row, v, new):
    """Four rows and one register, or what is left of it."""
    end, left = rows - 1, width - v
    r0, r1, r2, r3 = row, min(row + 1, end), min(row + 2, end), min(row + 3, end)
    c0, c1, c2, c3 = r0 * c_row + v, r1 * c_row + v, r2 * c_row + v, r3 * c_row + v
    s0 = s1 = s2 = s3 = splat(unit - unit)
    if not new:
        s0, s1, s2, s3 = (
            load_some(unit, left, c, c0),
            load_some(unit, left, c, c1),
            load_some(unit, left, c, c2),
            load_some(unit, left, c, c3),
        )
    for j in range(first, last):
        own = load_some(unit, left, b, (get_index(index, j) if index != 0 else j) * width + v)
        at = j * a_column
        s0 = s0 + splat(get(unit, a, r0 * a_row + at)) * own
        s1 = s1 + splat(get(unit, a, r1 * a_row + at)) * own
        s2 = s2 + splat(get(unit, a, r2 * a_row + at)) * own
        s3 = s3 + splat(get(unit, a, r3 * a_row + at)) * own
    store_some(left, c, c0, s0)
    store_some(left, c, c1, s1)
    store_some(left, c, c2, s2)
    store_some(left, c, c3, s3)
