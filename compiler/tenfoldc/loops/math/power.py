"""x^y and the cube root.

x^y = e^(y log |x|) with log |x| to more precision than the result has: for f32 in f64; for f64 as a sum of two
doubles, 2 s + 2/3 s^3 + s^5 Q(s^2) with s = (m - 1) / (m + 1), where s and its cube are sums of two doubles and Q, a
Chebyshev interpolation in 45 digits, is small enough not to need it.  Zeros, infinities, negative bases and NaN are
as in C's `pow`.

The cube root takes 2^q out of x = 2^(3 q) m, starts from a polynomial in m and takes two steps, Halley's and
Newton's.
"""

from __future__ import annotations

from tenfold_rt import dtypes
from tenfoldc.loops.ir import Expr, Primitive
from tenfoldc.loops.math.definition import (
    INFINITY,
    NAN,
    Double,
    bits_of,
    copysign,
    fast_two_sum,
    float_of,
    format_of,
    integer,
    is_either_nan,
    is_zero,
    number,
    polynomial,
    scalar_function,
    shift_left,
    shift_right,
    two_product,
)
from tenfoldc.loops.math.exponential import LN2, exp, exp_of_sum
from tenfoldc.loops.math.logarithm import log, negative, normalised, split_exponent
from tenfoldc.loops.scalar import (
    abs_,
    add,
    apply,
    convert,
    div,
    equal,
    fma,
    greater,
    less,
    logical_and,
    logical_or,
    mul,
    neg,
    product_error,
    select,
    sub,
)

_LOG_TAIL = (
    0.4,
    0.28571428571429425,
    0.2222222222162076,
    0.18181818343316125,
    0.1538459412012637,
    0.13334850282547114,
    0.11705021567538627,
    0.11735818855512968,
)
_TWO_THIRDS = (0.6666666666666666, 3.700743415417188e-17)
_CUBE_ROOT = (
    0.5092481335492415,
    0.7117423866025924,
    -0.2939541180848237,
    0.08307903547963541,
    -0.010102212336338642,
)
_CUBE_ROOTS = (1.2599210498948732, 1.5874010519681994)


def log_to_double(x: Expr) -> Double:
    """The logarithm of a positive finite f64 as a sum of two, right to about 2^-65 of itself."""
    scaled, places = normalised(x)
    exponent, _, m = split_exponent(scaled)
    k = sub(exponent, places)
    f, below = sub(m, number(1.0, x)), add(m, number(1.0, x))
    dropped = sub(f, sub(below, number(2.0, x)))
    s = div(f, below)
    s_low = div(fma(neg(s), dropped, neg(product_error(s, below, f))), below)
    square, square_low = two_product(s, s)
    square_low = fma(add(s, s), s_low, square_low)
    cube, cube_low = two_product(s, square)
    cube_low = fma(s, square_low, fma(s_low, square, cube_low))
    third, third_low = _TWO_THIRDS
    term, term_low = two_product(cube, number(third, x))
    term_low = fma(cube, number(third_low, x), fma(cube_low, number(third, x), term_low))
    tail = mul(mul(cube, square), polynomial(square, _LOG_TAIL))
    high, low = fast_two_sum(add(s, s), term)
    low = add(low, add(add(s_low, s_low), add(term_low, tail)))
    ln2, ln2_low = LN2[x.dtype]
    high, error = fast_two_sum(mul(k, number(ln2, x)), high)
    return fast_two_sum(high, add(low, fma(k, number(ln2_low, x), error)))


def _power_of_magnitude(x: Expr, y: Expr) -> Expr:
    """x^y for x >= 0, but for the cases where x or y is 0, 1 or infinite."""
    high, low = log_to_double(x)
    product, product_low = two_product(y, high)
    low = fma(y, low, product_low)
    inside = less(abs_(product), number(800.0, x))
    return exp_of_sum(product, select(inside, low, number(0.0, x)))


@scalar_function("pow")
def pow_(x: Expr, y: Expr) -> Expr:
    """x to the power y, as C's `pow`: x^0 and 1^y are 1 even for NaN; NaN where x < 0 and y is not whole."""
    magnitude = abs_(x)
    if x.dtype == dtypes.f32:
        wide_log = log(convert(magnitude, dtypes.f64))
        power = convert(exp(mul(convert(y, dtypes.f64), wide_log)), dtypes.f32)
    else:
        power = _power_of_magnitude(magnitude, y)
    return _with_special_cases(x, y, power)


def _with_special_cases(x: Expr, y: Expr, power: Expr) -> Expr:
    zero, one, infinity = number(0.0, x), number(1.0, x), number(INFINITY, x)
    magnitude = abs_(x)
    shrinks = apply(Primitive.XOR, greater(y, zero), greater(magnitude, one))
    limit = select(shrinks, zero, infinity)
    unbounded = logical_or(logical_or(is_zero(x), equal(magnitude, infinity)), equal(abs_(y), infinity))
    power = select(unbounded, limit, power)
    half = mul(y, number(0.5, x))
    whole = equal(apply(Primitive.TRUNC, y), y)
    odd = logical_and(whole, apply(Primitive.NE, apply(Primitive.TRUNC, half), half))
    fractional = logical_and(apply(Primitive.NOT, whole), less(magnitude, infinity))
    undefined = logical_and(less(x, zero), fractional)
    power = select(undefined, number(NAN, x), power)
    power = select(logical_and(negative(x), odd), neg(power), power)
    power = select(is_either_nan(x, y), number(NAN, x), power)
    unit = logical_and(equal(magnitude, one), equal(abs_(y), infinity))
    return select(logical_or(logical_or(equal(x, one), is_zero(y)), unit), one, power)


@scalar_function("cbrt")
def cbrt(x: Expr) -> Expr:
    """The cube root, with the sign of x; formed in f64 for both types."""
    wide = convert(abs_(x), dtypes.f64)
    small = less(wide, number(format_of(wide).smallest_normal, wide))
    scaled = select(small, mul(wide, number(2.0**54, wide)), wide)
    exponent = shift_right(bits_of(scaled), 52)
    third = shift_right(mul(exponent, integer(43691, wide)), 17)
    rest = sub(exponent, mul(third, integer(3, wide)))
    mantissa = sub(bits_of(scaled), shift_left(sub(exponent, integer(1023, wide)), 52))
    m = float_of(mantissa, wide)
    one_more, two_more = equal(rest, integer(1, wide)), equal(rest, integer(2, wide))
    start = polynomial(m, _CUBE_ROOT)
    root, next_root = _CUBE_ROOTS
    factor = select(two_more, number(next_root, wide), select(one_more, number(root, wide), number(1.0, wide)))
    target = mul(m, select(two_more, number(4.0, wide), select(one_more, number(2.0, wide), number(1.0, wide))))
    y = _refined_cube_root(mul(start, factor), target, steps=1 if x.dtype == dtypes.f32 else 2)
    y = mul(y, float_of(shift_left(add(third, integer(1023 - 341, wide)), 52), wide))
    y = select(small, mul(y, number(2.0**-18, wide)), y)
    special = logical_or(is_zero(wide), apply(Primitive.NOT, less(wide, number(INFINITY, wide))))
    return copysign(convert(select(special, wide, y), x.dtype), x)


def _refined_cube_root(y: Expr, target: Expr, steps: int) -> Expr:
    """`y` after Halley's step and, where asked for, Newton's, which rounds the result right to within an ulp."""
    cube = mul(mul(y, y), y)
    y = mul(y, div(fma(target, number(2.0, y), cube), fma(cube, number(2.0, y), target)))
    if steps == 2:
        square = mul(y, y)
        y = sub(y, div(fma(square, y, neg(target)), mul(square, number(3.0, y))))
    return y
