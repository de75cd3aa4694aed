"""Cumulative reductions: windows that run from one end of an axis, each result made from one before it.

Where the axis is not the last, rows of accumulators run along it.  Along the last axis each result would wait for its
neighbour.  A long line of a body with a neutral number is therefore done in chunks that lie in the nearest cache:
windows of 2, 4, 8, ... elements, each made of two of half its length, until they are as long as a vector.  Each result
is then its window and the result one vector before.  What is combined stays in order; only sums and products round
otherwise, less often.  Short lines, elements of which a vector holds few, and other bodies go element by element.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

from tenfoldc.ir.core import Operation
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Carry, Expr, For, Load, Local, Mode, Statement, Store
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.folding import has_neutral, neutral
from tenfoldc.lower.loop_nest import bind, loop, nest
from tenfoldc.lower.window_rows import ROW, along_row, each_row
from tenfoldc.lower.window_values import elements_at, initial_values, write_all
from tenfoldc.ops.window import RunningAxis, WindowAxis

Index: TypeAlias = tuple[Expr, ...]

LINES_ABREAST = 2
"""Lines that run in one loop.  With more, lines a power of two apart would drive each other from the cache."""

WIDTHS = {4: 8, 2: 16, 1: 32}
"""Elements of a block, of this many bytes each: a vector of AVX2's.  What is wider is not worth it."""

CHUNK_BLOCKS = 128
"""Blocks of a chunk, of which there are two copies."""

LONG = 64
"""Elements from which a line is done in chunks."""


def lower_running(operation: Operation, context: LoweringContext, running: RunningAxis) -> Sequence[Statement]:
    """Statements for a `reduce_window` whose windows run along `running`, in one pass over the operand."""
    sizes = operation.operands[0].type.sizes
    if math.prod(sizes[running.dimension + 1 :]) == 1:
        is_narrow = operation.operands[0].type.dtype.itemsize in WIDTHS
        if is_narrow and has_neutral(operation) and sizes[running.dimension] >= LONG:
            return _Doubling(operation, context, running).statements()
        return _run_along_line(operation, context, running)
    return _run_across_rows(operation, context, running)


def _next(
    operation: Operation, context: LoweringContext, running: RunningAxis, carried: Sequence[Expr], index: Index
) -> tuple[Expr, ...]:
    """The accumulators after the element at `index`; in reverse it stands before those that came earlier."""
    values = elements_at(operation, context, index)
    return context.region(0, [*values, *carried] if running.reverse else [*carried, *values])


def _along(running: RunningAxis, size: int, turn: Expr) -> Expr:
    return scalar.sub(scalar.index(size - 1), turn) if running.reverse else turn


def _run_along_line(operation: Operation, context: LoweringContext, running: RunningAxis) -> Sequence[Statement]:
    """Neighbouring lines run in one loop, as each sum on its way waits for the one before it."""
    *outer, lines = operation.operands[0].type.sizes[: running.dimension] or (1,)
    whole, rest = divmod(lines, LINES_ABREAST)

    def abreast(index: Index) -> Sequence[Statement]:
        first = scalar.mul(index[-1], scalar.index(LINES_ABREAST))
        return _run_lines(operation, context, running, _neighbours(index[:-1], first, LINES_ABREAST))

    def remaining(index: Index) -> Sequence[Statement]:
        first = scalar.index(whole * LINES_ABREAST)
        return _run_lines(operation, context, running, _neighbours(index, first, rest))

    statements = nest(context, [*outer, whole], abreast, private=())
    return [*statements, *nest(context, outer, remaining, private=())] if rest else statements


def _neighbours(outer: Index, first: Expr, count: int) -> list[Index]:
    return [(*outer, scalar.add(first, scalar.index(number))) for number in range(count)]


def _run_lines(
    operation: Operation, context: LoweringContext, running: RunningAxis, lines: Sequence[Index]
) -> Sequence[Statement]:
    """One loop along all of `lines`, each with carries of its own."""
    sizes, dimension = operation.operands[0].type.sizes, running.dimension
    turn = context.axis("turn", sizes[dimension])
    after = (scalar.index(0),) * (len(sizes) - dimension - 1)
    carries: list[Carry] = []
    writes: list[Statement] = []
    for line in lines:
        index = (*line[:dimension], _along(running, sizes[dimension], turn), *after)
        carried = [Local("running", result.type.dtype) for result in operation.results]
        values = _next(operation, context, running, carried, index)
        writes += write_all(context, index, values)
        carries += [
            Carry(local, init, value, Local("total", local.dtype))
            for local, init, value in zip(carried, initial_values(operation, context), values, strict=True)
        ]
    return loop(turn, scalar.index(sizes[dimension]), writes, carries)


def _run_across_rows(operation: Operation, context: LoweringContext, running: RunningAxis) -> Sequence[Statement]:
    """A row of accumulators along the last axis runs along the other."""
    sizes, dimension = operation.operands[0].type.sizes, running.dimension
    size = sizes[dimension]
    others = [WindowAxis(extent, 1) for axis, extent in enumerate(sizes) if axis != dimension]
    width = min(sizes[-1], ROW)
    rows = [context.scratch("row", result.type.dtype, (width,)) for result in operation.results]

    def row(outer: Index, start: Expr, length: Expr) -> Sequence[Statement]:
        inits = initial_values(operation, context)
        turn = context.axis("turn", size)

        def begin(place: Expr) -> Sequence[Statement]:
            return [Store(row, (place,), init) for row, init in zip(rows, inits, strict=True)]

        def advance(place: Expr) -> Sequence[Statement]:
            last = scalar.add(start, place)
            index = (*outer[:dimension], _along(running, size, turn), *outer[dimension:], last)
            carried = [Load(row, (place,)) for row in rows]
            bound, values = bind(context, _next(operation, context, running, carried, index))
            stores = [Store(row, (place,), value) for row, value in zip(rows, values, strict=True)]
            return [*bound, *stores, *write_all(context, index, values)]

        return [
            *along_row(context, length, begin),
            *loop(turn, scalar.index(size), along_row(context, length, advance)),
        ]

    return each_row(context, others, row, private=rows)


class _Doubling:
    """Lines in chunks; `halves` are two copies of a chunk, with room for neutral numbers before it.

    `totals` holds, for each place of a block, the last result there.
    """

    def __init__(self, operation: Operation, context: LoweringContext, running: RunningAxis) -> None:
        self.operation, self.context, self.running = operation, context, running
        self.sizes = operation.operands[0].type.sizes
        self.size, dtype = self.sizes[running.dimension], operation.results[0].type.dtype
        self.width = WIDTHS[dtype.itemsize]
        self.chunk = min(CHUNK_BLOCKS, -(-self.size // self.width)) * self.width
        self.halves = [context.scratch("windows", dtype, (self.width + self.chunk,)) for _ in range(2)]
        self.totals = context.scratch("totals", dtype, (self.width,))

    def statements(self) -> Sequence[Statement]:
        """All lines, independent of each other."""
        private = [*self.halves, self.totals]
        return nest(self.context, self.sizes[: self.running.dimension], self._line, "line", private=private)

    def _lanes(self, body: Callable[[Expr], Sequence[Statement]]) -> Statement:
        lane = self.context.axis("lane", self.width)
        return For(lane, scalar.index(self.width), tuple(body(lane)), mode=Mode.LANES)

    def _combined(self, earlier: Expr, later: Expr) -> Expr:
        """In reverse, what comes later stands before what came earlier."""
        pair = [later, earlier] if self.running.reverse else [earlier, later]
        return self.context.region(0, pair)[0]

    def _index(self, line: Index, turn: Expr) -> Index:
        after = (scalar.index(0),) * (len(self.sizes) - self.running.dimension - 1)
        return (*line, _along(self.running, self.size, turn), *after)

    def _line(self, line: Index) -> Sequence[Statement]:
        none, (init,) = neutral(self.operation), initial_values(self.operation, self.context)
        begin = self._lanes(
            lambda lane: [Store(self.totals, (lane,), init), *(Store(half, (lane,), none) for half in self.halves)]
        )
        whole, rest = divmod(self.size, self.chunk)
        number = self.context.axis("chunk", whole)
        first = scalar.mul(number, scalar.index(self.chunk))
        statements = [begin, *loop(number, scalar.index(whole), self._chunk(line, first, self.chunk))]
        return [*statements, *self._chunk(line, scalar.index(whole * self.chunk), rest)] if rest else statements

    def _chunk(self, line: Index, first: Expr, length: int) -> Sequence[Statement]:
        """`length` turns from `first` on, which begin with what the turns before have come to."""
        blocks, rest = divmod(length, self.width)
        place, width = self.context.axis("place", length), scalar.index(self.width)
        (element,) = elements_at(self.operation, self.context, self._index(line, scalar.add(first, place)))
        filled = Store(self.halves[0], (scalar.add(place, width),), element)
        bound, (total,) = bind(self.context, [Load(self.totals, (scalar.index(self.width - 1),))])
        statements = [For(place, scalar.index(length), (filled,), mode=Mode.VECTOR), *bound]
        statements.append(self._lanes(lambda lane: [Store(self.totals, (lane,), total)]))
        distance, source = 1, 0
        while 2 * distance < self.width:
            statements += self._doubled(source, distance, length)
            distance, source = 2 * distance, 1 - source
        block = self.context.axis("block", blocks)
        base = scalar.mul(block, width)
        if blocks:
            advanced = self._lanes(
                lambda lane: self._advance(line, first, scalar.add(base, lane), lane, source, distance)
            )
            statements += loop(block, scalar.index(blocks), (advanced,))
        if rest:
            lane = self.context.axis("lane", rest)
            base = scalar.index(blocks * self.width)
            last = self._advance(line, first, scalar.add(base, lane), lane, source, distance)
            statements += loop(lane, scalar.index(rest), last)
        return statements

    def _window(self, source: int, place: Expr, distance: int) -> Expr:
        """The window twice as long as those in a half that ends at a place of a chunk."""
        before, last = (scalar.add(place, scalar.index(self.width - back)) for back in (distance, 0))
        half = self.halves[source]
        return self._combined(Load(half, (before,)), Load(half, (last,)))

    def _doubled(self, source: int, distance: int, length: int) -> Sequence[Statement]:
        place = self.context.axis("place", length)
        target = (scalar.add(place, scalar.index(self.width)),)
        stored = Store(self.halves[1 - source], target, self._window(source, place, distance))
        return (For(place, scalar.index(length), (stored,), mode=Mode.VECTOR),)

    def _advance(
        self, line: Index, first: Expr, place: Expr, lane: Expr, source: int, distance: int
    ) -> Sequence[Statement]:
        """One result from that a block before."""
        value = self._combined(Load(self.totals, (lane,)), self._window(source, place, distance))
        written = write_all(self.context, self._index(line, scalar.add(first, place)), [value])
        return [Store(self.totals, (lane,), value), *written]
