"""Arcus functions: atan t = t + t^3 p(t^2) for t in [0, 1], and asin t = t + t^3 q(t^2) for t in [0, 1/2].

Both are minimax fits (`coefficients`), but for p of f64, which is a Chebyshev interpolation in 45 digits.
"""

from __future__ import annotations

from tenfold_rt import dtypes
from tenfoldc.loops.ir import Expr
from tenfoldc.loops.math.definition import (
    copysign,
    fast_two_sum,
    is_either_nan,
    is_zero,
    number,
    polynomial,
    scalar_function,
    square_root,
    through_f64,
)
from tenfoldc.loops.math.logarithm import negative
from tenfoldc.loops.scalar import abs_, add, div, equal, fma, greater, less, mul, neg, product_error, select, sub

ATAN = {
    dtypes.f32: (
        -0.33333298563957214,
        0.1999852955341339,
        -0.14264015853405,
        0.10950876027345657,
        -0.08399266749620438,
        0.057880062609910965,
        -0.031094850972294807,
        0.010867029428482056,
        -0.0017823231173679233,
    ),
    dtypes.f64: (
        -0.3333333333333333,
        0.1999999999999992,
        -0.14285714285701234,
        0.11111111110268297,
        -0.0909090906193528,
        0.07692307078827029,
        -0.06666657934573768,
        0.05882264416776449,
        -0.052624922290256754,
        0.04758080083637821,
        -0.043306538430670664,
        0.03938687540798632,
        -0.035271331066871296,
        0.030330719265790507,
        -0.024191345810140718,
        0.01718398172211335,
        -0.010412153260359241,
        0.005140912856746939,
        -0.0019612554271685326,
        0.0005376839297396244,
        -9.371186345052626e-05,
        7.767624330289919e-06,
    ),
}
ASIN = (
    0.1666666666666676,
    0.07499999999970865,
    0.04464285717456362,
    0.030381942709677194,
    0.02237221494273099,
    0.017351612705372586,
    0.013980813354773932,
    0.011398963642881352,
    0.01077999985827663,
    0.003707249726273112,
    0.02170564187980495,
    -0.020996804949107373,
    0.03262737459131595,
)
_TINY = 2.0**-1000
_HALF_PI = {
    dtypes.f32: (1.5707963705062866, -4.371138828673793e-08),
    dtypes.f64: (1.5707963267948966, 6.123233995736766e-17),
}


def _atan_of_quotient(smaller: Expr, larger: Expr, swapped: Expr, beyond: Expr) -> Expr:
    """atan(smaller / larger), taken from pi/2 where `swapped`, and the result from pi where `beyond`."""
    t = div(smaller, larger)
    z = mul(t, t)
    angle = fma(mul(t, z), polynomial(z, ATAN[t.dtype]), t)
    high, low = _HALF_PI[t.dtype]
    angle = select(swapped, sub(number(high, t), sub(angle, number(low, t))), angle)
    return select(beyond, sub(number(2 * high, t), sub(angle, number(2 * low, t))), angle)


@scalar_function("atan")
def atan(x: Expr) -> Expr:
    """The angle in (-pi/2, pi/2) whose tangent is x."""
    magnitude, one = abs_(x), number(1.0, x)
    swapped = less(one, magnitude)
    never = less(magnitude, number(0.0, x))
    angle = _atan_of_quotient(select(swapped, one, magnitude), select(swapped, magnitude, one), swapped, never)
    return copysign(angle, x)


@scalar_function("atan2")
def atan2(y: Expr, x: Expr) -> Expr:
    """The angle of the point (x, y), from -pi to pi; zeros and infinities as C's `atan2` has them."""
    rise, run = abs_(y), abs_(x)
    swapped = less(run, rise)
    larger, smaller = select(swapped, rise, run), select(swapped, run, rise)
    one = number(1.0, x)
    both_infinite = equal(smaller, number(float("inf"), x))
    smaller = select(both_infinite, one, smaller)
    larger = select(both_infinite, one, select(is_zero(larger), one, larger))
    angle = copysign(_atan_of_quotient(smaller, larger, swapped, negative(x)), y)
    return select(is_either_nan(x, y), add(x, y), angle)


def _arcsine(a: Expr) -> tuple[Expr, Expr, Expr]:
    """asin a, for an f64 a in [0, 1], as a sum of two; or, where the first of the three says so, (pi/2 - asin a) / 2.

    From 1/2 on, asin a = pi/2 - 2 asin(sqrt((1 - a) / 2)); what rounds off in the square root is put right.
    """
    half = number(0.5, a)
    far = greater(a, half)
    z = select(far, mul(sub(number(1.0, a), a), half), mul(a, a))
    s = select(far, square_root(z), a)
    doubled = fma(s, number(2.0, a), number(_TINY, a))
    dropped = select(far, div(neg(product_error(s, s, z)), doubled), number(0.0, a))
    return far, s, fma(mul(s, z), polynomial(z, ASIN), dropped)


@scalar_function("asin")
def asin(x: Expr) -> Expr:
    """The angle in [-pi/2, pi/2] whose sine is x; NaN beyond 1."""
    if x.dtype == dtypes.f32:
        return through_f64(asin, x)
    far, s, rest = _arcsine(abs_(x))
    quarter, quarter_low = (number(part, x) for part in _HALF_PI[x.dtype])
    turned, dropped = fast_two_sum(quarter, mul(s, number(-2.0, x)))
    turned = add(turned, add(add(quarter_low, dropped), mul(rest, number(-2.0, x))))
    return copysign(select(far, turned, add(s, rest)), x)


@scalar_function("acos")
def acos(x: Expr) -> Expr:
    """The angle in [0, pi] whose cosine is x; NaN beyond 1."""
    if x.dtype == dtypes.f32:
        return through_f64(acos, x)
    far, s, rest = _arcsine(abs_(x))
    below = less(x, number(0.0, x))
    quarter, quarter_low = (number(part, x) for part in _HALF_PI[x.dtype])
    s, rest = select(below, neg(s), s), select(below, neg(rest), rest)
    near, near_dropped = fast_two_sum(quarter, neg(s))
    near = add(near, add(add(quarter_low, near_dropped), neg(rest)))
    half, half_dropped = fast_two_sum(select(below, quarter, number(0.0, x)), s)
    half = add(half, add(add(select(below, quarter_low, number(0.0, x)), half_dropped), rest))
    return select(far, add(half, half), near)
