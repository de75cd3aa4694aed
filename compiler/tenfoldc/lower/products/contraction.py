"""Lowering of contractions to loops: dot_general as a batch of matrix products, whatever the order of its axes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tenfold_rt.dtypes import DType
from tenfoldc.ir.core import Operation
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Axis, Buffer, Expr, Load, Statement
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.products.blocked import lower_blocked
from tenfoldc.lower.products.blocking import blocking, tuned_blocking
from tenfoldc.lower.products.direct import FEWEST_COLUMNS, lower_direct
from tenfoldc.lower.products.product import (
    Operand,
    Place,
    Product,
    delinearise,
    is_row_major,
    merged_stride,
    strides_in_memory,
)
from tenfoldc.lower.products.tiled import lower_tiled
from tenfoldc.lower.products.tiling import tile_parts
from tenfoldc.ops.contraction import DotGeneralAttributes
from tenfoldc.target import Target
from tenfoldc.tuning import Decisions

_SMALLEST_TILED = 512
"""Multiplications below which the loops around a register tile cost more than it saves."""


def lower_dot_general(
    operation: Operation, ctx: LoweringContext, target: Target, decisions: Decisions
) -> Sequence[Statement]:
    """The loops of a `dot_general`."""
    product = dot_product(operation, ctx)
    if _is_better_transposed(product):
        product = dot_product(operation, ctx, is_transposed=True)
    return lower_product(ctx, product, target, decisions)


def lower_product(ctx: LoweringContext, product: Product, target: Target, decisions: Decisions) -> Sequence[Statement]:
    """The loops of a batch of matrix products: around a register tile where its shape allows, else plain."""
    if 0 in (product.batch, product.rows, product.columns):
        return []
    work = product.rows * product.columns * product.depth
    is_thin = product.rows == 1 or product.columns < FEWEST_COLUMNS
    if not product.dtype.is_float or is_thin or work < _SMALLEST_TILED:
        return lower_direct(ctx, product)
    sizes = product.rows, product.columns, product.depth
    parts = tile_parts(ctx, product, target)
    if parts is not None:
        return lower_tiled(ctx, product, parts, blocking(target, *sizes, product.dtype), target)
    blocks = tuned_blocking(decisions, product.kind, target, *sizes, product.dtype)
    return lower_blocked(ctx, product, blocks, target, decisions)


def _is_better_transposed(product: Product) -> bool:
    """Whether a thin product had better be done as that of its transposes: such that the large factor is read in order.

    Its rows are added up, times a number each, where they lie side by side; else dots are taken with each of them.
    """
    if product.columns < FEWEST_COLUMNS <= product.rows:
        return product.lhs.lines_adjoin
    return 1 < product.rows < FEWEST_COLUMNS <= product.columns and product.rhs.line_stride is not None


def dot_product(operation: Operation, ctx: LoweringContext, *, is_transposed: bool = False) -> Product:
    """A `dot_general` as a product of matrices: free axes are made one, and so are batching and contracting ones.

    With `is_transposed` as that of the transposes of the two, the second one first.
    """
    attributes = operation.attributes
    assert isinstance(attributes, DotGeneralAttributes)
    numbers = attributes.dot_dimension_numbers
    lhs = _Factor(ctx, operation, 0, numbers.lhs_batching_dimensions, numbers.lhs_contracting_dimensions)
    rhs = _Factor(ctx, operation, 1, numbers.rhs_batching_dimensions, numbers.rhs_contracting_dimensions)
    first, second = (rhs, lhs) if is_transposed else (lhs, rhs)
    result = operation.results[0].type
    batch, rows, columns = math.prod(lhs.batch_sizes), math.prod(first.free_sizes), math.prod(second.free_sizes)

    def write(b: Expr, i: Expr, j: Expr, value: Expr) -> Sequence[Statement]:
        own, other = (j, i) if is_transposed else (i, j)
        index = (
            *delinearise(b, lhs.batch_sizes),
            *delinearise(own, lhs.free_sizes),
            *delinearise(other, rhs.free_sizes),
        )
        return ctx.write(index, value)

    place = None
    if not ctx.has_epilogue and (rows == 1 or not is_transposed):
        matrix = Buffer("product", result.dtype, (batch * rows, columns), base=ctx.result())
        place = Place(matrix, lambda b: scalar.mul(b, scalar.index(rows)), lambda b: scalar.index(0))
    return Product(
        batch=batch,
        rows=rows,
        columns=columns,
        positions=1,
        channels=math.prod(lhs.contracting_sizes),
        dtype=result.dtype,
        lhs=first.operand(result.dtype, lines_first=True),
        rhs=second.operand(result.dtype, lines_first=False),
        write=write,
        place=place,
        is_highest="HIGHEST" in attributes.precision_config,
    )


class _Factor:
    """One operand of a `dot_general`, with its axes in three groups."""

    def __init__(
        self,
        ctx: LoweringContext,
        operation: Operation,
        number: int,
        batching: Sequence[int],
        contracting: Sequence[int],
    ) -> None:
        self.ctx = ctx
        self.number = number
        self.sizes = operation.operands[number].type.sizes
        self.batching = tuple(batching)
        self.contracting = tuple(contracting)
        self.free = tuple(axis for axis in range(len(self.sizes)) if axis not in {*batching, *contracting})
        self.batch_sizes = tuple(self.sizes[axis] for axis in self.batching)
        self.contracting_sizes = tuple(self.sizes[axis] for axis in self.contracting)
        self.free_sizes = tuple(self.sizes[axis] for axis in self.free)

    def read(self, batch: Expr, line: Expr, position: Expr, channel: Expr) -> Expr:
        """The element at these places in the three groups; there is one position only."""
        parts = dict(zip(self.batching, delinearise(batch, self.batch_sizes), strict=True))
        parts |= zip(self.free, delinearise(line, self.free_sizes), strict=True)
        parts |= zip(self.contracting, delinearise(channel, self.contracting_sizes), strict=True)
        return self.ctx.read(self.number, [parts[axis] for axis in range(len(self.sizes))])

    def operand(self, dtype: DType, *, lines_first: bool) -> Operand:
        """This factor of a product of `dtype`; `lines_first` tells an lhs, whose rows are its lines, from an rhs."""
        if 0 in self.sizes:
            return Operand(self.read, lines_adjoin=False)
        axes = [self.ctx.axis("axis") for _ in self.sizes]
        element = self.ctx.read(self.number, axes)
        strides = strides_in_memory(element, axes)
        matrix = None
        if strides is None:
            strides = tuple(math.prod(self.sizes[axis + 1 :]) for axis in range(len(self.sizes)))
        elif isinstance(element, Load) and element.dtype == dtype:
            order = (*self.batching, *self.free, *self.contracting)
            if not lines_first:
                order = (*self.batching, *self.contracting, *self.free)
            matrix = self._matrix(element.buffer, strides, order, lines_first)
        line_stride = None if lines_first else self._line_stride(element, axes, dtype)
        packs_ahead = self.ctx.pays_ahead(element, math.prod(self.sizes) * dtype.itemsize)
        return Operand(self.read, self._lines_adjoin(strides), matrix, line_stride, packs_ahead)

    def _line_stride(self, element: Expr, axes: Sequence[Axis], dtype: DType) -> int | None:
        strides = strides_in_memory(element, axes, from_start=False)
        if strides is None or element.dtype != dtype or not self.contracting:
            return None
        stride_of, size_of = strides.__getitem__, self.sizes.__getitem__
        along = merged_stride([*map(stride_of, self.contracting)], [*map(size_of, self.contracting)])
        return merged_stride([*map(stride_of, self.free)], [*map(size_of, self.free)]) if along == 1 else None

    def _lines_adjoin(self, strides: Sequence[int]) -> bool:
        line_strides = [strides[axis] for axis in self.free if self.sizes[axis] > 1]
        channel_strides = [strides[axis] for axis in self.contracting if self.sizes[axis] > 1]
        if not line_strides:
            return False
        return not channel_strides or line_strides[-1] <= channel_strides[-1]

    def _matrix(self, buffer: Buffer, strides: Sequence[int], order: Sequence[int], lines_first: bool) -> Buffer | None:
        sizes = [self.sizes[axis] for axis in order]
        if not is_row_major([strides[axis] for axis in order], sizes) or math.prod(sizes) != math.prod(buffer.shape):
            return None
        width = math.prod(self.contracting_sizes if lines_first else self.free_sizes)
        return Buffer("matrix", buffer.dtype, (math.prod(sizes) // width, width), base=buffer)
