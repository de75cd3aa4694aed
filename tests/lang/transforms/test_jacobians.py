"""Products with Jacobians, and Jacobians."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tenfold as tn
from tenfold_rt.errors import ArgumentError, DTypeError

X = np.array([0.3, 0.5, -0.2])


def pair(a: Any, b: Any) -> Any:
    return {"wave": tn.sin(a) * b, "sum": tn.sum(a * a)}


def test_a_product_with_the_jacobian() -> None:
    value, tangent = tn.jvp(pair, (X, X + 1), (np.ones(3), 2 * np.ones(3)))
    np.testing.assert_allclose(value["wave"], np.sin(X) * (X + 1), rtol=1e-15)
    np.testing.assert_allclose(tangent["wave"], np.cos(X) * (X + 1) + 2 * np.sin(X), rtol=1e-15)
    np.testing.assert_allclose(tangent["sum"], 2 * X.sum(), rtol=1e-15)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_product_with_its_transpose(compiled: bool) -> None:
    def both(a: Any, b: Any, cotangent: Any) -> Any:
        value, pull = tn.vjp(pair, a, b)
        return value, pull({"wave": cotangent, "sum": 3.0})

    value, (da, db) = (tn.compile(both) if compiled else both)(X, X + 1, np.ones(3))
    np.testing.assert_allclose(value["sum"], X @ X, rtol=1e-15)
    np.testing.assert_allclose(da, np.cos(X) * (X + 1) + 6 * X, rtol=1e-15)
    np.testing.assert_allclose(db, np.sin(X), rtol=1e-15)


@pytest.mark.parametrize("jacobian", [tn.jacfwd, tn.jacrev])
def test_jacobians(jacobian: Any) -> None:
    matrix = np.arange(6.0).reshape(2, 3)
    found = jacobian(lambda x: tn.tanh(matrix @ x))(X)
    np.testing.assert_allclose(found, (1 - np.tanh(matrix @ X) ** 2)[:, None] * matrix, rtol=1e-13)
    of_two = jacobian(pair, argnums=(0, 1))(X, X + 1)
    np.testing.assert_allclose(of_two["wave"][0], np.diag(np.cos(X) * (X + 1)), atol=1e-15)
    np.testing.assert_allclose(of_two["wave"][1], np.diag(np.sin(X)), atol=1e-15)
    np.testing.assert_allclose(of_two["sum"][0], 2 * X, rtol=1e-15)
    np.testing.assert_array_equal(of_two["sum"][1], 0 * X)


def test_a_jacobian_of_a_matrix_has_the_axes_of_both() -> None:
    found = tn.jacrev(lambda x: tn.outer(x, x))(X)
    expected = np.einsum("ik,j->ijk", np.eye(3), X) + np.einsum("jk,i->ijk", np.eye(3), X)
    np.testing.assert_allclose(found, expected, rtol=1e-15)
    np.testing.assert_allclose(tn.jacfwd(lambda x: tn.outer(x, x))(X), expected, rtol=1e-15)


def test_second_derivatives() -> None:
    def f(x: Any) -> Any:
        return tn.sum(x**3) * x[0]

    expected = np.diag(6 * X) * X[0]
    expected[0] += 3 * X**2
    expected[:, 0] += 3 * X**2
    np.testing.assert_allclose(tn.hessian(f)(X), expected, rtol=1e-13)
    np.testing.assert_allclose(tn.hvp(f, (X,), (np.arange(3.0),)), expected @ np.arange(3.0), rtol=1e-13)


def test_what_has_no_derivative_is_named() -> None:
    with pytest.raises(DTypeError, match=r"jacrev: argument 0 is i64\[3\]"):
        tn.jacrev(lambda x: x * 2)(np.arange(3))
    with pytest.raises(DTypeError, match=r"jvp: tangents\[0\] is f64\[4\], what it belongs to is f64\[3\]"):
        tn.jvp(tn.sin, (X,), (np.ones(4),))
    with pytest.raises(ArgumentError, match="the cotangent are not arranged"):
        tn.vjp(pair, X, X)[1]((X, X))


def test_integers_have_zero_tangents() -> None:
    value, tangent = tn.jvp(lambda n, x: (n + 1, n * x), (np.arange(3), X), (np.zeros(3), np.ones(3)))
    np.testing.assert_array_equal(value[0], [1, 2, 3])
    np.testing.assert_array_equal(tangent[0], [0, 0, 0])
    np.testing.assert_array_equal(tangent[1], [0, 1, 2])
