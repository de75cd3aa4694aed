"""Elementwise roots, exponentials, logarithms and trigonometry on floats.

The scalar rules are the polynomials of `tenfoldc.loops.math`; derivatives are written with the result where
it is at hand.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.op import Array
from tenfoldc.loops import math, scalar
from tenfoldc.loops.ir import Constant, Expr, Primitive
from tenfoldc.ops.elementwise import FLOATS, binary, unary


def _sqrt(x: Expr) -> Expr:
    return scalar.apply(Primitive.SQRT, x)


def _rsqrt(x: Expr) -> Expr:
    return scalar.div(Constant(1.0, x.dtype), _sqrt(x))


def _logistic_reference(x: Array) -> Array:
    decayed = np.exp(-np.abs(x))
    return np.where(x < 0, decayed, np.ones_like(x)) / (1 + decayed)


SQRT = unary("sqrt", np.sqrt, _sqrt, FLOATS, domain=(0.5, 2.0))
RSQRT = unary("rsqrt", lambda x: 1 / np.sqrt(x), _rsqrt, FLOATS, domain=(0.5, 2.0))
CBRT = unary("cbrt", np.cbrt, math.cbrt, FLOATS, domain=(0.5, 2.0))
EXPONENTIAL = unary("exponential", np.exp, math.exp, FLOATS)
EXPONENTIAL_MINUS_ONE = unary("exponential_minus_one", np.expm1, math.expm1, FLOATS)
LOG = unary("log", np.log, math.log, FLOATS, domain=(0.5, 2.0))
LOG_PLUS_ONE = unary("log_plus_one", np.log1p, math.log1p, FLOATS, domain=(-0.5, 2.0))
TANH = unary("tanh", np.tanh, math.tanh, FLOATS)
LOGISTIC = unary("logistic", _logistic_reference, math.logistic, FLOATS)
SINE = unary("sine", np.sin, math.sin, FLOATS)
COSINE = unary("cosine", np.cos, math.cos, FLOATS)
TAN = unary("tan", np.tan, math.tan, FLOATS, domain=(-1.0, 1.0))
ATAN2 = binary("atan2", np.arctan2, math.atan2, FLOATS, domain=((-2.0, 2.0), (0.5, 2.0)))


def sqrt(x: Var) -> Var:
    """Square root; NaN below -0."""
    return SQRT.apply_one(x)


def rsqrt(x: Var) -> Var:
    """1 / sqrt(x)."""
    return RSQRT.apply_one(x)


def cbrt(x: Var) -> Var:
    """Cube root, with the sign of x."""
    return CBRT.apply_one(x)


def exponential(x: Var) -> Var:
    """e to the power x."""
    return EXPONENTIAL.apply_one(x)


def exponential_minus_one(x: Var) -> Var:
    """e to the power x, less 1, exact near 0."""
    return EXPONENTIAL_MINUS_ONE.apply_one(x)


def log(x: Var) -> Var:
    """Natural logarithm; -inf at 0, NaN below."""
    return LOG.apply_one(x)


def log_plus_one(x: Var) -> Var:
    """log(1 + x), exact near 0."""
    return LOG_PLUS_ONE.apply_one(x)


def tanh(x: Var) -> Var:
    """Hyperbolic tangent."""
    return TANH.apply_one(x)


def logistic(x: Var) -> Var:
    """1 / (1 + e^-x)."""
    return LOGISTIC.apply_one(x)


def sine(x: Var) -> Var:
    """Sine of radians."""
    return SINE.apply_one(x)


def cosine(x: Var) -> Var:
    """Cosine of radians."""
    return COSINE.apply_one(x)


def tan(x: Var) -> Var:
    """Tangent of radians."""
    return TAN.apply_one(x)


def atan2(y: Var, x: Var) -> Var:
    """The angle of the point (x, y), from -pi to pi."""
    return ATAN2.apply_one(y, x)


@SQRT.singular_partials
def _(x: Var, out: Var) -> Sequence[Var | None]:
    return (ops.divide(ops.full_like(x, 0.5), out),)


@RSQRT.singular_partials
def _(x: Var, out: Var) -> Sequence[Var | None]:
    return (ops.multiply(ops.full_like(x, -0.5), ops.divide(out, x)),)


@CBRT.singular_partials
def _(x: Var, out: Var) -> Sequence[Var | None]:
    return (ops.reciprocal(ops.multiply(ops.full_like(x, 3.0), ops.multiply(out, out))),)


@EXPONENTIAL.singular_partials
def _(x: Var, out: Var) -> Sequence[Var | None]:
    return (out,)


@EXPONENTIAL_MINUS_ONE.singular_partials
def _(x: Var, out: Var) -> Sequence[Var | None]:
    return (ops.add(out, ops.ones_like(x)),)


@LOG.singular_partials
def _(x: Var, out: Var) -> Sequence[Var | None]:
    return (ops.reciprocal(x),)


@LOG_PLUS_ONE.singular_partials
def _(x: Var, out: Var) -> Sequence[Var | None]:
    return (ops.reciprocal(ops.add(x, ops.ones_like(x))),)


@TANH.partials
def _(x: Var, out: Var) -> Sequence[Var | None]:
    return (ops.subtract(ops.ones_like(x), ops.multiply(out, out)),)


@LOGISTIC.partials
def _(x: Var, out: Var) -> Sequence[Var | None]:
    return (ops.multiply(out, ops.subtract(ops.ones_like(x), out)),)


@SINE.partials
def _(x: Var, out: Var) -> Sequence[Var | None]:
    return (cosine(x),)


@COSINE.partials
def _(x: Var, out: Var) -> Sequence[Var | None]:
    return (ops.negate(sine(x)),)


@TAN.singular_partials
def _(x: Var, out: Var) -> Sequence[Var | None]:
    return (ops.add(ops.multiply(out, out), ops.ones_like(x)),)


@ATAN2.singular_partials
def _(y: Var, x: Var, out: Var) -> Sequence[Var | None]:
    squared = ops.add(ops.multiply(x, x), ops.multiply(y, y))
    return (ops.divide(x, squared), ops.negate(ops.divide(y, squared)))
