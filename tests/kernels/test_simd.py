"""The vector register by itself: its exponential, reciprocal and sums, and the small products."""

import numpy as np
import pytest
from numba import njit

from heedful.kernels import simd
from heedful.kernels.products import multiply

ONES = [np.float32(1), np.float64(1)]
OPTIONS = {"nogil": True, "error_model": "numpy"}


@njit(**OPTIONS)
def exponentials(unit, source, target, count):
    for i in range(0, count, simd.lanes(unit)):
        simd.store(target, i, simd.exp(unit, simd.load(unit, source, i)))


@njit(**OPTIONS)
def inverses(unit, source, target, count):
    for i in range(0, count, 2 * simd.lanes(unit)):
        n = simd.lanes(unit)
        both = simd.reciprocals(unit, simd.load(unit, source, i), simd.load(unit, source, i + n))
        simd.store(target, i, both[0])
        simd.store(target, i + n, both[1])


@njit(**OPTIONS)
def sums(unit, source, target):
    n = simd.lanes(unit)
    first, second = simd.load(unit, source, 0), simd.load(unit, source, n)
    simd.add_totals(target, first, second, simd.load(unit, source, 2 * n), simd.load(unit, source, 3 * n))
    simd.put(target, 4, simd.total(first))
    simd.put(target, 5, simd.largest(first))


@njit(**OPTIONS)
def product(unit, a, a_row, a_column, rows, depth, b, width, index, c, c_row, fresh):
    multiply(unit, a, a_row, a_column, rows, depth, b, width, index, c, c_row, fresh)


def whole(numbers: np.ndarray) -> np.ndarray:
    """As long as whole pairs of registers."""
    return np.resize(numbers, -(-numbers.size // 32) * 32)


@pytest.mark.parametrize("one", ONES)
def test_the_exponential_is_right_to_two_units_in_the_last_place(one):
    low, high = (-87, 88) if one.dtype == np.float32 else (-708, 709)
    x = whole(np.concatenate([np.linspace(low, high, 20_001), np.linspace(-1, 1, 20_001)]).astype(one.dtype))
    y = np.empty_like(x)
    exponentials(one, x.ctypes.data, y.ctypes.data, x.size)
    exact = np.exp(x.astype(np.longdouble))
    assert np.max(np.abs(y - exact) / exact) < 2 * np.finfo(one.dtype).eps / 2


@pytest.mark.parametrize("one", ONES)
def test_the_exponential_of_what_is_out_of_range(one):
    x = whole(np.array([-np.inf, -1000, 0, -0.0, np.nan, 1000, np.inf], one.dtype))
    y = np.empty_like(x)
    exponentials(one, x.ctypes.data, y.ctypes.data, x.size)
    assert y[:4].tolist() == [0, 0, 1, 1]
    assert np.isnan(y[4])
    assert np.all(y[5:7] > 1e38)


@pytest.mark.parametrize("one", ONES)
def test_reciprocals(one):
    x = whole(np.concatenate([np.linspace(1, 3, 1001), 2.0 ** np.arange(60)]).astype(one.dtype))
    y = np.empty_like(x)
    inverses(one, x.ctypes.data, y.ctypes.data, x.size)
    assert np.max(np.abs(y.astype(np.longdouble) * x - 1)) < 2 * np.finfo(one.dtype).eps


@pytest.mark.parametrize("one", ONES)
def test_sums_of_registers(one):
    n = simd.lanes_of(one.dtype)
    x, y = np.random.randn(4 * n).astype(one.dtype), np.ones(6, one.dtype)
    sums(one, x.ctypes.data, y.ctypes.data)
    expected = [*(x.reshape(4, n).astype(np.float64).sum(1) + 1), x[:n].sum(), x[:n].max()]
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("registers", [1, 2, 3])
@pytest.mark.parametrize("rows", [1, 3, 4, 9])
@pytest.mark.parametrize("one", ONES)
def test_products(one, rows, registers):
    width, depth = registers * simd.lanes_of(one.dtype), 131
    a, b = np.random.randn(depth, rows).astype(one.dtype), np.random.randn(depth + 5, width).astype(one.dtype)
    index, c = np.random.permutation(depth + 5)[:depth].astype(np.int64), np.ones((rows, width + 3), one.dtype)
    here = a.ctypes.data, 1, rows, rows, depth, b.ctypes.data, width, index.ctypes.data, c.ctypes.data, width + 3
    product(one, *here, True)
    expected = a.T.astype(np.float64) @ b[index]
    np.testing.assert_allclose(c[:, :width], expected, atol=1e-4)
    product(one, *here, False)
    np.testing.assert_allclose(c[:, :width], 2 * expected, atol=1e-4)
    assert np.all(c[:, width:] == 1)
