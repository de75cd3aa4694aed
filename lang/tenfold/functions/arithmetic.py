"""Arithmetic, comparison and logic on tensors that broadcast, with PyTorch's type promotion.

Every function takes tensors, arrays and Python numbers in any mixture; shapes broadcast as NumPy's do, and
`ShapeError` says where they do not.  See `tenfold.promotion` for the element types of results.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tenfold.eager import tensor_function
from tenfold.functions.axes import broadcast
from tenfold.functions.precision import rounded_once
from tenfold.promotion import as_dtype, convert, promoted, promoted_floating, result_type
from tenfold.tracing import Scalar, TensorLike, here, is_scalar, lift, wrap
from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError, DTypeError
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops import Direction

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

__all__ = [
    "add",
    "arctan2",
    "atan2",
    "bitwise_and",
    "bitwise_left_shift",
    "bitwise_not",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "clamp",
    "clamp_max",
    "clamp_min",
    "clip",
    "div",
    "divide",
    "eq",
    "floor_divide",
    "fmod",
    "ge",
    "greater",
    "greater_equal",
    "gt",
    "isclose",
    "le",
    "left_shift",
    "less",
    "less_equal",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "lt",
    "maximum",
    "minimum",
    "mul",
    "multiply",
    "ne",
    "neg",
    "negative",
    "not_equal",
    "pow",
    "reciprocal",
    "remainder",
    "right_shift",
    "square",
    "stop_gradient",
    "sub",
    "subtract",
    "true_divide",
]


def _binary(name: str, op: Callable[[Var, Var], Var], x: TensorLike, y: TensorLike) -> Tensor:
    return wrap(op(*broadcast(name, *promoted(x, y))))


def _floating(name: str, op: Callable[[Var, Var], Var], x: TensorLike, y: TensorLike) -> Tensor:
    return wrap(op(*broadcast(name, *promoted_floating(x, y))))


@tensor_function
def add(input: TensorLike, other: TensorLike, *, alpha: Scalar = 1) -> Tensor:
    """The sum with `alpha` times `other`, element by element; of two bools, their `or`."""
    return _binary("add", ops.add, input, scaled("add", other, alpha, input))


@tensor_function
def sub(input: TensorLike, other: TensorLike, *, alpha: Scalar = 1) -> Tensor:
    """The difference with `alpha` times `other`, element by element; `DTypeError` where one is of bools."""
    if result_type(input).is_bool or result_type(other).is_bool:
        raise DTypeError("subtract: takes no bools", where=here(), mend="use logical_xor or ~")
    return _binary("subtract", ops.subtract, input, scaled("subtract", other, alpha, input))


def scaled(name: str, x: TensorLike, factor: Scalar, *others: TensorLike) -> TensorLike:
    """`x` times `factor` in the element type it shares with `others`; `DTypeError` for a fraction of integers."""
    if factor == 1:
        return x
    dtype = result_type(x, *others)
    if isinstance(factor, float) and not dtype.is_float:
        raise DTypeError(f"{name}: a factor of {factor} for operands of {dtype}", where=here(), mend="use an integer")
    (value,) = as_dtype((x,), dtype)
    return wrap(ops.multiply(value, lift(factor, dtype) if not value.rank else ops.full_like(value, factor)))


@tensor_function
def mul(input: TensorLike, other: TensorLike) -> Tensor:
    """The product, element by element; of two bools, their `and`."""
    return _binary("multiply", ops.multiply, input, other)


@tensor_function
def div(input: TensorLike, other: TensorLike, *, rounding_mode: str | None = None) -> Tensor:
    """The quotient, element by element; of integers as f32.

    With `rounding_mode="floor"` it is `floor_divide`, with `"trunc"` it is rounded toward 0; both keep integers.
    """
    if rounding_mode is None:
        return _floating("divide", ops.divide, input, other)
    if rounding_mode == "floor":
        return floor_divide(input, other)
    if rounding_mode != "trunc":
        raise ArgumentError(
            f"divide: there is no rounding mode {rounding_mode!r}", where=here(), mend="use floor or trunc"
        )
    a, b = broadcast("divide", *promoted(input, other))
    quotient = ops.divide(a, b)
    return wrap(truncated(quotient) if a.dtype.is_float else quotient)


def truncated(x: Var) -> Var:
    """Floats rounded toward 0."""
    return ops.select(ops.compare(x, ops.zeros_like(x), Direction.LT), ops.ceil(x), ops.floor(x))


@tensor_function
@rounded_once(2)
def floor_divide(input: TensorLike, other: TensorLike) -> Tensor:
    """The quotient rounded toward minus infinity, as Python's `//`; an integer divided by 0 does not trap."""
    a, b = broadcast("floor_divide", *promoted(input, other))
    if a.dtype.is_float:
        return wrap(_floor_divided(a, b))
    quotient = ops.divide(a, b)
    if not a.dtype.is_signed:
        return wrap(quotient)
    return wrap(ops.select(_signs_differ(ops.remainder(a, b), b), ops.subtract(quotient, ops.ones_like(a)), quotient))


def _floor_divided(a: Var, b: Var) -> Var:
    """The floor of the exact quotient of floats: that of the rounded one is 10 for 1 and 0.1, which is above 0.1."""
    rest = ops.remainder(a, b)
    whole = ops.round_nearest_even(ops.divide(ops.subtract(a, rest), b))
    floored = ops.select(_signs_differ(rest, b), ops.subtract(whole, ops.ones_like(a)), whole)
    infinite = ops.floor(ops.divide(a, b))
    return ops.select(ops.compare(b, ops.zeros_like(b), Direction.EQ), infinite, floored)


@tensor_function
@rounded_once(2)
def remainder(input: TensorLike, other: TensorLike) -> Tensor:
    """The remainder with the sign of the divisor, as Python's `%`."""
    a, b = broadcast("remainder", *promoted(input, other))
    rest = ops.remainder(a, b)
    if a.dtype.is_unsigned or a.dtype.is_bool:
        return wrap(rest)
    return wrap(ops.select(_signs_differ(rest, b), ops.add(rest, b), rest))


@tensor_function
def fmod(input: TensorLike, other: TensorLike) -> Tensor:
    """The remainder with the sign of the dividend, as C's `fmod`."""
    return _binary("fmod", ops.remainder, input, other)


def _signs_differ(rest: Var, divisor: Var) -> Var:
    """Whether a truncated division is one above the floored one."""
    zero = ops.zeros_like(rest)
    negative = ops.compare(rest, zero, Direction.LT), ops.compare(divisor, zero, Direction.LT)
    return ops.and_(ops.compare(rest, zero, Direction.NE), ops.xor(*negative))


@tensor_function
@rounded_once(2)
def pow(input: TensorLike, exponent: TensorLike) -> Tensor:  # noqa: A001 - PyTorch's name
    """`input` to the power of `exponent`.  A Python number as exponent is taken apart where that is exact."""
    if is_scalar(exponent):
        assert isinstance(exponent, (bool, int, float))
        simple = _simple_power(as_dtype((input,), result_type(input, exponent))[0], exponent)
        if simple is not None:
            return wrap(simple)
    return _binary("pow", ops.power, input, exponent)


def _simple_power(x: Var, exponent: Scalar) -> Var | None:
    """`x ** exponent` without a power function, for the exponents that people write."""
    if x.dtype.is_bool:
        return None
    if not x.dtype.is_float and exponent < 0:
        raise ArgumentError(
            "pow: an integer to a negative power", where=here(), mend="convert the base to a float first"
        )
    if exponent == 0:
        return ops.ones_like(x)
    if exponent in (1, 2, 3, 4):
        squared = ops.multiply(x, x) if exponent > 1 else x
        return {1: lambda: x, 2: lambda: squared, 3: lambda: ops.multiply(squared, x)}.get(
            int(exponent), lambda: ops.multiply(squared, squared)
        )()
    if exponent == 0.5:
        return ops.sqrt(x)
    if exponent in (-0.5, -1, -2):
        denominator = ops.multiply(x, x) if exponent == -2 else x
        return ops.rsqrt(x) if exponent == -0.5 else ops.divide(ops.ones_like(x), denominator)
    return None


@tensor_function
def atan2(input: TensorLike, other: TensorLike) -> Tensor:
    """The angle in radians of the point (x, y), in (-pi, pi]."""
    return _floating("atan2", ops.atan2, input, other)


@tensor_function
def maximum(input: TensorLike, other: TensorLike) -> Tensor:
    """The larger, element by element; NaN where either is."""
    return _binary("maximum", ops.maximum, input, other)


@tensor_function
def minimum(input: TensorLike, other: TensorLike) -> Tensor:
    """The smaller, element by element; NaN where either is."""
    return _binary("minimum", ops.minimum, input, other)


@tensor_function
def clamp(
    input: TensorLike,
    min: TensorLike | None = None,  # noqa: A002 - PyTorch's name
    max: TensorLike | None = None,  # noqa: A002
) -> Tensor:
    """`input` no smaller than `min` and no larger than `max`; NaN stays.  `ArgumentError` where neither is given."""
    if min is None and max is None:
        raise ArgumentError("clamp: neither min nor max is given", where=here())
    bounds = [bound for bound in (min, max) if bound is not None]
    dtype = result_type(input, *bounds)
    (value,) = as_dtype((input,), dtype)
    if min is not None and max is not None and is_scalar(min) and is_scalar(max):
        return wrap(ops.clamp(lift(min, dtype), value, lift(max, dtype)))
    if min is not None:
        value = ops.maximum(*broadcast("clamp", value, *as_dtype((min,), dtype)))
    if max is not None:
        value = ops.minimum(*broadcast("clamp", value, *as_dtype((max,), dtype)))
    return wrap(value)


@tensor_function
def clip(
    input: TensorLike,
    min: TensorLike | None = None,  # noqa: A002 - NumPy's name
    max: TensorLike | None = None,  # noqa: A002
) -> Tensor:
    """`clamp` by NumPy's name."""
    return clamp(input, min, max)


@tensor_function
def clamp_min(input: TensorLike, min: TensorLike) -> Tensor:  # noqa: A002 - PyTorch's name
    """`clamp` from below alone."""
    return clamp(input, min)


@tensor_function
def clamp_max(input: TensorLike, max: TensorLike) -> Tensor:  # noqa: A002 - PyTorch's name
    """`clamp` from above alone."""
    return clamp(input, max=max)


@tensor_function
def where(condition: TensorLike, input: TensorLike, other: TensorLike) -> Tensor:
    """`input` where `condition` is true (or not 0), else `other`; all three broadcast."""
    a, b = promoted(input, other)
    return wrap(ops.select(*broadcast("where", truth(lift(condition)), a, b)))


def truth(x: Var) -> Var:
    """`x` as bools: whether each element is not 0."""
    return x if x.dtype.is_bool else ops.compare(x, ops.zeros_like(x), Direction.NE)


def _compare(name: str, direction: Direction, x: TensorLike, y: TensorLike) -> Tensor:
    return _binary(name, lambda a, b: ops.compare(a, b, direction), x, y)


@tensor_function
def eq(input: TensorLike, other: TensorLike) -> Tensor:
    """Whether elements are equal; NaN equals nothing.  Bool."""
    return _compare("equal", Direction.EQ, input, other)


@tensor_function
def ne(input: TensorLike, other: TensorLike) -> Tensor:
    """Whether elements differ; NaN differs from all.  Bool."""
    return _compare("not_equal", Direction.NE, input, other)


@tensor_function
def lt(input: TensorLike, other: TensorLike) -> Tensor:
    """Whether x < y, element by element.  Bool."""
    return _compare("less", Direction.LT, input, other)


@tensor_function
def le(input: TensorLike, other: TensorLike) -> Tensor:
    """Whether x <= y, element by element.  Bool."""
    return _compare("less_equal", Direction.LE, input, other)


@tensor_function
def gt(input: TensorLike, other: TensorLike) -> Tensor:
    """Whether x > y, element by element.  Bool."""
    return _compare("greater", Direction.GT, input, other)


@tensor_function
def ge(input: TensorLike, other: TensorLike) -> Tensor:
    """Whether x >= y, element by element.  Bool."""
    return _compare("greater_equal", Direction.GE, input, other)


def _logical(name: str, op: Callable[[Var, Var], Var], x: TensorLike, y: TensorLike) -> Tensor:
    return wrap(op(*broadcast(name, truth(lift(x)), truth(lift(y)))))


@tensor_function
def logical_and(input: TensorLike, other: TensorLike) -> Tensor:
    """Whether both elements are true (not 0).  Bool."""
    return _logical("logical_and", ops.and_, input, other)


@tensor_function
def logical_or(input: TensorLike, other: TensorLike) -> Tensor:
    """Whether an element of the two is true (not 0).  Bool."""
    return _logical("logical_or", ops.or_, input, other)


@tensor_function
def logical_xor(input: TensorLike, other: TensorLike) -> Tensor:
    """Whether exactly one element of the two is true (not 0).  Bool."""
    return _logical("logical_xor", ops.xor, input, other)


@tensor_function
def logical_not(input: TensorLike) -> Tensor:
    """Whether each element is false (0).  Bool."""
    return wrap(ops.not_(truth(lift(input))))


def _bitwise(name: str, op: Callable[[Var, Var], Var], x: TensorLike, y: TensorLike) -> Tensor:
    if result_type(x, y).is_float:
        raise DTypeError(f"{name}: takes integers and bools, not {result_type(x, y)}", where=here())
    return _binary(name, op, x, y)


@tensor_function
def bitwise_and(input: TensorLike, other: TensorLike) -> Tensor:
    """The bits set in both; `DTypeError` for floats."""
    return _bitwise("bitwise_and", ops.and_, input, other)


@tensor_function
def bitwise_or(input: TensorLike, other: TensorLike) -> Tensor:
    """The bits set in either; `DTypeError` for floats."""
    return _bitwise("bitwise_or", ops.or_, input, other)


@tensor_function
def bitwise_xor(input: TensorLike, other: TensorLike) -> Tensor:
    """The bits set in exactly one; `DTypeError` for floats."""
    return _bitwise("bitwise_xor", ops.xor, input, other)


@tensor_function
def bitwise_not(input: TensorLike) -> Tensor:
    """All bits flipped; of bools, `not`.  `DTypeError` for floats."""
    return wrap(ops.not_(lift(input)))


@tensor_function
def bitwise_left_shift(input: TensorLike, other: TensorLike) -> Tensor:
    """`input` times 2 to the power `other`, within its bits; 0 where `other` is at least the width."""
    return _bitwise("left_shift", ops.shift_left, input, other)


@tensor_function
def bitwise_right_shift(input: TensorLike, other: TensorLike) -> Tensor:
    """`input` shifted right by `other` bits: signed integers keep their sign, unsigned get zeros."""

    def shift(a: Var, b: Var) -> Var:
        return ops.shift_right_arithmetic(a, b) if a.dtype.is_signed else ops.shift_right_logical(a, b)

    return _bitwise("right_shift", shift, input, other)


@tensor_function
def neg(input: TensorLike) -> Tensor:
    """Each element's negative; `DTypeError` for bools."""
    return wrap(ops.negate(lift(input)))


@tensor_function
def square(input: TensorLike) -> Tensor:
    """Each element times itself; of bools in i64."""
    value = lift(input)
    value = convert(value, dtypes.i64) if value.dtype.is_bool else value
    return wrap(ops.multiply(value, value))


@tensor_function
def reciprocal(input: TensorLike) -> Tensor:
    """1 divided by each element; of integers as f32."""
    (value,) = promoted_floating(input)
    return wrap(ops.divide(ops.ones_like(value), value))


@tensor_function
@rounded_once(2)
def isclose(
    input: TensorLike, other: TensorLike, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """Whether |x - y| <= atol + rtol |y|, element by element; equal infinities are close.  Bool."""
    a, b = broadcast("isclose", *promoted_floating(input, other))
    allowed = ops.add(ops.full_like(b, atol), ops.multiply(ops.full_like(b, rtol), ops.abs_(b)))
    near = ops.compare(ops.abs_(ops.subtract(a, b)), allowed, Direction.LE)
    near = ops.or_(ops.and_(near, ops.is_finite(b)), ops.compare(a, b, Direction.EQ))
    if equal_nan:
        near = ops.or_(near, ops.and_(ops.compare(a, a, Direction.NE), ops.compare(b, b, Direction.NE)))
    return wrap(near)


@tensor_function
def stop_gradient(input: TensorLike) -> Tensor:
    """`input`, whose derivative is taken to be zero from here on.

    The float's bits pass through an integer, which has no derivative; compiled code does nothing for it.
    """
    value = lift(input)
    if not value.dtype.is_float:
        return wrap(value)
    bits = {16: dtypes.i16, 32: dtypes.i32, 64: dtypes.i64}[value.dtype.bits]
    return wrap(ops.bitcast_convert(ops.bitcast_convert(value, bits), value.dtype))


subtract = sub
multiply = mul
divide = true_divide = div
greater, greater_equal, less, less_equal, not_equal = gt, ge, lt, le, ne
equal = eq  # NumPy's; PyTorch's `equal` compares tensors as wholes
negative = neg
arctan2 = atan2
left_shift, right_shift = bitwise_left_shift, bitwise_right_shift
