"""Elementwise ops of the CHLO dialect, which programs exported by JAX contain beside StableHLO's."""

from __future__ import annotations

import math as python_math
from collections.abc import Callable, Sequence

import numpy as np

from tenfold_rt import dtypes
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.op import Array
from tenfoldc.loops import math, scalar
from tenfoldc.loops.ir import Constant, Expr, Primitive
from tenfoldc.ops.elementwise import FLOATS, binary, unary

_TWO_OVER_ROOT_PI = 2 / python_math.sqrt(python_math.pi)


def _in_f64(function: Callable[[float], float]) -> Callable[[Array], Array]:
    """A function of Python floats applied to each element."""
    elementwise = np.frompyfunc(function, 1, 1)
    return lambda x: np.asarray(elementwise(x.astype(np.float64)), np.float64).astype(x.dtype)


def _erf_inv_reference(x: Array) -> Array:
    """Newton's method on erf, or near 1 on erfc, from the crude start of Winitzki (2008)."""
    a = np.abs(x.astype(np.float64))
    w = np.log1p(-a * a)
    half = 2 / (np.pi * 0.147) + w / 2
    y = np.sqrt(np.sqrt(half * half - w / 0.147) - half)
    erf, erfc = _in_f64(python_math.erf), _in_f64(python_math.erfc)
    for _ in range(6):
        error = np.where(a < 0.5, erf(y) - a, (1 - a) - erfc(y))
        step = error / (_TWO_OVER_ROOT_PI * np.exp(-y * y))
        y = y - step / (1 + y * step)
    y = np.where(a == 1, np.inf, y)
    return np.copysign(y, x).astype(x.dtype)


def _next_after_reference(x: Array, y: Array) -> Array:
    """NumPy's, which of two zeros gives the first for f16, and the second, as C says, for all others."""
    return np.where(x == y, y, np.nextafter(x, y))


def _next_after_scalar(x: Expr, y: Expr) -> Expr:
    """One step along the bits: up in magnitude where y lies farther from zero on the same side, else down."""
    dtype = x.dtype
    integer = dtypes.BY_NAME[f"i{x.dtype.bits}"]
    one = Constant(1, integer)
    bits, towards = scalar.bitcast(x, integer), scalar.bitcast(y, integer)
    sign = scalar.logical_and(towards, Constant(-(2 ** (integer.bits - 1)), integer))
    if x.dtype.is_half:
        x, y = scalar.convert(x, dtypes.f32), scalar.convert(y, dtypes.f32)
    zero = Constant(0.0, x.dtype)
    outward = scalar.apply(Primitive.XOR, scalar.less(x, zero), scalar.greater(y, x))
    moved = scalar.add(bits, scalar.select(outward, one, Constant(-1, integer)))
    moved = scalar.select(scalar.equal(x, zero), scalar.logical_or(sign, one), moved)
    moved = scalar.select(scalar.equal(x, y), towards, moved)
    unordered = scalar.logical_or(scalar.apply(Primitive.NE, x, x), scalar.apply(Primitive.NE, y, y))
    nan = scalar.bitcast(scalar.convert(scalar.add(x, y), dtype), integer)
    return scalar.bitcast(scalar.select(unordered, nan, moved), dtype)


ERF = unary("chlo.erf", _in_f64(python_math.erf), math.erf, FLOATS)
ERFC = unary("chlo.erfc", _in_f64(python_math.erfc), math.erfc, FLOATS)
ERF_INV = unary("chlo.erf_inv", _erf_inv_reference, math.erf_inv, FLOATS, domain=(-0.9, 0.9))
SINH = unary("chlo.sinh", np.sinh, math.sinh, FLOATS)
COSH = unary("chlo.cosh", np.cosh, math.cosh, FLOATS)
ASIN = unary("chlo.asin", np.arcsin, math.asin, FLOATS, domain=(-0.8, 0.8))
ACOS = unary("chlo.acos", np.arccos, math.acos, FLOATS, domain=(-0.8, 0.8))
ATAN = unary("chlo.atan", np.arctan, math.atan, FLOATS)
ASINH = unary("chlo.asinh", np.arcsinh, math.asinh, FLOATS)
ACOSH = unary("chlo.acosh", np.arccosh, math.acosh, FLOATS, domain=(1.2, 3.0))
ATANH = unary("chlo.atanh", np.arctanh, math.atanh, FLOATS, domain=(-0.8, 0.8))
NEXT_AFTER = binary("chlo.next_after", _next_after_reference, _next_after_scalar, FLOATS, on_bits=True)


def erf(x: Var) -> Var:
    """The error function."""
    return ERF.apply_one(x)


def erfc(x: Var) -> Var:
    """1 - erf(x), accurate where that is small."""
    return ERFC.apply_one(x)


def erf_inv(x: Var) -> Var:
    """The number whose error function is x."""
    return ERF_INV.apply_one(x)


def sinh(x: Var) -> Var:
    """Hyperbolic sine."""
    return SINH.apply_one(x)


def cosh(x: Var) -> Var:
    """Hyperbolic cosine."""
    return COSH.apply_one(x)


def asin(x: Var) -> Var:
    """The angle in [-pi/2, pi/2] whose sine is x."""
    return ASIN.apply_one(x)


def acos(x: Var) -> Var:
    """The angle in [0, pi] whose cosine is x."""
    return ACOS.apply_one(x)


def atan(x: Var) -> Var:
    """The angle in (-pi/2, pi/2) whose tangent is x."""
    return ATAN.apply_one(x)


def asinh(x: Var) -> Var:
    """Inverse hyperbolic sine."""
    return ASINH.apply_one(x)


def acosh(x: Var) -> Var:
    """Inverse hyperbolic cosine, at least 0."""
    return ACOSH.apply_one(x)


def atanh(x: Var) -> Var:
    """Inverse hyperbolic tangent."""
    return ATANH.apply_one(x)


def next_after(x: Var, y: Var) -> Var:
    """The float next to x in the direction of y; y where they are equal.  Its derivative by x is taken to be 1."""
    return NEXT_AFTER.apply_one(x, y)


def _one_and_square(x: Var) -> tuple[Var, Var]:
    return ops.ones_like(x), ops.multiply(x, x)


@ERF.partials
def _(x: Var, out: Var) -> Sequence[Var | None]:
    return (_gaussian(x, _TWO_OVER_ROOT_PI),)


@ERFC.partials
def _(x: Var, out: Var) -> Sequence[Var | None]:
    return (_gaussian(x, -_TWO_OVER_ROOT_PI),)


@ERF_INV.singular_partials
def _(x: Var, out: Var) -> Sequence[Var | None]:
    growth = ops.exponential(ops.multiply(out, out))
    return (ops.multiply(ops.full_like(x, 1 / _TWO_OVER_ROOT_PI), growth),)


def _gaussian(x: Var, factor: float) -> Var:
    return ops.multiply(ops.full_like(x, factor), ops.exponential(ops.negate(ops.multiply(x, x))))


@SINH.singular_partials
def _(x: Var, out: Var) -> Sequence[Var | None]:
    return (cosh(x),)


@COSH.singular_partials
def _(x: Var, out: Var) -> Sequence[Var | None]:
    return (sinh(x),)


@ASIN.singular_partials
def _(x: Var, out: Var) -> Sequence[Var | None]:
    one, squared = _one_and_square(x)
    return (ops.rsqrt(ops.subtract(one, squared)),)


@ACOS.singular_partials
def _(x: Var, out: Var) -> Sequence[Var | None]:
    one, squared = _one_and_square(x)
    return (ops.negate(ops.rsqrt(ops.subtract(one, squared))),)


@ATAN.partials
def _(x: Var, out: Var) -> Sequence[Var | None]:
    one, squared = _one_and_square(x)
    return (ops.reciprocal(ops.add(one, squared)),)


@ASINH.partials
def _(x: Var, out: Var) -> Sequence[Var | None]:
    one, squared = _one_and_square(x)
    return (ops.rsqrt(ops.add(squared, one)),)


@ACOSH.singular_partials
def _(x: Var, out: Var) -> Sequence[Var | None]:
    one, squared = _one_and_square(x)
    return (ops.rsqrt(ops.subtract(squared, one)),)


@ATANH.singular_partials
def _(x: Var, out: Var) -> Sequence[Var | None]:
    one, squared = _one_and_square(x)
    return (ops.reciprocal(ops.subtract(one, squared)),)


@NEXT_AFTER.partials
def _(x: Var, y: Var, out: Var) -> Sequence[Var | None]:
    return (ops.ones_like(x), None)
