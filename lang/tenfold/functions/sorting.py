"""Order and running totals along an axis: sort, argsort, topk, kthvalue, cumsum, cumprod."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from tenfold.eager import tensor_function
from tenfold.functions import return_types
from tenfold.functions.axes import integer_argument, normalize_axis, require_axis, reshape_to
from tenfold.functions.creation import filled
from tenfold.functions.selection import SHORT, at_rank
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
    "kthvalue",
    "msort",
    "sort",
    "topk",
]

_FEW = 8
"""Elements up to which the first few in order cost less than a selection."""

_MOST_INDEXED = 2**31 - 1
"""Elements of an axis up to which an i32, as `ops.top_k` gives them, can say where one is."""


def _sorted(x: Var, axis: int, descending: bool) -> tuple[Var, Var]:
    """Values in order and where they were, equal ones in the order they had."""
    return ops.sort_with_indices(x, axis, descending, dtypes.i64)


def _first(x: Var, k: int, axis: int, descending: bool) -> tuple[Var, Var]:
    """The first `k` in order and where they were, of equal ones the first in the order they had."""
    if x.sizes[axis] > _MOST_INDEXED:
        values, indices = _sorted(x, axis, descending)
        return sliced(values, axis, 0, k), sliced(indices, axis, 0, k)
    order = [*(other for other in range(x.rank) if other != axis), axis]
    back = [order.index(place) for place in range(x.rank)]
    values, indices = (ops.top_k if descending else ops.bottom_k)(ops.transpose(x, order), k)
    return ops.transpose(values, back), convert(ops.transpose(indices, back), dtypes.i64)


@tensor_function
def sort(
    input: TensorLike,
    dim: int = -1,
    descending: bool = False,
    stable: bool = True,
    *,
    axis: int | None = None,
) -> return_types.sort | Tensor:
    """Elements in order along an axis: along PyTorch's `dim` as (values, indices), NumPy's `axis` as values.

    NaN comes last, first where descending.  Always stable.
    """
    value = lift(input)
    if value.rank == 0:
        return wrap(value) if axis is not None else return_types.sort(wrap(value), wrap(filled((), 0, dtypes.i64)))
    place = normalize_axis("sort", dim if axis is None else axis, value.rank)
    values, indices = _sorted(value, place, descending)
    return return_types.sort(wrap(values), wrap(indices)) if axis is None else wrap(values)


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
def topk(
    input: TensorLike,
    k: int,
    dim: int = -1,
    largest: bool = True,
    sorted: bool = True,  # noqa: A002 - PyTorch's name
) -> return_types.topk:
    """The `k` largest (or smallest) elements along an axis, in order (always), and their indices."""
    value, k = lift(input), integer_argument("topk", "k", k)
    if value.rank == 0:
        value = reshape_to(value, (1,))
        found = topk(wrap(value), k, 0, largest)
        return return_types.topk(*(wrap(reshape_to(lift(part), ())) for part in found)) if k else found
    axis = normalize_axis("topk", dim, value.rank)
    if not 0 <= k <= value.sizes[axis]:
        raise ArgumentError(f"topk: {k} of an axis of size {value.sizes[axis]}", where=here())
    values, indices = _first(value, k, axis, largest)
    return return_types.topk(wrap(values), wrap(indices))


@tensor_function
def msort(input: TensorLike) -> Tensor:
    """The elements in order along the first axis."""
    return cast("Tensor", sort(input, axis=0))


@tensor_function
def kthvalue(input: TensorLike, k: int, dim: int = -1, keepdim: bool = False) -> return_types.kthvalue:
    """The `k`-th smallest element along an axis, `k` counted from 1, and its index."""
    value, k = lift(input), integer_argument("kthvalue", "k", k)
    whole = reshape_to(value, (1,)) if value.rank == 0 else value
    axis = normalize_axis("kthvalue", dim, whole.rank)
    if not 1 <= k <= whole.sizes[axis]:
        raise ArgumentError(f"kthvalue: number {k} of an axis of size {whole.sizes[axis]}", where=here())
    if k <= _FEW or whole.sizes[axis] <= SHORT:
        parts = (sliced(part, axis, k - 1, k) for part in _first(whole, k, axis, False))
    else:
        rank = filled([1 if i == axis else n for i, n in enumerate(whole.sizes)], k - 1, dtypes.i64)
        parts = at_rank(whole, rank, axis)
    if value.rank == 0 or not keepdim:
        parts = (reshape_to(part, [n for i, n in enumerate(whole.sizes) if i != axis]) for part in parts)
    return return_types.kthvalue(*map(wrap, parts))


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
