"""Nests on a GPU: elementwise operations one cell a thread, reductions one team of threads a row.

Where a row's elements fit in the registers of its team, all passes over it are straight-line code: what one pass has
loaded or computed, the next still has.  Longer rows are passed over in loops.  Few long rows are folded in parts, whose
results a second launch combines.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tenfoldc.gpu.lower.threads import BLOCK, Team, across_rows, along_rows, divided, parts_of, vector_width
from tenfoldc.gpu.lower.tiles import TileSide, tiles
from tenfoldc.ir.core import Operation
from tenfoldc.ir.groups import Group
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Axis, Buffer, Carry, Combine, Expr, For, If, Launch, Local, Statement, Store
from tenfoldc.loops.rewriting import BufferReplacer
from tenfoldc.lower.folding import accumulate, has_neutral, neutral
from tenfoldc.lower.nest import Nest, around, inits_of
from tenfoldc.lower.passes import Passes, find_passes
from tenfoldc.lower.space import Accesses, Space, improved
from tenfoldc.lower.storage import Storage

_MAX_ROUNDS = 8

_RAGGED_OPERATIONS = 16
"""Group sizes up to which a cell that is cut short has code of its own."""


def lower_nest(group: Group, storage: Storage) -> tuple[list[Statement], list[Buffer]]:
    """The launches of a nest and the memory that they share."""
    passes = find_passes(group)
    passes = replace(passes, kept={p: [v for v in kept if v in group.results] for p, kept in passes.kept.items()})
    space, width = Space.of(group), 1
    for _ in range(_MAX_ROUNDS):
        probe = DeviceNest(group, storage, space, passes)
        statements = probe.plain()
        width = vector_width(statements)
        better = improved(space, Accesses.of(statements, probe.loop_of, probe.algebra), tile=not passes.count)
        if better is space:
            break
        space = better
    nest = DeviceNest(group, storage, space, passes, width)
    return nest.build(), nest.scratch


class DeviceNest(Nest):
    """The launches of one nest in a given space; `width` is how many elements one access of a thread takes."""

    def __init__(self, group: Group, storage: Storage, space: Space, passes: Passes, width: int = 1) -> None:
        super().__init__(group, storage, space, passes)
        self.width = width
        self.replaced: dict[Expr, Expr] = {}
        """Indices that stand for what threads compute them from."""

    def plain(self) -> list[Statement]:
        """The nest as loops, one thread a row."""
        at: dict[int, Expr] = {}
        loops: list[tuple[Axis, Expr]] = []
        for loop in self.space.rows:
            axis = self.axis(loop, self.space.extent(loop))
            loops.append((axis, scalar.index(self.space.extent(loop))))
            at[loop] = axis
        return around(loops, self._row(at), private=self.scratch)

    def part_size(self, number: int, folded: Sequence[Operation]) -> int | None:
        """None: threads share no pass of a plain nest."""
        return None

    def build(self) -> list[Statement]:
        """The launches."""
        rows = math.prod(self.space.extent(loop) for loop in self.space.rows)
        if not rows:
            return []
        if self.space.tiled is not None:
            return [self._in_tiles(self.space.tiled)]
        if not self.passes.count:
            return [self._elementwise(rows)]
        folded = [operation for operations in self.passes.reductions.values() for operation in operations]
        length = math.prod(self.space.extent(loop) for loop in self.space.folded)
        if not length or not all(map(has_neutral, folded)):
            return self.plain()
        return _Rows(self, rows, length).launches()

    def known(self, name: str, extent: int, value: Expr) -> Axis:
        """An index below `extent` that stands for `value`."""
        axis = self.axis(None, extent, name)
        self.replaced[axis] = value
        return axis

    def launch(
        self, name: str, block: Axis, blocks: int, thread: Axis, threads: int, body: Sequence[Statement]
    ) -> Launch:
        """A launch of `body`, in which indices are what they stand for."""
        statements = BufferReplacer({}, self.replaced).statements(body)
        return Launch(name, block, scalar.index(blocks), thread, threads, statements)

    def spread(self, loops: Sequence[int], index: Expr) -> dict[int, Expr]:
        """The index of each of `loops` at a position in the space that they span."""
        at: dict[int, Expr] = {}
        for loop in reversed(loops):
            extent = scalar.index(self.space.extent(loop))
            at[loop] = self.algebra.simplify(scalar.rem(index, extent))
            index = self.algebra.simplify(scalar.div(index, extent))
        return at

    def _elementwise(self, elements: int) -> Launch:
        """One cell a thread."""
        vector, is_ragged = self._cell(elements)
        cells = -(-elements // vector)
        block, thread = Axis("block"), Axis("thread")
        linear = scalar.add(scalar.mul(block, scalar.index(BLOCK)), thread)
        cell = self.known("cell", cells, linear)
        first = scalar.mul(cell, scalar.index(vector))
        parts = [self._element(scalar.add(first, scalar.index(number))) for number in range(vector)]
        body: Sequence[Statement] = [store for stores in parts for store in stores]
        if is_ragged:
            total = scalar.index(elements)
            each = [
                If(scalar.less(scalar.add(first, scalar.index(number)), total), tuple(stores))
                for number, stores in enumerate(parts)
            ]
            is_whole = scalar.less_equal(scalar.add(first, scalar.index(vector)), total)
            body = [If(is_whole, tuple(body), tuple(each))]
        if cells % BLOCK:
            body = [If(scalar.less(cell, scalar.index(cells)), tuple(body))]
        return self.launch("elements", block, -(-cells // BLOCK), thread, BLOCK, body)

    def _in_tiles(self, loops: tuple[int, int]) -> Launch:
        """Tiles of two loops, for what is read or written across memory."""
        sides = [TileSide(self.axis(loop, self.space.extent(loop)), self.space.extent(loop)) for loop in loops]
        others = [loop for loop in self.space.rows if loop not in loops]
        outer = self.axis(None, math.prod(self.space.extent(loop) for loop in others), "outer")
        at = {loop: side.axis for loop, side in zip(loops, sides, strict=True)}
        here = self.positions(at | self.spread(others, outer))
        self.warm(here, 0, None)
        stores = self.store_results(self.passes.rows.get(0, []), here)
        outer_extent = math.prod(self.space.extent(loop) for loop in others)
        return tiles(stores, TileSide(outer, outer_extent), sides[0], sides[1], self.algebra)

    def _cell(self, elements: int) -> tuple[int, bool]:
        """How many elements a thread takes, and whether the last thread has fewer."""
        width = self.width
        if not self.space.rows:
            return 1, False
        if len(self.space.rows) > 1 or elements % width == 0 or len(self.group.operations) > _RAGGED_OPERATIONS:
            return divided(self.space.extent(self.space.rows[-1]), width), False
        return (width, True) if elements > width else (1, False)

    def _element(self, index: Expr) -> list[Statement]:
        here = self.positions(self.spread(self.space.rows, index))
        self.warm(here, 0, None)
        return self.store_results(self.passes.rows.get(0, []), here)


class _Rows:
    """The launches of a nest with reductions, `rows` rows of `length` elements."""

    def __init__(self, nest: DeviceNest, rows: int, length: int) -> None:
        self.nest = nest
        self.rows = rows
        self.length = length
        vector = divided(nest.space.extent(nest.space.folded[-1]), nest.width)
        keeps_innermost = not nest.space.is_reduced(self._innermost())
        operations = len(nest.group.operations)
        is_across = keeps_innermost and nest.space.rows
        self.team = across_rows(length, rows, operations) if is_across else along_rows(length, vector, operations)
        self.parts = 1
        if self._is_one_fold():
            self.parts = parts_of(length, -(-rows // self.team.rows), self.team)
        self.block, self.thread = Axis("block"), Axis("thread")
        self.statements: list[Statement] = []

    def launches(self) -> list[Statement]:
        return self._in_parts() if self.parts > 1 else [self._whole()]

    def _innermost(self) -> int:
        """The loop over the last axis of the group."""
        last = len(self.nest.group.extents) - 1
        return next(
            number
            for number, parts in reversed(list(enumerate(self.nest.space.loops)))
            if any(axis == last for axis, _ in parts)
        )

    def _is_one_fold(self) -> bool:
        """Whether reductions wait for no other, and nothing else has an element per turn."""
        passes = self.nest.passes
        return passes.count == 1 and not passes.elements

    def _whole(self) -> Launch:
        """All passes over a row by one team."""
        nest, passes = self.nest, self.nest.passes
        row, lane, is_row = self._place(self.team, self.block)
        at = nest.spread(nest.space.rows, row)
        here = nest.positions(at)
        nest.warm(here, 0, None)
        self._store_rows(0, here, lane, is_row)
        kept = None if self.team.is_looped else self._cells(lane, scalar.index(0), self.team.cells)
        for number in range(1, passes.count + 1):
            totals = self._pass(number, at, lane, is_row, kept)
            self._let(number, totals, here)
            nest.warm(here, number, None)
            self._store_rows(number, here, lane, is_row)
        blocks = -(-self.rows // self.team.rows)
        return nest.launch("rows", self.block, blocks, self.thread, self.team.size, self.statements)

    def _let(self, number: int, totals: Sequence[Expr], here: Mapping[int, Expr]) -> None:
        """Let the reductions of a pass be their totals, with what they begin with."""
        nest = self.nest
        for operation, total in zip(nest.passes.reductions.get(number, []), totals, strict=True):
            (result,), (init,) = operation.results, inits_of(operation)
            (final,) = accumulate(nest.elements, operation, [nest.elements.read(init, ())], [total])
            nest.elements.let(result, nest.index(nest.group.maps[result][0], here), final)

    def _in_parts(self) -> list[Statement]:
        """One launch that folds parts of rows, and one that combines them."""
        nest, team = self.nest, self.team
        folded = nest.passes.reductions[1]
        vectors = -(-self.length // team.vector)
        size = -(-vectors // self.parts)
        size = -(-size // team.threads) * team.threads
        parts = -(-vectors // size)
        partial = [nest.new_scratch("part", operation.results[0], [self.rows, parts]) for operation in folded]
        block = nest.axis(None, -(-self.rows // team.rows) * parts, "block")
        part = scalar.rem(block, scalar.index(parts))
        row, lane, is_row = self._place(team, scalar.div(block, scalar.index(parts)))
        at = nest.spread(nest.space.rows, row)
        totals = self._fold(1, at, lane, scalar.mul(part, scalar.index(size)), -(-size // team.threads), is_row)
        index = [row, part]
        stores = [Store(buffer, tuple(index), total) for buffer, total in zip(partial, totals, strict=True)]
        self._guarded(stores, self._leads(lane, is_row))
        blocks = -(-self.rows // team.rows) * parts
        first = nest.launch("parts", block, blocks, self.thread, team.size, self.statements)
        return [first, self._combined(folded, partial, parts)]

    def _combined(self, folded: Sequence[Operation], partial: Sequence[Buffer], parts: int) -> Launch:
        """The launch that combines the parts of each row."""
        nest = self.nest
        self.statements = []
        team = self.team = along_rows(parts, 1, len(nest.group.operations))
        row, lane, is_row = self._place(team, self.block)
        here = nest.positions(nest.spread(nest.space.rows, row))
        nest.warm(here, 0, None)
        self._store_rows(0, here, lane, is_row)
        accumulators: list[Expr] = [neutral(operation) for operation in folded]
        for number in range(team.cells):
            cell = scalar.add(lane, scalar.index(number * team.threads))
            place = nest.known("part", parts, scalar.minimum(cell, scalar.index(parts - 1)))
            is_part = scalar.less(cell, scalar.index(parts))
            for position, (operation, buffer) in enumerate(zip(folded, partial, strict=True)):
                value = scalar.select(is_part, nest.elements.load(buffer, [row, place]), neutral(operation))
                (accumulators[position],) = accumulate(nest.elements, operation, [accumulators[position]], [value])
        self._let(1, self._combine(folded, accumulators), here)
        nest.warm(here, 1, None)
        self._store_rows(1, here, lane, is_row)
        blocks = -(-self.rows // team.rows)
        return nest.launch("combine", self.block, blocks, self.thread, team.size, self.statements)

    def _place(self, team: Team, block: Expr) -> tuple[Axis, Expr, Expr | None]:
        """The row of a thread, its place in the team, and whether there is such a row, where that is not certain."""
        nest, thread = self.nest, self.thread
        if team.stride == 1:
            lane = scalar.rem(thread, scalar.index(team.threads))
            within = scalar.div(thread, scalar.index(team.threads))
        else:
            lane, within = scalar.div(thread, scalar.index(team.stride)), scalar.rem(thread, scalar.index(team.stride))
        place = scalar.add(scalar.mul(block, scalar.index(team.rows)), within)
        if self.rows % team.rows == 0:
            return nest.known("row", self.rows, place), lane, None
        inside = scalar.minimum(place, scalar.index(self.rows - 1))
        return nest.known("row", self.rows, inside), lane, scalar.less(place, scalar.index(self.rows))

    def _cells(self, lane: Expr, first: Expr, count: int) -> list[tuple[Axis, Expr | None]]:
        """The cells of a thread, and whether there is such a cell, where that is not certain."""
        return [self._one_cell(lane, first, scalar.index(number), count) for number in range(count)]

    def _one_cell(self, lane: Expr, first: Expr, number: Expr, count: int) -> tuple[Axis, Expr | None]:
        team, vectors = self.team, -(-self.length // self.team.vector)
        place = scalar.add(scalar.add(first, scalar.mul(number, scalar.index(team.threads))), lane)
        if self.parts == 1 and count * team.threads == vectors:
            return self.nest.known("cell", vectors, place), None
        inside = scalar.minimum(place, scalar.index(vectors - 1))
        return self.nest.known("cell", vectors, inside), scalar.less(place, scalar.index(vectors))

    def _pass(
        self,
        number: int,
        at: Mapping[int, Expr],
        lane: Expr,
        is_row: Expr | None,
        cells: Sequence[tuple[Axis, Expr | None]] | None,
    ) -> list[Expr]:
        """One pass over a row by its team; gives what its reductions amount to, known to all of the team."""
        if cells is None:
            return self._fold(number, at, lane, scalar.index(0), self.team.cells, is_row)
        folded = self.nest.passes.reductions.get(number, [])
        accumulators: list[Expr] = [neutral(operation) for operation in folded]
        for cell, is_cell in cells:
            stores, accumulators = self._take(number, at, cell, is_cell, accumulators)
            self._guarded(stores, _both(is_cell, is_row))
        return self._combine(folded, accumulators)

    def _fold(
        self, number: int, at: Mapping[int, Expr], lane: Expr, first: Expr, count: int, is_row: Expr | None
    ) -> list[Expr]:
        """A pass over `count` cells a thread from cell `first` of the team on, in a loop."""
        nest = self.nest
        folded = nest.passes.reductions.get(number, [])
        turn = nest.axis(None, count, "turn")
        cell, is_cell = self._one_cell(lane, first, turn, count)
        carried = [Local("sum", operation.operands[0].type.dtype) for operation in folded]
        outside, self.statements = self.statements, []
        stores, following = self._take(number, at, cell, is_cell, list(carried))
        self._guarded(stores, _both(is_cell, is_row))
        results = [Local("total", local.dtype) for local in carried]
        starts = [neutral(operation) for operation in folded]
        carries = tuple(map(Carry, carried, starts, following, results))
        self.statements = [*outside, For(turn, scalar.index(count), tuple(self.statements), carries)]
        return self._combine(folded, list(results))

    def _take(
        self, number: int, at: Mapping[int, Expr], cell: Axis, is_cell: Expr | None, accumulators: Sequence[Expr]
    ) -> tuple[list[Store], list[Expr]]:
        """The stores of a pass at one cell, and the accumulators after it."""
        nest = self.nest
        following = list(accumulators)
        stores: list[Store] = []
        for offset in range(self.team.vector):
            position = scalar.add(scalar.mul(cell, scalar.index(self.team.vector)), scalar.index(offset))
            here = nest.positions({**at, **nest.spread(nest.space.folded, position)})
            if self.team.is_looped:
                nest.bind_kept(here, ())
            nest.warm(here, number - 1, number)
            for statement in nest.store_results(nest.passes.elements.get(number, []), here):
                assert isinstance(statement, Store)
                stores.append(statement)
            for place, operation in enumerate(nest.passes.reductions.get(number, [])):
                element = nest.elements.read(
                    operation.operands[0], nest.index(nest.group.operand_maps[operation], here)
                )
                if is_cell is not None:
                    element = scalar.select(is_cell, element, neutral(operation))
                (following[place],) = accumulate(nest.elements, operation, [following[place]], [element])
        for value in nest.passes.kept.get(number, []):
            nest.kept[value] = nest.storage.result(value)
        return stores, following

    def _combine(self, folded: Sequence[Operation], values: Sequence[Expr]) -> list[Expr]:
        """What the threads of a team have, combined."""
        if self.team.threads == 1 or not folded:
            return list(values)

        def locals_of(name: str) -> tuple[Local, ...]:
            return tuple(Local(name, value.dtype) for value in values)

        results, lhs, rhs = locals_of("all"), locals_of("lower"), locals_of("higher")
        combined = tuple(
            accumulate(self.nest.elements, operation, [x], [y])[0]
            for operation, x, y in zip(folded, lhs, rhs, strict=True)
        )
        team = self.team
        self.statements.append(Combine(tuple(values), results, lhs, rhs, combined, team.threads, team.stride))
        return list(results)

    def _store_rows(self, number: int, here: Mapping[int, Expr], lane: Expr, is_row: Expr | None) -> None:
        """Store the results that have an element per row, by the first thread of its team."""
        stores = self.nest.store_results(self.nest.passes.rows.get(number, []), here)
        self._guarded([store for store in stores if isinstance(store, Store)], self._leads(lane, is_row))

    def _leads(self, lane: Expr, is_row: Expr | None) -> Expr | None:
        """Whether a thread is the first of its team."""
        return is_row if self.team.threads == 1 else _both(scalar.equal(lane, scalar.index(0)), is_row)

    def _guarded(self, stores: Sequence[Store], condition: Expr | None) -> None:
        """Store where `condition` holds; what is stored is computed before, so that later passes have it too."""
        if not stores:
            return
        if condition is None:
            self.statements.extend(stores)
            return
        held = [Local("held", store.value.dtype) for store in stores]
        carries = tuple(
            Carry(local, store.value, local, result)
            for store, local, result in zip(stores, (Local("held", x.dtype) for x in held), held, strict=True)
        )
        self.statements.append(For(self.nest.axis(None, 0, "none"), scalar.index(0), (), carries))
        guarded = tuple(replace(store, value=local) for store, local in zip(stores, held, strict=True))
        self.statements.append(If(condition, guarded))


def _both(first: Expr | None, second: Expr | None) -> Expr | None:
    """Both conditions, where there are two."""
    if first is None or second is None:
        return second if first is None else first
    return scalar.logical_and(first, second)
