"""Factors of matrices and systems of equations: NumPy's values, finite differences, batches, errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import tenfold as tn
from tenfold_rt.errors import ArgumentError, ShapeError

Array = NDArray[Any]
RNG = np.random.default_rng(3)


def positive_definite(*shape: int) -> Array:
    x = RNG.standard_normal(shape)
    return x @ x.swapaxes(-1, -2) + shape[-1] * np.eye(shape[-1])


A, B = positive_definite(2, 5, 5), RNG.standard_normal((2, 5, 3))
L = np.linalg.cholesky(A)

RESULTS: dict[str, tuple[Callable[[], Any], Any]] = {
    "cholesky": (lambda: tn.cholesky(A), L),
    "upper": (lambda: tn.cholesky(A, upper=True), L.swapaxes(-1, -2)),
    "solve_triangular": (lambda: tn.solve_triangular(L, B, upper=False), np.linalg.solve(L, B)),
    "right": (
        lambda: tn.solve_triangular(L, B.swapaxes(-1, -2), upper=False, left=False),
        B.swapaxes(-1, -2) @ np.linalg.inv(L),
    ),
    "cholesky_solve": (lambda: tn.cholesky_solve(B, L), np.linalg.solve(A, B)),
    "cholesky_solve upper": (lambda: tn.cholesky_solve(B, L.swapaxes(-1, -2), upper=True), np.linalg.solve(A, B)),
    "solve": (lambda: tn.solve(A, B, assume="pos"), np.linalg.solve(A, B)),
    "solve one for all": (lambda: tn.solve(A[0], B, assume="pos"), np.linalg.solve(A[0], B)),
    "solve a vector": (lambda: tn.solve(A[0], B[0, :, 0], assume="pos"), np.linalg.solve(A[0], B[0, :, 0])),
    "inv": (lambda: tn.inv(A, assume="pos"), np.linalg.inv(A)),
    "det": (lambda: tn.det(A, assume="pos"), np.linalg.det(A)),
    "slogdet": (lambda: tn.slogdet(A, assume="pos")[1], np.linalg.slogdet(A)[1]),
}


@pytest.mark.parametrize("name", RESULTS)
def test_values(name: str) -> None:
    compute, expected = RESULTS[name]
    np.testing.assert_allclose(compute(), expected, rtol=1e-11, atol=1e-13)


LOSSES: dict[str, Callable[[Any], Any]] = {
    "cholesky": lambda a: tn.sum(tn.sin(tn.cholesky(a))),
    "solve": lambda a: tn.sum(tn.solve(a, B, assume="pos") ** 2),
    "inv": lambda a: tn.sum(tn.sin(tn.inv(a, assume="pos"))),
    "slogdet": lambda a: tn.sum(tn.slogdet(a, assume="pos")[1]),
    "det": lambda a: tn.sum(tn.sqrt(tn.det(a, assume="pos"))),
    "general solve": lambda a: tn.sum(tn.solve(a[:, ::-1], B) ** 2),
    "general inv": lambda a: tn.sum(tn.sin(tn.inv(a[:, ::-1]))),
    "general slogdet": lambda a: tn.sum(tn.slogdet(a[:, ::-1])[1]),
    "general det": lambda a: tn.sum(tn.sqrt(tn.abs(tn.det(a[:, ::-1])))),
    "gradient of general solve": lambda a: tn.sum(tn.grad(lambda b: tn.sum(tn.solve(b[:, ::-1], B) ** 2))(a) ** 2),
    "solve_triangular": lambda a: tn.sum(tn.sin(tn.solve_triangular(a, B, upper=True))),
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_finite_differences(name: str) -> None:
    loss, step = LOSSES[name], 1e-6
    direction = RNG.standard_normal(A.shape)
    high, low = (float(loss(A + sign * step * direction)) for sign in (1, -1))
    np.testing.assert_allclose(np.vdot(tn.grad(loss)(A), direction), (high - low) / (2 * step), rtol=1e-5)


def test_batches_are_examples() -> None:
    mapped = tn.vmap(lambda a, b: tn.solve(a, b, assume="pos"))(A, B)
    np.testing.assert_allclose(mapped, np.linalg.solve(A, B), rtol=1e-11)
    shared = tn.vmap(lambda b: tn.solve(A[0], b, assume="pos"))(B)
    np.testing.assert_allclose(shared, np.linalg.solve(A[0], B), rtol=1e-11)


def test_what_is_not_positive_definite_is_nan() -> None:
    assert np.isnan(tn.cholesky(np.array([[1.0, 2.0], [2.0, 1.0]]))[0, 0])


def test_matrices_must_be_square() -> None:
    with pytest.raises(ShapeError, match="no square matrices"):
        tn.cholesky(np.ones((2, 3)))


def test_systems_must_fit() -> None:
    with pytest.raises(ShapeError, match="does not fit"):
        tn.solve_triangular(np.eye(3), np.ones((4, 2)), upper=False)


def test_unknown_promises_are_refused() -> None:
    with pytest.raises(ArgumentError, match="only symmetric positive definite"):
        tn.solve(np.eye(3), np.ones(3), assume="sym")


GENERAL = np.array([[0.0, 2, 1], [1, 0, 3], [4, 1, 0]])


@pytest.mark.parametrize("name", ["inv", "det", "solve", "slogdet"])
def test_general_matrices(name: str) -> None:
    given = (GENERAL, np.array([1.0, 2, 3])) if name == "solve" else (GENERAL,)
    found, expected = getattr(tn, name)(*given), getattr(np.linalg, name)(*given)
    for ours, theirs in zip(*(v if name == "slogdet" else (v,) for v in (found, expected)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-13)


def test_a_singular_matrix_has_determinant_zero() -> None:
    assert float(tn.det(np.array([[1.0, 2], [2, 4]]))) == 0
    assert tuple(map(float, tn.slogdet(np.zeros((2, 2))))) == (0, -np.inf)
    assert float(tn.det(np.ones((0, 0)))) == 1


def test_a_system_and_its_gradient_share_one_factorization() -> None:
    gradient = tn.compile(tn.grad(lambda a, b: tn.sum(tn.solve(a, b) ** 2), argnums=(0, 1)))
    assert gradient.lower(A, B).text("loops").count("_lu at") == 1


def test_elimination_is_products_of_panels_and_stores_whole_vectors() -> None:
    lowered = tn.compile(lambda a: tn.linalg.slogdet(a)[1]).lower(np.zeros((64, 64), np.float32))
    assert "@ panel" in lowered.text("loops")
    assert "maskmov" not in lowered.text("asm")
