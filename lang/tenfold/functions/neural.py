"""Neural networks: activations, normalisation and losses, with PyTorch's names and defaults."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from tenfold.eager import tensor_function
from tenfold.functions.axes import expand_to, normalize_axes, with_axes_kept
from tenfold.functions.creation import counted, filled
from tenfold.functions.precision import rounded_once
from tenfold.functions.reductions import largest_finite, mean_of
from tenfold.promotion import as_dtype, convert, promoted_floating, result_type
from tenfold.specs import DTypeLike, element_type
from tenfold.tracing import TensorLike, here, lift, wrap
from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError, DTypeError, ShapeError
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops import Direction

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

__all__ = [
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "elu",
    "embedding",
    "gelu",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "mse_loss",
    "nll_loss",
    "one_hot",
    "relu",
    "rms_norm",
    "scaled_dot_product_attention",
    "silu",
    "softmax",
    "softplus",
]

Reduction = Literal["mean", "sum", "none"]


@tensor_function
def relu(x: TensorLike) -> Tensor:
    """Each element, or 0 where it is negative; the derivative at 0 is 0."""
    value = lift(x)
    zero = ops.zeros_like(value)
    return wrap(ops.select(ops.compare(value, zero, Direction.LE), zero, value))


@tensor_function
def leaky_relu(x: TensorLike, negative_slope: float = 0.01) -> Tensor:
    """Each element, or `negative_slope` times it where it is negative."""
    (value,) = promoted_floating(x)
    below = ops.multiply(value, ops.full_like(value, negative_slope))
    return wrap(ops.select(ops.compare(value, ops.zeros_like(value), Direction.LE), below, value))


@tensor_function
@rounded_once()
def elu(x: TensorLike, alpha: float = 1.0) -> Tensor:
    """Each element, or alpha (e^x - 1) where it is negative (Clevert et al., 2015)."""
    (value,) = promoted_floating(x)
    above = ops.compare(value, ops.zeros_like(value), Direction.GT)
    # Not the minimum with 0, which would halve the derivative at 0.
    below = ops.exponential_minus_one(ops.select(above, ops.zeros_like(value), value))
    return wrap(ops.select(above, value, ops.multiply(below, _of(value, alpha))))


def _of(like: Var, number: float) -> Var:
    return ops.full_like(like, number)


@tensor_function
@rounded_once()
def gelu(x: TensorLike, approximate: Literal["none", "tanh"] = "none") -> Tensor:
    """x times the normal distribution's cumulative probability at x (Hendrycks and Gimpel, 2016).

    Exact through erf: x (1 + erf(x / sqrt 2)) / 2; with `approximate="tanh"` the paper's
    x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2.
    """
    (value,) = promoted_floating(x)
    if approximate == "tanh":
        cube = ops.multiply(ops.multiply(value, value), value)
        inner = ops.add(value, ops.multiply(_of(value, 0.044715), cube))
        bend = ops.tanh(ops.multiply(_of(value, math.sqrt(2 / math.pi)), inner))
    elif approximate == "none":
        bend = ops.erf(ops.multiply(value, _of(value, math.sqrt(0.5))))
    else:
        raise ArgumentError(f"gelu: approximate is {approximate!r}", where=here(), mend="use 'none' or 'tanh'")
    half = ops.multiply(_of(value, 0.5), value)
    return wrap(ops.multiply(half, ops.add(_of(value, 1.0), bend)))


@tensor_function
@rounded_once()
def silu(x: TensorLike) -> Tensor:
    """x times its sigmoid, also called swish."""
    (value,) = promoted_floating(x)
    return wrap(ops.multiply(value, ops.logistic(value)))


@tensor_function
@rounded_once()
def softplus(x: TensorLike) -> Tensor:
    """log(1 + e^x), as max(x, 0) + log(1 + e^-|x|), which does not overflow."""
    (value,) = promoted_floating(x)
    tail = ops.log_plus_one(ops.exponential(ops.negate(ops.abs_(value))))
    return wrap(ops.add(ops.maximum(value, ops.zeros_like(value)), tail))


def _axes_of(
    name: str, dim: int | Sequence[int] | None, axis: int | Sequence[int] | None, rank: int
) -> tuple[int, ...]:
    given = dim if axis is None else axis
    if given is None:
        raise ArgumentError(f"{name}: no axis is given", where=here(), mend="give dim, often -1")
    return normalize_axes(name, given if rank else (), rank)


@tensor_function
@rounded_once()
def softmax(
    x: TensorLike,
    dim: int | Sequence[int] | None = None,
    *,
    axis: int | Sequence[int] | None = None,
) -> Tensor:
    """e^x divided by its sum along an axis (or several), without overflow: the largest is taken out first."""
    (value,) = promoted_floating(x)
    axes = _axes_of("softmax", dim, axis, value.rank)
    largest = largest_finite(value, axes)
    exponentials = ops.exponential(ops.subtract(value, expand_to(largest, value.sizes)))
    total = with_axes_kept(ops.reduce_sum(exponentials, axes) if axes else exponentials, value.sizes, axes)
    return wrap(ops.divide(exponentials, expand_to(total, value.sizes)))


@tensor_function
@rounded_once()
def log_softmax(
    x: TensorLike,
    dim: int | Sequence[int] | None = None,
    *,
    axis: int | Sequence[int] | None = None,
) -> Tensor:
    """The logarithm of `softmax`, as x - logsumexp(x)."""
    (value,) = promoted_floating(x)
    return wrap(_log_softmax(value, _axes_of("log_softmax", dim, axis, value.rank)))


def _log_softmax(value: Var, axes: tuple[int, ...]) -> Var:
    """(x - m) - log(sum(exp(x - m))) with m the largest, over `axes`: exact where x is far from 0."""
    shifted = ops.subtract(value, expand_to(largest_finite(value, axes), value.sizes))
    exponentials = ops.exponential(shifted)
    total = with_axes_kept(ops.reduce_sum(exponentials, axes) if axes else exponentials, value.sizes, axes)
    return ops.subtract(shifted, expand_to(ops.log(total), value.sizes))


def _standardized(value: Var, axes: tuple[int, ...], eps: float) -> Var:
    """(x - mean) / sqrt(var + eps) over `axes`, the variance uncorrected."""
    centre = mean_of("normalisation", value, axes, True)
    distance = ops.subtract(value, expand_to(centre, value.sizes))
    variance = mean_of("normalisation", ops.multiply(distance, distance), axes, True)
    scale = ops.rsqrt(ops.add(variance, _of(variance, eps)))
    return ops.multiply(distance, expand_to(scale, value.sizes))


@tensor_function
@rounded_once()
def layer_norm(
    x: TensorLike,
    normalized_shape: int | Sequence[int],
    weight: TensorLike | None = None,
    bias: TensorLike | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias over the last axes (Ba et al., 2016).

    `normalized_shape` gives their sizes; `weight` and `bias` have that shape.  `ShapeError` where they do not fit.
    """
    (value,) = promoted_floating(x)
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or value.sizes[-len(shape) :] != shape:
        raise ShapeError(f"layer_norm: the last axes of {value.type} are not {shape}", where=here())
    axes = tuple(range(value.rank - len(shape), value.rank))
    result = _standardized(value, axes, eps)
    return wrap(_scaled(result, weight, bias, axes))


def _scaled(x: Var, weight: TensorLike | None, bias: TensorLike | None, axes: tuple[int, ...]) -> Var:
    """`x * weight + bias`, their axes being `axes` of `x`."""
    shape = tuple(x.sizes[axis] for axis in axes)
    for label, operand, op in (("weight", weight, ops.multiply), ("bias", bias, ops.add)):
        if operand is not None:
            (value,) = as_dtype((operand,), x.dtype)
            if value.sizes != shape:
                raise ShapeError(f"normalisation: {label} is {value.type}, not of shape {shape}", where=here())
            x = op(x, ops.broadcast_in_dim(value, x.sizes, axes))
    return x


@tensor_function
@rounded_once()
def rms_norm(
    x: TensorLike, normalized_shape: int | Sequence[int], weight: TensorLike | None = None, eps: float = 1e-6
) -> Tensor:
    """x / sqrt(mean(x^2) + eps) * weight over the last axes (Zhang and Sennrich, 2019)."""
    (value,) = promoted_floating(x)
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or value.sizes[-len(shape) :] != shape:
        raise ShapeError(f"rms_norm: the last axes of {value.type} are not {shape}", where=here())
    axes = tuple(range(value.rank - len(shape), value.rank))
    power = mean_of("rms_norm", ops.multiply(value, value), axes, True)
    scale = ops.rsqrt(ops.add(power, _of(power, eps)))
    return wrap(_scaled(ops.multiply(value, expand_to(scale, value.sizes)), weight, None, axes))


@tensor_function
@rounded_once()
def batch_norm(
    x: TensorLike,
    running_mean: TensorLike | None = None,
    running_var: TensorLike | None = None,
    weight: TensorLike | None = None,
    bias: TensorLike | None = None,
    training: bool = False,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias for each position of axis 1 (Ioffe and Szegedy, 2015).

    Mean and variance are those of the batch where `training`, else the running ones, which are not updated here.
    """
    (value,) = promoted_floating(x)
    if value.rank < 2:
        raise ShapeError(f"batch_norm: {value.type} has no axis of channels", where=here())
    axes = tuple(axis for axis in range(value.rank) if axis != 1)
    if training:
        return wrap(_scaled(_standardized(value, axes, eps), weight, bias, (1,)))
    if running_mean is None or running_var is None:
        raise ArgumentError("batch_norm: running_mean and running_var are needed when not training", where=here())
    mean, variance = as_dtype((running_mean, running_var), value.dtype)
    distance = ops.subtract(value, ops.broadcast_in_dim(mean, value.sizes, (1,)))
    scale = ops.rsqrt(ops.add(variance, _of(variance, eps)))
    result = ops.multiply(distance, ops.broadcast_in_dim(scale, value.sizes, (1,)))
    return wrap(_scaled(result, weight, bias, (1,)))


@tensor_function
def one_hot(x: TensorLike, num_classes: int, dtype: DTypeLike | None = None) -> Tensor:
    """1 where the position along a new last axis is the class, else 0; i64 by default.

    A class out of range has no 1.  `DTypeError` where `x` is not of integers.
    """
    value = lift(x)
    if not value.dtype.is_integer:
        raise DTypeError(f"one_hot: {value.type} is not of integers", where=here())
    chosen = dtypes.i64 if dtype is None else element_type(dtype)
    return wrap(convert(_is_class(value, value.rank, num_classes), chosen))


def _is_class(classes: Var, axis: int, number: int) -> Var:
    """Whether the position along a new axis is the class."""
    shape = (*classes.sizes[:axis], number, *classes.sizes[axis:])
    positions = counted(shape, axis, classes.dtype)
    kept = [i for i in range(len(shape)) if i != axis]
    return ops.compare(ops.broadcast_in_dim(classes, shape, kept), positions, Direction.EQ)


def _reduced(losses: Var, weights: Var | None, reduction: Reduction) -> Var:
    """Losses summed, averaged (by weight where there are weights), or left."""
    axes = tuple(range(losses.rank))
    if reduction == "none":
        return losses
    total = ops.reduce_sum(losses, axes) if axes else losses
    if reduction == "sum":
        return total
    if reduction != "mean":
        raise ArgumentError(f"reduction is {reduction!r}", where=here(), mend="use 'mean', 'sum' or 'none'")
    if weights is None:
        return ops.divide(total, _of(total, float(losses.type.size)))
    return ops.divide(total, ops.reduce_sum(weights, axes) if axes else weights)


@tensor_function
@rounded_once()
def cross_entropy(
    input: TensorLike,
    target: TensorLike,
    weight: TensorLike | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """The cross entropy between logits and classes, or class probabilities (PyTorch's formulas).

    `input` holds logits of shape (classes,), (N, classes) or (N, classes, d1, ...).  `target` holds class indices,
    of that shape without the classes, where `ignore_index` does not count, or probabilities of the full shape.
    `weight` has one number for each class.  The mean over indices is weighted.
    """
    (logits,) = promoted_floating(input)
    classes = 0 if logits.rank == 1 else 1
    if logits.rank == 0:
        raise ShapeError("cross_entropy: input has no axis of classes", where=here())
    labels = lift(target)
    losses = ops.negate(_log_softmax(logits, (classes,)))
    scale = None
    if weight is not None:
        (per_class,) = as_dtype((weight,), logits.dtype)
        if per_class.sizes != (logits.sizes[classes],):
            raise ShapeError(f"cross_entropy: weight is {per_class.type}, one for each class is needed", where=here())
        scale = ops.broadcast_in_dim(per_class, logits.sizes, (classes,))
    if labels.dtype.is_float:
        return wrap(
            _of_probabilities(losses, convert(labels, logits.dtype), scale, classes, reduction, label_smoothing)
        )
    return wrap(_of_indices(losses, labels, scale, classes, ignore_index, reduction, label_smoothing))


def _of_probabilities(
    losses: Var, target: Var, scale: Var | None, axis: int, reduction: Reduction, smoothing: float
) -> Var:
    if target.sizes != losses.sizes:
        raise ShapeError(f"cross_entropy: probabilities {target.type} for logits {losses.type}", where=here())
    if smoothing:
        even = _of(target, smoothing / losses.sizes[axis])
        target = ops.add(ops.multiply(target, _of(target, 1 - smoothing)), even)
    weighted = losses if scale is None else ops.multiply(losses, scale)
    by_example = ops.reduce_sum(ops.multiply(weighted, target), (axis,))
    if reduction == "mean":
        total = ops.reduce_sum(by_example, tuple(range(by_example.rank))) if by_example.rank else by_example
        return ops.divide(total, _of(total, float(by_example.type.size)))
    return _reduced(by_example, None, reduction)


def _of_indices(
    losses: Var,
    target: Var,
    scale: Var | None,
    axis: int,
    ignore_index: int,
    reduction: Reduction,
    smoothing: float,
) -> Var:
    shape = tuple(size for i, size in enumerate(losses.sizes) if i != axis)
    if target.sizes != shape or target.dtype.is_bool:
        raise ShapeError(
            f"cross_entropy: target is {target.type}; class indices of shape {shape} are needed for "
            f"logits {losses.type}",
            where=here(),
        )
    target = convert(target, dtypes.i64)
    counts = ops.compare(target, _of(target, ignore_index), Direction.NE)
    chosen = ops.convert(_is_class(target, axis, losses.sizes[axis]), losses.dtype)
    valid = ops.convert(counts, losses.dtype)
    weighted = losses if scale is None else ops.multiply(losses, scale)
    by_example = ops.multiply(_pick(weighted, chosen, axis), valid)
    weights = valid if scale is None else ops.multiply(_pick(scale, chosen, axis), valid)
    if not smoothing:
        return _reduced(by_example, weights, reduction)
    smooth = ops.multiply(ops.reduce_sum(weighted, (axis,)), valid)
    share = smoothing / losses.sizes[axis]
    total, rest = _reduced(by_example, weights, reduction), _reduced(smooth, weights, reduction)
    return ops.add(ops.multiply(total, _of(total, 1 - smoothing)), ops.multiply(rest, _of(rest, share)))


def _pick(values: Var, chosen: Var, axis: int) -> Var:
    """The element of each example's class; a select, so that infinite others do no harm."""
    is_chosen = ops.compare(chosen, ops.zeros_like(chosen), Direction.NE)
    return ops.reduce_sum(ops.select(is_chosen, values, ops.zeros_like(values)), (axis,))


@tensor_function
@rounded_once()
def nll_loss(log_probabilities: TensorLike, target: TensorLike, reduction: Reduction = "mean") -> Tensor:
    """The negative log probability of each target class, for log probabilities (N, classes) and indices (N,)."""
    (value,) = promoted_floating(log_probabilities)
    return wrap(_of_indices(ops.negate(value), lift(target), None, value.rank and 1, -100, reduction, 0.0))


def _pairwise(name: str, input: TensorLike, target: TensorLike) -> tuple[Var, Var]:
    x, y = as_dtype((input, target), result_type(input, target, 0.0))
    if x.sizes != y.sizes:
        raise ShapeError(f"{name}: input {x.type} and target {y.type} differ in shape", where=here())
    return x, y


@tensor_function
@rounded_once(2)
def mse_loss(input: TensorLike, target: TensorLike, reduction: Reduction = "mean") -> Tensor:
    """The squared differences, averaged."""
    x, y = _pairwise("mse_loss", input, target)
    difference = ops.subtract(x, y)
    return wrap(_reduced(ops.multiply(difference, difference), None, reduction))


@tensor_function
@rounded_once(2)
def binary_cross_entropy_with_logits(
    input: TensorLike,
    target: TensorLike,
    reduction: Reduction = "mean",
) -> Tensor:
    """The cross entropy of two classes for logits: max(x, 0) - x y + log(1 + e^-|x|)."""
    x, y = _pairwise("binary_cross_entropy_with_logits", input, target)
    tail = ops.log_plus_one(ops.exponential(ops.negate(ops.abs_(x))))
    losses = ops.add(ops.subtract(ops.maximum(x, ops.zeros_like(x)), ops.multiply(x, y)), tail)
    return wrap(_reduced(losses, None, reduction))


@tensor_function
@rounded_once(2)
def linear(x: TensorLike, weight: TensorLike, bias: TensorLike | None = None) -> Tensor:
    """`x @ weight.T + bias`, for a weight of shape (outputs, inputs)."""
    a, w = promoted_floating(x, weight)
    if a.rank == 0 or w.rank != 2 or a.sizes[-1] != w.sizes[1]:
        raise ShapeError(f"linear: {a.type} does not fit weight {w.type}, (outputs, inputs)", where=here())
    product = ops.dot_general(a, w, lhs_contracting=(a.rank - 1,), rhs_contracting=(1,))
    return wrap(_scaled(product, None, bias, (product.rank - 1,)))


@tensor_function
@rounded_once(3)
def scaled_dot_product_attention(
    query: TensorLike,
    key: TensorLike,
    value: TensorLike,
    attn_mask: TensorLike | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """softmax(query @ key.T * scale + mask) @ value (Vaswani et al., 2017), over the last two axes.

    `query` is (..., L, E), `key` (..., S, E), `value` (..., S, V); the scale is 1 / sqrt(E) by default.  A boolean
    mask keeps where it is true, a float one is added; `is_causal` keeps keys no later than the query.
    """
    q, k, v = (wrap(each) for each in promoted_floating(query, key, value))
    factor = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    scores = (q * factor) @ k.mT
    shape = scores.shape
    if is_causal:
        row, column = (counted(shape[-2:], axis, dtypes.i64) for axis in (0, 1))
        scores = _masked(scores.in_trace(), ops.compare(column, row, Direction.LE))
    if attn_mask is not None:
        mask = lift(attn_mask)
        scores = _masked(scores.in_trace(), mask) if mask.dtype.is_bool else scores + wrap(mask)
    return softmax(scores, -1) @ v


def _masked(scores: Var, keep: Var) -> Tensor:
    never = filled(scores.sizes, -math.inf, scores.dtype)
    return wrap(ops.select(expand_to(keep, scores.sizes), scores, never))


@tensor_function
def embedding(indices: TensorLike, weight: TensorLike) -> Tensor:
    """The rows of `weight` that the indices name; the result has the indices' axes, then the row's."""
    return wrap(lift(weight))[indices if not isinstance(indices, (int, list)) else lift_indices(indices)]


def lift_indices(indices: TensorLike) -> Tensor:
    """Indices given as a number or a list, as a tensor."""
    return wrap(lift(indices))
