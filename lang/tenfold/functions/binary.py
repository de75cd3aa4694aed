"""The less common functions of two or three tensors, element by element; shapes broadcast and types promote."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tenfold.control.loops import while_loop
from tenfold.eager import tensor_function
from tenfold.functions import arithmetic
from tenfold.functions.arithmetic import scaled
from tenfold.functions.axes import broadcast
from tenfold.functions.precision import rounded_once
from tenfold.promotion import as_dtype, promoted, promoted_floating, result_type, type_of
from tenfold.tracing import Scalar, TensorLike, here, is_scalar, lift, wrap
from tenfold_rt import dtypes
from tenfold_rt.errors import DTypeError
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops import Direction

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

__all__ = [
    "addcdiv",
    "addcmul",
    "copysign",
    "float_power",
    "fmax",
    "fmin",
    "gcd",
    "heaviside",
    "hypot",
    "lcm",
    "ldexp",
    "lerp",
    "logaddexp",
    "logaddexp2",
    "nextafter",
    "rsub",
    "xlogy",
]


def is_nan(x: Var) -> Var:
    """Whether each element is NaN."""
    return ops.compare(x, x, Direction.NE)


def has_sign(x: Var) -> Var:
    """Whether the sign bit of each element is set, of -0.0 and NaNs too."""
    if x.dtype.is_float:
        x = ops.bitcast_convert(x, {16: dtypes.i16, 32: dtypes.i32, 64: dtypes.i64}[x.dtype.bits])
    return ops.compare(x, ops.zeros_like(x), Direction.LT)


def require_floats(name: str, *operands: TensorLike) -> None:
    """`DTypeError` where the operands promote to integers or bools."""
    dtype = result_type(*operands)
    if not dtype.is_float:
        raise DTypeError(f"{name}: takes floats, not {dtype}", where=here())


@tensor_function
def rsub(input: TensorLike, other: TensorLike, *, alpha: Scalar = 1) -> Tensor:
    """`other` minus `alpha` times `input`."""
    return arithmetic.sub(other, input, alpha=alpha)


@tensor_function
def float_power(input: TensorLike, exponent: TensorLike) -> Tensor:
    """`input` to the power of `exponent`, computed and given in f64."""
    base, power = as_dtype((input, exponent), dtypes.f64)
    return arithmetic.pow(wrap(base), exponent if is_scalar(exponent) else wrap(power))


@tensor_function
@rounded_once(2)
def hypot(input: TensorLike, other: TensorLike) -> Tensor:
    """sqrt(x^2 + y^2) where the squares alone may overflow: the larger is taken out first."""
    a, b = (ops.abs_(value) for value in broadcast("hypot", *promoted_floating(input, other)))
    large, small = ops.maximum(a, b), ops.minimum(a, b)
    is_zero = ops.compare(large, ops.zeros_like(large), Direction.EQ)
    is_infinite = ops.compare(large, ops.full_like(large, math.inf), Direction.EQ)
    ratio = ops.divide(small, ops.select(ops.or_(is_zero, is_infinite), ops.ones_like(large), large))
    length = ops.multiply(large, ops.sqrt(ops.add(ops.ones_like(ratio), ops.square(ratio))))
    infinite = ops.or_(*(ops.compare(value, ops.full_like(value, math.inf), Direction.EQ) for value in (a, b)))
    return wrap(ops.select(infinite, ops.full_like(large, math.inf), length))


@tensor_function
def copysign(input: TensorLike, other: TensorLike) -> Tensor:
    """The size of `input` with the sign of `other`, that of -0.0 too; integers as f32."""
    sign = lift(other)
    size, sign = broadcast("copysign", ops.abs_(promoted_floating(input, other)[0]), sign)
    return wrap(ops.select(has_sign(sign), ops.negate(size), size))


@tensor_function
def heaviside(input: TensorLike, values: TensorLike) -> Tensor:
    """0 below 0, 1 above it, and at 0 `values`; `DTypeError` where the two have different element types."""
    if type_of(input).dtype is not type_of(values).dtype:
        raise DTypeError(
            f"heaviside: {type_of(input)} and {type_of(values)} differ in element type", where=here(), mend="use x.to"
        )
    x, at_zero = broadcast("heaviside", lift(input), lift(values))
    zero = ops.zeros_like(x)
    step = ops.convert(ops.compare(x, zero, Direction.GT), x.dtype)
    return wrap(ops.select(ops.compare(x, zero, Direction.EQ), at_zero, step))


@tensor_function
@rounded_once(2)
def ldexp(input: TensorLike, other: TensorLike) -> Tensor:
    """`input` times 2 to the power `other`."""
    x, exponent = broadcast("ldexp", *promoted_floating(input, other))
    return wrap(ops.multiply(x, ops.power(ops.full_like(exponent, 2.0), exponent)))


@tensor_function
def nextafter(input: TensorLike, other: TensorLike) -> Tensor:
    """The next number after `input` toward `other`; `DTypeError` for integers."""
    require_floats("nextafter", input, other)
    return wrap(ops.next_after(*broadcast("nextafter", *promoted(input, other))))


@tensor_function
def fmax(input: TensorLike, other: TensorLike) -> Tensor:
    """The larger, element by element; where one is NaN, the other."""
    return _fuller("fmax", input, other, Direction.GE)


@tensor_function
def fmin(input: TensorLike, other: TensorLike) -> Tensor:
    """The smaller, element by element; where one is NaN, the other."""
    return _fuller("fmin", input, other, Direction.LE)


def _fuller(name: str, x: TensorLike, y: TensorLike, direction: Direction) -> Tensor:
    a, b = broadcast(name, *promoted(x, y))
    return wrap(ops.select(ops.or_(ops.compare(a, b, direction), is_nan(b)), a, b))


@tensor_function
@rounded_once(2)
def logaddexp(input: TensorLike, other: TensorLike) -> Tensor:
    """log(e^x + e^y), without overflow; `DTypeError` for integers."""
    require_floats("logaddexp", input, other)
    return wrap(log_add_exp(*broadcast("logaddexp", *promoted(input, other))))


def log_add_exp(a: Var, b: Var) -> Var:
    """log(e^a + e^b): the larger, plus log(1 + e^-|a - b|)."""
    distance = _distance(a, b)
    return ops.add(ops.maximum(a, b), ops.log_plus_one(ops.exponential(ops.negate(distance))))


def _distance(a: Var, b: Var) -> Var:
    """|a - b|, 0 for equal infinities."""
    same = ops.compare(a, b, Direction.EQ)
    return ops.abs_(ops.select(same, ops.zeros_like(a), ops.subtract(a, b)))


@tensor_function
@rounded_once(2)
def logaddexp2(input: TensorLike, other: TensorLike) -> Tensor:
    """log2(2^x + 2^y), without overflow; `DTypeError` for integers."""
    require_floats("logaddexp2", input, other)
    a, b = broadcast("logaddexp2", *promoted(input, other))
    exponent = ops.multiply(_distance(a, b), ops.full_like(a, -math.log(2)))
    rest = ops.multiply(ops.log_plus_one(ops.exponential(exponent)), ops.full_like(a, 1 / math.log(2)))
    return wrap(ops.add(ops.maximum(a, b), rest))


@tensor_function
@rounded_once(2)
def xlogy(input: TensorLike, other: TensorLike) -> Tensor:
    """x log y, and 0 where x is 0 though y is 0, negative or infinite; NaN where y is."""
    x, y = broadcast("xlogy", *promoted_floating(input, other))
    zero = ops.zeros_like(x)
    outside = ops.or_(ops.compare(y, zero, Direction.LE), ops.compare(y, ops.full_like(y, math.inf), Direction.EQ))
    dead = ops.and_(ops.compare(x, zero, Direction.EQ), outside)
    product = ops.multiply(x, ops.log(ops.select(dead, ops.ones_like(y), y)))
    return wrap(ops.select(dead, zero, product))


@tensor_function
@rounded_once(3)
def lerp(input: TensorLike, end: TensorLike, weight: TensorLike) -> Tensor:
    """`input` + `weight` (`end` - `input`), counted from the end that is nearer, so that both ends are exact."""
    require_floats("lerp", input, end)
    a, b, share = broadcast("lerp", *promoted(input, end, weight))
    way = ops.subtract(b, a)
    near_end = ops.subtract(b, ops.multiply(way, ops.subtract(ops.ones_like(share), share)))
    near_start = ops.add(a, ops.multiply(share, way))
    is_near_start = ops.compare(ops.abs_(share), ops.full_like(share, 0.5), Direction.LT)
    return wrap(ops.select(is_near_start, near_start, near_end))


@tensor_function
@rounded_once(3)
def addcmul(input: TensorLike, tensor1: TensorLike, tensor2: TensorLike, *, value: Scalar = 1) -> Tensor:
    """`input` + `value` times `tensor1` times `tensor2`."""
    product = arithmetic.mul(scaled("addcmul", tensor1, value, tensor2, input), tensor2)
    return arithmetic.add(input, product)


@tensor_function
@rounded_once(3)
def addcdiv(input: TensorLike, tensor1: TensorLike, tensor2: TensorLike, *, value: Scalar = 1) -> Tensor:
    """`input` + `value` times `tensor1` / `tensor2`; `DTypeError` for the quotient of integers."""
    require_floats("addcdiv", tensor1, tensor2)
    quotient = arithmetic.div(scaled("addcdiv", tensor1, value, tensor2), tensor2)
    return arithmetic.add(input, quotient)


def _integers(name: str, x: TensorLike, y: TensorLike) -> tuple[Var, Var]:
    a, b = broadcast(name, *promoted(x, y))
    if not a.dtype.is_integer:
        raise DTypeError(f"{name}: takes integers, not {a.dtype}", where=here())
    return (a, b) if a.dtype.is_unsigned else (ops.abs_(a), ops.abs_(b))


@tensor_function
def gcd(input: TensorLike, other: TensorLike) -> Tensor:
    """The greatest common divisor of integers, element by element (Euclid's algorithm); of 0 and 0 it is 0."""
    return wrap(_common_divisor(*_integers("gcd", input, other)))


@tensor_function
def lcm(input: TensorLike, other: TensorLike) -> Tensor:
    """The least common multiple of integers, element by element; 0 where one of them is."""
    a, b = _integers("lcm", input, other)
    divisor = _common_divisor(a, b)
    nonzero = ops.maximum(divisor, ops.ones_like(divisor))
    return wrap(ops.multiply(ops.divide(a, nonzero), b))


def _common_divisor(a: Var, b: Var) -> Var:
    def unfinished(pair: tuple[Tensor, Tensor]) -> Tensor:
        rest = lift(pair[1])
        return wrap(ops.reduce_or(ops.compare(rest, ops.zeros_like(rest), Direction.NE), tuple(range(rest.rank))))

    def step(pair: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        x, y = lift(pair[0]), lift(pair[1])
        done = ops.compare(y, ops.zeros_like(y), Direction.EQ)
        return wrap(ops.select(done, x, y)), wrap(ops.select(done, y, ops.remainder(x, y)))

    return lift(while_loop(unfinished, step, (wrap(a), wrap(b)))[0])
