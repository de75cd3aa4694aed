"""Losses of numbers and of vectors: distances to targets, likelihoods, margins.  PyTorch's names and formulas.

Every loss takes `reduction`: "mean" (the default), "sum", or "none" for the losses themselves.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, TypeAlias

from tenfold.eager import tensor_function
from tenfold.functions.arithmetic import maximum, minimum, stop_gradient, where
from tenfold.functions.elementwise import abs, exp, log, log1p, sqrt  # noqa: A004 - NumPy's names
from tenfold.functions.precision import rounded_once
from tenfold.functions.reductions import sum  # noqa: A004
from tenfold.functions.shapes import unsqueeze
from tenfold.nn.functional.distances import at_least, pairwise_distance
from tenfold.nn.functional.reduction import Reduction, broadcast_floating, broadcast_pair, floating, reduced
from tenfold.promotion import convert
from tenfold.tracing import TensorLike, here, lift, wrap
from tenfold_rt.errors import ArgumentError, ShapeError

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

BatchReduction: TypeAlias = Literal["mean", "sum", "none", "batchmean"]


def _weighted(name: str, losses: Tensor, weight: TensorLike | None, reduction: Reduction) -> Tensor:
    """Reduced by weights of the losses' shape."""
    if weight is None:
        return reduced(name, losses, reduction)
    weights = wrap(convert(lift(weight), losses.tensor_type.dtype))
    if weights.shape != losses.shape:
        raise ShapeError(
            f"{name}: weight {weights.tensor_type} and the losses {losses.tensor_type} differ in shape", where=here()
        )
    return reduced(name, losses * weights, reduction, weights)


@tensor_function
@rounded_once(2)
def mse_loss(
    input: TensorLike, target: TensorLike, reduction: Reduction = "mean", weight: TensorLike | None = None
) -> Tensor:
    """The squared differences; the mean is weighted where there are weights."""
    x, y = broadcast_pair("mse_loss", input, target)
    difference = x - y
    return _weighted("mse_loss", difference * difference, weight, reduction)


@tensor_function
@rounded_once(2)
def l1_loss(
    input: TensorLike, target: TensorLike, reduction: Reduction = "mean", weight: TensorLike | None = None
) -> Tensor:
    """The absolute differences; the mean is weighted where there are weights."""
    x, y = broadcast_pair("l1_loss", input, target)
    return _weighted("l1_loss", abs(x - y), weight, reduction)


@tensor_function
@rounded_once(2)
def smooth_l1_loss(input: TensorLike, target: TensorLike, reduction: Reduction = "mean", beta: float = 1.0) -> Tensor:
    """Half the squared difference over `beta` where it is below `beta`, else the difference less beta / 2."""
    if beta < 0:
        raise ArgumentError(f"smooth_l1_loss: beta is {beta}, less than 0", where=here())
    x, y = broadcast_pair("smooth_l1_loss", input, target)
    size = abs(x - y)
    losses = size if beta == 0 else where(size < beta, size * size * (0.5 / beta), size - 0.5 * beta)
    return reduced("smooth_l1_loss", losses, reduction)


@tensor_function
@rounded_once(2)
def huber_loss(
    input: TensorLike,
    target: TensorLike,
    reduction: Reduction = "mean",
    delta: float = 1.0,
    weight: TensorLike | None = None,
) -> Tensor:
    """Half the squared difference up to `delta`, beyond it delta times (the difference less delta / 2)."""
    if delta <= 0:
        raise ArgumentError(f"huber_loss: delta is {delta}, not positive", where=here())
    x, y = broadcast_pair("huber_loss", input, target)
    size = abs(x - y)
    losses = where(size <= delta, size * size * 0.5, (size - 0.5 * delta) * delta)
    if weight is None:
        return reduced("huber_loss", losses, reduction)
    # Unlike those of the other losses, its mean is not divided by the weights.
    return reduced("huber_loss", _weighted("huber_loss", losses, weight, "none"), reduction)


@tensor_function
@rounded_once(2)
def kl_div(
    input: TensorLike, target: TensorLike, reduction: BatchReduction = "mean", log_target: bool = False
) -> Tensor:
    """target (log target - input), for log probabilities `input`; `log_target` says that `target` is logarithms too.

    "batchmean" divides the sum by the size of axis 0, which gives the divergence of Kullback and Leibler.
    """
    x, y = broadcast_floating("kl_div", input, target)
    if log_target:
        losses = exp(y) * (y - x)
    else:
        inside = y > 0
        losses = where(inside, y * (log(where(inside, y, 1.0)) - x), 0.0)
    if reduction != "batchmean":
        return reduced("kl_div", losses, reduction)
    return sum(losses) / float(x.shape[0] if x.ndim else 1)


@tensor_function
@rounded_once(2)
def poisson_nll_loss(
    input: TensorLike,
    target: TensorLike,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: Reduction = "mean",
) -> Tensor:
    """The negative log likelihood of counts, for the logarithms of Poisson means, or the means.

    Without log(target!), unless `full`, which adds Stirling's approximation of it where the target is above 1.
    """
    x, y = broadcast_floating("poisson_nll_loss", input, target)
    losses = exp(x) - y * x if log_input else x - y * log(x + eps)
    if full:
        above = y > 1
        counts = where(above, y, 1.0)
        losses = losses + where(above, counts * log(counts) - counts + 0.5 * log(2 * math.pi * counts), 0.0)
    return reduced("poisson_nll_loss", losses, reduction)


@tensor_function
@rounded_once(3)
def gaussian_nll_loss(
    input: TensorLike,
    target: TensorLike,
    var: TensorLike,
    full: bool = False,
    eps: float = 1e-6,
    reduction: Reduction = "mean",
) -> Tensor:
    """(log var + (input - target)^2 / var) / 2, for variances that count as at least `eps`; `full` adds log(2 pi) / 2.

    `var` has the shape of `input`, or lacks the last axis, or has size 1 there.
    """
    x, y, variance = floating(input, target, var)
    if variance.ndim and variance.shape != x.shape:
        if variance.shape == x.shape[:-1]:
            variance = unsqueeze(variance, -1)
        elif variance.shape[:-1] != x.shape[:-1] or variance.shape[-1] != 1:
            raise ShapeError(
                f"gaussian_nll_loss: var {variance.tensor_type} does not fit input {x.tensor_type}", where=here()
            )
    # The bound leaves the derivative as it is.
    variance = variance + stop_gradient(maximum(variance, eps) - variance)
    difference = x - y
    losses = 0.5 * (log(variance) + difference * difference / variance)
    return reduced("gaussian_nll_loss", losses + 0.5 * math.log(2 * math.pi) if full else losses, reduction)


@tensor_function
@rounded_once(2)
def hinge_embedding_loss(
    input: TensorLike, target: TensorLike, margin: float = 1.0, reduction: Reduction = "mean"
) -> Tensor:
    """The distance `input` where the target is 1; what it lacks to `margin` where the target is -1."""
    x, y = broadcast_floating("hinge_embedding_loss", input, target)
    lacking = where(y == 1, 0.0, at_least(margin - x, 0.0))
    return reduced("hinge_embedding_loss", lacking + where(y == -1, 0.0, x), reduction)


@tensor_function
@rounded_once(3)
def margin_ranking_loss(
    input1: TensorLike,
    input2: TensorLike,
    target: TensorLike,
    margin: float = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    """What target (input1 - input2) lacks to `margin`: 1 ranks the first higher, -1 the second."""
    a, b, y = floating(input1, input2, target)
    if not a.ndim == b.ndim == y.ndim:
        raise ShapeError(
            f"margin_ranking_loss: {a.tensor_type}, {b.tensor_type} and target {y.tensor_type} "
            "differ in the number of axes",
            where=here(),
        )
    return reduced("margin_ranking_loss", at_least(margin - y * (a - b), 0.0), reduction)


@tensor_function
@rounded_once(2)
def cosine_embedding_loss(
    input1: TensorLike,
    input2: TensorLike,
    target: TensorLike,
    margin: float = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    """1 - cos of the angle between vectors (last axis) whose target is 1; what cos exceeds `margin` by for -1."""
    (a, b), y = floating(input1, input2), wrap(lift(target))
    if a.ndim not in (1, 2) or y.ndim != a.ndim - 1 or a.ndim != b.ndim:
        raise ShapeError(
            f"cosine_embedding_loss: {a.tensor_type} and {b.tensor_type} with targets {y.tensor_type} "
            "are neither (N, D) with (N,) "
            "nor (D,) with ()",
            where=here(),
        )
    squares = (sum(a * a, -1) + 1e-12) * (sum(b * b, -1) + 1e-12)
    cosine = sum(a * b, -1) / sqrt(squares)
    losses = where(y == 1, 1 - cosine, where(y == -1, at_least(cosine - margin, 0.0), 0.0))
    return reduced("cosine_embedding_loss", losses, reduction)


@tensor_function
@rounded_once(3)
def triplet_margin_loss(
    anchor: TensorLike,
    positive: TensorLike,
    negative: TensorLike,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    """By how much the anchor is not nearer, by `margin`, to the positive than to the negative (last axis).

    With `swap` the positive's distance from the negative counts where it is the smaller (Balntas et al., 2016).
    """
    given = floating(anchor, positive, negative)
    if len({each.ndim for each in given}) != 1:
        kinds = ", ".join(str(each.tensor_type) for each in given)
        raise ShapeError(f"triplet_margin_loss: {kinds} differ in the number of axes", where=here())
    a, near, far = given
    to_near, to_far = pairwise_distance(a, near, p, eps), pairwise_distance(a, far, p, eps)
    if swap:
        to_far = minimum(to_far, pairwise_distance(near, far, p, eps))
    return reduced("triplet_margin_loss", at_least(margin + to_near - to_far, 0.0), reduction)


@tensor_function
@rounded_once(2)
def soft_margin_loss(input: TensorLike, target: TensorLike, reduction: Reduction = "mean") -> Tensor:
    """log(1 + e^(-target input)), for targets 1 and -1."""
    x, y = broadcast_floating("soft_margin_loss", input, target)
    return reduced("soft_margin_loss", log_one_plus_exp(-y * x), reduction)


def log_one_plus_exp(x: Tensor) -> Tensor:
    """log(1 + e^x), without overflow."""
    return maximum(x, 0.0) + log1p(exp(-abs(x)))
