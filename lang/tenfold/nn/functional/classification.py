"""Losses of classes: cross entropy, negative log likelihood, and those of independent yes-or-no answers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tenfold.eager import tensor_function
from tenfold.functions.arithmetic import maximum, stop_gradient, where
from tenfold.functions.axes import broadcast_shape
from tenfold.functions.elementwise import log, log1p
from tenfold.functions.neural import log_softmax_over
from tenfold.functions.precision import rounded_once
from tenfold.functions.reductions import sum  # noqa: A004 - NumPy's name
from tenfold.nn.functional.embeddings import is_class, picked
from tenfold.nn.functional.losses import log_one_plus_exp
from tenfold.nn.functional.reduction import Reduction, broadcast_pair, floating, paired, reduced
from tenfold.promotion import as_dtype, convert, promoted_floating
from tenfold.tracing import TensorLike, here, lift, wrap
from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError, DTypeError, ShapeError
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops import Direction

if TYPE_CHECKING:
    from tenfold.tensor import Tensor


def _class_axis(name: str, x: Var) -> int:
    if x.rank == 0:
        raise ShapeError(f"{name}: input has no axis of classes", where=here())
    return 0 if x.rank == 1 else 1


def _per_class(name: str, weight: TensorLike | None, x: Var, axis: int) -> Var | None:
    """Weights of classes, repeated to the shape of `x`."""
    if weight is None:
        return None
    (weights,) = as_dtype((weight,), x.dtype)
    if weights.sizes != (x.sizes[axis],):
        raise ShapeError(f"{name}: weight is {weights.type}, one for each class is needed", where=here())
    return ops.broadcast_in_dim(weights, x.sizes, (axis,))


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
    of that shape without the classes, where `ignore_index` does not count and another index that is no class gives
    NaN; or probabilities of the full shape.  `weight` has one number for each class.  The mean over indices is
    weighted, and NaN where none counts.
    """
    (logits,) = promoted_floating(input)
    axis = _class_axis("cross_entropy", logits)
    if not 0 <= label_smoothing <= 1:
        raise ArgumentError(
            f"cross_entropy: label_smoothing is {label_smoothing}, but must be between 0 and 1", where=here()
        )
    labels = lift(target)
    losses = ops.negate(log_softmax_over(logits, (axis,)))
    scale = _per_class("cross_entropy", weight, logits, axis)
    if labels.dtype.is_float:
        probabilities = convert(labels, logits.dtype)
        return _of_probabilities(losses, probabilities, scale, axis, reduction, label_smoothing)
    return _of_indices("cross_entropy", losses, labels, scale, axis, ignore_index, reduction, label_smoothing)


@tensor_function
@rounded_once()
def nll_loss(
    input: TensorLike,
    target: TensorLike,
    weight: TensorLike | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Tensor:
    """The negative log probability of each target class, for log probabilities `input`; see `cross_entropy`."""
    (x,) = promoted_floating(input)
    axis = _class_axis("nll_loss", x)
    scale = _per_class("nll_loss", weight, x, axis)
    return _of_indices("nll_loss", ops.negate(x), lift(target), scale, axis, ignore_index, reduction, 0.0)


def _of_probabilities(
    losses: Var, target: Var, scale: Var | None, axis: int, reduction: Reduction, smoothing: float
) -> Tensor:
    if target.sizes != losses.sizes:
        raise ShapeError(f"cross_entropy: probabilities {target.type} for logits {losses.type}", where=here())
    wanted = wrap(target)
    if smoothing:
        wanted = wanted * (1 - smoothing) + smoothing / losses.sizes[axis]
    weighted = wrap(losses) if scale is None else wrap(losses) * wrap(scale)
    return reduced("cross_entropy", sum(weighted * wanted, axis), reduction)


def _of_indices(
    name: str,
    losses: Var,
    target: Var,
    scale: Var | None,
    axis: int,
    ignore_index: int,
    reduction: Reduction,
    smoothing: float,
) -> Tensor:
    shape = (*losses.sizes[:axis], *losses.sizes[axis + 1 :])
    if target.sizes != shape:
        raise ShapeError(
            f"{name}: target is {target.type}; class indices of shape {shape} are needed for input {losses.type}",
            where=here(),
        )
    if not target.dtype.is_integer:
        raise DTypeError(f"{name}: target is {target.type}, not class indices, i64", where=here())
    classes = convert(target, dtypes.i64)
    counts, known = (wrap(each) for each in _kinds(classes, losses.sizes[axis], ignore_index))
    weighted = losses if scale is None else ops.multiply(losses, scale)
    picks = where(known, wrap(picked(weighted, classes, axis)), math.nan)
    by_example = where(counts, picks, 0.0)
    weights = wrap(picked(scale, classes, axis)) if scale is not None else 1.0
    weights = where(counts, weights, wrap(ops.zeros_like(by_example.in_trace())))
    total = reduced(name, by_example, reduction, weights)
    if not smoothing:
        return total
    smooth = where(counts, sum(wrap(weighted), axis), 0.0)
    rest = reduced(name, smooth, reduction, weights)
    return total * (1 - smoothing) + rest * (smoothing / losses.sizes[axis])


def _kinds(classes: Var, number: int, ignore_index: int) -> tuple[Var, Var]:
    """Which indices count, and which are classes."""
    counts = ops.compare(classes, ops.full_like(classes, ignore_index), Direction.NE)
    not_below = ops.compare(classes, ops.zeros_like(classes), Direction.GE)
    return counts, ops.and_(not_below, ops.compare(classes, ops.full_like(classes, number), Direction.LT))


@tensor_function
@rounded_once(2)
def binary_cross_entropy(
    input: TensorLike, target: TensorLike, weight: TensorLike | None = None, reduction: Reduction = "mean"
) -> Tensor:
    """-(y log x + (1 - y) log(1 - x)) for probabilities x and y, the logarithms no less than -100.

    Its derivative is (x - y) / max(x (1 - x), 1e-12).  `weight` broadcasts to the losses.
    """
    x, y = paired("binary_cross_entropy", input, target)
    spread = x * (1 - x)
    inside = spread > 1e-12
    within = where(inside, x, 0.5)
    ordinary = -(y * log(within) + (1 - y) * log1p(-within))
    bounded = -(y * maximum(log(x), -100.0) + (1 - y) * maximum(log1p(-x), -100.0))
    slope = (x - y) * 1e12
    # At the ends the derivative is PyTorch's, and the value has no part in it.
    at_ends = stop_gradient(bounded) + (x - stop_gradient(x)) * stop_gradient(slope)
    losses = where(inside, ordinary, at_ends)
    return reduced("binary_cross_entropy", _times("binary_cross_entropy", losses, weight), reduction)


def _times(name: str, losses: Tensor, weight: TensorLike | None) -> Tensor:
    """Losses times weights that broadcast to them."""
    if weight is None:
        return losses
    weights = wrap(convert(lift(weight), losses.tensor_type.dtype))
    if broadcast_shape(name, weights.shape, losses.shape) != losses.shape:
        raise ShapeError(
            f"{name}: weight {weights.tensor_type} does not broadcast to {losses.tensor_type}", where=here()
        )
    return losses * weights


@tensor_function
@rounded_once(2)
def binary_cross_entropy_with_logits(
    input: TensorLike,
    target: TensorLike,
    weight: TensorLike | None = None,
    reduction: Reduction = "mean",
    pos_weight: TensorLike | None = None,
) -> Tensor:
    """The cross entropy of two classes for logits: max(x, 0) - x y + log(1 + e^-|x|).

    `weight` multiplies the losses, `pos_weight` their part that y multiplies; both broadcast.
    """
    x, y = paired("binary_cross_entropy_with_logits", input, target)
    if pos_weight is None:
        losses = (1 - y) * x + log_one_plus_exp(-x)
    else:
        positives = wrap(convert(lift(pos_weight), x.tensor_type.dtype))
        if broadcast_shape("binary_cross_entropy_with_logits", positives.shape, x.shape) != x.shape:
            raise ShapeError(
                f"binary_cross_entropy_with_logits: pos_weight {positives.tensor_type} does not broadcast to "
                f"{x.tensor_type}",
                where=here(),
            )
        losses = (1 - y) * x + (1 + (positives - 1) * y) * log_one_plus_exp(-x)
    name = "binary_cross_entropy_with_logits"
    return reduced(name, _times(name, losses, weight), reduction)


@tensor_function
@rounded_once(2)
def multilabel_soft_margin_loss(
    input: TensorLike, target: TensorLike, weight: TensorLike | None = None, reduction: Reduction = "mean"
) -> Tensor:
    """The cross entropies of logits with yes-or-no targets, averaged over the classes (last axis)."""
    x, y = broadcast_pair("multilabel_soft_margin_loss", input, target)
    if x.ndim == 0:
        raise ShapeError("multilabel_soft_margin_loss: input has no axis of classes", where=here())
    losses = _times("multilabel_soft_margin_loss", (1 - y) * x + log_one_plus_exp(-x), weight)
    return reduced("multilabel_soft_margin_loss", sum(losses, -1) / float(x.shape[-1]), reduction)


@tensor_function
@rounded_once()
def multi_margin_loss(
    input: TensorLike,
    target: TensorLike,
    p: int = 1,
    margin: float = 1.0,
    weight: TensorLike | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """The mean over the other classes of max(0, margin - x[target] + x[i])^p, for x of (N, classes) or (classes,)."""
    if p not in (1, 2):
        raise ArgumentError(f"multi_margin_loss: p is {p}, but must be 1 or 2", where=here())
    (x,) = promoted_floating(input)
    classes = lift(target)
    if x.rank not in (1, 2) or classes.sizes != x.sizes[:-1] or not classes.dtype.is_integer:
        raise ShapeError(f"multi_margin_loss: target {classes.type} does not fit input {x.type}", where=here())
    axis = x.rank - 1
    own = picked(x, classes, axis)
    lacking = margin - wrap(ops.broadcast_in_dim(own, x.sizes, range(axis))) + wrap(x)
    short = maximum(lacking, 0.0) if p == 1 else maximum(lacking, 0.0) ** 2
    if weight is not None:
        (weights,) = floating(weight)
        table = ops.broadcast_in_dim(weights.in_trace(), x.sizes, (axis,))
        scale = picked(table, classes, axis)
        short = short * wrap(ops.broadcast_in_dim(scale, x.sizes, range(axis)))
    others = where(wrap(is_class(classes, axis, x.sizes[axis])), 0.0, short)
    return reduced("multi_margin_loss", sum(others, -1) / float(x.sizes[axis]), reduction)
