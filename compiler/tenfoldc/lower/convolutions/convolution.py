"""Lowering of convolutions to loops: a product of matrices (implicit GEMM) whose one factor is the input's windows.

The windows are never written to memory: packing reads the input where a panel of them is needed.  Depthwise and
other thinly grouped convolutions are plain loops instead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tenfoldc.ir.core import Operation
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Buffer, Expr, Statement
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.convolutions.grouped import lower_grouped
from tenfoldc.lower.convolutions.windows import Windows
from tenfoldc.lower.products.contraction import lower_product
from tenfoldc.lower.products.product import Operand, Place, Product, delinearise
from tenfoldc.target import Target

_FEWEST_FEATURES = 4
"""Output features per group below which a product of matrices is too thin to be worth packing for."""


def lower_convolution(operation: Operation, ctx: LoweringContext, target: Target) -> Sequence[Statement]:
    """The loops of a `convolution`."""
    if 0 in operation.results[0].type.sizes:
        return []
    windows = Windows(operation, ctx)
    may_be_plain = windows.groups > 1 or not windows.features_last
    if may_be_plain and windows.group_features < _FEWEST_FEATURES:
        return lower_grouped(ctx, windows)
    product = _features_as_columns(windows) if windows.features_last else _features_as_rows(windows)
    return lower_product(ctx, product, target)


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
        rhs=Operand(read_kernel, windows.kernel_lines_adjoin(), matrix=kernel),
        write=write,
        place=place,
    )


def _features_as_rows(windows: Windows) -> Product:
    """Rows are the output features of a group, columns the windows of an image; the batch is (image, group)."""
    numbers, groups = windows.numbers, windows.groups
    batch_sizes = [windows.batch, groups]

    def read_kernel(batch: Expr, row: Expr, position: Expr, channel: Expr) -> Expr:
        _, group = delinearise(batch, batch_sizes)
        return windows.kernel(windows.feature(group, row), delinearise(position, windows.window_sizes), channel)

    def read_input(batch: Expr, column: Expr, position: Expr, channel: Expr) -> Expr:
        image, group = delinearise(batch, batch_sizes)
        outputs = delinearise(column, windows.output_sizes)
        return windows.input(image, group, outputs, delinearise(position, windows.window_sizes), channel)

    def write(batch: Expr, row: Expr, column: Expr, value: Expr) -> Sequence[Statement]:
        image, group = delinearise(batch, batch_sizes)
        return windows.write(image, windows.feature(group, row), delinearise(column, windows.output_sizes), value)

    columns = math.prod(windows.output_sizes)
    place, inputs, kernel = None, None, None
    features_first = (numbers.output_batch_dimension, numbers.output_feature_dimension)
    if windows.result_is(*features_first, *numbers.output_spatial_dimensions):
        height = windows.batch * groups * windows.group_features
        matrix = Buffer("windows", windows.result_type.dtype, (height, columns), base=windows.ctx.result())
        place = Place(matrix, lambda b: windows.feature(b, scalar.index(0)), lambda b: scalar.index(0))
    if windows.is_pointwise and groups == 1:
        inputs = windows.matrix(0, numbers.input, columns)
        kernel = windows.matrix(1, numbers.kernel, windows.group_channels)
    return Product(
        batch=windows.batch * groups,
        rows=windows.group_features,
        columns=columns,
        positions=windows.positions,
        channels=windows.group_channels,
        dtype=windows.result_type.dtype,
        lhs=Operand(read_kernel, windows.kernel_lines_adjoin(), matrix=kernel, is_shared=groups == 1),
        rhs=Operand(read_input, lines_adjoin=windows.is_pointwise, matrix=inputs),
        write=write,
        place=place,
    )
