"""Where values lie in sorted sequences, and which values occur among others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenfold.eager import tensor_function
from tenfold.functions.axes import expand_to, reshape_to
from tenfold.functions.creation import filled
from tenfold.promotion import as_dtype, convert, result_type
from tenfold.tracing import TensorLike, here, lift, wrap
from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError, ShapeError
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops import Direction

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

__all__ = ["bucketize", "isin", "searchsorted"]


def _insertion(rows: Var, values: Var, right: bool) -> Var:
    """Where in the sorted last axis of `rows` each of `values` belongs; i64.

    A bisection whose ranges are as long for all values: it has no branches and no loop, so that several values are
    sought at a time.
    """
    length, last = rows.sizes[-1], rows.rank - 1
    place = filled(values.sizes, 0, dtypes.i32 if length < 2**31 else dtypes.i64)
    if length == 0 or values.type.size == 0:
        return convert(place, dtypes.i64)
    direction = Direction.GT if right else Direction.GE
    while length:
        # What is sought belongs among the `length` places from `place` on, or right after them.
        step = (length + 1) // 2
        probe = ops.add(place, ops.full_like(place, step - 1))
        found = ops.take_along_axis(rows, probe, last)
        # Not "less": a NaN that is sought goes to the end.
        beyond = ops.not_(ops.compare(found, values, direction))
        place = ops.select(beyond, ops.add(place, ops.full_like(place, step)), place)
        length -= step
    return convert(place, dtypes.i64)


@tensor_function
def searchsorted(
    sorted_sequence: TensorLike,
    input: TensorLike,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: TensorLike | None = None,
) -> Tensor:
    """Where in a sorted last axis each value belongs: before equal elements, with `right` after them.  i64.

    `sorted_sequence` is one vector for all values, or has their leading axes.  `sorter` are indices that sort it.
    """
    if side not in (None, "left", "right") or (side == "left" and right):
        raise ArgumentError(f"searchsorted: side is {side!r} and right is {right}", where=here())
    dtype = result_type(sorted_sequence, input)
    rows, values = as_dtype((sorted_sequence, input), dtype)
    if sorter is not None:
        rows = ops.take_along_axis(rows, convert(lift(sorter), dtypes.i64), rows.rank - 1)
    shape = values.sizes
    if rows.rank == 0 or (rows.rank > 1 and rows.sizes[:-1] != shape[:-1]):
        raise ShapeError(f"searchsorted: {rows.type} and {values.type} differ in leading axes", where=here())
    if rows.rank == 1:
        values = reshape_to(values, (values.type.size,))
    found = reshape_to(_insertion(rows, values, right or side == "right"), shape)
    return wrap(convert(found, dtypes.i32) if out_int32 else found)


def bucketize(input: TensorLike, boundaries: TensorLike, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """Which of the buckets between sorted `boundaries` each value falls into; `searchsorted` the other way round."""
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


@tensor_function
def isin(
    elements: TensorLike, test_elements: TensorLike, *, assume_unique: bool = False, invert: bool = False
) -> Tensor:
    """Whether each element occurs in `test_elements`, or with `invert` does not.  Bool."""
    dtype = result_type(elements, test_elements)
    dtype = dtypes.u8 if dtype.is_bool else dtype
    values, others = as_dtype((elements, test_elements), dtype)
    size = others.type.size
    if size == 0:
        return wrap(filled(values.sizes, invert, dtypes.bool_))
    rows = ops.sort_values(reshape_to(others, (size,)), 0)
    flat = reshape_to(values, (values.type.size,))
    place = _insertion(rows, flat, False)
    found = ops.take_along_axis(rows, ops.minimum(place, expand_to(filled((), size - 1, dtypes.i64), place.sizes)), 0)
    direction = Direction.NE if invert else Direction.EQ
    return wrap(reshape_to(ops.compare(found, flat, direction), values.sizes))
