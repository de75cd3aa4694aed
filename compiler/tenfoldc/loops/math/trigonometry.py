"""Sine, cosine and tangent of radians.

The argument is reduced to r = |x| - n pi/2 with |r| <= pi/4 and n modulo 4.

For f32 that is done in f64 after Payne and Hanek (1983), without a table: |x| 2/pi needs 27-bit pieces of 2/pi from
a place that depends on the magnitude of x, and four places serve all floats, chosen by comparison.  The first piece
gives multiples of 4 and the integer part, the rest the fraction, so every f32 is reduced right.

For f64 it is done after Cody and Waite with pi/2 in pieces whose products with n are exact, in two steps (multiples
of 2^26 pi/2, then of pi/2) that keep the result to twice the precision.  That is right for |x| < 2^52; from there
on neighbouring numbers are whole radians apart, and the functions give NaN rather than a number that means nothing.

The polynomials in r^2 are minimax fits (`coefficients`), on a range a little past pi/4, as the fraction is rounded
before its last piece is added.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

from tenfold_rt import dtypes
from tenfoldc.loops.ir import Constant, Expr, Primitive
from tenfoldc.loops.math.definition import (
    Double,
    bits_of,
    exclusive_or,
    fast_two_sum,
    float_of,
    format_of,
    integer,
    number,
    polynomial,
    quotient,
    round_with_bits,
    scalar_function,
    shift_left,
    two_sum,
)
from tenfoldc.loops.scalar import (
    abs_,
    add,
    apply,
    convert,
    div,
    fma,
    greater_equal,
    less,
    mul,
    neg,
    select,
    sub,
)

SINE = {
    dtypes.f32: (-0.1666666716337204, 0.008333379402756691, -0.00019853065896313637, 2.8325721359578893e-06),
    dtypes.f64: (
        -0.1666666666666663,
        0.00833333333332184,
        -0.00019841269829358476,
        2.7557313538486223e-06,
        -2.5050734385177322e-08,
        1.5895433105706127e-10,
    ),
}
COSINE = {
    dtypes.f32: (0.0416666679084301, -0.0013888980029150844, 2.4822020350256935e-05, -2.8880864988423127e-07),
    dtypes.f64: (
        0.041666666666666595,
        -0.0013888888888873338,
        2.4801587288997393e-05,
        -2.755731421523898e-07,
        2.0875705101291846e-09,
        -1.1358731754088091e-11,
    ),
}
_TANGENT_SINE = (-0.16666666659209123, 0.008333330303087656, -0.0001983934461391113, 2.7165398032575986e-06)
_TANGENT_COSINE = (0.04166666666044307, -0.0013888886360094719, 2.4799980861435067e-05, -2.7230394578890816e-07)

# 2/pi from bit 27 j on: two pieces of 27 bits and the rest, for |x| < 2^(52 + 27 j).
_TWO_OVER_PI = tuple(
    tuple(float.fromhex(piece) for piece in pieces)
    for pieces in (
        ("0x1.45f306cp-1", "0x1.c9c8828p-29", "0x1.29fc2757d1f53p-56"),
        ("0x1.c9c8828p-29", "0x1.29fc27p-56", "0x1.5f47d4d377037p-82"),
        ("0x1.29fc27p-56", "0x1.5f47d4cp-82", "0x1.377036d8a5665p-110"),
        ("0x1.5f47d4cp-82", "0x1.3770368p-110", "0x1.6295993c43904p-136"),
    )
)
_WINDOW_BITS = 27
_FIRST_WINDOW = 2.0**52

_HALF_PI = 1.5707963267948966
_TWO_OVER_PI_F64 = 0.6366197723675814
# pi/2 in four pieces of 26 binary places each, and the rest.
_HALF_PI_PIECES = tuple(
    float.fromhex(piece)
    for piece in (
        "0x1.921fb54p+0",
        "0x1.10b46p-30",
        "0x1.1a6263p-54",
        "0x1.8a2e02p-81",
        "0x1.707344a409382p-105",
    )
)
_STEP = 2.0**26
_LIMIT = 2.0**52


@dataclass(frozen=True, slots=True)
class _Reduced:
    """r = `high` + `low`, and n modulo 4 in the low bits of `quadrant`; |x| = n pi/2 + r."""

    high: Expr
    low: Expr
    quadrant: Expr


def _reduce_f32(x: Expr) -> tuple[Expr, Expr]:
    """r in f64 and the bits of n, as u64, for an f32."""
    magnitude = convert(abs_(x), dtypes.f64)
    pieces: list[Expr] = [number(piece, magnitude) for piece in _TWO_OVER_PI[0]]
    for window in range(1, len(_TWO_OVER_PI)):
        limit = number(_FIRST_WINDOW * 2.0 ** (_WINDOW_BITS * (window - 1)), magnitude)
        beyond = greater_equal(magnitude, limit)
        later = _TWO_OVER_PI[window]
        pieces = [select(beyond, number(new, magnitude), old) for new, old in zip(later, pieces, strict=True)]
    product = mul(magnitude, pieces[0])
    shift = number(2.0**52, magnitude)
    shifted = add(product, shift)
    fraction = sub(product, sub(shifted, shift))
    fraction = fma(magnitude, pieces[1], fraction)
    whole, more = round_with_bits(fraction)
    fraction = fma(magnitude, pieces[2], sub(fraction, whole))
    return mul(fraction, number(_HALF_PI, magnitude)), add(bits_of(shifted), more)


def _subtract_multiple(high: Expr, times: Expr, scale: float) -> tuple[Expr, list[Expr]]:
    """high - times * scale * pi/2, for a whole `times` up to 2^26 that leaves little of `high`.

    The result is the first value and the sum of the others, which together are right to four times the precision.
    """
    first, *middle, last = (number(-piece * scale, high) for piece in _HALF_PI_PIECES)
    high = add(high, mul(times, first))
    errors: list[Expr] = []
    for piece in middle:
        high, error = two_sum(high, mul(times, piece))
        errors.append(error)
    return high, [*errors, mul(times, last)]


def _reduce_f64(x: Expr) -> _Reduced:
    magnitude = abs_(x)
    magnitude = select(less(magnitude, number(_LIMIT, x)), magnitude, number(math.nan, x))
    steps, _ = round_with_bits(mul(magnitude, number(_TWO_OVER_PI_F64 / _STEP, x)))
    high, errors = _subtract_multiple(magnitude, steps, _STEP)
    turns, quadrant = round_with_bits(mul(high, number(_TWO_OVER_PI_F64, x)))
    high, rests = _subtract_multiple(high, turns, 1.0)
    for error in errors:
        high, rest = two_sum(high, error)
        rests.append(rest)
    low = functools.reduce(add, rests)
    return _Reduced(*fast_two_sum(high, low), quadrant)


def _sine_and_cosine_f32(r: Expr) -> tuple[Expr, Expr]:
    z = mul(r, r)
    sine = fma(mul(r, z), polynomial(z, SINE[r.dtype]), r)
    cosine = fma(mul(z, z), polynomial(z, COSINE[r.dtype]), fma(z, number(-0.5, r), number(1.0, r)))
    return sine, cosine


def _sine_and_cosine_f64(r: Expr, tail: Expr) -> tuple[Double, Double]:
    """Of r + tail as sums of two, after FreeBSD's k_sin.c and k_cos.c: what 1 - r^2/2 rounds off is added back."""
    one = number(1.0, r)
    z = mul(r, r)
    half = mul(z, number(0.5, r))
    most = sub(one, half)
    correction = fma(mul(z, r), polynomial(z, SINE[r.dtype]), mul(tail, most))
    lost = sub(sub(one, most), half)
    rest = fma(mul(z, z), polynomial(z, COSINE[r.dtype]), sub(lost, mul(r, tail)))
    return (r, correction), (most, rest)


def _turned(x: Expr, *, quarter_turns: int) -> Expr:
    """The sine of |x| + `quarter_turns` * pi/2."""
    if x.dtype == dtypes.f32:
        r, wide_quadrant = _reduce_f32(x)
        sine, cosine = _sine_and_cosine_f32(convert(r, dtypes.f32))
        quadrant = convert(wide_quadrant, dtypes.u32)
    else:
        reduced = _reduce_f64(x)
        sine, cosine = (add(*parts) for parts in _sine_and_cosine_f64(reduced.high, reduced.low))
        quadrant = reduced.quadrant
    quadrant = add(quadrant, integer(quarter_turns, x))
    value = select(_odd(quadrant), cosine, sine)
    second_bit = apply(Primitive.AND, quadrant, integer(2, x))
    return _with_sign_flipped(value, shift_left(second_bit, format_of(x).integer.bits - 2))


def _odd(quadrant: Expr) -> Expr:
    one = Constant(1, quadrant.dtype)
    return apply(Primitive.NE, apply(Primitive.AND, quadrant, one), Constant(0, quadrant.dtype))


def _with_sign_flipped(x: Expr, sign: Expr) -> Expr:
    """`x`, its sign bit turned over where that of `sign` is set."""
    return float_of(exclusive_or(bits_of(x), sign), x)


def _sign_bit(x: Expr) -> Expr:
    return apply(Primitive.AND, bits_of(x), integer(1 << (format_of(x).integer.bits - 1), x))


@scalar_function("sin")
def sin(x: Expr) -> Expr:
    """Sine; of -0, -0; NaN where x is infinite, and for f64 from |x| = 2^52 on."""
    return _with_sign_flipped(_turned(x, quarter_turns=0), _sign_bit(x))


@scalar_function("cos")
def cos(x: Expr) -> Expr:
    """Cosine; NaN where x is infinite, and for f64 from |x| = 2^52 on."""
    return _turned(x, quarter_turns=1)


@scalar_function("tan")
def tan(x: Expr) -> Expr:
    """Tangent, as a quotient: sin / cos in even quadrants and -cos / sin in odd ones; for f32, formed in f64."""
    if x.dtype == dtypes.f32:
        r, quadrant = _reduce_f32(x)
        z = mul(r, r)
        sine = fma(mul(r, z), polynomial(z, _TANGENT_SINE), r)
        cosine = fma(mul(z, z), polynomial(z, _TANGENT_COSINE), fma(z, number(-0.5, r), number(1.0, r)))
        odd = _odd(quadrant)
        tangent = convert(div(select(odd, neg(cosine), sine), select(odd, sine, cosine)), x.dtype)
    else:
        reduced = _reduce_f64(x)
        sines, cosines = (fast_two_sum(*parts) for parts in _sine_and_cosine_f64(reduced.high, reduced.low))
        odd = _odd(reduced.quadrant)
        pairs = list(zip(sines, cosines, strict=True))
        numerator, numerator_low = (select(odd, neg(cosine), sine) for sine, cosine in pairs)
        denominator, denominator_low = (select(odd, sine, cosine) for sine, cosine in pairs)
        tangent = add(*quotient((numerator, numerator_low), (denominator, denominator_low)))
    return _with_sign_flipped(tangent, _sign_bit(x))
