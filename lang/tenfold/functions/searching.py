"""Where values lie in sorted sequences, and which values occur among others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenfold.control.loops import fori_loop
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
    """Where in the sorted last axis of `rows` each of `values` belongs, by bisection; i64."""
    length, last = rows.sizes[-1], rows.rank - 1
    direction = Direction.GT if right else Direction.GE
    sequence, sought = wrap(rows), wrap(values)

    def halve(_: Tensor, bounds: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        low, high = lift(bounds[0]), lift(bounds[1])
        two, one = ops.full_like(low, 2), ops.ones_like(low)
        middle = ops.divide(ops.add(low, high), two)
        within = ops.minimum(middle, ops.full_like(low, length - 1))
        found = ops.take_along_axis(lift(sequence), within, last)
        # Not "less": a NaN that is sought goes to the end.
        beyond = ops.not_(ops.compare(found, lift(sought), direction))
        unfinished = ops.compare(low, high, Direction.LT)
        next_low = ops.select(ops.and_(unfinished, beyond), ops.add(middle, one), low)
        next_high = ops.select(ops.and_(unfinished, ops.not_(beyond)), middle, high)
        return wrap(next_low), wrap(next_high)

    start = filled(values.sizes, 0, dtypes.i64)
    if length == 0 or values.type.size == 0:
        return start
    bounds = wrap(start), wrap(ops.full_like(start, length))
    return lift(fori_loop(0, length.bit_length(), halve, bounds)[0])


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
