"""Nests whose innermost axis in memory is kept by the reductions: whole rows are added up, a tile of columns at a time.

Each reduction has a row of accumulators in scratch memory, narrow enough for the first-level cache.  The loop over
columns is innermost, so memory is read in order and vectors run along it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from tenfoldc.ir.core import Operation, Value
from tenfoldc.ir.groups import Group
from tenfoldc.ir.op import Kind
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Axis, Buffer, Expr, For, Statement
from tenfoldc.lower.folding import is_float_sum, neutral
from tenfoldc.lower.nest import SUM_BLOCK, Nest, around, block_size, inits_of
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
        self._columns_start: Expr = scalar.index(0)
        self._columns_left: Expr = scalar.index(self.width)

    def _width(self) -> int:
        if self.passes.count == 1:
            return _WIDTH
        height = math.prod(self.space.extent(loop) for loop in self.space.folded)
        fitting = _CACHE_ELEMENTS // max(height, 1)
        return max(_MIN_WIDTH, min(_WIDTH, 1 << max(fitting, 1).bit_length() - 1))

    def build(self) -> list[Statement]:
        at: dict[int, Expr] = {}
        loops: list[tuple[Axis, int]] = []
        for loop in self.space.rows[:-1]:
            axis = self.axis(loop, self.space.extent(loop))
            loops.append((axis, self.space.extent(loop)))
            at[loop] = axis
        if self.extent > self.width:
            count = -(-self.extent // self.width)
            block = self.axis(None, count, "b")
            loops.append((block, count))
            self._columns_start = scalar.mul(block, scalar.index(self.width))
            if self.extent % self.width:
                left = scalar.sub(scalar.index(self.extent), self._columns_start)
                self._columns_left = scalar.minimum(scalar.index(self.width), left)
        body = self._tile(at)
        return around([(axis, scalar.index(extent)) for axis, extent in loops], body, private=self.scratch)

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
        results = [(op, place, result) for op in folded for place, result in enumerate(op.results)]
        body = self._columns(
            row,
            lambda _, column: [
                self.elements.store(self._accumulator(result), [column], self.elements.read(inits_of(op)[place], ()))
                for op, place, result in results
            ],
        )
        loops = self.space.folded
        long = bool(loops) and self.space.extent(loops[-1]) > 2 * SUM_BLOCK
        if long and any(is_float_sum(op) for op in folded):
            return [*body, *self._blocked(number, row, folded)]
        targets = {result: self._accumulator(result) for _, _, result in results}
        return [*body, *self._rows_of(number, row, loops, {}, targets)]

    def _blocked(self, number: int, row: Mapping[int, Expr], folded: Sequence[Operation]) -> list[Statement]:
        """A pass whose sums are formed in blocks of rows, each added to the total when it is complete."""
        targets = {result: self._accumulator(result) for op in folded for result in op.results}
        partial = {
            op.results[0]: self.new_scratch("block", op.results[0], [self.width]) for op in folded if is_float_sum(op)
        }
        outer, last = self.space.folded[:-1], self.space.folded[-1]
        axes, index, count, length = self.blocks(last, self.space.extent(last), block_size(self.space.extent(last)))
        above = {loop: self.axis(loop, self.space.extent(loop)) for loop in outer}
        start = self._columns(
            row,
            lambda _, w: [self.elements.store(block, [w], neutral(block.dtype)) for block in partial.values()],
        )
        inner = self._add_row(number, {**row, **above, last: index}, targets | partial, [{}])
        end = self._columns(
            row,
            lambda _, w: [
                self.elements.store(
                    targets[value],
                    [w],
                    scalar.add(self.elements.load(targets[value], [w]), self.elements.load(block, [w])),
                )
                for value, block in partial.items()
            ],
        )
        block = For(axes[0], count, (*start, For(axes[1], length, tuple(inner)), *end))
        return around([(above[loop], scalar.index(self.space.extent(loop))) for loop in outer], [block])

    def _rows_of(
        self,
        number: int,
        row: Mapping[int, Expr],
        loops: Sequence[int],
        above: Mapping[int, Expr],
        targets: Mapping[Value, Buffer],
    ) -> list[Statement]:
        """Loops over the rows that a pass adds up, the innermost unrolled."""
        if not loops:
            return self._add_row(number, {**row, **above}, targets, [{}])
        loop, extent = loops[0], self.space.extent(loops[0])
        simple = len(self.group.operations) <= _UNROLL_OPERATIONS and not self._stores_in(number)
        if len(loops) > 1 or extent < 2 * _UNROLL or not simple:
            axis = self.axis(loop, extent)
            body = self._rows_of(number, row, loops[1:], {**above, loop: axis}, targets)
            return [For(axis, scalar.index(extent), tuple(body))]
        turns, rest = divmod(extent, _UNROLL)
        quad = self.axis(None, turns, "q")
        steps = [scalar.add(scalar.mul(quad, scalar.index(_UNROLL)), scalar.index(u)) for u in range(_UNROLL)]
        body = self._add_row(number, {**row, **above}, targets, [{loop: step} for step in steps])
        statements: list[Statement] = [For(quad, scalar.index(turns), tuple(body))]
        for step in range(turns * _UNROLL, turns * _UNROLL + rest):
            at = {**row, **above, loop: scalar.index(step)}
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
            stores: list[Statement] = []
            for moved in steps:
                place = {**row, **moved, self.column_loop: index}
                at = self.positions(place)
                stores.extend(self._element(number, at, [*(place[loop] for loop in self.space.folded), column]))
                for op in folded:
                    following = self.fold_element(op, [carried[result] for result in op.results], at)
                    carried.update(zip(op.results, following, strict=True))
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
