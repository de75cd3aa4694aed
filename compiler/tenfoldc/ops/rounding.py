"""Elementwise rounding of floats to whole numbers; derivatives are zero."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tenfoldc.ir.builder import Var
from tenfoldc.ir.op import Array
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Constant, Expr, Primitive
from tenfoldc.ops.elementwise import FLOATS, unary


def _round_away_scalar(x: Expr) -> Expr:
    whole = scalar.apply(Primitive.TRUNC, x)
    is_half = scalar.greater_equal(scalar.abs_(scalar.sub(x, whole)), Constant(0.5, x.dtype))
    step = scalar.select(is_half, Constant(1.0, x.dtype), Constant(0.0, x.dtype))
    rounded = scalar.add(scalar.abs_(whole), step)
    return scalar.apply(Primitive.COPYSIGN, rounded, x)


def _round_away_reference(x: Array) -> Array:
    whole = np.trunc(x)
    return np.copysign(np.abs(whole) + (np.abs(x - whole) >= 0.5), x)


FLOOR = unary("floor", np.floor, lambda x: scalar.apply(Primitive.FLOOR, x), FLOATS, domain=(0.1, 0.9))
CEIL = unary("ceil", np.ceil, lambda x: scalar.apply(Primitive.CEIL, x), FLOATS, domain=(0.1, 0.9))
ROUND_NEAREST_EVEN = unary(
    "round_nearest_even", np.rint, lambda x: scalar.apply(Primitive.ROUND_EVEN, x), FLOATS, domain=(0.6, 1.4)
)
ROUND_NEAREST_AFZ = unary("round_nearest_afz", _round_away_reference, _round_away_scalar, FLOATS, domain=(0.6, 1.4))


def floor(x: Var) -> Var:
    """The largest whole number not above x."""
    return FLOOR.apply_one(x)


def ceil(x: Var) -> Var:
    """The smallest whole number not below x."""
    return CEIL.apply_one(x)


def round_nearest_even(x: Var) -> Var:
    """The nearest whole number; halves go to the even one."""
    return ROUND_NEAREST_EVEN.apply_one(x)


def round_nearest_afz(x: Var) -> Var:
    """The nearest whole number; halves go away from zero."""
    return ROUND_NEAREST_AFZ.apply_one(x)


@FLOOR.partials
@CEIL.partials
@ROUND_NEAREST_EVEN.partials
@ROUND_NEAREST_AFZ.partials
def _(x: Var, out: Var) -> Sequence[Var | None]:
    return (None,)
