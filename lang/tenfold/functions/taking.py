"""Elements taken along an axis by a tensor of indices: `take`, `gather`, `index_select`, `take_along_axis`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from tenfold.eager import tensor_function
from tenfold.functions.axes import (
    broadcast_shape,
    expand_to,
    normalize_axis,
    require_axis,
    reshape_to,
)
from tenfold.functions.indexing import getitem, position
from tenfold.functions.shapes import sliced
from tenfold.tracing import TensorLike, TensorValue, here, lift, wrap
from tenfold_rt.errors import ShapeError
from tenfoldc import ops
from tenfoldc.ir.builder import Var

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

__all__ = [
    "gather",
    "index_select",
    "take",
    "take_along_axis",
]


@tensor_function
def take(input: TensorLike, index: TensorLike, dim: int | None = None, *, axis: int | None = None) -> Tensor:
    """The positions `index` along an axis, or of the flattened tensor; the axis becomes those of `index`."""
    value = lift(input)
    place = dim if axis is None else axis
    if place is None:
        value, place = reshape_to(value, (math.prod(value.sizes),)), 0
    number = normalize_axis("take", place, value.rank)
    array = index if isinstance(index, (TensorValue, np.ndarray, list, tuple)) else np.asarray(index)
    return getitem(wrap(value), (*[slice(None)] * number, array))


@tensor_function
def index_select(input: TensorLike, dim: int, index: TensorLike) -> Tensor:
    """`take` with PyTorch's order of arguments."""
    value = lift(input)
    return take(wrap(value), index, normalize_axis("index_select", dim, value.rank))


@tensor_function
def take_along_axis(
    input: TensorLike, indices: TensorLike, dim: int | None = None, *, axis: int | None = None
) -> Tensor:
    """For each index its element along an axis, the other axes going in step and broadcasting (NumPy's)."""
    value, places = lift(input), lift(indices)
    if dim is None and axis is None:
        value, axis = reshape_to(value, (math.prod(value.sizes),)), 0
    number = require_axis("take_along_axis", dim if axis is None else axis, value.rank)
    if places.rank != value.rank:
        raise ShapeError(f"take_along_axis: {value.type} and {places.type} differ in rank", where=here())
    others = broadcast_shape("take_along_axis", *(_at_size_one(v.sizes, number) for v in (value, places)))
    value = expand_to(value, _with_size(others, number, value.sizes[number]))
    places = expand_to(places, _with_size(others, number, places.sizes[number]))
    return wrap(_taken_along(value, places, number))


def _at_size_one(sizes: Sequence[int], axis: int) -> tuple[int, ...]:
    return _with_size(sizes, axis, 1)


def _with_size(sizes: Sequence[int], axis: int, size: int) -> tuple[int, ...]:
    return (*sizes[:axis], size, *sizes[axis + 1 :])


def _taken_along(x: Var, indices: Var, axis: int) -> Var:
    return ops.take_along_axis(x, position(cast("Any", wrap(indices)), x.sizes[axis]), axis)


@tensor_function
def gather(input: TensorLike, dim: int, index: TensorLike) -> Tensor:
    """`take_along_axis` where the other axes of `index` may be shorter than those of `input` (PyTorch's)."""
    value, places = lift(input), lift(index)
    axis = normalize_axis("gather", dim, value.rank)
    for other, size in enumerate(places.sizes):
        if other != axis:
            value = sliced(value, other, 0, size)
    return wrap(_taken_along(value, places, axis))
