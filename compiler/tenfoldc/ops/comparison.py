"""Elementwise comparison, choice and limits."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

import numpy as np

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.errors import DTypeError, ShapeError
from tenfold_rt.frozen import frozen
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import Attributes, Region
from tenfoldc.ir.op import Array, Site
from tenfoldc.ir.types import TensorType
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Constant, Expr, Primitive
from tenfoldc.ops.arithmetic import maximum_array, minimum_array
from tenfoldc.ops.elementwise import ALL_COMPILED, BINARY_NAMES, FLOATS, Elementwise, unary


class Direction(Enum):
    """Which relation a comparison asks for."""

    EQ = "EQ"
    NE = "NE"
    LT = "LT"
    LE = "LE"
    GT = "GT"
    GE = "GE"


class CompareType(Enum):
    """How a comparison reads its operands; `TOTALORDER` is -NaN, -inf, ..., -0, +0, ..., inf, NaN."""

    FLOAT = "FLOAT"
    TOTALORDER = "TOTALORDER"
    SIGNED = "SIGNED"
    UNSIGNED = "UNSIGNED"


@frozen
class CompareAttributes(Attributes):
    """The relation, and how to read the operands where that is not the way of their element type."""

    comparison_direction: Direction
    compare_type: CompareType | None = None


_NUMPY_COMPARISONS = {
    Direction.EQ: np.equal,
    Direction.NE: np.not_equal,
    Direction.LT: np.less,
    Direction.LE: np.less_equal,
    Direction.GT: np.greater,
    Direction.GE: np.greater_equal,
}


def _infer_compare(
    operands: Sequence[TensorType], attributes: CompareAttributes, regions: Sequence[Region]
) -> tuple[TensorType, ...]:
    COMPARE.require_operands(operands)
    COMPARE.require_dtype(0, operands[0])
    COMPARE.require_same(0, 1, operands)
    kind = attributes.compare_type
    if kind is not None and kind not in _compare_types(operands[0].dtype):
        raise DTypeError(f"compare: {kind.value} does not compare {operands[0]} (lhs)", mend="leave compare_type out")
    return (operands[0].with_dtype(dtypes.bool_),)


def _compare_types(dtype: DType) -> tuple[CompareType, ...]:
    if dtype.is_float:
        return (CompareType.FLOAT, CompareType.TOTALORDER)
    return (CompareType.SIGNED,) if dtype.is_signed else (CompareType.UNSIGNED,)


def _compare_reference(arrays: Sequence[Array], attributes: CompareAttributes) -> Array:
    x, y = arrays
    if attributes.compare_type is CompareType.TOTALORDER:
        x, y = _total_order_array(x), _total_order_array(y)
    return _NUMPY_COMPARISONS[attributes.comparison_direction](x, y)


def _total_order_array(x: Array) -> Array:
    bits = x.view(np.dtype(f"i{x.dtype.itemsize}"))
    return np.where(bits < 0, bits ^ np.iinfo(bits.dtype).max, bits)


def _compare_scalar(operands: Sequence[Expr], result: DType, attributes: CompareAttributes) -> Expr:
    x, y = operands
    if attributes.compare_type is CompareType.TOTALORDER:
        x, y = _total_order_scalar(x), _total_order_scalar(y)
    direction = attributes.comparison_direction
    if x.dtype.is_bool:
        return _compare_bools(x, y, direction)
    return scalar.apply(Primitive[direction.name], x, y)


def _total_order_scalar(x: Expr) -> Expr:
    """The bits of a float as a signed integer with the same order."""
    integer = dtypes.i32 if x.dtype == dtypes.f32 else dtypes.i64
    bits = scalar.bitcast(x, integer)
    flipped = scalar.apply(Primitive.XOR, bits, Constant(2 ** (integer.bits - 1) - 1, integer))
    return scalar.select(scalar.less(bits, Constant(0, integer)), flipped, bits)


def _compare_bools(x: Expr, y: Expr, direction: Direction) -> Expr:
    """Comparison of single bits, false below true, as logic."""

    def not_(value: Expr) -> Expr:
        return scalar.apply(Primitive.NOT, value)

    match direction:
        case Direction.EQ:
            return not_(scalar.apply(Primitive.XOR, x, y))
        case Direction.NE:
            return scalar.apply(Primitive.XOR, x, y)
        case Direction.LT:
            return scalar.logical_and(not_(x), y)
        case Direction.LE:
            return scalar.logical_or(not_(x), y)
        case Direction.GT:
            return scalar.logical_and(x, not_(y))
        case Direction.GE:
            return scalar.logical_or(x, not_(y))


COMPARE = Elementwise(
    "compare",
    operand_names=BINARY_NAMES,
    dtypes=ALL_COMPILED,
    reference=_compare_reference,
    scalar=_compare_scalar,
    result=dtypes.bool_,
    infer=_infer_compare,
    attributes=CompareAttributes,
)
IS_FINITE = unary(
    "is_finite",
    np.isfinite,
    lambda x: scalar.less(scalar.abs_(x), Constant(float("inf"), x.dtype)),
    FLOATS,
    result=dtypes.bool_,
)


def compare(x: Var, y: Var, direction: Direction, compare_type: CompareType | None = None) -> Var:
    """Whether x stands to y as `direction` says: a bool for each element.  With a NaN only `NE` holds."""
    return COMPARE.apply_one(x, y, attributes=CompareAttributes(direction, compare_type))


def is_finite(x: Var) -> Var:
    """Whether x is neither infinite nor NaN."""
    return IS_FINITE.apply_one(x)


def _infer_select(
    operands: Sequence[TensorType], attributes: Attributes, regions: Sequence[Region]
) -> tuple[TensorType, ...]:
    SELECT.require_operands(operands)
    predicate, on_true, _ = operands
    SELECT.require_dtype(1, on_true)
    SELECT.require_same(1, 2, operands)
    if not predicate.dtype.is_bool:
        raise DTypeError(f"select: {predicate} (pred) is not bool", mend="compare it with something")
    if predicate.rank and predicate.shape != on_true.shape:
        what = f"shapes differ, {predicate} (pred) and {on_true} (on_true)"
        raise ShapeError(f"select: {what}", mend="broadcast pred, or give one of rank 0")
    return (on_true,)


SELECT = Elementwise(
    "select",
    operand_names=("pred", "on_true", "on_false"),
    dtypes=ALL_COMPILED,
    reference=lambda arrays, _: np.where(*arrays),
    scalar=lambda operands, _dtype, _attributes: scalar.select(*operands),
    infer=_infer_select,
)


def select(pred: Var, on_true: Var, on_false: Var) -> Var:
    """`on_true` where `pred` holds, else `on_false`; `pred` has their shape or rank 0."""
    return SELECT.apply_one(pred, on_true, on_false)


@SELECT.jvp
def _(site: Site[Attributes], tangents: Sequence[Var | None]) -> Sequence[Var | None]:
    _, on_true, on_false = tangents
    if on_true is None and on_false is None:
        return (None,)
    zero = ops.zeros_like(site.result)
    return (select(site.operands[0], zero if on_true is None else on_true, zero if on_false is None else on_false),)


@SELECT.vjp
def _(site: Site[Attributes], cotangents: Sequence[Var | None]) -> Sequence[Var | None]:
    (cotangent,) = cotangents
    if cotangent is None:
        return (None, None, None)
    predicate, zero = site.operands[0], ops.zeros_like(cotangent)
    return (None, select(predicate, cotangent, zero), select(predicate, zero, cotangent))


def _infer_clamp(
    operands: Sequence[TensorType], attributes: Attributes, regions: Sequence[Region]
) -> tuple[TensorType, ...]:
    CLAMP.require_operands(operands)
    middle = operands[1]
    CLAMP.require_dtype(1, middle)
    bounded = [middle.with_dtype(bound.dtype) if bound.rank == 0 else bound for bound in operands]
    CLAMP.require_same(0, 1, bounded)
    CLAMP.require_same(1, 2, bounded)
    return (middle,)


def _clamp_scalar(operands: Sequence[Expr], result: DType, attributes: Attributes) -> Expr:
    low, x, high = operands
    if result.is_bool:
        return scalar.logical_and(scalar.logical_or(x, low), high)
    return scalar.minimum(scalar.maximum(x, low), high)


def _clamp_reference(arrays: Sequence[Array], attributes: Attributes) -> Array:
    low, x, high = arrays
    return minimum_array(maximum_array(x, low), high)


CLAMP = Elementwise(
    "clamp",
    operand_names=("min", "operand", "max"),
    dtypes=ALL_COMPILED,
    reference=_clamp_reference,
    scalar=_clamp_scalar,
    infer=_infer_clamp,
    domain=((-2.0, -1.0), (-0.9, 0.9), (1.0, 2.0)),
)


def clamp(low: Var, x: Var, high: Var) -> Var:
    """`x` brought between `low` and `high`, which have its shape or rank 0; `high` wins where they cross.

    The derivative goes to a bound where it replaces `x`, else to `x`.
    """
    return CLAMP.apply_one(low, x, high)


@CLAMP.jvp
def _(site: Site[Attributes], tangents: Sequence[Var | None]) -> Sequence[Var | None]:
    if all(tangent is None for tangent in tangents):
        return (None,)
    below, above = _replaced(site)
    low, middle, high = (
        ops.zeros_like(site.result) if tangent is None else _spread(tangent, site.result) for tangent in tangents
    )
    return (select(above, high, select(below, low, middle)),)


@CLAMP.vjp
def _(site: Site[Attributes], cotangents: Sequence[Var | None]) -> Sequence[Var | None]:
    (cotangent,) = cotangents
    if cotangent is None:
        return (None, None, None)
    below, above = _replaced(site)
    zero = ops.zeros_like(cotangent)
    parts = (
        select(above, zero, select(below, cotangent, zero)),
        select(above, zero, select(below, zero, cotangent)),
        select(above, cotangent, zero),
    )
    return tuple(
        part if operand.rank == part.rank else ops.reduce_sum(part, tuple(range(part.rank)))
        for part, operand in zip(parts, site.operands, strict=True)
    )


def _replaced(site: Site[Attributes]) -> tuple[Var, Var]:
    """Where the lower and where the upper bound of a clamp wins; the upper one first."""
    low, x, high = (_spread(operand, site.result) for operand in site.operands)
    return compare(x, low, Direction.LT), compare(high, ops.maximum(x, low), Direction.LT)


def _spread(bound: Var, like: Var) -> Var:
    return bound if bound.rank == like.rank else ops.broadcast_in_dim(bound, like.shape, ())
