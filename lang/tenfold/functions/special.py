"""Functions of one tensor beyond the elementary: inverse and hyperbolic ones, gamma and its kin, parts of numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from tenfold.eager import tensor_function
from tenfold.functions import elementwise
from tenfold.functions.arithmetic import truncated
from tenfold.functions.binary import has_sign
from tenfold.functions.precision import rounded_once
from tenfold.promotion import promoted_floating
from tenfold.tracing import TensorLike, here, lift, wrap
from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError, DTypeError
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops import Direction

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

__all__ = [
    "absolute",
    "acos",
    "acosh",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctanh",
    "asin",
    "asinh",
    "atanh",
    "deg2rad",
    "digamma",
    "erfinv",
    "fix",
    "frac",
    "isneginf",
    "isposinf",
    "isreal",
    "lgamma",
    "logit",
    "mvlgamma",
    "polygamma",
    "positive",
    "rad2deg",
    "sgn",
    "signbit",
    "sinc",
]


def _floating(op: Callable[[Var], Var], x: TensorLike) -> Tensor:
    (value,) = promoted_floating(x)
    return wrap(op(value))


@tensor_function
def acos(input: TensorLike) -> Tensor:
    """The angle in radians, from 0 to pi, whose cosine each element is; NaN outside [-1, 1]."""
    return _floating(ops.acos, input)


@tensor_function
def asin(input: TensorLike) -> Tensor:
    """The angle in radians, from -pi / 2 to pi / 2, whose sine each element is; NaN outside [-1, 1]."""
    return _floating(ops.asin, input)


@tensor_function
def acosh(input: TensorLike) -> Tensor:
    """The number, not negative, whose hyperbolic cosine each element is; NaN below 1."""
    return _floating(ops.acosh, input)


@tensor_function
def asinh(input: TensorLike) -> Tensor:
    """The number whose hyperbolic sine each element is."""
    return _floating(ops.asinh, input)


@tensor_function
def atanh(input: TensorLike) -> Tensor:
    """The number whose hyperbolic tangent each element is; NaN outside [-1, 1]."""
    return _floating(ops.atanh, input)


@tensor_function
def erfinv(input: TensorLike) -> Tensor:
    """The number whose error function each element is; NaN outside [-1, 1]."""
    return _floating(ops.erf_inv, input)


@tensor_function
def lgamma(input: TensorLike) -> Tensor:
    """The logarithm of the size of the gamma function at each element."""
    return _floating(ops.lgamma, input)


@tensor_function
def digamma(input: TensorLike) -> Tensor:
    """The derivative of `lgamma` at each element."""
    return _floating(ops.digamma, input)


@tensor_function
def polygamma(n: int, input: TensorLike) -> Tensor:
    """The `n`-th derivative of `digamma` at each element."""
    if n < 0:
        raise ArgumentError(f"polygamma: the order is {n}, less than 0", where=here())
    return _floating(ops.digamma if n == 0 else lambda x: ops.polygamma(x, n), input)


@tensor_function
@rounded_once()
def mvlgamma(input: TensorLike, p: int) -> Tensor:
    """The logarithm of the gamma function of `p` dimensions: p (p - 1) / 4 log pi + sum of lgamma(x - i / 2)."""
    if p < 1:
        raise ArgumentError(f"mvlgamma: the dimension is {p}, less than 1", where=here())
    (x,) = promoted_floating(input)
    total = ops.full_like(x, p * (p - 1) / 4 * math.log(math.pi))
    for i in range(p):
        total = ops.add(total, ops.lgamma(ops.subtract(x, ops.full_like(x, i / 2))))
    return wrap(total)


@tensor_function
@rounded_once()
def logit(input: TensorLike, eps: float | None = None) -> Tensor:
    """log(x / (1 - x)), the inverse of `sigmoid`, of x moved into [`eps`, 1 - `eps`] where that is given."""

    def of(x: Var) -> Var:
        if eps is not None:
            x = ops.clamp(ops.full_like(x, eps), x, ops.full_like(x, 1 - eps))
        return ops.log(ops.divide(x, ops.subtract(ops.ones_like(x), x)))

    return _floating(of, input)


@tensor_function
@rounded_once()
def sinc(input: TensorLike) -> Tensor:
    """sin(pi x) / (pi x), and 1 at 0."""

    def of(x: Var) -> Var:
        is_zero = ops.compare(x, ops.zeros_like(x), Direction.EQ)
        angle = ops.multiply(ops.select(is_zero, ops.ones_like(x), x), ops.full_like(x, math.pi))
        return ops.select(is_zero, ops.ones_like(x), ops.divide(ops.sine(angle), angle))

    return _floating(of, input)


@tensor_function
def deg2rad(input: TensorLike) -> Tensor:
    """Degrees as radians."""
    return _floating(lambda x: ops.multiply(x, ops.full_like(x, math.pi / 180)), input)


@tensor_function
def rad2deg(input: TensorLike) -> Tensor:
    """Radians as degrees."""
    return _floating(lambda x: ops.multiply(x, ops.full_like(x, 180 / math.pi)), input)


@tensor_function
def frac(input: TensorLike) -> Tensor:
    """What is behind the point, with the element's sign; `DTypeError` for integers."""
    x = lift(input)
    if not x.dtype.is_float:
        raise DTypeError(f"frac: takes floats, not {x.type}", where=here())
    return wrap(ops.subtract(x, truncated(x)))


@tensor_function
def signbit(input: TensorLike) -> Tensor:
    """Whether the sign bit of each element is set, of -0.0 too.  Bool."""
    x = lift(input)
    if x.dtype.is_unsigned or x.dtype.is_bool:
        return wrap(_all(x, False))
    return wrap(has_sign(x))


@tensor_function
def positive(input: TensorLike) -> Tensor:
    """The tensor as it is; `DTypeError` for bools."""
    x = lift(input)
    if x.dtype.is_bool:
        raise DTypeError("positive: takes no bools", where=here())
    return wrap(x)


@tensor_function
def isposinf(input: TensorLike) -> Tensor:
    """Whether each element is plus infinity.  Bool."""
    return wrap(_equals(lift(input), math.inf))


@tensor_function
def isneginf(input: TensorLike) -> Tensor:
    """Whether each element is minus infinity.  Bool."""
    return wrap(_equals(lift(input), -math.inf))


def _equals(x: Var, value: float) -> Var:
    return ops.compare(x, ops.full_like(x, value), Direction.EQ) if x.dtype.is_float else _all(x, False)


@tensor_function
def isreal(input: TensorLike) -> Tensor:
    """Whether each element has no imaginary part, which holds for all.  Bool."""
    return wrap(_all(lift(input), True))


def _all(like: Var, answer: bool) -> Var:
    return ops.full(like.builder, like.type.with_dtype(dtypes.bool_), answer)


sgn = elementwise.sign
absolute = elementwise.abs
fix = elementwise.trunc
arccos, arcsin, arctan = acos, asin, elementwise.atan
arccosh, arcsinh, arctanh = acosh, asinh, atanh
