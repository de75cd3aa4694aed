"""Copies of tensors with elements put, added or filled in at indices, masks, slices and diagonals.

Indices may be negative only where NumPy's indexing is meant (`index_put`, `put`).  What run-time indices would write
outside a tensor is dropped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tenfold.eager import tensor_function
from tenfold.functions.arithmetic import div, truth
from tenfold.functions.axes import broadcast_shape, expand_to, normalize_axis, reshape_to
from tenfold.functions.creation import filled
from tenfold.functions.indexing import At
from tenfold.functions.shapes import sliced
from tenfold.functions.taking import take_along_axis
from tenfold.promotion import convert, type_of
from tenfold.tracing import Scalar, TensorLike, here, is_scalar, lift, wrap
from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError, DTypeError, RangeError, ShapeError
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops import ScatterAttributes, ScatterDimensionNumbers

if TYPE_CHECKING:
    from collections.abc import Callable

    from tenfold.tensor import Tensor

__all__ = [
    "index_add",
    "index_copy",
    "index_fill",
    "index_put",
    "index_reduce",
    "masked_fill",
    "masked_scatter",
    "put",
    "scatter",
    "scatter_add",
    "scatter_reduce",
    "select_scatter",
    "slice_scatter",
    "take_along_dim",
]


def _replaced(_: Var, new: Var) -> Var:
    return new


def _scattered(
    name: str, x: Var, dim: int, index: Var, updates: Var, combine: Callable[[Var, Var], Var], unique: bool = False
) -> Var:
    """`x` combined with `updates` at `index` along an axis; the other axes of `index` may be shorter than its."""
    if x.rank == 0:
        whole = (reshape_to(value, (1,)) for value in (x, index, updates))
        one, place, update = whole
        return reshape_to(_scattered(name, one, dim, place, update, combine, unique), ())
    axis = normalize_axis(name, dim, x.rank)
    if index.rank != x.rank or updates.rank != x.rank:
        raise ShapeError(f"{name}: {x.type}, index {index.type} and {updates.type} differ in rank", where=here())
    for number, size in enumerate(index.sizes):
        if size > updates.sizes[number] or (number != axis and size > x.sizes[number]):
            raise ShapeError(f"{name}: index {index.type} is larger than {x.type} or {updates.type}", where=here())
        updates = sliced(updates, number, 0, size)
    others = tuple(number for number in range(x.rank) if number != axis)
    part = x
    for number in others:
        part = sliced(part, number, 0, index.sizes[number])
    numbers = ScatterDimensionNumbers(
        inserted_window_dims=(axis,),
        input_batching_dims=others,
        scatter_indices_batching_dims=others,
        scatter_dims_to_operand_dims=(axis,),
        index_vector_dim=x.rank,
    )
    attributes = ScatterAttributes(numbers, unique_indices=unique)
    found = ops.scatter_with(part, convert(index, dtypes.i64), updates, attributes, combine)
    if found.sizes == x.sizes:
        return found
    return ops.dynamic_update_slice(x, found, [filled((), 0, dtypes.i64)] * x.rank)


def _source(name: str, x: Var, index: Var, src: TensorLike) -> Var:
    """What is scattered: a number for every index, or a tensor of the element type of `x`."""
    if is_scalar(src):
        return expand_to(lift(src, x.dtype), index.sizes)
    value = lift(src)
    if value.dtype is not x.dtype:
        raise DTypeError(f"{name}: {x.type} and {value.type} differ in element type", where=here(), mend="convert one")
    return value


_REDUCTIONS: dict[str, Callable[[Var, Var], Var]] = {
    "sum": ops.add,
    "mean": ops.add,
    "prod": ops.multiply,
    "amax": ops.maximum,
    "amin": ops.minimum,
}


@tensor_function
def scatter(
    input: TensorLike,
    dim: int,
    index: TensorLike,
    src: TensorLike | None = None,
    *,
    value: Scalar | None = None,
    reduce: str | None = None,
) -> Tensor:
    """A copy where element `index[i]` along an axis becomes `src[i]`, the other axes going in step.

    `src` is a tensor at least as large as `index`, or a number.  With `reduce` `"add"` or `"multiply"` it is combined.
    """
    given = src if src is not None else value
    if given is None or reduce not in (None, "add", "multiply"):
        raise ArgumentError(f"scatter: src is {given}, reduce is {reduce!r}", where=here(), mend="give a src")
    x, places = lift(input), lift(index)
    combine = {None: _replaced, "add": ops.add, "multiply": ops.multiply}[reduce]
    return wrap(_scattered("scatter", x, dim, places, _source("scatter", x, places, given), combine))


@tensor_function
def scatter_add(input: TensorLike, dim: int, index: TensorLike, src: TensorLike) -> Tensor:
    """A copy where `src[i]` is added to element `index[i]` along an axis, the other axes going in step."""
    x, places = lift(input), lift(index)
    return wrap(_scattered("scatter_add", x, dim, places, _source("scatter_add", x, places, src), ops.add))


@tensor_function
def scatter_reduce(
    input: TensorLike, dim: int, index: TensorLike, src: TensorLike, reduce: str, *, include_self: bool = True
) -> Tensor:
    """A copy where element `index[i]` along an axis is combined with `src[i]` by `reduce`.

    `reduce` is `sum`, `prod`, `mean`, `amax` or `amin`; without `include_self` the elements of `input` that an index
    names are left out of it.
    """
    x, places = lift(input), lift(index)
    return wrap(
        _reduced("scatter_reduce", x, dim, places, _source("scatter_reduce", x, places, src), reduce, include_self)
    )


def _reduced(name: str, x: Var, dim: int, places: Var, source: Var, reduce: str, include_self: bool) -> Var:
    combine = _REDUCTIONS.get(reduce)
    if combine is None:
        raise ArgumentError(
            f"{name}: there is no reduction {reduce!r}", where=here(), mend=f"use one of {', '.join(_REDUCTIONS)}"
        )
    start = x
    if not include_self:
        marks = expand_to(filled((), True, dtypes.bool_), places.sizes)
        no = filled(x.sizes, False, dtypes.bool_)
        touched = _scattered(name, no, dim, places, marks, ops.or_)
        start = ops.select(touched, filled(x.sizes, _neutral(reduce, x), x.dtype), x)
    found = _scattered(name, start, dim, places, source, combine)
    if reduce != "mean":
        return found
    number = dtypes.i64 if not x.dtype.is_float else x.dtype
    counts = filled(x.sizes, 1 if include_self else 0, number)
    counts = _scattered(name, counts, dim, places, filled(places.sizes, 1, number), ops.add)
    counts = convert(ops.maximum(counts, ops.ones_like(counts)), x.dtype)
    return lift(div(wrap(found), wrap(counts), rounding_mode=None if x.dtype.is_float else "floor"))


def _neutral(reduce: str, x: Var) -> Scalar:
    if reduce in ("sum", "mean"):
        return 0
    if reduce == "prod":
        return 1
    if x.dtype.is_float:
        return -math.inf if reduce == "amax" else math.inf
    low = -(2 ** (x.dtype.bits - 1)) if x.dtype.is_signed else 0
    high = 2 ** (x.dtype.bits - x.dtype.is_signed) - 1
    return low if reduce == "amax" else high


def _at(name: str, x: Var, dim: int, index: TensorLike) -> tuple[Any, int]:
    """`x.at[..., index, ...]` along an axis, and how many positions that is."""
    axis = normalize_axis(name, dim, x.rank)
    places = lift(index)
    if places.rank > 1 or not places.dtype.is_integer:
        raise RangeError(f"{name}: the index is {places.type}, not a vector of integers", where=here())
    flat = wrap(reshape_to(places, (places.type.size,)))
    return At(wrap(x))[(*[slice(None)] * axis, flat)], places.type.size


def _fitting(name: str, x: Var, dim: int, count: int, source: TensorLike) -> Tensor:
    """`source`, which must have the sizes of `x` but `count` along the axis."""
    value = lift(source)
    axis = normalize_axis(name, dim, x.rank)
    wanted = (*x.sizes[:axis], count, *x.sizes[axis + 1 :])
    if value.sizes != wanted:
        raise RangeError(f"{name}: the source is {value.type}, where its shape should be {wanted}", where=here())
    if value.dtype is not x.dtype:
        raise DTypeError(f"{name}: {x.type} and {value.type} differ in element type", where=here(), mend="convert one")
    return wrap(value)


@tensor_function
def index_add(input: TensorLike, dim: int, index: TensorLike, source: TensorLike, *, alpha: Scalar = 1) -> Tensor:
    """A copy where `alpha` times position i of `source` is added to position `index[i]` of an axis."""
    x = lift(input)
    update, count = _at("index_add", x, dim, index)
    return update.add(_fitting("index_add", x, dim, count, source) * alpha)


@tensor_function
def index_copy(input: TensorLike, dim: int, index: TensorLike, source: TensorLike) -> Tensor:
    """A copy where position `index[i]` of an axis becomes position i of `source`."""
    x = lift(input)
    update, count = _at("index_copy", x, dim, index)
    return update.set(_fitting("index_copy", x, dim, count, source))


@tensor_function
def index_fill(input: TensorLike, dim: int, index: TensorLike, value: TensorLike) -> Tensor:
    """A copy where the positions `index` of an axis are `value`."""
    return _at("index_fill", lift(input), dim, index)[0].set(value)


@tensor_function
def index_reduce(
    input: TensorLike, dim: int, index: TensorLike, source: TensorLike, reduce: str, *, include_self: bool = True
) -> Tensor:
    """A copy where position `index[i]` of an axis is combined with position i of `source`; see `scatter_reduce`."""
    x = lift(input)
    places = lift(index)
    axis = normalize_axis("index_reduce", dim, x.rank)
    values = lift(_fitting("index_reduce", x, dim, places.type.size, source))
    spread = ops.broadcast_in_dim(places, values.sizes, (axis,))
    return wrap(_reduced("index_reduce", x, dim, spread, values, "sum" if reduce == "add" else reduce, include_self))


@tensor_function
def index_put(input: TensorLike, indices: Sequence[Any], values: TensorLike, accumulate: bool = False) -> Tensor:
    """A copy where `x[indices]` is `values`, or with `accumulate` has them added."""
    update = At(wrap(lift(input)))[tuple(indices)]
    return update.add(values) if accumulate else update.set(values)


@tensor_function
def put(input: TensorLike, index: TensorLike, source: TensorLike, accumulate: bool = False) -> Tensor:
    """A copy where element `index[i]` of the flattened tensor is `source[i]`, or with `accumulate` has it added."""
    x, places, values = lift(input), lift(index), lift(source)
    if places.type.size != values.type.size or not places.dtype.is_integer:
        raise RangeError(f"put: index {places.type} does not fit {values.type}", where=here())
    flat = (wrap(reshape_to(value, (value.type.size,))) for value in (x, places, values))
    whole, where_to, new = flat
    update = At(whole)[where_to]
    return wrap(reshape_to(lift(update.add(new) if accumulate else update.set(new)), x.sizes))


@tensor_function
def masked_fill(input: TensorLike, mask: TensorLike, value: TensorLike) -> Tensor:
    """The tensor with `value` where `mask`, which broadcasts with it, is true; in the tensor's element type."""
    x, chosen = lift(input), lift(mask)
    if not chosen.dtype.is_bool:
        raise DTypeError(f"masked_fill: the mask is {chosen.type}, not of bools", where=here())
    if not is_scalar(value) and type_of(value).rank:
        raise ShapeError(f"masked_fill: the value is {type_of(value)}, not a scalar", where=here())
    shape = broadcast_shape("masked_fill", x.sizes, chosen.sizes)
    new = convert(lift(value, x.dtype), x.dtype)
    return wrap(ops.select(expand_to(chosen, shape), expand_to(new, shape), expand_to(x, shape)))


@tensor_function
def masked_scatter(input: TensorLike, mask: TensorLike, source: TensorLike) -> Tensor:
    """The tensor with the elements of `source`, in order, where `mask`, which broadcasts to it, is true."""
    x, values = lift(input), lift(source)
    chosen = truth(lift(mask))
    shape = broadcast_shape("masked_scatter", x.sizes, chosen.sizes)
    x, chosen = expand_to(x, shape), expand_to(chosen, shape)
    if values.type.size == 0 or x.type.size == 0:
        return wrap(x)
    flat = reshape_to(chosen, (chosen.type.size,))
    order = ops.cumulative_sum(convert(flat, dtypes.i64), 0)
    place = ops.maximum(ops.subtract(order, ops.ones_like(order)), ops.zeros_like(order))
    taken = ops.take_along_axis(reshape_to(values, (values.type.size,)), place, 0)
    return wrap(ops.select(chosen, reshape_to(convert(taken, x.dtype), shape), x))


@tensor_function
def take_along_dim(input: TensorLike, indices: TensorLike, dim: int | None = None) -> Tensor:
    """For each index its element along an axis, the other axes broadcasting; without `dim` of the flattened tensor."""
    if dim is None:
        places = lift(indices)
        return take_along_axis(input, wrap(reshape_to(places, (places.type.size,))))
    return take_along_axis(input, indices, normalize_axis("take_along_dim", dim, lift(input).rank))


@tensor_function
def select_scatter(input: TensorLike, src: TensorLike, dim: int, index: int) -> Tensor:
    """A copy whose position `index` of an axis is `src`."""
    x = lift(input)
    axis = normalize_axis("select_scatter", dim, x.rank)
    return At(wrap(x))[(*[slice(None)] * axis, index)].set(src)


@tensor_function
def slice_scatter(
    input: TensorLike, src: TensorLike, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """A copy whose positions `start` to before `end` of an axis, by `step`, are `src`."""
    x = lift(input)
    axis = normalize_axis("slice_scatter", dim, x.rank)
    return At(wrap(x))[(*[slice(None)] * axis, slice(start, end, step))].set(src)
