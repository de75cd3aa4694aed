"""Lowering of `triangular_solve`: forward substitution, to which all its forms come down.

Solving from the right is solving from the left with everything transposed; an upper triangle read backwards is a lower
one.  Many unknown vectors are solved in panels, a few one by one, and small systems without a loop.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

from tenfold_rt.dtypes import DType
from tenfold_rt.frozen import frozen
from tenfoldc.ir.core import Operation
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Apply, Axis, Buffer, Carry, Expr, Load, Local, Primitive, Statement, Store
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.linear_algebra.panels import Panel, Triangle, clear_columns, make_panel, substitute
from tenfoldc.lower.loop_nest import loop, nest
from tenfoldc.lower.products.packing import for_each_panel, span
from tenfoldc.lower.products.product import delinearise
from tenfoldc.ops.linear_algebra import TriangularSolveAttributes
from tenfoldc.target import Target

UNROLLED = 4
"""Systems up to this size are solved without a loop."""

_FEW = 2
"""Up to so many vectors, which would leave most of a panel empty, are solved one by one."""


def lower_triangular_solve(operation: Operation, ctx: LoweringContext, target: Target) -> Sequence[Statement]:
    """Statements for `triangular_solve`."""
    type_ = operation.results[0].type
    if type_.size == 0:
        return ()
    attributes = cast(TriangularSolveAttributes, operation.attributes)
    *batch, rows, columns = type_.sizes
    size, vectors = (rows, columns) if attributes.left_side else (columns, rows)
    systems = Systems(ctx, attributes, tuple(batch), size, vectors, type_.dtype)
    count = math.prod(batch)
    if size <= UNROLLED:
        return nest(ctx, [count, vectors], lambda index: unrolled(systems, index[0], index[1]), private=())
    if vectors <= _FEW:
        solution = ctx.scratch("solution", type_.dtype, (size,))
        solve = _by_columns if systems.is_transposed else _by_rows
        return nest(
            ctx, [count, vectors], lambda index: solve(systems, index[0], index[1], solution), private=[solution]
        )
    matrix = ctx.scratch("triangle", type_.dtype, (size, size))
    panel = make_panel(ctx, type_.dtype, size, target)
    return nest(
        ctx,
        [count],
        lambda index: _in_panels(systems, index[0], matrix, panel),
        private=[matrix, panel.rows],
    )


@frozen
class Systems:
    """A batch of systems L x = b with a lower triangle L and several vectors b each."""

    ctx: LoweringContext
    attributes: TriangularSolveAttributes
    batch: tuple[int, ...]
    size: int
    vectors: int
    dtype: DType

    @property
    def is_transposed(self) -> bool:
        """Whether L's rows are columns in memory."""
        return self.attributes.is_transposed == self.attributes.left_side

    def _place(self, row: Expr) -> Expr:
        """Where a row of the system is: those of an upper triangle are counted from the last."""
        if self.attributes.lower != self.is_transposed:
            return row
        return scalar.sub(scalar.index(self.size - 1), row)

    def triangle(self, number: Expr, row: Expr, column: Expr) -> Expr:
        place = (self._place(row), self._place(column))
        return self.ctx.read(0, (*delinearise(number, self.batch), *(place[::-1] if self.is_transposed else place)))

    def _index(self, number: Expr, row: Expr, vector: Expr) -> tuple[Expr, ...]:
        place = (self._place(row), vector)
        return (*delinearise(number, self.batch), *(place if self.attributes.left_side else place[::-1]))

    def read(self, number: Expr, row: Expr, vector: Expr) -> Expr:
        return self.ctx.read(1, self._index(number, row, vector))

    def write(self, number: Expr, row: Expr, vector: Expr, value: Expr) -> Sequence[Statement]:
        return self.ctx.write(self._index(number, row, vector), value)

    def divided(self, value: Expr, number: Expr, row: Expr) -> Expr:
        return value if self.attributes.unit_diagonal else scalar.div(value, self.triangle(number, row, row))


def unrolled(systems: Systems, number: Expr, vector: Expr) -> Sequence[Statement]:
    """Solve a small system for one vector without a loop."""
    solution: list[Expr] = []
    rows = [scalar.index(row) for row in range(systems.size)]
    for row in rows:
        rest = systems.read(number, row, vector)
        for column, x in zip(rows, solution, strict=False):
            rest = scalar.fma(scalar.neg(systems.triangle(number, row, column)), x, rest)
        solution.append(systems.divided(rest, number, row))
    return [
        statement for row, x in zip(rows, solution, strict=True) for statement in systems.write(number, row, vector, x)
    ]


def _by_rows(systems: Systems, number: Expr, vector: Expr, solution: Buffer) -> Sequence[Statement]:
    """Each unknown from a row of the triangle and those before it."""
    ctx = systems.ctx
    row, column = ctx.axis("row", systems.size), ctx.axis("column", systems.size)
    total, result = Local("sum", systems.dtype), Local("sums", systems.dtype)
    term = scalar.mul(systems.triangle(number, row, column), Load(solution, (column,)))
    added = Apply(Primitive.ADD, (total, term), systems.dtype, reassociate=True)
    carry = Carry(total, scalar.constant(0.0, systems.dtype), added, result)
    rest = scalar.sub(systems.read(number, row, vector), result)
    solved = systems.divided(rest, number, row)
    stores = [Store(solution, (row,), solved), *systems.write(number, row, vector, solved)]
    return loop(row, scalar.index(systems.size), [*loop(column, row, (), (carry,)), *stores])


def _by_columns(systems: Systems, number: Expr, vector: Expr, solution: Buffer) -> Sequence[Statement]:
    """Each unknown, once it is known, taken out of all equations after it."""
    ctx, size = systems.ctx, scalar.index(systems.size)
    filled = ctx.axis("row", systems.size)
    fill = loop(filled, size, (Store(solution, (filled,), systems.read(number, filled, vector)),))
    row, below = ctx.axis("row", systems.size), ctx.axis("below", systems.size)
    solved = systems.divided(Load(solution, (row,)), number, row)
    after = scalar.add(row, scalar.index(1))
    place = scalar.add(after, below)
    factor = scalar.neg(systems.triangle(number, place, row))
    reduced = Store(solution, (place,), scalar.fma(factor, Load(solution, (row,)), Load(solution, (place,))))
    stores = [Store(solution, (row,), solved), *systems.write(number, row, vector, solved)]
    body = [*stores, *loop(below, scalar.sub(size, after), (reduced,))]
    return [*fill, *loop(row, size, body)]


def _in_panels(systems: Systems, number: Expr, matrix: Buffer, panel: Panel) -> Sequence[Statement]:
    ctx, size = systems.ctx, scalar.index(systems.size)
    triangle = Triangle(matrix, scalar.index(0), systems.attributes.unit_diagonal)
    width = panel.width
    vectors = span(systems.vectors, -(-systems.vectors // width) * width, width, scalar.index(0))

    def solve(place: Expr, count: int) -> Sequence[Statement]:
        first = scalar.mul(place, scalar.index(width))
        return [
            *_fill(systems, number, panel, first, count),
            *clear_columns(ctx, panel, size, count),
            *substitute(ctx, panel, triangle, size),
            *_unload(systems, number, panel, first, count),
        ]

    return [*_pack(systems, number, matrix), *for_each_panel(ctx, "panel", vectors, solve, [panel.rows])]


def _pack(systems: Systems, number: Expr, matrix: Buffer) -> Sequence[Statement]:
    """The triangle, row by row as it is used; read along the operand's own rows."""
    ctx, size = systems.ctx, scalar.index(systems.size)
    outer, inner = ctx.axis("outer", systems.size), ctx.axis("inner", systems.size)
    if systems.is_transposed:
        row, column, count = scalar.add(outer, inner), outer, scalar.sub(size, outer)
    else:
        row, column, count = outer, inner, scalar.add(outer, scalar.index(1))
    copied = Store(matrix, (row, column), systems.triangle(number, row, column))
    return loop(outer, size, loop(inner, count, (copied,)))


def _fill(systems: Systems, number: Expr, panel: Panel, first: Expr, count: int) -> Sequence[Statement]:
    row, column = systems.ctx.axis("row", systems.size), systems.ctx.axis("column", count)
    value = systems.read(number, row, scalar.add(first, column))
    return _both(systems, row, column, count, (panel.store(row, column, value),))


def _unload(systems: Systems, number: Expr, panel: Panel, first: Expr, count: int) -> Sequence[Statement]:
    row, column = systems.ctx.axis("row", systems.size), systems.ctx.axis("column", count)
    value = scalar.neg(panel.load(row, column))
    written = systems.write(number, row, scalar.add(first, column), value)
    return _both(systems, row, column, count, written)


def _both(systems: Systems, row: Axis, column: Axis, count: int, body: Sequence[Statement]) -> Sequence[Statement]:
    """Loops over the rows and columns of a panel, in the order of b's memory."""
    size, columns = scalar.index(systems.size), scalar.index(count)
    if systems.attributes.left_side:
        return loop(row, size, loop(column, columns, body))
    return loop(column, columns, loop(row, size, body))
