"""Elementwise logarithm of the gamma function and its derivatives, after CHLO."""

from __future__ import annotations

import math as python_math
from collections.abc import Sequence

import numpy as np

from tenfold_rt.dtypes import DType
from tenfold_rt.frozen import frozen
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import Attributes
from tenfoldc.ir.op import Array, Site
from tenfoldc.loops import math
from tenfoldc.loops.ir import Expr
from tenfoldc.loops.math.gamma import BERNOULLI, cotangent_derivative
from tenfoldc.ops.elementwise import FLOATS, UNARY_NAMES, Elementwise, unary

_TERMS = 20


@frozen
class PolygammaAttributes(Attributes):
    """Which derivative of digamma, 1 for the first."""

    order: int


def _lgamma_reference(x: Array) -> Array:
    return np.array([_lgamma_of(float(value)) for value in x.reshape(-1)], x.dtype).reshape(x.shape)


def _lgamma_of(value: float) -> float:
    """Infinite at poles and where Python's function overflows, for which it raises."""
    at_pole = value <= 0 and value == np.floor(value)
    return np.inf if at_pole or abs(value) > 1e305 else python_math.lgamma(value)


def _digamma_reference(x: Array) -> Array:
    wide: Array = x.astype(np.float64)
    z: Array = np.where(wide < 0.5, 1 - wide, wide)
    y: Array = z + _TERMS
    upper: Array = np.log(y) - 0.5 / y
    for k, b in enumerate(BERNOULLI, start=1):
        upper -= b / (2 * k) * y ** (-2 * k)
    for step in range(_TERMS):
        upper -= 1 / (z + step)
    result: Array = np.where(wide < 0.5, upper - np.pi * _cotangent(wide), upper)
    return np.where((wide <= 0) & (wide == np.floor(wide)), np.nan, result).astype(x.dtype)


def _polygamma_reference(arrays: Sequence[Array], attributes: PolygammaAttributes) -> Array:
    x, order = arrays[0], attributes.order
    wide: Array = x.astype(np.float64)
    z: Array = np.where(wide < 0.5, 1 - wide, wide)
    y, factorial = z + _TERMS, python_math.factorial(order)
    total = y**-order / order + y ** -(order + 1) / 2
    for step in range(_TERMS):
        total = total + (z + step) ** -(order + 1)
    for k, b in enumerate(BERNOULLI, start=1):
        factor = b * python_math.factorial(order + 2 * k - 1) / (python_math.factorial(2 * k) * factorial)
        total = total + factor * y ** -(order + 2 * k)
    upper: Array = (-1) ** (order + 1) * factorial * total
    # Beyond 1e160 every derivative overflows; an infinite cotangent would make the polynomial NaN.
    cotangent: Array = np.clip(_cotangent(wide), -1e160, 1e160)
    derivative: Array = np.polynomial.polynomial.polyval(cotangent, cotangent_derivative(order))
    lower: Array = (-1) ** order * upper - derivative
    result: Array = np.where(wide < 0.5, lower, upper)
    return np.where((wide <= 0) & (wide == np.floor(wide)), np.nan, result).astype(x.dtype)


def _cotangent(x: Array) -> Array:
    """cot(pi x)."""
    return 1 / np.tan(np.pi * (x - np.rint(x)))


def _polygamma_scalar(operands: Sequence[Expr], result: DType, attributes: PolygammaAttributes) -> Expr:
    return math.polygamma(attributes.order)(operands[0])


LGAMMA = unary("chlo.lgamma", _lgamma_reference, math.lgamma, FLOATS, domain=(0.5, 4.0))
DIGAMMA = unary("chlo.digamma", _digamma_reference, math.digamma, FLOATS, domain=(0.5, 4.0))
POLYGAMMA = Elementwise(
    "tenfold.polygamma",
    operand_names=UNARY_NAMES,
    dtypes=FLOATS,
    reference=_polygamma_reference,
    scalar=_polygamma_scalar,
    attributes=PolygammaAttributes,
    domain=((0.5, 4.0),),
)


def lgamma(x: Var) -> Var:
    """The logarithm of |gamma(x)|."""
    return LGAMMA.apply_one(x)


def digamma(x: Var) -> Var:
    """The derivative of `lgamma`."""
    return DIGAMMA.apply_one(x)


def polygamma(x: Var, order: int) -> Var:
    """The derivative of `digamma` of the given order, 1 or more."""
    return POLYGAMMA.apply_one(x, attributes=PolygammaAttributes(order))


@LGAMMA.singular_partials
def _(x: Var, out: Var) -> Sequence[Var | None]:
    return (digamma(x),)


@DIGAMMA.singular_partials
def _(x: Var, out: Var) -> Sequence[Var | None]:
    return (polygamma(x, 1),)


@POLYGAMMA.jvp
@POLYGAMMA.vjp
def _(site: Site[PolygammaAttributes], given: Sequence[Var | None]) -> Sequence[Var | None]:
    (value,) = given
    if value is None:
        return (None,)
    return (ops.multiply(polygamma(site.operands[0], site.attributes.order + 1), value),)
