"""Along an axis: running extremes and their indices, running logarithms of sums, differences, areas under curves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tenfold.control.scans import associative_scan
from tenfold.eager import tensor_function
from tenfold.functions import return_types
from tenfold.functions.axes import broadcast, normalize_axis, require_axis, reshape_to
from tenfold.functions.binary import log_add_exp
from tenfold.functions.creation import counted, filled
from tenfold.functions.precision import rounded_once
from tenfold.functions.shapes import concatenate, sliced
from tenfold.functions.sorting import cumsum
from tenfold.functions.statistics import nans
from tenfold.promotion import convert, promoted_floating
from tenfold.tracing import TensorLike, here, lift, wrap
from tenfold.transforms.custom import custom_jvp
from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError, ShapeError
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops import Direction

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

__all__ = ["cummax", "cummin", "cumulative_trapezoid", "diff", "logcumsumexp", "trapezoid", "trapz"]


_MOST_NUMBERED = 2**31 - 1
"""Elements of an axis up to which an i32 can say where one is."""


def _running_extreme(name: str, op: Callable[[Var, int], Var], x: Var, dim: int) -> tuple[Tensor, Tensor]:
    """The running extreme and the index of the last element that is it."""
    if x.rank == 0:
        normalize_axis(name, dim, 1)
        return wrap(x), wrap(filled((), 0, dtypes.i64))
    axis = normalize_axis(name, dim, x.rank)
    if x.dtype.is_bool:
        running = op(convert(x, dtypes.u8), axis)
        return wrap(convert(running, dtypes.bool_)), wrap(_last_attained(convert(x, dtypes.u8), running, axis))

    def extreme(tensor: Tensor) -> Tensor:
        return wrap(op(lift(tensor), axis))

    def moved(primals: tuple[Tensor], tangents: tuple[Tensor]) -> tuple[Tensor, Tensor]:
        values = extreme(*primals)
        places = _last_attained(lift(primals[0]), lift(values), axis)
        return values, wrap(ops.take_along_axis(lift(tangents[0]), places, axis))

    differentiable = custom_jvp(extreme)
    differentiable.defjvp(moved)
    values = differentiable(wrap(x)) if x.dtype.is_float else extreme(wrap(x))
    return values, wrap(_last_attained(x, lift(values), axis))


def _last_attained(x: Var, running: Var, axis: int) -> Var:
    """Where along `axis` the last element is that equals its running extreme, or is NaN as that is; i64."""
    attains = ops.or_(ops.compare(x, running, Direction.EQ), nans(x))
    place = counted(x.sizes, axis, dtypes.i32 if x.sizes[axis] <= _MOST_NUMBERED else dtypes.i64)
    return convert(ops.cumulative_max(ops.select(attains, place, ops.zeros_like(place)), axis), dtypes.i64)


@tensor_function
def cummax(input: TensorLike, dim: int) -> return_types.cummax:
    """The largest element so far along an axis, NaN from the first one on, and its index, the last of equals."""
    return return_types.cummax(*_running_extreme("cummax", ops.cumulative_max, lift(input), dim))


@tensor_function
def cummin(input: TensorLike, dim: int) -> return_types.cummin:
    """The smallest element so far along an axis, NaN from the first one on, and its index, the last of equals."""
    return return_types.cummin(*_running_extreme("cummin", ops.cumulative_min, lift(input), dim))


@tensor_function
@rounded_once()
def logcumsumexp(input: TensorLike, dim: int | None = None, *, axis: int | None = None) -> Tensor:
    """The logarithm of the running sum of e^x along an axis, without overflow."""
    (x,) = promoted_floating(input)
    if x.rank == 0:
        return wrap(x)
    place = require_axis("logcumsumexp", dim if axis is None else axis, x.rank)
    return associative_scan(_log_sum, wrap(x), dim=place)


def _log_sum(first: Tensor, second: Tensor) -> Tensor:
    return wrap(log_add_exp(lift(first), lift(second)))


@tensor_function
def diff(
    input: TensorLike,
    n: int = 1,
    dim: int = -1,
    prepend: TensorLike | None = None,
    append: TensorLike | None = None,
) -> Tensor:
    """Each element less the one before it along an axis, `n` times over; of bools whether they differ.

    `prepend` and `append` are joined on first.
    """
    parts = [part for part in (prepend, input, append) if part is not None]
    x = lift(concatenate(parts, dim) if len(parts) > 1 else input)
    if x.rank == 0:
        raise ShapeError("diff: a scalar has no axis to take differences along", where=here())
    if n < 0:
        raise ArgumentError(f"diff: n is {n}, less than 0", where=here())
    axis = normalize_axis("diff", dim, x.rank)
    for _ in range(min(n, x.sizes[axis])):
        before, after = _neighbours(x, axis)
        x = ops.xor(after, before) if x.dtype.is_bool else ops.subtract(after, before)
    return wrap(x)


def _neighbours(x: Var, axis: int) -> tuple[Var, Var]:
    """All positions along `axis` but the last, and all but the first."""
    length = x.sizes[axis]
    return sliced(x, axis, 0, max(0, length - 1)), sliced(x, axis, min(1, length), length)


def _areas(name: str, y: TensorLike, x: TensorLike | None, dx: float, dim: int) -> tuple[Var, int]:
    """The area of each trapezoid between neighbours along an axis, and the axis."""
    (heights,) = promoted_floating(y) if x is None else promoted_floating(y, x)[:1]
    axis = normalize_axis(name, dim, heights.rank)
    before, after = _neighbours(heights, axis)
    if x is None:
        width = ops.full_like(before, dx)
    else:
        places = promoted_floating(y, x)[1]
        if places.rank == 1:
            places = reshape_to(places, [places.sizes[0] if i == axis else 1 for i in range(heights.rank)])
        start, stop = _neighbours(places, axis - heights.rank + places.rank)
        width, before, after = broadcast(name, ops.subtract(stop, start), before, after)
    return ops.multiply(ops.multiply(ops.add(before, after), width), ops.full_like(width, 0.5)), axis


@tensor_function
def trapezoid(y: TensorLike, x: TensorLike | None = None, *, dx: float = 1, dim: int = -1) -> Tensor:
    """The area under `y` along an axis by the trapezoidal rule, at the places `x` or `dx` apart."""
    areas, axis = _areas("trapezoid", y, x, dx, dim)
    return wrap(ops.reduce_sum(areas, (axis,)))


@tensor_function
def cumulative_trapezoid(y: TensorLike, x: TensorLike | None = None, *, dx: float = 1, dim: int = -1) -> Tensor:
    """The running area under `y` along an axis by the trapezoidal rule, at the places `x` or `dx` apart."""
    areas, axis = _areas("cumulative_trapezoid", y, x, dx, dim)
    return cumsum(wrap(areas), axis)


trapz = trapezoid
