"""The kernel's side of a job: its numbers, its slices, and what it leaves behind. Imports Numba."""

import numpy as np
from llvmlite import ir
from numba import cfunc, njit
from numba.core import types
from numba.extending import intrinsic

from heedful.kernels.simd import INNER, OUTER, get_index
from heedful.kernels.threads import FOUND, HEAD, Kernel


def compiled(body):
    """Compile a function of a job's address, or find it on disk."""
    return Kernel(cfunc(types.void(types.int64), **OUTER)(body))


@intrinsic(prefer_literal=True)
def numbers(typingctx, job, first, count):
    """`count` numbers of the record after its head, as a tuple; `first` and `count` are literals."""
    kind = types.UniTuple(types.int64, count.literal_value)

    def codegen(context, builder, signature, args):
        record = builder.inttoptr(args[0], ir.IntType(64).as_pointer())
        place = (
            builder.gep(record, [ir.Constant(ir.IntType(64), HEAD + first.literal_value + i)])
            for i in range(kind.count)
        )
        return context.make_tuple(builder, kind, [builder.load(pointer) for pointer in place])

    return kind(types.int64, first, count), codegen


def _atomic(operation):
    @intrinsic
    def apply(typingctx, address, number):
        def codegen(context, builder, signature, args):
            pointer = builder.inttoptr(args[0], ir.IntType(64).as_pointer())
            value = builder.bitcast(args[1], ir.IntType(64))
            return builder.atomic_rmw(operation, pointer, value, "seq_cst")

        return types.int64(types.int64, number), codegen

    return apply


_add = _atomic("add")
# Numbers that are not negative are in order as integers, infinity included.
_raise = _atomic("umax")


@njit(**INNER)
def next_slice(job):
    """Where the next slice of the work starts and stops; the same place when none is left."""
    count, chunk = get_index(job, 1), get_index(job, 2)
    start = min(_add(job, chunk), count)
    return start, min(start + chunk, count)


@njit(**INNER)
def leave(job, number):
    """Raise what the job found, 0 at first, to a number that is not negative."""
    _raise(job + 8 * FOUND, np.float64(number))
