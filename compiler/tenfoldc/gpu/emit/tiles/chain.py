"""Some rows of products that are folded and multiplied again, as attention is: nothing of them goes through memory.

    bring the rows' factors
    for each pass:
        bring the first stretch of columns
        for each stretch:
            wait for it, and for all threads; begin to bring the next, in the place of the one before
            multiply; fold; multiply by what was computed of the products, which lies in registers
        hand on the sums, in the memory that the stretches had
    what is to be done with each row

A warp has rows of its own, and all columns of a stretch, so that a row is folded by a few neighbouring threads.  What
tensor cores are given next is what they gave before, in the same registers; single threads pass it through memory.
"""

from __future__ import annotations

from collections.abc import Sequence

from tenfold_rt import dtypes
from tenfold_rt.frozen import frozen
from tenfoldc.emit.scalar_types import literal, register_type
from tenfoldc.emit.statements import StatementText
from tenfoldc.gpu.emit.tiles.filling import Filling
from tenfoldc.gpu.emit.tiles.fragments import Fragments, Offset, Slice, WarpFragments, fragments, lanes_of
from tenfoldc.gpu.emit.tiles.handing_on import HandingOn
from tenfoldc.gpu.emit.tiles.turns import turns, when
from tenfoldc.gpu.emit.tiles.words import Words
from tenfoldc.gpu.tile_memory import ChainMemory, SliceLayout, part_layout
from tenfoldc.loops.ir import (
    Axis,
    ChainProduct,
    ColumnPass,
    Combine,
    Expr,
    Local,
    MultiplyChain,
    RowFold,
    RowSum,
    Statement,
    TileFactor,
)
from tenfoldc.loops.tiles import Tiling

_BARRIER = "call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)"
_COMMIT = "call void @llvm.nvvm.cp.async.commit.group()"
_WAIT = "call void @llvm.nvvm.cp.async.wait.group(i32 0)"
_WARP_BARRIER = "call void @llvm.nvvm.bar.warp.sync(i32 -1)"
_STEP = 8
"""Depths that single threads multiply between two branches."""


def multiply_chain(writer: StatementText, statement: MultiplyChain) -> None:
    """Write what a thread does for its block's rows."""
    _Chain(writer, statement).write()


@frozen
class _Depths:
    tiling: Tiling
    channels: int
    positions: int = 1
    slices: int = 1


@frozen
class _Handed:
    tiling: Tiling
    rows: int
    columns: int
    row: Axis
    column: Axis
    value: Local
    vector: int
    body: tuple[Statement, ...]


@frozen
class _Stream:
    """What is brought for each stretch of columns: of a product its columns, of a sum its depths."""

    depths: _Depths
    factor: TileFactor
    layout: SliceLayout
    lines: int
    is_depth: bool


@frozen
class _Cell:
    """Where a register of sums belongs: which of the thread's rows, and which column."""

    row: int
    column: Offset


class _Chain:
    """The text of one block's rows."""

    def __init__(self, writer: StatementText, chain: MultiplyChain) -> None:
        self.writer, self.chain, self.text = writer, chain, writer.text
        self.words = words = Words(writer.text)
        self.tiling, self.memory = chain.tiling, ChainMemory(chain.tiling, chain.passes)
        self.base = writer.text.pure(f"addrspacecast ptr {writer.pointers[chain.memory.storage]} to ptr addrspace(3)")
        self.thread = words.narrow(writer.value(chain.thread))
        self.warp, self.lane = lanes_of(words, self.thread)
        self.first_row, self.first, self.end = (
            words.narrow(writer.value(place)) for place in (chain.first_row, chain.first, chain.end)
        )
        self.scores = self._fragments(chain.tiling)
        self.cells = _cells(self.scores)
        self.rows = list(dict.fromkeys(cell.row for cell in self.cells))
        own = next(self.scores.pieces(0)).row[0]
        self.own_row = words.add(words.scaled(self.warp, chain.tiling.part_rows), own)
        self.known: dict[int, dict[Expr, str]] = {row: {chain.row: self._row_index(row)} for row in self.rows}
        """What is known of each row of the thread."""

    def write(self) -> None:
        offset = 0
        self.residents: dict[ChainProduct, Slice] = {}
        for product in self.memory.products:
            layout = self.memory.row_slice(product)
            resident = Slice(self.words.shared(self.base, offset), layout)
            offset += layout.bytes
            depths = _Depths(self.memory.of_product(product), product.channels)
            self._fill(depths, product.lhs, resident, self.chain.rows, self.first_row, "0")
            self.residents[product] = resident
        for number, each in enumerate(self.chain.passes):
            if number:
                self.text.effect(_BARRIER)
            self._pass(each)
        self._each_row()

    def _fragments(self, tiling: Tiling) -> Fragments:
        return fragments(self.text, tiling, dtypes.f32, (self.warp, "0"), self.lane)

    def _row_index(self, row: int) -> str:
        """The index of a row, or of the last one for rows beyond it."""
        index = self.words.add(self.first_row, self.own_row, row)
        if self.chain.rows % self.tiling.rows:
            index = self.words.least(index, self.chain.rows - 1)
        return self.words.wide(index)

    # Memory

    def _fill(
        self, depths: _Depths, factor: TileFactor, target: Slice, lines: int, first_line: str, number: str
    ) -> None:
        """Bring slice `number` of a factor, from `first_line` on."""
        filling = Filling(
            self.writer,
            depths,
            factor,
            target.layout,
            total_lines=lines,
            first_line=first_line,
            thread=self.thread,
        )
        filling.finish(filling.start(number, target.base), target.base)

    def _streams(self, each: ColumnPass) -> list[_Stream]:
        layouts = iter(self.memory.column_slices(each))
        chain, memory = self.chain, self.memory
        return [
            *(
                _Stream(_Depths(memory.of_product(p), p.channels), p.rhs, next(layouts), chain.columns, False)
                for p in each.products
            ),
            *(
                _Stream(_Depths(memory.of_sum(s), chain.columns), s.rhs, next(layouts), s.features, True)
                for s in each.sums
            ),
        ]

    def _stage(self, each: ColumnPass, number: str) -> list[Slice]:
        """Where what belongs to stretch `number` of the columns lies."""
        turn = self.text.fresh(f"and i32 {number}, 1")
        place = self.words.shared(
            self.base, self.words.scaled(turn, self.memory.stage_bytes(each)), self.memory.stages_at
        )
        found: list[Slice] = []
        for layout in self.memory.column_slices(each):
            found.append(Slice(place, layout))
            place = self.words.shared(place, layout.bytes)
        return found

    def _bring(self, each: ColumnPass, number: str) -> None:
        """Begin to bring stretch `number` of the columns."""
        for stream, target in zip(self._streams(each), self._stage(each, number), strict=True):
            first = "0" if stream.is_depth else self.words.scaled(number, self.tiling.columns)
            own = number if stream.is_depth else "0"
            self._fill(stream.depths, stream.factor, target, stream.lines, first, own)

    # Passes

    def _pass(self, each: ColumnPass) -> None:
        text, words = self.text, self.words
        totals = {row_sum: self._fragments(self.memory.of_sum(row_sum)) for row_sum in each.sums}
        state = [(register_type(fold.result.dtype), self._row_value(row, fold.init)) for fold, row in self._held(each)]
        zero = ("float", literal(0, dtypes.f32))
        state += [zero for row_sum in each.sums for _ in range(totals[row_sum].count)]
        when(text, words.is_below(self.first, self.end), lambda: self._bring(each, self.first))
        text.effect(_COMMIT)

        def body(number: str, names: Sequence[str]) -> list[str]:
            text.effect(_WAIT)
            text.effect(_BARRIER)
            following = words.add(number, 1)
            when(text, words.is_below(following, self.end), lambda: self._bring(each, following))
            text.effect(_COMMIT)
            return _Stretch(self, each, number, self._stage(each, number), totals).write(names)

        names = iter(turns(text, self.first, self.end, "1", state, body))
        for fold, row in self._held(each):
            self.known[row][fold.result] = next(names)
        text.effect(_WAIT)
        text.effect(_BARRIER)
        for row_sum, own in totals.items():
            self._hand_on(row_sum, own, [next(names) for _ in range(own.count)])

    def _held(self, each: ColumnPass) -> list[tuple[RowFold, int]]:
        """What is handed from one stretch of columns to the next, beside sums."""
        return [(fold, row) for fold in each.folds for row in self.rows]

    def _row_value(self, row: int, expression: Expr) -> str:
        """What `expression` is for a row of the thread."""
        with self.text.scope():
            self.bind(row, {})
            return self.writer.value(expression)

    def bind(self, row: int, more: dict[Expr, str]) -> None:
        """Let what is known of a row, and `more`, be known in this scope."""
        for expression, name in (self.known[row] | more).items():
            self.text.bind(expression, name)

    def _hand_on(self, row_sum: RowSum, own: Fragments, totals: Sequence[str]) -> None:
        words, tiling, chain = self.words, self.memory.of_sum(row_sum), self.chain
        finished: list[str] = []
        for cell, total in zip(_cells(own), totals, strict=True):
            with self.text.scope():
                self.bind(cell.row, {row_sum.total: total})
                finished.append(self.writer.value(row_sum.finished))
        layout = part_layout(tiling, dtypes.f32)
        base = words.shared(self.base, words.scaled(self.warp, layout.bytes), self.memory.stages_at)
        origin = (words.add(self.first_row, words.scaled(self.warp, tiling.part_rows)), "0")
        handed = _Handed(
            tiling,
            chain.rows,
            row_sum.features,
            chain.row,
            row_sum.feature,
            row_sum.value,
            row_sum.vector,
            row_sum.body,
        )
        HandingOn(self.writer, handed, own, layout, base=base, origin=origin, lane=self.lane).write(finished)
        self.text.effect(_WARP_BARRIER)

    def _each_row(self) -> None:
        """What is done with each row, by the first of the threads that have it."""
        chain, words = self.chain, self.words
        if not chain.body:
            return
        is_first = words.is_below(words.remainder(self.lane, self.scores.row_lanes), 1)
        for row in self.rows:
            conditions = [is_first]
            if chain.rows % self.tiling.rows:
                conditions.append(words.is_below(words.add(self.first_row, self.own_row, row), chain.rows))

            def write(row: int = row) -> None:
                self.bind(row, {})
                self.writer.statements(chain.body)

            when(self.text, words.all_of(conditions) or is_first, write)


class _Stretch:
    """What is done with one stretch of the columns: `stage` holds it, `totals` are what its sums are added to."""

    def __init__(
        self,
        chain: _Chain,
        each: ColumnPass,
        number: str,
        stage: Sequence[Slice],
        totals: dict[RowSum, Fragments],
    ) -> None:
        self.chain, self.each, self.stage, self.totals = chain, each, stage, totals
        self.text, self.words, self.writer = chain.text, chain.words, chain.writer
        self.first_column = self.words.scaled(number, chain.tiling.columns)
        self.products: dict[Local, list[str]] = {}
        self.own: dict[int, dict[Expr, str]] = {row: {} for row in chain.rows}
        """What is known of each row within this stretch."""

    def write(self, held: Sequence[str]) -> list[str]:
        """Everything; takes and gives what is handed from one stretch to the next."""
        chain, before = self.chain, iter(held)
        for fold in self.each.folds:
            for row in chain.rows:
                self.own[row][fold.value] = next(before)
        for product, columns in zip(self.each.products, self.stage, strict=False):
            zeros = [literal(0, dtypes.f32)] * chain.scores.count
            self.products[product.value] = self._multiplied(chain.scores, chain.residents[product], columns, zeros)
        for fold in self.each.folds:
            self._fold(fold)
        found = [self.own[row][fold.current] for fold in self.each.folds for row in chain.rows]
        for row_sum, rhs in zip(self.each.sums, self.stage[len(self.each.products) :], strict=True):
            own = self.totals[row_sum]
            found += self._add(row_sum, own, rhs, [next(before) for _ in range(own.count)])
        return found

    def _multiplied(self, own: Fragments, lhs: Slice, rhs: Slice, sums: Sequence[str]) -> list[str]:
        """`sums` after all depths of two slices: those of tensor cores in line, others in a loop."""
        depth = lhs.layout.depth
        if isinstance(own, WarpFragments):
            found = list(sums)
            for step in range(0, depth, own.depth):
                found = own.multiply(lhs, rhs, step, found)
            return found

        def at(whole: Slice, first: str) -> Slice:
            run = whole.layout.pitch * whole.layout.dtype.itemsize
            return Slice(self.words.shared(whole.base, self.words.scaled(first, run)), whole.layout)

        def body(first: str, names: Sequence[str]) -> list[str]:
            found = list(names)
            for step in range(_STEP):
                found = own.multiply(at(lhs, first), at(rhs, first), step, found)
            return found

        return turns(self.text, "0", str(depth), str(_STEP), [("float", value) for value in sums], body)

    def _elements(self, expression: Expr, outside: str) -> list[str]:
        """What `expression` is at each of the thread's rows and columns, `outside` beyond the last column."""
        chain, columns, words = self.chain, self.chain.chain.columns, self.words
        kind, found = register_type(expression.dtype), list[str]()
        for number, cell in enumerate(chain.cells):
            with self.text.scope():
                column = words.add(self.first_column, *cell.column)
                exists = None
                if columns % chain.tiling.columns:
                    exists = words.is_below(column, columns)
                    column = words.least(column, columns - 1)
                more = {local: registers[number] for local, registers in self.products.items()}
                chain.bind(cell.row, {**self.own[cell.row], **more, chain.chain.column: words.wide(column)})
                value = self.writer.value(expression)
                if exists is not None:
                    value = self.text.pure(f"select i1 {exists}, {kind} {value}, {kind} {outside}")
                found.append(value)
        return found

    def _fold(self, fold: RowFold) -> None:
        """Fold the rows of the thread, its own columns first."""
        chain = self.chain
        terms: dict[int, list[str]] = {row: [] for row in chain.rows}
        elements = self._elements(fold.element, literal(fold.neutral.value, fold.neutral.dtype))
        for cell, element in zip(chain.cells, elements, strict=True):
            terms[cell.row].append(element)
        for row, values in terms.items():
            while len(values) > 1:
                pairs = list(zip(values[::2], values[1::2], strict=False))
                rest = values[len(values) - len(values) % 2 :]
                values = [*(self._combined(fold, *pair) for pair in pairs), *rest]
            with self.text.scope():
                chain.bind(row, {**self.own[row], fold.rhs: values[0]})
                between = Local("part", fold.part.dtype)
                threads = chain.scores.row_lanes
                combine = Combine((fold.rhs,), (between,), (fold.lhs,), (fold.rhs,), (fold.combined,), threads)
                self.writer.statements((combine,))
                self.text.bind(fold.part, self.writer.value(between))
                following = self.writer.value(fold.next)
            self.own[row][fold.current] = following

    def _combined(self, fold: RowFold, lhs: str, rhs: str) -> str:
        with self.text.scope():
            self.text.bind(fold.lhs, lhs)
            self.text.bind(fold.rhs, rhs)
            return self.writer.value(fold.combined)

    def _add(self, row_sum: RowSum, own: Fragments, rhs: Slice, sums: Sequence[str]) -> list[str]:
        """The sums with this stretch."""
        chain, found = self.chain, list(sums)
        parts = [self._elements(element, literal(0, dtypes.f32)) for element in row_sum.elements]
        if row_sum.factor is not None:
            factors: dict[int, str] = {}
            for row in chain.rows:
                with self.text.scope():
                    chain.bind(row, self.own[row])
                    factors[row] = self.writer.value(row_sum.factor)
            cells = _cells(own)
            found = [self.text.fresh(f"fmul float {x}, {factors[c.row]}") for c, x in zip(cells, found, strict=True)]
        if isinstance(own, WarpFragments):
            for depth in range(0, chain.tiling.columns, own.depth):
                for elements in parts:
                    found = own.multiply_held(own.held(elements, depth), rhs, depth, found)
            return found
        lhs = Slice(self.words.shared(chain.base, chain.memory.elements_at), chain.memory.elements)
        self.text.effect(_WARP_BARRIER)
        (elements,) = parts
        self._keep(elements, lhs)
        self.text.effect(_WARP_BARRIER)
        return self._multiplied(own, lhs, rhs, found)

    def _keep(self, elements: Sequence[str], target: Slice) -> None:
        """Put the elements where the warp's threads find them as the lhs of a product."""
        for cell, element in zip(self.chain.cells, elements, strict=True):
            line = (self.chain.own_row, cell.row)
            address = self.words.element(target.layout, target.base, line, cell.column)
            self.text.effect(f"store float {element}, ptr addrspace(3) {address}, align 4")


def _cells(own: Fragments) -> list[_Cell]:
    """Where each of a thread's registers of sums belongs."""
    found: dict[int, _Cell] = {}
    for chunk in range(own.chunks):
        for piece in own.pieces(chunk):
            row = chunk * own.chunk_rows + piece.row[1]
            for number, register in enumerate(piece.registers):
                found[register] = _Cell(row, (piece.column[0], piece.column[1] + number))
    return [found[register] for register in range(own.count)]
