"""Pooling over windows of sequences and images, with PyTorch's layout: (N, channels, spatial axes), or without N."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, overload

import numpy as np

from tenfold.eager import tensor_function
from tenfold.functions.axes import reshape_to
from tenfold.functions.creation import counted, filled
from tenfold.functions.precision import rounded_once
from tenfold.nn.functional.arguments import Sizes, batched, per_axis, positive
from tenfold.promotion import promoted_floating
from tenfold.tracing import Array, TensorLike, here, lift, wrap
from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError, ShapeError
from tenfold_rt.frozen import frozen
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops import Direction
from tenfoldc.ops.reducer import Reducer, neutral_value

if TYPE_CHECKING:
    from tenfold.tensor import Tensor


@frozen
class _Windows:
    """How windows lie along the spatial axes of a tensor (N, C, spatial axes)."""

    sizes: tuple[int, ...]
    window: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    ceil_mode: bool

    @staticmethod
    def of(
        name: str,
        sizes: tuple[int, ...],
        kernel_size: Sizes,
        stride: Sizes | None,
        padding: Sizes,
        dilation: Sizes,
        ceil_mode: bool,
    ) -> _Windows:
        axes = len(sizes)
        window = positive(name, "kernel_size", per_axis(name, kernel_size, axes))
        step = window if stride is None or stride == () or stride == [] else per_axis(name, stride, axes)
        pads = per_axis(name, padding, axes)
        if any(not 0 <= 2 * pad <= size for pad, size in zip(pads, window, strict=True)):
            raise ArgumentError(f"{name}: padding {pads} is more than half of the window {window}", where=here())
        gaps = positive(name, "dilation", per_axis(name, dilation, axes))
        windows = _Windows(sizes, window, positive(name, "stride", step), pads, gaps, ceil_mode)
        if any(windows.count(axis) < 1 for axis in range(axes)):
            raise ShapeError(f"{name}: no window of {window} fits into {sizes} padded by {pads}", where=here())
        return windows

    def extent(self, axis: int) -> int:
        """How many positions a window spans."""
        return self.dilation[axis] * (self.window[axis] - 1) + 1

    def count(self, axis: int) -> int:
        """How many windows there are; with `ceil_mode` the last may reach beyond the padding, if it begins before."""
        room = self.sizes[axis] + 2 * self.padding[axis] - self.extent(axis)
        if not self.ceil_mode:
            return room // self.stride[axis] + 1
        count = -(-room // self.stride[axis]) + 1
        begins_outside = (count - 1) * self.stride[axis] >= self.sizes[axis] + self.padding[axis]
        return count - begins_outside

    @property
    def counts(self) -> tuple[int, ...]:
        return tuple(self.count(axis) for axis in range(len(self.sizes)))

    def edges(self) -> list[tuple[int, int]]:
        """The padding that makes room for all windows, along all axes of the tensor."""
        found = [(0, 0), (0, 0)]
        for axis, (size, low) in enumerate(zip(self.sizes, self.padding, strict=True)):
            end = (self.count(axis) - 1) * self.stride[axis] + self.extent(axis)
            found.append((low, max(end - size - low, 0)))
        return found

    def elements(self, axis: int, count_padding: bool) -> Array:
        """How many elements each window covers, of the tensor or of the padded tensor."""
        start = np.arange(self.count(axis)) * self.stride[axis] - self.padding[axis]
        end = np.minimum(start + self.window[axis], self.sizes[axis] + self.padding[axis])
        if count_padding:
            return end - start
        return np.minimum(end, self.sizes[axis]) - np.maximum(start, 0)

    def reduce(self, operands: list[Var], inits: list[Var], body: Reducer | None) -> tuple[Var, ...]:
        """Each window of `operands` reduced to one element; without a reducer to the first largest and its index."""

        def combine(*pair: Var) -> tuple[Var, ...]:
            if body is None:
                return _larger(*pair)
            return ((ops.add if body is Reducer.SUM else ops.maximum)(*pair),)

        return ops.reduce_window(
            operands,
            inits,
            combine,
            window_dimensions=(1, 1, *self.window),
            window_strides=(1, 1, *self.stride),
            window_dilations=(1, 1, *self.dilation),
            padding=self.edges(),
        )


def _larger(value: Var, index: Var, other: Var, place: Var) -> tuple[Var, Var]:
    """The larger of two elements with its index; a NaN is larger than all, and the first of equals wins."""
    beats = ops.or_(ops.compare(other, value, Direction.GT), ops.compare(other, other, Direction.NE))
    if value.dtype.is_float:
        beats = ops.and_(beats, ops.compare(value, value, Direction.EQ))
    unset = ops.compare(index, ops.full_like(index, -1), Direction.EQ)
    wins = ops.or_(beats, unset)
    return ops.select(wins, other, value), ops.select(wins, place, index)


def _unbatched(x: Var, single: bool) -> Tensor:
    return wrap(reshape_to(x, x.sizes[1:]) if single else x)


def _max_pool(
    name: str,
    axes: int,
    input: TensorLike,
    geometry: tuple[Sizes, Sizes | None, Sizes, Sizes, bool],
    return_indices: bool,
) -> Tensor | tuple[Tensor, Tensor]:
    x, single = batched(name, lift(input), axes)
    windows = _Windows.of(name, x.sizes[2:], *geometry)
    least = ops.constant(x.builder, neutral_value(Reducer.MAX, x.dtype), x.dtype)
    (result,) = windows.reduce([x], [least], Reducer.MAX)
    values = _unbatched(result, single)
    if not return_indices:
        return values
    places = reshape_to(counted((math.prod(x.sizes[2:]),), 0, dtypes.i64), x.sizes[2:])
    index = ops.broadcast_in_dim(places, x.sizes, range(2, x.rank))
    _, found = windows.reduce([x, index], [least, filled((), -1, dtypes.i64)], None)
    return values, _unbatched(found, single)


@overload
def max_pool1d(
    input: TensorLike,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: Literal[False] = False,
) -> Tensor: ...
@overload
def max_pool1d(
    input: TensorLike,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    *,
    return_indices: bool,
) -> Tensor | tuple[Tensor, Tensor]: ...
@tensor_function
def max_pool1d(
    input: TensorLike,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """The largest element of each window of (N, C, L) or (C, L); see `max_pool2d`."""
    geometry = (kernel_size, stride, padding, dilation, ceil_mode)
    return _max_pool("max_pool1d", 1, input, geometry, return_indices)


@overload
def max_pool2d(
    input: TensorLike,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: Literal[False] = False,
) -> Tensor: ...
@overload
def max_pool2d(
    input: TensorLike,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    *,
    return_indices: bool,
) -> Tensor | tuple[Tensor, Tensor]: ...
@tensor_function
def max_pool2d(
    input: TensorLike,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """The largest element of each window of (N, C, H, W) or (C, H, W); the stride is the window's size by default.

    With `ceil_mode` windows that are cut off at the end count.  With `return_indices` it also gives the place of each
    in its channel's plane, i64, row-major; the first of equals.  `ShapeError` where no window fits.
    """
    geometry = (kernel_size, stride, padding, dilation, ceil_mode)
    return _max_pool("max_pool2d", 2, input, geometry, return_indices)


def _avg_pool(
    name: str,
    axes: int,
    input: TensorLike,
    geometry: tuple[Sizes, Sizes | None, Sizes, Sizes, bool],
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    given, single = batched(name, promoted_floating(input)[0], axes)
    windows = _Windows.of(name, given.sizes[2:], *geometry)
    (total,) = windows.reduce([given], [filled((), 0, given.dtype)], Reducer.SUM)
    if divisor_override is not None:
        if divisor_override == 0:
            raise ArgumentError(f"{name}: divisor_override is 0", where=here())
        return _unbatched(ops.divide(total, ops.full_like(total, float(divisor_override))), single)
    counts = [windows.elements(axis, count_include_pad) for axis in range(axes)]
    return _unbatched(ops.divide(total, _product(counts, total)), single)


def _product(counts: list[Array], like: Var) -> Var:
    """The number of elements of each window, from those along each axis."""
    if all(np.all(each == each[0]) for each in counts):
        return ops.full_like(like, float(math.prod(int(each[0]) for each in counts)))
    result: Var | None = None
    for axis, each in enumerate(counts):
        along = ops.broadcast_in_dim(lift(each.astype(like.dtype.numpy)), like.sizes, (axis + 2,))
        result = along if result is None else ops.multiply(result, along)
    assert result is not None
    return result


@tensor_function
@rounded_once()
def avg_pool1d(
    input: TensorLike,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window of (N, C, L) or (C, L); see `avg_pool2d`."""
    geometry = (kernel_size, stride, padding, 1, ceil_mode)
    return _avg_pool("avg_pool1d", 1, input, geometry, count_include_pad, None)


@tensor_function
@rounded_once()
def avg_pool2d(
    input: TensorLike,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window of (N, C, H, W) or (C, H, W); padding counts as zeros unless told otherwise.

    With `ceil_mode` windows that are cut off at the end count.  `divisor_override` divides the sums instead of the
    number of elements.
    """
    geometry = (kernel_size, stride, padding, 1, ceil_mode)
    return _avg_pool("avg_pool2d", 2, input, geometry, count_include_pad, divisor_override)


def _lp_pool(
    name: str,
    axes: int,
    input: TensorLike,
    norm_type: float,
    geometry: tuple[Sizes, Sizes | None, Sizes, Sizes, bool],
) -> Tensor:
    x, single = batched(name, promoted_floating(input)[0], axes)
    windows = _Windows.of(name, x.sizes[2:], *geometry)
    powers = (wrap(x) ** norm_type).in_trace()
    (total,) = windows.reduce([powers], [filled((), 0, x.dtype)], Reducer.SUM)
    # As PyTorch's: a window that is cut off counts as a whole one of the same mean.
    counts = _product([windows.elements(axis, False) for axis in range(axes)], total)
    total = ops.divide(ops.multiply(total, ops.full_like(total, float(math.prod(windows.window)))), counts)
    # No root of a negative sum, and no infinite derivative at 0.
    above = ops.compare(total, ops.zeros_like(total), Direction.GT)
    root = wrap(ops.select(above, total, ops.ones_like(total))) ** (1 / norm_type)
    return _unbatched(ops.select(above, root.in_trace(), ops.zeros_like(total)), single)


@tensor_function
@rounded_once()
def lp_pool1d(
    input: TensorLike, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False
) -> Tensor:
    """The root (1 / norm_type) of the sum of the powers `norm_type` of each window of (N, C, L) or (C, L)."""
    return _lp_pool("lp_pool1d", 1, input, norm_type, (kernel_size, stride, 0, 1, ceil_mode))


@tensor_function
@rounded_once()
def lp_pool2d(
    input: TensorLike, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False
) -> Tensor:
    """The root (1 / norm_type) of the sum of the powers `norm_type` of each window of (N, C, H, W) or (C, H, W)."""
    return _lp_pool("lp_pool2d", 2, input, norm_type, (kernel_size, stride, 0, 1, ceil_mode))
