"""Convolutions and transposed convolutions over one or two spatial axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

from tenfold.functions.creation import zeros
from tenfold.nn import functional as F  # noqa: N812 - PyTorch's name
from tenfold.nn import init
from tenfold.nn.modules.module import Module
from tenfold.nn.modules.sizes import Size1, Size2, each
from tenfold.nn.parameter import Parameter
from tenfold.tensor import Tensor
from tenfold_rt.errors import ArgumentError, ShapeError

PaddingMode: TypeAlias = Literal["zeros", "reflect", "replicate", "circular"]


class _Convolution(Module):
    """Weights and settings of a convolution over `axes` spatial axes."""

    axes: int
    transposed = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int],
        padding: int | Sequence[int] | str,
        dilation: int | Sequence[int],
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        _require_divisible(in_channels, out_channels, groups)
        if padding_mode not in ("zeros", "reflect", "replicate", "circular"):
            modes = "{'zeros', 'reflect', 'replicate', 'circular'}"
            raise ArgumentError(f"padding_mode must be one of {modes}, but got padding_mode='{padding_mode}'")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size, self.stride = each(kernel_size, self.axes), each(stride, self.axes)
        self.dilation = each(dilation, self.axes)
        self.padding: Any = self._padding(padding)
        self.output_padding = (0,) * self.axes
        self.padding_mode = padding_mode
        first, second = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        shape = (first, second // groups, *self.kernel_size)
        self.weight = Parameter(zeros(shape, device=device, dtype=dtype))
        self.bias = Parameter(zeros(out_channels, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()

    def _padding(self, padding: int | Sequence[int] | str) -> str | tuple[int, ...]:
        if not isinstance(padding, str):
            return each(padding, self.axes)
        if padding not in ("same", "valid"):
            raise ArgumentError(f"Invalid padding string {padding!r}, should be one of 'valid', 'same'")
        if padding == "same" and any(stride != 1 for stride in self.stride):
            raise ArgumentError("padding='same' is not supported for strided convolutions")
        return padding

    def reset_parameters(self) -> None:
        """Draw new parameters, uniform within 1 / sqrt(fan_in) of 0."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        fan_in, _ = init.fans(self.weight)
        if self.bias is not None and fan_in:
            bound = 1 / math.sqrt(fan_in)
            init.uniform_(self.bias, -bound, bound)

    def _margins(self) -> list[int]:
        """The padding as `F.pad` takes it: from the last axis to the first, at the beginning and the end."""
        margins: list[int] = []
        for axis in reversed(range(self.axes)):
            if self.padding == "same":
                total = self.dilation[axis] * (self.kernel_size[axis] - 1)
                margins += [total // 2, total - total // 2]
            elif self.padding == "valid":
                margins += [0, 0]
            else:
                margins += [int(self.padding[axis])] * 2
        return margins

    def _padded(self, input: Tensor) -> tuple[Tensor, Any]:
        """The input, and the padding with zeros that is left to the convolution."""
        if self.padding_mode == "zeros":
            return input, self.padding
        return F.pad(input, self._margins(), mode=self.padding_mode), (0,) * self.axes

    def extra_repr(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        zero, one = (0,) * self.axes, (1,) * self.axes
        # A string stands for itself, as PyTorch prints it.
        settings = (
            ("padding", self.padding, zero),
            ("dilation", self.dilation, one),
            ("output_padding", self.output_padding, zero),
            ("groups", self.groups, 1),
        )
        parts += [f"{name}={value}" for name, value, default in settings if value != default]
        if self.bias is None:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        return ", ".join(parts)


def _require_divisible(in_channels: int, out_channels: int, groups: int) -> None:
    if groups <= 0:
        raise ArgumentError("groups must be a positive integer")
    for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
        if channels % groups:
            raise ShapeError(f"{name} must be divisible by groups")


class Conv1d(_Convolution):
    """A convolution (as networks mean it, a correlation) of (N, C, L) or (C, L); see `F.conv1d`."""

    axes = 1

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size1,
        stride: Size1 = 1,
        padding: Size1 | str = 0,
        dilation: Size1 = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: PaddingMode = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype
        )

    def forward(self, input: Tensor) -> Tensor:
        padded, padding = self._padded(input)
        return F.conv1d(padded, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv2d(_Convolution):
    """A convolution (as networks mean it, a correlation) of (N, C, H, W) or (C, H, W); see `F.conv2d`."""

    axes = 2

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size2,
        stride: Size2 = 1,
        padding: Size2 | str = 0,
        dilation: Size2 = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: PaddingMode = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype
        )

    def forward(self, input: Tensor) -> Tensor:
        padded, padding = self._padded(input)
        return F.conv2d(padded, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class _TransposedConvolution(_Convolution):
    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        output_padding: int | Sequence[int] = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | Sequence[int] = 1,
        padding_mode: PaddingMode = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ArgumentError(f'Only "zeros" padding mode is supported for {type(self).__name__}')
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype
        )
        self.output_padding = each(output_padding, self.axes)

    def _output_padding(self, input: Tensor, output_size: Sequence[int] | None) -> tuple[int, ...]:
        """What is added at the end of each axis, so that the result has `output_size` where that is given."""
        if output_size is None:
            return self.output_padding
        wanted = tuple(output_size)[-self.axes :]
        if len(output_size) not in (self.axes, self.axes + 2, input.ndim):
            raise ShapeError(f"output_size {tuple(output_size)} is no size of {self.axes} axes")
        margins: list[int] = []
        for axis, size in enumerate(wanted):
            padding = int(self.padding[axis])
            reach = self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
            least = (input.shape[axis - self.axes] - 1) * self.stride[axis] - 2 * padding + reach
            if not least <= size < least + self.stride[axis]:
                most = least + self.stride[axis] - 1
                raise ShapeError(f"output_size {wanted} is out of reach: axis {axis} can have from {least} to {most}")
            margins.append(size - least)
        return tuple(margins)


class ConvTranspose1d(_TransposedConvolution):
    """The gradient of `Conv1d` with respect to its input; `weight` is (in_channels, out_channels / groups, L)."""

    axes = 1

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        return F.conv_transpose1d(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self._output_padding(input, output_size),
            self.groups,
            self.dilation,
        )


class ConvTranspose2d(_TransposedConvolution):
    """The gradient of `Conv2d` with respect to its input; `weight` is (in_channels, out_channels / groups, H, W)."""

    axes = 2

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        return F.conv_transpose2d(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self._output_padding(input, output_size),
            self.groups,
            self.dilation,
        )
