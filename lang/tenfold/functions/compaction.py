"""Functions whose result has a size that depends on values: indices of what is not 0, masked and distinct elements.

Compiled code puts what is found at the front of a tensor as large as it can get and counts it; the count is looked
at outside, and the tensor cut.  Inside a trace, where nothing can be looked at, they raise `TraceError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from tenfold.eager import tensor_function
from tenfold.functions import arithmetic
from tenfold.functions.arithmetic import truth
from tenfold.functions.axes import broadcast_shape, expand_to, normalize_axis, reshape_to
from tenfold.functions.creation import counted, filled
from tenfold.functions.searching import searchsorted
from tenfold.functions.shapes import repeat_interleave as repeated_evenly
from tenfold.functions.shapes import sliced, stack
from tenfold.functions.statistics import scattered_counts
from tenfold.promotion import convert, type_of
from tenfold.tracing import TensorLike, here, is_tracing, lift, refuse_value, wrap
from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError, DTypeError, ShapeError, UnsupportedError
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops import Direction, ScatterAttributes, ScatterDimensionNumbers

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

__all__ = [
    "argwhere",
    "bincount",
    "masked_select",
    "nonzero",
    "repeat_interleave",
    "unique",
    "unique_consecutive",
    "where",
]


def _require_values(name: str, mend: str, *operands: TensorLike) -> None:
    """`TraceError` inside a trace."""
    if is_tracing():
        refuse_value(f"{name}, the size of whose result depends on values,", type_of(operands[0]), mend)


def _counted(values: TensorLike) -> int:
    return int(cast("Any", values))


def _first(x: Tensor, count: TensorLike) -> Tensor:
    return x[: _counted(count)]


def _compacted(flags: Var, values: Var) -> Var:
    """The `values` (n,) whose flags are set, moved to the front in order; what follows is 0."""
    order = ops.cumulative_sum(convert(flags, dtypes.i64), 0)
    size = ops.full_like(order, flags.type.size)
    place = ops.select(flags, ops.subtract(order, ops.ones_like(order)), size)
    numbers = ScatterDimensionNumbers(inserted_window_dims=(0,), scatter_dims_to_operand_dims=(0,), index_vector_dim=1)
    attributes = ScatterAttributes(numbers)
    into = ops.zeros_like(values)
    return ops.scatter_with(into, reshape_to(place, (place.type.size, 1)), values, attributes, lambda _, new: new)


def _count(flags: Var) -> Var:
    return ops.reduce_sum(convert(flags, dtypes.i64), tuple(range(flags.rank)))


def _flat(x: Var) -> Var:
    return reshape_to(x, (x.type.size,))


@tensor_function
def _places(input: TensorLike) -> tuple[Tensor, Tensor]:
    """Where the elements are not 0: the positions of the flattened tensor, at the front, and how many."""
    flags = _flat(truth(lift(input)))
    return wrap(_compacted(flags, counted(flags.sizes, 0, dtypes.i64))), wrap(_count(flags))


@tensor_function
def _coordinates(places: TensorLike, shape: tuple[int, ...]) -> tuple[Tensor, ...]:
    """Positions of a flattened tensor of `shape` as an index for each axis."""
    rest = lift(places)
    columns: list[Tensor] = []
    for size in reversed(shape):
        length = ops.full_like(rest, max(1, size))
        columns.append(wrap(ops.remainder(rest, length)))
        rest = ops.divide(rest, length)
    return tuple(reversed(columns))


@tensor_function
def _as_rows(columns: tuple[TensorLike, ...], count: int) -> Tensor:
    return stack(columns, 1) if columns else wrap(filled((count, 0), 0, dtypes.i64))


def nonzero(input: TensorLike, *, as_tuple: bool = False) -> Tensor | tuple[Tensor, ...]:
    """The indices of the elements that are not 0, one row for each; with `as_tuple` one vector for each axis.  i64.

    `TraceError` inside a trace.
    """
    _require_values("nonzero", "use tn.where(mask, x, other)", input)
    shape = type_of(input).sizes
    places = _first(*_places(input))
    columns = _coordinates(places, shape if shape or not as_tuple else (1,))
    return columns if as_tuple else _as_rows(columns, type_of(places).sizes[0])


def argwhere(input: TensorLike) -> Tensor:
    """The indices of the elements that are not 0, one row for each; i64.  `TraceError` inside a trace."""
    return cast("Tensor", nonzero(input))


def where(
    condition: TensorLike, input: TensorLike | None = None, other: TensorLike | None = None
) -> Tensor | tuple[Tensor, ...]:
    """`input` where `condition` is true (or not 0), else `other`; all three broadcast.

    `where(condition)` alone is `nonzero(condition, as_tuple=True)`.
    """
    if input is None and other is None:
        return nonzero(condition, as_tuple=True)
    if input is None or other is None:
        raise ArgumentError("where: takes a condition alone, or both input and other", where=here())
    return arithmetic.where(condition, input, other)


@tensor_function
def _taken_flat(input: TensorLike, shape: tuple[int, ...], places: TensorLike) -> Tensor:
    return wrap(ops.take_along_axis(_flat(expand_to(lift(input), shape)), lift(places), 0))


@tensor_function
def _broadcast_places(mask: TensorLike, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    return _places(wrap(expand_to(lift(mask), shape)))


def masked_select(input: TensorLike, mask: TensorLike) -> Tensor:
    """The elements where `mask`, which broadcasts with the tensor, is true, as a vector.

    `DTypeError` where the mask is not of bools, `TraceError` inside a trace.
    """
    _require_values("masked_select", "use tn.where(mask, x, other)", input)
    if not type_of(mask).dtype.is_bool:
        raise DTypeError(f"masked_select: the mask is {type_of(mask)}, not of bools", where=here())
    shape = broadcast_shape("masked_select", type_of(input).sizes, type_of(mask).sizes)
    return _taken_flat(input, shape, _first(*_broadcast_places(mask, shape)))


@tensor_function
def _distinct(input: TensorLike, is_sorted: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What differs from its forerunner: values and counts at the front, the group of each element, how many groups."""
    x = _flat(lift(input))
    size = x.type.size
    values, order = (
        (x, counted((size,), 0, dtypes.i64)) if is_sorted else ops.sort_with_indices(x, 0, False, dtypes.i64)
    )
    changes = ops.compare(sliced(values, 0, 0, max(0, size - 1)), sliced(values, 0, min(1, size), size), Direction.NE)
    starts = ops.concatenate([filled((min(1, size),), True, dtypes.bool_), changes], 0)
    group = ops.cumulative_sum(convert(starts, dtypes.i64), 0)
    group = ops.subtract(group, ops.ones_like(group))
    numbers = ScatterDimensionNumbers(inserted_window_dims=(0,), scatter_dims_to_operand_dims=(0,), index_vector_dim=1)
    attributes = ScatterAttributes(numbers, unique_indices=True)
    inverse = ops.scatter_with(group, reshape_to(order, (size, 1)), group, attributes, lambda _, new: new)
    counts = scattered_counts(group, ops.ones_like(group), size)
    inverse = reshape_to(inverse, lift(input).sizes)
    return wrap(_compacted(starts, values)), wrap(inverse), wrap(counts), wrap(_count(starts))


def _groups(name: str, input: TensorLike, is_sorted: bool, inverse: bool, counts: bool, dim: int | None) -> Any:
    _require_values(name, "give it as an argument, computed outside", input)
    if dim is not None and type_of(input).rank != 1:
        raise UnsupportedError(f"{name}: of slices along an axis is not computed", where=here(), mend="leave out dim")
    values, group, number, found = _distinct(input, is_sorted)
    count = _counted(found)
    results = [values[:count], *([group] if inverse else []), *([number[:count]] if counts else [])]
    return results[0] if len(results) == 1 else tuple(results)


def unique(
    input: TensorLike,
    sorted: bool = True,  # noqa: A002 - PyTorch's name
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct elements in ascending order (always), as a vector; each NaN is distinct.

    With `return_inverse` also where in it each element is, with `return_counts` how often each occurs; i64.
    `TraceError` inside a trace.
    """
    return _groups("unique", input, False, return_inverse, return_counts, dim)


def unique_consecutive(
    input: TensorLike, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The elements without those that equal the one before; see `unique`.  `TraceError` inside a trace."""
    return _groups("unique_consecutive", input, True, return_inverse, return_counts, dim)


@tensor_function
def _counts(input: TensorLike, weights: TensorLike | None, size: int) -> Tensor:
    places = convert(lift(input), dtypes.i64)
    if weights is None:
        return wrap(scattered_counts(places, ops.ones_like(places), size))
    values = lift(weights)
    values = values if values.dtype.is_float and not values.dtype.is_half else convert(values, dtypes.f64)
    return wrap(scattered_counts(places, values, size))


@tensor_function
def _range(input: TensorLike) -> tuple[Tensor, Tensor]:
    x = lift(input)
    return wrap(ops.reduce_min(x, (0,))), wrap(ops.reduce_max(x, (0,)))


def bincount(input: TensorLike, weights: TensorLike | None = None, minlength: int = 0) -> Tensor:
    """How often each number from 0 to the largest occurs in a vector of integers, or the sum of its `weights`.

    At least `minlength` numbers.  `ArgumentError` where an integer is negative, `TraceError` inside a trace.
    """
    _require_values("bincount", "use tn.zeros(n).at[x].add(1)", input)
    type_ = type_of(input)
    if type_.rank != 1 or not type_.dtype.is_integer:
        raise ArgumentError(f"bincount: {type_} is not a vector of integers", where=here())
    if weights is not None and type_of(weights).sizes != type_.sizes:
        raise ShapeError(f"bincount: weights {type_of(weights)} do not fit {type_}", where=here())
    size = minlength
    if type_.size:
        least, most = _range(input)
        if _counted(least) < 0:
            raise ArgumentError("bincount: a number is negative", where=here())
        size = max(minlength, _counted(most) + 1)
    return _counts(input, weights, size)


@tensor_function
def _repeated(input: TensorLike, repeats: TensorLike, total: int, axis: int) -> Tensor:
    x, counts = lift(input), lift(repeats)
    length = x.sizes[axis]
    counts = expand_to(reshape_to(counts, (counts.type.size,)), (length,))
    ends = ops.cumulative_sum(convert(counts, dtypes.i64), 0)
    places = lift(searchsorted(wrap(ends), wrap(counted((total,), 0, dtypes.i64)), right=True))
    shape = (*x.sizes[:axis], total, *x.sizes[axis + 1 :])
    return wrap(ops.take_along_axis(x, ops.broadcast_in_dim(places, shape, (axis,)), axis))


@tensor_function
def _total(repeats: TensorLike, length: int) -> Tensor:
    counts = lift(repeats)
    return wrap(_count_of(convert(expand_to(_flat(counts), (length,)), dtypes.i64)))


def _count_of(counts: Var) -> Var:
    return ops.reduce_sum(counts, (0,))


def repeat_interleave(
    input: TensorLike,
    repeats: TensorLike | None = None,
    dim: int | None = None,
    *,
    output_size: int | None = None,
    axis: int | None = None,
) -> Tensor:
    """Each position along an axis (of the flattened tensor by default) `repeats` times in a row.

    A tensor of repeats has one for each position; the size of the result, unless `output_size` says it, is then
    looked at, so that inside a trace there must be one.  `repeat_interleave(repeats)` repeats 0, 1, 2, ...
    """
    if repeats is None:
        length = type_of(input).sizes[0] if type_of(input).rank else 1
        return repeat_interleave(_indices(length), input, 0, output_size=output_size)
    place = dim if axis is None else axis
    if isinstance(repeats, int):
        return repeated_evenly(input, repeats, place)
    if place is None:
        input, place = _raveled(input), 0
    type_ = type_of(input)
    number = normalize_axis("repeat_interleave", place, type_.rank)
    given, length = type_of(repeats), type_.sizes[number]
    if given.rank > 1 or given.size not in (1, length):
        raise ShapeError(f"repeat_interleave: repeats {given} for an axis of size {length}", where=here())
    if not given.dtype.is_integer:
        raise DTypeError(f"repeat_interleave: repeats are {given}, not integers", where=here())
    if output_size is None:
        _require_values("repeat_interleave", "give output_size", repeats)
        output_size = _counted(_total(repeats, length))
    return _repeated(input, repeats, output_size, number)


@tensor_function
def _indices(length: int) -> Tensor:
    return wrap(counted((length,), 0, dtypes.i64))


@tensor_function
def _raveled(input: TensorLike) -> Tensor:
    return wrap(_flat(lift(input)))
