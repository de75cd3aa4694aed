"""Softmax and its kin, and gated linear units: activations along an axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenfold.eager import tensor_function
from tenfold.functions import neural
from tenfold.functions.arithmetic import stop_gradient
from tenfold.functions.axes import normalize_axis
from tenfold.functions.precision import rounded_once
from tenfold.functions.shapes import sliced
from tenfold.nn.functional.embeddings import is_class
from tenfold.promotion import convert, promoted_floating, type_of
from tenfold.random.distributions import gumbel
from tenfold.random.generator import next_key
from tenfold.specs import DTypeLike, element_type, f32, f64
from tenfold.tracing import TensorLike, here, lift, wrap
from tenfold.warning import warn
from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError, ShapeError
from tenfoldc import ops

if TYPE_CHECKING:
    from tenfold.tensor import Tensor


def _axis(name: str, input: TensorLike, dim: int | None) -> int:
    """`dim`, or where none is given the one that PyTorch takes, with its warning."""
    if dim is not None:
        return dim
    warn(f"{name}: no dim is given; give one, often -1")
    return 0 if type_of(input).rank in (0, 1, 3) else 1


@tensor_function
def _converted(input: TensorLike, dtype: DTypeLike) -> Tensor:
    return wrap(convert(lift(input), element_type(dtype)))


def softmax(input: TensorLike, dim: int | None = None, _stacklevel: int = 3, dtype: DTypeLike | None = None) -> Tensor:
    """e^x divided by its sum along an axis, computed in `dtype` where one is given."""
    value = input if dtype is None else _converted(input, dtype)
    return neural.softmax(value, _axis("softmax", input, dim))


def log_softmax(
    input: TensorLike, dim: int | None = None, _stacklevel: int = 3, dtype: DTypeLike | None = None
) -> Tensor:
    """The logarithm of `softmax`, as x - logsumexp(x), computed in `dtype` where one is given."""
    value = input if dtype is None else _converted(input, dtype)
    return neural.log_softmax(value, _axis("log_softmax", input, dim))


def softmin(input: TensorLike, dim: int | None = None, _stacklevel: int = 3, dtype: DTypeLike | None = None) -> Tensor:
    """The `softmax` of -x."""
    value = input if dtype is None else _converted(input, dtype)
    return _softmin(value, _axis("softmin", input, dim))


@tensor_function
@rounded_once()
def _softmin(input: TensorLike, dim: int) -> Tensor:
    return neural.softmax(-wrap(lift(input)), dim)


def gumbel_softmax(
    logits: TensorLike, tau: float = 1.0, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """A sample of the relaxed categorical distribution of `logits` at temperature `tau` (Jang et al., 2017).

    With `hard` it is one-hot, with the derivative of the relaxed sample.  `eps` has no effect.
    """
    return _gumbel_softmax(logits, next_key(like=logits), tau, hard, dim)


@tensor_function
@rounded_once()
def _gumbel_softmax(logits: TensorLike, key: TensorLike, tau: float, hard: bool, dim: int) -> Tensor:
    (value,) = promoted_floating(logits)
    axis = normalize_axis("gumbel_softmax", dim, value.rank)
    noise = gumbel(key, value.sizes, f64 if value.dtype is dtypes.f64 else f32)
    soft = neural.softmax((wrap(value) + noise) / tau, axis)
    if not hard:
        return soft
    winner = ops.argmax(soft.in_trace(), axis, dtypes.i64)
    one_hot = wrap(convert(is_class(winner, axis, value.sizes[axis]), value.dtype))
    return one_hot + (soft - stop_gradient(soft))


@tensor_function
@rounded_once()
def glu(input: TensorLike, dim: int = -1) -> Tensor:
    """The first half along an axis times the sigmoid of the second (Dauphin et al., 2017)."""
    (x,) = promoted_floating(input)
    if x.rank == 0:
        raise ArgumentError("glu: input has no axes", where=here())
    axis = normalize_axis("glu", dim, x.rank)
    size = x.sizes[axis]
    if size % 2:
        raise ShapeError(f"glu: axis {axis} has an odd size, {size}, which has no half", where=here())
    half = size // 2
    return wrap(ops.multiply(sliced(x, axis, 0, half), ops.logistic(sliced(x, axis, half, size))))
