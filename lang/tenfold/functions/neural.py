"""The activations that are functions of tensors: `relu`, `softmax` and `log_softmax`.

`tenfold.nn.functional` has all others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tenfold.eager import tensor_function
from tenfold.functions.axes import expand_to, normalize_axes, with_axes_kept
from tenfold.functions.precision import rounded_once
from tenfold.functions.reductions import largest_finite
from tenfold.promotion import promoted_floating
from tenfold.tracing import TensorLike, here, lift, wrap
from tenfold_rt.errors import ArgumentError
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops import Direction

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

__all__ = ["log_softmax", "relu", "softmax"]


@tensor_function
def relu(input: TensorLike) -> Tensor:
    """Each element, or 0 where it is negative; the derivative at 0 is 0."""
    value = lift(input)
    zero = ops.zeros_like(value)
    return wrap(ops.select(ops.compare(value, zero, Direction.LE), zero, value))


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
    input: TensorLike,
    dim: int | Sequence[int] | None = None,
    *,
    axis: int | Sequence[int] | None = None,
) -> Tensor:
    """e^x divided by its sum along an axis (or several), without overflow: the largest is taken out first."""
    (value,) = promoted_floating(input)
    return wrap(softmax_over(value, _axes_of("softmax", dim, axis, value.rank)))


def softmax_over(value: Var, axes: tuple[int, ...], of_nothing: float = math.nan) -> Var:
    """e^(x - m) / sum(e^(x - m)) with m the largest, over `axes`; `of_nothing` (NaN or 0) where all are -inf."""
    exponentials = ops.exponential(ops.subtract(value, expand_to(largest_finite(value, axes), value.sizes)))
    total = with_axes_kept(ops.reduce_sum(exponentials, axes) if axes else exponentials, value.sizes, axes)
    if of_nothing == 0:
        is_nothing = ops.compare(total, ops.zeros_like(total), Direction.EQ)
        total = ops.select(is_nothing, ops.ones_like(total), total)
    return ops.divide(exponentials, expand_to(total, value.sizes))


@tensor_function
@rounded_once()
def log_softmax(
    input: TensorLike,
    dim: int | Sequence[int] | None = None,
    *,
    axis: int | Sequence[int] | None = None,
) -> Tensor:
    """The logarithm of `softmax`, as x - logsumexp(x)."""
    (value,) = promoted_floating(input)
    return wrap(log_softmax_over(value, _axes_of("log_softmax", dim, axis, value.rank)))


def log_softmax_over(value: Var, axes: tuple[int, ...]) -> Var:
    """(x - m) - log(sum(exp(x - m))) with m the largest, over `axes`: exact where x is far from 0."""
    shifted = ops.subtract(value, expand_to(largest_finite(value, axes), value.sizes))
    exponentials = ops.exponential(shifted)
    total = with_axes_kept(ops.reduce_sum(exponentials, axes) if axes else exponentials, value.sizes, axes)
    return ops.subtract(shifted, expand_to(ops.log(total), value.sizes))
