"""Pads around the last one or two axes: with a constant, or with what is near."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from tenfold.nn import functional as F  # noqa: N812 - PyTorch's name
from tenfold.nn.modules.module import Module
from tenfold.nn.modules.sizes import each
from tenfold.tensor import Tensor


class _Pad(Module):
    """A margin before and after each of the last `axes` axes, the last axis first."""

    axes: ClassVar[int]
    mode: ClassVar[Literal["constant", "reflect", "replicate", "circular"]] = "constant"

    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__()
        self.padding = each(padding, 2 * self.axes)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    def __init__(self, padding: int | Sequence[int], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """`value` around the last axis."""

    axes = 1


class ConstantPad2d(_ConstantPad):
    """`value` around the last two axes."""

    axes = 2


class ZeroPad1d(_Pad):
    """Zeros around the last axis."""

    axes = 1


class ZeroPad2d(_Pad):
    """Zeros around the last two axes."""

    axes = 2


class ReflectionPad1d(_Pad):
    """The last axis mirrored at its ends, which are not doubled."""

    axes, mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """The last two axes mirrored at their ends, which are not doubled."""

    axes, mode = 2, "reflect"


class ReplicationPad1d(_Pad):
    """The ends of the last axis continued."""

    axes, mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """The edges of the last two axes continued."""

    axes, mode = 2, "replicate"


class CircularPad1d(_Pad):
    """The last axis continued from its other end."""

    axes, mode = 1, "circular"


class CircularPad2d(_Pad):
    """The last two axes continued from their other ends."""

    axes, mode = 2, "circular"
