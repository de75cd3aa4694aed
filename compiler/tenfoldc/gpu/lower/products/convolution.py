"""Convolutions as products of matrices: windows of the input times the kernel, the windows never written to memory.

Where the input is spread, each phase of the outputs, which meet the same taps, is a product of its own
(`tenfoldc.lower.convolutions.axes`), so that no zeros between the input's elements are multiplied.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tenfoldc.ir.core import Operation
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Expr, Statement
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.convolutions.axes import SpatialAxis, phases, plain_axis
from tenfoldc.lower.convolutions.windows import Windows
from tenfoldc.lower.products.product import Operand, Product, delinearise


def convolution_products(operation: Operation, ctx: LoweringContext) -> list[Product]:
    """Products whose elements are all those of the result.

    Rows are windows of all images, columns the output features of a group, positions the taps; the batch runs over
    groups.
    """
    windows = Windows(operation, ctx)
    if 0 in (*windows.input_shape, *windows.kernel_shape):
        return [_product(windows, _without_taps(windows))]
    parts = phases(windows.attributes, windows.input_sizes, windows.window_sizes, windows.output_sizes)
    return [_product(windows, axes) for axes in parts]


def _without_taps(windows: Windows) -> tuple[SpatialAxis, ...]:
    """All outputs, none of which meets any tap."""
    return tuple(plain_axis(1, outputs, taps=0) for outputs in windows.output_sizes)


def _product(windows: Windows, axes: Sequence[SpatialAxis]) -> Product:
    """The outputs along `axes`."""
    row_sizes = [windows.batch, *(axis.outputs for axis in axes)]
    tap_sizes = [axis.taps for axis in axes]

    def read_input(group: Expr, row: Expr, position: Expr, channel: Expr) -> Expr:
        image, *outputs = delinearise(row, row_sizes)
        places: list[Expr] = []
        conditions: list[Expr] = []
        for axis, output, tap in zip(axes, outputs, delinearise(position, tap_sizes), strict=True):
            place, tests = _place(axis, output, tap)
            places.append(place)
            conditions += tests
        element = scalar.convert(windows.read_input(image, group, places, channel), windows.result_type.dtype)
        if not conditions:
            return element
        inside = conditions[0]
        for condition in conditions[1:]:
            inside = scalar.logical_and(inside, condition)
        return scalar.select(inside, element, scalar.constant(0, element.dtype))

    def read_kernel(group: Expr, column: Expr, position: Expr, channel: Expr) -> Expr:
        taps = [axis.tap(tap) for axis, tap in zip(axes, delinearise(position, tap_sizes), strict=True)]
        return windows.kernel_at(windows.feature(group, column), taps, channel)

    def write(group: Expr, row: Expr, column: Expr, value: Expr) -> Sequence[Statement]:
        image, *outputs = delinearise(row, row_sizes)
        places = [axis.output(output) for axis, output in zip(axes, outputs, strict=True)]
        return windows.write(image, windows.feature(group, column), places, value)

    return Product(
        batch=windows.groups,
        rows=math.prod(row_sizes),
        columns=windows.group_features,
        positions=math.prod(tap_sizes),
        channels=windows.group_channels,
        dtype=windows.result_type.dtype,
        lhs=Operand(read_input, lines_adjoin=False),
        rhs=Operand(read_kernel, lines_adjoin=False),
        write=write,
        place=None,
    )


def _place(axis: SpatialAxis, output: Expr, tap: Expr) -> tuple[Expr, list[Expr]]:
    """The input's place under a tap, clamped into the input, and the conditions that it needed no clamping."""
    at_output = scalar.mul(output, scalar.index(axis.stride))
    place = scalar.add(at_output, scalar.mul(tap, scalar.index(axis.dilation)))
    place = scalar.sub(place, scalar.index(axis.low)) if axis.low >= 0 else scalar.add(place, scalar.index(-axis.low))
    furthest = (axis.outputs - 1) * axis.stride + (axis.taps - 1) * axis.dilation - axis.low
    conditions: list[Expr] = []
    zero, last = scalar.index(0), scalar.index(axis.size - 1)
    if axis.low > 0:
        conditions.append(scalar.greater_equal(place, zero))
    if furthest >= axis.size:
        conditions.append(scalar.less_equal(place, last))
    if axis.low > 0:
        place = scalar.maximum(place, zero)
    if furthest >= axis.size:
        place = scalar.minimum(place, last)
    return place, conditions
