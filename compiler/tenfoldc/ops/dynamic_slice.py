"""Slices whose place is data: `dynamic_slice` reads a block, `dynamic_update_slice` overwrites one.

A start that would let the block reach outside is moved inside, as the StableHLO specification says:
start = clamp(0, start, size of operand - size of block).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tenfold_rt import dtypes
from tenfold_rt.errors import DTypeError, ShapeError
from tenfold_rt.frozen import frozen
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import Attributes, Region
from tenfoldc.ir.op import A, Array, ElementReader, Kind, Op, RegionFunction, Site
from tenfoldc.ir.types import Dim, Symbol, TensorType, static_shape
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Expr
from tenfoldc.ops.broadcast import add_batch_axis
from tenfoldc.ops.creation import constant, zeros_like
from tenfoldc.ops.slicing import all_hold, clamp_index


@frozen
class DynamicSliceAttributes(Attributes):
    """The shape of the block that is read."""

    slice_sizes: tuple[Dim, ...]


def _check_block(name: str, operand: TensorType, block: Sequence[Dim], starts: Sequence[TensorType]) -> None:
    if len(block) != operand.rank or len(starts) != operand.rank:
        raise ShapeError(
            f"{name}: {operand} needs a block of {operand.rank} axes and as many starts; "
            f"there are {len(block)} axes and {len(starts)} starts"
        )
    for axis, (size, taken) in enumerate(zip(operand.shape, block, strict=True)):
        if size == taken:
            continue
        if isinstance(size, Symbol) or isinstance(taken, Symbol) or not 0 <= taken <= size:
            raise ShapeError(f"{name}: a block of size {taken} does not fit into {size} (axis {axis})")
    for number, start in enumerate(starts):
        if start.rank or not start.dtype.is_integer:
            raise DTypeError(f"{name}: start {number} is {start}", mend="starts are integers of rank 0")
        if start.dtype != starts[0].dtype:
            raise DTypeError(f"{name}: starts have element types {starts[0].dtype} and {start.dtype}")


def _clamped_starts(starts: Sequence[Array], shape: Sequence[int], block: Sequence[int]) -> list[int]:
    sizes = zip(starts, shape, block, strict=True)
    return [min(max(int(start), 0), size - taken) for start, size, taken in sizes]


def _start(value: Expr, size: Dim, taken: Dim) -> Expr:
    """A start as an i64 index, moved so that the block lies inside."""
    if isinstance(size, Symbol) or isinstance(taken, Symbol) or size == taken:
        return scalar.index(0)
    if value.dtype == dtypes.u64:  # beyond the range of i64 it would turn negative
        value = scalar.minimum(value, scalar.constant(size - taken, dtypes.u64))
    return clamp_index(scalar.convert(value, dtypes.i64), size - taken)


def _start_matrix(site: Site[A], first: int, batched: Sequence[bool], size: int) -> Var:
    """The starts of every batch element, from operand `first` on, of shape (size, number of starts)."""
    columns: list[Var] = []
    for start, flag in zip(site.operands[first:], batched[first:], strict=True):
        column = start if flag else add_batch_axis(start, size)
        columns.append(ops.reshape(column, (size, 1)))
    return ops.concatenate(columns, 1)


# dynamic_slice


def _infer_dynamic_slice(
    operands: Sequence[TensorType], attributes: DynamicSliceAttributes, regions: Sequence[Region]
) -> tuple[TensorType, ...]:
    operand, *starts = operands
    _check_block("dynamic_slice", operand, attributes.slice_sizes, starts)
    return (operand.with_shape(attributes.slice_sizes),)


def _dynamic_slice_reference(
    arrays: Sequence[Array], attributes: DynamicSliceAttributes, regions: Sequence[RegionFunction]
) -> Sequence[Array]:
    x, *starts = arrays
    sizes = static_shape(attributes.slice_sizes)
    corner = _clamped_starts(starts, x.shape, sizes)
    return (x[tuple(slice(start, start + taken) for start, taken in zip(corner, sizes, strict=True))],)


def _dynamic_slice_element(
    attributes: DynamicSliceAttributes,
    operands: Sequence[TensorType],
    result: TensorType,
    index: Sequence[Expr],
    read: ElementReader,
) -> Expr:
    x = operands[0]
    if 0 in x.shape:
        return scalar.constant(0, x.dtype)
    source: list[Expr] = []
    for axis, (position, size, taken) in enumerate(zip(index, x.shape, result.shape, strict=True)):
        source.append(scalar.add(_start(read(axis + 1, ()), size, taken), position))
    return read(0, source)


DYNAMIC_SLICE = Op(
    "dynamic_slice",
    Kind.MOVEMENT,
    attributes=DynamicSliceAttributes,
    infer=_infer_dynamic_slice,
    reference=_dynamic_slice_reference,
    element=_dynamic_slice_element,
)


def dynamic_slice(x: Var, starts: Sequence[Var], sizes: Sequence[Dim]) -> Var:
    """The block of `x` of shape `sizes` that begins at `starts`, one integer scalar per axis, moved inside.

    Raises `ShapeError` where the block is larger than `x`, `DTypeError` where a start is not an integer
    scalar.
    """
    return DYNAMIC_SLICE.apply_one(x, *starts, attributes=DynamicSliceAttributes(tuple(sizes)))


@DYNAMIC_SLICE.jvp
def _(site: Site[DynamicSliceAttributes], tangents: Sequence[Var | None]) -> Sequence[Var | None]:
    tangent = tangents[0]
    if tangent is None:
        return (None,)
    return (dynamic_slice(tangent, site.operands[1:], site.attributes.slice_sizes),)


@DYNAMIC_SLICE.vjp
def _(site: Site[DynamicSliceAttributes], cotangents: Sequence[Var | None]) -> Sequence[Var | None]:
    (cotangent,) = cotangents
    x, *starts = site.operands
    if cotangent is None:
        return (None,) * len(site.operands)
    return (dynamic_update_slice(zeros_like(x), cotangent, starts), *(None for _ in starts))


@DYNAMIC_SLICE.batch
def _(site: Site[DynamicSliceAttributes], batched: Sequence[bool], size: int) -> tuple[Sequence[Var], Sequence[bool]]:
    (x, *starts), sizes = site.operands, site.attributes.slice_sizes
    if not any(batched[1:]):
        zero = constant(x.builder, 0, starts[0].dtype if starts else dtypes.i32)
        return (dynamic_slice(x, (zero, *starts), (size, *sizes)),), (True,)
    return (_gather_blocks(site, batched, size),), (True,)


def _gather_blocks(site: Site[DynamicSliceAttributes], batched: Sequence[bool], size: int) -> Var:
    """One block per batch element, each with its own start; gather clamps starts in the same way."""
    x, rank = site.operands[0], len(site.operands) - 1
    sizes = static_shape(site.attributes.slice_sizes)
    shared = 1 if batched[0] else 0
    batching = tuple(range(shared))
    numbers = ops.GatherDimensionNumbers(
        offset_dims=tuple(range(1, rank + 1)),
        collapsed_slice_dims=(),
        operand_batching_dims=batching,
        start_indices_batching_dims=batching,
        start_index_map=tuple(range(shared, rank + shared)),
        index_vector_dim=1,
    )
    return ops.gather(x, _start_matrix(site, 1, batched, size), numbers, (1,) * shared + sizes)


# dynamic_update_slice


def _infer_dynamic_update_slice(
    operands: Sequence[TensorType], attributes: Attributes, regions: Sequence[Region]
) -> tuple[TensorType, ...]:
    operand, update, *starts = operands
    if update.dtype != operand.dtype:
        raise DTypeError(f"dynamic_update_slice: the update is {update.dtype}, the operand {operand.dtype}")
    _check_block("dynamic_update_slice", operand, update.shape, starts)
    return (operand,)


def _dynamic_update_slice_reference(
    arrays: Sequence[Array], attributes: Attributes, regions: Sequence[RegionFunction]
) -> Sequence[Array]:
    x, update, *starts = arrays
    corner = _clamped_starts(starts, x.shape, update.shape)
    result = np.array(x)
    result[tuple(slice(start, start + size) for start, size in zip(corner, update.shape, strict=True))] = update
    return (result,)


def _dynamic_update_slice_element(
    attributes: Attributes,
    operands: Sequence[TensorType],
    result: TensorType,
    index: Sequence[Expr],
    read: ElementReader,
) -> Expr:
    x, update = operands[:2]
    old = read(0, index)
    if 0 in update.shape:
        return old
    source: list[Expr] = []
    inside: list[Expr] = []
    for axis, (position, size, taken) in enumerate(zip(index, x.shape, update.shape, strict=True)):
        if isinstance(size, Symbol) or isinstance(taken, Symbol) or size == taken:
            source.append(position)
            continue
        shifted = scalar.sub(position, _start(read(axis + 2, ()), size, taken))
        inside.append(scalar.greater_equal(shifted, scalar.index(0)))
        inside.append(scalar.less(shifted, scalar.index(taken)))
        source.append(clamp_index(shifted, taken - 1))
    new = read(1, source)
    return scalar.select(all_hold(inside), new, old) if inside else new


DYNAMIC_UPDATE_SLICE = Op(
    "dynamic_update_slice",
    Kind.MOVEMENT,
    infer=_infer_dynamic_update_slice,
    reference=_dynamic_update_slice_reference,
    element=_dynamic_update_slice_element,
)


def dynamic_update_slice(x: Var, update: Var, starts: Sequence[Var]) -> Var:
    """`x` with the block that begins at `starts`, one integer scalar per axis, moved inside, set to `update`.

    Raises `ShapeError` where `update` is larger than `x`, `DTypeError` where its dtype is another.
    """
    return DYNAMIC_UPDATE_SLICE.apply_one(x, update, *starts)


@DYNAMIC_UPDATE_SLICE.jvp
def _(site: Site[Attributes], tangents: Sequence[Var | None]) -> Sequence[Var | None]:
    if tangents[0] is None and tangents[1] is None:
        return (None,)
    x, update = (
        zeros_like(operand) if tangent is None else tangent
        for operand, tangent in zip(site.operands[:2], tangents[:2], strict=True)
    )
    return (dynamic_update_slice(x, update, site.operands[2:]),)


@DYNAMIC_UPDATE_SLICE.vjp
def _(site: Site[Attributes], cotangents: Sequence[Var | None]) -> Sequence[Var | None]:
    (cotangent,) = cotangents
    _, update, *starts = site.operands
    if cotangent is None:
        return (None,) * len(site.operands)
    kept = dynamic_update_slice(cotangent, zeros_like(update), starts)
    return (kept, dynamic_slice(cotangent, starts, update.shape), *(None for _ in starts))


@DYNAMIC_UPDATE_SLICE.batch
def _(site: Site[Attributes], batched: Sequence[bool], size: int) -> tuple[Sequence[Var], Sequence[bool]]:
    x, update = (
        operand if flag else add_batch_axis(operand, size)
        for operand, flag in zip(site.operands[:2], batched[:2], strict=True)
    )
    starts = site.operands[2:]
    if not any(batched[2:]):
        zero = constant(x.builder, 0, starts[0].dtype if starts else dtypes.i32)
        return (dynamic_update_slice(x, update, (zero, *starts)),), (True,)
    return (_scatter_blocks(x, update, _start_matrix(site, 2, batched, size)),), (True,)


def _scatter_blocks(x: Var, update: Var, starts: Var) -> Var:
    """`x` with one block per batch element replaced; starts are clamped, as scatter drops what is outside."""
    builder, rank = x.builder, x.rank - 1
    largest = int(np.iinfo(starts.dtype.numpy.name).max)
    last = [min(size - taken, largest) for size, taken in zip(x.sizes[1:], update.sizes[1:], strict=True)]
    low = constant(builder, 0, starts.dtype)
    high = ops.broadcast_in_dim(constant(builder, last, starts.dtype), starts.shape, (1,))
    clamped = ops.minimum(ops.maximum(starts, ops.broadcast_in_dim(low, starts.shape, ())), high)
    numbers = ops.ScatterDimensionNumbers(
        update_window_dims=tuple(range(1, rank + 1)),
        inserted_window_dims=(),
        input_batching_dims=(0,),
        scatter_indices_batching_dims=(0,),
        scatter_dims_to_operand_dims=tuple(range(1, rank + 1)),
        index_vector_dim=1,
    )
    return ops.scatter([x], clamped, [update], _replacement, numbers, unique_indices=True)[0]


def _replacement(old: Var, new: Var) -> Sequence[Var]:
    return [new]
