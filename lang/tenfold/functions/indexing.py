"""Indexing: reading parts of a tensor as NumPy does, and making a copy with parts changed.

`x[index]` takes integers, slices of any step, `...`, None, integer arrays (which broadcast together), and
boolean masks whose values are known while tracing.  `x.at[index].set(value)` is `x` with those elements replaced.

An index that is known while tracing is checked: `RangeError` where it is out of range.  One that is known only
at run time is moved into range when reading; when writing, a single integer is moved into range, and what arrays
of integers would write outside is dropped.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, cast

import numpy as np

from tenfold.eager import tensor_function
from tenfold.functions.axes import (
    broadcast_shape,
    expand_to,
    reshape_to,
)
from tenfold.functions.creation import filled
from tenfold.promotion import convert, type_of
from tenfold.tracing import Array, TensorLike, TensorValue, here, lift, refuse_value, wrap
from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError, DTypeError, RangeError, ShapeError
from tenfold_rt.frozen import frozen
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops import Direction, GatherDimensionNumbers, ScatterAttributes, ScatterDimensionNumbers

if TYPE_CHECKING:
    from tenfold.tensor import Tensor


Index: TypeAlias = Any
"""What may stand in brackets; see the module's description."""


@frozen
class Slice:
    """`size` positions from `start` by `step`, all within the axis."""

    start: int
    size: int
    step: int
    axes: ClassVar[int] = 1

    def covers(self, length: int) -> bool:
        """Whether this is the whole axis as it is."""
        return (self.start, self.size, self.step) == (0, length, 1)

    def node(self, sizes: Sequence[int]) -> str | None:
        """What PyTorch does for this item where `sizes` are those of its axis and the axes after it."""
        return None if self.covers(sizes[0]) else "Slice0"


@frozen
class NewAxis:
    """A new axis of size 1."""

    axes: ClassVar[int] = 0

    def node(self, sizes: Sequence[int]) -> str | None:
        """What PyTorch does for this item."""
        return "Unsqueeze0"


Item: TypeAlias = "Slice | NewAxis | int | TensorValue | Array"


def resolved(index: Index, sizes: Sequence[int]) -> tuple[Item, ...]:
    """`index` with one item for every axis of `sizes`, in order, and for every new axis; all known ones checked."""
    given: list[Any] = []
    of_masks: dict[int, int] = {}  # places in `given` that a mask gave, with its size along that axis
    for item in cast("tuple[Any, ...]", index if isinstance(index, tuple) else (index,)):
        items_of, shape = _without_masks(item)
        of_masks.update(enumerate(shape, len(given)))
        given.extend(items_of)
    taken = sum(item is not None and item is not Ellipsis for item in given)
    ellipses = sum(item is Ellipsis for item in given)
    if taken > len(sizes) or ellipses > 1:
        what = "more than one ..." if ellipses > 1 else f"{taken} indices for {len(sizes)} axes"
        raise RangeError(f"indexing: {what}", where=here())
    if not ellipses:
        given.append(Ellipsis)
    items: list[Item] = []
    axis = 0
    for place, item in enumerate(given):
        if item is None:
            items.append(NewAxis())
        elif item is Ellipsis:
            hidden = len(sizes) - taken
            items.extend(Slice(0, size, 1) for size in sizes[axis : axis + hidden])
            axis += hidden
        else:
            if of_masks.get(place, sizes[axis]) != sizes[axis]:
                what = f"a mask has size {of_masks[place]} for axis {axis} of size {sizes[axis]}"
                raise RangeError(f"indexing: {what}", where=here())
            items.append(_resolved_item(item, axis, sizes[axis]))
            axis += 1
    return tuple(items)


def _without_masks(item: Any) -> tuple[list[Any], tuple[int, ...]]:
    """An index, or what stands for it: a list becomes an array, a mask the positions where it is true.

    With it the shape of the mask, () where it is none.
    """
    if isinstance(item, bool):
        raise ArgumentError(
            f"indexing: the index is {item}", where=here(), mend="give an integer, or a mask as an array"
        )
    if isinstance(item, (list, tuple)):
        item = np.asarray(cast("list[Any]", item))
        item = item.astype(np.int64) if item.size == 0 else item
    dtype = item.tensor_type.dtype if isinstance(item, TensorValue) else getattr(item, "dtype", None)
    if dtype is not dtypes.bool_ and dtype != np.bool_:
        return [item], ()
    if isinstance(item, TensorValue):
        if item.memory is None:
            refuse_value("indexing with a boolean mask", item.tensor_type, "use tn.where(mask, x, other)")
        item = item.array
    if not item.ndim:
        raise ArgumentError("indexing: a mask of rank 0", where=here(), mend="use tn.where(mask, x, other)")
    return list(np.nonzero(item)), item.shape


def _resolved_item(item: Any, axis: int, length: int) -> Item:
    if isinstance(item, slice):
        return _resolved_slice(cast("Any", item), length)
    if isinstance(item, TensorValue):
        if item.memory is None:
            if not item.tensor_type.dtype.is_integer:
                raise DTypeError(f"indexing: the index {item.tensor_type} is not of integers", where=here())
            return item
        array = item.array
        assert array is not None
        _checked(array, axis, length)
        return item
    if isinstance(item, np.ndarray):
        return _checked(cast("Array", item), axis, length)
    try:
        position = operator.index(item)
    except TypeError:
        raise ArgumentError(f"indexing: a {type(item).__name__} is no index", where=here()) from None
    if not -length <= position < length:
        raise RangeError(f"indexing: {position} is out of range for axis {axis} of size {length}", where=here())
    return position % length


def _resolved_slice(item: Any, length: int) -> Slice:
    for bound in (item.start, item.stop, item.step):
        if isinstance(bound, TensorValue) and bound.memory is None:
            refuse_value("slicing", bound.tensor_type, "use x[i] in a loop, or take a slice of fixed size with tn.take")
    start, stop, step = item.indices(length)
    size = len(range(start, stop, step))
    return Slice(start, size, step) if size else Slice(0, 0, 1)


def _checked(indices: Array, axis: int, length: int) -> Array:
    """`indices` from 0 on; `RangeError` where one is out of range, `DTypeError` where they are no integers."""
    if indices.dtype.kind not in "iu":
        raise DTypeError(f"indexing: an index of dtype {indices.dtype} is not of integers", where=here())
    wrong = (indices < -length) | (indices >= length)
    if wrong.any():
        raise RangeError(
            f"indexing: {indices[wrong].flat[0]} is out of range for axis {axis} of size {length}", where=here()
        )
    return np.where(indices < 0, indices + length, indices) if indices.dtype.kind == "i" else indices


def is_array_item(item: Item | None) -> bool:
    """Whether an item is an array of indices, known or not."""
    return isinstance(item, (TensorValue, np.ndarray))


def getitem(x: TensorLike, index: Index) -> Tensor:
    """`x[index]`."""
    return _getitem(x, resolved(index, type_of(x).sizes))


@tensor_function(views=True)
def _getitem(x: TensorLike, items: tuple[Item, ...]) -> Tensor:
    return wrap(read(lift(x), items))


def read(x: Var, items: Sequence[Item]) -> Var:
    """The part of `x` that resolved `items` say."""
    if not any(map(is_array_item, items)):
        return reshape_to(_basic(x, items), _shape_of(items))
    if all(_is_scalar_item(item) for item in items if is_array_item(item)):
        part = _basic(x, [item if not is_array_item(item) else None for item in items])
        sizes = [1 if is_array_item(item) else n for item, n in zip(_by_axis(items), part.sizes, strict=True)]
        return reshape_to(ops.dynamic_slice(part, _starts(x, items), sizes), _shape_of(items))
    plan = _Gather.of(items, x.sizes)
    part = _basic(x, [item if isinstance(item, (Slice, NewAxis)) else None for item in items])
    if part.type.size == 0 and 0 in plan.shape:  # of an axis without elements, too, none can be taken
        return reshape_to(part, plan.shape)
    gathered = ops.gather(part, plan.indices, plan.gather_numbers(), plan.slice_sizes(part.sizes))
    return reshape_to(gathered, plan.shape)


def _by_axis(items: Sequence[Item | None]) -> list[Item | None]:
    return [item for item in items if not isinstance(item, NewAxis)]


def _is_scalar_item(item: Item) -> bool:
    return (item.tensor_type.rank if isinstance(item, TensorValue) else np.ndim(cast("Array", item))) == 0


def _basic(x: Var, items: Sequence[Item | None]) -> Var:
    """`x` cut by its slices, integers keeping their axis at size 1, None leaving an axis whole."""
    starts: list[int] = []
    stops: list[int] = []
    steps: list[int] = []
    backward: list[int] = []
    for axis, (item, length) in enumerate(zip(_by_axis(items), x.sizes, strict=True)):
        part = Slice(item, 1, 1) if isinstance(item, int) else item
        if not isinstance(part, Slice):
            part = Slice(0, length, 1)
        first, last = part.start, part.start + (part.size - 1) * part.step
        if part.step < 0:
            backward.append(axis)
            first, last = last, first
        starts.append(first)
        stops.append(last + 1 if part.size else first)
        steps.append(abs(part.step))
    if (tuple(starts), tuple(stops)) != ((0,) * x.rank, x.sizes) or any(step != 1 for step in steps):
        x = ops.slice_(x, starts, stops, steps)
    return ops.reverse(x, backward) if backward else x


def _shape_of(items: Sequence[Item]) -> list[int]:
    """The shape that items without arrays (but for scalars) leave."""
    return [1 if isinstance(item, NewAxis) else item.size for item in items if isinstance(item, (NewAxis, Slice))]


def _starts(x: Var, items: Sequence[Item]) -> list[Var]:
    """Where a block begins whose integers are known only at run time."""
    return [
        position(item, length) if is_array_item(item) else filled((), 0, dtypes.i64)
        for item, length in zip(_by_axis(items), x.sizes, strict=True)
    ]


def position(item: Item | None, length: int) -> Var:
    """Indices as i64, negative ones counted from the end."""
    indices = convert(lift(cast("Array", item)), dtypes.i64)
    if isinstance(item, np.ndarray):
        return indices
    end = filled(indices.sizes, length, dtypes.i64)
    negative = ops.compare(indices, ops.zeros_like(indices), Direction.LT)
    return ops.select(negative, ops.add(indices, end), indices)


@frozen
class _Gather:
    """How arrays of indices select: `axes` of the tensor, by `indices` of shape (*batch, number of axes).

    The batch axes stand at `place` among the axes of the slices; `shape` has new axes too.
    """

    axes: tuple[int, ...]
    indices: Var
    place: int
    slices: int
    shape: tuple[int, ...]

    @staticmethod
    def of(items: Sequence[Item], sizes: Sequence[int]) -> _Gather:
        by_axis = _by_axis(items)
        axes = tuple(i for i, item in enumerate(by_axis) if not isinstance(item, Slice))
        parts = [
            filled((), item, dtypes.i64) if isinstance(item, int) else position(item, sizes[axis])
            for axis, item in enumerate(by_axis)
            if not isinstance(item, Slice)
        ]
        batch = broadcast_shape("indexing", *(part.sizes for part in parts))
        columns = [reshape_to(expand_to(part, batch), (*batch, 1)) for part in parts]
        indices = ops.concatenate(columns, len(batch)) if len(columns) > 1 else columns[0]
        chosen = [i for i, item in enumerate(items) if not isinstance(item, (Slice, NewAxis))]
        together = chosen[-1] - chosen[0] + 1 == len(chosen)
        before = items[: chosen[0]] if together else ()
        after = [item for item in items[len(before) :] if isinstance(item, (Slice, NewAxis))]
        return _Gather(
            axes,
            indices,
            sum(isinstance(item, Slice) for item in before),
            sum(isinstance(item, Slice) for item in items),
            (*_shape_of(before), *batch, *_shape_of(after)),
        )

    @property
    def batch(self) -> tuple[int, ...]:
        return self.indices.sizes[:-1]

    def _offset_dims(self) -> tuple[int, ...]:
        rank = len(self.batch)
        return tuple(i if i < self.place else i + rank for i in range(self.slices))

    def gather_numbers(self) -> GatherDimensionNumbers:
        return GatherDimensionNumbers(
            offset_dims=self._offset_dims(),
            collapsed_slice_dims=self.axes,
            start_index_map=self.axes,
            index_vector_dim=len(self.batch),
        )

    def scatter_numbers(self) -> ScatterDimensionNumbers:
        return ScatterDimensionNumbers(
            update_window_dims=self._offset_dims(),
            inserted_window_dims=self.axes,
            scatter_dims_to_operand_dims=self.axes,
            index_vector_dim=len(self.batch),
        )

    def slice_sizes(self, sizes: Sequence[int]) -> list[int]:
        return [1 if axis in self.axes else size for axis, size in enumerate(sizes)]

    def update_shape(self, sizes: Sequence[int]) -> list[int]:
        """The shape of what is gathered, without new axes."""
        kept = [size for axis, size in enumerate(sizes) if axis not in self.axes]
        return [*kept[: self.place], *self.batch, *kept[self.place :]]


Combine: TypeAlias = Callable[[Var, Var], Var]


def _replaced(_: Var, new: Var) -> Var:
    return new


_COMBINE: dict[str, Combine] = {
    "set": _replaced,
    "add": ops.add,
    "multiply": ops.multiply,
    "max": ops.maximum,
    "min": ops.minimum,
}


def is_basic(index: Index) -> bool:
    """Whether `index` is made of integers, slices, new axes and an ellipsis alone, so that `x[index]` is a view."""
    items = cast("tuple[Any, ...]", index if isinstance(index, tuple) else (index,))
    return all(
        item is None or item is Ellipsis or (isinstance(item, (slice, int, np.integer)) and not isinstance(item, bool))
        for item in items
    )


def put(x: Tensor, index: Index, values: TensorLike) -> Tensor:
    """A copy of `x` with the elements at `index` replaced by `values`."""
    if _is_mask(index) and type_of(values).size == 1:
        return _filled_where(x, index, values)
    return Update(x, index).set(values)


def _is_mask(index: Index) -> bool:
    dtype = index.tensor_type.dtype if isinstance(index, TensorValue) else getattr(index, "dtype", None)
    return dtype is dtypes.bool_ or (isinstance(index, (np.ndarray, np.bool_)) and dtype == np.bool_)


@tensor_function
def _filled_where(x: TensorLike, mask: TensorLike, value: TensorLike) -> Tensor:
    """`x` with one value where `mask`, which has its first axes, is true: where that is need not be known."""
    tensor, chosen = lift(x), lift(mask)
    if chosen.sizes != tensor.sizes[: chosen.rank]:
        raise RangeError(f"indexing: the mask {chosen.type} does not fit {tensor.type}", where=here())
    chosen = expand_to(reshape_to(chosen, (*chosen.sizes, *[1] * (tensor.rank - chosen.rank))), tensor.sizes)
    filling = reshape_to(convert(lift(value, tensor.dtype), tensor.dtype), ())
    return wrap(ops.select(chosen, expand_to(filling, tensor.sizes), tensor))


class At:
    """`x.at`: index it to choose the elements that an update changes."""

    __slots__ = ("_tensor",)

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor

    def __getitem__(self, index: Index) -> Update:
        return Update(self._tensor, index)


class Update:
    """`x.at[index]`: its methods give a copy of `x` with those elements changed.

    The values broadcast to the shape of `x[index]` and are converted to the element type of `x`.  Where an index
    occurs several times, `set` keeps one of the values, the other methods combine all.
    """

    __slots__ = ("_index", "_tensor")

    def __init__(self, tensor: Tensor, index: Index) -> None:
        self._tensor = tensor
        self._index = index

    def _update(self, values: TensorLike, how: str) -> Tensor:
        return _updated(self._tensor, resolved(self._index, type_of(self._tensor).sizes), values, how)

    def get(self) -> Tensor:
        """`x[index]`."""
        return getitem(self._tensor, self._index)

    def set(self, values: TensorLike) -> Tensor:
        """Elements replaced by `values`."""
        return self._update(values, "set")

    def add(self, values: TensorLike) -> Tensor:
        """`values` added to elements."""
        return self._update(values, "add")

    def multiply(self, values: TensorLike) -> Tensor:
        """Elements multiplied by `values`."""
        return self._update(values, "multiply")

    def max(self, values: TensorLike) -> Tensor:
        """Elements raised to `values` where these are larger."""
        return self._update(values, "max")

    def min(self, values: TensorLike) -> Tensor:
        """Elements lowered to `values` where these are smaller."""
        return self._update(values, "min")


@tensor_function
def _updated(x: TensorLike, items: tuple[Item, ...], values: TensorLike, how: str) -> Tensor:
    tensor = lift(x)
    return wrap(_write(tensor, items, convert(lift(values, tensor.dtype), tensor.dtype), _COMBINE[how]))


def _write(x: Var, items: Sequence[Item], values: Var, combine: Combine) -> Var:
    """`x` with the part at `items` combined with `values`."""
    if not any(map(is_array_item, items)):
        part = _basic(x, items)
        return _put_back(x, items, combine(part, _shaped(values, _shape_of(items), part.sizes)))
    if all(_is_scalar_item(item) for item in items if is_array_item(item)):
        part = _basic(x, [item if not is_array_item(item) else None for item in items])
        sizes = [1 if is_array_item(item) else n for item, n in zip(_by_axis(items), part.sizes, strict=True)]
        starts = _starts(x, items)
        new = combine(ops.dynamic_slice(part, starts, sizes), _shaped(values, _shape_of(items), sizes))
        whole = ops.dynamic_update_slice(part, new, starts)
        return _put_back(x, [item if not is_array_item(item) else None for item in items], whole)
    plan = _Gather.of(items, x.sizes)
    cut = [item if isinstance(item, (Slice, NewAxis)) else None for item in items]
    part = _basic(x, cut)
    updates = _shaped(values, plan.shape, plan.update_shape(part.sizes))
    attributes = ScatterAttributes(plan.scatter_numbers())
    return _put_back(x, cut, ops.scatter_with(part, plan.indices, updates, attributes, combine))


def _shaped(values: Var, shape: Sequence[int], without_new_axes: Sequence[int]) -> Var:
    """`values` broadcast to the shape that indexing gives, as the shape that the tensor is updated in."""
    if broadcast_shape("at", values.sizes, shape) != tuple(shape):
        raise ShapeError(f"at: values {values.type} do not broadcast to the shape {tuple(shape)}", where=here())
    return reshape_to(expand_to(values, shape), without_new_axes)


def _put_back(x: Var, items: Sequence[Item | None], part: Var) -> Var:
    """`x` with what `_basic` cut out of it by `items` replaced by `part`."""
    slices = [
        Slice(item, 1, 1) if isinstance(item, int) else item if isinstance(item, Slice) else Slice(0, length, 1)
        for item, length in zip(_by_axis(items), x.sizes, strict=True)
    ]
    if part.type.size == 0:
        return x
    backward = [axis for axis, each in enumerate(slices) if each.step < 0]
    part = ops.reverse(part, backward) if backward else part
    starts = [min(each.start, each.start + (each.size - 1) * each.step) for each in slices]
    steps = [abs(each.step) if each.size > 1 else 1 for each in slices]
    if part.sizes == x.sizes:
        return part
    if all(step == 1 for step in steps):
        return ops.dynamic_update_slice(x, part, [filled((), start, dtypes.i64) for start in starts])
    ends = [start + (n - 1) * step + 1 for start, n, step in zip(starts, part.sizes, steps, strict=True)]
    edges = [length - end for length, end in zip(x.sizes, ends, strict=True)]
    gaps = [step - 1 for step in steps]
    marks = filled(part.sizes, True, dtypes.bool_)
    inside = ops.pad(marks, filled((), False, dtypes.bool_), starts, edges, gaps)
    return ops.select(inside, ops.pad(part, filled((), 0, x.dtype), starts, edges, gaps), x)
