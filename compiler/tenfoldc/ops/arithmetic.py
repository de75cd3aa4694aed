"""Elementwise arithmetic on numbers and bools: sums, products, quotients, extrema, powers.

Integers wrap.  Of bools, a sum or a maximum is `or`, a product or a minimum `and`.  Integer division never
traps: x / 0 is -1 (all bits set), x % 0 is x, and the smallest integer divided by -1 is itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tenfold_rt.dtypes import DType
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import Attributes
from tenfoldc.ir.op import Array, Site
from tenfoldc.loops import math, scalar
from tenfoldc.loops.ir import Apply, Constant, Expr, Primitive
from tenfoldc.ops.elementwise import ALL_COMPILED, FLOATS, NUMBERS, SIGNED, binary, sum_of, unary


def _is_integer(x: Array) -> bool:
    return np.issubdtype(x.dtype, np.integer)


ADD = binary(
    "add",
    np.add,
    lambda x, y: scalar.logical_or(x, y) if x.dtype.is_bool else scalar.add(x, y),
    ALL_COMPILED,
)
SUBTRACT = binary("subtract", np.subtract, scalar.sub, NUMBERS)
MULTIPLY = binary(
    "multiply",
    np.multiply,
    lambda x, y: scalar.logical_and(x, y) if x.dtype.is_bool else scalar.mul(x, y),
    ALL_COMPILED,
)
NEGATE = unary("negate", np.negative, scalar.neg, NUMBERS)
SQUARE = unary("chlo.square", np.square, lambda x: scalar.mul(x, x), NUMBERS)


def add(x: Var, y: Var) -> Var:
    """x + y; `or` of bools."""
    return ADD.apply_one(x, y)


def subtract(x: Var, y: Var) -> Var:
    """x - y."""
    return SUBTRACT.apply_one(x, y)


def multiply(x: Var, y: Var) -> Var:
    """x * y; `and` of bools."""
    return MULTIPLY.apply_one(x, y)


def negate(x: Var) -> Var:
    """-x; of an unsigned integer, what wraps to it."""
    return NEGATE.apply_one(x)


def square(x: Var) -> Var:
    """x * x."""
    return SQUARE.apply_one(x)


def reciprocal(x: Var) -> Var:
    """1 / x."""
    return divide(ops.ones_like(x), x)


@ADD.jvp
def _(site: Site[Attributes], tangents: Sequence[Var | None]) -> Sequence[Var | None]:
    return (sum_of([tangent for tangent in tangents if tangent is not None]),)


@ADD.vjp
def _(site: Site[Attributes], cotangents: Sequence[Var | None]) -> Sequence[Var | None]:
    return (cotangents[0], cotangents[0])


@SUBTRACT.jvp
def _(site: Site[Attributes], tangents: Sequence[Var | None]) -> Sequence[Var | None]:
    positive, negative = tangents
    if negative is None:
        return (positive,)
    return (negate(negative) if positive is None else subtract(positive, negative),)


@SUBTRACT.vjp
def _(site: Site[Attributes], cotangents: Sequence[Var | None]) -> Sequence[Var | None]:
    (cotangent,) = cotangents
    return (cotangent, None if cotangent is None else negate(cotangent))


@MULTIPLY.singular_partials
def _(x: Var, y: Var, out: Var) -> Sequence[Var | None]:
    return (y, x)


@NEGATE.jvp
@NEGATE.vjp
def _(site: Site[Attributes], given: Sequence[Var | None]) -> Sequence[Var | None]:
    return tuple(None if value is None else negate(value) for value in given)


@SQUARE.singular_partials
def _(x: Var, out: Var) -> Sequence[Var | None]:
    return (add(x, x),)


def _divide_scalar(x: Expr, y: Expr) -> Expr:
    if x.dtype.is_float:
        return scalar.div(x, y)
    zero, one = Constant(0, x.dtype), Constant(1, x.dtype)
    by_zero = scalar.equal(y, zero)
    if x.dtype.is_unsigned:
        quotient = scalar.div(x, scalar.select(by_zero, one, y))
        return scalar.select(by_zero, Constant(2**x.dtype.bits - 1, x.dtype), quotient)
    minus_one = Constant(-1, x.dtype)
    by_minus_one = scalar.equal(y, minus_one)
    divisor = scalar.select(scalar.logical_or(by_zero, by_minus_one), one, y)
    quotient = scalar.select(by_minus_one, scalar.neg(x), scalar.div(x, divisor))
    return scalar.select(by_zero, minus_one, quotient)


def _remainder_scalar(x: Expr, y: Expr) -> Expr:
    if x.dtype.is_float:
        return math.fmod(x, y)
    by_zero = scalar.equal(y, Constant(0, x.dtype))
    unsafe = by_zero
    if x.dtype.is_signed:
        unsafe = scalar.logical_or(by_zero, scalar.equal(y, Constant(-1, x.dtype)))
    divisor = scalar.select(unsafe, Constant(1, x.dtype), y)
    return scalar.select(by_zero, x, scalar.rem(x, divisor))


def _divide_reference(x: Array, y: Array) -> Array:
    if not _is_integer(x):
        return np.divide(x, y)
    quotient = _truncating_quotient(x, np.where(y == 0, np.ones_like(y), y))
    return np.where(y == 0, np.invert(np.zeros_like(x)), quotient)


def _remainder_reference(x: Array, y: Array) -> Array:
    if not _is_integer(x):
        return np.fmod(x, y)
    return np.where(y == 0, x, np.fmod(x, np.where(y == 0, np.ones_like(y), y)))


def _truncating_quotient(x: Array, y: Array) -> Array:
    floored = np.floor_divide(x, y)
    inexact = np.multiply(floored, y) != x
    return floored + (inexact & ((x < 0) != (y < 0))).astype(x.dtype)


DIVIDE = binary("divide", _divide_reference, _divide_scalar, NUMBERS, domain=((-2.0, 2.0), (0.5, 2.0)))
REMAINDER = binary("remainder", _remainder_reference, _remainder_scalar, NUMBERS, domain=((0.1, 0.9), (1.0, 2.0)))


def divide(x: Var, y: Var) -> Var:
    """x / y; of integers, truncated toward zero."""
    return DIVIDE.apply_one(x, y)


def remainder(x: Var, y: Var) -> Var:
    """What is left of x after division truncated toward zero, with the sign of x (C's `fmod`)."""
    return REMAINDER.apply_one(x, y)


DIVIDE.singular = True


@DIVIDE.jvp
def _(site: Site[Attributes], tangents: Sequence[Var | None]) -> Sequence[Var | None]:
    numerator, denominator = tangents
    terms = [] if numerator is None else [divide(numerator, site.operands[1])]
    if denominator is not None:
        terms.append(negate(multiply(divide(denominator, site.operands[1]), site.result)))
    return (sum_of(terms),)


@DIVIDE.vjp
def _(site: Site[Attributes], cotangents: Sequence[Var | None]) -> Sequence[Var | None]:
    (cotangent,) = cotangents
    if cotangent is None:
        return (None, None)
    numerator = divide(cotangent, site.operands[1])
    return (numerator, negate(multiply(numerator, site.result)))


@REMAINDER.partials
def _(x: Var, y: Var, out: Var) -> Sequence[Var | None]:
    quotient = divide(x, y)
    return (ops.ones_like(x), negate(multiply(sign(quotient), ops.floor(abs_(quotient)))))


def _sign_scalar(x: Expr) -> Expr:
    one = Constant(1, x.dtype)
    if x.dtype.is_float:
        nonzero = scalar.greater(scalar.abs_(x), Constant(0, x.dtype))
        return scalar.select(nonzero, scalar.apply(Primitive.COPYSIGN, one, x), x)
    zero = Constant(0, x.dtype)
    negative = scalar.select(scalar.less(x, zero), Constant(-1, x.dtype), zero)
    return scalar.select(scalar.greater(x, zero), one, negative)


ABS = unary("abs", np.abs, scalar.abs_, SIGNED + FLOATS, domain=(0.1, 2.0))
SIGN = unary("sign", lambda x: np.where(x == 0, x, np.sign(x)), _sign_scalar, SIGNED + FLOATS, domain=(0.1, 2.0))


def abs_(x: Var) -> Var:
    """Magnitude; the smallest integer is its own.  The derivative at 0 is taken to be 0."""
    return ABS.apply_one(x)


def sign(x: Var) -> Var:
    """-1, 0 or 1; -0 and NaN give themselves."""
    return SIGN.apply_one(x)


@ABS.partials
def _(x: Var, out: Var) -> Sequence[Var | None]:
    return (sign(x),)


@SIGN.partials
def _(x: Var, out: Var) -> Sequence[Var | None]:
    return (None,)


def maximum_array(x: Array, y: Array) -> Array:
    """The larger element; NaN if either is, and +0 above -0."""
    if x.dtype.kind != "f":
        return np.maximum(x, y)
    return np.where((x == 0) & (y == 0), x + y, np.maximum(x, y))


def minimum_array(x: Array, y: Array) -> Array:
    """The smaller element; NaN if either is, and -0 below +0."""
    if x.dtype.kind != "f":
        return np.minimum(x, y)
    return np.where((x == 0) & (y == 0), -(-x - y), np.minimum(x, y))


MAXIMUM = binary(
    "maximum",
    maximum_array,
    lambda x, y: scalar.logical_or(x, y) if x.dtype.is_bool else scalar.maximum(x, y),
    ALL_COMPILED,
    domain=((-2.0, -0.1), (0.1, 2.0)),
)
MINIMUM = binary(
    "minimum",
    minimum_array,
    lambda x, y: scalar.logical_and(x, y) if x.dtype.is_bool else scalar.minimum(x, y),
    ALL_COMPILED,
    domain=((-2.0, -0.1), (0.1, 2.0)),
)


def maximum(x: Var, y: Var) -> Var:
    """The larger; NaN if either is.  The derivative is split evenly where both are equal."""
    return MAXIMUM.apply_one(x, y)


def minimum(x: Var, y: Var) -> Var:
    """The smaller; NaN if either is.  The derivative is split evenly where both are equal."""
    return MINIMUM.apply_one(x, y)


@MAXIMUM.partials
def _(x: Var, y: Var, out: Var) -> Sequence[Var | None]:
    return (_share(x, y, ops.Direction.LT), _share(y, x, ops.Direction.LT))


@MINIMUM.partials
def _(x: Var, y: Var, out: Var) -> Sequence[Var | None]:
    return (_share(x, y, ops.Direction.GT), _share(y, x, ops.Direction.GT))


def _share(x: Var, y: Var, loses: ops.Direction) -> Var:
    """The part of an extremum that is `x`: 0 where it loses to `y`, a half where both are equal, else 1."""
    tie = ops.select(ops.compare(x, y, ops.Direction.EQ), ops.full_like(x, 0.5), ops.ones_like(x))
    return ops.select(ops.compare(x, y, loses), ops.zeros_like(x), tie)


def _power_scalar(x: Expr, y: Expr) -> Expr:
    return math.pow_(x, y) if x.dtype.is_float else _integer_power(x, y)


def _integer_power(x: Expr, y: Expr) -> Expr:
    """Square and multiply over every bit of the exponent: straight-line code, which vectorises.

    A negative exponent leaves only bases of magnitude 1, where its parity decides and its bits may be read as
    those of an unsigned number; other bases give 0.
    """
    zero, one = Constant(0, x.dtype), Constant(1, x.dtype)
    result: Expr = one
    square_: Expr = x
    for bit in range(x.dtype.bits):
        mask = _pattern(1 << bit, x.dtype)
        taken = Apply(Primitive.NE, (scalar.logical_and(y, mask), zero), scalar.equal(x, x).dtype)
        factor = scalar.select(taken, square_, one)
        result = factor if bit == 0 else scalar.mul(result, factor)
        square_ = scalar.mul(square_, square_)
    if x.dtype.is_unsigned:
        return result
    vanishes = scalar.logical_and(scalar.less(y, zero), _is_not_unit(x))
    return scalar.select(vanishes, zero, result)


def _is_not_unit(x: Expr) -> Expr:
    is_unit = scalar.logical_or(scalar.equal(x, Constant(1, x.dtype)), scalar.equal(x, Constant(-1, x.dtype)))
    return scalar.apply(Primitive.NOT, is_unit)


def _pattern(bits: int, dtype: DType) -> Constant:
    """The integer of `dtype` with this bit pattern."""
    wraps = dtype.is_signed and bits >> (dtype.bits - 1)
    return Constant(bits - (1 << dtype.bits) if wraps else bits, dtype)


def _power_reference(x: Array, y: Array) -> Array:
    if not _is_integer(x):
        return np.power(x, y)
    result, square_, exponent = np.ones_like(x), x, y.astype(np.uint64)
    for bit in range(8 * x.dtype.itemsize):
        taken = (exponent >> np.uint64(bit)) & np.uint64(1) != 0
        result = np.where(taken, result * square_, result)
        square_ = square_ * square_
    return np.where((y < 0) & (x != 1) & (x + 1 != 0), np.zeros_like(x), result)


POWER = binary("power", _power_reference, _power_scalar, NUMBERS, domain=((0.5, 2.0), (-2.0, 2.0)))


def power(x: Var, y: Var) -> Var:
    """x to the power y; of integers, wrapping, and 0 for a negative y unless x is 1 or -1."""
    return POWER.apply_one(x, y)


@POWER.singular_partials
def _(x: Var, y: Var, out: Var) -> Sequence[Var | None]:
    zero = ops.zeros_like(x)
    constant = ops.compare(y, zero, ops.Direction.EQ)
    by_base = multiply(y, power(x, subtract(y, ops.ones_like(y))))
    rooted = ops.compare(x, zero, ops.Direction.EQ)
    flat = ops.and_(rooted, ops.compare(y, zero, ops.Direction.GE))
    by_exponent = multiply(out, ops.log(ops.select(flat, ops.ones_like(x), x)))
    return (ops.select(constant, zero, by_base), ops.select(flat, zero, by_exponent))
