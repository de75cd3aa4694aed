"""Activations, element by element, with PyTorch's names, arguments, and derivatives where a function has a corner."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from tenfold.eager import tensor_function
from tenfold.functions import neural
from tenfold.functions.precision import rounded_once
from tenfold.nn.functional.effects import in_place
from tenfold.promotion import as_dtype, promoted_floating
from tenfold.tracing import TensorLike, here, lift, wrap
from tenfold_rt.errors import ArgumentError, ShapeError
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops import Direction

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

_SELU_SCALE = 1.0507009873554804934193349852946
_SELU_ALPHA = 1.6732632423543772848170429916717


def _of(like: Var, number: float) -> Var:
    return ops.full_like(like, number)


def _less(x: Var, bound: float) -> Var:
    return ops.compare(x, _of(x, bound), Direction.LT)


def _at_most(x: Var, bound: float) -> Var:
    return ops.compare(x, _of(x, bound), Direction.LE)


def _scaled(x: Var, factor: float) -> Var:
    return ops.multiply(x, _of(x, factor))


@in_place
def relu(input: TensorLike, inplace: bool = False) -> Tensor:
    """Each element, or 0 where it is negative; the derivative at 0 is 0."""
    return neural.relu(input)


@in_place
@tensor_function
def leaky_relu(input: TensorLike, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """Each element, or `negative_slope` times it where it is negative."""
    (x,) = promoted_floating(input)
    return wrap(ops.select(_at_most(x, 0.0), _scaled(x, negative_slope), x))


@tensor_function
@rounded_once()
def prelu(input: TensorLike, weight: TensorLike) -> Tensor:
    """Each element, or `weight` times it where it is negative (He et al., 2015).

    `weight` holds one number, or one for each position of axis 1.
    """
    x, slope = promoted_floating(input, weight)
    if slope.type.size == 1:
        slope = ops.broadcast_in_dim(ops.reshape(slope, ()), x.sizes, ())
    elif x.rank > 1 and slope.sizes == (x.sizes[1],):
        slope = ops.broadcast_in_dim(slope, x.sizes, (1,))
    else:
        raise ShapeError(f"prelu: weight {slope.type} is neither one number nor one per channel", where=here())
    return wrap(ops.select(_at_most(x, 0.0), ops.multiply(slope, x), x))


def _exponential_below(x: Var, scale: float, slope: float) -> Var:
    """`scale (e^(slope x) - 1)` where x <= 0; of other elements something finite."""
    # Not the minimum with 0, which would halve the derivative at 0.
    below = ops.select(_at_most(x, 0.0), x, ops.zeros_like(x))
    return _scaled(ops.exponential_minus_one(_scaled(below, slope) if slope != 1 else below), scale)


@in_place
@tensor_function
@rounded_once()
def elu(input: TensorLike, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """Each element, or alpha (e^x - 1) where it is negative (Clevert et al., 2015)."""
    (x,) = promoted_floating(input)
    return wrap(ops.select(_at_most(x, 0.0), _exponential_below(x, alpha, 1.0), x))


@in_place
@tensor_function
@rounded_once()
def selu(input: TensorLike, inplace: bool = False) -> Tensor:
    """`elu` with the scales that keep mean 0 and variance 1 from layer to layer (Klambauer et al., 2017)."""
    (x,) = promoted_floating(input)
    below = _exponential_below(x, _SELU_SCALE * _SELU_ALPHA, 1.0)
    return wrap(ops.select(_at_most(x, 0.0), below, _scaled(x, _SELU_SCALE)))


@in_place
@tensor_function
@rounded_once()
def celu(input: TensorLike, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """Each element, or alpha (e^(x / alpha) - 1) where it is negative (Barron, 2017)."""
    if alpha == 0:
        raise ArgumentError("celu: alpha is 0", where=here())
    (x,) = promoted_floating(input)
    return wrap(ops.select(_at_most(x, 0.0), _exponential_below(x, alpha, 1 / alpha), x))


@tensor_function
@rounded_once()
def gelu(input: TensorLike, approximate: Literal["none", "tanh"] = "none") -> Tensor:
    """x times the normal distribution's cumulative probability at x (Hendrycks and Gimpel, 2016).

    Exact through erf: x (1 + erf(x / sqrt 2)) / 2; with `approximate="tanh"` the paper's
    x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2.
    """
    (x,) = promoted_floating(input)
    if approximate == "tanh":
        cube = ops.multiply(ops.multiply(x, x), x)
        bend = ops.tanh(_scaled(ops.add(x, _scaled(cube, 0.044715)), math.sqrt(2 / math.pi)))
    elif approximate == "none":
        bend = ops.erf(_scaled(x, math.sqrt(0.5)))
    else:
        raise ArgumentError(f"gelu: approximate is {approximate!r}", where=here(), mend="use 'none' or 'tanh'")
    return wrap(ops.multiply(_scaled(x, 0.5), ops.add(_of(x, 1.0), bend)))


@in_place
@tensor_function
@rounded_once()
def silu(input: TensorLike, inplace: bool = False) -> Tensor:
    """x times its sigmoid, also called swish."""
    (x,) = promoted_floating(input)
    return wrap(ops.multiply(x, ops.logistic(x)))


def _log_one_plus_exp(x: Var) -> Var:
    """log(1 + e^x), as max(x, 0) + log(1 + e^-|x|), which does not overflow."""
    tail = ops.log_plus_one(ops.exponential(ops.negate(ops.abs_(x))))
    return ops.add(ops.maximum(x, ops.zeros_like(x)), tail)


@in_place
@tensor_function
@rounded_once()
def mish(input: TensorLike, inplace: bool = False) -> Tensor:
    """x tanh(softplus(x)) (Misra, 2019)."""
    (x,) = promoted_floating(input)
    return wrap(ops.multiply(x, ops.tanh(_log_one_plus_exp(x))))


@tensor_function
@rounded_once()
def softplus(input: TensorLike, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + e^(beta x)) / beta, without overflow; x itself where beta x is above `threshold`."""
    (x,) = promoted_floating(input)
    steep = x if beta == 1 else _scaled(x, beta)
    smooth = _log_one_plus_exp(steep)
    smooth = smooth if beta == 1 else ops.divide(smooth, _of(x, beta))
    return wrap(ops.select(ops.compare(steep, _of(x, threshold), Direction.GT), x, smooth))


@tensor_function
@rounded_once()
def softsign(input: TensorLike) -> Tensor:
    """x / (1 + |x|)."""
    (x,) = promoted_floating(input)
    return wrap(ops.divide(x, ops.add(ops.abs_(x), _of(x, 1.0))))


@tensor_function
@rounded_once()
def tanhshrink(input: TensorLike) -> Tensor:
    """x - tanh(x)."""
    (x,) = promoted_floating(input)
    return wrap(ops.subtract(x, ops.tanh(x)))


@tensor_function
def softshrink(input: TensorLike, lambd: float = 0.5) -> Tensor:
    """Each element moved toward 0 by `lambd`, which must not be negative, but not beyond."""
    if lambd < 0:
        raise ArgumentError(f"softshrink: lambd is {lambd}, less than 0", where=here())
    (x,) = promoted_floating(input)
    # 0 times the element, so that NaN stays.
    lowered = ops.select(_at_most(x, lambd), _scaled(x, 0.0), ops.subtract(x, _of(x, lambd)))
    return wrap(ops.select(_less(x, -lambd), ops.add(x, _of(x, lambd)), lowered))


@tensor_function
def hardshrink(input: TensorLike, lambd: float = 0.5) -> Tensor:
    """Each element, or 0 where it is no farther from 0 than `lambd`."""
    (x,) = promoted_floating(input)
    return wrap(ops.select(_at_most(ops.abs_(x), lambd), ops.zeros_like(x), x))


def _clipped(x: Var, low: float, high: float) -> Var:
    """`x` between two numbers; where it is at or beyond them its derivative is 0."""
    above = ops.select(_at_most(x, low), _of(x, low), x)
    return ops.select(ops.compare(x, _of(x, high), Direction.GE), _of(x, high), above)


@in_place
@tensor_function
def hardtanh(input: TensorLike, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """Each element, no smaller than `min_val` and no larger than `max_val`."""
    if min_val > max_val:
        raise ArgumentError(f"hardtanh: min_val {min_val} is above max_val {max_val}", where=here())
    return wrap(_clipped(lift(input), min_val, max_val))


@in_place
@tensor_function
def relu6(input: TensorLike, inplace: bool = False) -> Tensor:
    """Each element, no smaller than 0 and no larger than 6."""
    return wrap(_clipped(lift(input), 0, 6))


@in_place
@tensor_function
@rounded_once()
def hardsigmoid(input: TensorLike, inplace: bool = False) -> Tensor:
    """x / 6 + 1 / 2, no smaller than 0 and no larger than 1."""
    (x,) = promoted_floating(input)
    return wrap(_scaled(_clipped(ops.add(x, _of(x, 3.0)), 0.0, 6.0), 1 / 6))


@in_place
@tensor_function
@rounded_once()
def hardswish(input: TensorLike, inplace: bool = False) -> Tensor:
    """x times its `hardsigmoid` (Howard et al., 2019)."""
    (x,) = promoted_floating(input)
    bent = _scaled(ops.multiply(x, ops.add(x, _of(x, 3.0))), 1 / 6)
    within = ops.select(ops.compare(x, _of(x, 3.0), Direction.GE), x, bent)
    return wrap(ops.select(_at_most(x, -3.0), ops.zeros_like(x), within))


@tensor_function
def sigmoid(input: TensorLike) -> Tensor:
    """1 / (1 + e^-x)."""
    (x,) = promoted_floating(input)
    return wrap(ops.logistic(x))


@tensor_function
def tanh(input: TensorLike) -> Tensor:
    """The hyperbolic tangent of each element."""
    (x,) = promoted_floating(input)
    return wrap(ops.tanh(x))


@tensor_function
@rounded_once()
def logsigmoid(input: TensorLike) -> Tensor:
    """The logarithm of the sigmoid, as min(x, 0) - log(1 + e^-|x|)."""
    (x,) = promoted_floating(input)
    return wrap(ops.negate(_log_one_plus_exp(ops.negate(x))))


@in_place
@tensor_function
def threshold(input: TensorLike, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """Each element that is above `threshold`; `value` for the others."""
    x = lift(input)
    (bound, other) = as_dtype((threshold, value), x.dtype)
    low = ops.compare(x, ops.broadcast_in_dim(bound, x.sizes, ()), Direction.LE)
    return wrap(ops.select(low, ops.broadcast_in_dim(other, x.sizes, ()), x))
