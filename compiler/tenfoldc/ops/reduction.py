"""`reduce`: combining the elements along axes with a scalar body, over one tensor or several side by side.

A body may be any region; those of `tenfoldc.ops.reducer.Reducer` have derivatives.  As in the StableHLO
specification elements keep their order but may be grouped in any way, so a body should be associative.
Initial values are combined once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.errors import ShapeError, UnsupportedError
from tenfold_rt.frozen import frozen
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import Attributes, Operation, Region
from tenfoldc.ir.op import Array, Kind, Op, RegionFunction, Site
from tenfoldc.ir.types import TensorType, static_shape
from tenfoldc.ops.broadcast import add_batch_axis, broadcast_in_dim, check_axes
from tenfoldc.ops.comparison import Direction
from tenfoldc.ops.creation import constant, full, iota, ones_like
from tenfoldc.ops.reducer import (
    Body,
    Reducer,
    body_of,
    build_body,
    check_body,
    describe,
    neutral_value,
    neutral_values,
    recognise,
    split_operands,
)


@frozen
class ReduceAttributes(Attributes):
    """The axes along which elements are combined; the result lacks them."""

    dimensions: tuple[int, ...]


def kept_axes(rank: int, dimensions: Sequence[int]) -> list[int]:
    """The axes that a reduction along `dimensions` leaves."""
    return [axis for axis in range(rank) if axis not in dimensions]


def _infer(
    operands: Sequence[TensorType], attributes: ReduceAttributes, regions: Sequence[Region]
) -> tuple[TensorType, ...]:
    inputs, inits = split_operands("reduce", operands)
    check_axes("reduce", "dimensions", attributes.dimensions, inputs[0].rank)
    (region,) = regions
    check_body("reduce", inits, region)
    kept = kept_axes(inputs[0].rank, attributes.dimensions)
    return tuple(operand.with_shape(tuple(operand.shape[axis] for axis in kept)) for operand in inputs)


def _reference(
    arrays: Sequence[Array], attributes: ReduceAttributes, regions: Sequence[RegionFunction]
) -> Sequence[Array]:
    (body,) = regions
    count = len(arrays) // 2
    kept = kept_axes(arrays[0].ndim, attributes.dimensions)
    shape = tuple(arrays[0].shape[axis] for axis in kept)
    length = math.prod(arrays[0].shape[axis] for axis in attributes.dimensions)
    order = [*sorted(attributes.dimensions), *kept]
    rows = [np.transpose(array, order).reshape(length, *shape) for array in arrays[:count]]
    inits = [np.broadcast_to(init, shape) for init in arrays[count:]]
    if length == 0:
        return inits
    return _combine(body, inits, [row[0] for row in combine_rows(body, rows)])


def _combine(body: RegionFunction, lhs: Sequence[Array], rhs: Sequence[Array]) -> list[Array]:
    results = zip(body(*lhs, *rhs), lhs, strict=True)
    return [np.broadcast_to(result, like.shape).astype(like.dtype, copy=False) for result, like in results]


def combine_rows(body: RegionFunction, rows: Sequence[Array]) -> Sequence[Array]:
    """Combine along axis 0, of size 1 or more, down to size 1.

    Neighbours are combined in pairs, all at once: elements keep their order and rounding errors grow with the
    logarithm of the length.
    """
    while (length := rows[0].shape[0]) > 1:
        even = length - length % 2
        pairs = _combine(body, [row[0:even:2] for row in rows], [row[1:even:2] for row in rows])
        rows = [np.concatenate([pair, row[even:]]) for pair, row in zip(pairs, rows, strict=True)]
    return rows


REDUCE = Op("reduce", Kind.REDUCTION, attributes=ReduceAttributes, infer=_infer, reference=_reference)


def reduced_axes(operation: Operation) -> frozenset[int]:
    """The operand's axes that a reduction folds away."""
    attributes = operation.attributes
    assert isinstance(attributes, ReduceAttributes)
    return frozenset(attributes.dimensions)


def is_unit_reduction(operation: Operation) -> bool:
    """Whether `operation` reduces one tensor along axes of size 1 only."""
    if operation.op is not REDUCE or len(operation.results) != 1:
        return False
    shape = operation.operands[0].type.shape
    return all(shape[axis] == 1 for axis in reduced_axes(operation))


# Functions


def reduce(operands: Sequence[Var], inits: Sequence[Var], dimensions: Sequence[int], body: Body) -> tuple[Var, ...]:
    """Combine tensors of one shape along `dimensions`, beginning with the scalars `inits`.

    `body(*accumulators, *elements)` gives the new accumulators, all scalars.  Raises `ShapeError` where
    shapes or the body's type do not fit, `DTypeError` where an initial value is of another dtype.
    """
    region = build_body("reduce", [operand.type for operand in operands], body, operands[0].builder)
    return REDUCE.apply(*operands, *inits, attributes=ReduceAttributes(tuple(dimensions)), regions=(region,))


def _reduce_with(reducer: Reducer, x: Var, dimensions: Sequence[int]) -> Var:
    init = constant(x.builder, neutral_value(reducer, x.dtype), x.dtype)
    (result,) = reduce([x], [init], dimensions, body_of(reducer))
    return result


def reduce_sum(x: Var, dimensions: Sequence[int]) -> Var:
    """The sum along `dimensions`, in the dtype of `x`; for bools whether any is true."""
    return _reduce_with(Reducer.SUM, x, dimensions)


def reduce_prod(x: Var, dimensions: Sequence[int]) -> Var:
    """The product along `dimensions`, in the dtype of `x`; for bools whether all are true."""
    return _reduce_with(Reducer.PRODUCT, x, dimensions)


def reduce_max(x: Var, dimensions: Sequence[int]) -> Var:
    """The largest element along `dimensions`, NaN if there is one; of none, the dtype's least value."""
    return _reduce_with(Reducer.MAX, x, dimensions)


def reduce_min(x: Var, dimensions: Sequence[int]) -> Var:
    """The smallest element along `dimensions`, NaN if there is one; of none, the dtype's greatest value."""
    return _reduce_with(Reducer.MIN, x, dimensions)


def reduce_and(x: Var, dimensions: Sequence[int]) -> Var:
    """Whether all bools along `dimensions` are true; for integers, bit by bit."""
    return _reduce_with(Reducer.AND, x, dimensions)


def reduce_or(x: Var, dimensions: Sequence[int]) -> Var:
    """Whether any bool along `dimensions` is true; for integers, bit by bit."""
    return _reduce_with(Reducer.OR, x, dimensions)


def argmax(x: Var, dimension: int, index_dtype: DType = dtypes.i32) -> Var:
    """The index of the largest element along `dimension`: the first of equals, or the first NaN.

    Raises `ShapeError` where there is no element to choose.
    """
    return _select_along(Reducer.ARGMAX, x, dimension, index_dtype)


def argmin(x: Var, dimension: int, index_dtype: DType = dtypes.i32) -> Var:
    """The index of the smallest element along `dimension`: the first of equals, or the first NaN.

    Raises `ShapeError` where there is no element to choose.
    """
    return _select_along(Reducer.ARGMIN, x, dimension, index_dtype)


def _select_along(reducer: Reducer, x: Var, dimension: int, index_dtype: DType) -> Var:
    """The least index at which the extreme, or a NaN, lies: two plain reductions, which vectors can do."""
    check_axes(reducer.value, "dimension", [dimension], x.rank)
    if x.shape[dimension] == 0:
        raise ShapeError(f"{reducer.value}: axis {dimension} of {x.type} has no element to choose")
    extreme = (reduce_max if reducer is Reducer.ARGMAX else reduce_min)(x, [dimension])
    found = ops.compare(x, _along(extreme, x, [dimension]), Direction.EQ)
    if x.type.dtype.is_float:
        found = ops.or_(found, ops.compare(x, x, Direction.NE))
    indices = iota(x.builder, x.type.with_dtype(_place_dtype(x.type, dimension, index_dtype)), dimension)
    (none,) = neutral_values(Reducer.MIN, [indices.type])
    place = reduce_min(ops.select(found, indices, full(x.builder, indices.type, none)), [dimension])
    return ops.convert(place, index_dtype)


def _place_dtype(type_: TensorType, dimension: int, index_dtype: DType) -> DType:
    """Integers for the places along an axis, as wide as its elements where they can be: a vector then holds as many."""
    extent = type_.shape[dimension]
    least = 32 if type_.dtype.is_float else type_.dtype.bits
    for dtype in (dtypes.i8, dtypes.i16, dtypes.i32):
        if least <= dtype.bits < index_dtype.bits and isinstance(extent, int) and extent < 1 << dtype.bits - 1:
            return dtype
    return index_dtype


# Derivatives
#
# The tangent of a result is the sum over elements of weight * tangent, plus the initial value's.  The weights
# are made with ops that have derivatives themselves, so that they are right to any order.


@frozen
class _Weights:
    """Derivatives of the first result by its elements and by its initial value; None stands for ones."""

    elements: Var | None
    init: Var | None


def _weights(site: Site[ReduceAttributes]) -> _Weights:
    (region,) = site.regions
    x, init, dimensions = site.operands[0], site.operands[len(site.results)], site.attributes.dimensions
    match recognise(region):
        case Reducer.SUM:
            return _Weights(None, None)
        case Reducer.PRODUCT:
            product, others = _exclusive_products(x, dimensions)
            return _Weights(ops.multiply(others, broadcast_in_dim(init, x.shape, ())), product)
        case Reducer.MAX | Reducer.MIN:
            extreme = _along(site.results[0], x, dimensions)
            nan = ops.compare(x, x, Direction.NE)
            return _shared(ops.or_(ops.compare(x, extreme, Direction.EQ), nan), x, dimensions)
        case Reducer.ARGMAX | Reducer.ARGMIN:
            chosen = _along(site.results[1], x, dimensions)
            return _shared(ops.compare(site.operands[1], chosen, Direction.EQ), x, dimensions)
        case _:
            raise UnsupportedError(
                f"reduce: there is no derivative for the body of {describe(region)}",
                mend="reduce with a sum, product, maximum or minimum",
            )


def _along(result: Var, x: Var, dimensions: Sequence[int]) -> Var:
    """A result of a reduction, repeated along the axes that it lost."""
    return broadcast_in_dim(result, x.shape, kept_axes(x.rank, dimensions))


def _shared(chosen: Var, x: Var, dimensions: Sequence[int]) -> _Weights:
    """Equal weights for the chosen elements; the initial value has the weight where none is chosen."""
    marks = ops.convert(chosen, x.dtype)
    count = reduce_sum(marks, dimensions)
    one = ones_like(count)
    share = ops.divide(marks, _along(ops.maximum(count, one), x, dimensions))
    return _Weights(share, ops.convert(ops.compare(count, one, Direction.LT), x.dtype))


def _exclusive_products(x: Var, dimensions: Sequence[int]) -> tuple[Var, Var]:
    """The product along `dimensions`, and for every element the product of all others; zeros do no harm."""
    kept = kept_axes(x.rank, dimensions)
    order = [*dimensions, *kept]
    try:
        reduced = static_shape(tuple(x.shape[axis] for axis in dimensions))
    except ValueError:
        raise UnsupportedError("reduce: there is no derivative of a product along a symbolic axis") from None
    rest = tuple(x.shape[axis] for axis in kept)
    rows = ops.reshape(ops.transpose(x, order), (math.prod(reduced), *rest))
    product, others = _exclusive_row_products(rows)
    spread = ops.reshape(others, (*reduced, *rest))
    return ops.reshape(product, rest), ops.transpose(spread, ops.inverse_permutation(order))


def _exclusive_row_products(rows: Var) -> tuple[Var, Var]:
    """Of `rows` along axis 0: the product, keeping the axis, and each row's product of the other rows.

    Halves are multiplied until one row is left; going back, each row has its partner's factor.
    """
    (length,) = static_shape(rows.shape[:1])
    one = constant(rows.builder, 1, rows.dtype)
    if length <= 1:
        edges = [0] * rows.rank
        return ops.pad(rows, one, [1 - length, *edges[1:]], edges), ones_like(rows)
    if length % 2:
        padded = ops.pad(rows, one, [0] * rows.rank, [1, *[0] * (rows.rank - 1)])
        product, others = _exclusive_row_products(padded)
        return product, _rows(others, 0, length)
    lower, upper = _rows(rows, 0, length // 2), _rows(rows, length // 2, length)
    product, others = _exclusive_row_products(ops.multiply(lower, upper))
    return product, ops.concatenate([ops.multiply(others, upper), ops.multiply(others, lower)], 0)


def _rows(x: Var, start: int, end: int) -> Var:
    return ops.slice_(x, (start, *[0] * (x.rank - 1)), (end, *x.shape[1:]))


def _weighted(weight: Var | None, value: Var) -> Var:
    return value if weight is None else ops.multiply(weight, value)


@REDUCE.jvp
def _(site: Site[ReduceAttributes], tangents: Sequence[Var | None]) -> Sequence[Var | None]:
    count = len(site.results)
    if all(tangent is None for tangent in tangents):
        return (None,) * count
    weights = _weights(site)
    by_element, by_init = tangents[0], tangents[count]
    terms: list[Var] = []
    if by_element is not None:
        terms.append(reduce_sum(_weighted(weights.elements, by_element), site.attributes.dimensions))
    if by_init is not None:
        shape = site.results[0].shape
        terms.append(_weighted(weights.init, broadcast_in_dim(by_init, shape, ())))
    total = terms[0] if len(terms) == 1 else ops.add(terms[0], terms[1]) if terms else None
    return (total, *(None for _ in range(count - 1)))


@REDUCE.vjp
def _(site: Site[ReduceAttributes], cotangents: Sequence[Var | None]) -> Sequence[Var | None]:
    cotangent, count = cotangents[0], len(site.results)
    if cotangent is None:
        return (None,) * len(site.operands)
    weights = _weights(site)
    spread = _along(cotangent, site.operands[0], site.attributes.dimensions)
    by_init = reduce_sum(_weighted(weights.init, cotangent), range(cotangent.rank))
    rest = (None,) * (count - 1)
    return (_weighted(weights.elements, spread), *rest, by_init, *rest)


# Batching


@REDUCE.batch
def _(site: Site[ReduceAttributes], batched: Sequence[bool], size: int) -> tuple[Sequence[Var], Sequence[bool]]:
    count = len(site.operands) // 2
    inputs = [
        operand if flag else add_batch_axis(operand, size)
        for operand, flag in zip(site.operands[:count], batched[:count], strict=True)
    ]
    inits = list(site.operands[count:])
    dimensions = [axis + 1 for axis in site.attributes.dimensions]
    if any(batched[count:]):
        inputs, inits, dimensions = _inits_as_elements(site, inputs, batched[count:], dimensions)
    attributes = ReduceAttributes(tuple(dimensions))
    results = REDUCE.apply(*inputs, *inits, attributes=attributes, regions=site.regions)
    return results, (True,) * count


def _inits_as_elements(
    site: Site[ReduceAttributes], inputs: Sequence[Var], batched: Sequence[bool], dimensions: Sequence[int]
) -> tuple[list[Var], list[Var], list[int]]:
    """Put initial values that differ from one batch element to the next in front of the elements."""
    (region,) = site.regions
    reducer = recognise(region)
    if reducer is None:
        raise UnsupportedError(
            f"reduce: the initial value of the body of {describe(region)} differs within a batch",
            mend="reduce with a neutral initial value and combine the two afterwards",
        )
    builder, types = inputs[0].builder, [value.type for value in inputs]
    length = math.prod(static_shape(tuple(types[0].shape[axis] for axis in dimensions)))
    kept = kept_axes(types[0].rank, dimensions)
    order = [*kept, *sorted(dimensions)]
    joined: list[Var] = []
    for value, init, flag in zip(inputs, site.operands[len(inputs) :], batched, strict=True):
        rest = tuple(value.shape[axis] for axis in kept)
        rows = ops.reshape(ops.transpose(value, order), (*rest, length))
        first = broadcast_in_dim(init, (*rest, 1), (0,) if flag else ())
        joined.append(ops.concatenate([first, rows], len(rest)))
    neutral = zip(neutral_values(reducer, types), types, strict=True)
    inits = [full(builder, TensorType(type_.dtype), number) for number, type_ in neutral]
    return joined, inits, [len(kept)]
