"""Lowering of `lu`: panels of columns from left to right, each reduced by all panels before it.

The result holds the matrix, its rows exchanged so far, and the factors of the panels that are done.  A panel is solved
with L's rows that are known, which gives U's, reduced by their product with L's other rows, and then factored column by
column.  Its exchanges of rows are done in all other columns when it is complete.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from tenfold_rt import dtypes
from tenfold_rt.frozen import frozen
from tenfoldc.ir.core import Operation
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Buffer, Carry, Expr, If, Load, Local, Primitive, Statement, Store
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
from tenfoldc.lower.loop_nest import bind, loop, nest, write_result
from tenfoldc.lower.products.product import delinearise
from tenfoldc.target import Target

UNROLLED = 4
"""Matrices up to this size are factored without a loop."""


def lower_lu(operation: Operation, ctx: LoweringContext, target: Target) -> Sequence[Statement]:
    """Statements for `lu`."""
    type_ = operation.operands[0].type
    if type_.size == 0:
        return ()
    *batch, size, _ = type_.sizes
    count = math.prod(batch)
    if size <= UNROLLED:
        return nest(ctx, [count], lambda index: unrolled(ctx, delinearise(index[0], batch), size), private=())
    memory = Memory.of(ctx, count, size)
    panel = make_panel(ctx, type_.dtype, size, target)
    row = ctx.scratch("row", type_.dtype, (2, panel.width))
    private = [panel.rows, row]

    def one(index: tuple[Expr, ...]) -> Sequence[Statement]:
        elimination = _Elimination(ctx, memory, index[0], panel, row)
        return [*elimination.begin(delinearise(index[0], batch)), *elimination.panels()]

    factored = nest(ctx, [count], one, private=private)
    shapes = [result.type.sizes for result in operation.results]
    written = [write_result(ctx, shape, number) for number, shape in enumerate(shapes)]
    return [*factored, *(statement for each in written for statement in each)]


@frozen
class Memory:
    """The results as the elimination sees them: all matrices one below another, and a line of rows for each."""

    size: int
    factors: Buffer
    pivots: Buffer
    permutation: Buffer

    @staticmethod
    def of(ctx: LoweringContext, count: int, size: int) -> Memory:
        """The memory of the results of `count` matrices."""
        shapes = ((count * size, size), (count, size), (count, size))
        results = [ctx.result(number) for number in range(len(shapes))]
        views = (Buffer(b.name, b.dtype, shape, base=b) for b, shape in zip(results, shapes, strict=True))
        return Memory(size, *views)


# Small matrices


def unrolled(ctx: LoweringContext, matrix: Sequence[Expr], size: int) -> Sequence[Statement]:
    """Factor the small `matrix` of a batch without a loop: which rows are exchanged is a choice, element by element."""
    places = [scalar.index(place) for place in range(size)]
    rows = [[ctx.read(0, (*matrix, row, column)) for column in places] for row in places]
    order: list[Expr] = [scalar.constant(place, dtypes.i32) for place in range(size)]
    pivots: list[Expr] = []
    for column in range(size):
        pivot = _largest(rows, column)
        pivots.append(pivot)
        rows = _exchanged(rows, column, pivot)
        order = [row[0] for row in _exchanged([[number] for number in order], column, pivot)]
        divisor = nonzero(rows[column][column])
        for row in range(column + 1, size):
            factor = scalar.div(rows[row][column], divisor)
            rest = [
                scalar.fma(scalar.neg(factor), above, value)
                for value, above in zip(rows[row][column + 1 :], rows[column][column + 1 :], strict=True)
            ]
            rows[row] = [*rows[row][:column], factor, *rest]
    statements: list[Statement] = []
    for place, row, pivot, number in zip(places, rows, pivots, order, strict=True):
        for column, value in zip(places, row, strict=True):
            statements += ctx.write((*matrix, place, column), value)
        statements += [*ctx.write((*matrix, place), pivot, 1), *ctx.write((*matrix, place), number, 2)]
    return statements


def _largest(rows: Sequence[Sequence[Expr]], column: int) -> Expr:
    """The number of the row with the largest element of a column, of those not above the diagonal."""
    best: Expr = scalar.constant(-1.0, rows[column][column].dtype)
    pivot: Expr = scalar.constant(column, dtypes.i32)
    for row in range(column, len(rows)):
        size = scalar.abs_(rows[row][column])
        greater = scalar.greater(size, best)
        best = scalar.select(greater, size, best)
        pivot = scalar.select(greater, scalar.constant(row, dtypes.i32), pivot)
    return pivot


def _exchanged(rows: Sequence[Sequence[Expr]], place: int, pivot: Expr) -> list[list[Expr]]:
    """`rows` with that at `place` and the one below it that `pivot` numbers exchanged."""
    exchanged = [list(row) for row in rows]
    for number in range(place + 1, len(rows)):
        is_pivot = scalar.equal(pivot, scalar.constant(number, dtypes.i32))
        pairs = list(zip(rows[number], rows[place], strict=True))
        exchanged[number] = [scalar.select(is_pivot, above, below) for below, above in pairs]
        chosen = zip(exchanged[place], rows[number], strict=True)
        exchanged[place] = [scalar.select(is_pivot, below, above) for above, below in chosen]
    return exchanged


def nonzero(pivot: Expr) -> Expr:
    """What a column is divided by: below a pivot of 0 all its elements are 0, and stay so."""
    is_zero = scalar.equal(pivot, scalar.constant(0.0, pivot.dtype))
    return scalar.select(is_zero, scalar.constant(1.0, pivot.dtype), pivot)


# Elimination in panels


class _Elimination:
    """The factorization of one matrix; `row` is scratch memory for a row of a panel, and for which of it is reduced."""

    def __init__(self, ctx: LoweringContext, memory: Memory, number: Expr, panel: Panel, row: Buffer) -> None:
        self.ctx, self.memory, self.number, self.panel = ctx, memory, number, panel
        self.size = memory.size
        self.row = row
        self.lower = Triangle(memory.factors, scalar.mul(number, scalar.index(self.size)), unit_diagonal=True)

    def begin(self, matrix: Sequence[Expr]) -> Sequence[Statement]:
        """Copy the matrix to where it is factored; no rows are exchanged."""
        ctx, size = self.ctx, self.size
        row, column, line = ctx.axis("row", size), ctx.axis("column", size), ctx.axis("line", size)
        copied = self._store(row, column, ctx.read(0, (*matrix, row, column)))
        numbered = Store(self.memory.permutation, (self.number, line), scalar.convert(line, dtypes.i32))
        extent = scalar.index(size)
        return [*loop(row, extent, loop(column, extent, (copied,))), *loop(line, extent, (numbered,))]

    def panels(self) -> Sequence[Statement]:
        """All panels, the last of which may be narrower."""
        full, tail = divmod(self.size, self.panel.width)
        number = self.ctx.axis("panel", full)
        first = scalar.mul(number, scalar.index(self.panel.width))
        statements: list[Statement] = []
        if full:
            statements += loop(number, scalar.index(full), self._panel(first, self.panel.width))
        if tail:
            statements += self._panel(scalar.index(full * self.panel.width), tail)
        return statements

    def _panel(self, first: Expr, width: int) -> Sequence[Statement]:
        ctx, panel, size = self.ctx, self.panel, scalar.index(self.size)
        factored = _Column(self, first, width).statements()
        return [
            *self._fill(first, width),
            *clear_columns(ctx, panel, size, width),
            *substitute(ctx, panel, self.lower, first),
            *self._reduce_below(first),
            *factored,
            *self._exchange(first, width),
            *self._unload(first, width),
        ]

    def _load(self, row: Expr, column: Expr) -> Expr:
        return self.lower.load(row, column)

    def _store(self, row: Expr, column: Expr, value: Expr) -> Statement:
        return Store(self.memory.factors, (scalar.add(self.lower.first_row, row), column), value)

    def _fill(self, first: Expr, width: int) -> Sequence[Statement]:
        row, column = self.ctx.axis("row", self.size), self.ctx.axis("column", width)
        stored = self.panel.store(row, column, self._load(row, scalar.add(first, column)))
        return loop(row, scalar.index(self.size), loop(column, scalar.index(width), (stored,)))

    def _reduce_below(self, first: Expr) -> Sequence[Statement]:
        """Subtract from all rows of the panel that are not yet U's what the panels before contribute."""
        block, rest = self.ctx.axis("block"), self.size % HEIGHT
        count = scalar.div(scalar.sub(scalar.index(self.size), first), scalar.index(HEIGHT))
        row = scalar.add(first, scalar.mul(block, scalar.index(HEIGHT)))
        reduced = loop(block, count, reduce_rows(self.panel, self.lower, row, HEIGHT, first))
        if rest == 0:
            return reduced
        return [*reduced, *reduce_rows(self.panel, self.lower, scalar.index(self.size - rest), rest, first)]

    def _exchange(self, first: Expr, width: int) -> Sequence[Statement]:
        """Exchange rows of the matrix, and their numbers, as was done in the panel."""
        ctx, k, column = self.ctx, self.ctx.axis("k", width), self.ctx.axis("column", self.size)
        row = scalar.add(first, k)
        bound, (pivot,) = bind(ctx, [scalar.convert(Load(self.memory.pivots, (self.number, row)), dtypes.i64)])
        held, (above, below) = bind(ctx, [self._load(row, column), self._load(pivot, column)])
        swap = loop(
            column,
            scalar.index(self.size),
            [*held, self._store(row, column, below), self._store(pivot, column, above)],
        )
        places = [(self.number, place) for place in (row, pivot)]
        noted, (first_number, second_number) = bind(ctx, [Load(self.memory.permutation, place) for place in places])
        renumbered = [
            Store(self.memory.permutation, places[0], second_number),
            Store(self.memory.permutation, places[1], first_number),
        ]
        differs = scalar.apply(Primitive.NE, pivot, row)
        return loop(k, scalar.index(width), [*bound, If(differs, (*swap, *noted, *renumbered))])

    def _unload(self, first: Expr, width: int) -> Sequence[Statement]:
        """Put the panel into its columns; what is solved of it is negated."""
        statements: list[Statement] = []
        end = scalar.sub(scalar.index(self.size), first)
        for begin, count, is_solved in ((scalar.index(0), first, True), (first, end, False)):
            row, column = self.ctx.axis("row"), self.ctx.axis("column", width)
            place = scalar.add(begin, row)
            value = self.panel.load(place, column)
            stored = self._store(place, scalar.add(first, column), scalar.neg(value) if is_solved else value)
            statements += loop(row, count, loop(column, scalar.index(width), (stored,)))
        return statements


class _Column:
    """The columns of a panel from row `first` on, one after another: pivot, multipliers, and what they take away."""

    def __init__(self, elimination: _Elimination, first: Expr, width: int) -> None:
        self.whole, self.first, self.width = elimination, first, width
        self.ctx, self.panel, self.row = elimination.ctx, elimination.panel, elimination.row
        self.k = self.ctx.axis("k", width)
        self.place = scalar.add(first, self.k)

    def statements(self) -> Sequence[Statement]:
        """All columns: where one is reduced, the pivot of the next is found on the way."""
        search, begin = self._search()
        pivot, following = Local("pivot", dtypes.i64), Local("next_pivot", dtypes.i64)
        body, found = self._eliminated(pivot)
        chosen = Carry(pivot, begin, found, following)
        return [*search, *loop(self.k, scalar.index(self.width), [*self._exchanged(pivot), *body], (chosen,))]

    def _search(self) -> tuple[Sequence[Statement], Expr]:
        """The pivot of the first column."""
        axis = self.ctx.axis("row")
        row = scalar.add(self.first, axis)
        carries, place = _larger(scalar.abs_(self.panel.load(row, scalar.index(0))), row, self.first)
        return loop(axis, scalar.sub(scalar.index(self.whole.size), self.first), (), carries), place

    def _exchanged(self, pivot: Expr) -> Sequence[Statement]:
        """Exchange two rows of the panel.  What the pivot's has right of it is put into `row`, and where that is.

        The latter in numbers as wide as the elements, so that vectors of both have the same lanes.
        """
        memory, panel = self.whole.memory, self.panel
        zero, yes = (scalar.constant(value, self.row.dtype) for value in (0.0, 1.0))

        def held(lane: Expr) -> Load:
            return Load(self.row, (scalar.index(0), lane))

        def keep(lane: Expr) -> Sequence[Statement]:
            is_right = scalar.greater(lane, self.k)
            chosen = scalar.select(is_right, held(lane), zero), scalar.select(is_right, yes, zero)
            return [Store(self.row, (scalar.index(place), lane), value) for place, value in enumerate(chosen)]

        return [
            Store(memory.pivots, (self.whole.number, self.place), scalar.convert(pivot, dtypes.i32)),
            self._lanes(lambda lane: [Store(self.row, held(lane).index, panel.load(pivot, lane))]),
            self._lanes(lambda lane: [panel.store(pivot, lane, panel.load(self.place, lane))]),
            self._lanes(lambda lane: [panel.store(self.place, lane, held(lane))]),
            self._lanes(keep),
        ]

    def _lanes(self, body: Callable[[Expr], Sequence[Statement]]) -> Statement:
        return lanes(self.ctx, self.panel, body)

    def _eliminated(self, pivot: Expr) -> tuple[Sequence[Statement], Expr]:
        """Take the pivot's row out of all below; gives the place of the next column's pivot."""
        ctx, panel, one, zero = self.ctx, self.panel, scalar.index(1), scalar.index(0)
        after = scalar.add(self.place, one)
        axis = ctx.axis("row")
        row = scalar.add(after, axis)
        next_column = scalar.minimum(scalar.add(self.k, one), scalar.index(self.width - 1))
        bound, (divisor, right) = bind(
            ctx, [nonzero(panel.load(self.place, self.k)), Load(self.row, (zero, next_column))]
        )
        factor = scalar.div(panel.load(row, self.k), divisor)
        held, (multiplier, following) = bind(
            ctx, [factor, scalar.fma(scalar.neg(factor), right, panel.load(row, next_column))]
        )

        def reduce(lane: Expr) -> Sequence[Statement]:
            # Not a choice between sums: LLVM would store some lanes only, which is slow.  Left of the pivot, 0 times 0.
            above, is_right = (Load(self.row, (scalar.index(place), lane)) for place in range(2))
            nothing = scalar.constant(0.0, above.dtype)
            taken = scalar.select(scalar.greater(is_right, nothing), scalar.neg(multiplier), nothing)
            return [panel.store(row, lane, scalar.fma(taken, above, panel.load(row, lane)))]

        carries, place = _larger(scalar.abs_(following), row, after)
        count = scalar.sub(scalar.index(self.whole.size), after)
        body = [*held, self._lanes(reduce), panel.store(row, self.k, multiplier)]
        return [*bound, *loop(axis, count, body, carries)], place


def _larger(size: Expr, row: Expr, first: Expr) -> tuple[tuple[Carry, Carry], Expr]:
    """Carries that find the largest `size` and its `row`, `first` where none is a number; and the row that is found."""
    best, place = Local("best", size.dtype), Local("place", dtypes.i64)
    greater = scalar.greater(size, best)
    found = Local("found", dtypes.i64)
    largest = Carry(
        best, scalar.constant(-1.0, size.dtype), scalar.select(greater, size, best), Local("largest", size.dtype)
    )
    return (largest, Carry(place, first, scalar.select(greater, row, place), found)), found
