"""Lengths of vectors, and distances and angles between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenfold.eager import tensor_function
from tenfold.functions.arithmetic import stop_gradient
from tenfold.functions.axes import Axes, broadcast, normalize_axis
from tenfold.functions.precision import rounded_once
from tenfold.functions.reductions import norm, sum  # noqa: A004 - NumPy's name
from tenfold.promotion import promoted_floating
from tenfold.tracing import TensorLike, here, wrap
from tenfold_rt.errors import ShapeError
from tenfoldc import ops
from tenfoldc.ops import Direction

if TYPE_CHECKING:
    from tenfold.tensor import Tensor


def at_least(x: Tensor, bound: float) -> Tensor:
    """The larger of each element and a number, whose derivative where they are equal is 1, as in PyTorch."""
    value = x.in_trace()
    limit = ops.full_like(value, bound)
    return wrap(ops.select(ops.compare(value, limit, Direction.LT), limit, value))


@tensor_function
@rounded_once()
def normalize(input: TensorLike, p: float = 2.0, dim: Axes = 1, eps: float = 1e-12) -> Tensor:
    """Vectors along an axis divided by their p-norm, or by `eps` where that is smaller."""
    (x,) = promoted_floating(input)
    size = norm(wrap(x), p, dim, True)
    return wrap(x) / at_least(size, eps)


@tensor_function
@rounded_once(2)
def cosine_similarity(x1: TensorLike, x2: TensorLike, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The inner product of vectors along an axis, divided by both lengths, each at least `eps`.

    As in PyTorch, derivatives are those of the lengths themselves where they are below `eps`.
    """
    a, b = (wrap(each) for each in broadcast("cosine_similarity", *promoted_floating(x1, x2)))
    axis = normalize_axis("cosine_similarity", dim, a.ndim)
    lengths = [norm(each, 2, axis, True) for each in (a, b)]
    lengths = [each + stop_gradient(at_least(each, eps) - each) for each in lengths]
    return sum((a / lengths[0]) * (b / lengths[1]), axis)


@tensor_function
@rounded_once(2)
def pairwise_distance(
    x1: TensorLike, x2: TensorLike, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """The p-norm of x1 - x2 + eps along the last axis."""
    a, b = (wrap(each) for each in broadcast("pairwise_distance", *promoted_floating(x1, x2)))
    if a.ndim == 0:
        raise ShapeError("pairwise_distance: the operands have no axes", where=here())
    return norm(a - b + eps, p, -1, keepdim)
