"""Nests whose innermost axis in memory is kept by the reductions: whole rows are added up, a tile of columns at a time.

Each reduction has a row of accumulators in scratch memory, narrow enough for the first-level cache.  The loop over
columns is innermost, so memory is read in order and vectors run along it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tenfoldc.ir.core import Operation, Value
from tenfoldc.ir.groups import Group
from tenfoldc.ir.op import Kind
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Axis, Buffer, Expr, For, Statement
from tenfoldc.lower.folding import accumulate, has_neutral, in_pairs, is_float_sum, neutral, zero
from tenfoldc.lower.nest import Nest, around, inits_of
from tenfoldc.lower.parts import ENOUGH_ROWS, ROW_BLOCK, row_block_size
from tenfoldc.lower.passes import Passes, runs_inside
from tenfoldc.lower.space import Space
from tenfoldc.lower.storage import Storage

_WIDTH = 2048
"""Columns per tile: accumulators of 8 KiB in f32."""

_CACHE_ELEMENTS = 65536
"""Elements of a tile of rows and columns that is passed over several times."""

_MIN_WIDTH = 16
_UNROLL = 4
_UNROLL_OPERATIONS = 12
"""Rows added in one go, where the kernel is small: accumulators are then read and written a fourth as often."""


_CHUNK_ELEMENTS = 1 << 16
_CHUNK_ROWS = 32
_MOST_CHUNKS = 16
"""A reduction is cut into chunks of rows of at least this size, at most so many, for threads to share."""


class _Span(NamedTuple):
    """Turns of a loop: from which, and how many."""

    loop: int
    start: Expr
    extent: int


class Columns(Nest):
    """A nest with accumulators per column."""

    def __init__(self, group: Group, storage: Storage, space: Space, passes: Passes) -> None:
        super().__init__(group, storage, space, passes)
        self.accumulators: dict[Value, Buffer] = {}
        self.done: dict[Value, Buffer] = {}
        """Values with an element per column that later passes read: totals, and what was computed from them."""
        self.column_loop = space.rows[-1]
        self.extent = space.extent(self.column_loop)
        self.width = min(self.extent, self._width())
        self.partial: dict[Value, Buffer] = {}
        """Sums of chunks of rows."""
        self._columns_start: Expr = scalar.index(0)
        self._columns_left: Expr = scalar.index(self.width)
        self.chunk = self._chunk()

    def _width(self) -> int:
        if self.passes.count == 1:
            return _WIDTH
        height = math.prod(self.space.extent(loop) for loop in self.space.folded)
        fitting = _CACHE_ELEMENTS // max(height, 1)
        return max(_MIN_WIDTH, min(_WIDTH, 1 << max(fitting, 1).bit_length() - 1))

    def build(self) -> list[Statement]:
        body: list[Statement] = []
        if self.chunk is not None:
            body.append(self._in_chunks(self.chunk))
        at: dict[int, Expr] = {}
        loops: list[tuple[Axis, int]] = []
        for loop in self.space.rows[:-1]:
            axis = self.axis(loop, self.space.extent(loop))
            loops.append((axis, self.space.extent(loop)))
            at[loop] = axis
        loops.extend(self._begin_tile())
        tile = self._tile(at)
        rows = [(axis, scalar.index(extent)) for axis, extent in loops]
        return [*body, *around(rows, tile, private=self._private())]

    def _private(self) -> list[Buffer]:
        """The scratch memory that holds nothing from one tile or chunk to the next."""
        return [buffer for buffer in self.scratch if buffer not in self.partial.values()]

    def _begin_tile(self) -> list[tuple[Axis, int]]:
        """Let the columns be those of one tile; gives the loop over tiles, if there are several."""
        if self.extent <= self.width:
            return []
        block, self._columns_start, self._columns_left = self.cut(self.extent, self.width, "b")
        return [(block, -(-self.extent // self.width))]

    def _tile(self, row: Mapping[int, Expr]) -> list[Statement]:
        """All passes over one tile of columns."""
        body = self._columns(row, lambda at, _: self._finish(0, at))
        for number in range(1, self.passes.count + 1):
            body.extend(self._pass_over(number, row))
            folded = self.passes.reductions.get(number, [])
            self.done |= {result: self.accumulators[result] for op in folded for result in op.results}
            body.extend(self._columns(row, lambda at, w, number=number: self._finish(number, at, w)))
            self.done |= {value: self.accumulators[value] for value in self._shared(number)}
        return body

    def _columns(
        self, row: Mapping[int, Expr], make: Callable[[dict[int, Expr], Expr], list[Statement]]
    ) -> list[Statement]:
        """A loop over the columns of the tile; `make` gets the position and the column within the tile."""
        column = self.axis(self.column_loop, self.width)
        index = scalar.add(self._columns_start, column)
        at = self.positions({**row, self.column_loop: index})
        for value, buffer in self.done.items():
            self.elements.let(value, self.index(self.group.maps[value][0], at), self.elements.load(buffer, [column]))
        body = make(at, column)
        return [For(column, self._columns_left, tuple(body))] if body else []

    def _finish(self, number: int, at: Mapping[int, Expr], column: Expr | None = None) -> list[Statement]:
        """What is stored once per column after pass `number`."""
        self.warm(at, number, None)
        stores = self.store_results(self.passes.rows.get(number, []), at)
        for value in self._shared(number):
            assert column is not None
            buffer = self._accumulator(value)
            element = self.elements.read(value, self.index(self.group.maps[value][0], at))
            stores.append(self.elements.store(buffer, [column], element))
        return stores

    def _shared(self, number: int) -> list[Value]:
        """Values computed per column from the totals of pass `number` that are read per element afterwards."""
        found: dict[Value, None] = {}
        defined = {result: op for op in self.group.operations for result in op.results}
        for operation in self.group.operations:
            if not any(runs_inside(self.group, m) for r in operation.results for m in self.group.maps.get(r, ())):
                continue
            for operand in operation.operands:
                source = defined.get(operand)
                if source is None or source.op.kind is not Kind.ELEMENTWISE or number == 0:
                    continue
                maps = self.group.maps.get(operand, ())
                if len(maps) == 1 and not runs_inside(self.group, maps[0]) and self.passes.level[operand] == number:
                    found[operand] = None
        return list(found)

    def _accumulator(self, value: Value) -> Buffer:
        if value not in self.accumulators:
            self.accumulators[value] = self.new_scratch("column", value, [self.width])
        return self.accumulators[value]

    def _pass_over(self, number: int, row: Mapping[int, Expr]) -> list[Statement]:
        """One pass: accumulators are set, then every row of the tile is added."""
        folded = self.passes.reductions.get(number, [])
        inits = {
            result: self.elements.read(init, ())
            for op in folded
            for result, init in zip(op.results, inits_of(op), strict=True)
        }
        targets = {result: self._accumulator(result) for result in inits}
        if self.chunk is None:
            spans = [_Span(loop, scalar.index(0), self.space.extent(loop)) for loop in self.space.folded]
            return [*self._set(row, targets, inits), *self._sum_rows(number, row, spans, targets)]
        body = self._columns(row, lambda at, column: self._combine_chunks(folded, inits, at, column))
        first, *rest = self.space.folded
        left = self.space.extent(first) % self.chunk
        if not left:
            return body
        spans = [_Span(first, scalar.index(self.space.extent(first) - left), left)]
        spans += [_Span(loop, scalar.index(0), self.space.extent(loop)) for loop in rest]
        return [*body, *self._sum_rows(number, row, spans, targets)]

    def _set(
        self, row: Mapping[int, Expr], targets: Mapping[Value, Buffer], to: Mapping[Value, Expr]
    ) -> list[Statement]:
        """A loop over columns that sets `targets`."""
        return self._columns(
            row, lambda _, column: [self.elements.store(b, [column], to[value]) for value, b in targets.items()]
        )

    # Rows in chunks, for threads to share

    def _chunk(self) -> int | None:
        """How many turns of the outermost loop over rows make a chunk; None where tiles are enough to share."""
        folded = self.passes.reductions.get(1, [])
        tiles = math.prod(self.space.extent(loop) for loop in self.space.rows[:-1]) * -(-self.extent // _WIDTH)
        simple = self.passes.count == 1 and not self.passes.kept.get(1) and all(map(has_neutral, folded))
        height = math.prod(self.space.extent(loop) for loop in self.space.folded)
        first = self.space.extent(self.space.folded[0])
        if tiles >= ENOUGH_ROWS or len(self.space.rows) > 1 or height * self.extent == 0 or not simple:
            return None
        count = min(_MOST_CHUNKS, height // _CHUNK_ROWS, height * self.extent // _CHUNK_ELEMENTS, first)
        return first // count if count > 1 else None

    def _in_chunks(self, size: int) -> Statement:
        """Sums of chunks of rows, each left in a row of its own."""
        first, *rest = self.space.folded
        count = self.space.extent(first) // size
        folded = self.passes.reductions[1]
        self.partial = {op.results[0]: self.new_scratch("part", op.results[0], [count, self.extent]) for op in folded}
        targets = {op.results[0]: self._accumulator(op.results[0]) for op in folded}
        chunk = self.axis(None, count, "p")
        tiles = self._begin_tile()
        spans = [_Span(first, scalar.mul(chunk, scalar.index(size)), size)]
        spans += [_Span(loop, scalar.index(0), self.space.extent(loop)) for loop in rest]
        body = self._set({}, targets, {op.results[0]: neutral(op) for op in folded})
        body += self._sum_rows(1, {}, spans, targets)

        def leave(_: Mapping[int, Expr], column: Expr) -> list[Statement]:
            place = [chunk, scalar.add(self._columns_start, column)]
            return [
                self.elements.store(self.partial[value], place, self.elements.load(buffer, [column]))
                for value, buffer in targets.items()
            ]

        body += self._columns({}, leave)
        loops = [(chunk, scalar.index(count)), *((axis, scalar.index(extent)) for axis, extent in tiles)]
        return around(loops, body, private=self._private())[0]

    def _combine_chunks(
        self, folded: Sequence[Operation], inits: Mapping[Value, Expr], at: Mapping[int, Expr], column: Expr
    ) -> list[Statement]:
        """The initial value and all chunks of one column, combined in pairs of neighbours."""
        stores: list[Statement] = []
        for op in folded:
            (value,) = op.results
            (axis,) = (axis for axis in self.group.maps[value][0] if axis is not None)
            part = self.partial[value]
            terms: list[Expr] = [self.elements.load(part, [scalar.index(n), at[axis]]) for n in range(part.shape[0])]
            total = accumulate(self.elements, op, [inits[value]], [in_pairs(self.elements, op, terms)])[0]
            stores.append(self.elements.store(self._accumulator(value), [column], total))
        return stores

    # Rows

    def _sum_rows(
        self, number: int, row: Mapping[int, Expr], spans: Sequence[_Span], targets: Mapping[Value, Buffer]
    ) -> list[Statement]:
        """Add the rows of `spans` to `targets`: long sums in blocks of rows, each added when it is complete."""
        sums = [op for op in self.passes.reductions.get(number, []) if is_float_sum(op)]
        if not spans or not sums or spans[-1].extent <= 2 * ROW_BLOCK:
            return self._rows_of(number, row, spans, {}, targets)
        outer, (loop, start, extent) = spans[:-1], spans[-1]
        size = row_block_size(extent)
        blocks, rest = divmod(extent, size)
        partial = {op.results[0]: self.new_scratch("block", op.results[0], [self.width]) for op in sums}
        block = self.axis(None, blocks, "b")
        above = {span.loop: self.axis(span.loop, span.extent) for span in outer}
        place = {**row, **{span.loop: scalar.add(span.start, above[span.loop]) for span in outer}}

        def add_block(_: Mapping[int, Expr], column: Expr) -> list[Statement]:
            return [
                self.elements.store(
                    targets[value],
                    [column],
                    scalar.add(self.elements.load(targets[value], [column]), self.elements.load(buffer, [column])),
                )
                for value, buffer in partial.items()
            ]

        def blocked(first: Expr, length: int) -> list[Statement]:
            cleared = self._set(row, partial, {value: zero(buffer.dtype) for value, buffer in partial.items()})
            added = self._rows_of(number, place, [_Span(loop, first, length)], {}, {**targets, **partial})
            return [*cleared, *added, *self._columns(row, add_block)]

        first = scalar.add(start, scalar.mul(block, scalar.index(size)))
        body: list[Statement] = [For(block, scalar.index(blocks), tuple(blocked(first, size)))]
        if rest:
            body += blocked(scalar.add(start, scalar.index(blocks * size)), rest)
        return around([(above[span.loop], scalar.index(span.extent)) for span in outer], body)

    def _rows_of(
        self,
        number: int,
        row: Mapping[int, Expr],
        spans: Sequence[_Span],
        above: Mapping[int, Expr],
        targets: Mapping[Value, Buffer],
    ) -> list[Statement]:
        """Loops over the rows that a pass adds up, the innermost unrolled."""
        if not spans:
            return self._add_row(number, {**row, **above}, targets, [{}])
        loop, start, extent = spans[0]
        simple = len(self.group.operations) <= _UNROLL_OPERATIONS and not self._stores_in(number)
        if len(spans) > 1 or extent < 2 * _UNROLL or not simple:
            axis = self.axis(loop, extent)
            inner = {**above, loop: scalar.add(start, axis)}
            return [For(axis, scalar.index(extent), tuple(self._rows_of(number, row, spans[1:], inner, targets)))]
        turns, rest = divmod(extent, _UNROLL)
        quad = self.axis(None, turns, "q")
        begin = scalar.add(start, scalar.mul(quad, scalar.index(_UNROLL)))
        steps = [{loop: scalar.add(begin, scalar.index(u))} for u in range(_UNROLL)]
        body = self._add_row(number, {**row, **above}, targets, steps)
        statements: list[Statement] = [For(quad, scalar.index(turns), tuple(body))]
        for step in range(turns * _UNROLL, turns * _UNROLL + rest):
            at = {**row, **above, loop: scalar.add(start, scalar.index(step))}
            statements.extend(self._add_row(number, at, targets, [{}]))
        return statements

    def _stores_in(self, number: int) -> bool:
        return bool(self.passes.elements.get(number) or self.passes.kept.get(number))

    def _add_row(
        self,
        number: int,
        row: Mapping[int, Expr],
        targets: Mapping[Value, Buffer],
        steps: Sequence[Mapping[int, Expr]],
    ) -> list[Statement]:
        """A loop over columns that adds one or more rows to `targets` and stores what the pass stores."""
        folded = self.passes.reductions.get(number, [])

        def make(_: Mapping[int, Expr], column: Expr) -> list[Statement]:
            index = scalar.add(self._columns_start, column)
            carried: dict[Value, Expr] = {r: self.elements.load(b, [column]) for r, b in targets.items()}
            added: dict[Operation, list[Expr]] = {op: [] for op in folded if is_float_sum(op)}
            stores: list[Statement] = []
            for moved in steps:
                place = {**row, **moved, self.column_loop: index}
                at = self.positions(place)
                stores.extend(self._element(number, at, [*(place[loop] for loop in self.space.folded), column]))
                for op in folded:
                    if op in added:
                        added[op].append(
                            self.elements.read(op.operands[0], self.index(self.group.operand_maps[op], at))
                        )
                        continue
                    following = self.fold_element(op, [carried[result] for result in op.results], at)
                    carried.update(zip(op.results, following, strict=True))
            for op, terms in added.items():
                total = in_pairs(self.elements, op, terms)
                carried[op.results[0]] = accumulate(self.elements, op, [carried[op.results[0]]], [total])[0]
            sums = [self.elements.store(targets[result], [column], value) for result, value in carried.items()]
            return [*stores, *sums]

        return self._columns(row, make)

    def _element(self, number: int, at: Mapping[int, Expr], cell: Sequence[Expr]) -> list[Statement]:
        """Stores of one element in a pass, after what earlier passes left was made known."""
        self.bind_kept(at, cell)
        self.warm(at, number - 1, number)
        stores = self.store_results(self.passes.elements.get(number, []), at)
        extents = [*(self.space.extent(loop) for loop in self.space.folded), self.width]
        return [*stores, *self.keep(self.passes.kept.get(number, []), at, cell, extents)]
