"""Images and sequences of another size: padding, interpolation, and channels exchanged for pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from tenfold.eager import tensor_function
from tenfold.functions import shapes
from tenfold.functions.axes import reshape_to, size_argument
from tenfold.functions.precision import rounded_once
from tenfold.functions.shapes import permuted
from tenfold.nn.functional.adaptive_pooling import adaptive_average
from tenfold.promotion import promoted_floating
from tenfold.tracing import Array, Scalar, TensorLike, here, lift, wrap
from tenfold_rt.errors import ArgumentError, ShapeError, UnsupportedError
from tenfoldc import ops
from tenfoldc.ir.builder import Var

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

Size: TypeAlias = "int | Sequence[int] | None"
Scale: TypeAlias = "float | Sequence[float] | None"


# How far an axis of a size may be padded from within.
_WIDEST: dict[str, Callable[[int], float]] = {
    "reflect": lambda size: size - 1,
    "circular": lambda size: size,
    "replicate": lambda size: math.inf if size else 0,
}


@tensor_function
def pad(input: TensorLike, pad: Sequence[int], mode: str = "constant", value: Scalar | None = None) -> Tensor:
    """`input` with its edges widened by (before, after) counts, from the last axis backward.

    New elements are `value` (0 by default); by `mode` "reflect" the neighbours in reverse, the edge itself not
    repeated, by "replicate" the edge, by "circular" the other end.  Negative counts cut off.  `ShapeError` where an
    axis is too short for its padding.
    """
    x = lift(input)
    counts = [size_argument("pad", item) for item in pad]
    if len(counts) % 2 or len(counts) > 2 * x.rank:
        raise ArgumentError(f"pad: {counts} are not pairs for at most {x.rank} axes", where=here())
    widths = list(zip(counts[::2], counts[1::2], strict=True))
    if mode == "constant":
        return wrap(_constant_edges(x, widths, 0 if value is None else value))
    if mode not in _WIDEST:
        raise ArgumentError(
            f"pad: there is no mode {mode!r}", where=here(), mend=f"use 'constant', {', '.join(map(repr, _WIDEST))}"
        )
    if value:
        raise ArgumentError(f"pad: mode {mode!r} takes no value", where=here())
    _check_edges(x, widths, mode)
    grown = [max(count, 0) for count in counts]
    cut = _constant_edges(x, [(min(low, 0), min(high, 0)) for low, high in widths], 0)
    return shapes.pad(wrap(cut), grown, mode)


def _check_edges(x: Var, widths: list[tuple[int, int]], mode: str) -> None:
    for axis, (low, high) in zip(reversed(range(x.rank)), widths, strict=False):
        size = x.sizes[axis]
        if max(low, high) > max(_WIDEST[mode](size), 0):
            raise ShapeError(
                f"pad: {(low, high)} is too much for mode {mode!r} and axis {axis} of size {size}", where=here()
            )


def _constant_edges(x: Var, widths: list[tuple[int, int]], value: Scalar) -> Var:
    """`x` with `value` around it; negative widths cut."""
    every = [(0, 0)] * (x.rank - len(widths)) + widths[::-1]
    for axis, (low, high) in enumerate(every):
        if x.sizes[axis] + low + high < 0:
            raise ShapeError(
                f"pad: {(low, high)} leaves less than nothing of axis {axis} of size {x.sizes[axis]}", where=here()
            )
    if not any(low or high for low, high in every):
        return x
    return ops.pad(x, lift(value, x.dtype), [low for low, _ in every], [high for _, high in every])


def interpolate(
    input: TensorLike,
    size: Size = None,
    scale_factor: Scale = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """(N, C, spatial axes) with the spatial axes of another `size`, or `scale_factor` times as long, rounded down.

    `mode` is "nearest", "nearest-exact", "area", or by the number of spatial axes "linear", "bilinear" or "trilinear",
    or "bicubic" (Keys, 1981, a = -0.75).  With `align_corners` the centres of the corner elements coincide, else the
    corners of these.  With `recompute_scale_factor` the scale is that of the sizes after rounding.
    `UnsupportedError` for `antialias`.
    """
    if antialias:
        raise UnsupportedError("interpolate: antialias is not supported", where=here(), mend="blur the input first")
    sizes = tuple(size) if isinstance(size, Sequence) else size
    factors = tuple(scale_factor) if isinstance(scale_factor, Sequence) else scale_factor
    return _interpolate(input, sizes, factors, mode, align_corners, bool(recompute_scale_factor))


_KERNELS = {"linear": 1, "bilinear": 2, "trilinear": 3, "bicubic": 2}
_MODES = ("nearest", "nearest-exact", "area", *_KERNELS)


@tensor_function
@rounded_once()
def _interpolate(
    input: TensorLike, size: Size, scale_factor: Scale, mode: str, align_corners: bool | None, recompute: bool
) -> Tensor:
    if mode not in _MODES:
        raise ArgumentError(
            f"interpolate: there is no mode {mode!r}", where=here(), mend=f"use one of {', '.join(_MODES)}"
        )
    x = lift(input) if mode.startswith("nearest") else promoted_floating(input)[0]
    axes = x.rank - 2
    if not 1 <= axes <= 3 or axes != _KERNELS.get(mode, axes):
        raise ShapeError(
            f"interpolate: {x.type} has no spatial axes (after N and C) as mode {mode!r} needs", where=here()
        )
    if align_corners is not None and mode not in _KERNELS:
        raise ArgumentError(f"interpolate: mode {mode!r} takes no align_corners", where=here())
    targets, scales = _targets(x.sizes[2:], size, scale_factor, recompute)
    if mode == "area":
        return adaptive_average("interpolate", axes, wrap(x), targets)
    for axis, (target, scale) in enumerate(zip(targets, scales, strict=True), 2):
        if mode.startswith("nearest"):
            x = _nearest(x, axis, target, scale, 0.5 if mode == "nearest-exact" else 0.0)
        else:
            x = _weighted(x, axis, _taps(x.sizes[axis], target, scale, bool(align_corners), mode == "bicubic"))
    return wrap(x)


def _targets(
    sizes: tuple[int, ...], size: Size, scale_factor: Scale, recompute: bool
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """The new sizes, and along each axis how many old positions one new one spans."""
    if (size is None) == (scale_factor is None):
        raise ArgumentError("interpolate: give one of size and scale_factor", where=here())
    given = size if scale_factor is None else scale_factor
    each = tuple(given) if isinstance(given, Sequence) else (given,) * len(sizes)
    if len(each) != len(sizes):
        raise ArgumentError(f"interpolate: {given} is not one number for each of {len(sizes)} axes", where=here())
    numbers = [float(number) for number in each if number is not None]
    if scale_factor is None:
        targets = tuple(int(number) for number in numbers)
    else:
        targets = tuple(math.floor(old * factor) for old, factor in zip(sizes, numbers, strict=True))
    if any(n < 1 for n in (*sizes, *targets)):
        raise ShapeError(f"interpolate: sizes {sizes} to {targets} must be positive", where=here())
    if scale_factor is not None and not recompute:
        return targets, tuple(1 / factor for factor in numbers)
    return targets, tuple(old / new for old, new in zip(sizes, targets, strict=True))


def _nearest(x: Var, axis: int, target: int, scale: float, offset: float) -> Var:
    size = x.sizes[axis]
    if target % size == 0 and scale == size / target:
        return shapes.repeat_interleave(wrap(x), target // size, dim=axis).in_trace() if target > size else x
    places = np.floor((np.arange(target) + offset).astype(np.float32) * np.float32(scale)).astype(np.int64)
    return _taken(x, axis, np.minimum(places, size - 1))


def _taken(x: Var, axis: int, places: Array) -> Var:
    """The positions `places` along an axis."""
    return wrap(x)[(*[slice(None)] * axis, places)].in_trace()


def _taps(size: int, target: int, scale: float, align_corners: bool, cubic: bool) -> list[tuple[Array, Array]]:
    """For each element that a new one is made of: its place, and its weight."""
    number = np.arange(target, dtype=np.float64)
    if align_corners:
        source = number * ((size - 1) / (target - 1) if target > 1 else 0.0)
    else:
        source = (number + 0.5) * scale - 0.5
        source = source if cubic else np.maximum(source, 0.0)
    first = np.floor(source).astype(np.int64)
    first = first if cubic else np.minimum(first, size - 1)
    rest = source - first
    if cubic:
        places = [np.clip(first + step, 0, size - 1) for step in (-1, 0, 1, 2)]
        return list(zip(places, _cubic(rest), strict=True))
    return [(first, 1 - rest), (np.minimum(first + 1, size - 1), rest)]


def _cubic(rest: Array) -> list[Array]:
    """The weights of the four neighbours of a point that is `rest` beyond the second."""
    a = -0.75

    def near(d: Array) -> Array:
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d: Array) -> Array:
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    return [far(rest + 1), near(rest), near(1 - rest), far(2 - rest)]


def _weighted(x: Var, axis: int, taps: list[tuple[Array, Array]]) -> Var:
    """The sum of elements along an axis times their weights."""
    total: Var | None = None
    for places, weights in taps:
        part = _taken(x, axis, places)
        factors = ops.broadcast_in_dim(lift(weights.astype(x.dtype.numpy)), part.sizes, (axis,))
        part = ops.multiply(part, factors)
        total = part if total is None else ops.add(total, part)
    assert total is not None
    return total


def upsample(
    input: TensorLike,
    size: Size = None,
    scale_factor: Scale = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """`interpolate` by its older name."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def _image(name: str, input: TensorLike, factor: int) -> tuple[Var, tuple[int, ...]]:
    """A tensor (..., C, H, W), and the axes before."""
    x = lift(input)
    if x.rank < 3:
        raise ShapeError(f"{name}: {x.type} is not (..., C, H, W)", where=here())
    if factor < 1:
        raise ArgumentError(f"{name}: the factor is {factor}, not positive", where=here())
    return x, x.sizes[:-3]


@tensor_function
def pixel_shuffle(input: TensorLike, upscale_factor: int) -> Tensor:
    """(..., C r^2, H, W) as (..., C, H r, W r): each pixel's channels become pixels (Shi et al., 2016)."""
    x, lead = _image("pixel_shuffle", input, upscale_factor)
    r, (channels, height, width) = upscale_factor, x.sizes[-3:]
    if channels % (r * r):
        raise ShapeError(f"pixel_shuffle: {channels} channels are not a multiple of {r} squared", where=here())
    n = len(lead)
    split = reshape_to(x, (*lead, channels // (r * r), r, r, height, width))
    moved = permuted(split, (*range(n), n, n + 3, n + 1, n + 4, n + 2))
    return wrap(reshape_to(moved, (*lead, channels // (r * r), height * r, width * r)))


@tensor_function
def pixel_unshuffle(input: TensorLike, downscale_factor: int) -> Tensor:
    """(..., C, H r, W r) as (..., C r^2, H, W), the inverse of `pixel_shuffle`."""
    x, lead = _image("pixel_unshuffle", input, downscale_factor)
    r, (channels, height, width) = downscale_factor, x.sizes[-3:]
    if height % r or width % r:
        raise ShapeError(f"pixel_unshuffle: {height} x {width} pixels are not multiples of {r}", where=here())
    n = len(lead)
    split = reshape_to(x, (*lead, channels, height // r, r, width // r, r))
    moved = permuted(split, (*range(n), n, n + 2, n + 4, n + 1, n + 3))
    return wrap(reshape_to(moved, (*lead, channels * r * r, height // r, width // r)))


@tensor_function
def channel_shuffle(input: TensorLike, groups: int) -> Tensor:
    """(N, groups k, ...) with the channels of the groups interleaved (Zhang et al., 2018)."""
    x = lift(input)
    if x.rank < 3 or groups < 1 or x.sizes[1] % groups:
        raise ShapeError(f"channel_shuffle: {groups} groups do not divide axis 1 of {x.type}", where=here())
    split = reshape_to(x, (x.sizes[0], groups, x.sizes[1] // groups, *x.sizes[2:]))
    return wrap(reshape_to(permuted(split, (0, 2, 1, *range(3, split.rank))), x.sizes))
