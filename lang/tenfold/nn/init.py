"""Initial values of parameters, written into tensors in place and outside of gradients, by PyTorch's formulas."""

from __future__ import annotations

import math
import warnings
from typing import Literal, TypeAlias

from tenfold.autograd import no_grad
from tenfold.eager import tensor_function
from tenfold.functions.arithmetic import where
from tenfold.functions.creation import eye
from tenfold.functions.factorizations import cholesky, solve_triangular
from tenfold.functions.linear_algebra import matmul
from tenfold.functions.reductions import norm
from tenfold.functions.shapes import swapaxes
from tenfold.functions.sorting import argsort
from tenfold.random.distributions import normal, truncated_normal, uniform
from tenfold.random.generator import Generator, next_key
from tenfold.specs import float64
from tenfold.tensor import Tensor
from tenfold_rt.errors import ArgumentError, ShapeError

FanMode: TypeAlias = Literal["fan_in", "fan_out"]

_GAINS = {
    "linear": 1.0,
    "conv1d": 1.0,
    "conv2d": 1.0,
    "conv3d": 1.0,
    "conv_transpose1d": 1.0,
    "conv_transpose2d": 1.0,
    "conv_transpose3d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5.0 / 3,
    "relu": math.sqrt(2.0),
    "selu": 3.0 / 4,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much a layer before `nonlinearity` scales its weights, so that activations keep their variance.

    `param`: the slope of "leaky_relu" for negative numbers, 0.01 by default.
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ArgumentError(f"negative_slope {param} not a valid number")
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity not in _GAINS:
        raise ArgumentError(f"Unsupported nonlinearity {nonlinearity}")
    return _GAINS[nonlinearity]


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Numbers equally likely anywhere in [a, b)."""
    with no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal numbers."""
    with no_grad():
        return tensor.normal_(mean, std, generator=generator)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Normal numbers among those in [a, b]: the inverse of the distribution's function at uniform numbers."""
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. "
            "The distribution of values may be incorrect.",
            stacklevel=2,
        )
    low, high = ((end - mean) / std for end in (a, b))
    with no_grad():
        drawn = truncated_normal(next_key(generator, tensor), low, high, tuple(tensor.shape), tensor.dtype)
        return tensor.copy_((drawn * std + mean).clamp(a, b))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """`val` everywhere."""
    with no_grad():
        return tensor.fill_(val)


def ones_(tensor: Tensor) -> Tensor:
    """1 everywhere."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """0 everywhere."""
    return constant_(tensor, 0.0)


def eye_(tensor: Tensor) -> Tensor:
    """The identity, of a matrix that need not be square."""
    if tensor.ndim != 2:
        raise ShapeError("Only tensors with 2 dimensions are supported")
    with no_grad():
        return tensor.copy_(eye(tensor.shape[0], tensor.shape[1], dtype=tensor.dtype))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Weights of a convolution that gives as many of its input's channels as it can, unchanged, in each group."""
    if tensor.ndim not in (3, 4, 5):
        raise ShapeError("Only tensors with 3, 4, or 5 dimensions are supported")
    channels, *window = tensor.shape[1:]
    if tensor.shape[0] % groups:
        raise ShapeError("dim 0 must be divisible by groups")
    per_group = tensor.shape[0] // groups
    centre = tuple(size // 2 for size in window)
    with no_grad():
        tensor.zero_()
        for group in range(groups):
            for channel in range(min(per_group, channels)):
                tensor[(group * per_group + channel, channel, *centre)] = 1.0
    return tensor


def fans(tensor: Tensor) -> tuple[int, int]:
    """How many numbers each element of a layer's result is summed from, and how many each of its input goes to."""
    if tensor.ndim < 2:
        raise ShapeError("Fan in and fan out can not be computed for tensor with fewer than 2 dimensions")
    outputs, inputs, *window = tensor.shape
    return inputs * math.prod(window), outputs * math.prod(window)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform within gain sqrt(6 / (fan_in + fan_out)) of 0 (Glorot and Bengio, 2010)."""
    bound = gain * math.sqrt(6.0 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with deviation gain sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio, 2010)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(fans(tensor))), generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: FanMode = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform within gain sqrt(3 / fan) of 0 (He et al., 2015); `a` is the slope of a leaky ReLU."""
    if 0 in tensor.shape:
        return _left_empty(tensor)
    bound = math.sqrt(3.0) * _kaiming_deviation(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: FanMode = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal with deviation gain / sqrt(fan) (He et al., 2015); `a` is the slope of a leaky ReLU."""
    if 0 in tensor.shape:
        return _left_empty(tensor)
    return normal_(tensor, 0.0, _kaiming_deviation(tensor, a, mode, nonlinearity), generator)


def _left_empty(tensor: Tensor) -> Tensor:
    warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
    return tensor


def _kaiming_deviation(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    chosen = mode.lower()
    if chosen not in ("fan_in", "fan_out"):
        raise ArgumentError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    fan = fans(tensor)[("fan_in", "fan_out").index(chosen)]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """Orthonormal rows, or columns where there are more rows than columns, times `gain` (Saxe et al., 2013).

    The first axis is the rows, all others together the columns.  Normal numbers are made orthonormal by Cholesky
    factors of their Gram matrix, in f64, which leaves their distribution invariant under rotations as that of a QR
    factorisation with positive diagonal is.
    """
    if tensor.ndim < 2:
        raise ShapeError("Only tensors with 2 or more dimensions are supported")
    if 0 in tensor.shape:
        return tensor
    rows = tensor.shape[0]
    columns = math.prod(tensor.shape[1:])
    with no_grad():
        drawn = normal(next_key(generator, tensor), (max(rows, columns), min(rows, columns)), float64)
        columns_of_unit = orthonormal_columns(drawn)
        oriented = swapaxes(columns_of_unit, 0, 1) if rows < columns else columns_of_unit
        return tensor.copy_((oriented * gain).reshape(tensor.shape))


@tensor_function
def orthonormal_columns(x: Tensor) -> Tensor:
    """The Q of x = QR for a tall matrix of full rank, with R's diagonal positive.

    CholeskyQR with a repetition (Yamamoto et al., 2015): R is the Cholesky factor of x^T x, and Q = x R^-1; a second
    time, what rounding left of the first is orthogonal to the last digits.  Before, x^T x gets a shift of the size of
    its rounding (Fukaya et al., 2020), so that the factor exists however nearly x's columns depend on each other.
    """
    shift = 11 * (x.shape[0] * x.shape[1] + x.shape[1] * (x.shape[1] + 1)) * 2.0**-53
    q = _cholesky_q(x, norm(x) ** 2 * shift)
    return _cholesky_q(_cholesky_q(q, 0.0), 0.0)


def _cholesky_q(x: Tensor, shift: Tensor | float) -> Tensor:
    gram = matmul(swapaxes(x, 0, 1), x) + eye(x.shape[1], dtype=x.dtype) * shift
    lower = cholesky(gram)
    return swapaxes(solve_triangular(lower, swapaxes(x, 0, 1), upper=False), 0, 1)


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """Normal numbers, of which in each column a share `sparsity` is zero, at random places (Martens, 2010)."""
    if tensor.ndim != 2:
        raise ShapeError("Only tensors with 2 dimensions are supported")
    zeroed = math.ceil(sparsity * tensor.shape[0])
    with no_grad():
        ranks = argsort(argsort(uniform(next_key(generator, tensor), tuple(tensor.shape)), 0), 0)
        drawn = normal(next_key(generator, tensor), tuple(tensor.shape), tensor.dtype) * std
        return tensor.copy_(where(ranks < zeroed, 0.0, drawn))
