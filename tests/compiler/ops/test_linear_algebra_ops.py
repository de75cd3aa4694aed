"""Cholesky factors and triangular systems: values, derivatives of both orders, batches, types."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from checking import apply_once, assert_same, check_batching, check_derivatives, check_op, evaluate
from test_second_derivatives import test_second_derivative as check_second_derivative

from tenfold_rt import dtypes
from tenfold_rt.errors import DTypeError, ShapeError
from tenfoldc import ops
from tenfoldc.ir.builder import Builder
from tenfoldc.ir.types import TensorType
from tenfoldc.ops import Transpose


def positive_definite(rng, *shape):
    x = rng.standard_normal(shape)
    return x @ x.swapaxes(-1, -2) + shape[-1] * np.eye(shape[-1])


def parameter(*shape, dtype=dtypes.f32):
    return Builder().parameter(TensorType(dtype, shape))


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (4, 4), (2, 3, 5, 5)])
def test_cholesky(shape, lower, rng):
    a = positive_definite(rng, *shape)
    factor = np.linalg.cholesky(a) if a.size else a
    expected = factor if lower else factor.swapaxes(-1, -2)
    check_op(lambda a: ops.cholesky(a, lower=lower), [a], expected, rng=rng)


@pytest.mark.parametrize("lower", [True, False])
def test_cholesky_reads_one_triangle(lower, rng):
    a = positive_definite(rng, 4, 4)
    spoilt = np.tril(a) if lower else np.triu(a)
    build = lambda a: ops.cholesky(a, lower=lower)  # noqa: E731
    np.testing.assert_array_equal(evaluate(build, spoilt)[0], evaluate(build, a)[0])


def test_what_is_not_positive_definite_is_nan_alone(rng):
    a = positive_definite(rng, 2, 3, 3)
    a[0, 2, 2] = -1
    (factor,) = evaluate(ops.cholesky, a)
    np.testing.assert_array_equal(np.isnan(factor[0]), np.tri(3, dtype=bool))
    assert_same(factor[1], np.linalg.cholesky(a[1]))


FORMS = list(itertools.product((True, False), (True, False), (True, False), Transpose))


@pytest.mark.parametrize(("left_side", "lower", "unit_diagonal", "transpose"), FORMS)
def test_triangular_solve(left_side, lower, unit_diagonal, transpose, rng):
    a = rng.standard_normal((2, 4, 4)) / 4 + 2 * np.eye(4)
    b = rng.standard_normal((2, 4, 3) if left_side else (2, 3, 4))
    matrix = np.tril(a) if lower else np.triu(a)
    if unit_diagonal:
        matrix = matrix * (1 - np.eye(4)) + np.eye(4)
    if transpose is not Transpose.NO_TRANSPOSE:
        matrix = matrix.swapaxes(-1, -2)
    expected = np.linalg.solve(matrix, b) if left_side else b @ np.linalg.inv(matrix)

    def build(a, b):
        return ops.triangular_solve(
            a, b, left_side=left_side, lower=lower, unit_diagonal=unit_diagonal, transpose_a=transpose
        )

    application = apply_once(build, [a, b])
    assert_same(application.results()[0], expected)
    check_derivatives(application, rng)


@pytest.mark.parametrize("left_side", [True, False])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_triangular_solve_in_batches(batch, left_side, rng):
    a = np.broadcast_to(np.eye(4) + np.ones((4, 4)), (*batch, 4, 4))
    b = rng.standard_normal((*batch, *((4, 3) if left_side else (3, 4))))
    check_batching(apply_once(lambda a, b: ops.triangular_solve(a, b, left_side=left_side), [a, b]), rng)


def test_a_singular_triangle_divides_by_zero():
    assert np.isinf(evaluate(ops.triangular_solve, np.zeros((1, 1)), np.ones((1, 1)))[0]).all()


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (5, 5), (2, 3, 4, 4)])
def test_lu(shape, rng):
    a = rng.standard_normal(shape)
    check_op(ops.lu, [a], rng=rng)
    factors, _, permutation = evaluate(ops.lu, a)
    size = shape[-1]
    lower, upper = np.tril(factors, -1) + np.eye(size), np.triu(factors)
    assert np.abs(lower).max(initial=0) <= 1
    assert_same(lower @ upper, np.take_along_axis(a, permutation[..., None], -2))


def test_pivots_are_exchanges_in_order(rng):
    _, pivots, permutation = evaluate(ops.lu, rng.standard_normal((6, 6)))
    order = np.arange(6)
    for row, pivot in enumerate(pivots):
        order[[row, pivot]] = order[[pivot, row]]
    np.testing.assert_array_equal(permutation, order)


def test_a_singular_matrix_has_a_zero_pivot_and_no_nan():
    factors, pivots, _ = evaluate(ops.lu, np.array([[0.0, 1, 2], [0, 3, 4], [0, 6, 8]]))
    np.testing.assert_array_equal(factors, [[0, 1, 2], [0, 6, 8], [0, 0.5, 0]])
    np.testing.assert_array_equal(pivots, [0, 2, 2])


def square_root(x):
    """The factor of a positive definite matrix made of a 3 x 5 matrix."""
    product = ops.dot_general(x, x, lhs_contracting=(1,), rhs_contracting=(1,))
    return ops.cholesky(ops.add(product, ops.constant(x.builder, np.eye(3))))


def solution(x):
    return ops.triangular_solve(square_root(x), x, transpose_a=Transpose.TRANSPOSE)


def upper_of_product(x):
    product = ops.dot_general(x, x, lhs_contracting=(1,), rhs_contracting=(1,))
    return ops.lu(ops.add(product, ops.constant(x.builder, np.eye(3)[::-1])))[0]


@pytest.mark.parametrize("function", [square_root, solution, upper_of_product])
def test_second_derivatives_of_factors(function, rng):
    check_second_derivative(function, rng)


def test_matrices_must_be_square():
    with pytest.raises(ShapeError, match="not square: 2 rows, 3 columns"):
        ops.cholesky(parameter(2, 3))


def test_matrices_have_two_axes():
    with pytest.raises(ShapeError, match="no two axes"):
        ops.cholesky(parameter(3))


def test_integers_have_no_factor():
    with pytest.raises(DTypeError, match="not of floats"):
        ops.cholesky(parameter(3, 3, dtype=dtypes.i32))


def test_sizes_that_do_not_fit_are_named():
    a = parameter(3, 3)
    with pytest.raises(ShapeError, match=r"3 \(a\) and 4 \(b, axis 0\)"):
        ops.triangular_solve(a, a.builder.parameter(TensorType(dtypes.f32, (4, 2))))
    with pytest.raises(ShapeError, match="batches differ"):
        ops.triangular_solve(a, a.builder.parameter(TensorType(dtypes.f32, (2, 3, 2))))
