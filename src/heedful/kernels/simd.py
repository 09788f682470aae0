"""A vector register for Numba: kernels say which lanes they hold, and no loop vectoriser has to guess.

`Vector` is an LLVM vector of float32 or float64, 512 bits wide where the CPU has AVX-512, else 256 (LLVM halves it
where even that is too wide). Memory is named by its address, an int64, and an index in elements: a call costs no array
wrapper. The flag "contract" allows fused multiply-add; nothing may assume that NaN or infinity do not occur.

This file imports Numba, and is imported at the first call of a kernel only.
"""

import operator
from decimal import Decimal

import numpy as np
from llvmlite import ir
from numba import njit
from numba.core import cgutils, types
from numba.core.registry import cpu_target
from numba.extending import intrinsic, models, overload, register_model

from heedful.kernels.cache import folder

# What Numba compiles for: the CPU, or what NUMBA_CPU_FEATURES or NUMBA_ENABLE_AVX make of it.
_FEATURES = cpu_target.target_context.codegen().magic_tuple()[2].split(",")
_BYTES = 64 if "+avx512f" in _FEATURES else 32
_INT32, _INT64 = ir.IntType(32), ir.IntType(64)
_FLAGS = ("contract",)
_LN2 = Decimal("0.693147180559945309417232121458176568")


def lanes_of(dtype: np.dtype) -> int:
    """Elements in one register."""
    return _BYTES // dtype.itemsize


# Serial, without the interpreter lock, no check of divisors: a checked division does not vectorise. What only kernels
# call needs no wrapper for Python, which would cost as much time to compile.
INNER = {
    "nogil": True,
    "error_model": "numpy",
    "forceinline": True,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}
OUTER = {"nogil": True, "error_model": "numpy", "cache": folder() is not None}


class Vector(types.Type):
    """One register of `lanes` floats."""

    def __init__(self, dtype: types.Float) -> None:
        self.dtype = dtype
        self.lanes = _BYTES // (dtype.bitwidth // 8)
        super().__init__(name=f"Vector({dtype} x {self.lanes})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, vector):
        super().__init__(manager, vector, ir.VectorType(_element(vector.dtype), vector.lanes))


def _element(dtype):
    return ir.FloatType() if dtype == types.float32 else ir.DoubleType()


def _pointer(builder, address, index, element):
    return builder.gep(builder.inttoptr(address, element.as_pointer()), [index])


def _spread(builder, scalar, vector):
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(_INT32, 0))
    return builder.shuffle_vector(
        first, undefined, ir.Constant(ir.VectorType(_INT32, vector.count), [0] * vector.count)
    )


@intrinsic
def load(typingctx, unit, address, index):
    """The register at address[index]; `unit`, the number 1, names the type."""
    vector = Vector(unit)

    def codegen(context, builder, signature, args):
        lowered = context.get_value_type(vector)
        pointer = builder.bitcast(_pointer(builder, args[1], args[2], _element(unit)), lowered.as_pointer())
        return builder.load(pointer, align=unit.bitwidth // 8)

    return vector(unit, types.int64, types.int64), codegen


@intrinsic
def store(typingctx, address, index, value):
    """Write a register to address[index]."""

    def codegen(context, builder, signature, args):
        lowered = context.get_value_type(value)
        pointer = builder.bitcast(_pointer(builder, args[0], args[1], _element(value.dtype)), lowered.as_pointer())
        builder.store(args[2], pointer, align=value.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, value), codegen


def _some(builder, left, count):
    """A mask of `count` lanes, the first `left` of them on."""
    width = ir.VectorType(_INT64, count)
    return builder.icmp_signed("<", ir.Constant(width, list(range(count))), _spread(builder, left, width))


@intrinsic
def load_some(typingctx, unit, left, address, index):
    """Like `load`, where only `left` lanes are there; the others are 0, and their memory is not touched."""
    vector = Vector(unit)

    def codegen(context, builder, signature, args):
        lowered, size = context.get_value_type(vector), unit.bitwidth // 8
        pointer = builder.bitcast(_pointer(builder, args[2], args[3], _element(unit)), lowered.as_pointer())
        mask, zero = _some(builder, args[1], vector.lanes), ir.Constant(lowered, None)
        kind = ir.FunctionType(lowered, [pointer.type, _INT32, mask.type, zero.type])
        name = f"llvm.masked.load.v{vector.lanes}f{unit.bitwidth}.p0v{vector.lanes}f{unit.bitwidth}"
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        return builder.call(function, [pointer, ir.Constant(_INT32, size), mask, zero])

    return vector(unit, types.int64, types.int64, types.int64), codegen


@intrinsic
def store_some(typingctx, left, address, index, value):
    """Like `store`, of the first `left` lanes."""

    def codegen(context, builder, signature, args):
        lowered, dtype = context.get_value_type(value), value.dtype
        pointer = builder.bitcast(_pointer(builder, args[1], args[2], _element(dtype)), lowered.as_pointer())
        mask = _some(builder, args[0], value.lanes)
        kind = ir.FunctionType(ir.VoidType(), [lowered, pointer.type, _INT32, mask.type])
        name = f"llvm.masked.store.v{value.lanes}f{dtype.bitwidth}.p0v{value.lanes}f{dtype.bitwidth}"
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        builder.call(function, [args[3], pointer, ir.Constant(_INT32, dtype.bitwidth // 8), mask])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, value), codegen


@intrinsic
def get(typingctx, unit, address, index):
    """The number at address[index]."""

    def codegen(context, builder, signature, args):
        return builder.load(_pointer(builder, args[1], args[2], _element(unit)))

    return unit(unit, types.int64, types.int64), codegen


@intrinsic
def put(typingctx, address, index, value):
    """Write a number to address[index]."""

    def codegen(context, builder, signature, args):
        builder.store(args[2], _pointer(builder, args[0], args[1], _element(value)))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, value), codegen


@intrinsic
def get_byte(typingctx, address, index):
    """The byte at address[index]: one entry of a boolean mask."""

    def codegen(context, builder, signature, args):
        return builder.load(_pointer(builder, args[0], args[1], ir.IntType(8)))

    return types.uint8(types.int64, types.int64), codegen


@intrinsic
def get_index(typingctx, address, index):
    """The int64 at address[index]; an array would first ask whether the index is negative."""

    def codegen(context, builder, signature, args):
        return builder.load(_pointer(builder, args[0], args[1], ir.IntType(64)))

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def address_of(typingctx, array):
    """Where the elements of a NumPy array begin (`array.ctypes.data` would bar the compiled code from the cache)."""

    def codegen(context, builder, signature, args):
        start = context.make_array(array)(context, builder, args[0]).data
        return builder.ptrtoint(start, ir.IntType(64))

    return types.int64(array), codegen


def scratch(unit, count):
    """Room for `count` numbers, not yet written; `place_of` says where, `keep` holds it until there."""
    raise NotImplementedError("compiled code only")


@overload(scratch)
def _scratch(unit, count):
    dtype = np.float32 if unit == types.float32 else np.float64
    return lambda unit, count: np.empty(count + lanes(unit), dtype)


@njit(**INNER)
def place_of(room):
    """Where the numbers of a scratch begin: a register that lies across two lines of the cache is slow."""
    return (address_of(room) + _BYTES - 1) // _BYTES * _BYTES


@intrinsic
def keep(typingctx, array):
    """Use the array once more: Numba frees it after its last use, and does not see that its address is in use."""

    def codegen(context, builder, signature, args):
        return context.get_dummy_value()

    return types.void(array), codegen


@intrinsic
def splat(typingctx, number):
    """A register that holds the number in every lane."""
    vector = Vector(number)

    def codegen(context, builder, signature, args):
        return _spread(builder, args[0], context.get_value_type(vector))

    return vector(number), codegen


def _arithmetic(python_operator, instruction):
    @intrinsic
    def apply(typingctx, left, right):
        def codegen(context, builder, signature, args):
            return getattr(builder, instruction)(*args, flags=_FLAGS)

        return left(left, right), codegen

    @overload(python_operator)
    def vector_operator(left, right):
        if isinstance(left, Vector) and left == right:
            return lambda left, right: apply(left, right)
        return None


_arithmetic(operator.add, "fadd")
_arithmetic(operator.sub, "fsub")
_arithmetic(operator.mul, "fmul")
_arithmetic(operator.truediv, "fdiv")


def _choice(comparison):
    @intrinsic
    def choose(typingctx, left, right):
        def codegen(context, builder, signature, args):
            return builder.select(builder.fcmp_ordered(comparison, *args), args[1], args[0])

        return left(left, right), codegen

    return choose


# at_most(x, limit) and at_least(x, limit) hand on x where it is NaN: a comparison with NaN is false.
at_most = _choice(">")
at_least = _choice("<")


@intrinsic
def zero_below(typingctx, value, number, limit):
    """`value`, but 0 in the lanes where `number` < `limit`."""

    def codegen(context, builder, signature, args):
        zero = ir.Constant(args[0].type, None)
        return builder.select(builder.fcmp_ordered("<", args[1], args[2]), zero, args[0])

    return value(value, number, limit), codegen


@intrinsic
def zero_where_zero(typingctx, value, weight):
    """`value`, but 0 in the lanes where `weight` is 0: what is hidden may hold NaN."""

    def codegen(context, builder, signature, args):
        zero = ir.Constant(args[0].type, None)
        return builder.select(builder.fcmp_ordered("==", args[1], zero), zero, args[0])

    return value(value, weight), codegen


@intrinsic
def where_within(typingctx, value, limit, inside, outside):
    """`inside` in the lanes where |value| <= `limit`, else `outside`, also where the value is NaN."""

    def codegen(context, builder, signature, args):
        number, bound, near, far = args
        below = builder.fcmp_ordered("<=", number, bound)
        above = builder.fcmp_ordered(">=", number, builder.fneg(bound))
        return builder.select(builder.and_(below, above), near, far)

    return value(value, limit, inside, outside), codegen


@intrinsic
def magnitude(typingctx, value):
    """|value|."""

    def codegen(context, builder, signature, args):
        negative = builder.fcmp_ordered("<", args[0], ir.Constant(args[0].type, None))
        return builder.select(negative, builder.fneg(args[0]), args[0])

    return value(value), codegen


def _reduction(name, flags, start):
    @intrinsic
    def reduce(typingctx, value):
        def codegen(context, builder, signature, args):
            vector, element = args[0].type, _element(value.dtype)
            head = [] if start is None else [ir.Constant(element, start)]
            kind = ir.FunctionType(element, [*(operand.type for operand in head), vector])
            intrinsic_name = f"llvm.vector.reduce.{name}.v{vector.count}f{value.dtype.bitwidth}"
            function = cgutils.get_or_insert_function(builder.module, kind, intrinsic_name)
            return builder.call(function, [*head, args[0]], fastmath=flags)

        return value.dtype(value), codegen

    return reduce


# The lanes are added in pairs: the one place where order is given up.
total = _reduction("fadd", ("reassoc",), -0.0)
largest = _reduction("fmax", (), None)


@intrinsic
def add_totals(typingctx, address, first, second, third, fourth):
    """Add the lanes of four registers to four numbers in a row: halves are paired, so that all four share the
    additions.
    """

    def codegen(context, builder, signature, args):
        def shuffle(left, right, lanes):
            mask = ir.Constant(ir.VectorType(_INT32, len(lanes)), lanes)
            return builder.shuffle_vector(left, right, mask)

        def fold(left, right, group):
            # lanes of one vector, then of the other: the first and the second half of each group
            count = 2 * left.type.count
            low = [lane for lane in range(count) if lane % group < group // 2]
            high = [lane for lane in range(count) if lane % group >= group // 2]
            return builder.fadd(shuffle(left, right, low), shuffle(left, right, high), flags=_FLAGS)

        group = first.lanes
        whole = fold(fold(*args[1:3], group), fold(*args[3:5], group), group // 2)
        group //= 4
        while group > 1:
            whole = fold(whole, ir.Constant(whole.type, ir.Undefined), group)
            whole = shuffle(whole, ir.Constant(whole.type, ir.Undefined), list(range(whole.type.count // 2)))
            group //= 2
        element = _element(first.dtype)
        pointer = builder.bitcast(builder.inttoptr(args[0], element.as_pointer()), whole.type.as_pointer())
        size = first.dtype.bitwidth // 8
        builder.store(builder.fadd(builder.load(pointer, align=size), whole, flags=_FLAGS), pointer, align=size)
        return context.get_dummy_value()

    return types.void(types.int64, first, first, first, first), codegen


@intrinsic
def _power_of_two(typingctx, shifted, unit):
    """2^n from n + 1.5 * 2^digits, whose low bits are n: moved to the exponent's place."""

    def codegen(context, builder, signature, args):
        bits, digits, bias = (32, 23, 127) if unit == types.float32 else (64, 52, 1023)
        integers = ir.VectorType(ir.IntType(bits), args[0].type.count)
        number = builder.add(builder.bitcast(args[0], integers), ir.Constant(integers, [bias] * integers.count))
        return builder.bitcast(builder.shl(number, ir.Constant(integers, [digits] * integers.count)), args[0].type)

    return shifted(shifted, unit), codegen


@intrinsic
def _estimate(typingctx, value):
    """1 / value to 14 bits, where the CPU has such an instruction (float32 and AVX-512)."""

    def codegen(context, builder, signature, args):
        vector, mask = args[0].type, ir.IntType(16)
        kind = ir.FunctionType(vector, [vector, vector, mask])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.rcp14.ps.512")
        return builder.call(function, [args[0], ir.Constant(vector, ir.Undefined), ir.Constant(mask, -1)])

    return value(value), codegen


def reciprocal(unit, x):
    """1 / x: by Newton's step from an estimate, or a division."""
    raise NotImplementedError("compiled code only")


@overload(reciprocal)
def _reciprocal(unit, x):
    def estimated(unit, x):
        near = _estimate(x)
        return near * (splat(unit + unit) - x * near)

    return estimated if _estimates(unit) else lambda unit, x: splat(unit) / x


def reciprocals(unit, first, second):
    """1 / first and 1 / second: by Newton's step from an estimate, or one division for both (NaN in both then)."""
    raise NotImplementedError("compiled code only")


@overload(reciprocals)
def _reciprocals(unit, first, second):
    def estimated(unit, first, second):
        return reciprocal(unit, first), reciprocal(unit, second)

    def divided(unit, first, second):
        both = splat(unit) / (first * second)
        return both * second, both * first

    return estimated if _estimates(unit) else divided


def _estimates(unit):
    """Whether the CPU has an instruction for an estimate of 1 / x."""
    return unit == types.float32 and _BYTES == 64


def lanes(unit):
    """Elements in one register of the type of `unit`."""
    raise NotImplementedError("compiled code only")


@overload(lanes)
def _lanes(unit):
    count = Vector(unit).lanes
    return lambda unit: count


def shift(unit, address, count):
    """The address `count` elements further on."""
    raise NotImplementedError("compiled code only")


@overload(shift)
def _shift(unit, address, count):
    size = unit.bitwidth // 8
    return lambda unit, address, count: address + size * count


def exp(unit, x):
    """e^x by x = n ln 2 + r and Taylor's series in r, |r| <= ln(2)/2; 0 below the normal numbers, cut at the
    largest.
    """
    raise NotImplementedError("compiled code only")


@njit(**INNER)
def _reduce(unit, x, low, high, shift, ln2_high, ln2_low, log2_e):
    cut = at_least(at_most(x, splat(high)), splat(low))
    shifted = cut * splat(log2_e) + splat(shift)
    n = shifted - splat(shift)
    return cut - n * splat(ln2_high) - n * splat(ln2_low), _power_of_two(shifted, unit)


@overload(exp)
def _exp(unit, x):
    single = unit == types.float32
    number = np.float32 if single else np.float64
    low, high = (number(-87.0), number(88.0)) if single else (number(-708.0), number(709.0))
    shift = number(1.5 * 2.0 ** (23 if single else 52))
    # ln 2 in two parts; the first has so few bits that its product with n is exact.
    bits = 2 ** (16 if single else 40)
    ln2_high, ln2_low = number(int(_LN2 * bits) / bits), number(_LN2 - Decimal(int(_LN2 * bits)) / bits)
    log2_e = number(1 / _LN2)
    c = tuple(number(1.0 / factorial) for factorial in np.cumprod(np.arange(1.0, 14.0)))

    def exp32(unit, x):
        r, scale = _reduce(unit, x, low, high, shift, ln2_high, ln2_low, log2_e)
        p = splat(c[5]) + r * splat(c[6])
        p = splat(c[3]) + r * (splat(c[4]) + r * p)
        p = splat(c[1]) + r * (splat(c[2]) + r * p)
        return zero_below((splat(unit) + (r + r * r * p)) * scale, x, splat(low))

    def exp64(unit, x):
        r, scale = _reduce(unit, x, low, high, shift, ln2_high, ln2_low, log2_e)
        p = splat(c[11]) + r * splat(c[12])
        p = splat(c[9]) + r * (splat(c[10]) + r * p)
        p = splat(c[7]) + r * (splat(c[8]) + r * p)
        p = splat(c[5]) + r * (splat(c[6]) + r * p)
        p = splat(c[3]) + r * (splat(c[4]) + r * p)
        p = splat(c[1]) + r * (splat(c[2]) + r * p)
        return zero_below((splat(unit) + (r + r * r * p)) * scale, x, splat(low))

    return exp32 if single else exp64
