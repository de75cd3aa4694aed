"""The NumPy evaluator does what the primitives are documented to do."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tenfold_rt import dtypes
from tenfoldc.loops import scalar
from tenfoldc.loops.evaluate import evaluate
from tenfoldc.loops.ir import Apply, Buffer, Constant, Load, Local, Primitive


def run(primitive, *arrays, dtype=None):
    locals_ = [Local(f"x{n}", dtypes.from_numpy(array.dtype)) for n, array in enumerate(arrays)]
    expr = scalar.apply(primitive, *locals_) if dtype is None else Apply(primitive, tuple(locals_), dtype)
    return evaluate(expr, dict(zip(locals_, arrays, strict=True)))


def rounded_once(x, y, z, dtype):
    """x*y + z from exact fractions, rounded to nearest even."""
    exact = Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z))
    if dtype == np.float64:
        return exact.numerator / exact.denominator
    near = np.float32(exact.numerator / exact.denominator)
    candidates = [np.nextafter(near, np.float32(-np.inf)), near, np.nextafter(near, np.float32(np.inf))]
    return min(candidates, key=lambda v: (abs(Fraction(float(v)) - exact), int(v.view(np.uint32)) & 1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fused_multiply_add_rounds_once(dtype):
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((2, 500)).astype(dtype)
    z = np.where(rng.random(500) < 0.5, -(x * y), rng.standard_normal(500)).astype(dtype)
    expected = np.array([rounded_once(*values, dtype) for values in zip(x, y, z, strict=True)], dtype)
    np.testing.assert_array_equal(run(Primitive.FMA, x, y, z), expected)


def test_fused_multiply_add_breaks_f32_ties_by_what_lies_below_f64():
    """A product that f64 holds exactly, plus a term far below: rounding through f64 alone would miss it."""
    x, y = np.array([1 + 2.0**-23], np.float32), np.array([1 + 2.0**-23], np.float32)
    z = np.array([2.0**-24 - 2.0**-46 - 2.0**-70], np.float32)
    assert run(Primitive.FMA, x, y, z)[0] == rounded_once(x[0], y[0], z[0], np.float32)


def test_extrema_propagate_nan_and_order_zeros():
    x, y = np.array([0.0, -0.0, np.nan, 1.0]), np.array([-0.0, 0.0, 1.0, np.nan])
    np.testing.assert_array_equal(np.signbit(run(Primitive.MAX, x, y)[:2]), [False, False])
    np.testing.assert_array_equal(np.signbit(run(Primitive.MIN, x, y)[:2]), [True, True])
    assert np.isnan(run(Primitive.MAX, x, y)[2:]).all()
    assert np.isnan(run(Primitive.MIN, x, y)[2:]).all()


def test_integer_division_truncates():
    x, y = np.array([7, -7, 7, -7], np.int32), np.array([2, 2, -2, -2], np.int32)
    np.testing.assert_array_equal(run(Primitive.DIV, x, y), [3, -3, -3, 3])
    np.testing.assert_array_equal(run(Primitive.REM, x, y), [1, -1, 1, -1])


def test_conversion_saturates_and_nan_gives_zero():
    x = np.array([np.nan, 1e9, -1e9, -1.9, 200.7])
    np.testing.assert_array_equal(run(Primitive.CONVERT, x, dtype=dtypes.i8), [0, 127, -128, -1, 127])
    np.testing.assert_array_equal(run(Primitive.CONVERT, x, dtype=dtypes.u8), [0, 255, 0, 0, 200])


def test_bits_are_counted():
    x = np.array([0, 1, -1, 64], np.int16)
    np.testing.assert_array_equal(run(Primitive.POPCOUNT, x), [0, 1, 16, 1])
    np.testing.assert_array_equal(run(Primitive.COUNT_LEADING_ZEROS, x), [16, 15, 0, 9])


def test_deep_expressions_do_not_recurse():
    x = Local("x", dtypes.f64)
    total = x
    for _ in range(5000):
        total = scalar.add(total, x)
    assert evaluate(total, {x: np.array(1.0)}) == 5001.0


def test_what_is_used_twice_is_computed_once():
    x = Local("x", dtypes.f64)
    doubled = x
    for _ in range(60):
        doubled = scalar.add(doubled, doubled)
    assert evaluate(doubled, {x: np.array(1.0)}) == 2.0**60


def test_loads_are_refused():
    load = Load(Buffer("memory", dtypes.f32, (4,)), (Constant(0, dtypes.i64),))
    with pytest.raises(TypeError, match="load from memory"):
        evaluate(load, {})
