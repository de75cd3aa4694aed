"""Branches: which one runs, what they may give, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tenfold as tn
from tenfold_rt.errors import ArgumentError, DTypeError, ShapeError

X = np.array([0.3, 0.5, -0.2])


@tn.compile
def wave_or_zero(x: Any) -> Any:
    return tn.cond(x.sum() > 0, tn.sin, lambda a: 0.0 * a, x)


def test_the_condition_chooses() -> None:
    np.testing.assert_allclose(wave_or_zero(X), np.sin(X), rtol=1e-15)
    np.testing.assert_array_equal(wave_or_zero(-X), 0 * X)


def test_branches_use_what_is_around_them_and_give_pytrees() -> None:
    @tn.compile
    def f(x: Any, y: Any) -> Any:
        return tn.cond(x[0] > y[0], lambda: {"a": x, "b": (y, 1.0)}, lambda: {"a": y, "b": (x, 0)})

    found = f(X, X + 1)
    np.testing.assert_array_equal(found["a"], X + 1)
    np.testing.assert_array_equal(found["b"][0], X)
    assert found["b"][1] == 0
    assert found["b"][1].dtype == np.float32


@pytest.mark.parametrize(("index", "expected"), [(0, 10), (1, 20), (2, 30), (7, 30), (-3, 10)])
def test_switch_takes_the_nearest_branch(index: int, expected: int) -> None:
    branches = [lambda x, n=n: x + n for n in (10, 20, 30)]
    assert tn.compile(lambda i, x: tn.switch(i, branches, x))(np.int32(index), np.int64(0)) == expected


def test_outside_a_trace_a_branch_is_traced_at_each_call() -> None:
    offset = np.zeros(3)
    add = lambda x: x + offset  # noqa: E731
    np.testing.assert_array_equal(tn.cond(True, add, add, X), X)
    offset += 1
    np.testing.assert_array_equal(tn.cond(True, add, add, X), X + 1)


def test_what_differs_between_branches_is_named() -> None:
    with pytest.raises(ShapeError, match=r"result of false_fn is f64\[\], that of true_fn is f64\[3\], at .*branches"):
        tn.compile(lambda x: tn.cond(x[0] > 0, lambda: x, lambda: x.sum()))(X)
    with pytest.raises(ArgumentError, match="false_fn gives a tensor, true_fn a tuple of 1"):
        tn.compile(lambda x: tn.cond(x[0] > 0, lambda: (x,), lambda: x))(X)
    with pytest.raises(DTypeError, match=r"result\.a of branch 1 is f32\[3\].*x\.to\(tn\.f64\)"):
        tn.compile(lambda x: tn.switch(0, [lambda: {"a": x}, lambda: {"a": x.to(tn.f32)}]))(X)


def test_a_condition_is_one_bool() -> None:
    with pytest.raises(ShapeError, match=r"the condition is bool\[3\].*tn\.any"):
        tn.cond(X > 0, lambda: 1, lambda: 2)
    with pytest.raises(DTypeError, match=r"the condition is f64\[\].*x > 0"):
        tn.compile(lambda x: tn.cond(x.sum(), lambda: 1, lambda: 2))(X)
