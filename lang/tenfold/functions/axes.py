"""Axes and shapes that functions are given: made positive, checked, broadcast.

Functions take PyTorch's `dim`/`keepdim` and NumPy's `axis`/`keepdims` alike; giving both is an error.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import TypeAlias

from tenfold.tracing import here
from tenfold_rt.errors import ArgumentError, DTypeError, RangeError, ShapeError, TraceError
from tenfoldc import ops
from tenfoldc.ir.builder import Var

Axes: TypeAlias = "int | Sequence[int] | None"


def either(name: str, dim: Axes, axis: Axes) -> Axes:
    """The one of PyTorch's `dim` and NumPy's `axis` that was given."""
    if dim is not None and axis is not None:
        raise ArgumentError(f"{name}: both dim and axis are given", where=here(), mend="give one of them")
    return dim if axis is None else axis


def kept(keepdim: bool, keepdims: bool | None) -> bool:
    """Whether reduced axes stay, with size 1, by either name."""
    return keepdim if keepdims is None else keepdims


def normalize_axis(name: str, axis: int, rank: int) -> int:
    """`axis` counted from 0; `RangeError` where it is out of range."""
    number = integer_argument(name, "the axis", axis)
    if not -rank <= number < rank:
        raise RangeError(f"{name}: axis {number} is out of range for {rank} axes", where=here())
    return number % rank


def normalize_axes(name: str, axes: Axes, rank: int) -> tuple[int, ...]:
    """`axes` counted from 0, in order, None meaning all; `ArgumentError` where one is out of range or repeated.

    A scalar counts as having one axis, which is left out.
    """
    if axes is None:
        return tuple(range(rank))
    if rank == 0:
        return normalize_axes(name, axes, 1)[1:]
    given = tuple(axes) if isinstance(axes, Sequence) else (axes,)
    normalized = tuple(normalize_axis(name, axis, rank) for axis in given)
    if len(set(normalized)) != len(normalized):
        raise ArgumentError(f"{name}: an axis is given twice in {given}", where=here())
    return normalized


def require_axis(name: str, axes: Axes, rank: int, default: int | None = None) -> int:
    """One axis, counted from 0."""
    if axes is None:
        axes = default
    if axes is None or isinstance(axes, Sequence):
        raise ArgumentError(f"{name}: needs one axis, not {axes}", where=here())
    return normalize_axis(name, axes, rank)


def shape_argument(name: str, sizes: Sequence[int | Sequence[int]]) -> tuple[int, ...]:
    """A shape given as `f(2, 3)` or `f((2, 3))`; each size must be an integer that is known while tracing."""
    (first, *rest) = sizes or ((),)
    given = first if isinstance(first, Sequence) and not rest else sizes
    return tuple(size_argument(name, size) for size in given)


def size_argument(name: str, size: object) -> int:
    """A size as an integer; `ArgumentError` for anything else."""
    try:
        return operator.index(size)  # pyright: ignore[reportArgumentType] - that is what is tried
    except TypeError:
        raise ArgumentError(f"{name}: a size is {size!r}, not an integer", where=here()) from None


def integer_argument(name: str, what: str, value: object) -> int:
    """What an argument counts, as an integer; `DTypeError` for anything else."""
    try:
        return operator.index(value)  # pyright: ignore[reportArgumentType] - that is what is tried
    except TraceError:
        raise
    except TypeError:
        raise DTypeError(f"{name}: {what} is {value!r}, not an integer", where=here()) from None


def broadcast_shape(name: str, *shapes: Sequence[int]) -> tuple[int, ...]:
    """The shape that `shapes` broadcast to (NumPy's rule); `ShapeError` names the sizes that differ."""
    rank = max(map(len, shapes), default=0)
    result = [1] * rank
    for shape in shapes:
        for axis, size in enumerate(shape, rank - len(shape)):
            if size != 1 and result[axis] not in (1, size):
                raise ShapeError(
                    f"{name}: shapes {' and '.join(str(tuple(s)) for s in shapes)} do not broadcast: "
                    f"sizes {result[axis]} and {size} differ at axis {axis - rank}",
                    where=here(),
                    mend="reshape one of them, or repeat it along that axis",
                )
            result[axis] = size if size != 1 else result[axis]
    return tuple(result)


def broadcast(name: str, *operands: Var) -> tuple[Var, ...]:
    """`operands` repeated to their common shape."""
    shape = broadcast_shape(name, *(operand.sizes for operand in operands))
    return tuple(expand_to(operand, shape) for operand in operands)


def expand_to(x: Var, shape: Sequence[int]) -> Var:
    """`x` repeated to `shape`, with which it must broadcast; axes align at the end."""
    if x.sizes == tuple(shape):
        return x
    return ops.broadcast_in_dim(x, shape, range(len(shape) - x.rank, len(shape)))


def reshape_to(x: Var, shape: Sequence[int]) -> Var:
    """`x` with another shape of as many elements."""
    return x if x.sizes == tuple(shape) else ops.reshape(x, tuple(shape))


def with_axes_kept(x: Var, shape: Sequence[int], axes: Sequence[int]) -> Var:
    """The reduction of a tensor of `shape` over `axes` with these put back at size 1."""
    return reshape_to(x, [1 if axis in axes else size for axis, size in enumerate(shape)])


def count(shape: Sequence[int], axes: Sequence[int]) -> int:
    """How many elements are reduced to one."""
    return math.prod(shape[axis] for axis in axes)
