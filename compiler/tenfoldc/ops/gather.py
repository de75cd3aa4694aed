"""`gather`: slices of an operand taken at start indices that the program computes.

Dimension numbers are StableHLO's (spec v1.x, "gather").  A start index is clamped so that its slice lies
inside the operand.  The cotangent of a gather is a scatter: that rule is attached in `tenfoldc.ops.scatter`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tenfold_rt.dtypes import DType
from tenfold_rt.errors import ArgumentError, DTypeError, ShapeError
from tenfold_rt.frozen import frozen
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import Attributes, Region
from tenfoldc.ir.op import Array, ElementReader, Kind, Op, RegionFunction, Site
from tenfoldc.ir.types import Dim, TensorType
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Expr
from tenfoldc.ops.broadcast import check_axes


@frozen
class GatherDimensionNumbers:
    """How the axes of operand, start indices and result of a gather correspond, named as in StableHLO."""

    offset_dims: tuple[int, ...] = ()
    collapsed_slice_dims: tuple[int, ...] = ()
    operand_batching_dims: tuple[int, ...] = ()
    start_indices_batching_dims: tuple[int, ...] = ()
    start_index_map: tuple[int, ...] = ()
    index_vector_dim: int = 0


@frozen
class GatherAttributes(Attributes):
    dimension_numbers: GatherDimensionNumbers
    slice_sizes: tuple[int, ...]
    indices_are_sorted: bool = False


def other_axes(rank: int, *taken: Sequence[int]) -> tuple[int, ...]:
    """The axes of a tensor of `rank` that none of `taken` lists."""
    used = {axis for axes in taken for axis in axes}
    return tuple(axis for axis in range(rank) if axis not in used)


def shifted(axes: Sequence[int]) -> tuple[int, ...]:
    """`axes` after one more axis was put in front."""
    return tuple(axis + 1 for axis in axes)


# --- type rule --------------------------------------------------------------------------------------


def check_indices(name: str, indices: TensorType, index_vector_dim: int, wanted: int) -> None:
    """Raise unless `indices` are integers with `wanted` numbers along `index_vector_dim`."""
    if not indices.dtype.is_integer:
        raise DTypeError(f"{name}: the indices are {indices}, not integers", mend="convert them to i32")
    if not 0 <= index_vector_dim <= indices.rank:
        raise ArgumentError(f"{name}: index_vector_dim is {index_vector_dim}, the indices have {indices.rank} axes")
    length = indices.shape[index_vector_dim] if index_vector_dim < indices.rank else 1
    if length != wanted:
        raise ShapeError(
            f"{name}: index vectors hold {length} numbers (indices, axis {index_vector_dim}), "
            f"but {wanted} operand axes are indexed"
        )


def check_batching(
    name: str,
    operand: TensorType,
    indices: TensorType,
    operand_axes: tuple[int, ...],
    index_axes: tuple[int, ...],
    index_vector_dim: int,
) -> None:
    """Raise unless the batching axes of operand and indices pair up with equal sizes."""
    check_axes(name, "the operand's batching axes", operand_axes, operand.rank)
    check_axes(name, "the indices' batching axes", index_axes, indices.rank)
    if index_vector_dim in index_axes:
        raise ArgumentError(f"{name}: axis {index_vector_dim} of the indices is both index vector and batching axis")
    if len(operand_axes) != len(index_axes):
        raise ArgumentError(f"{name}: {len(operand_axes)} batching axes (operand), but {len(index_axes)} (indices)")
    for operand_axis, index_axis in zip(operand_axes, index_axes, strict=True):
        size, other = operand.shape[operand_axis], indices.shape[index_axis]
        if size != other:
            raise ShapeError(
                f"{name}: batching sizes differ, {size} (operand, axis {operand_axis}) "
                f"and {other} (indices, axis {index_axis})"
            )


def _check_slices(operand: TensorType, attributes: GatherAttributes) -> None:
    numbers, sizes = attributes.dimension_numbers, attributes.slice_sizes
    if len(sizes) != operand.rank:
        raise ShapeError(f"gather: {len(sizes)} slice sizes for {operand}, which has {operand.rank} axes")
    batching = numbers.operand_batching_dims
    for axis, (size, extent) in enumerate(zip(sizes, operand.shape, strict=True)):
        where = f"slice size {size} of {extent} (operand, axis {axis})"
        if axis in (*numbers.collapsed_slice_dims, *batching) and size > 1:
            raise ShapeError(f"gather: {where}, a collapsed or batching axis, exceeds 1")
        if not isinstance(extent, int) and size != 1:
            raise ShapeError(f"gather: {where}, a symbolic size, is not 1")
        # A batching axis may be empty: then so is the result, and nothing is read.
        if size < 0 or (isinstance(extent, int) and size > extent and axis not in batching):
            raise ShapeError(f"gather: {where} does not fit")


def _infer(types: Sequence[TensorType], attributes: GatherAttributes, _: Sequence[Region]) -> tuple[TensorType, ...]:
    operand, indices = types
    numbers, sizes = attributes.dimension_numbers, attributes.slice_sizes
    collapsed, batching = numbers.collapsed_slice_dims, numbers.operand_batching_dims
    check_axes("gather", "collapsed_slice_dims and operand_batching_dims", (*collapsed, *batching), operand.rank)
    check_axes(
        "gather",
        "start_index_map and operand_batching_dims",
        (*numbers.start_index_map, *batching),
        operand.rank,
    )
    check_indices("gather", indices, numbers.index_vector_dim, len(numbers.start_index_map))
    check_batching("gather", operand, indices, batching, numbers.start_indices_batching_dims, numbers.index_vector_dim)
    _check_slices(operand, attributes)
    offsets = [sizes[axis] for axis in other_axes(operand.rank, collapsed, batching)]
    batches = [indices.shape[axis] for axis in other_axes(indices.rank, (numbers.index_vector_dim,))]
    if len(offsets) != len(numbers.offset_dims):
        raise ShapeError(f"gather: {len(numbers.offset_dims)} offset_dims, but slices have {len(offsets)} axes")
    rank = len(offsets) + len(batches)
    check_axes("gather", "offset_dims", numbers.offset_dims, rank)
    if list(numbers.offset_dims) != sorted(numbers.offset_dims):
        raise ArgumentError(f"gather: offset_dims {list(numbers.offset_dims)} are not in ascending order")
    remaining: list[Dim] = list(reversed(batches))
    slices: list[Dim] = list(reversed(offsets))
    shape = tuple(slices.pop() if axis in numbers.offset_dims else remaining.pop() for axis in range(rank))
    if 0 in (sizes[axis] for axis in collapsed) and 0 not in shape:
        raise ShapeError(f"gather: nothing can be taken from {operand}, which is empty")
    return (operand.with_shape(shape),)


# --- reference and element rule ---------------------------------------------------------------------


def _reference(arrays: Sequence[Array], attributes: GatherAttributes, _: Sequence[RegionFunction]) -> Sequence[Array]:
    operand, indices = arrays
    numbers, sizes = attributes.dimension_numbers, attributes.slice_sizes
    vectors = index_vectors(indices, numbers.index_vector_dim)
    rank = len(numbers.offset_dims) + vectors.ndim - 1
    batch_axes = other_axes(rank, numbers.offset_dims)
    slice_axes = other_axes(operand.ndim, numbers.collapsed_slice_dims, numbers.operand_batching_dims)
    shape = [0] * rank
    for axis, size in zip(batch_axes, vectors.shape[:-1], strict=True):
        shape[axis] = size
    for axis, slice_axis in zip(numbers.offset_dims, slice_axes, strict=True):
        shape[axis] = sizes[slice_axis]
    if 0 in shape:
        return (np.zeros(shape, operand.dtype),)
    grid = np.indices(shape, sparse=True)
    position: list[Array] = [np.zeros((), np.int64) for _ in range(operand.ndim)]
    for axis, slice_axis in zip(numbers.offset_dims, slice_axes, strict=True):
        position[slice_axis] = grid[axis]
    index_axes = other_axes(indices.ndim, (numbers.index_vector_dim,))
    for axis, index_axis in zip(numbers.operand_batching_dims, numbers.start_indices_batching_dims, strict=True):
        position[axis] = grid[batch_axes[index_axes.index(index_axis)]]
    batch_grid = tuple(grid[axis] for axis in batch_axes)
    for number, axis in enumerate(numbers.start_index_map):
        start = clamped(vectors[..., number], 0, operand.shape[axis] - sizes[axis])
        position[axis] = position[axis] + start[batch_grid]
    return (np.broadcast_to(operand[tuple(position)], shape),)


def clamped(indices: Array, low: int, high: int) -> Array:
    """Indices of any integer type as i64 within [`low`, `high`], where `low` <= 0 <= `high`."""
    # The upper bound comes before the conversion: an unsigned index may exceed every signed one.
    bounded = np.minimum(indices, min(high, np.iinfo(indices.dtype).max))
    return np.maximum(bounded.astype(np.int64), low)


def index_vectors(indices: Array, index_vector_dim: int) -> Array:
    """`indices` with the index vectors along the last axis, which is added where it is implied."""
    if index_vector_dim == indices.ndim:
        return indices[..., None]
    return np.moveaxis(indices, index_vector_dim, -1)


def clamped_index(value: Expr, low: int, high: int) -> Expr:
    """An index of any integer type as an i64 within [`low`, `high`], where `low` <= 0 <= `high`."""
    dtype: DType = value.dtype
    if dtype.is_unsigned:
        if high < 2**dtype.bits:
            value = scalar.minimum(value, scalar.constant(high, dtype))
        return scalar.convert(value, scalar.index(0).dtype)
    wide = scalar.convert(value, scalar.index(0).dtype)
    return scalar.minimum(scalar.maximum(wide, scalar.index(low)), scalar.index(high))


def _element(
    attributes: GatherAttributes,
    types: Sequence[TensorType],
    result: TensorType,
    index: Sequence[Expr],
    read: ElementReader,
) -> Expr:
    operand, indices = types
    numbers, sizes = attributes.dimension_numbers, attributes.slice_sizes
    batch = [index[axis] for axis in other_axes(result.rank, numbers.offset_dims)]
    index_axes = other_axes(indices.rank, (numbers.index_vector_dim,))
    position: list[Expr] = [scalar.index(0)] * operand.rank
    slice_axes = other_axes(operand.rank, numbers.collapsed_slice_dims, numbers.operand_batching_dims)
    for axis, slice_axis in zip(numbers.offset_dims, slice_axes, strict=True):
        position[slice_axis] = index[axis]
    for axis, index_axis in zip(numbers.operand_batching_dims, numbers.start_indices_batching_dims, strict=True):
        position[axis] = batch[index_axes.index(index_axis)]
    for number, axis in enumerate(numbers.start_index_map):
        where = list(batch)
        if numbers.index_vector_dim < indices.rank:
            where.insert(numbers.index_vector_dim, scalar.index(number))
        limit = operand.sizes[axis] - sizes[axis]
        if limit > 0:
            position[axis] = scalar.add(clamped_index(read(1, where), 0, limit), position[axis])
    return read(0, position)


GATHER = Op(
    "gather",
    Kind.INDEXED,
    attributes=GatherAttributes,
    infer=_infer,
    reference=_reference,
    element=_element,
)


def gather(
    operand: Var,
    start_indices: Var,
    dimension_numbers: GatherDimensionNumbers,
    slice_sizes: Sequence[int],
    indices_are_sorted: bool = False,
) -> Var:
    """Slices of `operand`, of `slice_sizes`, at the index vectors in `start_indices`, clamped to lie inside.

    The result's axes `offset_dims` run over a slice, the others over the index vectors.  Raises `ShapeError`,
    `DTypeError` or `ArgumentError` where the dimension numbers do not fit the operands.
    """
    attributes = GatherAttributes(dimension_numbers, tuple(slice_sizes), indices_are_sorted)
    return GATHER.apply_one(operand, start_indices, attributes=attributes)


@GATHER.jvp
def _(site: Site[GatherAttributes], tangents: Sequence[Var | None]) -> Sequence[Var | None]:
    tangent = tangents[0]
    return (None if tangent is None else GATHER.apply_one(tangent, site.operands[1], attributes=site.attributes),)


@GATHER.batch
def _(site: Site[GatherAttributes], batched: Sequence[bool], size: int) -> tuple[Sequence[Var], Sequence[bool]]:
    """The batch axis is one more slice axis, one more axis of the indices, or, in both, a batching axis."""
    operand, indices = site.operands
    old, sizes = site.attributes.dimension_numbers, site.attributes.slice_sizes
    operand_batched, indices_batched = batched
    both = operand_batched and indices_batched
    numbers = GatherDimensionNumbers(
        offset_dims=shifted(old.offset_dims) if indices_batched else (0, *shifted(old.offset_dims)),
        collapsed_slice_dims=shifted(old.collapsed_slice_dims) if operand_batched else old.collapsed_slice_dims,
        operand_batching_dims=(0,) * both
        + (shifted(old.operand_batching_dims) if operand_batched else old.operand_batching_dims),
        start_indices_batching_dims=(0,) * both
        + (shifted(old.start_indices_batching_dims) if indices_batched else old.start_indices_batching_dims),
        start_index_map=shifted(old.start_index_map) if operand_batched else old.start_index_map,
        index_vector_dim=old.index_vector_dim + indices_batched,
    )
    if operand_batched:
        sizes = (1 if both else size, *sizes)
    sorted_indices = site.attributes.indices_are_sorted and not indices_batched
    return (gather(operand, indices, numbers, sizes, sorted_indices),), (True,)
