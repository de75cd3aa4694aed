"""The rules for contractions: which way a product of matrices goes on a GPU."""

from __future__ import annotations

from collections.abc import Sequence

from tenfoldc.gpu.lower.products.convolution import convolution_products
from tenfoldc.gpu.lower.products.factors import is_nearer
from tenfoldc.gpu.lower.products.plain import lower_plain
from tenfoldc.gpu.lower.products.thin import MOST_VECTORS, lower_thin
from tenfoldc.gpu.lower.products.tiled import lower_tiled, multiplier_of
from tenfoldc.ir.core import Operation
from tenfoldc.loops.ir import Local, Statement, Store
from tenfoldc.loops.tiles import Multiplier
from tenfoldc.loops.traversal import walk_statements
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.products.contraction import dot_product
from tenfoldc.lower.products.product import Product, transposed
from tenfoldc.ops.contraction import DotGeneralAttributes
from tenfoldc.ops.convolution import ConvolutionAttributes
from tenfoldc.target import Target

_SMALLEST_SHARED = 1 << 12
"""Multiplications below which one thread for each element is as fast."""

_SMALLEST_DEPTH = 64
"""Products that make up a sum from which several threads share one."""


def lower_dot_general(operation: Operation, ctx: LoweringContext, target: Target) -> Sequence[Statement]:
    """The launches of a `dot_general`."""
    return _lower_product(ctx, dot_product(operation, ctx), _single(operation), target)


def lower_convolution(operation: Operation, ctx: LoweringContext, target: Target) -> Sequence[Statement]:
    """The launches of a `convolution`."""
    if 0 in operation.results[0].type.sizes:
        return []
    return [
        statement
        for product in convolution_products(operation, ctx)
        for statement in _lower_product(ctx, product, _single(operation), target)
    ]


def _single(operation: Operation) -> Multiplier:
    """What multiplies factors of f32: the least exact that both are allowed."""
    attributes = operation.attributes
    assert isinstance(attributes, DotGeneralAttributes | ConvolutionAttributes)
    words = {*attributes.precision_config}
    if words == {"BF16"}:
        return Multiplier.BF16
    return Multiplier.TF32 if words and words <= {"BF16", "TF32"} else Multiplier.FMA


def _lower_product(ctx: LoweringContext, product: Product, single: Multiplier, target: Target) -> Sequence[Statement]:
    if 0 in (product.batch, product.rows, product.columns):
        return []
    if _rows_adjoin(ctx, product):
        product = transposed(product)
    if product.rows * product.columns * product.depth < _SMALLEST_SHARED:
        return lower_plain(ctx, product)
    if product.rows <= MOST_VECTORS < product.columns:
        product = transposed(product)
    if product.columns <= MOST_VECTORS and product.depth >= _SMALLEST_DEPTH:
        return lower_thin(ctx, product, target)
    if not product.dtype.is_float or product.columns <= MOST_VECTORS:
        return lower_plain(ctx, product)
    return lower_tiled(ctx, product, target, multiplier_of(ctx, product, single))


def _rows_adjoin(ctx: LoweringContext, product: Product) -> bool:
    """Whether a step along the rows leads less far in the memory of what is written than one along the columns."""
    row, column = ctx.axis("row", product.rows), ctx.axis("column", product.columns)
    value = Local("value", product.dtype)
    batch = ctx.axis("batch", product.batch)
    for statement in walk_statements(product.write(batch, row, column, value)):
        if isinstance(statement, Store):
            return is_nearer(statement, row, column, {row: product.rows, column: product.columns})
    return False
