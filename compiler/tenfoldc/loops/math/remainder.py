"""The remainder of a division truncated toward zero, exact for all floats: C's `fmod`.

With x = X 2^i and y = Y 2^j for whole X and Y, the remainder is (X 2^(i-j) mod Y) 2^j.  The power of two is raised
modulo Y by squaring, in f64 for both types: residues are kept between -Y/2 and Y/2, and a product's residue is its
difference from the nearest multiple of Y, both formed without rounding.
"""

from __future__ import annotations

from tenfold_rt import dtypes
from tenfoldc.loops.ir import Expr, Primitive
from tenfoldc.loops.math.definition import (
    INFINITY,
    NAN,
    bits_of,
    copysign,
    float_of,
    format_of,
    integer,
    is_either_nan,
    is_zero,
    number,
    round_with_bits,
    scalar_function,
    shift_left,
    shift_right,
)
from tenfoldc.loops.scalar import abs_, add, apply, convert, div, equal, greater, less, logical_or, mul, select, sub

_MANTISSA_MASK = 2**52 - 1
_COARSE_MASK = 0xFFFFFFFFF8000000
_SUBNORMAL_SCALE = 54


class _Modulus:
    """A whole number Y below 2^(width + 1) in f64, and products modulo it."""

    def __init__(self, value: Expr, width: int) -> None:
        self.value = value
        self.half = mul(value, number(0.5, value))
        self.inverse = div(number(1.0, value), value)
        self.wide = width > 25
        self.pieces = _pieces(value)

    def centred(self, x: Expr) -> Expr:
        """The residue of `x` between -Y/2 and Y/2, for |x| <= 3/2 Y."""
        x = select(greater(x, self.half), sub(x, self.value), x)
        return select(less(x, apply(Primitive.NEG, self.half)), add(x, self.value), x)

    def product(self, x: Expr, y: Expr) -> Expr:
        """The residue of x * y for residues x and y."""
        high = mul(x, y)
        quotient, _ = round_with_bits(mul(high, self.inverse))
        multiple = mul(quotient, self.value)
        difference = sub(high, multiple)
        if self.wide:
            low = _product_error(high, _pieces(x), _pieces(y))
            difference = add(difference, sub(low, _product_error(multiple, _pieces(quotient), self.pieces)))
        return self.centred(difference)


def _pieces(x: Expr) -> tuple[Expr, Expr]:
    """`x` as a sum of two numbers of at most 27 bits."""
    coarse = float_of(apply(Primitive.AND, bits_of(x), integer(_COARSE_MASK, x)), x)
    return coarse, sub(x, coarse)


def _product_error(product: Expr, x: tuple[Expr, Expr], y: tuple[Expr, Expr]) -> Expr:
    """What rounding left out of the product of x and y (Dekker); needs no fused primitive."""
    error = sub(mul(x[0], y[0]), product)
    return add(add(add(error, mul(x[0], y[1])), mul(x[1], y[0])), mul(x[1], y[1]))


def _taken_apart(x: Expr, width: int) -> tuple[Expr, Expr, Expr]:
    """The biased exponent, the whole mantissa below 2^(width + 1), and whether 2^54 was multiplied in first."""
    small = less(x, number(format_of(x).smallest_normal, x))
    scaled = select(small, mul(x, number(2.0**_SUBNORMAL_SCALE, x)), x)
    fraction = apply(Primitive.AND, bits_of(scaled), integer(_MANTISSA_MASK, x))
    mantissa = float_of(apply(Primitive.OR, fraction, integer(format_of(x).one_bits, x)), x)
    return shift_right(bits_of(scaled), 52), mul(mantissa, number(2.0**width, x)), small


def _magnitude(a: Expr, b: Expr, width: int, squarings: int) -> Expr:
    """The remainder of positive finite f64 numbers with mantissas of `width` + 1 bits, for a >= b."""
    a_exponent, a_mantissa, a_small = _taken_apart(a, width)
    b_exponent, b_mantissa, b_small = _taken_apart(b, width)
    scale, none = integer(_SUBNORMAL_SCALE, a), integer(0, a)
    distance = sub(a_exponent, b_exponent)
    distance = sub(add(distance, select(b_small, scale, none)), select(a_small, scale, none))
    modulus = _Modulus(b_mantissa, width)
    power = modulus.centred(float_of(shift_left(add(shift_right(distance, squarings), integer(1023, a)), 52), a))
    for place in reversed(range(squarings)):
        power = modulus.product(power, power)
        bit = apply(Primitive.AND, distance, integer(1 << place, a))
        doubled = select(apply(Primitive.NE, bit, none), power, number(0.0, a))
        power = modulus.centred(add(power, doubled))
    residue = modulus.product(power, modulus.centred(sub(a_mantissa, b_mantissa)))
    residue = select(less(residue, number(0.0, a)), add(residue, b_mantissa), residue)
    exponent = float_of(shift_left(b_exponent, 52), a)
    result = mul(mul(residue, number(2.0**-width, a)), exponent)
    return select(b_small, mul(result, number(2.0**-_SUBNORMAL_SCALE, a)), result)


@scalar_function("fmod")
def fmod(x: Expr, y: Expr) -> Expr:
    """x less the multiple of y next to it toward zero, with the sign of x; NaN for infinite x or zero y."""
    a, b = convert(abs_(x), dtypes.f64), convert(abs_(y), dtypes.f64)
    width, squarings = (23, 4) if x.dtype == dtypes.f32 else (52, 6)
    remainder = select(less(a, b), a, _magnitude(a, b, width, squarings))
    result = copysign(convert(remainder, x.dtype), x)
    undefined = logical_or(is_zero(y), equal(abs_(x), number(INFINITY, x)))
    return select(logical_or(undefined, is_either_nan(x, y)), number(NAN, x), result)
