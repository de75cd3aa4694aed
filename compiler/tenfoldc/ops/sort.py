"""Sorting along an axis: `sort`, of several tensors by any comparison, and `top_k`, the largest few.

Where no comparison is given, a NaN is greater than every number, as in NumPy and PyTorch, and zeros are equal:
ascending order has NaNs last, descending order first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.errors import ArgumentError, DTypeError, ShapeError
from tenfold_rt.frozen import frozen
from tenfoldc import ops
from tenfoldc.ir.builder import Var, build_region
from tenfoldc.ir.core import Attributes, Region
from tenfoldc.ir.op import Array, Kind, Op, RegionFunction, Site
from tenfoldc.ir.types import FunctionType, TensorType
from tenfoldc.ops.broadcast import add_batch_axis, check_axes
from tenfoldc.ops.comparison import Direction
from tenfoldc.ops.creation import full_like, iota, zeros_like
from tenfoldc.ops.indexed import put_along_axis, take_along_axis
from tenfoldc.ops.reducer import Body

Less: TypeAlias = Callable[[Array, Array], Array]
"""Whether elements at some places come before those at others."""

# sort


@frozen
class SortAttributes(Attributes):
    """The axis to sort along, counted from the end if negative, and whether equal elements keep their order."""

    dimension: int = -1
    is_stable: bool = False

    def axis(self, rank: int) -> int:
        """The axis of operands of `rank`, counted from the front."""
        return self.dimension + rank if self.dimension < 0 else self.dimension


def _infer_sort(
    types: Sequence[TensorType], attributes: SortAttributes, regions: Sequence[Region]
) -> tuple[TensorType, ...]:
    if not types:
        raise ArgumentError("sort: no operands given")
    for number, operand in enumerate(types):
        if operand.shape != types[0].shape:
            raise ShapeError(f"sort: shapes differ, {types[0]} (operand 0) and {operand} (operand {number})")
    if not 0 <= attributes.axis(types[0].rank) < types[0].rank:
        raise ArgumentError(f"sort: axis {attributes.dimension} is not one of {types[0]}")
    (comparator,) = regions
    pairs = _pairs(types)
    if comparator.type != FunctionType(pairs, (TensorType(dtypes.bool_),)):
        names = ", ".join(map(str, pairs))
        raise DTypeError(f"sort: the comparator must take ({names}) and give one bool scalar")
    return tuple(types)


def _pairs(types: Sequence[TensorType]) -> tuple[TensorType, ...]:
    """Two scalars of each dtype: the elements of two places that a comparator is given."""
    return tuple(TensorType(type_.dtype) for type_ in types for _ in range(2))


def _sort_reference(
    arrays: Sequence[Array], attributes: SortAttributes, functions: Sequence[RegionFunction]
) -> Sequence[Array]:
    (comparator,) = functions
    axis = attributes.axis(arrays[0].ndim)
    lines = [np.moveaxis(array, axis, -1) for array in arrays]
    shape = lines[0].shape

    def less(left: Array, right: Array) -> Array:
        pairs = [np.take_along_axis(line, at, -1) for line in lines for at in (left, right)]
        return np.broadcast_to(comparator(*pairs)[0], left.shape)

    order: Array = np.broadcast_to(np.arange(shape[-1], dtype=np.int64), shape)
    width = 1
    while width < shape[-1] and order.size:
        order = _merge_runs(order, width, less)
        width *= 2
    return [np.moveaxis(np.take_along_axis(line, order, -1), -1, axis) for line in lines]


def _merge_runs(order: Array, width: int, less: Less) -> Array:
    """Merge neighbouring sorted runs of `width` along the last axis, all at once and stably.

    An element's new place is its place in its own run plus the number of elements of the other run that come
    before it, which a binary search finds.
    """
    length = order.shape[-1]
    place: Array = np.broadcast_to(np.arange(length, dtype=np.int64), order.shape)
    start = place // (2 * width) * (2 * width)
    middle = np.minimum(start + width, length)
    in_left = place < middle
    low = np.where(in_left, middle, start)
    begin = low
    high = np.where(in_left, np.minimum(middle + width, length), middle)
    while (searching := np.less(low, high)).any():
        probe = np.minimum((low + high) // 2, length - 1)
        other = np.take_along_axis(order, probe, -1)
        answer = less(np.where(in_left, other, order), np.where(in_left, order, other))
        # The probed element comes before an element of the left run only if it is less.
        precedes = np.equal(answer, in_left)
        low = np.where(np.logical_and(searching, precedes), probe + 1, low)
        high = np.where(np.logical_and(searching, np.logical_not(precedes)), probe, high)
    target = np.where(in_left, place, start + place - middle) + low - begin
    merged = np.empty_like(order)
    np.put_along_axis(merged, target, order, -1)
    return merged


SORT = Op("sort", Kind.SORT, attributes=SortAttributes, infer=_infer_sort, reference=_sort_reference)


def sort(operands: Sequence[Var], dimension: int, is_stable: bool, comparator: Body) -> tuple[Var, ...]:
    """Tensors of one shape, rearranged together along `dimension` so that `comparator` holds from place to place.

    `comparator(x0, y0, x1, y1, ...)` takes the elements of each operand at two places and says in one bool
    whether the first place comes before the second.  Equal elements keep their order.  Raises `ShapeError`,
    `DTypeError` or `ArgumentError` where the operands do not fit.
    """
    region = build_region(_pairs([x.type for x in operands]), comparator, like=operands[0].builder)
    return SORT.apply(*operands, attributes=SortAttributes(dimension, is_stable), regions=(region,))


def _sorted_positions(site: Site[SortAttributes]) -> Var:
    """Where along the axis each sorted element was, by sorting positions along with the operands."""
    axis = site.attributes.axis(site.operands[0].rank)
    (region,) = site.regions
    first = site.operands[0]

    def comparator(*elements: Var) -> tuple[Var, ...]:
        return elements[0].builder.inline(region, elements[:-2])

    operands = [*site.operands, iota(first.builder, first.type.with_dtype(dtypes.i32), axis)]
    return sort(operands, axis, site.attributes.is_stable, comparator)[-1]


@SORT.jvp
def _(site: Site[SortAttributes], tangents: Sequence[Var | None]) -> Sequence[Var | None]:
    if all(tangent is None for tangent in tangents):
        return tangents
    axis, positions = site.attributes.axis(site.operands[0].rank), _sorted_positions(site)
    return [None if tangent is None else take_along_axis(tangent, positions, axis) for tangent in tangents]


@SORT.vjp
def _(site: Site[SortAttributes], cotangents: Sequence[Var | None]) -> Sequence[Var | None]:
    if all(cotangent is None for cotangent in cotangents):
        return cotangents
    axis, positions = site.attributes.axis(site.operands[0].rank), _sorted_positions(site)
    return [
        None
        if cotangent is None
        else put_along_axis(zeros_like(cotangent), positions, cotangent, axis, unique_indices=True)
        for cotangent in cotangents
    ]


@SORT.batch
def _(site: Site[SortAttributes], batched: Sequence[bool], size: int) -> tuple[Sequence[Var], Sequence[bool]]:
    operands = [x if flag else add_batch_axis(x, size) for x, flag in zip(site.operands, batched, strict=True)]
    attributes = SortAttributes(site.attributes.axis(operands[0].rank - 1) + 1, site.attributes.is_stable)
    return SORT.apply(*operands, attributes=attributes, regions=site.regions), (True,) * len(operands)


# Orders of numbers


def comes_before(x: Var, y: Var, descending: bool = False) -> Var:
    """Whether `x` sorts before `y`; a NaN is greater than every number."""
    if descending:
        x, y = y, x
    if not x.dtype.is_float:
        return ops.compare(x, y, Direction.LT)
    # Two comparisons: the first also holds where `y` is NaN.
    return ops.and_(ops.not_(ops.compare(x, y, Direction.GE)), ops.compare(x, x, Direction.EQ))


def sort_values(x: Var, dimension: int, descending: bool = False) -> Var:
    """`x` sorted along `dimension`."""

    def comparator(left: Var, right: Var) -> tuple[Var]:
        return (comes_before(left, right, descending),)

    return sort([x], dimension, True, comparator)[0]


def sort_with_indices(
    x: Var, dimension: int, descending: bool = False, index_dtype: DType = dtypes.i32
) -> tuple[Var, Var]:
    """`x` sorted along `dimension`, and where along it each element was; equal elements keep their order."""
    check_axes("sort", "dimension", [dimension], x.rank)

    def comparator(left: Var, right: Var, left_index: Var, right_index: Var) -> tuple[Var]:
        return (comes_before(left, right, descending),)

    values, indices = sort([x, iota(x.builder, x.type.with_dtype(index_dtype), dimension)], dimension, True, comparator)
    return values, indices


def argsort(x: Var, dimension: int, descending: bool = False, index_dtype: DType = dtypes.i32) -> Var:
    """The indices that sort `x` along `dimension`; equal elements keep their order."""
    return sort_with_indices(x, dimension, descending, index_dtype)[1]


# top_k


@frozen
class TopKAttributes(Attributes):
    """How many elements to take."""

    k: int


def _infer_top_k(
    types: Sequence[TensorType], attributes: TopKAttributes, _: Sequence[Region]
) -> tuple[TensorType, ...]:
    (operand,) = types
    if operand.rank == 0:
        raise ShapeError("top_k: the operand is a scalar", mend="give it an axis to choose along")
    size = operand.shape[-1]
    if attributes.k < 0 or (isinstance(size, int) and attributes.k > size):
        raise ArgumentError(f"top_k: {attributes.k} elements of {size} (operand, axis {operand.rank - 1})")
    values = operand.with_shape((*operand.shape[:-1], attributes.k))
    return values, values.with_dtype(dtypes.i32)


def _top_k_reference(
    arrays: Sequence[Array], attributes: TopKAttributes, _: Sequence[RegionFunction]
) -> Sequence[Array]:
    (x,) = arrays
    # Ascending from the back, read backward, is descending with the lower index first among equals.
    backward = np.argsort(x[..., ::-1], axis=-1, kind="stable")
    indices = (x.shape[-1] - 1 - backward)[..., ::-1][..., : attributes.k]
    return np.take_along_axis(x, indices, -1), indices.astype(np.int32)


TOP_K = Op("chlo.top_k", Kind.SORT, attributes=TopKAttributes, infer=_infer_top_k, reference=_top_k_reference)


def top_k(x: Var, k: int) -> tuple[Var, Var]:
    """The `k` largest elements along the last axis in descending order, and their indices as i32.

    Of equal elements the one of lower index comes first.  Raises `ShapeError` for a scalar, `ArgumentError`
    where there are fewer than `k` elements.
    """
    values, indices = TOP_K.apply(x, attributes=TopKAttributes(k))
    return values, indices


@TOP_K.jvp
def _(site: Site[TopKAttributes], tangents: Sequence[Var | None]) -> Sequence[Var | None]:
    (tangent,) = tangents
    if tangent is None:
        return None, None
    return take_along_axis(tangent, site.results[1], tangent.rank - 1), None


@TOP_K.vjp
def _(site: Site[TopKAttributes], cotangents: Sequence[Var | None]) -> Sequence[Var | None]:
    (x,), cotangent = site.operands, cotangents[0]
    if cotangent is None:
        return (None,)
    return (put_along_axis(zeros_like(x), site.results[1], cotangent, x.rank - 1, unique_indices=True),)


@TOP_K.batch
def _(site: Site[TopKAttributes], batched: Sequence[bool], size: int) -> tuple[Sequence[Var], Sequence[bool]]:
    return TOP_K.apply(*site.operands, attributes=site.attributes), (True, True)


def bottom_k(x: Var, k: int) -> tuple[Var, Var]:
    """The `k` smallest elements along the last axis in ascending order, NaN last, and their indices as i32.

    Of equal elements the one of lower index comes first.  Raises what `top_k` does.
    """
    indices = top_k(ops.not_(ascending_keys(x)), k)[1]
    return take_along_axis(x, indices, x.rank - 1), indices


def ascending_keys(x: Var) -> Var:
    """Integers in the order of the elements of `x`, a NaN's the greatest, those of equals equal."""
    if not x.dtype.is_float:
        return ops.convert(x, dtypes.u8) if x.dtype.is_bool else x
    x = ops.convert(x, dtypes.f32) if x.dtype.is_half else x
    x = ops.select(ops.compare(x, zeros_like(x), Direction.EQ), zeros_like(x), x)
    x = ops.select(ops.compare(x, x, Direction.NE), full_like(x, float("nan")), x)
    return _turned(ops.bitcast_convert(x, dtypes.i32 if x.dtype.itemsize == 4 else dtypes.i64))


def from_ascending_keys(keys: Var, dtype: DType) -> Var:
    """The elements of `dtype` whose `ascending_keys` these are."""
    if not dtype.is_float:
        return ops.convert(keys, dtype) if dtype.is_bool else keys
    found = ops.bitcast_convert(_turned(keys), dtypes.f32 if keys.dtype.itemsize == 4 else dtypes.f64)
    return ops.convert(found, dtype) if dtype.is_half else found


def _turned(bits: Var) -> Var:
    """The bits of numbers that are not negative are in order; of the others all but the sign's are turned."""
    turned = ops.xor(bits, full_like(bits, 2 ** (8 * bits.dtype.itemsize - 1) - 1))
    return ops.select(ops.compare(bits, zeros_like(bits), Direction.LT), turned, bits)
