"""Norms of vectors, by NumPy's, and their gradients, at 0 too."""

from __future__ import annotations

import numpy as np
import pytest

import tenfold as tn

X = np.random.default_rng(3).standard_normal((4, 5))


@pytest.mark.parametrize("p", [2, 1, 3, 0.5, np.inf, -np.inf, 0])
def test_norms_along_an_axis(p: float) -> None:
    np.testing.assert_allclose(tn.norm(X, p, dim=1), np.linalg.norm(X, p, axis=1), rtol=1e-13)
    kept = tn.norm(X, p, axis=0, keepdims=True)
    np.testing.assert_allclose(kept, np.linalg.norm(X, p, axis=0, keepdims=True), rtol=1e-13)


def test_the_norm_of_all_elements() -> None:
    np.testing.assert_allclose(tn.norm(X), np.linalg.norm(X), rtol=1e-14)
    assert np.isnan(tn.norm(np.array([1.0, np.nan])))
    assert tn.norm(np.zeros((0,))) == 0


@pytest.mark.parametrize("p", [2, 1, 3])
def test_the_gradient_at_zero_is_zero(p: float) -> None:
    np.testing.assert_array_equal(tn.grad(lambda x: tn.norm(x, p))(np.zeros(3)), np.zeros(3))
    rows = np.array([[0.0, 0.0], [3.0, 4.0]])
    found = tn.grad(lambda x: tn.sum(tn.norm(x, p, dim=1)))(rows)
    np.testing.assert_allclose(found[1], (rows[1] / np.linalg.norm(rows[1], p)) ** (p - 1), rtol=1e-13)
    np.testing.assert_array_equal(found[0], [0, 0])
