"""Lowering of `cholesky`: panels of columns of the factor from left to right, each reduced by all panels before it.

With A = L L^T and U = L^T, panel J of U begins as A's, is solved with the rows of L that are known (U's rows before J),
and ends in a small factorization.  Its transpose is the next rows of L.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

from tenfold_rt.frozen import frozen
from tenfoldc.ir.core import Operation
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Axis, Buffer, Expr, If, Load, Primitive, Statement, Store
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.linear_algebra.panels import (
    HEIGHT,
    Panel,
    Triangle,
    clear_columns,
    lanes,
    make_panel,
    reduce_rows,
    substitute,
)
from tenfoldc.lower.loop_nest import bind, loop, nest
from tenfoldc.lower.products.product import delinearise
from tenfoldc.ops.linear_algebra import CholeskyAttributes
from tenfoldc.target import Target

UNROLLED = 4
"""Matrices up to this size are factored without a loop."""


def lower_cholesky(operation: Operation, ctx: LoweringContext, target: Target) -> Sequence[Statement]:
    """Statements for `cholesky`."""
    type_ = operation.operands[0].type
    if type_.size == 0:
        return ()
    *batch, size, _ = type_.sizes
    matrices = Matrices(ctx, tuple(batch), size, cast(CholeskyAttributes, operation.attributes).lower)
    if size <= UNROLLED:
        return nest(ctx, [math.prod(batch)], lambda index: unrolled(matrices, index[0]), private=())
    factor = None if matrices.lower else ctx.scratch("factor", type_.dtype, (size, size))
    panel = make_panel(ctx, type_.dtype, size, target)
    private = [panel.rows] if factor is None else [panel.rows, factor]

    def one(index: tuple[Expr, ...]) -> Sequence[Statement]:
        return _Factorization(matrices, index[0], panel, factor).statements()

    return nest(ctx, [math.prod(batch)], one, private=private)


@frozen
class Matrices:
    """Operand and result as a sequence of matrices, of which the lower triangle is spoken of, whichever it is."""

    ctx: LoweringContext
    batch: tuple[int, ...]
    size: int
    lower: bool

    def _index(self, number: Expr, row: Expr, column: Expr) -> tuple[Expr, ...]:
        return (*delinearise(number, self.batch), *((row, column) if self.lower else (column, row)))

    def read(self, number: Expr, row: Expr, column: Expr) -> Expr:
        return self.ctx.read(0, self._index(number, row, column))

    def write(self, number: Expr, row: Expr, column: Expr, value: Expr) -> Sequence[Statement]:
        return self.ctx.write(self._index(number, row, column), value)


def nan_unless_positive(pivot: Expr) -> Expr:
    """The root of a pivot, which of a matrix that is not positive definite is NaN: it spreads to all that follows."""
    positive = scalar.greater(pivot, scalar.constant(0.0, pivot.dtype))
    return scalar.select(positive, scalar.apply(Primitive.SQRT, pivot), scalar.constant(math.nan, pivot.dtype))


def unrolled(matrices: Matrices, number: Expr) -> Sequence[Statement]:
    """Factor a small matrix without a loop."""
    size = matrices.size
    places = [scalar.index(place) for place in range(size)]
    factor: dict[tuple[int, int], Expr] = {}
    for row in range(size):
        for column in range(row + 1):
            rest = matrices.read(number, places[row], places[column])
            for k in range(column):
                rest = scalar.fma(scalar.neg(factor[row, k]), factor[column, k], rest)
            factor[row, column] = (
                nan_unless_positive(rest) if row == column else scalar.div(rest, factor[column, column])
            )
    last = factor[size - 1, size - 1]
    failed = scalar.apply(Primitive.NE, last, last)
    zero = scalar.constant(0.0, last.dtype)
    return [
        statement
        for row in range(size)
        for column in range(size)
        for statement in matrices.write(
            number,
            places[row],
            places[column],
            scalar.select(failed, last, factor[row, column]) if column <= row else zero,
        )
    ]


class _Factorization:
    """The factorization of one matrix, the lower factor being written to the result or to `scratch`."""

    def __init__(self, matrices: Matrices, number: Expr, panel: Panel, scratch: Buffer | None) -> None:
        self.ctx = matrices.ctx
        self.matrices = matrices
        self.number = number
        self.size = matrices.size
        self.panel = panel
        self.in_scratch = scratch is not None
        if scratch is None:
            result = self.ctx.result()
            rows = math.prod(matrices.batch) * self.size
            memory = Buffer(result.name, result.dtype, (rows, self.size), base=result)
            self.factor = Triangle(memory, scalar.mul(number, scalar.index(self.size)))
        else:
            self.factor = Triangle(scratch, scalar.index(0))

    def statements(self) -> Sequence[Statement]:
        full, tail = divmod(self.size, self.panel.width)
        statements: list[Statement] = []
        if full == 1:
            statements += self._panel(scalar.index(0), self.panel.width)
        elif full:
            number = self.ctx.axis("panel")
            first = scalar.mul(number, scalar.index(self.panel.width))
            statements += loop(number, scalar.index(full), self._panel(first, self.panel.width))
        if tail:
            statements += self._panel(scalar.index(full * self.panel.width), tail)
        return [*statements, *self._finish()]

    def _panel(self, first: Expr, width: int) -> Sequence[Statement]:
        """Rows `first` to `first + width` of the factor."""
        blocks = [(row, min(HEIGHT, width - row)) for row in range(0, width, HEIGHT)]
        end = scalar.add(first, scalar.index(width))
        return [
            *self._fill(first, width),
            *clear_columns(self.ctx, self.panel, end, width),
            *substitute(self.ctx, self.panel, self.factor, first),
            *self._copy_rows(first, width),
            *(
                statement
                for row, height in blocks
                for statement in reduce_rows(
                    self.panel, self.factor, scalar.add(first, scalar.index(row)), height, first
                )
            ),
            *self._factor_block(first, width),
        ]

    def _fill(self, first: Expr, width: int) -> Sequence[Statement]:
        """The panel of the matrix; below its diagonal is what the triangle that is read has above."""
        column, row = self.ctx.axis("column"), self.ctx.axis("row")
        line = scalar.add(first, column)
        above = self.panel.store(row, column, self.matrices.read(self.number, line, row))
        along = self.ctx.axis("row")
        place = scalar.add(first, along)
        low, high = scalar.minimum(line, place), scalar.maximum(line, place)
        beside = self.panel.store(place, column, self.matrices.read(self.number, high, low))
        count = scalar.index(width)
        return loop(column, count, [*loop(row, first, (above,)), *loop(along, count, (beside,))])

    def _copy_rows(self, first: Expr, width: int) -> Sequence[Statement]:
        """What is solved of the panel becomes rows of the factor."""
        column, row = self.ctx.axis("column"), self.ctx.axis("row")
        copied = self._store(scalar.add(first, column), row, scalar.neg(self.panel.load(row, column)))
        return loop(column, scalar.index(width), loop(row, first, (copied,)))

    def _store(self, row: Expr, column: Expr, value: Expr) -> Statement:
        return Store(self.factor.matrix, (scalar.add(self.factor.first_row, row), column), value)

    def _factor_block(self, first: Expr, width: int) -> Sequence[Statement]:
        """Factor the square block at the panel's end, row by row from its top."""
        ctx, panel, k = self.ctx, self.panel, self.ctx.axis("k")
        row = scalar.add(first, k)
        bound, (root,) = bind(ctx, [nan_unless_positive(panel.load(row, k))])
        scaled = lanes(ctx, panel, lambda lane: [panel.store(row, lane, scalar.div(panel.load(row, lane), root))])
        below, written, above = ctx.axis("below"), ctx.axis("written"), ctx.axis("above")
        place = scalar.add(scalar.add(k, scalar.index(1)), below)
        target = scalar.add(first, place)
        held, (factor,) = bind(ctx, [scalar.neg(panel.load(row, place))])
        reduced = lanes(
            ctx,
            panel,
            lambda lane: [
                panel.store(target, lane, scalar.fma(factor, panel.load(row, lane), panel.load(target, lane)))
            ],
        )
        column = scalar.add(k, written)
        stored = self._store(scalar.add(first, column), row, panel.load(row, column))
        cleared = self._store(scalar.add(first, above), row, scalar.constant(0.0, panel.matrix.dtype))
        rest = scalar.sub(scalar.index(width), k)
        body = [
            *bound,
            scaled,
            *loop(below, scalar.sub(rest, scalar.index(1)), [*held, reduced]),
            *loop(written, rest, (stored,)),
            *loop(above, k, (cleared,)),
        ]
        return loop(k, scalar.index(width), body)

    def _finish(self) -> Sequence[Statement]:
        """NaN where the factorization has failed, zeros above, all in the result."""
        size, zero = self.size, scalar.constant(0.0, self.panel.matrix.dtype)
        last = scalar.index(size - 1)
        bound, (pivot,) = bind(self.ctx, [self.factor.load(last, last)])
        failed = scalar.apply(Primitive.NE, pivot, pivot)
        row, column = self.ctx.axis("row", size), self.ctx.axis("column", size)
        if self.in_scratch:
            return [*bound, *self._unload(row, column, failed, pivot)]
        spoilt = If(failed, self._square(row, column, pivot, within=True))
        row, column = self.ctx.axis("row", size), self.ctx.axis("column", size)
        return [*bound, spoilt, *self._square(row, column, zero, within=False)]

    def _square(self, row: Axis, column: Axis, value: Expr, *, within: bool) -> tuple[Statement, ...]:
        """`value` in the triangle of the result, its diagonal included, or beyond."""
        one = scalar.index(1)
        after = scalar.add(row, one)
        count = after if within else scalar.sub(scalar.index(self.size), after)
        place = column if within else scalar.add(after, column)
        written = self.matrices.write(self.number, row, place, value)
        return loop(row, scalar.index(self.size), loop(column, count, written))

    def _unload(self, row: Axis, column: Axis, failed: Expr, pivot: Expr) -> Sequence[Statement]:
        """Copy the factor from scratch memory, transposed."""
        inside = scalar.less_equal(column, row)
        value = Load(self.factor.matrix, (row, column))
        zero = scalar.constant(0.0, pivot.dtype)
        chosen = scalar.select(inside, scalar.select(failed, pivot, value), zero)
        size = scalar.index(self.size)
        return loop(column, size, loop(row, size, self.matrices.write(self.number, row, column, chosen)))
