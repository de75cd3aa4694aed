"""Loops whose turns are counted or not, and what they may carry."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tenfold as tn
from tenfold_rt.errors import ArgumentError, DTypeError, ShapeError


def newton(a: Any) -> Any:
    """The square root of `a`, by Newton's method from `a` itself."""
    return tn.while_loop(lambda s: tn.abs(s * s - a) > 1e-13 * a, lambda s: 0.5 * (s + a / s), a)


def test_a_while_loop_ends_when_its_condition_fails() -> None:
    for value in (1e-4, 2.0, 1e6):
        np.testing.assert_allclose(tn.compile(newton)(np.float64(value)), np.sqrt(value), rtol=1e-12)


def test_derivatives_of_a_while_loop_to_third_order() -> None:
    """Against the closed form: 1/2 a^-1/2, -1/4 a^-3/2, 3/8 a^-5/2."""
    first, second = tn.grad(newton), tn.grad(tn.grad(newton))
    np.testing.assert_allclose(first(np.float64(3)), 0.5 * 3**-0.5, rtol=1e-12)
    np.testing.assert_allclose(second(np.float64(3)), -0.25 * 3**-1.5, rtol=1e-11)
    np.testing.assert_allclose(tn.grad(second)(np.float64(3)), 0.375 * 3**-2.5, rtol=1e-9)


def test_a_batched_while_loop_runs_until_all_end() -> None:
    values = np.array([1.0, 2.0, 9.0, 1e6])
    np.testing.assert_allclose(tn.vmap(newton)(values), np.sqrt(values), rtol=1e-12)
    # The root of 1 is found without a turn, as what the iteration begins with: the argument itself.
    np.testing.assert_allclose(tn.vmap(tn.grad(newton))(values), [1, *(0.5 / np.sqrt(values[1:]))], rtol=1e-12)


def test_a_loop_over_a_known_or_unknown_range() -> None:
    x = np.arange(3.0)
    assert tn.fori_loop(0, 5, lambda i, c: c + i, 0) == 10
    assert tn.fori_loop(5, 0, lambda i, c: c + i, 7) == 7
    grown = tn.compile(lambda low, high, x: tn.fori_loop(low, high, lambda i, c: c * 2 + i, x))
    np.testing.assert_array_equal(grown(np.int32(2), np.int64(4), x), (x * 2 + 2) * 2 + 3)


def test_carries_are_pytrees_and_numbers_yield() -> None:
    @tn.compile
    def f(x: Any) -> Any:
        return tn.while_loop(lambda s: s["n"] < 4, lambda s: {"n": s["n"] + 1, "x": s["x"] / 2}, {"n": 0, "x": x})

    found = f(np.array([16.0, 32.0]))
    np.testing.assert_array_equal(found["x"], [1, 2])
    assert found["n"] == 4
    assert tn.fori_loop(0, 3, lambda i, c: c / 2, 1) == 0.125


def test_a_carry_that_changes_is_named_with_its_line() -> None:
    x = np.arange(3.0)
    with pytest.raises(ShapeError, match=r"the carry\.h after a turn is f64\[2\].*test_loops\.py:\d+"):
        tn.while_loop(lambda c: c["h"].sum() > 0, lambda c: {"h": c["h"][:2]}, {"h": x})
    with pytest.raises(DTypeError, match=r"the carry after a turn is f32\[3\], before it is f64\[3\]"):
        tn.fori_loop(0, 3, lambda i, c: c.to(tn.f32), x)
    with pytest.raises(ArgumentError, match="holds no tensor"):
        tn.while_loop(lambda c: True, lambda c: c, ())
