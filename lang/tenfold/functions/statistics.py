"""Statistics over some axes or all: medians, quantiles, modes, sums and means without NaNs, covariances."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tenfold.eager import tensor_function
from tenfold.functions import arithmetic, reductions, return_types
from tenfold.functions.axes import (
    Axes,
    either,
    expand_to,
    normalize_axes,
    normalize_axis,
    reshape_to,
    with_axes_kept,
)
from tenfold.functions.binary import is_nan
from tenfold.functions.creation import counted, filled
from tenfold.functions.precision import rounded_once
from tenfold.functions.selection import at_rank
from tenfold.functions.shapes import permuted, sliced
from tenfold.promotion import accumulator_dtype, convert, promoted_floating
from tenfold.specs import DTypeLike, element_type
from tenfold.tracing import Scalar, TensorLike, here, is_scalar, lift, wrap
from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError, DTypeError, RangeError, ShapeError
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops import Direction, ScatterAttributes, ScatterDimensionNumbers

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

__all__ = [
    "aminmax",
    "corrcoef",
    "cov",
    "dist",
    "histc",
    "median",
    "mode",
    "nanmean",
    "nanmedian",
    "nanquantile",
    "nansum",
    "quantile",
    "std_mean",
    "var_mean",
]


def _flat(x: Var) -> Var:
    return reshape_to(x, (x.type.size,))


def nans(x: Var) -> Var:
    """Which elements are NaN; of integers and bools, none."""
    return is_nan(x) if x.dtype.is_float else ops.full(x.builder, x.type.with_dtype(dtypes.bool_), False)


def _count(flags: Var, axis: int) -> Var:
    """How many of `flags` are set along `axis`, which stays; i64."""
    return with_axes_kept(ops.reduce_sum(convert(flags, dtypes.i64), (axis,)), flags.sizes, (axis,))


def _middle(name: str, x: Var, axis: int, skip_nan: bool) -> tuple[Var, Var]:
    """The lower median along `axis`, which stays, and its index."""
    length = x.sizes[axis]
    if length == 0:
        raise RangeError(f"{name}: {x.type} has no element along axis {axis}", where=here())
    wrong = _count(nans(x), axis)
    one, two = ops.ones_like(wrong), ops.full_like(wrong, 2)
    valid = ops.subtract(ops.full_like(wrong, length), wrong)
    place = ops.divide(ops.subtract(valid, one), two)
    if skip_nan:
        place = ops.maximum(place, ops.zeros_like(place))
    else:
        place = ops.select(ops.compare(wrong, ops.zeros_like(wrong), Direction.GT), valid, place)
    return at_rank(x, place, axis)


def _whole_median(name: str, x: Var, skip_nan: bool) -> Tensor:
    if x.type.size == 0:
        lowest = -(2 ** (x.dtype.bits - 1)) if x.dtype.is_signed else 0
        return wrap(filled((), math.nan if x.dtype.is_float else lowest, x.dtype))
    return wrap(reshape_to(_middle(name, _flat(x), 0, skip_nan)[0], ()))


def _chosen(parts: tuple[Var, Var], x: Var, axis: int, keep: bool) -> tuple[Tensor, Tensor]:
    """Values and indices along `axis`, which is left in or taken out; `x` is the tensor that was given."""
    shape = x.sizes if x.rank else (1,)
    kept_shape = [1 if i == axis else n for i, n in enumerate(shape)] if keep and x.rank else None
    shape = kept_shape or [n for i, n in enumerate(shape) if i != axis]
    first, second = (wrap(reshape_to(part, shape)) for part in parts)
    return first, second


def _axis_of(name: str, x: Var, dim: int) -> tuple[Var, int]:
    """`x` with at least one axis, and `dim` counted from 0."""
    whole = reshape_to(x, (1,)) if x.rank == 0 else x
    return whole, normalize_axis(name, dim, whole.rank)


@tensor_function
def median(input: TensorLike, dim: int | None = None, keepdim: bool = False) -> Tensor | return_types.median:
    """The element in the middle, the lower of two: of all, or along an axis with its index; NaN where one is."""
    x = lift(input)
    if dim is None:
        return _whole_median("median", x, False)
    whole, axis = _axis_of("median", x, dim)
    return return_types.median(*_chosen(_middle("median", whole, axis, False), x, axis, keepdim))


@tensor_function
def nanmedian(input: TensorLike, dim: int | None = None, keepdim: bool = False) -> Tensor | return_types.nanmedian:
    """`median` of the elements that are not NaN; NaN where all are."""
    x = lift(input)
    if dim is None:
        return _whole_median("nanmedian", x, True)
    whole, axis = _axis_of("nanmedian", x, dim)
    return return_types.nanmedian(*_chosen(_middle("nanmedian", whole, axis, True), x, axis, keepdim))


@tensor_function
def mode(input: TensorLike, dim: int = -1, keepdim: bool = False) -> return_types.mode:
    """The most frequent element along an axis, the smallest of several, and the index where it last is.

    In sorted order equal elements form runs; the longest one is where the distance from a run's start is largest.
    """
    x = lift(input)
    whole, axis = _axis_of("mode", x, dim)
    length = whole.sizes[axis]
    if length == 0:
        raise RangeError(f"mode: {x.type} has no element along axis {axis}", where=here())
    values, indices = ops.sort_with_indices(whole, axis, False, dtypes.i64)
    place = counted(whole.sizes, axis, dtypes.i64)
    before, after = sliced(values, axis, 0, length - 1), sliced(values, axis, 1, length)
    first = filled([1 if i == axis else n for i, n in enumerate(whole.sizes)], True, dtypes.bool_)
    starts = ops.concatenate([first, ops.compare(before, after, Direction.NE)], axis)
    run_start = ops.cumulative_max(ops.select(starts, place, ops.zeros_like(place)), axis)
    best = ops.argmax(ops.subtract(place, run_start), axis, dtypes.i64)
    best = with_axes_kept(best, whole.sizes, (axis,))
    parts = ops.take_along_axis(values, best, axis), ops.take_along_axis(indices, best, axis)
    return return_types.mode(*_chosen(parts, x, axis, keepdim))


def _quantiles(
    name: str, x: Var, q: TensorLike, dim: int | None, keep: bool, interpolation: str, skip_nan: bool
) -> Tensor:
    if not x.dtype.is_float:
        raise DTypeError(f"{name}: takes f32 or f64, not {x.type}", where=here())
    if is_scalar(q) and not 0 <= float(q) <= 1:  # pyright: ignore[reportArgumentType]
        raise ArgumentError(f"{name}: q is {q}, not between 0 and 1", where=here())
    share = convert(lift(q, x.dtype), x.dtype)
    if share.rank > 1:
        raise ShapeError(f"{name}: q is {share.type}, neither a scalar nor a vector", where=here())
    rank, axis = x.rank, None if dim is None else normalize_axis(name, dim, max(1, x.rank))
    rows = _flat(x) if axis is None or rank == 0 else permuted(x, [*(i for i in range(rank) if i != axis), axis])
    if rows.sizes[-1] == 0:
        raise ShapeError(f"{name}: {x.type} has no element to choose", where=here())
    found = _at_shares(rows, _flat(share), interpolation, skip_nan)
    found = permuted(found, [found.rank - 1, *range(found.rank - 1)])
    shape = list(found.sizes[1:])
    if keep:
        shape = [1] * rank if axis is None else [*shape[:axis], 1, *shape[axis:]]
    return wrap(reshape_to(found, (*share.sizes, *shape)))


def _at_shares(rows: Var, shares: Var, interpolation: str, skip_nan: bool) -> Var:
    """The elements at `shares` of the way from the smallest to the largest along the last axis."""
    last = rows.rank - 1
    values = ops.sort_values(rows, last)
    wrong = _count(nans(rows), last)
    highest = ops.subtract(ops.full_like(wrong, rows.sizes[last] - 1), wrong if skip_nan else ops.zeros_like(wrong))
    highest = convert(ops.maximum(highest, ops.zeros_like(highest)), rows.dtype)
    shape = (*rows.sizes[:-1], shares.type.size)
    place = ops.multiply(expand_to(shares, shape), expand_to(highest, shape))
    if interpolation == "nearest":
        place = ops.round_nearest_even(place)
    elif interpolation in ("lower", "higher"):
        place = ops.floor(place) if interpolation == "lower" else ops.ceil(place)
    elif interpolation not in ("linear", "midpoint"):
        raise ArgumentError(f"quantile: there is no interpolation {interpolation!r}", where=here())
    below = ops.floor(place)
    low = ops.take_along_axis(values, convert(below, dtypes.i64), last)
    high = ops.take_along_axis(values, convert(ops.ceil(place), dtypes.i64), last)
    weight = ops.subtract(place, below) if interpolation != "midpoint" else ops.full_like(low, 0.5)
    found = lift(_lerp(low, high, weight))
    if skip_nan:
        return found
    poisoned = expand_to(ops.compare(wrong, ops.zeros_like(wrong), Direction.GT), shape)
    return ops.select(poisoned, ops.full_like(found, math.nan), found)


def _lerp(low: Var, high: Var, weight: Var) -> Tensor:
    """From `low` to `high`, which may be equal infinities."""
    way = ops.subtract(high, low)
    way = ops.select(ops.compare(low, high, Direction.EQ), ops.zeros_like(way), way)
    return wrap(ops.add(low, ops.multiply(weight, way)))


@tensor_function
def quantile(
    input: TensorLike, q: TensorLike, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """The elements at shares `q` (0 to 1) of the way from the smallest to the largest; NaN where one is.

    A vector `q` gives a first axis.  Between two elements `interpolation` is `linear`, `lower`, `higher`, `midpoint`
    or `nearest`.
    """
    return _quantiles("quantile", lift(input), q, dim, keepdim, interpolation, False)


@tensor_function
def nanquantile(
    input: TensorLike, q: TensorLike, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """`quantile` of the elements that are not NaN; NaN where all are."""
    return _quantiles("nanquantile", lift(input), q, dim, keepdim, interpolation, True)


@tensor_function
def std_mean(
    input: TensorLike,
    dim: Axes = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """`std` and `mean` with the same arguments."""
    dim, unbiased = (None, dim) if isinstance(dim, bool) else (dim, unbiased)
    axes = normalize_axes("std_mean", dim, lift(input).rank)
    spread = reductions.std(input, axes, unbiased, keepdim, correction=correction)
    return spread, reductions.mean(input, axes, keepdim)


@tensor_function
def var_mean(
    input: TensorLike,
    dim: Axes = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """`var` and `mean` with the same arguments."""
    dim, unbiased = (None, dim) if isinstance(dim, bool) else (dim, unbiased)
    axes = normalize_axes("var_mean", dim, lift(input).rank)
    spread = reductions.var(input, axes, unbiased, keepdim, correction=correction)
    return spread, reductions.mean(input, axes, keepdim)


@tensor_function
def nansum(
    input: TensorLike, dim: Axes = None, keepdim: bool = False, *, dtype: DTypeLike | None = None, axis: Axes = None
) -> Tensor:
    """The sum over axes of the elements that are not NaN."""
    x = lift(input)
    x = convert(x, accumulator_dtype(x.dtype) if dtype is None else element_type(dtype))
    axes = normalize_axes("nansum", either("nansum", dim, axis), x.rank)
    return reductions.sum(wrap(ops.select(nans(x), ops.zeros_like(x), x)), axes, keepdim)


@tensor_function
@rounded_once()
def nanmean(
    input: TensorLike, dim: Axes = None, keepdim: bool = False, *, dtype: DTypeLike | None = None, axis: Axes = None
) -> Tensor:
    """The mean over axes of the elements that are not NaN; NaN where there is none."""
    (x,) = promoted_floating(input) if dtype is None else (convert(lift(input), element_type(dtype)),)
    axes = normalize_axes("nanmean", either("nanmean", dim, axis), x.rank)
    total = nansum(wrap(x), axes, keepdim)
    return arithmetic.div(total, reductions.sum(wrap(ops.not_(nans(x))), axes, keepdim))


@tensor_function
def aminmax(input: TensorLike, *, dim: int | None = None, keepdim: bool = False) -> return_types.aminmax:
    """The smallest and the largest element, of all or along an axis."""
    x = lift(input)
    found = (reductions.extreme("aminmax", op, x, dim, keepdim) for op in (ops.reduce_min, ops.reduce_max))
    return return_types.aminmax(*map(wrap, found))


@tensor_function
def dist(input: TensorLike, other: TensorLike, p: float = 2) -> Tensor:
    """The `p`-norm of the difference of two tensors, all elements together."""
    return reductions.norm(arithmetic.sub(input, other), p)


@tensor_function
def histc(input: TensorLike, bins: int = 100, min: Scalar = 0, max: Scalar = 0) -> Tensor:  # noqa: A002
    """How many elements lie in each of `bins` equal parts of [`min`, `max`], as floats; others are left out.

    Where `min` equals `max`, the smallest and the largest element stand for them.
    """
    x = _flat(lift(input))
    if not x.dtype.is_float:
        raise DTypeError(f"histc: takes floats, not {x.type}", where=here())
    if bins <= 0 or max < min:
        raise ArgumentError(f"histc: {bins} bins from {min} to {max}", where=here())
    low, high = filled((), min, x.dtype), filled((), max, x.dtype)
    if min == max and x.type.size:
        low, high = ops.reduce_min(x, (0,)), ops.reduce_max(x, (0,))
    equal = ops.compare(low, high, Direction.EQ)
    one = ops.ones_like(low)
    low, high = ops.select(equal, ops.subtract(low, one), low), ops.select(equal, ops.add(high, one), high)
    width = ops.subtract(high, low)
    low, high, width = (expand_to(value, x.sizes) for value in (low, high, width))
    scaled = ops.divide(ops.multiply(ops.subtract(x, low), ops.full_like(x, bins)), width)
    place = convert(ops.minimum(ops.floor(scaled), ops.full_like(x, bins - 1)), dtypes.i64)
    inside = ops.and_(ops.compare(x, low, Direction.GE), ops.compare(x, high, Direction.LE))
    return wrap(scattered_counts(ops.select(inside, place, ops.full_like(place, bins)), ops.ones_like(x), bins))


def scattered_counts(places: Var, weights: Var, size: int) -> Var:
    """A vector of `size` where each of `weights` is added at its place; places outside are left out."""
    numbers = ScatterDimensionNumbers(inserted_window_dims=(0,), scatter_dims_to_operand_dims=(0,), index_vector_dim=1)
    indices = reshape_to(places, (places.type.size, 1))
    return ops.scatter_with(filled((size,), 0, weights.dtype), indices, weights, ScatterAttributes(numbers), ops.add)


@tensor_function
def cov(input: TensorLike, *, correction: int = 1) -> Tensor:
    """The covariances of the rows of a matrix, its columns being observations; of a vector its variance."""
    (x,) = promoted_floating(input)
    if x.rank > 2:
        raise ShapeError(f"cov: {x.type} is neither a vector nor a matrix", where=here())
    rows = reshape_to(x, (1, x.type.size)) if x.rank < 2 else x
    centre = reductions.mean_of("cov", rows, (1,), True)
    distance = ops.subtract(rows, expand_to(centre, rows.sizes))
    total = ops.dot_general(distance, distance, lhs_contracting=(1,), rhs_contracting=(1,))
    freedom = float(rows.sizes[1] - correction)
    found = ops.divide(total, ops.full_like(total, freedom if freedom > 0 else 0.0))
    return wrap(found if x.rank == 2 else reshape_to(found, ()))


@tensor_function
def corrcoef(input: TensorLike) -> Tensor:
    """The correlations of the rows of a matrix: covariances divided by both standard deviations."""
    found = lift(cov(input))
    if found.rank == 0:
        return wrap(ops.divide(found, found))
    size = found.sizes[0]
    row, column = (counted((size, size), axis, dtypes.i64) for axis in (0, 1))
    on_diagonal = ops.compare(row, column, Direction.EQ)
    spread = ops.sqrt(ops.reduce_sum(ops.select(on_diagonal, found, ops.zeros_like(found)), (1,)))
    by_row = ops.broadcast_in_dim(spread, (size, size), (0,))
    by_column = ops.broadcast_in_dim(spread, (size, size), (1,))
    scaled = ops.divide(ops.divide(found, by_row), by_column)
    return wrap(ops.clamp(ops.full_like(scaled, -1.0), scaled, ops.ones_like(scaled)))
