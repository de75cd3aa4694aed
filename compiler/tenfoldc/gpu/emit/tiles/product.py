"""A tile of a product of matrices: slices brought ahead into a ring in shared memory, multiplied, sums handed on.

    bring slices 0 ... stages - 2
    for each slice:
        wait for it, and for all threads
        begin to bring the one that is stages - 1 ahead, in the place of the one before
        multiply
        store what was brought in registers
    hand on the sums, in the memory that the ring had

One barrier a slice is enough: what is overwritten was read before it.
"""

from __future__ import annotations

from collections.abc import Sequence

from tenfoldc.emit.scalar_types import literal, register_type
from tenfoldc.emit.statements import StatementText
from tenfoldc.gpu.emit.tiles.filling import Filling
from tenfoldc.gpu.emit.tiles.fragments import Slice, fragments, lanes_of
from tenfoldc.gpu.emit.tiles.handing_on import HandingOn
from tenfoldc.gpu.emit.tiles.words import Words
from tenfoldc.gpu.tile_memory import part_layout, slice_layout
from tenfoldc.loops.ir import MultiplyTiles

_BARRIER = "call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)"
_COMMIT = "call void @llvm.nvvm.cp.async.commit.group()"


def multiply_tiles(writer: StatementText, statement: MultiplyTiles) -> None:
    """Write what a thread does for its block's tile, whose number is the block's."""
    _Product(writer, statement).write()


class _Product:
    """The text of one tile."""

    def __init__(self, writer: StatementText, statement: MultiplyTiles) -> None:
        self.writer, self.statement, self.text = writer, statement, writer.text
        self.words = words = Words(writer.text)
        self.tiling = tiling = statement.tiling
        self.layouts = [
            slice_layout(tiling, lines, factor.element.dtype, factor.along_depth)
            for lines, factor in ((tiling.rows, statement.lhs), (tiling.columns, statement.rhs))
        ]
        self.stage_bytes = sum(layout.bytes for layout in self.layouts)
        self.base = writer.text.pure(
            f"addrspacecast ptr {writer.pointers[statement.memory.storage]} to ptr addrspace(3)"
        )
        thread = words.narrow(writer.value(statement.thread))
        self.warp, self.lane = lanes_of(words, thread)
        self.warp_place = (
            words.quotient(self.warp, tiling.warp_columns),
            words.remainder(self.warp, tiling.warp_columns),
        )
        self.first = [words.narrow(writer.value(place)) for place in (statement.first_row, statement.first_column)]
        self.first_slice = words.narrow(writer.value(statement.first_slice))
        self.fragments = fragments(writer.text, tiling, statement.value.dtype, self.warp_place, self.lane)
        self.fillings = [
            Filling(writer, statement, factor, layout, total_lines=lines, first_line=first, thread=thread)
            for factor, layout, lines, first in zip(
                (statement.lhs, statement.rhs),
                self.layouts,
                (statement.rows, statement.columns),
                self.first,
                strict=True,
            )
        ]

    def write(self) -> None:
        sums = [literal(0, self.statement.value.dtype)] * self.fragments.count
        if self.statement.slices:
            ahead = min(self.tiling.stages - 1, self.statement.slices)
            for number in range(ahead):
                self._bring(self.words.add(self.first_slice, number), str(number * self.stage_bytes))
                self.text.effect(_COMMIT)
            for _ in range(self.tiling.stages - 1 - ahead):
                self.text.effect(_COMMIT)
            sums = self._slices(sums)
            self.text.effect("call void @llvm.nvvm.cp.async.wait.group(i32 0)")
            self.text.effect(_BARRIER)
        self._hand_on(sums)

    def _bring(self, number: str, stage: str) -> None:
        """Bring one slice at once."""
        with self.text.scope():
            registers = [filling.start(number, base) for filling, base in self._at(stage)]
            for (filling, base), values in zip(self._at(stage), registers, strict=True):
                filling.finish(values, base)

    def _at(self, stage: str) -> list[tuple[Filling, str]]:
        """Both fillings, and where in the stage that begins at byte `stage` each slice lies."""
        start = self.words.shared(self.base, stage)
        bases = (start, self.words.shared(start, self.layouts[0].bytes))
        return list(zip(self.fillings, bases, strict=True))

    def _slices(self, sums: Sequence[str]) -> list[str]:
        """The loop over slices; gives the sums after it."""
        text, words, stages = self.text, self.words, self.tiling.stages
        ring = stages * self.stage_bytes
        kind = register_type(self.statement.value.dtype)
        before, body, done = text.block, text.label("slice"), text.label("multiplied")
        text.branch(body)
        text.start(body)
        turn, reading, writing = text.name(), text.name(), text.name()
        lines = [text.reserve() for _ in range(3)]
        held = [text.name() for _ in sums]
        sum_lines = [text.reserve() for _ in sums]
        with text.scope():
            text.effect(f"call void @llvm.nvvm.cp.async.wait.group(i32 {stages - 2})")
            text.effect(_BARRIER)
            registers = self._start_ahead(turn, writing)
            text.effect(_COMMIT)
            after = self._multiply(reading, held)
            self._finish_ahead(turn, writing, registers)
            following = text.fresh(f"add nuw nsw i32 {turn}, 1")
            offsets = [self._advanced(offset, ring) for offset in (reading, writing)]
            latch = text.block
            text.branch_if(words.is_below(following, self.statement.slices), body, done)
        starts = ("0", "0", str((stages - 1) * self.stage_bytes))
        for line, name, start, next_ in zip(
            lines, (turn, reading, writing), starts, (following, *offsets), strict=True
        ):
            text.fill(line, f"{name} = phi i32 [ {start}, %{before} ], [ {next_}, %{latch} ]")
        for line, name, start, next_ in zip(sum_lines, held, sums, after, strict=True):
            text.fill(line, f"{name} = phi {kind} [ {start}, %{before} ], [ {next_}, %{latch} ]")
        text.start(done)
        return after

    def _advanced(self, offset: str, ring: int) -> str:
        following = self.text.fresh(f"add nuw nsw i32 {offset}, {self.stage_bytes}")
        is_end = self.text.fresh(f"icmp eq i32 {following}, {ring}")
        return self.text.fresh(f"select i1 {is_end}, i32 0, i32 {following}")

    def _is_needed(self, turn: str) -> str:
        """Whether there is a slice as far ahead as is brought."""
        ahead = self.words.add(turn, self.tiling.stages - 1)
        return self.words.is_below(ahead, self.statement.slices)

    def _start_ahead(self, turn: str, writing: str) -> list[list[str]]:
        """Begin to bring the slice that is `stages` - 1 ahead, if there is one; what is in registers then."""
        text, words = self.text, self.words
        kinds = [filling.registers for filling in self.fillings]
        needed = self._is_needed(turn)
        before, then, done = text.block, text.label("bring"), text.label("brought")
        text.branch_if(needed, then, done)
        text.start(then)
        with text.scope():
            number = words.add(self.first_slice, turn, self.tiling.stages - 1)
            found = [filling.start(number, base) for filling, base in self._at(writing)]
        last = text.block
        text.branch(done)
        text.start(done)
        return [
            [
                text.fresh(f"phi {kind} [ poison, %{before} ], [ {value}, %{last} ]")
                for kind, value in zip(own, values, strict=True)
            ]
            for own, values in zip(kinds, found, strict=True)
        ]

    def _finish_ahead(self, turn: str, writing: str, registers: Sequence[Sequence[str]]) -> None:
        if not any(registers):
            return
        text = self.text
        then, done = text.label("store"), text.label("stored")
        text.branch_if(self._is_needed(turn), then, done)
        text.start(then)
        with text.scope():
            for (filling, base), values in zip(self._at(writing), registers, strict=True):
                filling.finish(values, base)
        text.branch(done)
        text.start(done)

    def _multiply(self, reading: str, sums: Sequence[str]) -> list[str]:
        bases = [base for _, base in self._at(reading)]
        lhs, rhs = (Slice(base, layout) for base, layout in zip(bases, self.layouts, strict=True))
        found = list(sums)
        for depth in range(0, self.tiling.depth, self.fragments.depth):
            found = self.fragments.multiply(lhs, rhs, depth, found)
        return found

    def _hand_on(self, sums: Sequence[str]) -> None:
        words, tiling = self.words, self.tiling
        own = part_layout(tiling, self.statement.value.dtype)
        base = words.shared(self.base, words.scaled(self.warp, own.bytes))
        origin = (
            words.add(self.first[0], words.scaled(self.warp_place[0], tiling.part_rows)),
            words.add(self.first[1], words.scaled(self.warp_place[1], tiling.part_columns)),
        )
        handing = HandingOn(self.writer, self.statement, self.fragments, own, base=base, origin=origin, lane=self.lane)
        handing.write(sums)
