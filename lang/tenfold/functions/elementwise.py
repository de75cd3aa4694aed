"""Functions of one tensor, element by element.  Those that give floats convert integers and bools to f32 first."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from tenfold.eager import tensor_function
from tenfold.functions.arithmetic import truncated
from tenfold.functions.precision import rounded_once
from tenfold.promotion import convert, promoted_floating
from tenfold.specs import DTypeLike, element_type
from tenfold.tracing import TensorLike, is_scalar, lift, wrap
from tenfold_rt import dtypes
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops import Direction

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

__all__ = [
    "abs",
    "atan",
    "cbrt",
    "ceil",
    "clone",
    "cos",
    "cosh",
    "erf",
    "erfc",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "isfinite",
    "isinf",
    "isnan",
    "log",
    "log1p",
    "log2",
    "log10",
    "nan_to_num",
    "round",
    "rsqrt",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
    "to",
    "trunc",
]


def _floating(op: Callable[[Var], Var], x: TensorLike) -> Tensor:
    (value,) = promoted_floating(x)
    return wrap(op(value))


def _rounding(op: Callable[[Var], Var], x: TensorLike) -> Tensor:
    value = lift(x)
    return wrap(op(value) if value.dtype.is_float else value)


@tensor_function
def exp(input: TensorLike) -> Tensor:
    """e to the power of each element."""
    return _floating(ops.exponential, input)


@tensor_function
@rounded_once()
def exp2(input: TensorLike) -> Tensor:
    """2 to the power of each element."""
    return _floating(lambda v: ops.power(ops.full_like(v, 2.0), v), input)


@tensor_function
def expm1(input: TensorLike) -> Tensor:
    """e to the power of each element, minus 1, precise near 0."""
    return _floating(ops.exponential_minus_one, input)


@tensor_function
def log(input: TensorLike) -> Tensor:
    """The natural logarithm of each element; NaN below 0, minus infinity at 0."""
    return _floating(ops.log, input)


@tensor_function
def log1p(input: TensorLike) -> Tensor:
    """The natural logarithm of 1 plus each element, precise near 0."""
    return _floating(ops.log_plus_one, input)


@tensor_function
@rounded_once()
def log2(input: TensorLike) -> Tensor:
    """The logarithm to base 2 of each element."""
    return _floating(lambda v: ops.multiply(ops.log(v), ops.full_like(v, 1 / math.log(2))), input)


@tensor_function
@rounded_once()
def log10(input: TensorLike) -> Tensor:
    """The logarithm to base 10 of each element."""
    return _floating(lambda v: ops.multiply(ops.log(v), ops.full_like(v, 1 / math.log(10))), input)


@tensor_function
def sqrt(input: TensorLike) -> Tensor:
    """The square root of each element; NaN below 0."""
    return _floating(ops.sqrt, input)


@tensor_function
def rsqrt(input: TensorLike) -> Tensor:
    """1 divided by the square root of each element."""
    return _floating(ops.rsqrt, input)


@tensor_function
def cbrt(input: TensorLike) -> Tensor:
    """The cube root of each element."""
    return _floating(ops.cbrt, input)


@tensor_function
def sin(input: TensorLike) -> Tensor:
    """The sine of each element, in radians."""
    return _floating(ops.sine, input)


@tensor_function
def cos(input: TensorLike) -> Tensor:
    """The cosine of each element, in radians."""
    return _floating(ops.cosine, input)


@tensor_function
def tan(input: TensorLike) -> Tensor:
    """The tangent of each element, in radians."""
    return _floating(ops.tan, input)


@tensor_function
def atan(input: TensorLike) -> Tensor:
    """The angle in radians whose tangent each element is."""
    return _floating(lambda v: ops.atan2(v, ops.ones_like(v)), input)


@tensor_function
@rounded_once()
def sinh(input: TensorLike) -> Tensor:
    """The hyperbolic sine of each element, through expm1: (m + m / (m + 1)) / 2 with m = e^x - 1."""

    def of(v: Var) -> Var:
        size = ops.abs_(v)
        m = ops.exponential_minus_one(size)
        half = ops.full_like(v, 0.5)
        small = ops.multiply(half, ops.add(m, ops.divide(m, ops.add(m, ops.ones_like(m)))))
        value = ops.select(ops.compare(size, ops.full_like(v, 20.0), Direction.GT), _half_exponential(size), small)
        signed = ops.select(ops.compare(v, ops.zeros_like(v), Direction.LT), ops.negate(value), value)
        # At 0 the absolute value has no derivative and loses the sign; sinh x is x there.
        return ops.select(ops.compare(v, ops.zeros_like(v), Direction.EQ), v, signed)

    return _floating(of, input)


def _half_exponential(v: Var) -> Var:
    """e^v / 2, also where e^v alone is too large a number."""
    root = ops.exponential(ops.multiply(v, ops.full_like(v, 0.5)))
    return ops.multiply(ops.multiply(root, ops.full_like(v, 0.5)), root)


@tensor_function
@rounded_once()
def cosh(input: TensorLike) -> Tensor:
    """The hyperbolic cosine of each element: (e^x + e^-x) / 2."""

    def of(v: Var) -> Var:
        size = ops.abs_(v)
        sum_ = ops.add(ops.exponential(v), ops.exponential(ops.negate(v)))
        small = ops.multiply(ops.full_like(v, 0.5), sum_)
        return ops.select(ops.compare(size, ops.full_like(v, 20.0), Direction.GT), _half_exponential(size), small)

    return _floating(of, input)


@tensor_function
def tanh(input: TensorLike) -> Tensor:
    """The hyperbolic tangent of each element."""
    return _floating(ops.tanh, input)


@tensor_function
def sigmoid(input: TensorLike) -> Tensor:
    """1 / (1 + e^-x) of each element."""
    return _floating(ops.logistic, input)


@tensor_function
def erf(input: TensorLike) -> Tensor:
    """The error function of each element."""
    return _floating(ops.erf, input)


@tensor_function
def erfc(input: TensorLike) -> Tensor:
    """1 minus the error function of each element."""
    return _floating(ops.erfc, input)


@tensor_function
def abs(input: TensorLike) -> Tensor:  # noqa: A001 - NumPy's name
    """Each element without its sign."""
    value = lift(input)
    return wrap(value if value.dtype.is_unsigned or value.dtype.is_bool else ops.abs_(value))


@tensor_function
def sign(input: TensorLike) -> Tensor:
    """-1, 0 or 1 by each element's sign, in its element type; NaN stays NaN."""
    value = lift(input)
    if value.dtype.is_bool:
        return wrap(value)
    return wrap(ops.minimum(value, ops.ones_like(value)) if value.dtype.is_unsigned else ops.sign(value))


@tensor_function
def floor(input: TensorLike) -> Tensor:
    """Each element rounded toward minus infinity, in its element type."""
    return _rounding(ops.floor, input)


@tensor_function
def ceil(input: TensorLike) -> Tensor:
    """Each element rounded toward plus infinity, in its element type."""
    return _rounding(ops.ceil, input)


@tensor_function
def trunc(input: TensorLike) -> Tensor:
    """Each element rounded toward 0, in its element type."""
    return _rounding(truncated, input)


@tensor_function
@rounded_once()
def round(input: TensorLike, decimals: int = 0) -> Tensor:  # noqa: A001 - NumPy's name
    """Each element rounded to `decimals` places, halves to the even neighbour, in its element type."""

    def to_even(v: Var) -> Var:
        if decimals == 0:
            return ops.round_nearest_even(v)
        scale = ops.full_like(v, 10.0 ** math.fabs(decimals))
        grow, shrink = (ops.multiply, ops.divide) if decimals > 0 else (ops.divide, ops.multiply)
        return shrink(ops.round_nearest_even(grow(v, scale)), scale)

    return _rounding(to_even, input)


@tensor_function
def isfinite(input: TensorLike) -> Tensor:
    """Whether each element is neither infinite nor NaN.  Bool."""
    value = lift(input)
    return wrap(ops.is_finite(value) if value.dtype.is_float else _all(value, True))


@tensor_function
def isnan(input: TensorLike) -> Tensor:
    """Whether each element is NaN.  Bool."""
    value = lift(input)
    return wrap(ops.compare(value, value, Direction.NE) if value.dtype.is_float else _all(value, False))


@tensor_function
def isinf(input: TensorLike) -> Tensor:
    """Whether each element is plus or minus infinity.  Bool."""
    value = lift(input)
    if not value.dtype.is_float:
        return wrap(_all(value, False))
    return wrap(ops.compare(ops.abs_(value), ops.full_like(value, math.inf), Direction.EQ))


def _all(like: Var, answer: bool) -> Var:
    return ops.full(like.builder, like.type.with_dtype(dtypes.bool_), answer)


@tensor_function
def clone(input: TensorLike) -> Tensor:
    """A copy of `input`, which gradients flow through."""
    return wrap(lift(input))


@tensor_function
def to(input: TensorLike, dtype: DTypeLike) -> Tensor:
    """`input` with elements of `dtype`.  Floats become integers toward 0, saturating, NaN becoming 0."""
    chosen = element_type(dtype)
    value = lift(input, chosen) if is_scalar(input) else lift(input)
    return wrap(convert(value, chosen))


@tensor_function
def nan_to_num(
    input: TensorLike, nan: float | None = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """`input` with NaN replaced, by default by 0, and infinities, by default by the largest finite numbers."""
    value = lift(input)
    if not value.dtype.is_float:
        return wrap(value)
    largest = value.dtype.largest
    replacements = (
        (math.inf, largest if posinf is None else float(posinf)),
        (-math.inf, -largest if neginf is None else float(neginf)),
    )
    result = ops.select(ops.compare(value, value, Direction.NE), ops.full_like(value, float(nan or 0)), value)
    for infinity, replacement in replacements:
        is_it = ops.compare(value, ops.full_like(value, infinity), Direction.EQ)
        result = ops.select(is_it, ops.full_like(value, replacement), result)
    return wrap(result)
