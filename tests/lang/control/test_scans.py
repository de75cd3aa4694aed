"""Scans: carries, stacked results, and the ways in which their turns may be taken."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tenfold as tn
from tenfold_rt.errors import ArgumentError, ShapeError

X = np.linspace(-1, 1, 7)
WAYS = [
    {},
    {"unroll": 3},
    {"unroll": 100},
    {"checkpoint": 2},
    {"checkpoint": "sqrt"},
    {"checkpoint": 3, "unroll": 2},
]


def mix(carry: Any, x: Any) -> Any:
    return carry * 0.5 + x, {"product": carry * x, "carry": carry}


def in_python(x: np.ndarray, reverse: bool) -> tuple[float, np.ndarray, np.ndarray]:
    carry, products, carries = 0.25, np.zeros_like(x), np.zeros_like(x)
    for turn in reversed(range(len(x))) if reverse else range(len(x)):
        products[turn], carries[turn] = carry * x[turn], carry
        carry = carry * 0.5 + x[turn]
    return carry, products, carries


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_all_ways_give_the_same(way: dict[str, Any], reverse: bool) -> None:
    carry, ys = tn.compile(lambda x: tn.scan(mix, np.float64(0.25), x, reverse=reverse, **way))(X)
    expected = in_python(X, reverse)
    np.testing.assert_allclose(carry, expected[0], rtol=1e-14)
    np.testing.assert_allclose(ys["product"], expected[1], rtol=1e-14)
    np.testing.assert_allclose(ys["carry"], expected[2], rtol=1e-14)


def loss(x: Any, way: dict[str, Any]) -> Any:
    carry, ys = tn.scan(mix, tn.sum(x) * 0.1, tn.sin(x), **way)
    return carry**2 + tn.sum(ys["product"] ** 2) + tn.sum(ys["carry"])


@pytest.mark.parametrize("way", WAYS[1:], ids=str)
def test_all_ways_have_the_same_derivatives(way: dict[str, Any]) -> None:
    expected = tn.grad(lambda x: loss(x, {}))(X)
    np.testing.assert_allclose(tn.grad(lambda x: loss(x, way))(X), expected, rtol=1e-13)
    second = tn.hvp(lambda x: loss(x, {}), (X,), (np.ones(7),))
    np.testing.assert_allclose(tn.hvp(lambda x: loss(x, way), (X,), (np.ones(7),)), second, rtol=1e-12)


def test_the_gradient_is_the_finite_difference() -> None:
    direction = np.cos(X)
    ahead, behind = (float(loss(X + step * direction, {})) for step in (1e-6, -1e-6))
    np.testing.assert_allclose(tn.grad(lambda x: loss(x, {}))(X) @ direction, (ahead - behind) / 2e-6, rtol=1e-8)


def test_without_xs_there_is_a_length() -> None:
    carry, ys = tn.scan(lambda c, _: (c * 2, c), 1, length=5)
    assert carry == 32
    np.testing.assert_array_equal(ys, [1, 2, 4, 8, 16])
    assert tn.scan(lambda c, _: (c * 2, c), 1, length=0)[1].shape == (0,)


def test_map_and_associative_scan() -> None:
    np.testing.assert_array_equal(tn.map(lambda x: x * 2, X), X * 2)
    for size in (0, 1, 2, 7, 16, 33):
        values = np.arange(size, dtype=np.float64)
        np.testing.assert_array_equal(tn.associative_scan(tn.add, values), np.cumsum(values))
        np.testing.assert_array_equal(tn.associative_scan(tn.add, values, reverse=True), np.cumsum(values[::-1])[::-1])


def test_associative_scan_of_matrices_keeps_their_order() -> None:
    rng = np.random.default_rng(0)
    matrices = rng.standard_normal((9, 2, 2))
    found = tn.associative_scan(tn.matmul, matrices)
    product = np.eye(2)
    for number, matrix in enumerate(matrices):
        product = product @ matrix
        np.testing.assert_allclose(found[number], product, rtol=1e-12)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ArgumentError, match="must return a pair"):
        tn.scan(lambda c, x: c, 0.0, X)
    with pytest.raises(ArgumentError, match="neither a tensor in xs nor a length"):
        tn.scan(lambda c, x: (c, x), 0.0)
    with pytest.raises(ShapeError, match=r"xs\[1\] has 6 elements along axis 0, xs\[0\] has 7"):
        tn.scan(lambda c, x: (c, x), 0.0, (X, X[1:]))
    with pytest.raises(ShapeError, match="no axis to go along"):
        tn.scan(lambda c, x: (c, x), 0.0, np.float64(1))
    with pytest.raises(ArgumentError, match="unroll is 0"):
        tn.scan(mix, 0.0, X, unroll=0)
    with pytest.raises(ArgumentError, match="checkpoint is 'all'"):
        tn.scan(mix, 0.0, X, checkpoint="all")  # pyright: ignore[reportArgumentType]
