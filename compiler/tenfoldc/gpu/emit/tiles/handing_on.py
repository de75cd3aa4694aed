"""The sums of a tile, from registers to what is done with each of them.

Registers hold what suits the instruction that multiplies; memory wants neighbours.  So each warp puts its sums into
shared memory of its own, and takes them up again in the order of memory: then each thread has neighbouring columns,
neighbouring threads too, and the statements for an element are written once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tenfoldc.emit.scalar_types import register_type
from tenfoldc.emit.statements import StatementText
from tenfoldc.gpu.emit.tiles.fragments import Sums
from tenfoldc.gpu.emit.tiles.words import Words
from tenfoldc.gpu.tile_memory import PartLayout
from tenfoldc.loops.ir import Axis, Local, Statement
from tenfoldc.loops.tiles import WARP, Tiling


class Handed(Protocol):
    """What is done with sums: `body` for each row and column, `vector` neighbouring columns by one thread."""

    @property
    def tiling(self) -> Tiling: ...

    @property
    def rows(self) -> int: ...

    @property
    def columns(self) -> int: ...

    @property
    def row(self) -> Axis: ...

    @property
    def column(self) -> Axis: ...

    @property
    def value(self) -> Local: ...

    @property
    def vector(self) -> int: ...

    @property
    def body(self) -> tuple[Statement, ...]: ...


class HandingOn:
    """Writes what a warp does with its sums, by way of its memory at `base`.

    `origin` is the first row and column of what is there at one time, as i32.
    """

    def __init__(
        self,
        writer: StatementText,
        statement: Handed,
        sums: Sums,
        layout: PartLayout,
        *,
        base: str,
        origin: tuple[str, str],
        lane: str,
    ) -> None:
        self.writer, self.text, self.words = writer, writer.text, Words(writer.text)
        self.statement, self.sums, self.layout = statement, sums, layout
        self.base, self.origin, self.lane = base, origin, lane
        self.dtype = statement.value.dtype

    def write(self, registers: Sequence[str]) -> None:
        """Hand on all chunks, one after the other in the memory."""
        for chunk in range(self.sums.chunks):
            self.put(registers, chunk)
        self.take_up()

    def put(self, registers: Sequence[str], chunk: int) -> None:
        """Store the sums of a chunk."""
        kind = register_type(self.dtype)
        for piece in self.sums.pieces(chunk):
            count = len(piece.registers)
            vector = f"<{count} x {kind}>"
            value = "poison"
            for lane, register in enumerate(piece.registers):
                value = self.text.fresh(f"insertelement {vector} {value}, {kind} {registers[register]}, i32 {lane}")
            address = self._address(self.words.scaled(piece.row[0], self.layout.pitch), piece.column[0])
            known = (piece.row[1] + chunk * self.sums.chunk_rows) * self.layout.pitch + piece.column[1]
            address = self.words.shared(address, 0, known * self.dtype.itemsize)
            align = count * self.dtype.itemsize
            self.text.effect(f"store {vector} {value}, ptr addrspace(3) {address}, align {align}")

    def _address(self, *places: str) -> str:
        return self.words.shared(self.base, self.words.scaled(self.words.add(*places), self.dtype.itemsize))

    def take_up(self) -> None:
        """When all threads of the warp have stored: each thread's groups of neighbouring columns, in a loop."""
        self.text.effect("call void @llvm.nvvm.bar.warp.sync(i32 -1)")
        statement, words, text = self.statement, self.words, self.text
        groups = self.layout.columns // statement.vector
        turns = self.layout.rows * groups // WARP
        before, body, done = text.block, text.label("row"), text.label("handed")
        text.branch(body)
        text.start(body)
        turn, line = text.name(), text.reserve()
        with text.scope():
            number = words.add(words.scaled(turn, WARP), self.lane)
            row = words.quotient(number, groups)
            column = words.scaled(words.remainder(number, groups), statement.vector)
            address = self._address(words.scaled(row, self.layout.pitch), column)
            values = self._loaded(address)
            row = words.add(self.origin[0], row)
            column = words.add(self.origin[1], column)
            self._each(row, column, values)
            latch = text.block
            following = text.fresh(f"add nuw nsw i32 {turn}, 1")
            text.branch_if(text.fresh(f"icmp ult i32 {following}, {turns}"), body, done)
        text.fill(line, f"{turn} = phi i32 [ 0, %{before} ], [ {following}, %{latch} ]")
        text.start(done)

    def _loaded(self, address: str) -> list[str]:
        kind, count, size = register_type(self.dtype), self.statement.vector, self.dtype.itemsize
        wide = min(count, 16 // size)
        found: list[str] = []
        for first in range(0, count, wide):
            place = self.words.shared(address, 0, first * size)
            vector = self.text.fresh(f"load <{wide} x {kind}>, ptr addrspace(3) {place}, align {wide * size}")
            found += [self.text.fresh(f"extractelement <{wide} x {kind}> {vector}, i32 {lane}") for lane in range(wide)]
        return found

    def _each(self, row: str, column: str, values: Sequence[str]) -> None:
        """The statements for neighbouring elements, where they lie inside."""
        statement, words, text = self.statement, self.words, self.text
        conditions: list[str] = []
        if statement.rows % statement.tiling.rows:
            conditions.append(words.is_below(row, statement.rows))
        if statement.columns % statement.tiling.columns:
            conditions.append(words.is_below(column, statement.columns))
        condition = words.all_of(conditions)
        done = ""
        if condition is not None:
            inside, done = text.label("inside"), text.label("outside")
            text.branch_if(condition, inside, done)
            text.start(inside)
        with text.scope():
            text.bind(statement.row, words.wide(row))
            for lane, value in enumerate(values):
                with text.scope():
                    text.bind(statement.column, words.wide(words.add(column, lane)))
                    text.bind(statement.value, value)
                    self.writer.statements(statement.body)
        if condition is not None:
            text.branch(done)
            text.start(done)
