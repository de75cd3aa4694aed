"""The side of a `where` that is not chosen gives nothing to a gradient, whatever it is there: 0, not NaN."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from test_control_transforms import gradient, run, types_of

from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops import Direction

X = np.array([0.0, -1.0, 2.0, 800.0, 1.0])


def chosen(x: Var, value: Var, low: float, high: float) -> Var:
    """`value` where low < x < high, else x."""
    inside = ops.and_(
        ops.compare(x, ops.full_like(x, low), Direction.GT), ops.compare(x, ops.full_like(x, high), Direction.LT)
    )
    return ops.select(inside, value, x)


ENTROPY = (lambda x: ops.multiply(x, ops.log(x)), lambda x: np.log(x) + 1)
PROGRAMS: dict[str, tuple[Callable[[Var], Var], Callable[[np.ndarray], np.ndarray]]] = {
    "sqrt": (ops.sqrt, lambda x: 0.5 / np.sqrt(x)),
    "rsqrt": (ops.rsqrt, lambda x: -0.5 * x**-1.5),
    "log": (ops.log, lambda x: 1 / x),
    "exp": (lambda x: ops.exponential(ops.multiply(x, x)), lambda x: 2 * x * np.exp(x * x)),
    "reciprocal": (ops.reciprocal, lambda x: -1 / x**2),
    "quotient": (lambda x: ops.divide(ops.sine(x), x), lambda x: (x * np.cos(x) - np.sin(x)) / x**2),
    "power": (lambda x: ops.power(x, ops.full_like(x, 0.3)), lambda x: 0.3 * x**-0.7),
    "entropy": ENTROPY,
    "reshaped entropy": (lambda x: ops.reshape(ENTROPY[0](ops.reshape(x, (5, 1))), (5,)), ENTROPY[1]),
    "softplus": (lambda x: ops.log_plus_one(ops.exponential(x)), lambda x: 1 / (1 + np.exp(-x))),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_not_chosen_gives_no_nan(name: str) -> None:
    build, derivative = PROGRAMS[name]
    (found,) = run(gradient(lambda x: [chosen(x, build(x), 0, 700)], types_of([X])), [X])
    inside = (X > 0) & (X < 20)
    np.testing.assert_array_equal(found[[0, 1, 3]], [1, 1, 1])
    np.testing.assert_allclose(found[inside], derivative(X[inside]), rtol=1e-13)


def test_without_a_choice_nothing_is_guarded() -> None:
    (found,) = run(gradient(lambda x: [ops.sqrt(x)], types_of([X])), [np.array([0.0, 1.0, 4.0, 9.0, 16.0])])
    np.testing.assert_array_equal(found, [np.inf, 0.5, 0.25, 1 / 6, 0.125])
