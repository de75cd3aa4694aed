"""Reductions: sums, extremes, statistics and truth over some axes or all.

The axes are PyTorch's `dim` or NumPy's `axis`: one, several, or None for all; `keepdim` or `keepdims` leaves them
in with size 1.  `ArgumentError` names an axis that is out of range.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, cast, overload

from tenfold.eager import is_array, tensor_function
from tenfold.functions import return_types
from tenfold.functions.arithmetic import maximum, minimum, stop_gradient, truth
from tenfold.functions.axes import (
    Axes,
    count,
    either,
    kept,
    normalize_axes,
    require_axis,
    reshape_to,
    with_axes_kept,
)
from tenfold.functions.creation import filled
from tenfold.functions.precision import rounded_once
from tenfold.promotion import accumulator_dtype, convert, floating_dtype
from tenfold.specs import DTypeLike, element_type
from tenfold.tracing import TensorLike, here, lift, wrap
from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.errors import ArgumentError, RangeError
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops import Direction

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

__all__ = [
    "all",
    "amax",
    "amin",
    "any",
    "argmax",
    "argmin",
    "count_nonzero",
    "logsumexp",
    "max",
    "mean",
    "min",
    "norm",
    "prod",
    "std",
    "sum",
    "var",
]


def reduced(
    name: str, op: Callable[[Var, tuple[int, ...]], Var], x: Var, axes: Axes, keep: bool
) -> tuple[Var, tuple[int, ...]]:
    """`op` over `axes` of `x`, and the axes counted from 0."""
    normalized = normalize_axes(name, axes, x.rank)
    result = op(x, normalized) if normalized else x
    return (with_axes_kept(result, x.sizes, normalized) if keep else result), normalized


def _accumulating(dtype: DTypeLike | None, x: Var) -> Var:
    chosen = accumulator_dtype(x.dtype) if dtype is None else element_type(dtype)
    return convert(x, chosen)


def _floating(dtype: DTypeLike | None, x: Var) -> Var:
    return convert(x, floating_dtype(x.dtype) if dtype is None else element_type(dtype))


@tensor_function
def sum(  # noqa: A001 - NumPy's name
    input: TensorLike,
    dim: Axes = None,
    keepdim: bool = False,
    *,
    dtype: DTypeLike | None = None,
    axis: Axes = None,
    keepdims: bool | None = None,
) -> Tensor:
    """The sum over axes; of integers and bools in i64, unless `dtype` says otherwise."""
    value = _accumulating(dtype, lift(input))
    return wrap(reduced("sum", ops.reduce_sum, value, either("sum", dim, axis), kept(keepdim, keepdims))[0])


@tensor_function
def prod(
    input: TensorLike,
    dim: Axes = None,
    keepdim: bool = False,
    *,
    dtype: DTypeLike | None = None,
    axis: Axes = None,
    keepdims: bool | None = None,
) -> Tensor:
    """The product over axes; of integers and bools in i64, unless `dtype` says otherwise."""
    value = _accumulating(dtype, lift(input))
    return wrap(reduced("prod", ops.reduce_prod, value, either("prod", dim, axis), kept(keepdim, keepdims))[0])


@tensor_function
def mean(
    input: TensorLike,
    dim: Axes = None,
    keepdim: bool = False,
    *,
    dtype: DTypeLike | None = None,
    axis: Axes = None,
    keepdims: bool | None = None,
) -> Tensor:
    """The arithmetic mean over axes; of integers in f32.  NaN where there is nothing to average."""
    value = _floating(dtype, lift(input))
    working = dtypes.f32 if value.dtype.is_half else value.dtype
    average = mean_of("mean", convert(value, working), either("mean", dim, axis), kept(keepdim, keepdims))
    return wrap(convert(average, value.dtype))


def mean_of(name: str, value: Var, axes: Axes, keep: bool) -> Var:
    """The mean of floats over `axes`."""
    total, normalized = reduced(name, ops.reduce_sum, value, axes, keep)
    return ops.divide(total, ops.full_like(total, float(count(value.sizes, normalized))))


@tensor_function
@rounded_once()
def var(
    input: TensorLike,
    dim: Axes = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
    ddof: float | None = None,
    axis: Axes = None,
    keepdims: bool | None = None,
) -> Tensor:
    """The variance over axes: squared distances from the mean, summed and divided by N - correction.

    The correction is 1 by default, as in PyTorch; `unbiased=False` (also as the second argument) or NumPy's `ddof=0`
    make it 0.
    """
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    chosen = _correction(unbiased, correction, ddof)
    return wrap(_variance("var", lift(input), either("var", dim, axis), kept(keepdim, keepdims), chosen))


@tensor_function
@rounded_once()
def std(
    input: TensorLike,
    dim: Axes = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
    ddof: float | None = None,
    axis: Axes = None,
    keepdims: bool | None = None,
) -> Tensor:
    """The standard deviation over axes, the square root of `var` with the same arguments."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    chosen = _correction(unbiased, correction, ddof)
    return wrap(ops.sqrt(_variance("std", lift(input), either("std", dim, axis), kept(keepdim, keepdims), chosen)))


def _correction(unbiased: bool | None, correction: float | None, ddof: float | None) -> float:
    given = [float(value) for value in (unbiased, correction, ddof) if value is not None]
    if len(given) > 1:
        raise ArgumentError("var, std: give one of unbiased, correction and ddof", where=here())
    return given[0] if given else 1.0


def _variance(name: str, x: Var, axes: Axes, keep: bool, correction: float) -> Var:
    value = _floating(None, x)
    normalized = normalize_axes(name, axes, value.rank)
    centre = with_axes_kept(mean_of(name, value, normalized, False), value.sizes, normalized)
    distance = ops.subtract(value, ops.broadcast_in_dim(centre, value.sizes, range(value.rank)))
    total, _ = reduced(name, ops.reduce_sum, ops.multiply(distance, distance), normalized, keep)
    freedom = count(value.sizes, normalized) - correction
    return ops.divide(total, ops.full_like(total, freedom if freedom > 0 else 0.0))


def extreme(name: str, op: Callable[[Var, tuple[int, ...]], Var], x: Var, axes: Axes, keep: bool) -> Var:
    """The largest or the smallest element over `axes`; `RangeError`, which names `name`, where there is none."""
    normalized = normalize_axes(name, axes, x.rank)
    if count(x.sizes, normalized) == 0:
        raise RangeError(f"{name}: {x.type} has no element to choose", where=here())
    return reduced(name, op, x, normalized, keep)[0]


@tensor_function
def amax(
    input: TensorLike,
    dim: Axes = None,
    keepdim: bool = False,
    *,
    axis: Axes = None,
    keepdims: bool | None = None,
) -> Tensor:
    """The largest element over axes, NaN if there is one.  `RangeError` where there is none to choose."""
    return wrap(extreme("amax", ops.reduce_max, lift(input), either("amax", dim, axis), kept(keepdim, keepdims)))


@tensor_function
def amin(
    input: TensorLike,
    dim: Axes = None,
    keepdim: bool = False,
    *,
    axis: Axes = None,
    keepdims: bool | None = None,
) -> Tensor:
    """The smallest element over axes, NaN if there is one.  `RangeError` where there is none to choose."""
    return wrap(extreme("amin", ops.reduce_min, lift(input), either("amin", dim, axis), kept(keepdim, keepdims)))


@overload
def max(  # noqa: A001 - NumPy's name
    input: TensorLike,
    dim: None = None,
    keepdim: bool = False,
    *,
    axis: Axes = None,
    keepdims: bool | None = None,
) -> Tensor: ...
@overload
def max(input: TensorLike, dim: int, keepdim: bool = False) -> return_types.max: ...  # noqa: A001
@overload
def max(input: TensorLike, dim: Tensor) -> Tensor: ...  # noqa: A001
@tensor_function
def max(  # noqa: A001
    input: TensorLike,
    dim: int | Tensor | None = None,
    keepdim: bool = False,
    *,
    other: TensorLike | None = None,
    axis: Axes = None,
    keepdims: bool | None = None,
) -> Tensor | return_types.max:
    """The largest element: along PyTorch's `dim` as (values, indices), over NumPy's `axis` or all as values.

    `max(x, y)` of two tensors is `maximum(x, y)`.
    """
    second = dim if is_array(dim) else other
    if second is not None:
        return maximum(input, second)
    x = lift(input)
    if dim is None:
        return wrap(extreme("max", ops.reduce_max, x, axis, kept(keepdim, keepdims)))
    along = cast("int", either("max", cast("int", dim), axis))
    values = extreme("max", ops.reduce_max, x, along, keepdim)
    return return_types.max(wrap(values), wrap(_index_of("max", ops.argmax, x, along, keepdim)))


@overload
def min(  # noqa: A001 - NumPy's name
    input: TensorLike,
    dim: None = None,
    keepdim: bool = False,
    *,
    axis: Axes = None,
    keepdims: bool | None = None,
) -> Tensor: ...
@overload
def min(input: TensorLike, dim: int, keepdim: bool = False) -> return_types.min: ...  # noqa: A001
@overload
def min(input: TensorLike, dim: Tensor) -> Tensor: ...  # noqa: A001
@tensor_function
def min(  # noqa: A001
    input: TensorLike,
    dim: int | Tensor | None = None,
    keepdim: bool = False,
    *,
    other: TensorLike | None = None,
    axis: Axes = None,
    keepdims: bool | None = None,
) -> Tensor | return_types.min:
    """The smallest element: along PyTorch's `dim` as (values, indices), over NumPy's `axis` or all as values.

    `min(x, y)` of two tensors is `minimum(x, y)`.
    """
    second = dim if is_array(dim) else other
    if second is not None:
        return minimum(input, second)
    x = lift(input)
    if dim is None:
        return wrap(extreme("min", ops.reduce_min, x, axis, kept(keepdim, keepdims)))
    along = cast("int", either("min", cast("int", dim), axis))
    values = extreme("min", ops.reduce_min, x, along, keepdim)
    return return_types.min(wrap(values), wrap(_index_of("min", ops.argmin, x, along, keepdim)))


def _index_of(name: str, op: Callable[[Var, int, DType], Var], x: Var, axis: int | None, keep: bool) -> Var:
    if x.type.size == 0 and (axis is None or x.sizes[require_axis(name, axis, x.rank)] == 0):
        raise RangeError(f"{name}: {x.type} has no element to choose", where=here())
    if axis is None:
        flat = op(reshape_to(x, (math.prod(x.sizes),)), 0, dtypes.i64)
        return reshape_to(flat, (1,) * x.rank) if keep else flat
    if x.rank == 0:
        require_axis(name, axis, 1)
        return filled((), 0, dtypes.i64)
    normalized = require_axis(name, axis, x.rank)
    index = op(x, normalized, dtypes.i64)
    return with_axes_kept(index, x.sizes, (normalized,)) if keep else index


@tensor_function
def argmax(
    input: TensorLike,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    axis: int | None = None,
    keepdims: bool | None = None,
) -> Tensor:
    """The index of the largest element along an axis, or of all in row-major order; i64, the first of equals."""
    return wrap(_index_of("argmax", ops.argmax, lift(input), dim if axis is None else axis, kept(keepdim, keepdims)))


@tensor_function
def argmin(
    input: TensorLike,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    axis: int | None = None,
    keepdims: bool | None = None,
) -> Tensor:
    """The index of the smallest element along an axis, or of all in row-major order; i64, the first of equals."""
    return wrap(_index_of("argmin", ops.argmin, lift(input), dim if axis is None else axis, kept(keepdim, keepdims)))


def _decided(name: str, op: Callable[[Var, tuple[int, ...]], Var], input: TensorLike, axes: Axes, keep: bool) -> Tensor:
    x = lift(input)
    found, _ = reduced(name, op, truth(x), axes, keep)
    return wrap(convert(found, dtypes.u8) if x.dtype is dtypes.u8 else found)


@tensor_function
def any(  # noqa: A001 - NumPy's name
    input: TensorLike,
    dim: Axes = None,
    keepdim: bool = False,
    *,
    axis: Axes = None,
    keepdims: bool | None = None,
) -> Tensor:
    """Whether an element over the axes is true (not 0).  Bool; of u8 in u8, as PyTorch's."""
    return _decided("any", ops.reduce_or, input, either("any", dim, axis), kept(keepdim, keepdims))


@tensor_function
def all(  # noqa: A001 - NumPy's name
    input: TensorLike,
    dim: Axes = None,
    keepdim: bool = False,
    *,
    axis: Axes = None,
    keepdims: bool | None = None,
) -> Tensor:
    """Whether every element over the axes is true (not 0).  Bool; of u8 in u8, as PyTorch's."""
    return _decided("all", ops.reduce_and, input, either("all", dim, axis), kept(keepdim, keepdims))


@tensor_function
def count_nonzero(input: TensorLike, dim: Axes = None, *, axis: Axes = None) -> Tensor:
    """How many elements over the axes are not 0; i64."""
    x = truth(lift(input))
    return sum(wrap(x), normalize_axes("count_nonzero", either("count_nonzero", dim, axis), x.rank))


@tensor_function
@rounded_once()
def logsumexp(
    input: TensorLike,
    dim: Axes = None,
    keepdim: bool = False,
    *,
    axis: Axes = None,
    keepdims: bool | None = None,
) -> Tensor:
    """log(sum(exp(x))) over axes, without overflow: the largest element is taken out first."""
    value = _floating(None, lift(input))
    axes = normalize_axes("logsumexp", either("logsumexp", dim, axis), value.rank)
    result = log_sum_exp(value, axes)
    return wrap(result if kept(keepdim, keepdims) else _without(result, axes))


@tensor_function
@rounded_once()
def norm(
    input: TensorLike,
    p: float | str | None = "fro",
    dim: Axes = None,
    keepdim: bool = False,
    *,
    axis: Axes = None,
    keepdims: bool | None = None,
) -> Tensor:
    """The p-norm of the elements along axes, (sum |x|^p)^(1/p).

    With p = inf it is the largest |x|, with -inf the smallest (`RangeError` where there is none), with 0 how many are
    not 0.  Its gradient is 0 where it is 0.  For a matrix it is the norm of its elements; p = "fro" is 2, Frobenius's.
    """
    value = _floating(None, lift(input))
    axes = normalize_axes("norm", either("norm", dim, axis), value.rank)
    order = 2.0 if p is None or p == "fro" else float(p)
    result = with_axes_kept(_norm(ops.abs_(value), order, axes), value.sizes, axes)
    return wrap(result if kept(keepdim, keepdims) else _without(result, axes))


def _norm(size: Var, p: float, axes: tuple[int, ...]) -> Var:
    """The p-norm of elements that are not negative."""
    if math.isinf(p):
        return extreme("norm", ops.reduce_max if p > 0 else ops.reduce_min, size, axes, False)
    if p == 0:
        nonzero = ops.compare(size, ops.zeros_like(size), Direction.NE)
        return ops.reduce_sum(ops.convert(nonzero, size.dtype), axes)
    if p == 1:
        return ops.reduce_sum(size, axes)
    powers = ops.square(size) if p == 2 else ops.power(size, ops.full_like(size, p))
    total = ops.reduce_sum(powers, axes)
    root = ops.sqrt(total) if p == 2 else ops.power(total, ops.full_like(total, 1 / p))
    return ops.select(ops.compare(total, ops.zeros_like(total), Direction.EQ), total, root)


def _without(x: Var, axes: tuple[int, ...]) -> Var:
    return reshape_to(x, [size for number, size in enumerate(x.sizes) if number not in axes])


def largest_finite(value: Var, axes: tuple[int, ...]) -> Var:
    """The largest element over `axes`, kept, as a constant for derivatives; 0 where it is infinite."""
    largest = with_axes_kept(ops.reduce_max(value, axes) if axes else value, value.sizes, axes)
    finite = ops.select(
        ops.compare(ops.abs_(largest), ops.full_like(largest, math.inf), Direction.EQ),
        ops.zeros_like(largest),
        largest,
    )
    return stop_gradient(wrap(finite)).in_trace()


def log_sum_exp(value: Var, axes: tuple[int, ...]) -> Var:
    """log(sum(exp(value))) over `axes`, kept."""
    largest = largest_finite(value, axes)
    exponentials = ops.exponential(ops.subtract(value, ops.broadcast_in_dim(largest, value.sizes, range(value.rank))))
    total, _ = reduced("logsumexp", ops.reduce_sum, exponentials, axes, True)
    return ops.add(ops.log(total), largest)
