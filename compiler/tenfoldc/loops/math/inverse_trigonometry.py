"""Arcus functions, all from one polynomial: atan t = t + t^3 p(t^2) for t in [0, 1].

p is a minimax fit for f32 (`coefficients`) and a Chebyshev interpolation in 45 digits for f64.
"""

from __future__ import annotations

from tenfold_rt import dtypes
from tenfoldc.loops.ir import Expr
from tenfoldc.loops.math.definition import (
    copysign,
    is_either_nan,
    is_zero,
    number,
    polynomial,
    scalar_function,
    square_root,
    through_f64,
)
from tenfoldc.loops.math.logarithm import negative
from tenfoldc.loops.scalar import abs_, add, div, equal, fma, less, mul, select, sub

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


@scalar_function("asin")
def asin(x: Expr) -> Expr:
    """The angle in [-pi/2, pi/2] whose sine is x; NaN beyond 1."""
    return through_f64(asin, x) if x.dtype == dtypes.f32 else atan2(x, _other_leg(x))


@scalar_function("acos")
def acos(x: Expr) -> Expr:
    """The angle in [0, pi] whose cosine is x; NaN beyond 1."""
    return through_f64(acos, x) if x.dtype == dtypes.f32 else atan2(_other_leg(x), x)


def _other_leg(x: Expr) -> Expr:
    """sqrt(1 - x^2) without cancellation."""
    one = number(1.0, x)
    return square_root(mul(sub(one, x), add(one, x)))
