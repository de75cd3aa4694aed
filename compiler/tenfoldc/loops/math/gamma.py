"""The logarithm of the gamma function and its derivatives, digamma and polygamma.

Below 10 the argument is moved up by 10 with the recurrence; there, the asymptotic series in 1 / y (Abramowitz and
Stegun 6.1.40, 6.3.18 and 6.4.11) are right to the last place after eight terms.  Below 1/2 the argument is
reflected (6.1.17, 6.3.7 and 6.4.7).  Everything is formed in f64; its errors are of the order of an ulp of the
terms, so a result near one of its zeros has fewer right digits for f64.
"""

from __future__ import annotations

import math as python_math
from functools import cache

from tenfold_rt import dtypes
from tenfoldc.loops.ir import Expr
from tenfoldc.loops.math.definition import (
    INFINITY,
    NAN,
    ScalarFunction,
    horner,
    is_zero,
    number,
    polynomial,
    round_with_bits,
    scalar_function,
    through_f64,
)
from tenfoldc.loops.math.logarithm import log
from tenfoldc.loops.math.trigonometry import sin, tan
from tenfoldc.loops.scalar import (
    abs_,
    add,
    div,
    equal,
    fma,
    less,
    less_equal,
    logical_and,
    logical_or,
    mul,
    neg,
    select,
    sub,
)

SHIFT = 10
BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)
"""The Bernoulli numbers with indices 2, 4, ..., 16."""

_LOG_PI = 1.1447298858494002
_HALF_LOG_TWO_PI = 0.9189385332046728


def _reflected(x: Expr) -> tuple[Expr, Expr, Expr]:
    """Whether x is below 1/2, x or 1 - x, and pi times the distance of x from a whole number."""
    low = less(x, number(0.5, x))
    whole, _ = round_with_bits(x)
    beyond = less(number(2.0**51, x), abs_(x))
    fraction = select(beyond, number(0.0, x), sub(x, whole))
    return low, select(low, sub(number(1.0, x), x), x), mul(fraction, number(python_math.pi, x))


def _moved_up(x: Expr) -> tuple[Expr, Expr]:
    """Whether x is below 10, and x or x + 10."""
    small = less(x, number(float(SHIFT), x))
    return small, select(small, add(x, number(float(SHIFT), x)), x)


@scalar_function("lgamma")
def lgamma(x: Expr) -> Expr:
    """log |gamma(x)|; infinite at 0 and at negative whole numbers."""
    if x.dtype == dtypes.f32:
        return through_f64(lgamma, x)
    low, z, angle = _reflected(x)
    small, y = _moved_up(z)
    product: Expr = z
    for step in range(1, SHIFT):
        product = mul(product, add(z, number(float(step), x)))
    inverse = div(number(1.0, x), y)
    series = polynomial(mul(inverse, inverse), [b / (2 * k * (2 * k - 1)) for k, b in enumerate(BERNOULLI, start=1)])
    tail = fma(series, inverse, number(_HALF_LOG_TWO_PI, x))
    upper = add(sub(mul(sub(y, number(0.5, x)), log(y)), y), tail)
    upper = sub(upper, log(select(small, product, number(1.0, x))))
    upper = select(equal(y, number(INFINITY, x)), y, upper)
    tiny = less(abs_(x), number(2.0**-100, x))
    sine = select(tiny, abs_(x), abs_(sin(angle)))
    log_pi = select(tiny, number(0.0, x), number(_LOG_PI, x))
    lower = sub(sub(log_pi, log(sine)), upper)
    result = select(low, lower, upper)
    return select(logical_or(_at_pole(x, angle), equal(x, number(-INFINITY, x))), number(INFINITY, x), result)


@scalar_function("digamma")
def digamma(x: Expr) -> Expr:
    """The derivative of lgamma; NaN at 0 and at negative whole numbers."""
    if x.dtype == dtypes.f32:
        return through_f64(digamma, x)
    low, z, angle = _reflected(x)
    small, y = _moved_up(z)
    numerator, denominator = number(1.0, x), z
    for step in range(1, SHIFT):
        term = add(z, number(float(step), x))
        numerator, denominator = fma(numerator, term, denominator), mul(denominator, term)
    inverse = div(number(1.0, x), y)
    squared = mul(inverse, inverse)
    series = polynomial(squared, [b / (2 * k) for k, b in enumerate(BERNOULLI, start=1)])
    upper = sub(sub(log(y), mul(inverse, number(0.5, x))), mul(series, squared))
    upper = sub(upper, select(small, div(numerator, denominator), number(0.0, x)))
    lower = sub(upper, div(number(python_math.pi, x), tan(angle)))
    return select(_at_pole(x, angle), number(NAN, x), select(low, lower, upper))


@cache
def polygamma(order: int) -> ScalarFunction:
    """The derivative of digamma of the given order, 1 or more; NaN at 0 and at negative whole numbers."""

    def rule(x: Expr) -> Expr:
        if x.dtype == dtypes.f32:
            return through_f64(polygamma(order), x)
        low, z, angle = _reflected(x)
        upper = _polygamma_above(z, order)
        cotangent = div(number(1.0, x), tan(angle))
        mirrored = upper if order % 2 == 0 else neg(upper)
        lower = sub(mirrored, horner(cotangent, cotangent_derivative(order)))
        return select(_at_pole(x, angle), number(NAN, x), select(low, lower, upper))

    return ScalarFunction(f"polygamma{order}", rule)


def cotangent_derivative(order: int) -> list[float]:
    """pi times the derivative of cot(pi x) by x of an order, as coefficients of powers of the cotangent."""
    coefficients = [0.0, python_math.pi]
    for _ in range(order):
        slopes = [power * c for power, c in enumerate(coefficients)][1:]
        shifted = [0.0, 0.0, *slopes]
        padded = [*slopes, 0.0, 0.0]
        coefficients = [-python_math.pi * (a + b) for a, b in zip(padded, shifted, strict=True)]
    return coefficients


def _at_pole(x: Expr, angle: Expr) -> Expr:
    return logical_and(less_equal(x, number(0.0, x)), is_zero(angle))


def _power(x: Expr, exponent: int) -> Expr:
    result = x
    for _ in range(exponent - 1):
        result = mul(result, x)
    return result


def _polygamma_above(x: Expr, order: int) -> Expr:
    """For x >= 1/2: order! (-1)^(order + 1) times the sum of 1 / (x + i)^(order + 1) over all i >= 0."""
    small, y = _moved_up(x)
    one, factorial = number(1.0, x), python_math.factorial(order)
    total: Expr = number(0.0, x)
    for step in range(SHIFT):
        total = add(total, div(one, _power(add(x, number(float(step), x)), order + 1)))
    inverse = div(one, y)
    terms = [
        b * python_math.factorial(order + 2 * k - 1) / (python_math.factorial(2 * k) * factorial)
        for k, b in enumerate(BERNOULLI, start=1)
    ]
    series = fma(mul(inverse, inverse), polynomial(mul(inverse, inverse), terms), number(1 / order, x))
    tail = mul(fma(inverse, number(0.5, x), series), _power(inverse, order))
    sign = 1.0 if order % 2 else -1.0
    return mul(add(tail, select(small, total, number(0.0, x))), number(sign * factorial, x))
