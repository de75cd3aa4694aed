"""Pooling to a given size: window i of n along an axis covers positions floor(i size / n) to ceil((i + 1) size / n)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from tenfold.eager import tensor_function
from tenfold.functions.axes import reshape_to
from tenfold.functions.creation import filled
from tenfold.functions.precision import rounded_once
from tenfold.functions.shapes import permuted
from tenfold.nn.functional.arguments import batched
from tenfold.promotion import promoted_floating
from tenfold.tracing import Array, TensorLike, here, lift, wrap
from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError, ShapeError
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops.reducer import Reducer, neutral_value

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

OutputSize: TypeAlias = "int | Sequence[int | None] | None"


def _targets(name: str, output_size: OutputSize, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """The result's spatial sizes; None leaves one as it is."""
    given = tuple(output_size) if isinstance(output_size, Sequence) else (output_size,) * len(sizes)
    if len(given) != len(sizes) or any(target is not None and target < 0 for target in given):
        raise ArgumentError(f"{name}: output_size {output_size} is not a size for {len(sizes)} axes", where=here())
    if any(size == 0 for size in sizes):
        raise ShapeError(f"{name}: the spatial sizes {sizes} hold nothing to pool", where=here())
    return tuple(size if target is None else target for target, size in zip(given, sizes, strict=True))


def _positions(size: int, target: int) -> tuple[Array, Array]:
    """The positions of each window, (target, longest), and which of them count."""
    number = np.arange(target)
    start, end = number * size // max(target, 1), -(-(number + 1) * size // max(target, 1))
    longest = int((end - start).max(initial=0))
    positions = start[:, None] + np.arange(longest)
    return np.minimum(positions, size - 1), positions < end[:, None]


def _spread(x: Var, axis: int, target: int, neutral: float | int) -> tuple[Var, Array]:
    """`x` with an axis made two, windows and the elements of each, and how many elements each has.

    Where windows are shorter than the longest, `neutral` stands for the rest.
    """
    size = x.sizes[axis]
    before, after = x.sizes[:axis], x.sizes[axis + 1 :]
    if target and size % target == 0:
        return reshape_to(x, (*before, target, size // target, *after)), np.full(target, size // target)
    positions, counts = _positions(size, target)
    whole = [slice(None)] * axis
    taken = wrap(x)[(*whole, positions)].in_trace()
    if not counts.all():
        mask = ops.broadcast_in_dim(lift(counts), taken.sizes, (axis, axis + 1))
        taken = ops.select(mask, taken, filled(taken.sizes, neutral, x.dtype))
    return taken, counts.sum(1)


def adaptive_average(name: str, axes: int, input: TensorLike, output_size: OutputSize) -> Tensor:
    """The means of windows along `axes` spatial axes; as many windows along each as `output_size` says."""
    x, single = batched(name, promoted_floating(input)[0], axes)
    for axis, target in enumerate(_targets(name, output_size, x.sizes[2:]), 2):
        if target == x.sizes[axis]:
            continue
        spread, counts = _spread(x, axis, target, 0)
        total = ops.reduce_sum(spread, (axis + 1,))
        divisor = ops.broadcast_in_dim(lift(counts.astype(x.dtype.numpy)), total.sizes, (axis,))
        x = ops.divide(total, divisor)
    return wrap(reshape_to(x, x.sizes[1:]) if single else x)


@tensor_function
@rounded_once()
def adaptive_avg_pool1d(input: TensorLike, output_size: OutputSize) -> Tensor:
    """The means of `output_size` windows of (N, C, L) or (C, L)."""
    return adaptive_average("adaptive_avg_pool1d", 1, input, output_size)


@tensor_function
@rounded_once()
def adaptive_avg_pool2d(input: TensorLike, output_size: OutputSize) -> Tensor:
    """The means of `output_size` windows of (N, C, H, W) or (C, H, W); None leaves an axis as it is."""
    return adaptive_average("adaptive_avg_pool2d", 2, input, output_size)


def _largest(
    name: str, axes: int, input: TensorLike, output_size: OutputSize, return_indices: bool
) -> Tensor | tuple[Tensor, Tensor]:
    x, single = batched(name, lift(input), axes)
    sizes, targets = x.sizes[2:], _targets(name, output_size, x.sizes[2:])
    least = neutral_value(Reducer.MAX, x.dtype)
    windows = x
    for number, target in enumerate(targets):
        windows, _ = _spread(windows, 2 + 2 * number, target, least)
    outer, inner = range(2, 2 + 2 * axes, 2), range(3, 3 + 2 * axes, 2)
    result = ops.reduce_max(windows, tuple(inner))
    values = wrap(reshape_to(result, result.sizes[1:]) if single else result)
    if not return_indices:
        return values
    flat = reshape_to(permuted(windows, (0, 1, *outer, *inner)), (*result.sizes, _count(windows, inner)))
    places = _places(sizes, targets)
    winner = ops.argmax(flat, flat.rank - 1, dtypes.i64)
    table = ops.broadcast_in_dim(lift(places), flat.sizes, range(2, flat.rank))
    chosen = ops.take_along_axis(table, reshape_to(winner, (*winner.sizes, 1)), flat.rank - 1)
    found = reshape_to(chosen, result.sizes)
    return values, wrap(reshape_to(found, found.sizes[1:]) if single else found)


def _count(x: Var, axes: Sequence[int]) -> int:
    return math.prod(x.sizes[axis] for axis in axes)


def _places(sizes: Sequence[int], targets: Sequence[int]) -> Array:
    """The place in the plane, row-major, of each element of each window: (*targets, elements)."""
    places = np.zeros((1,) * (2 * len(sizes)), np.int64)
    for axis, (size, target) in enumerate(zip(sizes, targets, strict=True)):
        shape = [1] * (2 * len(sizes))
        positions = _positions(size, target)[0]
        shape[axis], shape[axis + len(sizes)] = positions.shape
        places = places * size + positions.reshape(shape)
    return places.reshape(*targets, -1)


@tensor_function
def adaptive_max_pool1d(
    input: TensorLike, output_size: OutputSize, return_indices: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """The largest elements of `output_size` windows of (N, C, L) or (C, L), and where asked for their indices."""
    return _largest("adaptive_max_pool1d", 1, input, output_size, return_indices)


@tensor_function
def adaptive_max_pool2d(
    input: TensorLike, output_size: OutputSize, return_indices: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """The largest elements of `output_size` windows of (N, C, H, W) or (C, H, W), and where asked for their places
    in the channel's plane, row-major."""
    return _largest("adaptive_max_pool2d", 2, input, output_size, return_indices)
