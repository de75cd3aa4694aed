"""`lu` on a GPU: one block a matrix, column after column.

The threads of a block find the largest element of a column together, exchange two rows, and take the pivot's row out of
those below, each of its own rows.  The matrix is kept by columns, in shared memory where it fits, so that neighbouring
threads read neighbouring elements.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from tenfold_rt import dtypes
from tenfoldc.gpu.lower.grid import Grid
from tenfoldc.gpu.lower.threads import SHARED_BYTES, WARP, power_of_two, shared_size
from tenfoldc.ir.core import Operation
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import (
    Axis,
    Barrier,
    Buffer,
    Carry,
    Combine,
    Expr,
    For,
    If,
    Load,
    Local,
    Primitive,
    Statement,
    Store,
)
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.linear_algebra.lu import UNROLLED, nonzero, unrolled
from tenfoldc.lower.loop_nest import bind, nest
from tenfoldc.lower.products.product import delinearise

_THREADS = 512
"""Threads of a block at most: more would have too few registers."""


def lower_lu(operation: Operation, ctx: LoweringContext) -> Sequence[Statement]:
    """The launch of `lu`."""
    type_ = operation.operands[0].type
    if type_.size == 0:
        return ()
    *batch, size, _ = type_.sizes
    if size <= UNROLLED:
        count = math.prod(batch)
        return nest(ctx, [count], lambda index: unrolled(ctx, delinearise(index[0], batch), size), private=())
    return _Block(operation, ctx, batch, size).statements()


class _Block:
    """The launch that factors each matrix of a batch by a block."""

    def __init__(self, operation: Operation, ctx: LoweringContext, batch: Sequence[int], size: int) -> None:
        self.ctx, self.size, self.dtype = ctx, size, operation.operands[0].type.dtype
        count = math.prod(batch)
        self.grid = Grid(ctx.axis, count, min(_THREADS, max(WARP, power_of_two(size))))
        self.matrix = delinearise(self.grid.block, batch)
        self.order = self.grid.shared("order", dtypes.i32, (size,))
        shape = (size, size)
        self.is_shared = shared_size(Buffer("factors", self.dtype, shape)) <= SHARED_BYTES - shared_size(self.order)
        self.factors = (
            self.grid.shared("factors", self.dtype, shape)
            if self.is_shared
            else ctx.scratch("factors", self.dtype, (count, *shape))
        )

    def statements(self) -> list[Statement]:
        column = self.ctx.axis("column", self.size)
        search, pivot = self._search(column)
        body = [*search, Barrier(), *self._exchanged(column, pivot), Barrier(), *self._reduced(column), Barrier()]
        columns = For(column, scalar.index(self.size), tuple(body))
        begin = [self._elements(self._read), self.grid.shared_out("row", self.size, self._number), Barrier()]
        finish = [self._elements(self._written), self.grid.shared_out("row", self.size, self._numbered)]
        return [self.grid.launch("lu", [*begin, columns, *finish])]

    def _place(self, row: Expr, column: Expr) -> tuple[Expr, ...]:
        """Where an element is kept: columns are contiguous."""
        return (column, row) if self.is_shared else (self.grid.block, column, row)

    def _load(self, row: Expr, column: Expr) -> Expr:
        return Load(self.factors, self._place(row, column))

    def _store(self, row: Expr, column: Expr, value: Expr) -> Statement:
        return Store(self.factors, self._place(row, column), value)

    def _elements(self, body: Callable[[Axis, Axis], Sequence[Statement]]) -> Statement:
        """`body(row, column)` for all elements, neighbouring threads taking neighbouring columns."""
        size = scalar.index(self.size)

        def element(number: Axis) -> Sequence[Statement]:
            row = self.grid.known("row", self.size, scalar.div(number, size))
            return body(row, self.grid.known("column", self.size, scalar.rem(number, size)))

        return self.grid.shared_out("element", self.size**2, element)

    def _read(self, row: Axis, column: Axis) -> Sequence[Statement]:
        return [self._store(row, column, self.ctx.read(0, (*self.matrix, row, column)))]

    def _written(self, row: Axis, column: Axis) -> Sequence[Statement]:
        return self.ctx.write((*self.matrix, row, column), self._load(row, column))

    def _number(self, row: Axis) -> Sequence[Statement]:
        return [Store(self.order, (row,), scalar.convert(row, dtypes.i32))]

    def _numbered(self, row: Axis) -> Sequence[Statement]:
        return self.ctx.write((*self.matrix, row), Load(self.order, (row,)), 2)

    def _search(self, column: Axis) -> tuple[list[Statement], Expr]:
        """The row of the largest element of a column from the diagonal on, the first of several."""
        count, threads = -(-self.size // self.grid.threads), scalar.index(self.grid.threads)
        turn = self.ctx.axis("turn", count)
        row = scalar.add(scalar.mul(turn, threads), self.grid.thread)
        place = scalar.minimum(row, scalar.index(self.size - 1))
        inside = scalar.logical_and(scalar.less(row, scalar.index(self.size)), scalar.greater_equal(row, column))
        size = scalar.abs_(self._load(place, column))
        names = ("best", "place"), ("largest", "found"), ("pivot", "pivot_row"), ("lower", "lower_row")
        best, found, all_, lower = ((Local(first, self.dtype), Local(second, dtypes.i64)) for first, second in names)
        higher = Local("higher", self.dtype), Local("higher_row", dtypes.i64)
        greater = scalar.logical_and(inside, scalar.greater(size, best[0]))
        carries = (
            Carry(best[0], scalar.constant(-1.0, self.dtype), scalar.select(greater, size, best[0]), found[0]),
            Carry(best[1], column, scalar.select(greater, row, best[1]), found[1]),
        )
        equal_first = scalar.logical_and(scalar.equal(higher[0], lower[0]), scalar.less(higher[1], lower[1]))
        wins = scalar.logical_or(scalar.greater(higher[0], lower[0]), equal_first)
        combined = tuple(scalar.select(wins, x, y) for x, y in zip(higher, lower, strict=True))
        combine = Combine(found, all_, lower, higher, combined, self.grid.threads)
        return [For(turn, scalar.index(count), (), carries), combine], all_[1]

    def _exchanged(self, column: Axis, pivot: Expr) -> list[Statement]:
        """Exchange two rows and note which."""
        chosen = self.grid.known("pivot", self.size, pivot)

        def swap(along: Axis) -> Sequence[Statement]:
            held, (above, below) = bind(self.ctx, [self._load(column, along), self._load(chosen, along)])
            return [*held, self._store(column, along, below), self._store(chosen, along, above)]

        held, (first, second) = bind(self.ctx, [Load(self.order, (place,)) for place in (column, chosen)])
        noted = self.ctx.write((*self.matrix, column), scalar.convert(pivot, dtypes.i32), 1)
        orders = [*held, Store(self.order, (column,), second), Store(self.order, (chosen,), first), *noted]
        leads = If(scalar.equal(self.grid.thread, scalar.index(0)), tuple(orders))
        differs = scalar.apply(Primitive.NE, pivot, column)
        return [If(differs, (self.grid.shared_out("along", self.size, swap),)), leads]

    def _reduced(self, column: Axis) -> list[Statement]:
        """Take the pivot's row out of those below; what it is multiplied by takes the place of the zeros."""
        bound, (divisor,) = bind(self.ctx, [nonzero(self._load(column, column))])

        def reduce(row: Axis) -> Sequence[Statement]:
            held, (factor,) = bind(self.ctx, [scalar.div(self._load(row, column), divisor)])
            axis = self.ctx.axis("right", self.size)
            right = scalar.add(scalar.add(column, scalar.index(1)), axis)
            value = scalar.fma(scalar.neg(factor), self._load(column, right), self._load(row, right))
            count = scalar.sub(scalar.index(self.size - 1), column)
            taken = For(axis, count, (self._store(row, right, value),))
            return [If(scalar.greater(row, column), (*held, taken, self._store(row, column, factor)))]

        return [*bound, self.grid.shared_out("row", self.size, reduce)]
