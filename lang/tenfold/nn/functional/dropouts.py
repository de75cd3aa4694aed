"""Dropout: elements or whole channels set to 0 at random while training."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tenfold.eager import tensor_function
from tenfold.functions.arithmetic import where
from tenfold.functions.precision import rounded_once
from tenfold.nn.functional.effects import in_place
from tenfold.promotion import promoted_floating, type_of
from tenfold.random.distributions import uniform
from tenfold.random.generator import next_key
from tenfold.tracing import TensorLike, here, lift, wrap
from tenfold_rt.errors import ArgumentError, ShapeError

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

# The limit of selu's scaled elu for arguments far below 0.
_SELU_LEAST = -1.7580993408473766


@tensor_function
def _unchanged(input: TensorLike) -> Tensor:
    return wrap(lift(input))


def _drawn(key: TensorLike, p: float, sizes: Sequence[int]) -> Tensor:
    """True with probability 1 - p."""
    return uniform(key, tuple(sizes)) < 1 - p


@tensor_function
@rounded_once()
def _dropout(input: TensorLike, key: TensorLike, p: float, alone: int) -> Tensor:
    """Drawn for each position of the first `alone` axes."""
    (x,) = promoted_floating(input)
    return dropped(wrap(x), key, p, alone)


def dropped(x: Tensor, key: TensorLike, p: float, alone: int | None = None) -> Tensor:
    """0 with probability `p`, else divided by 1 - p; drawn for each position of the first `alone` axes, or all."""
    if p == 1:
        return x * 0.0
    own = x.ndim if alone is None else alone
    kept = _drawn(key, p, (*x.shape[:own], *[1] * (x.ndim - own)))
    return where(kept, x * (1 / (1 - p)), 0.0)


@tensor_function
@rounded_once()
def _alpha_dropout(input: TensorLike, key: TensorLike, p: float, alone: int) -> Tensor:
    """a x + b, or a least + b where dropped, with a and b such that mean 0 and variance 1 stay so."""
    (x,) = promoted_floating(input)
    if p == 1:
        return wrap(x) * 0.0
    a = 1 / math.sqrt((1 - p) * (1 + p * _SELU_LEAST**2))
    b = -a * _SELU_LEAST * p
    kept = _drawn(key, p, (*x.sizes[:alone], *[1] * (x.rank - alone)))
    return where(kept, wrap(x) * a, a * _SELU_LEAST) + b


def _applied(
    name: str,
    body: Callable[[TensorLike, TensorLike, float, int], Tensor],
    input: TensorLike,
    p: float,
    training: bool,
    alone: int,
) -> Tensor:
    if not 0 <= p <= 1:
        raise ArgumentError(f"{name}: p is {p}, but must be between 0 and 1", where=here())
    return body(input, next_key(like=input), float(p), alone) if training and p else _unchanged(input)


@in_place
def dropout(input: TensorLike, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """While training each element 0 with probability `p`, and else divided by 1 - p (Srivastava et al., 2014)."""
    return _applied("dropout", _dropout, input, p, training, type_of(input).rank)


def _channels(name: str, input: TensorLike, axes: int) -> int:
    """How many axes come before the spatial ones: a batch's and the channels', or the channels' alone."""
    rank = type_of(input).rank
    if rank not in (axes + 1, axes + 2):
        raise ShapeError(f"{name}: {type_of(input)} has neither {axes + 1} nor {axes + 2} axes", where=here())
    return rank - axes


@in_place
def dropout1d(input: TensorLike, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """`dropout` of whole channels of (N, C, L) or (C, L)."""
    return _applied("dropout1d", _dropout, input, p, training, _channels("dropout1d", input, 1))


@in_place
def dropout2d(input: TensorLike, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """`dropout` of whole channels of (N, C, H, W), or, as in PyTorch, of the first two axes of (C, H, W)."""
    _channels("dropout2d", input, 2)
    return _applied("dropout2d", _dropout, input, p, training, 2)


@in_place
def dropout3d(input: TensorLike, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """`dropout` of whole channels of (N, C, D, H, W) or (C, D, H, W)."""
    return _applied("dropout3d", _dropout, input, p, training, _channels("dropout3d", input, 3))


@in_place
def alpha_dropout(input: TensorLike, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout to the least value of `selu`, which keeps mean 0 and variance 1 (Klambauer et al., 2017)."""
    return _applied("alpha_dropout", _alpha_dropout, input, p, training, type_of(input).rank)


@in_place
def feature_alpha_dropout(input: TensorLike, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """`alpha_dropout` of whole channels: of the first two axes."""
    rank = type_of(input).rank
    if rank < 2:
        raise ShapeError(f"feature_alpha_dropout: {type_of(input)} has fewer than two axes", where=here())
    return _applied("feature_alpha_dropout", _alpha_dropout, input, p, training, 2)


@in_place
def rrelu(
    input: TensorLike,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """Each element, or where it is negative a slope times it: drawn between the bounds while training, else between
    them (Xu et al., 2015)."""
    if training:
        return _rrelu(input, next_key(like=input), lower, upper)
    return _rrelu(input, None, (lower + upper) / 2, upper)


@tensor_function
@rounded_once()
def _rrelu(input: TensorLike, key: TensorLike | None, lower: float, upper: float) -> Tensor:
    (value,) = promoted_floating(input)
    x = wrap(value)
    slope = lower if key is None else uniform(key, value.sizes, minval=lower, maxval=upper)
    return where(x <= 0, x * slope, x)
