"""e^x and what is made of it: expm1, the logistic function, hyperbolic sine, cosine and tangent.

x = n ln 2 + r with |r| <= ln(2)/2, n found by rounding; e^r - 1 = r + r^2 q(r).  ln 2 is a short part, whose
products with n are exact, and the rest.  The coefficients of q are a minimax fit of (e^r - 1 - r) / r^2 to
e^r's relative error for f32 (Lawson's weighted least squares, each coefficient rounded and the rest fitted
again) and a Chebyshev interpolation of it in 45 digits for f64.
"""

from __future__ import annotations

from tenfold_rt import dtypes
from tenfoldc.loops.ir import Expr
from tenfoldc.loops.math.definition import (
    bounded,
    copysign,
    float_of,
    format_of,
    integer,
    number,
    polynomial,
    power_of_two,
    round_with_bits,
    scalar_function,
    shift_left,
    through_f64,
)
from tenfoldc.loops.scalar import abs_, add, div, fma, greater, less, mul, neg, select, sub

LOG2_E = 1.4426950408889634
LN2 = {
    dtypes.f32: (0.693115234375, 3.194618329871446e-05),
    dtypes.f64: (0.6931471803691238, 1.9082149292705877e-10),
}
_EXP = {
    dtypes.f32: (
        0.4999999403953552,
        0.16666516661643982,
        0.041668280959129333,
        0.008369248360395432,
        0.0013820742024108768,
    ),
    dtypes.f64: (
        0.5000000000000001,
        0.16666666666666669,
        0.04166666666662064,
        0.008333333333329793,
        0.0013888888918939168,
        0.00019841269864380513,
        2.4801518641395993e-05,
        2.75572664186123e-06,
        2.7621338669142925e-07,
        2.510134692835034e-08,
    ),
}
_RANGE = {dtypes.f32: (-104.5, 89.0), dtypes.f64: (-746.0, 710.0)}
_UNDERFLOW = {dtypes.f32: -86.0, dtypes.f64: -707.0}
_NEGLIGIBLE = {dtypes.f32: 2.0**-26, dtypes.f64: 2.0**-55}


def _reduced(x: Expr, low: Expr | None = None) -> tuple[Expr, Expr]:
    """e^r - 1 and the bits of n, for x + low = n ln 2 + r."""
    n, bits = round_with_bits(mul(x, number(LOG2_E, x)))
    high, rest = LN2[x.dtype]
    r = fma(n, number(-rest, x), fma(n, number(-high, x), x))
    if low is not None:
        r = add(r, low)
    return fma(polynomial(r, _EXP[x.dtype]), mul(r, r), r), bits


def exp_of_sum(high: Expr, low: Expr | None = None) -> Expr:
    """e^(high + low) for a `low` far below 1; subnormal results are rounded once, from the full quotient."""
    form = format_of(high)
    minus_one, n = _reduced(bounded(high, *_RANGE[high.dtype]), low)
    small = less(high, number(_UNDERFLOW[high.dtype], high))
    margin = form.mantissa + 41
    offset = select(
        small,
        integer((form.bias + margin) << form.mantissa, high),
        integer((form.bias - 1) << form.mantissa, high),
    )
    scale = float_of(add(shift_left(n, form.mantissa), offset), high)
    last = select(small, number(2.0**-margin, high), number(2.0, high))
    return mul(mul(add(minus_one, number(1.0, high)), scale), last)


def scaled_expm1(x: Expr) -> Expr:
    """e^x - 1 where e^x is far from overflow and x is not below -40."""
    minus_one, n = _reduced(x)
    scale = power_of_two(n, x)
    return fma(scale, minus_one, sub(scale, number(1.0, x)))


@scalar_function("exp")
def exp(x: Expr) -> Expr:
    """e^x; infinite above the largest float's logarithm, gradually 0 below the smallest's."""
    return exp_of_sum(x)


@scalar_function("expm1")
def expm1(x: Expr) -> Expr:
    """e^x - 1.  2^n may overflow before the result does, so half the result is formed and doubled."""
    minus_one, n = _reduced(bounded(x, -40.0, _RANGE[x.dtype][1]))
    half = power_of_two(n, x, -1)
    y = fma(half, minus_one, sub(half, number(0.5, x)))
    return select(less(abs_(x), number(_NEGLIGIBLE[x.dtype], x)), x, add(y, y))


@scalar_function("logistic")
def logistic(x: Expr) -> Expr:
    """1 / (1 + e^-x), as e^x / (1 + e^x) below 0 so that nothing overflows or cancels."""
    decayed = exp(neg(abs_(x)))
    one = number(1.0, x)
    return div(select(less(x, number(0.0, x)), decayed, one), add(decayed, one))


@scalar_function("tanh")
def tanh(x: Expr) -> Expr:
    """m / (m + 2) with m = e^(2 |x|) - 1; 1 from where m hides the 2."""
    magnitude = abs_(x)
    last = number(9.5 if x.dtype == dtypes.f32 else 20.0, x)
    magnitude = select(less(last, magnitude), last, magnitude)
    m = scaled_expm1(add(magnitude, magnitude))
    return copysign(div(m, add(m, number(2.0, x))), x)


@scalar_function("sinh")
def sinh(x: Expr) -> Expr:
    """(m + m / (m + 1)) / 2 with m = e^|x| - 1; for large |x|, (e^(|x|/2) / 2) e^(|x|/2)."""
    if x.dtype == dtypes.f32:
        return through_f64(sinh, x)
    magnitude, half = abs_(x), number(0.5, x)
    m = expm1(magnitude)
    small = mul(add(m, div(m, add(m, number(1.0, x)))), half)
    return copysign(select(greater(magnitude, number(22.0, x)), _half_exp(magnitude), small), x)


@scalar_function("cosh")
def cosh(x: Expr) -> Expr:
    """(e^|x| + e^-|x|) / 2; for large |x|, (e^(|x|/2) / 2) e^(|x|/2)."""
    if x.dtype == dtypes.f32:
        return through_f64(cosh, x)
    magnitude, half = abs_(x), number(0.5, x)
    grown = exp(magnitude)
    small = add(mul(grown, half), div(half, grown))
    return select(greater(magnitude, number(22.0, x)), _half_exp(magnitude), small)


def _half_exp(x: Expr) -> Expr:
    """e^x / 2 without overflow before the result does."""
    root = exp(mul(x, number(0.5, x)))
    return mul(mul(root, number(0.5, x)), root)
