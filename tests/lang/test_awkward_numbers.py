"""Functions where obvious formulas fail: signed zeros, the ends of the range, quotients that round up."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tenfold as tn

DTYPES = [np.float32, np.float64]


@pytest.mark.parametrize("dtype", DTYPES)
def test_floor_of_a_quotient_that_rounds_up(dtype: Any) -> None:
    values = np.array([0.1, 0.3, 0.7, -0.1, 1, -1, 2.5, 5, 7, -7.5, 1e10, math.inf, -math.inf], dtype)
    x, y = (np.ascontiguousarray(grid.ravel()) for grid in np.meshgrid(values, values))
    with np.errstate(invalid="ignore"):
        expected = np.floor_divide(x, y)
    np.testing.assert_array_equal(tn.compile(tn.floor_divide)(x, y), expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_floor_of_a_quotient_by_zero(dtype: Any) -> None:
    x = np.array([1, -1, 0], dtype)
    np.testing.assert_array_equal(tn.compile(tn.floor_divide)(x, np.zeros(3, dtype)), [math.inf, -math.inf, math.nan])


@pytest.mark.parametrize("dtype", DTYPES)
def test_powers_of_two_are_exact(dtype: Any) -> None:
    limits = np.finfo(dtype)
    exponents = np.arange(limits.minexp, limits.maxexp, dtype=dtype)
    np.testing.assert_array_equal(tn.compile(tn.exp2)(exponents), np.ldexp(dtype(1), exponents.astype(int)))


@pytest.mark.parametrize("function", [tn.sinh, tn.cosh])
@pytest.mark.parametrize("dtype", DTYPES)
def test_hyperbolic_functions_where_the_exponential_overflows(function: Any, dtype: Any) -> None:
    edge = math.log(float(np.finfo(dtype).max)) + 0.5
    with np.errstate(over="ignore"):
        assert np.isinf(np.exp(dtype(edge)))
    x = np.array([edge, -edge], dtype)
    np.testing.assert_allclose(tn.compile(function)(x), getattr(np, function.__name__)(x), rtol=8 * np.finfo(dtype).eps)


def test_sinh_keeps_the_sign_of_zero() -> None:
    assert list(np.signbit(tn.compile(tn.sinh)(np.array([0.0, -0.0])))) == [False, True]


@pytest.mark.parametrize("function", [tn.sinh, tn.elu])
def test_derivative_at_zero(function: Any) -> None:
    derivative = tn.compile(tn.grad(lambda x: tn.sum(function(x))))
    np.testing.assert_array_equal(derivative(np.array([0.0, -0.0])), [1.0, 1.0])


@pytest.mark.parametrize("dtype", DTYPES)
def test_complement_of_the_error_function_where_it_is_small(dtype: Any) -> None:
    x = np.array([2.5, 3.5, 5, 8], dtype)
    expected = [math.erfc(float(value)) for value in x]
    np.testing.assert_allclose(tn.compile(tn.erfc)(x), expected, rtol=16 * np.finfo(dtype).eps)


@pytest.mark.parametrize("base", [-3, -1, 0, 1, 2, 3, 7])
def test_powers_of_a_constant_wrap_around(base: int) -> None:
    exponents = np.arange(70)
    powers = tn.compile(lambda x: tn.tensor(base, dtype=tn.int64) ** x)(exponents)
    np.testing.assert_array_equal(powers, [(base ** int(k) + 2**63) % 2**64 - 2**63 for k in exponents])
