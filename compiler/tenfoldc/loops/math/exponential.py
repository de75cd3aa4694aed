"""e^x and what is made of it: expm1, the logistic function, hyperbolic sine, cosine and tangent.

x = n ln 2 + r with |r| <= ln(2)/2, n found by rounding; e^r - 1 = r + r^2 q(r).  ln 2 is a short part, whose
products with n are exact, and the rest.  2^n is multiplied in as two factors, each a normal number, so that one
product, the last, becomes subnormal or infinite.  The polynomials are minimax fits (`coefficients`).
"""

from __future__ import annotations

from tenfold_rt import dtypes
from tenfoldc.loops.ir import Expr
from tenfoldc.loops.math.definition import (
    Double,
    at_least,
    at_most,
    bits_of,
    bounded,
    copysign,
    fast_two_sum,
    float_of,
    format_of,
    integer,
    number,
    polynomial,
    power_of_two,
    powers_of_two,
    round_product,
    scalar_function,
    with_sign,
)
from tenfoldc.loops.scalar import abs_, add, div, fma, less, mul, neg, select, sub

LOG2_E = 1.4426950408889634
LN2 = {
    dtypes.f32: (0.693115234375, 3.194618329871446e-05),
    dtypes.f64: (0.6931471803691238, 1.9082149292705877e-10),
}
EXP = {
    dtypes.f32: (
        0.4999999403953552,
        0.1666652113199234,
        0.041668254882097244,
        0.008368662558495998,
        0.0013821462634950876,
    ),
    dtypes.f64: (
        0.5000000000000011,
        0.16666666666666463,
        0.041666666666528594,
        0.008333333333471055,
        0.0013888888943781015,
        0.00019841269545781105,
        2.4801493070718998e-05,
        2.7557557960171093e-06,
        2.7630234757369425e-07,
        2.5007627722617725e-08,
    ),
}
SINH = {
    dtypes.f32: (0.1666666716337204, 0.00833331048488617, 0.00019842895562760532, 2.782213869068073e-06),
    dtypes.f64: (
        0.16666666666666669,
        0.008333333333332912,
        0.00019841269841593413,
        2.7557319106754745e-06,
        2.5052130999144613e-08,
        1.605665912717875e-10,
        7.776601778359981e-13,
    ),
}
_RANGE = {dtypes.f32: (-104.5, 89.0), dtypes.f64: (-746.0, 710.0)}
_NEGLIGIBLE = {dtypes.f32: 2.0**-26, dtypes.f64: 2.0**-55}


def _reduced(x: Expr, low: Expr | None = None, twice: bool = False) -> tuple[Expr, Expr]:
    """e^r - 1 for x + low = n ln 2 + r, and an integer with n + 2 bias in its low bits.

    With `twice`, (e^(2 r) - 1) / 2 for 2 (x + low) = n ln 2 + 2 r, and an integer with n + bias.
    """
    n, biased, high, rest = _multiple_of_ln2(x, twice)
    r = fma(n, rest, fma(n, high, x))
    if low is not None:
        r = add(r, low)
    return fma(_bend(r, twice), mul(r, r), r), biased


def _multiple_of_ln2(x: Expr, twice: bool) -> tuple[Expr, Expr, Expr, Expr]:
    """n, the integer that `_reduced` gives, and both parts of -ln 2, or of half of that."""
    times = 2 if twice else 1
    n, biased = round_product(x, times * LOG2_E, biases=1 if twice else 2)
    high, rest = (number(-part / times, x) for part in LN2[x.dtype])
    return n, biased, high, rest


def _bend(r: Expr, twice: bool) -> Expr:
    """q with e^r - 1 = r + r^2 q, or (e^(2 r) - 1) / 2 = r + r^2 q."""
    coefficients = EXP[r.dtype]
    if twice:
        coefficients = [2 ** (degree + 1) * coefficient for degree, coefficient in enumerate(coefficients)]
    return polynomial(r, coefficients)


def exp_of_sum(high: Expr, low: Expr | None = None) -> Expr:
    """e^(high + low) for a `low` far below 1."""
    return _exp_within(bounded(high, *_RANGE[high.dtype]), low)


def _exp_within(x: Expr, low: Expr | None = None) -> Expr:
    """e^(x + low) for x in `_RANGE`; only the last product leaves the range of normal numbers."""
    minus_one, biased = _reduced(x, low)
    scale, rest = powers_of_two(biased, x)
    return mul(fma(scale, minus_one, scale), rest)


def _reduced_precisely(x: Expr, low: Expr | None = None, twice: bool = False) -> tuple[Expr, Expr]:
    """`_reduced` with what rounding r dropped added in, for where e^r - 1 is most of the result."""
    n, biased, high, rest = _multiple_of_ln2(x, twice)
    coarse = fma(n, high, x)
    r = fma(n, rest, coarse)
    dropped = fma(n, rest, sub(coarse, r))
    if low is not None:
        r, more = fast_two_sum(r, low)
        dropped = add(dropped, more)
    return add(fma(_bend(r, twice), mul(r, r), dropped), r), biased


def _expm1_within(x: Expr) -> Expr:
    """e^x - 1 for x in `_RANGE`: with 2^n = s t, (s (e^r - 1) + (s - 1 / t)) t."""
    minus_one, biased = _reduced_precisely(x)
    scale, rest = powers_of_two(biased, x)
    inverse = float_of(sub(integer(2 * format_of(x).one_bits, x), bits_of(rest)), x)
    return mul(fma(scale, minus_one, sub(scale, inverse)), rest)


def exp_times(high: Expr, low: Expr, factor: Double) -> Expr:
    """e^(high + low) times a sum of two, rounded little more than once."""
    minus_one, biased = _reduced_precisely(bounded(high, *_RANGE[high.dtype]), low)
    scale, rest = powers_of_two(biased, high)
    return mul(mul(add(fma(factor[0], minus_one, factor[1]), factor[0]), scale), rest)


@scalar_function("exp")
def exp(x: Expr) -> Expr:
    """e^x; infinite above the largest float's logarithm, gradually 0 below the smallest's."""
    return exp_of_sum(x)


@scalar_function("expm1")
def expm1(x: Expr) -> Expr:
    """e^x - 1."""
    y = _expm1_within(bounded(x, -40.0, _RANGE[x.dtype][1]))
    return select(less(abs_(x), number(_NEGLIGIBLE[x.dtype], x)), x, y)


@scalar_function("logistic")
def logistic(x: Expr) -> Expr:
    """1 / (1 + e^-x); below 0, u / (1 + u) with u = e^x, whose error is u's alone where it is u - u (u / (1 + u))."""
    u = _exp_within(at_least(neg(abs_(x)), _RANGE[x.dtype][0]))
    v = div(number(1.0, x), add(u, number(1.0, x)))
    return select(less(x, number(0.0, x)), fma(neg(u), mul(u, v), u), v)


@scalar_function("tanh")
def tanh(x: Expr) -> Expr:
    """w / (1 + w) with w = (e^(2 |x|) - 1) / 2, as u - u (u v) with v = 1 / (1 + w) and u the smaller of w and 1."""
    one, half = number(1.0, x), number(0.5, x)
    reduce = _reduced if x.dtype == dtypes.f32 else _reduced_precisely
    minus_one, biased = reduce(at_most(abs_(x), 9.5 if x.dtype == dtypes.f32 else 20.0), twice=True)
    power, half_power = power_of_two(biased, x)
    w = fma(power, minus_one, sub(half_power, half))
    u = at_most(w, 1.0)
    v = div(one, add(w, one))
    return with_sign(fma(neg(u), mul(u, v), u), x)


@scalar_function("sinh")
def sinh(x: Expr) -> Expr:
    """h - 1 / (4 h) with h = e^|x| / 2; where that cancels, up to 1, x + x^3 p(x^2)."""
    magnitude = abs_(x)
    h = _half_exp(magnitude)
    far = sub(h, div(number(0.25, x), h))
    z = mul(x, x)
    near = fma(mul(x, z), polynomial(z, SINH[x.dtype]), x)
    return select(less(magnitude, number(1.0, x)), near, copysign(far, x))


@scalar_function("cosh")
def cosh(x: Expr) -> Expr:
    """h + 1 / (4 h) with h = e^|x| / 2."""
    h = _half_exp(abs_(x))
    return add(h, div(number(0.25, x), h))


def _half_exp(x: Expr) -> Expr:
    """e^x / 2 for x >= 0."""
    minus_one, biased = _reduced(at_most(x, _RANGE[x.dtype][1] + 1))
    scale, rest = powers_of_two(biased, x)
    return mul(mul(fma(scale, minus_one, scale), number(0.5, x)), rest)
