"""A convolution's spatial axes without gaps in the input: which place of the input an output takes under each tap.

An input that is spread (`lhs_dilation`, as in the gradient of a strided convolution) meets most taps with zeros.
Outputs whose places have one remainder by the spread meet the same taps, so that each such phase of the outputs is a
convolution of its own over the input as it lies, with some of the taps, and no zero is multiplied.
"""

from __future__ import annotations

import itertools
import math

from tenfold_rt.frozen import frozen
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Expr
from tenfoldc.ops.convolution import ConvolutionAttributes


@frozen
class SpatialAxis:
    """Output o takes the input's place o * stride + k * dilation - low under tap k, 0 where that lies outside.

    The output is number `first_output` + o * `output_step` of the result, the tap number `first_tap` +
    k * `tap_step` of the kernel.
    """

    size: int
    outputs: int
    taps: int
    stride: int
    dilation: int
    low: int
    first_output: int
    output_step: int
    first_tap: int
    tap_step: int

    @property
    def parts(self) -> int:
        """How many remainders by the stride the places have: strided rows lie apart, each without gaps."""
        return 1 if self.taps <= 1 else self.stride // math.gcd(self.stride, self.dilation)

    @property
    def length(self) -> int:
        """How many places of each remainder there are."""
        return self.outputs + max(0, self.taps - 1) * self.dilation // self.stride

    def part(self, tap: Expr) -> Expr:
        """The number of the remainder that the places under a tap have."""
        if self.parts == 1:
            return scalar.index(0)
        return scalar.rem(self._in_parts(tap), scalar.index(self.parts))

    def advance(self, tap: Expr) -> Expr:
        """How many places of one remainder lie between an output's first place and that under a tap."""
        if self.taps <= 1:
            return scalar.index(0)
        steps = self._in_parts(tap)
        return steps if self.parts == 1 else scalar.div(steps, scalar.index(self.parts))

    def _in_parts(self, tap: Expr) -> Expr:
        return scalar.mul(tap, scalar.index(self.dilation // math.gcd(self.stride, self.dilation)))

    def offset(self, part: int) -> int:
        """The input's place that number 0 of a remainder is, outside where it is negative."""
        return part * math.gcd(self.stride, self.dilation) - self.low

    def inside(self, part: int) -> tuple[int, int]:
        """The first number of a remainder that lies inside the input, and the first after those."""
        first, end = (-((self.offset(part) - edge) // self.stride) for edge in (0, self.size))
        first = min(max(first, 0), self.length)
        return first, min(max(end, first), self.length)

    def output(self, number: Expr) -> Expr:
        """The result's index of an output."""
        return scalar.add(scalar.mul(number, scalar.index(self.output_step)), scalar.index(self.first_output))

    def tap(self, number: Expr) -> Expr:
        """The kernel's index of a tap."""
        place = scalar.mul(number, scalar.index(abs(self.tap_step)))
        first = scalar.index(self.first_tap)
        return scalar.add(place, first) if self.tap_step > 0 else scalar.sub(first, place)


def images_axis(images: int) -> SpatialAxis:
    """The images of a batch as an axis along which the window does not reach."""
    return plain_axis(images, images, taps=1)


def plain_axis(size: int, outputs: int, *, taps: int) -> SpatialAxis:
    """An axis of the input's `size` without strides, dilation or padding, all of whose outputs and taps count."""
    return SpatialAxis(
        size=size,
        outputs=outputs,
        taps=taps,
        stride=1,
        dilation=1,
        low=0,
        first_output=0,
        output_step=1,
        first_tap=0,
        tap_step=1,
    )


def phases(
    attributes: ConvolutionAttributes, input_sizes: list[int], window_sizes: list[int], output_sizes: list[int]
) -> list[tuple[SpatialAxis, ...]]:
    """The spatial axes of the convolutions that together are this one; their outputs differ and are all outputs."""
    along = [
        _phases(
            input_sizes[axis],
            window_sizes[axis],
            output_sizes[axis],
            stride=attributes.window_strides[axis],
            dilation=attributes.rhs_dilation[axis],
            low=attributes.padding[axis][0],
            spread=attributes.lhs_dilation[axis],
            reverse=attributes.window_reversal[axis],
        )
        for axis in range(len(input_sizes))
    ]
    return list(itertools.product(*along))


def _phases(
    size: int, window: int, outputs: int, *, stride: int, dilation: int, low: int, spread: int, reverse: bool
) -> list[SpatialAxis]:
    period = spread // math.gcd(stride, spread)
    step = spread // math.gcd(dilation, spread)
    found: list[SpatialAxis] = []
    for phase in range(min(period, outputs)):
        taps = [tap for tap in range(window) if (phase * stride + tap * dilation - low) % spread == 0]
        first = taps[0] if taps else 0
        axis = SpatialAxis(
            size=size,
            outputs=len(range(phase, outputs, period)),
            taps=len(taps),
            stride=stride * period // spread,
            dilation=max(1, step * dilation // spread),
            low=(low - phase * stride - first * dilation) // spread,
            first_output=phase,
            output_step=period,
            first_tap=window - 1 - first if reverse else first,
            tap_step=-step if reverse else step,
        )
        found.append(axis)
    return found
