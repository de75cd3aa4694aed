"""Tensors made from sizes and numbers.  "f32 by default" means the default float type."""

from __future__ import annotations

import functools
import inspect
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from tenfold.default_dtype import default_float
from tenfold.device import Device, default_device, usable_device
from tenfold.eager import tensor_function
from tenfold.functions.axes import expand_to, shape_argument, size_argument
from tenfold.placement import moved, require_here
from tenfold.promotion import convert, type_of
from tenfold.python_numbers import number_array
from tenfold.specs import DTypeLike, element_type
from tenfold.tracing import (
    Scalar,
    TensorLike,
    TensorValue,
    current,
    default_dtype,
    here,
    is_scalar,
    is_tracing,
    lift,
    wrap,
)
from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.errors import ArgumentError, DTypeError, ShapeError
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.types import MOST_AXES, TensorType
from tenfoldc.ops import Direction

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

__all__ = [
    "arange",
    "empty",
    "empty_like",
    "eye",
    "full",
    "full_like",
    "linspace",
    "logspace",
    "ones",
    "ones_like",
    "scalar_tensor",
    "tril",
    "triu",
    "zeros",
    "zeros_like",
]


def _dtype(dtype: DTypeLike | None, default: DType) -> DType:
    return default if dtype is None else element_type(dtype)


def filled(shape: Sequence[int], value: object, dtype: DType) -> Var:
    """A tensor of `shape` with every element `value`, in the innermost trace.

    `ShapeError` for a negative size, `DTypeError` for a value that is no number or that an integer type does not have.
    """
    number: object = cast("Any", value).item() if isinstance(value, np.generic) else value
    if not isinstance(number, (bool, int, float)):
        raise DTypeError(f"a tensor cannot be filled with {value!r}, which is no number", where=here())
    if any(size < 0 for size in shape):
        raise ShapeError(f"a size is negative in {tuple(shape)}", where=here())
    if math.prod(shape) * dtype.bits // 8 > sys.maxsize:
        raise ShapeError(f"a tensor of shape {tuple(shape)} is larger than any memory", where=here())
    if len(shape) > MOST_AXES:
        raise ShapeError(f"a tensor has {len(shape)} axes; it can have {MOST_AXES}", where=here())
    try:
        filling = number_array(number, dtype)
    except DTypeError as error:
        raise DTypeError(error.what, where=here()) from None
    return ops.constant(current().builder, np.broadcast_to(filling, tuple(shape)))


def counted(shape: Sequence[int], axis: int, dtype: DType) -> Var:
    """The index along `axis` at every element of `shape`, in the innermost trace."""
    return ops.iota(current().builder, TensorType(dtype, tuple(shape)), axis)


def made_anew(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`make`, which also takes the device that its tensor is to be on and whether that requires a gradient.

    Sizes that it takes one by one may be given together as `size`.
    """
    own = inspect.signature(make)
    takes_sizes = any(
        parameter.name == "size" and parameter.kind is inspect.Parameter.VAR_POSITIONAL
        for parameter in own.parameters.values()
    )

    @functools.wraps(make)
    def function(
        *args: Any, device: Device | str | int | None = None, requires_grad: bool = False, **kwargs: Any
    ) -> Tensor:
        if takes_sizes and "size" in kwargs:
            args = (*args, kwargs.pop("size"))
        made = _made_on(device, make, args, kwargs)
        return made.requires_grad_() if requires_grad else made

    extra = [
        inspect.Parameter("device", inspect.Parameter.KEYWORD_ONLY, default=None),
        inspect.Parameter("requires_grad", inspect.Parameter.KEYWORD_ONLY, default=False),
    ]
    function.__signature__ = own.replace(parameters=[*own.parameters.values(), *extra])  # pyright: ignore
    return function


def _made_on(
    asked: Device | str | int | None, make: Callable[..., Tensor], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Tensor:
    """What `make` gives on the device that was asked for, or else where a tensor is that it is to be like."""
    if asked is not None:
        device = usable_device(asked)
    elif args and isinstance(args[0], TensorValue):
        device = args[0].ref.kind.device
    else:
        device = default_device()
    if is_tracing():
        if asked is not None:
            require_here(device)
        return make(*args, **kwargs)
    with nullcontext() if device is default_device() else device:
        return cast("Tensor", moved(make(*args, **kwargs), device))


@made_anew
@tensor_function
def zeros(*size: int | Sequence[int], dtype: DTypeLike | None = None) -> Tensor:
    """Zeros of `size`, given as `zeros(2, 3)` or `zeros((2, 3))`; f32 by default."""
    return wrap(filled(shape_argument("zeros", size), 0, _dtype(dtype, default_float())))


@made_anew
@tensor_function
def ones(*size: int | Sequence[int], dtype: DTypeLike | None = None) -> Tensor:
    """Ones of `size`, given as `ones(2, 3)` or `ones((2, 3))`; f32 by default."""
    return wrap(filled(shape_argument("ones", size), 1, _dtype(dtype, default_float())))


@made_anew
@tensor_function
def full(size: int | Sequence[int], fill_value: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """A tensor of `size` with every element `fill_value`, in its element type by default."""
    sizes = shape_argument("full", (size,))
    if is_scalar(fill_value):
        assert isinstance(fill_value, (bool, int, float))
        return wrap(filled(sizes, fill_value, _dtype(dtype, default_dtype(fill_value))))
    value = lift(fill_value)
    return wrap(expand_to(convert(value, _dtype(dtype, value.dtype)), sizes))


def _like(x: TensorLike, value: Scalar, dtype: DTypeLike | None) -> Tensor:
    type_ = type_of(x)
    return wrap(filled(type_.sizes, value, _dtype(dtype, type_.dtype)))


@made_anew
@tensor_function
def zeros_like(input: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """Zeros of the shape and, by default, the element type of `input`."""
    return _like(input, 0, dtype)


@made_anew
@tensor_function
def ones_like(input: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """Ones of the shape and, by default, the element type of `input`."""
    return _like(input, 1, dtype)


@made_anew
@tensor_function
def full_like(input: TensorLike, fill_value: Scalar, dtype: DTypeLike | None = None) -> Tensor:
    """A tensor of the shape and, by default, the element type of `input`, with every element `fill_value`."""
    return _like(input, fill_value, dtype)


@made_anew
@tensor_function
def empty(*size: int | Sequence[int], dtype: DTypeLike | None = None) -> Tensor:
    """A tensor of `size` whose values are not to be counted on; the default float type by default."""
    return zeros(*size, dtype=dtype)


@made_anew
@tensor_function
def empty_like(input: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """A tensor of the shape and, by default, the element type of `input`, whose values are not to be counted on."""
    return _like(input, 0, dtype)


@made_anew
@tensor_function
def scalar_tensor(s: Scalar, dtype: DTypeLike | None = None) -> Tensor:
    """A number as a tensor of rank 0, of the default float type by default."""
    return wrap(filled((), s, _dtype(dtype, default_float())))


@made_anew
@tensor_function
def arange(
    start: Scalar,
    end: Scalar | None = None,
    step: Scalar = 1,
    dtype: DTypeLike | None = None,
    *,
    stop: Scalar | None = None,
) -> Tensor:
    """Numbers from `start` (0 where only one is given) by `step` until before `end` (NumPy's `stop`).

    i64 where all are integers, else the default float type.  `ArgumentError` for a step of 0 or away from `end`.
    """
    until = end if stop is None else stop
    first, last = (0, start) if until is None else (start, until)
    if not all(map(math.isfinite, (first, last, step))):
        raise ArgumentError(f"arange: the range from {first} to {last} by {step} has no end", where=here())
    if step == 0:
        raise ArgumentError("arange: the step is 0", where=here())
    if (last - first) * step < 0:
        raise ArgumentError(f"arange: a step of {step} does not lead from {first} to {last}", where=here())
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


@made_anew
@tensor_function
def linspace(
    start: Scalar,
    end: Scalar | None = None,
    steps: int = 50,
    dtype: DTypeLike | None = None,
    *,
    stop: Scalar | None = None,
    num: int | None = None,
) -> Tensor:
    """`steps` evenly spaced numbers from `start` to `end`, both included; the default float type by default.

    NumPy's names `stop` and `num` do too.  Each half is counted from its own end, so that both ends are exact.
    """
    chosen = _dtype(dtype, default_float())
    return wrap(
        convert(_spaced("linspace", start, stop if end is None else end, steps if num is None else num, chosen), chosen)
    )


@made_anew
@tensor_function
def logspace(start: Scalar, end: Scalar, steps: int, base: float = 10.0, dtype: DTypeLike | None = None) -> Tensor:
    """`base` to the powers of `steps` evenly spaced numbers from `start` to `end`, both included."""
    chosen = _dtype(dtype, default_float())
    exponents = convert(_spaced("logspace", start, end, steps, chosen), dtypes.f64)
    return wrap(convert(ops.power(ops.full_like(exponents, base), exponents), chosen))


def _spaced(name: str, start: Scalar, stop: Scalar | None, steps: int, chosen: DType) -> Var:
    """`steps` numbers from `start` to `stop`, in a float type at least as wide as `chosen`."""
    size = size_argument(name, steps)
    if size < 0 or stop is None:
        raise ArgumentError(f"{name}: {size} steps from {start} to {stop}", where=here())
    working = _working(chosen)
    step = (stop - start) / max(1, size - 1)
    index = counted((size,), 0, working)
    spacing = filled((size,), step, working)
    from_start = ops.add(filled((size,), start, working), ops.multiply(index, spacing))
    to_go = ops.subtract(filled((size,), size - 1, working), index)
    from_stop = ops.subtract(filled((size,), stop, working), ops.multiply(to_go, spacing))
    in_first_half = ops.compare(index, filled((size,), max(1, size // 2), working), Direction.LT)
    return ops.select(in_first_half, from_start, from_stop)


@made_anew
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
