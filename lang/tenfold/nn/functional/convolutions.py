"""Convolutions over sequences, images and volumes, with PyTorch's layout: (N, channels, spatial axes)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

from tenfold.eager import tensor_function
from tenfold.functions.axes import reshape_to
from tenfold.functions.creation import filled
from tenfold.functions.shapes import permuted
from tenfold.nn.functional.arguments import Sizes, batched, per_axis, positive
from tenfold.promotion import as_dtype, promoted
from tenfold.tracing import TensorLike, here, lift, wrap
from tenfold_rt.errors import ArgumentError, ShapeError
from tenfold_rt.frozen import frozen
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops import ConvDimensionNumbers

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

Padding: TypeAlias = "int | Sequence[int] | Literal['same', 'valid']"


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
    """The cross-correlation of (N, C, L), or (C, L), with kernels of (outputs, C / groups, K); see `conv2d`."""
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


@tensor_function
def conv3d(
    input: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """The cross-correlation of volumes (N, C, D, H, W), or (C, D, H, W); see `conv2d`."""
    return _convolution("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


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
    given, kernel = promoted(input, weight)
    x, single = batched(name, given, axes)
    _check_kernel(name, kernel, axes, groups)
    if x.sizes[1] != kernel.sizes[1] * groups:
        raise ShapeError(
            f"{name}: input has {x.sizes[1]} channels (axis 1), but weight is for {kernel.sizes[1]} (axis 1) "
            f"in each of {groups} groups",
            where=here(),
        )
    if kernel.sizes[0] % groups:
        raise ShapeError(f"{name}: {groups} groups do not divide the {kernel.sizes[0]} outputs", where=here())
    strides = positive(name, "stride", per_axis(name, stride, axes))
    spread = positive(name, "dilation", per_axis(name, dilation, axes))
    edges = _edges(name, padding, kernel.sizes[2:], strides, spread)
    for size, window, step, (low, high) in zip(x.sizes[2:], kernel.sizes[2:], spread, edges, strict=True):
        if size + low + high < (window - 1) * step + 1:
            raise ShapeError(
                f"{name}: the padded input, {size + low + high}, is smaller than the kernel, {(window - 1) * step + 1}",
                where=here(),
            )
    result = ops.convolution(
        x,
        kernel,
        _numbers(axes),
        window_strides=strides,
        padding=edges,
        rhs_dilation=spread,
        feature_group_count=groups,
    )
    return _finished(name, result, bias, single)


def _numbers(axes: int) -> ConvDimensionNumbers:
    """PyTorch's layouts: channels second, the kernel's outputs first."""
    spatial = tuple(range(2, axes + 2))
    return ConvDimensionNumbers(0, 1, spatial, 1, 0, spatial, 0, 1, spatial)


def _check_kernel(name: str, kernel: Var, axes: int, groups: int) -> None:
    if kernel.rank != axes + 2:
        raise ShapeError(f"{name}: weight {kernel.type} must have {axes + 2} axes", where=here())
    if groups < 1:
        raise ArgumentError(f"{name}: groups is {groups}, not positive", where=here())


def _finished(name: str, result: Var, bias: TensorLike | None, single: bool) -> Tensor:
    """`result` with a bias for each channel, without its batch where there was none."""
    if bias is not None:
        (offset,) = as_dtype((bias,), result.dtype)
        if offset.sizes != (result.sizes[1],):
            raise ShapeError(f"{name}: bias {offset.type} is not of shape ({result.sizes[1]},)", where=here())
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
    return [(size, size) for size in _not_negative(name, "padding", per_axis(name, padding, len(window)))]


def _not_negative(name: str, what: str, sizes: tuple[int, ...]) -> tuple[int, ...]:
    if any(size < 0 for size in sizes):
        raise ArgumentError(f"{name}: {what} {sizes} must not be negative", where=here())
    return sizes


@tensor_function
def conv_transpose1d(
    input: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Tensor:
    """The transpose of `conv1d`; see `conv_transpose2d`."""
    return _transposed("conv_transpose1d", 1, input, weight, bias, (stride, padding, output_padding, dilation), groups)


@tensor_function
def conv_transpose2d(
    input: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Tensor:
    """The transpose of `conv2d` with these arguments, as a linear map; kernels are (C, outputs / groups, KH, KW).

    The result's size along an axis is (size - 1) stride - 2 padding + dilation (K - 1) + output_padding + 1.
    `ArgumentError` where `output_padding` is neither less than the stride nor less than the dilation.
    """
    return _transposed("conv_transpose2d", 2, input, weight, bias, (stride, padding, output_padding, dilation), groups)


@tensor_function
def conv_transpose3d(
    input: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Tensor:
    """The transpose of `conv3d`; see `conv_transpose2d`."""
    return _transposed("conv_transpose3d", 3, input, weight, bias, (stride, padding, output_padding, dilation), groups)


def _transposed(
    name: str,
    axes: int,
    input: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None,
    geometry: tuple[Sizes, Sizes, Sizes, Sizes],
    groups: int,
) -> Tensor:
    given, kernel = promoted(input, weight)
    x, single = batched(name, given, axes)
    _check_kernel(name, kernel, axes, groups)
    if x.sizes[1] != kernel.sizes[0] or x.sizes[1] % groups:
        raise ShapeError(
            f"{name}: input has {x.sizes[1]} channels (axis 1) in {groups} groups, but weight is for "
            f"{kernel.sizes[0]} (axis 0)",
            where=here(),
        )
    strides, pads, extra, spread = (per_axis(name, value, axes) for value in geometry)
    positive(name, "stride", strides)
    positive(name, "dilation", spread)
    if any(not 0 <= more < max(step, gap) for more, step, gap in zip(extra, strides, spread, strict=True)):
        raise ArgumentError(
            f"{name}: output_padding {extra} must be less than the stride {strides} or the dilation {spread}",
            where=here(),
        )
    reach = [gap * (size - 1) for gap, size in zip(spread, kernel.sizes[2:], strict=True)]
    edges = [(far - pad, far - pad + more) for far, pad, more in zip(reach, pads, extra, strict=True)]
    result = ops.convolution(
        x,
        _kernel_of_transpose(kernel, groups),
        _numbers(axes),
        padding=edges,
        lhs_dilation=strides,
        rhs_dilation=spread,
        window_reversal=(True,) * axes,
        feature_group_count=groups,
    )
    return _finished(name, result, bias, single)


def _kernel_of_transpose(kernel: Var, groups: int) -> Var:
    """(C, outputs / groups, ...) as (outputs, C / groups, ...)."""
    inputs, outputs, *window = kernel.sizes
    axes = range(3, 3 + len(window))
    grouped = reshape_to(kernel, (groups, inputs // groups, outputs, *window))
    return reshape_to(permuted(grouped, (0, 2, 1, *axes)), (groups * outputs, inputs // groups, *window))


@frozen
class _Patches:
    """Where the windows of `unfold` and `fold` lie on an image."""

    size: tuple[int, ...]
    window: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[int, ...]
    stride: tuple[int, ...]

    @staticmethod
    def of(
        name: str, size: tuple[int, ...], kernel_size: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes
    ) -> _Patches:
        patches = _Patches(
            size,
            positive(name, "kernel_size", per_axis(name, kernel_size, 2)),
            positive(name, "dilation", per_axis(name, dilation, 2)),
            _not_negative(name, "padding", per_axis(name, padding, 2)),
            positive(name, "stride", per_axis(name, stride, 2)),
        )
        if any(count < 1 for count in patches.counts):
            raise ShapeError(
                f"{name}: windows {patches.window} do not fit into {size} padded by {patches.padding}", where=here()
            )
        return patches

    @property
    def counts(self) -> tuple[int, ...]:
        """How many windows there are along each axis."""
        each = zip(self.size, self.window, self.dilation, self.padding, self.stride, strict=True)
        return tuple((n + 2 * pad - gap * (k - 1) - 1) // step + 1 for n, k, gap, pad, step in each)

    def offsets(self) -> list[tuple[int, ...]]:
        """The place of each element of a window, from the window's first, in row-major order."""
        steps = (range(0, k * gap, gap) for k, gap in zip(self.window, self.dilation, strict=True))
        return list(itertools.product(*steps))

    def ends(self, offset: tuple[int, ...]) -> list[int]:
        """One past the last position that an element meets, in the padded image."""
        each = zip(offset, self.counts, self.stride, strict=True)
        return [first + (count - 1) * step + 1 for first, count, step in each]


@tensor_function
def unfold(input: TensorLike, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1) -> Tensor:
    """The windows of images (N, C, H, W), or (C, H, W), as columns: (N, C KH KW, number of windows)."""
    x, single = batched("unfold", lift(input), 2)
    patches = _Patches.of("unfold", x.sizes[2:], kernel_size, dilation, padding, stride)
    edges = [0, 0, *patches.padding]
    padded = ops.pad(x, filled((), 0, x.dtype), edges, edges) if any(edges) else x
    batch, channels, count = *x.sizes[:2], math.prod(patches.counts)
    parts = [
        ops.slice_(padded, (0, 0, *offset), (batch, channels, *patches.ends(offset)), (1, 1, *patches.stride))
        for offset in patches.offsets()
    ]
    stacked = ops.concatenate([reshape_to(part, (batch, channels, 1, count)) for part in parts], 2)
    columns = (channels * len(parts), count)
    return wrap(reshape_to(stacked, columns if single else (batch, *columns)))


@tensor_function
def fold(
    input: TensorLike,
    output_size: Sizes,
    kernel_size: Sizes,
    dilation: Sizes = 1,
    padding: Sizes = 0,
    stride: Sizes = 1,
) -> Tensor:
    """Columns, as `unfold` gives them, added up where their windows lie in images of `output_size`."""
    x = lift(input)
    patches = _Patches.of("fold", per_axis("fold", output_size, 2), kernel_size, dilation, padding, stride)
    offsets, count = patches.offsets(), math.prod(patches.counts)
    if x.rank not in (2, 3) or x.sizes[-1] != count or x.sizes[-2] % len(offsets):
        raise ShapeError(
            f"fold: input {x.type} is not (N, C x {len(offsets)}, {count}), as these windows need", where=here()
        )
    batch, channels = (x.sizes[0] if x.rank == 3 else 1), x.sizes[-2] // len(offsets)
    columns = reshape_to(x, (batch, channels, len(offsets), *patches.counts))
    padded = [n + 2 * pad for n, pad in zip(patches.size, patches.padding, strict=True)]
    total: Var | None = None
    for number, offset in enumerate(offsets):
        start, stop = (0, 0, number, 0, 0), (batch, channels, number + 1, *patches.counts)
        part = reshape_to(ops.slice_(columns, start, stop), (batch, channels, *patches.counts))
        after = [size - end for size, end in zip(padded, patches.ends(offset), strict=True)]
        gaps = [0, 0, *(step - 1 for step in patches.stride)]
        spread = ops.pad(part, filled((), 0, x.dtype), (0, 0, *offset), (0, 0, *after), gaps)
        total = spread if total is None else ops.add(total, spread)
    assert total is not None
    low = (0, 0, *patches.padding)
    high = (batch, channels, *(n + pad for n, pad in zip(patches.size, patches.padding, strict=True)))
    image = ops.slice_(total, low, high) if any(low) else total
    return wrap(reshape_to(image, image.sizes[1:]) if x.rank == 2 else image)
