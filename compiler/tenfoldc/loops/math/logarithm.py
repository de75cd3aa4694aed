"""Natural logarithms of x and of 1 + x, and the inverse hyperbolic functions that are made of them.

x = 2^k m; log x = k ln 2 + log m.  For f32, m is in [2/3, 4/3) and log(1 + f) = f - f^2/2 + f^3 q(f), q a minimax
fit (`coefficients`).  For f64, m is in
[sqrt(1/2), sqrt(2)) and with s = f / (2 + f), log(1 + f) = 2s + s R(s^2); the result is assembled as in FreeBSD's
e_log.c (f^2/2 kept apart), and R is a minimax fit (`coefficients`).
"""

from __future__ import annotations

from tenfold_rt import dtypes
from tenfoldc.loops.ir import Constant, Expr, Primitive
from tenfoldc.loops.math.definition import (
    INFINITY,
    NAN,
    bits_of,
    copysign,
    float_of,
    format_of,
    integer,
    is_zero,
    number,
    polynomial,
    scalar_function,
    shift_left,
    shift_right,
    square_root,
    through_f64,
    whole_to_float,
)
from tenfoldc.loops.math.exponential import LN2
from tenfoldc.loops.scalar import abs_, add, apply, bitcast, convert, div, fma, greater, less, mul, neg, select, sub

LOG_F32 = (
    0.3333321511745453,
    -0.2499980479478836,
    0.20010440051555634,
    -0.16680200397968292,
    0.1400546282529831,
    -0.12187831103801727,
    0.13985970616340637,
    -0.1287754625082016,
)
LOG_F64 = (
    0.6666666666666734,
    0.39999999999417063,
    0.285714287418884,
    0.22222198621891615,
    0.18183561907175197,
    0.15314109862262965,
    0.14795380005089787,
)
_LOWEST_MANTISSA_BITS = {dtypes.f32: 0x3F2AAAAB, dtypes.f64: 0x3FE6A09E667F3BCD}
_NEGLIGIBLE = {dtypes.f32: 2.0**-26, dtypes.f64: 2.0**-55}


def split_exponent(x: Expr) -> tuple[Expr, Expr, Expr]:
    """k as a float, k + bias as an integer, and m, with x = 2^k m, for a normal positive x."""
    form, low = format_of(x), _LOWEST_MANTISSA_BITS[x.dtype]
    bits = bits_of(x)
    biased = shift_right(add(bits, integer(form.one_bits - low, x)), form.mantissa)
    k = whole_to_float(biased, x, bias=form.bias)
    m = float_of(sub(bits, shift_left(sub(biased, integer(form.bias, x)), form.mantissa)), x)
    return k, biased, m


def normalised(x: Expr, unit: float = 1.0) -> tuple[Expr, Expr]:
    """A subnormal x scaled up to a normal one, and the exponent to take from the result's, in `unit`s; else x and 0."""
    form = format_of(x)
    places = form.mantissa + 1
    small = less(x, number(form.smallest_normal, x))
    scaled = select(small, mul(x, number(2.0**places, x)), x)
    return scaled, select(small, number(places / unit, x), number(0.0, x))


def _split_f32(x: Expr) -> tuple[Expr, Expr]:
    """2^23 k and m: `split_exponent` without shifts, as whole numbers of 32 bits are made floats by one instruction."""
    above = sub(bits_of(x), integer(_LOWEST_MANTISSA_BITS[x.dtype], x))
    exponent = apply(Primitive.AND, above, integer(0xFF800000, x))
    return convert(bitcast(exponent, dtypes.i32), x.dtype), float_of(sub(bits_of(x), exponent), x)


def _log_parts(f: Expr, k: Expr, unit: float = 1.0) -> Expr:
    """`unit` k ln 2 + log(1 + f)."""
    high, low = (unit * part for part in LN2[f.dtype])
    if f.dtype == dtypes.f32:
        y = fma(polynomial(f, (-0.5, *LOG_F32)), mul(f, f), fma(k, number(low, f), f))
        return fma(k, number(high, f), y)
    s = div(f, add(f, number(2.0, f)))
    z = mul(s, s)
    r = mul(polynomial(z, LOG_F64), z)
    half_square = mul(mul(f, f), number(0.5, f))
    tail = fma(s, add(half_square, r), mul(k, number(low, f)))
    return fma(k, number(high, f), neg(sub(sub(half_square, tail), f)))


def _with_limits(x: Expr, y: Expr) -> Expr:
    """`y`, the logarithm of `x`, put right where x is 0, negative, infinite or NaN."""
    y = select(negative(x), number(NAN, x), select(less(x, number(INFINITY, x)), y, x))
    return select(is_zero(x), number(-INFINITY, x), y)


@scalar_function("log")
def log(x: Expr) -> Expr:
    """The natural logarithm; -inf at 0 of either sign, NaN below."""
    unit = 2.0**-23 if x.dtype == dtypes.f32 else 1.0
    scaled, places = normalised(x, unit)
    if x.dtype == dtypes.f32:
        k, m = _split_f32(scaled)
    else:
        k, _, m = split_exponent(scaled)
    return _with_limits(x, _log_parts(sub(m, number(1.0, x)), sub(k, places), unit))


@scalar_function("log1p")
def log1p(x: Expr) -> Expr:
    """log(1 + x).  What rounding 1 + x drops is scaled like m and added to m - 1; for |x| < 1 nothing is lost."""
    form, one = format_of(x), number(1.0, x)
    u = add(x, one)
    x_is_larger = greater(abs_(x), one)
    dropped = select(x_is_larger, sub(one, sub(u, x)), sub(x, sub(u, one)))
    k, biased, m = split_exponent(u)
    furthest = Constant(form.bias + form.mantissa + 2, biased.dtype)
    exponent = select(less(furthest, biased), furthest, biased)
    scale = float_of(shift_left(sub(integer(2 * form.bias, x), exponent), form.mantissa), x)
    f = add(sub(m, one), mul(dropped, scale))
    y = _with_limits(u, _log_parts(f, k))
    return select(less(abs_(x), number(_NEGLIGIBLE[x.dtype], x)), x, y)


@scalar_function("asinh")
def asinh(x: Expr) -> Expr:
    """log(|x| + sqrt(x^2 + 1)) as log1p(a + a^2 / (1 + sqrt(a^2 + 1))); for large a, log a + ln 2."""
    if x.dtype == dtypes.f32:
        return through_f64(asinh, x)
    a, one = abs_(x), number(1.0, x)
    squared = mul(a, a)
    near = log1p(add(a, div(squared, add(one, square_root(add(squared, one))))))
    return copysign(select(greater(a, number(2.0**30, x)), _log_of_double(a), near), x)


@scalar_function("acosh")
def acosh(x: Expr) -> Expr:
    """log(x + sqrt(x^2 - 1)) as log1p(t + sqrt(2 t + t^2)), t = x - 1; for large x, log x + ln 2; NaN below 1."""
    if x.dtype == dtypes.f32:
        return through_f64(acosh, x)
    t = sub(x, number(1.0, x))
    near = log1p(add(t, square_root(fma(t, t, add(t, t)))))
    y = select(greater(x, number(2.0**30, x)), _log_of_double(x), near)
    return select(less(x, number(1.0, x)), number(NAN, x), y)


@scalar_function("atanh")
def atanh(x: Expr) -> Expr:
    """log1p(2 a / (1 - a)) / 2 with a = |x|; infinite at 1, NaN beyond."""
    if x.dtype == dtypes.f32:
        return through_f64(atanh, x)
    a = abs_(x)
    return copysign(mul(log1p(div(add(a, a), sub(number(1.0, x), a))), number(0.5, x)), x)


def _log_of_double(x: Expr) -> Expr:
    high, low = LN2[x.dtype]
    return add(add(log(x), number(low, x)), number(high, x))


def negative(x: Expr) -> Expr:
    """Whether the sign bit of `x` is set."""
    form = format_of(x)
    sign = apply(Primitive.AND, bits_of(x), integer(1 << (form.integer.bits - 1), x))
    return apply(Primitive.NE, sign, integer(0, x))
