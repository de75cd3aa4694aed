"""Batches: along which axes, of which arguments, and into which axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tenfold as tn
from tenfold_rt.errors import ArgumentError, ShapeError

RNG = np.random.default_rng(0)
MATRICES = RNG.standard_normal((4, 2, 3))
VECTORS = RNG.standard_normal((4, 3))


def test_examples_along_the_first_axis() -> None:
    np.testing.assert_allclose(
        tn.vmap(tn.matmul)(MATRICES, VECTORS), np.einsum("nij,nj->ni", MATRICES, VECTORS), rtol=1e-14
    )


@pytest.mark.parametrize("compiled", [False, True])
def test_axes_of_arguments_and_results(compiled: bool) -> None:
    mapped = tn.vmap(lambda a, b: (a @ b, a), in_axes=(2, None), out_axes=(1, -1))
    moved, vector = np.moveaxis(MATRICES, 0, 2), VECTORS[0]
    products, same = (tn.compile(mapped) if compiled else mapped)(moved, vector)
    np.testing.assert_allclose(products, np.stack([m @ vector for m in MATRICES], 1), rtol=1e-14)
    np.testing.assert_array_equal(same, np.moveaxis(MATRICES, 0, -1))


def test_axes_by_the_names_of_pytorch() -> None:
    def weighed(x: Any, y: Any) -> Any:
        return x * y

    x = np.arange(6.0).reshape(2, 3)
    given = tn.vmap(weighed, in_dims=(1, None), out_dims=1)(x, np.float64(2))
    np.testing.assert_array_equal(given, tn.vmap(weighed, (1, None), 1)(x, np.float64(2)))
    with pytest.raises(tn.ArgumentError, match="both in_axes and in_dims are given"):
        tn.vmap(weighed, in_axes=1, in_dims=1)


def test_axes_of_pytrees() -> None:
    weights = {"w": MATRICES, "b": RNG.standard_normal(2)}
    found = tn.vmap(lambda p, x: p["w"] @ x + p["b"], in_axes=({"w": 0, "b": None}, 1))(weights, VECTORS.T)
    expected = [w @ x + weights["b"] for w, x in zip(MATRICES, VECTORS, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_batches_of_batches() -> None:
    pairs = tn.vmap(tn.vmap(tn.dot, in_axes=(None, 0)), in_axes=(0, None))
    np.testing.assert_allclose(pairs(VECTORS, VECTORS), VECTORS @ VECTORS.T, rtol=1e-13)


def test_a_result_that_no_example_reaches_is_repeated_or_left() -> None:
    repeated, left = tn.vmap(lambda x: (1.5, 2.5), out_axes=(0, None))(VECTORS)
    np.testing.assert_array_equal(repeated, [1.5] * 4)
    assert np.shape(left) == ()


def test_branches_and_loops_follow_each_example() -> None:
    def steps(x: Any) -> Any:
        grown = tn.cond(x > 0, lambda: x * 2, lambda: -x)
        return tn.while_loop(lambda s: s[0] < 10, lambda s: (s[0] * 1.5, s[1] + 1), (grown, 0))

    values = np.array([0.5, -3.0, 20.0, 9.9])
    found, turns = tn.vmap(steps)(values)
    for value, end, count in zip(values, found, turns, strict=True):
        expected, number = (value * 2 if value > 0 else -value), 0
        while expected < 10:
            expected, number = expected * 1.5, number + 1
        np.testing.assert_allclose(end, expected, rtol=1e-15)
        assert count == number


def test_gradients_of_examples() -> None:
    per_example = tn.vmap(tn.grad(lambda w, x: tn.sum(tn.tanh(w @ x))), in_axes=(None, 0))
    found = per_example(MATRICES[0], VECTORS)
    for gradient, x in zip(found, VECTORS, strict=True):
        np.testing.assert_allclose(gradient, np.outer(1 - np.tanh(MATRICES[0] @ x) ** 2, x), rtol=1e-12)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"argument 0 holds 4 examples, argument 1 holds 3.*test_vmap\.py:\d+"):
        tn.vmap(tn.add)(VECTORS, VECTORS[:3])
    with pytest.raises(ShapeError, match="no axis to map over"):
        tn.vmap(tn.add)(VECTORS, np.float64(1))
    with pytest.raises(ArgumentError, match="in_axes has 1 entries"):
        tn.vmap(tn.add, in_axes=(0,))(VECTORS, VECTORS)
    with pytest.raises(ArgumentError, match="no argument of add is mapped over"):
        tn.vmap(tn.add, in_axes=None)(VECTORS, VECTORS)
    with pytest.raises(ArgumentError, match="differs from example to example"):
        tn.vmap(tn.sin, out_axes=None)(VECTORS)
    with pytest.raises(ArgumentError, match="not arranged as what they are about"):
        tn.vmap(tn.add, in_axes=((0, 0), 0))(VECTORS, VECTORS)
