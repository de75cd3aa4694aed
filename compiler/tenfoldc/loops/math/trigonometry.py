"""Sine, cosine and tangent of radians.

The argument is reduced to r = |x| - n pi/2 with |r| <= pi/4 and n modulo 4.

For |x| < 2^26 that is done after Cody and Waite, with pi/2 in pieces whose products with n are exact: two of f64 for
an f32, five for an f64.

Larger ones, which are rare, are reduced after Payne and Hanek (1983), without a table.  For f32, in f64: |x| 2/pi
needs 27-bit pieces of 2/pi from a place that depends on the magnitude of x, and four places serve all floats, chosen
by comparison.  The first piece gives multiples of 4 and the integer part, the rest the fraction, so every f32 is
reduced right.  For f64, with 2/pi from one of 21 places and products as sums of two.

The polynomials in r^2 are minimax fits (`coefficients`), on a range a little past pi/4, as the fraction is rounded
before its last piece is added.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from tenfold_rt import dtypes
from tenfold_rt.frozen import frozen
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
    round_product,
    round_with_bits,
    scalar_function,
    shift_left,
    two_product,
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
# The first of these and all the rest.
_HALF_PI_PAIR = (_HALF_PI_PIECES[0], float.fromhex("0x1.10b4611a62633p-30"))
_LIMIT = 2.0**26
_FIRST_WIDE_WINDOW = 2.0**52

_FRACTION_BITS = 1280
_TWO_OVER_PI_DIGITS = (
    "A2F9836E4E441529FC2757D1F534DDC0DB6295993C439041FE5163ABDEBBC561B7246E3A424DD2E0"
    "06492EEA09D1921CFE1DEB1CB129A73EE88235F52EBB4484E99C7026B45F7E413991D639835339F4"
    "9C845F8BBDF9283B1FF897FFDE05980FEF2F118B5A0A6D1F6D367ECF27CB09B74F463F669E5FEA2D"
    "7527BAC7EBE5F17B3D0739F78A5292EA6BFB5FB11F8D5D0856033046FC7B6BABF0CFBC209AF4361D"
)
"""The first 1280 bits of 2/pi."""
_WIDE_WINDOW_BITS = 48
_WIDE_WINDOWS = 21
_WIDE_PIECES = 5
_HALF_PI_REST = 6.123233995736766e-17


@frozen
class _Reduced:
    """r = `high` + `low`, and n modulo 4 in the low bits of `quadrant`; |x| = n pi/2 + r.

    For an f32 x, `high` is an f64 that is all of r, and `quadrant` as wide.
    """

    high: Expr
    low: Expr
    quadrant: Expr


Reduction = Callable[[Expr], _Reduced]


def _in_f64(r: Expr, quadrant: Expr) -> _Reduced:
    return _Reduced(r, number(0.0, r), quadrant)


def _reduce(x: Expr) -> _Reduced:
    """For |x| < 2^26."""
    return _reduce_f32(x) if x.dtype == dtypes.f32 else _reduce_f64(x)


def _reduce_large(x: Expr) -> _Reduced:
    """For all x."""
    return _reduce_large_f32(x) if x.dtype == dtypes.f32 else _reduce_large_f64(x)


def _reduce_f32(x: Expr) -> _Reduced:
    magnitude = convert(abs_(x), dtypes.f64)
    turns, quadrant = round_product(magnitude, _TWO_OVER_PI_F64, biases=0)
    first, rest = (number(-piece, magnitude) for piece in _HALF_PI_PAIR)
    return _in_f64(fma(turns, rest, fma(turns, first, magnitude)), quadrant)


def _reduce_large_f32(x: Expr) -> _Reduced:
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
    return _in_f64(mul(fraction, number(_HALF_PI, magnitude)), add(bits_of(shifted), more))


def _reduce_f64(x: Expr) -> _Reduced:
    magnitude = abs_(x)
    turns, quadrant = round_with_bits(mul(magnitude, number(_TWO_OVER_PI_F64, x)))
    first, *middle, last = (number(-piece, x) for piece in _HALF_PI_PIECES)
    high = add(magnitude, mul(turns, first))
    low = mul(turns, last)
    for piece in middle:
        high, error = two_sum(high, mul(turns, piece))
        low = add(low, error)
    return _Reduced(*fast_two_sum(high, low), quadrant)


def _wide_window(window: int) -> list[float]:
    """2^(48 window) 2/pi, less what gives multiples of 4 with whole numbers, as a sum of floats, largest first."""
    unit = 1 << _FRACTION_BITS
    rest = Fraction((int(_TWO_OVER_PI_DIGITS, 16) << (_WIDE_WINDOW_BITS * window)) % (4 * unit), unit)
    pieces: list[float] = []
    for _ in range(_WIDE_PIECES):
        pieces.append(float(rest))
        rest -= Fraction(pieces[-1])
    return pieces


def _is_large(x: Expr) -> Expr:
    return greater_equal(abs_(x), number(_LIMIT, x))


def _modulo_4(x: Expr) -> Expr:
    """`x` less the multiple of 4 nearest to it."""
    turns = apply(Primitive.ROUND_EVEN, mul(x, number(0.25, x)))
    return sub(x, mul(turns, number(4.0, x)))


def _reduce_large_f64(x: Expr) -> _Reduced:
    """For all x, their powers of two taken to 2/pi by steps of 2^48."""
    magnitude = abs_(x)
    constants: list[Expr] = [number(value, x) for value in (1.0, *_wide_window(0))]
    for window in range(1, _WIDE_WINDOWS):
        places = _WIDE_WINDOW_BITS * window
        beyond = greater_equal(magnitude, number(_FIRST_WIDE_WINDOW * 2.0**places, x))
        later = (2.0**-places, *_wide_window(window))
        constants = [select(beyond, number(new, x), old) for new, old in zip(later, constants, strict=True)]
    scale, *pieces = constants
    scaled = mul(magnitude, scale)
    terms = [term for piece in pieces for term in two_product(scaled, piece)]
    high: Expr = number(0.0, x)
    middle, low = high, high
    for term in [*map(_modulo_4, terms[:4]), *terms[4:]]:
        high, error = two_sum(high, term)
        middle, error = two_sum(middle, error)
        low = add(low, error)
    whole, quadrant = round_with_bits(high)
    fraction, error = two_sum(sub(high, whole), middle)
    fraction, rest = fast_two_sum(fraction, add(error, low))
    product, error = two_product(fraction, number(_HALF_PI, x))
    rest = fma(rest, number(_HALF_PI, x), fma(fraction, number(_HALF_PI_REST, x), error))
    return _Reduced(*fast_two_sum(product, rest), quadrant)


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


def _turned(x: Expr, *, quarter_turns: int, reduce: Reduction, sign: Expr | None = None) -> Expr:
    """The sine of |x| + `quarter_turns` * pi/2, turned over where the sign bit of `sign` is set."""
    reduced = reduce(x)
    quadrant = reduced.quadrant
    if x.dtype == dtypes.f32:
        sine, cosine = _sine_and_cosine_f32(convert(reduced.high, dtypes.f32))
        quadrant = convert(quadrant, dtypes.u32)
    else:
        sine, cosine = (add(*parts) for parts in _sine_and_cosine_f64(reduced.high, reduced.low))
    quadrant = add(quadrant, integer(quarter_turns, x))
    value = select(_odd(quadrant), cosine, sine)
    signs = shift_left(quadrant, format_of(x).integer.bits - 2)
    return _with_sign_flipped(value, signs if sign is None else exclusive_or(signs, bits_of(sign)))


def _odd(quadrant: Expr) -> Expr:
    one = Constant(1, quadrant.dtype)
    return apply(Primitive.NE, apply(Primitive.AND, quadrant, one), Constant(0, quadrant.dtype))


def _with_sign_flipped(x: Expr, signs: Expr) -> Expr:
    """`x`, its sign bit turned over where that of `signs` is set."""
    sign = apply(Primitive.AND, signs, integer(1 << (format_of(x).integer.bits - 1), x))
    return float_of(exclusive_or(bits_of(x), sign), x)


def _sine(x: Expr, reduce: Reduction) -> Expr:
    return _turned(x, quarter_turns=0, reduce=reduce, sign=x)


def _tangent(x: Expr, reduce: Reduction) -> Expr:
    reduced = reduce(x)
    odd = _odd(reduced.quadrant)
    if x.dtype == dtypes.f32:
        r = reduced.high
        z = mul(r, r)
        sine = fma(mul(r, z), polynomial(z, _TANGENT_SINE), r)
        cosine = fma(mul(z, z), polynomial(z, _TANGENT_COSINE), fma(z, number(-0.5, r), number(1.0, r)))
        tangent = convert(div(select(odd, neg(cosine), sine), select(odd, sine, cosine)), x.dtype)
    else:
        sines, cosines = (fast_two_sum(*parts) for parts in _sine_and_cosine_f64(reduced.high, reduced.low))
        pairs = list(zip(sines, cosines, strict=True))
        numerator, numerator_low = (select(odd, neg(cosine), sine) for sine, cosine in pairs)
        denominator, denominator_low = (select(odd, sine, cosine) for sine, cosine in pairs)
        tangent = add(*quotient((numerator, numerator_low), (denominator, denominator_low)))
    return _with_sign_flipped(tangent, bits_of(x))


def _sine_of_large(x: Expr) -> Expr:
    return _sine(x, _reduce_large)


def _cosine_of_large(x: Expr) -> Expr:
    return _turned(x, quarter_turns=1, reduce=_reduce_large)


def _tangent_of_large(x: Expr) -> Expr:
    return _tangent(x, _reduce_large)


@scalar_function("sin", dict.fromkeys((dtypes.f32, dtypes.f64), (_is_large, _sine_of_large)))
def sin(x: Expr) -> Expr:
    """Sine; of -0, -0; NaN where x is infinite."""
    return _sine(x, _reduce)


@scalar_function("cos", dict.fromkeys((dtypes.f32, dtypes.f64), (_is_large, _cosine_of_large)))
def cos(x: Expr) -> Expr:
    """Cosine; NaN where x is infinite."""
    return _turned(x, quarter_turns=1, reduce=_reduce)


@scalar_function("tan", dict.fromkeys((dtypes.f32, dtypes.f64), (_is_large, _tangent_of_large)))
def tan(x: Expr) -> Expr:
    """Tangent, as a quotient: sin / cos in even quadrants and -cos / sin in odd ones; for f32, formed in f64."""
    return _tangent(x, _reduce)
