"""The kernel. A row is read while it is in the cache: its maximum, the sum, and then only blocks that hold a candidate.

Imports Numba.
"""

import math

import numpy as np
from llvmlite import ir
from numba import njit
from numba.core import types
from numba.extending import intrinsic

from heedful.kernels.parallel import compiled, leave, next_slice, numbers
from heedful.kernels.simd import (
    INNER,
    at_least,
    exp,
    get,
    get_index,
    keep,
    lanes,
    largest,
    load,
    place_of,
    put,
    scratch,
    shift,
    splat,
    total,
)

# registers of a block, of which the largest number is kept
_BLOCK = 4


@intrinsic
def put_index(typingctx, address, index, number):
    """Write an int64 to address[index]."""

    def codegen(context, builder, signature, args):
        start = builder.inttoptr(args[0], ir.IntType(64).as_pointer())
        builder.store(args[2], builder.gep(start, [args[1]]))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@njit(**INNER)
def _maxima(unit, row, width, maxima):
    """The largest number of each block and of all; the last block may reach back."""
    n = lanes(unit)
    step = _BLOCK * n
    highest = splat(get(unit, row, 0))
    for first in range(0, width, step):
        at = min(first, width - step)
        one = at_least(load(unit, row, at), load(unit, row, at + n))
        two = at_least(load(unit, row, at + 2 * n), load(unit, row, at + 3 * n))
        most = at_least(one, two)
        put(maxima, first // step, largest(most))
        highest = at_least(highest, most)
    return largest(highest)


@njit(**INNER)
def _exponentials(unit, row, width, highest):
    """The sum of exp(x - highest); NaN where the row holds NaN or nothing finite."""
    n = lanes(unit)
    shifted = splat(highest)
    first_sum = second_sum = splat(unit - unit)
    pairs = width - width % (2 * n)
    for at in range(0, pairs, 2 * n):
        first_sum = first_sum + exp(unit, load(unit, row, at) - shifted)
        second_sum = second_sum + exp(unit, load(unit, row, at + n) - shifted)
    rest = unit - unit
    for at in range(pairs, width):
        rest += np.float32(math.exp(get(unit, row, at) - highest))
    return total(first_sum + second_sum) + rest


@njit(**INNER)
def _insert(unit, values, tokens, count, value, token):
    """Put a number in its place among the best so far, behind its equals."""
    place = count - 1
    while place > 0 and get(unit, values, place - 1) < value:
        put(values, place, get(unit, values, place - 1))
        put_index(tokens, place, get_index(tokens, place - 1))
        place -= 1
    put(values, place, value)
    put_index(tokens, place, token)


@njit(**INNER)
def _row(unit, row, width, maxima, banned, num_banned, hidden, count, values, tokens):
    """Best tokens of a row and the logarithm of its sum; minus infinity stands for a place that none takes."""
    highest, never = _maxima(unit, row, width, maxima), np.float32(-np.inf)
    norm = np.float32(highest + math.log(_exponentials(unit, row, width, highest)))
    # out of the way while the best are looked for
    for place in range(num_banned):
        put(hidden, place, get(unit, row, get_index(banned, place)))
        put(row, get_index(banned, place), never)
    for place in range(count):
        put(values, place, never)
        put_index(tokens, place, 0)
    step = _BLOCK * lanes(unit)
    for first in range(0, width, step):
        if get(unit, maxima, first // step) > get(unit, values, count - 1):
            for token in range(first, min(first + step, width)):
                value = get(unit, row, token)
                if value > get(unit, values, count - 1):
                    _insert(unit, values, tokens, count, value, token)
    for place in range(num_banned - 1, -1, -1):
        put(row, get_index(banned, place), get(unit, hidden, place))
    for place in range(count):
        put(values, place, get(unit, values, place) - norm)
    return norm


@compiled
def best_tokens(job):
    """Rows of logits; leaves 1 behind where a row is broken or has nothing to choose."""
    unit = np.float32(1)
    logits, width, banned, num_banned, count, values, tokens, norms = numbers(job, 0, 8)
    blocks = scratch(unit, width // (_BLOCK * lanes(unit)) + 1)
    hidden = scratch(unit, num_banned + 1)
    start, stop = next_slice(job)
    while start < stop:
        for row in range(start, stop):
            best = shift(unit, values, row * count)
            norm = _row(
                unit,
                shift(unit, logits, row * width),
                width,
                place_of(blocks),
                banned,
                num_banned,
                place_of(hidden),
                count,
                best,
                tokens + 8 * row * count,
            )
            put(norms, row, norm)
            if not get(unit, best, 0) > np.float32(-np.inf):
                leave(job, 1.0)
        start, stop = next_slice(job)
    keep(blocks)
    keep(hidden)
