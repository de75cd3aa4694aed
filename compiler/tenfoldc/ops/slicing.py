"""Ops that take parts of tensors and put parts together: slice, pad and concatenate.

Each is the transpose of another: a slice's cotangent is padded, a pad's and a concatenation's are sliced.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import accumulate, pairwise

import numpy as np

from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError, DTypeError, ShapeError
from tenfold_rt.frozen import frozen
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import Attributes, Region
from tenfoldc.ir.op import Array, ElementReader, Kind, Op, RegionFunction, Site
from tenfoldc.ir.types import Dim, Symbol, TensorType, static_shape
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Expr
from tenfoldc.ops.broadcast import add_batch_axis, broadcast_in_dim
from tenfoldc.ops.creation import constant, full, zeros_like


def clamp_index(index: Expr, last: int) -> Expr:
    """`index` moved into 0 to `last`."""
    return scalar.maximum(scalar.index(0), scalar.minimum(index, scalar.index(last)))


# slice


@frozen
class SliceAttributes(Attributes):
    """Per axis, the first index, the index to stop before, and the step.  A symbolic axis is taken whole."""

    start_indices: tuple[int, ...]
    limit_indices: tuple[Dim, ...]
    strides: tuple[int, ...]


def _sliced_size(axis: int, size: Dim, start: int, limit: Dim, stride: int) -> Dim:
    if stride < 1:
        raise ArgumentError(f"slice: stride {stride} (axis {axis}) is not positive", mend="use reverse to go backwards")
    if isinstance(size, Symbol) or isinstance(limit, Symbol):
        if (start, limit, stride) != (0, size, 1):
            raise ShapeError(f"slice: axis {axis} has the symbolic size {size}, of which only the whole can be taken")
        return size
    if not 0 <= start <= limit <= size:
        raise ShapeError(f"slice: {start} to {limit} (axis {axis}) does not lie in 0 to {size}")
    return -(-(limit - start) // stride)


def _infer_slice(
    operands: Sequence[TensorType], attributes: SliceAttributes, regions: Sequence[Region]
) -> tuple[TensorType, ...]:
    (operand,) = operands
    bounds = (attributes.start_indices, attributes.limit_indices, attributes.strides)
    if any(len(bound) != operand.rank for bound in bounds):
        raise ArgumentError(
            f"slice: {operand} needs {operand.rank} start_indices, limit_indices and strides; "
            f"there are {len(bounds[0])}, {len(bounds[1])} and {len(bounds[2])}"
        )
    sizes = (_sliced_size(axis, *of) for axis, of in enumerate(zip(operand.shape, *bounds, strict=True)))
    return (operand.with_shape(tuple(sizes)),)


def _slice_reference(
    arrays: Sequence[Array], attributes: SliceAttributes, regions: Sequence[RegionFunction]
) -> Sequence[Array]:
    bounds = zip(attributes.start_indices, static_shape(attributes.limit_indices), attributes.strides, strict=True)
    return (arrays[0][tuple(slice(*bound) for bound in bounds)],)


def _slice_element(
    attributes: SliceAttributes,
    operands: Sequence[TensorType],
    result: TensorType,
    index: Sequence[Expr],
    read: ElementReader,
) -> Expr:
    return read(
        0,
        [
            scalar.add(scalar.mul(position, scalar.index(stride)), scalar.index(start))
            for position, start, stride in zip(index, attributes.start_indices, attributes.strides, strict=True)
        ],
    )


SLICE = Op(
    "slice",
    Kind.MOVEMENT,
    attributes=SliceAttributes,
    infer=_infer_slice,
    reference=_slice_reference,
    element=_slice_element,
)


def slice_(
    x: Var, start_indices: Sequence[int], limit_indices: Sequence[Dim], strides: Sequence[int] | None = None
) -> Var:
    """Every `strides[i]`-th element of `x` from `start_indices[i]` up to, without, `limit_indices[i]`.

    Raises `ShapeError` where the bounds lie outside `x`, `ArgumentError` where a stride is not positive.
    """
    steps = (1,) * x.rank if strides is None else tuple(strides)
    return SLICE.apply_one(x, attributes=SliceAttributes(tuple(start_indices), tuple(limit_indices), steps))


@SLICE.jvp
def _(site: Site[SliceAttributes], tangents: Sequence[Var | None]) -> Sequence[Var | None]:
    (tangent,) = tangents
    return (None if tangent is None else SLICE.apply_one(tangent, attributes=site.attributes),)


@SLICE.vjp
def _(site: Site[SliceAttributes], cotangents: Sequence[Var | None]) -> Sequence[Var | None]:
    (cotangent,) = cotangents
    if cotangent is None:
        return (None,)
    (x,) = site.operands
    high: list[int] = []
    bounds = zip(site.attributes.start_indices, site.attributes.strides, strict=True)
    for size, taken, (start, stride) in zip(x.shape, cotangent.shape, bounds, strict=True):
        if isinstance(size, Symbol) or isinstance(taken, Symbol):
            high.append(0)
        else:
            high.append(size - start - max(0, (taken - 1) * stride + 1))
    interior = [stride - 1 for stride in site.attributes.strides]
    zero = constant(x.builder, 0, x.dtype)
    return (pad(cotangent, zero, site.attributes.start_indices, high, interior),)


@SLICE.batch
def _(site: Site[SliceAttributes], batched: Sequence[bool], size: int) -> tuple[Sequence[Var], Sequence[bool]]:
    (x,), of = site.operands, site.attributes
    return (slice_(x, (0, *of.start_indices), (size, *of.limit_indices), (1, *of.strides)),), (True,)


# pad


@frozen
class PadAttributes(Attributes):
    """Per axis, elements added before, after, and between neighbours; negative edges remove elements."""

    edge_padding_low: tuple[int, ...]
    edge_padding_high: tuple[int, ...]
    interior_padding: tuple[int, ...]


def _padded_size(axis: int, size: Dim, low: int, high: int, interior: int) -> Dim:
    if interior < 0:
        raise ArgumentError(f"pad: interior padding {interior} (axis {axis}) is negative")
    if isinstance(size, Symbol):
        if (low, high, interior) != (0, 0, 0):
            raise ShapeError(f"pad: axis {axis} has the symbolic size {size}, which cannot be padded")
        return size
    padded = low + size + max(size - 1, 0) * interior + high
    if padded < 0:
        raise ShapeError(
            f"pad: {low} and {high} (axis {axis}) remove more than the {padded - low - high} elements there"
        )
    return padded


def _infer_pad(
    operands: Sequence[TensorType], attributes: PadAttributes, regions: Sequence[Region]
) -> tuple[TensorType, ...]:
    operand, value = operands
    if value != TensorType(operand.dtype):
        raise DTypeError(f"pad: the padding value is {value}; {operand} needs {TensorType(operand.dtype)}")
    edges = (attributes.edge_padding_low, attributes.edge_padding_high, attributes.interior_padding)
    if any(len(edge) != operand.rank for edge in edges):
        raise ArgumentError(
            f"pad: {operand} needs {operand.rank} low, high and interior paddings; "
            f"there are {len(edges[0])}, {len(edges[1])} and {len(edges[2])}"
        )
    sizes = (_padded_size(axis, *of) for axis, of in enumerate(zip(operand.shape, *edges, strict=True)))
    return (operand.with_shape(tuple(sizes)),)


def _pad_reference(
    arrays: Sequence[Array], attributes: PadAttributes, regions: Sequence[RegionFunction]
) -> Sequence[Array]:
    x, value = arrays
    return (
        pad_array(x, value, attributes.edge_padding_low, attributes.edge_padding_high, attributes.interior_padding),
    )


def pad_array(x: Array, value: Array | int, low: Sequence[int], high: Sequence[int], interior: Sequence[int]) -> Array:
    """`x` padded as `pad` does it, with NumPy; an axis from which too much is removed is empty."""
    edges = list(zip(x.shape, low, high, interior, strict=True))
    extents = [size + max(size - 1, 0) * gap for size, _, _, gap in edges]
    added = [max(before, 0) + max(after, 0) for _, before, after, _ in edges]
    spread = np.full([extent + more for extent, more in zip(extents, added, strict=True)], value, x.dtype)
    filled = [
        slice(max(before, 0), max(before, 0) + extent, gap + 1)
        for extent, (_, before, _, gap) in zip(extents, edges, strict=True)
    ]
    spread[tuple(filled)] = x
    kept = [
        slice(max(-before, 0), max(size - max(-after, 0), 0))
        for size, (_, before, after, _) in zip(spread.shape, edges, strict=True)
    ]
    return spread[tuple(kept)]


def _pad_element(
    attributes: PadAttributes,
    operands: Sequence[TensorType],
    result: TensorType,
    index: Sequence[Expr],
    read: ElementReader,
) -> Expr:
    x, value = operands[0], read(1, ())
    if 0 in x.shape:
        return value
    source: list[Expr] = []
    inside: list[Expr] = []
    edges = zip(attributes.edge_padding_low, attributes.edge_padding_high, attributes.interior_padding, strict=True)
    for position, size, (low, high, interior) in zip(index, x.shape, edges, strict=True):
        if isinstance(size, Symbol):
            source.append(position)
            continue
        last = (size - 1) * (interior + 1)
        shifted = scalar.add(position, scalar.index(-low))
        if low > 0:
            inside.append(scalar.greater_equal(shifted, scalar.index(0)))
        if high > 0:
            inside.append(scalar.less_equal(shifted, scalar.index(last)))
        within = clamp_index(shifted, last) if low > 0 or high > 0 else shifted
        if interior:
            step = scalar.index(interior + 1)
            inside.append(scalar.equal(scalar.rem(within, step), scalar.index(0)))
            within = scalar.div(within, step)
        source.append(within)
    chosen = read(0, source)
    return scalar.select(all_hold(inside), chosen, value) if inside else chosen


def all_hold(conditions: Sequence[Expr]) -> Expr:
    """The conjunction of one or more conditions."""
    return reduce(scalar.logical_and, conditions)


PAD = Op(
    "pad",
    Kind.MOVEMENT,
    attributes=PadAttributes,
    infer=_infer_pad,
    reference=_pad_reference,
    element=_pad_element,
)


def pad(x: Var, value: Var, low: Sequence[int], high: Sequence[int], interior: Sequence[int] | None = None) -> Var:
    """`x` with the scalar `value` added at both edges of each axis and, `interior` times, between neighbours.

    Negative `low` and `high` remove elements instead.  Raises `ShapeError` where more are removed than there
    are, `DTypeError` where `value` is not a scalar of the dtype of `x`.
    """
    gaps = (0,) * x.rank if interior is None else tuple(interior)
    return PAD.apply_one(x, value, attributes=PadAttributes(tuple(low), tuple(high), gaps))


@PAD.jvp
def _(site: Site[PadAttributes], tangents: Sequence[Var | None]) -> Sequence[Var | None]:
    x, value = (
        zeros_like(operand) if tangent is None else tangent
        for operand, tangent in zip(site.operands, tangents, strict=True)
    )
    return (PAD.apply_one(x, value, attributes=site.attributes),)


@PAD.vjp
def _(site: Site[PadAttributes], cotangents: Sequence[Var | None]) -> Sequence[Var | None]:
    (cotangent,) = cotangents
    if cotangent is None:
        return (None, None)
    x, of = site.operands[0], site.attributes
    low, high = ([-edge for edge in edges] for edges in (of.edge_padding_low, of.edge_padding_high))
    spread = pad(cotangent, constant(x.builder, 0, x.dtype), low, high)
    taken = slice_(spread, (0,) * x.rank, spread.shape, [interior + 1 for interior in of.interior_padding])
    inside = full(x.builder, x.type.with_dtype(dtypes.bool_), False)
    added = PAD.apply_one(inside, constant(x.builder, True), attributes=of)
    outside = ops.select(added, cotangent, zeros_like(cotangent))
    return (taken, ops.reduce_sum(outside, range(cotangent.rank)))


@PAD.batch
def _(site: Site[PadAttributes], batched: Sequence[bool], size: int) -> tuple[Sequence[Var], Sequence[bool]]:
    (x, value), of = site.operands, site.attributes
    low, high = (0, *of.edge_padding_low), (0, *of.edge_padding_high)
    interior = (0, *of.interior_padding)
    if not batched[1]:
        return (pad(x, value, low, high, interior),), (True,)
    whole = x if batched[0] else add_batch_axis(x, size)
    padded = pad(whole, constant(x.builder, 0, x.dtype), low, high, interior)
    inside = full(x.builder, whole.type.with_dtype(dtypes.bool_), True)
    taken = pad(inside, constant(x.builder, False), low, high, interior)
    return (ops.select(taken, padded, broadcast_in_dim(value, padded.shape, (0,))),), (True,)


# concatenate


@frozen
class ConcatenateAttributes(Attributes):
    """The axis along which operands follow each other."""

    dimension: int


def _infer_concatenate(
    operands: Sequence[TensorType], attributes: ConcatenateAttributes, regions: Sequence[Region]
) -> tuple[TensorType, ...]:
    if not operands:
        raise ArgumentError("concatenate: there is nothing to concatenate")
    first, dimension = operands[0], attributes.dimension
    if not 0 <= dimension < first.rank:
        raise ArgumentError(f"concatenate: axis {dimension} is not one of {first}")
    length = 0
    for number, operand in enumerate(operands):
        if operand.dtype != first.dtype:
            raise DTypeError(f"concatenate: operand 0 is {first.dtype}, operand {number} is {operand.dtype}")
        if operand.rank != first.rank:
            raise ShapeError(f"concatenate: ranks differ, {first} (operand 0) and {operand} (operand {number})")
        for axis, (expected, size) in enumerate(zip(first.shape, operand.shape, strict=True)):
            if axis != dimension and size != expected:
                raise ShapeError(f"concatenate: axis {axis} is {expected} in operand 0 and {size} in operand {number}")
        size = operand.shape[dimension]
        if isinstance(size, Symbol):
            raise ShapeError(
                f"concatenate: the joined axis {dimension} of operand {number} has the symbolic size {size}"
            )
        length += size
    return (first.with_shape((*first.shape[:dimension], length, *first.shape[dimension + 1 :])),)


def _concatenate_reference(
    arrays: Sequence[Array], attributes: ConcatenateAttributes, regions: Sequence[RegionFunction]
) -> Sequence[Array]:
    return (np.concatenate(arrays, attributes.dimension),)


def _ends(types: Sequence[TensorType], dimension: int) -> list[int]:
    """Where each operand of a concatenation ends in the result."""
    return list(accumulate(static_shape(tuple(type_.shape[dimension] for type_ in types))))


def _concatenate_element(
    attributes: ConcatenateAttributes,
    operands: Sequence[TensorType],
    result: TensorType,
    index: Sequence[Expr],
    read: ElementReader,
) -> Expr:
    dimension = attributes.dimension
    ends = _ends(operands, dimension)
    present = [(number, start, end) for number, (start, end) in enumerate(pairwise([0, *ends])) if start < end]
    if not present:
        return scalar.constant(0, result.dtype)
    chosen: Expr | None = None
    for number, start, end in reversed(present):
        position = scalar.add(index[dimension], scalar.index(-start))
        if len(present) > 1:
            position = clamp_index(position, end - start - 1)
        part = read(number, [*index[:dimension], position, *index[dimension + 1 :]])
        before_end = scalar.less(index[dimension], scalar.index(end))
        chosen = part if chosen is None else scalar.select(before_end, part, chosen)
    assert chosen is not None
    return chosen


CONCATENATE = Op(
    "concatenate",
    Kind.MOVEMENT,
    attributes=ConcatenateAttributes,
    infer=_infer_concatenate,
    reference=_concatenate_reference,
    element=_concatenate_element,
)


def concatenate(xs: Sequence[Var], dimension: int) -> Var:
    """The tensors `xs`, at least one, one after the other along `dimension`; their other sizes agree.

    Raises `ShapeError` where sizes differ, `DTypeError` where dtypes differ.
    """
    if not xs:
        raise ArgumentError("concatenate: there is nothing to concatenate")
    return CONCATENATE.apply_one(*xs, attributes=ConcatenateAttributes(dimension))


@CONCATENATE.jvp
def _(site: Site[ConcatenateAttributes], tangents: Sequence[Var | None]) -> Sequence[Var | None]:
    parts = [
        zeros_like(operand) if tangent is None else tangent
        for operand, tangent in zip(site.operands, tangents, strict=True)
    ]
    return (concatenate(parts, site.attributes.dimension),)


@CONCATENATE.vjp
def _(site: Site[ConcatenateAttributes], cotangents: Sequence[Var | None]) -> Sequence[Var | None]:
    (cotangent,) = cotangents
    if cotangent is None:
        return (None,) * len(site.operands)
    dimension = site.attributes.dimension
    ends = _ends([operand.type for operand in site.operands], dimension)
    parts: list[Var] = []
    for start, end in pairwise([0, *ends]):
        starts, limits = [0] * cotangent.rank, list(cotangent.shape)
        starts[dimension], limits[dimension] = start, end
        parts.append(slice_(cotangent, starts, limits))
    return parts


@CONCATENATE.batch
def _(site: Site[ConcatenateAttributes], batched: Sequence[bool], size: int) -> tuple[Sequence[Var], Sequence[bool]]:
    parts = [
        operand if flag else add_batch_axis(operand, size) for operand, flag in zip(site.operands, batched, strict=True)
    ]
    return (concatenate(parts, site.attributes.dimension + 1),), (True,)
