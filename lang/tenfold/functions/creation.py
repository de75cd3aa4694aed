"""Tensors made from sizes and numbers.  "f32 by default" means the default float type."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tenfold.default_dtype import default_float
from tenfold.eager import tensor_function
from tenfold.functions.axes import expand_to, shape_argument, size_argument
from tenfold.promotion import convert, type_of
from tenfold.specs import DTypeLike, element_type
from tenfold.tracing import Scalar, TensorLike, current, default_dtype, here, is_scalar, lift, wrap
from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.errors import ArgumentError
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.types import TensorType
from tenfoldc.ops import Direction

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

__all__ = [
    "arange",
    "eye",
    "full",
    "full_like",
    "linspace",
    "ones",
    "ones_like",
    "tril",
    "triu",
    "zeros",
    "zeros_like",
]


def _dtype(dtype: DTypeLike | None, default: DType) -> DType:
    return default if dtype is None else element_type(dtype)


def filled(shape: Sequence[int], value: Scalar, dtype: DType) -> Var:
    """A tensor of `shape` with every element `value`, in the innermost trace."""
    return ops.full(current().builder, TensorType(dtype, tuple(shape)), value)


def counted(shape: Sequence[int], axis: int, dtype: DType) -> Var:
    """The index along `axis` at every element of `shape`, in the innermost trace."""
    return ops.iota(current().builder, TensorType(dtype, tuple(shape)), axis)


@tensor_function
def zeros(*shape: int | Sequence[int], dtype: DTypeLike | None = None) -> Tensor:
    """Zeros of `shape`, given as `zeros(2, 3)` or `zeros((2, 3))`; f32 by default."""
    return wrap(filled(shape_argument("zeros", shape), 0, _dtype(dtype, default_float())))


@tensor_function
def ones(*shape: int | Sequence[int], dtype: DTypeLike | None = None) -> Tensor:
    """Ones of `shape`, given as `ones(2, 3)` or `ones((2, 3))`; f32 by default."""
    return wrap(filled(shape_argument("ones", shape), 1, _dtype(dtype, default_float())))


@tensor_function
def full(shape: int | Sequence[int], fill_value: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """A tensor of `shape` with every element `fill_value`, in its element type by default."""
    sizes = shape_argument("full", (shape,))
    if is_scalar(fill_value):
        assert isinstance(fill_value, (bool, int, float))
        return wrap(filled(sizes, fill_value, _dtype(dtype, default_dtype(fill_value))))
    value = lift(fill_value)
    return wrap(expand_to(convert(value, _dtype(dtype, value.dtype)), sizes))


def _like(x: TensorLike, value: Scalar, dtype: DTypeLike | None) -> Tensor:
    type_ = type_of(x)
    return wrap(filled(type_.sizes, value, _dtype(dtype, type_.dtype)))


@tensor_function
def zeros_like(input: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """Zeros of the shape and, by default, the element type of `input`."""
    return _like(input, 0, dtype)


@tensor_function
def ones_like(input: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """Ones of the shape and, by default, the element type of `input`."""
    return _like(input, 1, dtype)


@tensor_function
def full_like(input: TensorLike, fill_value: Scalar, dtype: DTypeLike | None = None) -> Tensor:
    """A tensor of the shape and, by default, the element type of `input`, with every element `fill_value`."""
    return _like(input, fill_value, dtype)


@tensor_function
def arange(start: Scalar, stop: Scalar | None = None, step: Scalar = 1, dtype: DTypeLike | None = None) -> Tensor:
    """Numbers from `start` (0 where only one is given) by `step` until before `stop`.

    i64 where all are integers, else f32.  `ArgumentError` for a step of 0.
    """
    first, last = (0, start) if stop is None else (start, stop)
    if step == 0:
        raise ArgumentError("arange: the step is 0", where=here())
    all_integers = all(isinstance(number, int) for number in (first, last, step))
    chosen = _dtype(dtype, dtypes.i64 if all_integers else default_float())
    size = max(0, math.ceil((last - first) / step))
    working = chosen if all_integers and chosen.is_integer else _working(chosen)
    numbers = counted((size,), 0, working)
    if step != 1:
        numbers = ops.multiply(numbers, filled((size,), step, working))
    if first != 0:
        numbers = ops.add(numbers, filled((size,), first, working))
    return wrap(convert(numbers, chosen))


def _working(dtype: DType) -> DType:
    """The element type in which a sequence of numbers of `dtype` is computed before it is rounded."""
    if dtype.is_half:
        return dtypes.f32
    return dtype if dtype.is_float else dtypes.f64


@tensor_function
def linspace(start: Scalar, stop: Scalar, num: int = 50, dtype: DTypeLike | None = None) -> Tensor:
    """`num` evenly spaced numbers from `start` to `stop`, both included; f32 by default.

    Each half is counted from its own end, so that both ends are exact.
    """
    size = size_argument("linspace", num)
    if size < 0:
        raise ArgumentError(f"linspace: num is {size}, less than 0", where=here())
    chosen = _dtype(dtype, default_float())
    working = _working(chosen)
    step = (stop - start) / max(1, size - 1)
    index = counted((size,), 0, working)
    spacing = filled((size,), step, working)
    from_start = ops.add(filled((size,), start, working), ops.multiply(index, spacing))
    to_go = ops.subtract(filled((size,), size - 1, working), index)
    from_stop = ops.subtract(filled((size,), stop, working), ops.multiply(to_go, spacing))
    in_first_half = ops.compare(index, filled((size,), max(1, size // 2), working), Direction.LT)
    return wrap(convert(ops.select(in_first_half, from_start, from_stop), chosen))


@tensor_function
def eye(n: int, m: int | None = None, dtype: DTypeLike | None = None, k: int = 0) -> Tensor:
    """Ones on diagonal `k` of an (n, m) matrix of zeros, m being n by default; f32 by default."""
    shape = (n, n if m is None else m)
    row, column = counted(shape, 0, dtypes.i64), counted(shape, 1, dtypes.i64)
    diagonal = ops.compare(ops.add(row, filled(shape, k, dtypes.i64)), column, Direction.EQ)
    return wrap(convert(diagonal, _dtype(dtype, default_float())))


def _triangle(x: TensorLike, diagonal: int, direction: Direction) -> Tensor:
    value = lift(x)
    if value.rank < 2:
        raise ArgumentError(f"tril, triu: {value.type} has fewer than two axes", where=here())
    shape = value.sizes
    row = counted(shape, len(shape) - 2, dtypes.i64)
    column = counted(shape, len(shape) - 1, dtypes.i64)
    inside = ops.compare(column, ops.add(row, filled(shape, diagonal, dtypes.i64)), direction)
    return wrap(ops.select(inside, value, ops.zeros_like(value)))


@tensor_function
def tril(input: TensorLike, diagonal: int = 0) -> Tensor:
    """The lower triangle of the last two axes, up to `diagonal`; zeros above."""
    return _triangle(input, diagonal, Direction.LE)


@tensor_function
def triu(input: TensorLike, diagonal: int = 0) -> Tensor:
    """The upper triangle of the last two axes, from `diagonal`; zeros below."""
    return _triangle(input, diagonal, Direction.GE)
