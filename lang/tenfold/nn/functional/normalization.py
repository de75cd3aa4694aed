"""Normalisation over a batch, over features, or over groups of channels, and its running statistics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from tenfold.eager import tensor_function
from tenfold.functions.axes import count, expand_to, reshape_to
from tenfold.functions.creation import filled
from tenfold.functions.precision import rounded_once
from tenfold.functions.reductions import mean_of
from tenfold.gradients.modes import no_grad
from tenfold.nn.functional.effects import overwritten
from tenfold.promotion import as_dtype, convert, promoted_floating
from tenfold.tracing import TensorLike, here, lift, wrap
from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError, ShapeError
from tenfoldc import ops
from tenfoldc.ir.builder import Var

if TYPE_CHECKING:
    from tenfold.tensor import Tensor


# From 1 to the next number.  Floats of 16 bits are computed with as f32.
_EPSILON = {dtypes.f32: 2.0**-23, dtypes.f64: 2.0**-52}


def _of(like: Var, number: float) -> Var:
    return ops.full_like(like, number)


def _moments(x: Var, axes: tuple[int, ...]) -> tuple[Var, Var, Var]:
    """The distances from the mean over `axes`, the mean, and the uncorrected variance; the axes kept."""
    centre = mean_of("normalisation", x, axes, True)
    distance = ops.subtract(x, expand_to(centre, x.sizes))
    return distance, centre, mean_of("normalisation", ops.multiply(distance, distance), axes, True)


def _divided(distance: Var, variance: Var, eps: float) -> Var:
    """`distance / sqrt(variance + eps)`."""
    scale = ops.rsqrt(ops.add(variance, _of(variance, eps)))
    return ops.multiply(distance, expand_to(scale, distance.sizes))


def _standardized(x: Var, axes: tuple[int, ...], eps: float) -> Var:
    """(x - mean) / sqrt(var + eps) over `axes`, the variance uncorrected."""
    distance, _, variance = _moments(x, axes)
    return _divided(distance, variance, eps)


def _scaled(name: str, x: Var, weight: TensorLike | None, bias: TensorLike | None, axes: tuple[int, ...]) -> Var:
    """`x * weight + bias`, their axes being `axes` of `x`."""
    shape = tuple(x.sizes[axis] for axis in axes)
    for label, operand, op in (("weight", weight, ops.multiply), ("bias", bias, ops.add)):
        if operand is not None:
            (value,) = as_dtype((operand,), x.dtype)
            if value.sizes != shape:
                raise ShapeError(f"{name}: {label} is {value.type}, not of shape {shape}", where=here())
            x = op(x, ops.broadcast_in_dim(value, x.sizes, axes))
    return x


def _last_axes(name: str, x: Var, normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or x.sizes[-len(shape) :] != shape:
        raise ShapeError(f"{name}: the last axes of {x.type} are not {shape}", where=here())
    return tuple(range(x.rank - len(shape), x.rank))


@tensor_function
@rounded_once()
def layer_norm(
    input: TensorLike,
    normalized_shape: int | Sequence[int],
    weight: TensorLike | None = None,
    bias: TensorLike | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias over the last axes (Ba et al., 2016).

    `normalized_shape` gives their sizes; `weight` and `bias` have that shape.  `ShapeError` where they do not fit.
    """
    (x,) = promoted_floating(input)
    axes = _last_axes("layer_norm", x, normalized_shape)
    return wrap(_scaled("layer_norm", _standardized(x, axes, eps), weight, bias, axes))


@tensor_function
@rounded_once()
def rms_norm(
    input: TensorLike,
    normalized_shape: int | Sequence[int],
    weight: TensorLike | None = None,
    eps: float | None = None,
) -> Tensor:
    """x / sqrt(mean(x^2) + eps) * weight over the last axes (Zhang and Sennrich, 2019).

    By default `eps` is the distance from 1 to the next number that is computed with: 2^-23 for f32.
    """
    (x,) = promoted_floating(input)
    axes = _last_axes("rms_norm", x, normalized_shape)
    power = mean_of("rms_norm", ops.multiply(x, x), axes, True)
    smallest = _EPSILON[x.dtype] if eps is None else eps
    return wrap(_scaled("rms_norm", _divided(x, power, smallest), weight, None, axes))


@tensor_function
@rounded_once()
def group_norm(
    input: TensorLike,
    num_groups: int,
    weight: TensorLike | None = None,
    bias: TensorLike | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Each group of channels (axis 1) of each example standardised, times `weight` plus `bias` (Wu and He, 2018)."""
    (x,) = promoted_floating(input)
    if x.rank < 2:
        raise ShapeError(f"group_norm: {x.type} has no axis of channels", where=here())
    channels = x.sizes[1]
    if num_groups < 1 or channels % num_groups:
        raise ShapeError(f"group_norm: {num_groups} groups do not divide {channels} channels", where=here())
    grouped = reshape_to(x, (x.sizes[0], num_groups, channels // num_groups, *x.sizes[2:]))
    standardized = _standardized(grouped, tuple(range(2, grouped.rank)), eps)
    return wrap(_scaled("group_norm", reshape_to(standardized, x.sizes), weight, bias, (1,)))


class Normalized(NamedTuple):
    """A normalised batch, and the running statistics after it (None where none were given)."""

    output: Tensor
    running_mean: Tensor | None
    running_var: Tensor | None


def batch_norm(
    input: TensorLike,
    running_mean: TensorLike | None,
    running_var: TensorLike | None,
    weight: TensorLike | None = None,
    bias: TensorLike | None = None,
    training: bool = False,
    momentum: TensorLike = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias for each position of axis 1 (Ioffe and Szegedy, 2015).

    Mean and variance are those of the batch where `training`, and then the running ones, where given, move toward
    them by `momentum`, in place; else they are the running ones.
    """
    if not training:
        return _with_running(input, running_mean, running_var, weight, bias, eps)
    result = batch_norm_training(input, running_mean, running_var, weight, bias, momentum, eps)
    return _updating("batch_norm", result, running_mean, running_var)


def _updating(name: str, result: Normalized, running_mean: TensorLike | None, running_var: TensorLike | None) -> Tensor:
    """The output, after the running statistics have been overwritten by the new ones."""
    with no_grad():
        for old, new in ((running_mean, result.running_mean), (running_var, result.running_var)):
            if old is not None:
                overwritten(old, lambda new=new: new, name)
    return result.output


@tensor_function
@rounded_once()
def _with_running(
    input: TensorLike,
    running_mean: TensorLike | None,
    running_var: TensorLike | None,
    weight: TensorLike | None,
    bias: TensorLike | None,
    eps: float,
) -> Tensor:
    (x,) = promoted_floating(input)
    if x.rank < 2:
        raise ShapeError(f"batch_norm: {x.type} has no axis of channels", where=here())
    if running_mean is None or running_var is None:
        raise ArgumentError("batch_norm: running_mean and running_var are needed when not training", where=here())
    mean, variance = as_dtype((running_mean, running_var), x.dtype)
    _check_statistics("batch_norm", x, mean, variance)
    shape = (x.sizes[1], *[1] * (x.rank - 2))
    distance = ops.subtract(x, ops.broadcast_in_dim(mean, x.sizes, (1,)))
    return wrap(_scaled("batch_norm", _divided(distance, reshape_to(variance, shape), eps), weight, bias, (1,)))


def _check_statistics(name: str, x: Var, *statistics: Var) -> None:
    for each in statistics:
        if each.sizes != (x.sizes[1],):
            raise ShapeError(f"{name}: running statistics are {each.type}, not of shape ({x.sizes[1]},)", where=here())


def batch_norm_training(
    input: TensorLike,
    running_mean: TensorLike | None = None,
    running_var: TensorLike | None = None,
    weight: TensorLike | None = None,
    bias: TensorLike | None = None,
    momentum: TensorLike = 0.1,
    eps: float = 1e-5,
) -> Normalized:
    """`batch_norm` by the statistics of the batch, with the new running ones as results instead of in place.

    The running variance moves toward the corrected one, sum / (n - 1).  `ShapeError` where a channel has one element.
    """
    return Normalized(*_batch_norm(input, running_mean, running_var, weight, bias, momentum, eps))


@tensor_function
def _batch_norm(
    input: TensorLike,
    running_mean: TensorLike | None,
    running_var: TensorLike | None,
    weight: TensorLike | None,
    bias: TensorLike | None,
    momentum: TensorLike,
    eps: float,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    (given,) = promoted_floating(input)
    x = convert(given, dtypes.f32) if given.dtype.is_half else given
    if x.rank < 2:
        raise ShapeError(f"batch_norm: {x.type} has no axis of channels", where=here())
    axes = tuple(axis for axis in range(x.rank) if axis != 1)
    if x.type.size and count(x.sizes, axes) == 1:
        raise ShapeError(f"batch_norm: {x.type} has one value per channel, which has no variance", where=here())
    distance, mean, variance = _moments(x, axes)
    result = _scaled("batch_norm", _divided(distance, variance, eps), weight, bias, (1,))
    channels = (x.sizes[1],)
    new = _moved(
        "batch_norm",
        (running_mean, running_var),
        (reshape_to(mean, channels), _corrected(reshape_to(variance, channels), count(x.sizes, axes))),
        momentum,
    )
    return wrap(convert(result, given.dtype)), *new


def _corrected(variance: Var, elements: int) -> Var:
    return ops.multiply(variance, _of(variance, elements / (elements - 1) if elements > 1 else math.nan))


def _moved(
    name: str, running: Sequence[TensorLike | None], found: Sequence[Var], momentum: TensorLike
) -> tuple[Tensor | None, Tensor | None]:
    """Running statistics moved by `momentum` toward those of the batch."""
    moved: list[Tensor | None] = []
    for old, new in zip(running, found, strict=True):
        if old is None:
            moved.append(None)
            continue
        kept = lift(old)
        if kept.sizes != new.sizes:
            raise ShapeError(f"{name}: running statistics are {kept.type}, not of shape {new.sizes}", where=here())
        share = expand_to(convert(lift(momentum), kept.dtype), kept.sizes)
        moved.append(wrap(ops.add(kept, ops.multiply(ops.subtract(convert(new, kept.dtype), kept), share))))
    return moved[0], moved[1]


def instance_norm(
    input: TensorLike,
    running_mean: TensorLike | None = None,
    running_var: TensorLike | None = None,
    weight: TensorLike | None = None,
    bias: TensorLike | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`batch_norm` of each example by itself (Ulyanov et al., 2016).

    Unless `use_input_stats` the running statistics are used; else they move, in place, by the mean over the examples.
    """
    if not use_input_stats:
        return _with_running(input, running_mean, running_var, weight, bias, eps)
    result = Normalized(*_instance_norm(input, running_mean, running_var, weight, bias, momentum, eps))
    return _updating("instance_norm", result, running_mean, running_var)


@tensor_function
def _instance_norm(
    input: TensorLike,
    running_mean: TensorLike | None,
    running_var: TensorLike | None,
    weight: TensorLike | None,
    bias: TensorLike | None,
    momentum: float,
    eps: float,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    (given,) = promoted_floating(input)
    x = convert(given, dtypes.f32) if given.dtype.is_half else given
    if x.rank < 2:
        raise ShapeError(f"instance_norm: {x.type} has no axis of channels", where=here())
    axes = tuple(range(2, x.rank))
    elements = count(x.sizes, axes)
    if elements == 1:
        raise ShapeError(f"instance_norm: {x.type} has one value per channel, which has no variance", where=here())
    distance, mean, variance = _moments(x, axes)
    result = _scaled("instance_norm", _divided(distance, variance, eps), weight, bias, (1,))
    by_channel = [
        mean_of("instance_norm", reshape_to(each, x.sizes[:2]), 0, False)
        for each in (mean, _corrected(variance, elements))
    ]
    new = _moved("instance_norm", (running_mean, running_var), by_channel, momentum)
    return wrap(convert(result, given.dtype)), *new


@tensor_function
@rounded_once()
def local_response_norm(
    input: TensorLike, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """x / (k + alpha mean(x^2))^beta, the mean over `size` neighbouring channels, axis 1 (Krizhevsky et al., 2012)."""
    (x,) = promoted_floating(input)
    if x.rank < 3:
        raise ShapeError(f"local_response_norm: {x.type} has fewer than three axes", where=here())

    def add(total: Var, element: Var) -> tuple[Var]:
        return (ops.add(total, element),)

    (total,) = ops.reduce_window(
        [ops.multiply(x, x)],
        [filled((), 0, x.dtype)],
        add,
        window_dimensions=(1, size, *[1] * (x.rank - 2)),
        padding=[(0, 0), (size // 2, (size - 1) // 2), *[(0, 0)] * (x.rank - 2)],
    )
    scale = wrap(ops.add(ops.multiply(total, _of(total, alpha / size)), _of(total, k))) ** beta
    return wrap(x) / scale
