"""Cumulative reductions on a GPU: running windows along an axis, `tenfoldc.ops.window.running_axis`.

The threads of a team run along a line together, tile by tile.  Each combines a few neighbouring elements; what the
threads before it have is found by combining over doubled distances (Hillis and Steele, "Data parallel algorithms",
1986), and what the tiles before have is carried along:

    results of a thread = carry . threads before . own elements so far

Few long lines are cut into parts: a first launch folds each part, and in the second every part begins with the fold of
those before it.  Bodies that are not known to be associative run along each line in one thread.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tenfold_rt.frozen import frozen
from tenfoldc.gpu.lower.grid import Grid, both
from tenfoldc.gpu.lower.threads import BLOCK, FULL, WARP, power_of_two
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
    Launch,
    Load,
    Local,
    Statement,
    Store,
)
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.folding import has_neutral, neutral
from tenfoldc.lower.loop_nest import bind, nest
from tenfoldc.lower.products.product import delinearise
from tenfoldc.lower.window_values import elements_at, initial_values, write_all
from tenfoldc.ops.window import RunningAxis

_ELEMENTS = 8
"""Neighbouring elements of a line that one thread combines."""


def lower_running(operation: Operation, ctx: LoweringContext, running: RunningAxis) -> Sequence[Statement]:
    """The launches of a cumulative reduction."""
    if not has_neutral(operation):
        return _one_thread_a_line(operation, ctx, running)
    return _Scan(operation, ctx, running).launches()


def _one_thread_a_line(operation: Operation, ctx: LoweringContext, running: RunningAxis) -> Sequence[Statement]:
    lines = _Lines(operation, ctx, running)
    others = [size for axis, size in enumerate(lines.sizes) if axis != running.dimension]

    def line(index: tuple[Expr, ...]) -> Sequence[Statement]:
        turn = ctx.axis("turn", lines.size)
        place = lines.place(turn)
        element = (*index[: running.dimension], place, *index[running.dimension :])
        carried = [Local("running", result.type.dtype) for result in operation.results]
        values = lines.combined(carried, elements_at(operation, ctx, element))
        results = [Local("total", local.dtype) for local in carried]
        carries = tuple(map(Carry, carried, initial_values(operation, ctx), values, results))
        return [For(turn, scalar.index(lines.size), tuple(write_all(ctx, element, values)), carries)]

    return nest(ctx, others, line, private=())


@frozen
class _Lines:
    """The lines that a cumulative reduction runs along."""

    operation: Operation
    ctx: LoweringContext
    running: RunningAxis

    @property
    def sizes(self) -> tuple[int, ...]:
        return self.operation.operands[0].type.sizes

    @property
    def size(self) -> int:
        return self.sizes[self.running.dimension]

    @property
    def adjoining(self) -> int:
        """How many lines lie side by side in memory."""
        return math.prod(self.sizes[self.running.dimension + 1 :])

    @property
    def count(self) -> int:
        return math.prod(self.sizes[: self.running.dimension]) * self.adjoining

    def place(self, turn: Expr) -> Expr:
        """Where along the axis the element number `turn` of a line is."""
        return scalar.sub(scalar.index(self.size - 1), turn) if self.running.reverse else turn

    def index(self, line: Expr, turn: Expr) -> tuple[Expr, ...]:
        dimension = self.running.dimension
        others = delinearise(line, [*self.sizes[:dimension], *self.sizes[dimension + 1 :]])
        return (*others[:dimension], self.place(turn), *others[dimension:])

    def combined(self, earlier: Sequence[Expr], later: Sequence[Expr]) -> Sequence[Expr]:
        """In reverse, what comes later stands before what came earlier."""
        return self.ctx.region(0, [*later, *earlier] if self.running.reverse else [*earlier, *later])

    def joined(self, earlier: Expr, later: Expr) -> Expr:
        return self.combined([earlier], [later])[0]


class _Scan:
    """The launches of a cumulative reduction whose body is associative and has a neutral number."""

    def __init__(self, operation: Operation, ctx: LoweringContext, running: RunningAxis) -> None:
        self.operation, self.ctx = operation, ctx
        self.lines = _Lines(operation, ctx, running)
        self.dtype = operation.results[0].type.dtype
        self.elements = min(_ELEMENTS, power_of_two(self.lines.size))
        wanted = power_of_two(-(-self.lines.size // self.elements))
        self.stride = min(WARP, power_of_two(self.lines.adjoining))
        self.team = min(BLOCK // self.stride, wanted)
        self.rows = self.stride if self.stride > 1 else BLOCK // self.team
        self.tile = self.team * self.elements
        tiles = -(-self.lines.size // self.tile)
        self.blocks = -(-self.lines.count // self.rows)
        parts = min(tiles, -(-FULL // self.blocks))
        self.turns = -(-tiles // parts)
        self.parts = -(-tiles // self.turns)

    def launches(self) -> list[Statement]:
        if not self.lines.count:
            return []
        if self.parts == 1:
            return [_Tiles(self).scan(None)]
        folds = self.ctx.scratch("folds", self.dtype, (self.lines.count, self.parts))
        return [_Tiles(self).fold(folds), _Tiles(self).scan(folds)]


class _Tiles:
    """One launch of a scan: which line and which part a thread works on, and its place in the team."""

    def __init__(self, shape: _Scan) -> None:
        self.shape, self.ctx, self.lines = shape, shape.ctx, shape.lines
        self.neutral = neutral(shape.operation)
        self.grid = Grid(shape.ctx.axis, shape.blocks * shape.parts, shape.team * shape.rows)
        thread, team, rows = self.grid.thread, scalar.index(shape.team), scalar.index(shape.rows)
        if shape.stride > 1:
            self.lane, row = scalar.div(thread, rows), scalar.rem(thread, rows)
        else:
            self.lane, row = scalar.rem(thread, team), scalar.div(thread, team)
        parts = scalar.index(shape.parts)
        self.part = scalar.rem(self.grid.block, parts)
        line = scalar.add(scalar.mul(scalar.div(self.grid.block, parts), rows), row)
        self.is_line: list[Expr] = []
        if self.lines.count % shape.rows:
            self.is_line = [scalar.less(line, scalar.index(self.lines.count))]
            line = scalar.minimum(line, scalar.index(self.lines.count - 1))
        self.line = self.grid.known("line", self.lines.count, line)

    def fold(self, folds: Buffer) -> Launch:
        """Fold each part of each line into `folds`."""
        turn = self.ctx.axis("turn", self.shape.turns)
        total = self._neutral_outside(*self._places(turn))
        statements, fold = self._all(turn, self.shape.turns, self._joined(total)[-1])
        leads = both([scalar.equal(self.lane, scalar.index(0)), *self.is_line])
        stored = If(leads, (Store(folds, (self.line, self.part), fold),))
        return self.grid.launch("folds", [*statements, stored])

    def scan(self, folds: Buffer | None) -> Launch:
        """Write what each line amounts to at each of its elements."""
        (start,) = initial_values(self.shape.operation, self.ctx)
        body: list[Statement] = []
        if folds is not None:
            parts, team = self.shape.parts, self.shape.team
            turn = self.ctx.axis("turn", -(-parts // team))
            number = scalar.add(scalar.mul(turn, scalar.index(team)), self.lane)
            place = self.grid.known("part", parts, scalar.minimum(number, scalar.index(parts - 1)))
            is_before = scalar.less(number, self.part)
            before = scalar.select(is_before, Load(folds, (self.line, place)), self.neutral)
            statements, fold = self._all(turn, -(-parts // team), before)
            body += statements
            start = self.lines.joined(start, fold)
        turn = self.ctx.axis("turn", self.shape.turns)
        running = Local("running", self.shape.dtype)
        statements, following = self._tile(turn, running)
        carry = Carry(running, start, following, Local("total", running.dtype))
        body.append(For(turn, scalar.index(self.shape.turns), tuple(statements), (carry,)))
        return self.grid.launch("scan", body)

    def _all(self, turn: Axis, turns: int, value: Expr) -> tuple[list[Statement], Expr]:
        """The fold of `value` at all turns of all threads of a team."""
        local, total = (Local(name, value.dtype) for name in ("fold", "folded"))
        carry = Carry(local, self.neutral, self.lines.joined(local, value), total)
        statements: list[Statement] = [For(turn, scalar.index(turns), (), (carry,))]
        if self.shape.team == 1:
            return statements, total
        result, lhs, rhs = (Local(name, value.dtype) for name in ("all", "lower", "higher"))
        combined = (self.lines.joined(lhs, rhs),)
        combine = Combine((total,), (result,), (lhs,), (rhs,), combined, self.shape.team, self.shape.stride)
        return [*statements, combine], result

    def _places(self, turn: Expr) -> tuple[list[Axis], list[Expr | None]]:
        """The elements of a thread in one tile, and whether there are such, where that is not certain."""
        shape, size = self.shape, self.lines.size
        tile = scalar.add(scalar.mul(self.part, scalar.index(shape.turns)), turn)
        cell = scalar.add(scalar.mul(tile, scalar.index(shape.team)), self.lane)
        numbers = [scalar.index(number) for number in range(shape.elements)]
        width = scalar.index(shape.elements)
        is_inside: Expr | None = None
        if size % shape.elements == 0:
            cells = size // shape.elements
            if cells != shape.parts * shape.turns * shape.team:
                is_inside = scalar.less(cell, scalar.index(cells))
                cell = scalar.minimum(cell, scalar.index(cells - 1))
            first = scalar.mul(self.grid.known("cell", cells, cell), width)
            places = [self.grid.known("place", size, scalar.add(first, number)) for number in numbers]
            return places, [is_inside] * shape.elements
        all_places = [scalar.add(scalar.mul(cell, width), number) for number in numbers]
        last = scalar.index(size - 1)
        places = [self.grid.known("place", size, scalar.minimum(place, last)) for place in all_places]
        return places, [scalar.less(place, scalar.index(size)) for place in all_places]

    def _neutral_outside(self, places: Sequence[Axis], inside: Sequence[Expr | None]) -> list[Expr]:
        """The elements at `places`, and neutral numbers where there are none."""
        values = [self.ctx.read(0, self.lines.index(self.line, place)) for place in places]
        return [
            value if is_inside is None else scalar.select(is_inside, value, self.neutral)
            for value, is_inside in zip(values, inside, strict=True)
        ]

    def _joined(self, values: Sequence[Expr]) -> list[Expr]:
        """Each of `values` with all before it."""
        joined = [values[0]]
        for value in values[1:]:
            joined.append(self.lines.joined(joined[-1], value))
        return joined

    def _tile(self, turn: Axis, running: Local) -> tuple[list[Statement], Expr]:
        """Write the results of one tile, before which there is `running`; gives what there is after it."""
        places, inside = self._places(turn)
        own = self._joined(self._neutral_outside(places, inside))
        statements, before, following = self._exchange(own[-1], running)
        for place, is_inside, value in zip(places, inside, own, strict=True):
            written = self.ctx.write(self.lines.index(self.line, place), self.lines.joined(before, value))
            conditions = [*self.is_line, *([] if is_inside is None else [is_inside])]
            statements += [If(both(conditions), tuple(written))] if conditions else written
        if self.shape.team > 1 and self.shape.turns > 1:
            statements.append(Barrier())
        return statements, following

    def _exchange(self, total: Expr, running: Local) -> tuple[list[Statement], Expr, Expr]:
        """What comes before the elements of a thread, and after those of its team; each thread brings its `total`."""
        team, stride = self.shape.team, self.shape.stride
        if team == 1:
            return [], running, self.lines.joined(running, total)
        memory = self.grid.shared("totals", total.dtype, (2, self.grid.threads))
        thread = self.grid.thread
        statements: list[Statement] = []
        distance, half = 1, 0
        while distance < team:
            statements += [Store(memory, (scalar.index(half), thread), total), Barrier()]
            has_other = scalar.greater_equal(self.lane, scalar.index(distance))
            other = Load(memory, (scalar.index(half), self._behind(has_other, distance * stride)))
            total = scalar.select(has_other, self.lines.joined(other, total), total)
            distance, half = 2 * distance, 1 - half
        statements += [Store(memory, (scalar.index(half), thread), total), Barrier()]
        has_other = scalar.greater(self.lane, scalar.index(0))
        other = Load(memory, (scalar.index(half), self._behind(has_other, stride)))
        before = scalar.select(has_other, self.lines.joined(running, other), running)
        rest = scalar.sub(scalar.index(team - 1), self.lane)
        last = scalar.add(thread, scalar.mul(rest, scalar.index(stride)))
        bound, values = bind(self.ctx, [before, Load(memory, (scalar.index(half), last))])
        return [*statements, *bound], values[0], self.lines.joined(running, values[1])

    def _behind(self, has_other: Expr, distance: int) -> Expr:
        """The thread `distance` before, where there is one, else the thread itself."""
        thread = self.grid.thread
        return scalar.select(has_other, scalar.sub(thread, scalar.index(distance)), thread)
