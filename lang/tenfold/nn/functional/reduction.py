"""What losses share: operands of one shape, weights, and how losses become one number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from tenfold.functions.axes import broadcast
from tenfold.functions.reductions import sum  # noqa: A004 - NumPy's name
from tenfold.promotion import as_dtype, result_type, type_of
from tenfold.tracing import TensorLike, here, wrap
from tenfold.warning import warn
from tenfold_rt.errors import ArgumentError, ShapeError

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

Reduction: TypeAlias = Literal["mean", "sum", "none"]


def floating(*operands: TensorLike) -> list[Tensor]:
    """`operands` as tensors of their common element type, a float."""
    return [wrap(each) for each in as_dtype(operands, result_type(*operands, 0.0))]


def paired(name: str, input: TensorLike, target: TensorLike) -> tuple[Tensor, Tensor]:
    """Input and target as floats of one shape; `ShapeError` where their shapes differ."""
    x, y = floating(input, target)
    if x.shape != y.shape:
        raise ShapeError(f"{name}: input {x.tensor_type} and target {y.tensor_type} differ in shape", where=here())
    return x, y


def broadcast_floating(name: str, input: TensorLike, target: TensorLike) -> tuple[Tensor, Tensor]:
    """Input and target as floats, broadcast."""
    x, y = broadcast(name, *(each.in_trace() for each in floating(input, target)))
    return wrap(x), wrap(y)


def broadcast_pair(name: str, input: TensorLike, target: TensorLike) -> tuple[Tensor, Tensor]:
    """Input and target as floats, broadcast, with a warning where their shapes differ: it is rarely what is meant."""
    kinds = type_of(input), type_of(target)
    if kinds[0].shape != kinds[1].shape:
        warn(f"{name}: input is {kinds[0]} and target {kinds[1]}; they are broadcast, which is rarely meant")
    return broadcast_floating(name, input, target)


def reduced(name: str, losses: Tensor, reduction: Reduction, weight: Tensor | None = None) -> Tensor:
    """Losses averaged (by `weight` where given, with which they are multiplied already), summed, or left as they are.

    The mean of no losses is NaN.
    """
    if reduction == "none":
        return losses
    if reduction == "sum":
        return sum(losses)
    if reduction != "mean":
        raise ArgumentError(f"{name}: reduction is {reduction!r}", where=here(), mend="use 'mean', 'sum' or 'none'")
    if weight is not None:
        return sum(losses) / sum(weight)
    return sum(losses) / float(losses.tensor_type.size)
