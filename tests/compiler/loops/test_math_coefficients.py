"""Coefficients are what their fits give."""

from __future__ import annotations

import pytest

pytest.importorskip("mpmath")
from mpmath import mpf

from tenfoldc.loops.math.coefficients.fits import FITS
from tenfoldc.loops.math.coefficients.remez import Problem, fit

QUICK = ("exp.f32", "sinh.f32", "sin.f32", "cos.f32")


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in FITS])
def test_the_constants_in_use_are_the_fits(name: str) -> None:
    assert FITS[name].compute() == FITS[name].used


def test_a_fit_of_a_power_is_chebyshevs() -> None:
    """The best line for x^2 on [-1, 1] is 1/2, and misses by 1/2."""
    found = fit(Problem(lambda x: x * x, -1.0, 1.0, 1, weight=lambda x: mpf(1)))
    assert [float(value) for value in found.coefficients] == pytest.approx([0.5, 0.0], abs=1e-3)
    assert float(found.error) == pytest.approx(0.5, abs=1e-3)
