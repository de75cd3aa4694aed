"""Minimax fits of polynomials by Remez's exchange algorithm, in many digits.

A function, an interval and a degree in; coefficients whose largest weighted error on the interval is the least
possible, out.  Coefficients can be rounded to a float format one by one, lowest first, the rest fitted again each
time, which keeps most of what rounding them all at once would lose.

A tool of developers, whose results stand in the modules beside this folder: nothing that compiles imports it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import mpmath
import numpy as np
from mpmath import mpf

from tenfold_rt.frozen import frozen

Function = Callable[[mpf], mpf]
DIGITS = 50
_GRID = 40
"""How many points the error is looked at for each coefficient."""
_EXCHANGES = 60
_SETTLED = mpf("1.001")


def itself(x: mpf) -> mpf:
    return x


@frozen
class Problem:
    """Find a polynomial in `variable` of the argument near `function` on [low, high].

    The error weighted by `weight` is what counts; without one, the relative error.  `fixed` are the polynomial's
    first coefficients where they are known already.
    """

    function: Function
    low: float
    high: float
    degree: int
    weight: Function | None = None
    variable: Function = itself
    fixed: tuple[mpf, ...] = ()


@frozen
class Fit:
    """The coefficients, lowest first, and the largest weighted error."""

    coefficients: tuple[mpf, ...]
    error: mpf


@frozen
class _Sample:
    """A point: the polynomial's variable, the function and the weight.

    The weight has the sign of the lowest power that is not fixed, so that the signs of the best fit's errors
    alternate even where that power changes its own.
    """

    t: mpf
    target: mpf
    weight: mpf


def evaluate(coefficients: Sequence[mpf], x: mpf) -> mpf:
    """A polynomial by Horner's rule."""
    result = mpf(0)
    for coefficient in reversed(coefficients):
        result = result * x + coefficient
    return result


def fit(problem: Problem) -> Fit:
    """The minimax polynomial; `ArithmeticError` where the exchange does not settle."""
    level, worst = mpf(0), mpf(0)
    with mpmath.workdps(DIGITS):
        unknown = problem.degree + 1 - len(problem.fixed)
        grid = _samples(problem, _chebyshev_points(problem, _GRID * (unknown + 2)))
        if unknown == 0:
            return Fit(problem.fixed, max(abs(_error(problem.fixed, sample)) for sample in grid))
        points = [grid[number * (len(grid) - 1) // unknown] for number in range(unknown + 1)]
        for _ in range(_EXCHANGES):
            coefficients, level = _levelled(problem, points)
            errors = [_error(coefficients, sample) for sample in grid]
            worst = max(abs(error) for error in errors)
            if worst <= abs(level) * _SETTLED:
                return Fit(coefficients, worst)
            points = [grid[number] for number in _extremes(errors, unknown + 1)]
    raise ArithmeticError(f"no level error after {_EXCHANGES} exchanges: {level} of {worst}")


def rounded(problem: Problem, dtype: type[np.float32] | type[np.float64]) -> Fit:
    """The fit whose coefficients are numbers of `dtype`, each rounded before the higher ones are fitted again."""
    with mpmath.workdps(DIGITS):
        while len(problem.fixed) <= problem.degree:
            following = nearest(fit(problem).coefficients[len(problem.fixed)], dtype)
            problem = replace(problem, fixed=(*problem.fixed, following))
        return fit(problem)


def nearest(value: mpf, dtype: type[np.float32] | type[np.float64]) -> mpf:
    """`value` rounded to the float format."""
    return mpf(float(dtype(float(value))))


def _chebyshev_points(problem: Problem, count: int) -> list[mpf]:
    """Points of the interval, ascending: the extremes of a Chebyshev polynomial."""
    middle, half = (mpf(problem.low) + problem.high) / 2, (mpf(problem.high) - problem.low) / 2
    return [middle - half * mpmath.cos(mpmath.pi * number / (count - 1)) for number in range(count)]


def _samples(problem: Problem, points: Sequence[mpf]) -> list[_Sample]:
    """The problem at the points, save where the lowest free power, and so any error, is 0."""
    samples: list[_Sample] = []
    for x in points:
        t, value = problem.variable(x), problem.function(x)
        weight = 1 / value if problem.weight is None else problem.weight(x)
        if abs(t) <= 0 and problem.fixed:
            continue
        samples.append(_Sample(t, value, weight * mpmath.sign(t) ** len(problem.fixed)))
    return samples


def _levelled(problem: Problem, points: Sequence[_Sample]) -> tuple[tuple[mpf, ...], mpf]:
    """The polynomial whose weighted errors at the points have one size and alternating signs, and that size."""
    first = len(problem.fixed)
    rows = [
        [*(sample.weight * sample.t**power for power in range(first, problem.degree + 1)), mpf((-1) ** number)]
        for number, sample in enumerate(points)
    ]
    right = [sample.weight * (sample.target - evaluate(problem.fixed, sample.t)) for sample in points]
    solution = mpmath.lu_solve(mpmath.matrix(rows), mpmath.matrix(right))
    values = [solution[number] for number in range(len(points))]
    return (*problem.fixed, *values[:-1]), values[-1]


def _error(coefficients: Sequence[mpf], sample: _Sample) -> mpf:
    return (evaluate(coefficients, sample.t) - sample.target) * sample.weight


def _extremes(errors: Sequence[mpf], count: int) -> list[int]:
    """Where `count` errors of alternating signs lie, each the largest between two changes of sign."""
    extremes: list[int] = []
    for number, error in enumerate(errors):
        if not extremes or (error > 0) != (errors[extremes[-1]] > 0):
            extremes.append(number)
        elif abs(error) > abs(errors[extremes[-1]]):
            extremes[-1] = number
    while len(extremes) > count:
        least = min(range(len(extremes)), key=lambda place: abs(errors[extremes[place]]))
        if 0 < least < len(extremes) - 1 and len(extremes) > count + 1:
            other = min(least - 1, least + 1, key=lambda place: abs(errors[extremes[place]]))
            del extremes[max(least, other)], extremes[min(least, other)]
        else:
            del extremes[0 if abs(errors[extremes[0]]) < abs(errors[extremes[-1]]) else -1]
    if len(extremes) < count:
        raise ArithmeticError(f"{len(extremes)} extremes where {count} are needed")
    return extremes
