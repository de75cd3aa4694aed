"""Order and running totals along an axis: sort, argsort, topk, cumsum, cumprod."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tenfold.eager import tensor_function
from tenfold.functions.axes import normalize_axis, require_axis
from tenfold.functions.creation import filled
from tenfold.functions.reductions import Extremes
from tenfold.functions.shapes import sliced
from tenfold.promotion import accumulator_dtype, convert
from tenfold.specs import DTypeLike, element_type
from tenfold.tracing import TensorLike, here, lift, wrap
from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError
from tenfoldc import ops
from tenfoldc.ir.builder import Var

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

__all__ = [
    "argsort",
    "cumprod",
    "cumsum",
    "sort",
    "topk",
]


def _sorted(x: Var, axis: int, descending: bool) -> tuple[Var, Var]:
    """Values in order and where they were, equal ones in the order they had."""
    return ops.sort_with_indices(x, axis, descending, dtypes.i64)


@tensor_function
def sort(
    input: TensorLike,
    dim: int = -1,
    descending: bool = False,
    stable: bool = True,
    *,
    axis: int | None = None,
) -> Extremes | Tensor:
    """Elements in order along an axis: along PyTorch's `dim` as (values, indices), NumPy's `axis` as values.

    NaN comes last, first where descending.  Always stable.
    """
    value = lift(input)
    if value.rank == 0:
        return wrap(value) if axis is not None else Extremes(wrap(value), wrap(filled((), 0, dtypes.i64)))
    place = normalize_axis("sort", dim if axis is None else axis, value.rank)
    values, indices = _sorted(value, place, descending)
    return Extremes(wrap(values), wrap(indices)) if axis is None else wrap(values)


@tensor_function
def argsort(
    input: TensorLike,
    dim: int = -1,
    descending: bool = False,
    stable: bool = True,
    *,
    axis: int | None = None,
) -> Tensor:
    """The indices (i64) that put the elements in order along an axis; equal ones keep theirs."""
    value = lift(input)
    if value.rank == 0:
        return wrap(filled((), 0, dtypes.i64))
    return wrap(_sorted(value, normalize_axis("argsort", dim if axis is None else axis, value.rank), descending)[1])


@tensor_function
def topk(input: TensorLike, k: int, dim: int = -1, largest: bool = True) -> Extremes:
    """The `k` largest (or smallest) elements along an axis, in order, and their indices."""
    value = lift(input)
    axis = normalize_axis("topk", dim, value.rank)
    if not 0 <= k <= value.sizes[axis]:
        raise ArgumentError(f"topk: {k} of an axis of size {value.sizes[axis]}", where=here())
    values, indices = _sorted(value, axis, largest)
    return Extremes(wrap(sliced(values, axis, 0, k)), wrap(sliced(indices, axis, 0, k)))


def _running(name: str, op: Callable[[Var, int], Var], x: Var, axis: int | None) -> Tensor:
    if x.rank == 0:
        return wrap(x)
    return wrap(op(x, require_axis(name, axis, x.rank, default=0 if x.rank == 1 else None)))


def _accumulating(x: TensorLike, dtype: DTypeLike | None) -> Var:
    value = lift(x)
    return convert(value, accumulator_dtype(value.dtype) if dtype is None else element_type(dtype))


@tensor_function
def cumsum(
    input: TensorLike, dim: int | None = None, *, dtype: DTypeLike | None = None, axis: int | None = None
) -> Tensor:
    """The running sum along an axis, which only a vector need not name; of integers in i64."""
    value = _accumulating(input, dtype)
    return _running("cumsum", ops.cumulative_sum, value, dim if axis is None else axis)


@tensor_function
def cumprod(
    input: TensorLike, dim: int | None = None, *, dtype: DTypeLike | None = None, axis: int | None = None
) -> Tensor:
    """The running product along an axis, which only a vector need not name; of integers in i64."""
    value = _accumulating(input, dtype)
    return _running("cumprod", ops.cumulative_product, value, dim if axis is None else axis)
