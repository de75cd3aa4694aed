"""Convolution and pooling over images and sequences, with PyTorch's layout: (N, channels, spatial axes)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

from tenfold.eager import tensor_function
from tenfold.functions.axes import reshape_to, size_argument
from tenfold.promotion import as_dtype, promoted
from tenfold.tracing import TensorLike, here, lift, wrap
from tenfold_rt.errors import ArgumentError, ShapeError
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops import ConvDimensionNumbers
from tenfoldc.ops.reducer import Reducer, neutral_value

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

__all__ = [
    "avg_pool2d",
    "conv1d",
    "conv2d",
    "max_pool2d",
]

Sizes: TypeAlias = "int | Sequence[int]"
Padding: TypeAlias = "int | Sequence[int] | Literal['same', 'valid']"


def _per_axis(name: str, value: Sizes, axes: int) -> tuple[int, ...]:
    sizes = (value,) * axes if isinstance(value, int) else tuple(size_argument(name, size) for size in value)
    if len(sizes) == 1:
        sizes = sizes * axes
    if len(sizes) != axes:
        raise ArgumentError(f"{name}: {value} is not one number, nor one for each of {axes} axes", where=here())
    return sizes


@tensor_function
def conv1d(
    input: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """The cross-correlation of (N, C, L) with kernels of (outputs, C / groups, K); see `conv2d`."""
    return _convolution("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


@tensor_function
def conv2d(
    input: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """The cross-correlation of images (N, C, H, W), or (C, H, W), with kernels (outputs, C / groups, KH, KW).

    `padding` is a number of zeros at each edge, `"valid"` for none, or `"same"` for as many as keep the size (with
    stride 1).  `bias` has one number for each output.  `ShapeError` where channels or ranks do not fit.
    """
    return _convolution("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


def _convolution(
    name: str,
    axes: int,
    input: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None,
    stride: Sizes,
    padding: Padding,
    dilation: Sizes,
    groups: int,
) -> Tensor:
    x, kernel = promoted(input, weight)
    single = x.rank == axes + 1
    if single:
        x = reshape_to(x, (1, *x.sizes))
    if x.rank != axes + 2 or kernel.rank != axes + 2:
        raise ShapeError(f"{name}: input {x.type} and weight {kernel.type} must have {axes + 2} axes", where=here())
    if x.sizes[1] != kernel.sizes[1] * groups:
        raise ShapeError(
            f"{name}: input has {x.sizes[1]} channels (axis 1), but weight is for {kernel.sizes[1]} (axis 1) "
            f"in each of {groups} groups",
            where=here(),
        )
    strides, spread = _per_axis(name, stride, axes), _per_axis(name, dilation, axes)
    edges = _edges(name, padding, kernel.sizes[2:], strides, spread)
    spatial = tuple(range(2, axes + 2))
    result = ops.convolution(
        x,
        kernel,
        ConvDimensionNumbers(0, 1, spatial, 1, 0, spatial, 0, 1, spatial),
        window_strides=strides,
        padding=edges,
        rhs_dilation=spread,
        feature_group_count=groups,
    )
    if bias is not None:
        (offset,) = as_dtype((bias,), result.dtype)
        result = ops.add(result, ops.broadcast_in_dim(offset, result.sizes, (1,)))
    return wrap(reshape_to(result, result.sizes[1:]) if single else result)


def _edges(
    name: str, padding: Padding, window: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
) -> list[tuple[int, int]]:
    if padding == "valid":
        return [(0, 0)] * len(window)
    if padding == "same":
        if any(stride != 1 for stride in strides):
            raise ArgumentError(f"{name}: padding 'same' needs a stride of 1", where=here())
        totals = [(size - 1) * step for size, step in zip(window, dilation, strict=True)]
        return [(total // 2, total - total // 2) for total in totals]
    if isinstance(padding, str):
        raise ArgumentError(f"{name}: padding is {padding!r}", where=here(), mend="use 'same', 'valid' or numbers")
    return [(size, size) for size in _per_axis(name, padding, len(window))]


def _pooled(
    name: str,
    x: Var,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Sizes,
    dilation: Sizes,
    reduce: Callable[[Var, dict[str, Sequence[int]], list[tuple[int, int]]], Var],
) -> Tensor:
    """`reduce` over windows of the last two axes of (N, C, H, W) or (C, H, W)."""
    if x.rank not in (3, 4):
        raise ShapeError(f"{name}: input {x.type} is neither (N, C, H, W) nor (C, H, W)", where=here())
    outer = x.rank - 2
    window = _per_axis(name, kernel_size, 2)
    geometry: dict[str, Sequence[int]] = {
        "window_dimensions": (*[1] * outer, *window),
        "window_strides": (*[1] * outer, *(window if stride is None else _per_axis(name, stride, 2))),
        "window_dilations": (*[1] * outer, *_per_axis(name, dilation, 2)),
    }
    pads = _per_axis(name, padding, 2)
    if any(2 * pad > size for pad, size in zip(pads, window, strict=True)):
        raise ArgumentError(f"{name}: padding {pads} is more than half of the window {window}", where=here())
    return wrap(reduce(x, geometry, [(0, 0)] * outer + [(pad, pad) for pad in pads]))


def _window_sum(x: Var, geometry: dict[str, Sequence[int]], edges: list[tuple[int, int]]) -> Var:
    def body(total: Var, element: Var) -> tuple[Var]:
        return (ops.add(total, element),)

    zero = ops.constant(x.builder, 0, x.dtype)
    (result,) = ops.reduce_window([x], [zero], body, **geometry, padding=edges)
    return result


@tensor_function
def max_pool2d(
    input: TensorLike,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
) -> Tensor:
    """The largest element of each window of (N, C, H, W) or (C, H, W); the stride is the window's size by default."""

    def body(largest: Var, element: Var) -> tuple[Var]:
        return (ops.maximum(largest, element),)

    def reduce(x: Var, geometry: dict[str, Sequence[int]], edges: list[tuple[int, int]]) -> Var:
        least = ops.constant(x.builder, neutral_value(Reducer.MAX, x.dtype), x.dtype)
        (result,) = ops.reduce_window([x], [least], body, **geometry, padding=edges)
        return result

    return _pooled("max_pool2d", lift(input), kernel_size, stride, padding, dilation, reduce)


@tensor_function
def avg_pool2d(
    input: TensorLike,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window of (N, C, H, W) or (C, H, W); padding counts as zeros unless told otherwise."""

    def reduce(x: Var, geometry: dict[str, Sequence[int]], edges: list[tuple[int, int]]) -> Var:
        total = _window_sum(x, geometry, edges)
        if count_include_pad:
            window = geometry["window_dimensions"]
            return ops.divide(total, ops.full_like(total, float(window[-1] * window[-2])))
        return ops.divide(total, _window_sum(ops.ones_like(x), geometry, edges))

    return _pooled("avg_pool2d", lift(input), kernel_size, stride, padding, 1, reduce)
