"""Lowering of convolutions to loops: a product of matrices (implicit GEMM) whose one factor is the input's windows.

The windows are never written to memory: packing reads the input where a panel of them is needed.  Windows of 3 by 3,
and outputs of 3 by 3 under many taps, take fewer multiplications by minimal filtering.  Few outputs of many taps each,
as in gradients for kernels of few channels, are dot products of rows instead; depthwise and other thinly grouped
convolutions are plain loops, as are integers' where features do not come last.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tenfoldc.ir.core import Operation
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Buffer, Expr, Statement
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.convolutions.axes import SpatialAxis, phases
from tenfoldc.lower.convolutions.dot_products import dot_products, lower_dot_products
from tenfoldc.lower.convolutions.grouped import lower_feature_rows, lower_spatial_rows
from tenfoldc.lower.convolutions.implicit_gemm import lower_implicit_gemm
from tenfoldc.lower.convolutions.windows import Windows
from tenfoldc.lower.convolutions.winograd import lower_winograd, saves_multiplications
from tenfoldc.lower.convolutions.winograd_sums import lower_winograd_sums, sums_few_products
from tenfoldc.lower.loop_nest import nest
from tenfoldc.lower.products.contraction import lower_product
from tenfoldc.lower.products.product import Operand, Place, Product, delinearise
from tenfoldc.target import Target
from tenfoldc.tuning import Decisions

_FEWEST_FEATURES = 4
"""Output features of one of several groups below which a product of matrices is too thin to be worth packing for."""


def lower_convolution(
    operation: Operation, ctx: LoweringContext, target: Target, decisions: Decisions
) -> Sequence[Statement]:
    """The loops of a `convolution`."""
    if 0 in operation.results[0].type.sizes:
        return []
    windows = Windows(operation, ctx)
    is_float, is_thin = windows.result_type.dtype.is_float, windows.group_features < _FEWEST_FEATURES
    if windows.features_last or not windows.output_sizes:
        if windows.groups > 1 and is_thin:
            return lower_feature_rows(ctx, windows)
        return lower_product(ctx, _features_as_columns(windows), target, decisions)
    parts = phases(windows.attributes, windows.input_sizes, windows.window_sizes, windows.output_sizes)
    statements: list[Statement] = []
    for axes in parts:
        if 0 in (*(axis.taps for axis in axes), *windows.kernel_shape, *windows.input_shape):
            statements += _zeros(ctx, windows, axes)
        elif is_float and len(parts) == 1 and (dots := dot_products(windows, axes, target)) is not None:
            statements += lower_dot_products(ctx, windows, axes, dots)
        elif is_float and not (windows.groups > 1 and is_thin):
            if sums_few_products(windows, axes):
                statements += lower_winograd_sums(ctx, windows, axes, target, decisions)
                continue
            if saves_multiplications(windows, axes):
                statements += lower_winograd(ctx, windows, axes, target, decisions)
                continue
            statements += lower_implicit_gemm(ctx, windows, axes, target, decisions, is_whole=len(parts) == 1)
        else:
            statements += lower_spatial_rows(ctx, windows, axes)
    return statements


def _zeros(ctx: LoweringContext, windows: Windows, axes: Sequence[SpatialAxis]) -> list[Statement]:
    """The outputs along `axes` where each is a sum of nothing."""

    def write(index: Sequence[Expr]) -> Sequence[Statement]:
        image, feature, *outputs = index
        places = [axis.output(number) for axis, number in zip(axes, outputs, strict=True)]
        return windows.write(image, feature, places, scalar.constant(0, windows.result_type.dtype))

    features = windows.groups * windows.group_features
    return list(nest(ctx, [windows.batch, features, *(axis.outputs for axis in axes)], write, private=()))


def _features_as_columns(windows: Windows) -> Product:
    """Rows are windows of all images, columns the output features of a group; the batch runs over groups."""
    numbers, groups = windows.numbers, windows.groups
    row_sizes = [windows.batch, *windows.output_sizes]
    rows = math.prod(row_sizes)

    def read_input(group: Expr, row: Expr, position: Expr, channel: Expr) -> Expr:
        image, *outputs = delinearise(row, row_sizes)
        return windows.input(image, group, outputs, delinearise(position, windows.window_sizes), channel)

    def read_kernel(group: Expr, column: Expr, position: Expr, channel: Expr) -> Expr:
        window = delinearise(position, windows.window_sizes)
        return windows.kernel(windows.feature(group, column), window, channel)

    def write(group: Expr, row: Expr, column: Expr, value: Expr) -> Sequence[Statement]:
        image, *outputs = delinearise(row, row_sizes)
        return windows.write(image, windows.feature(group, column), outputs, value)

    place, inputs, kernel = None, None, None
    if windows.result_is(numbers.output_batch_dimension, *numbers.output_spatial_dimensions):
        shape = (rows, groups * windows.group_features)
        matrix = Buffer("windows", windows.result_type.dtype, shape, base=windows.ctx.result())
        place = Place(matrix, lambda group: scalar.index(0), lambda group: windows.feature(group, scalar.index(0)))
    if windows.is_pointwise and groups == 1:
        batch, channels, *spatial = numbers.input
        inputs = windows.matrix(0, (batch, *spatial, channels), windows.group_channels)
        features, channels, *spatial = numbers.kernel
        kernel = windows.matrix(1, (*spatial, channels, features), windows.group_features)
    return Product(
        batch=groups,
        rows=rows,
        columns=windows.group_features,
        positions=windows.positions,
        channels=windows.group_channels,
        dtype=windows.result_type.dtype,
        lhs=Operand(read_input, lines_adjoin=False, matrix=inputs),
        rhs=Operand(read_kernel, windows.kernel_lines_adjoin(), kernel, packs_ahead=windows.kernel_pays_ahead()),
        write=write,
        place=place,
        is_highest="HIGHEST" in windows.attributes.precision_config,
    )
