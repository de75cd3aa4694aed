"""Tiles of a product on sm_90a: one warp has the copy engine bring slices, warp groups multiply them where they lie.

    producer: for each tile, for each slice:    wait until the stage is empty; have both factors' boxes brought
    consumers: for each tile:
        for each slice:                         wait until the stage is full; multiply; empty the stage before
        hand on the sums, while the producer is ahead with the next tile

A block takes one tile after the other.  The scheme is the "ping" half of that in NVIDIA's CUTLASS for warp-specialised,
persistent kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from tenfoldc.emit.statements import StatementText
from tenfoldc.gpu.emit.tiles.asynchronous import (
    GROUP_ROWS,
    STEP_BYTES,
    Barriers,
    GroupProduct,
    Ring,
    copy_box,
    descriptor,
    release,
    step_of,
)
from tenfoldc.gpu.emit.tiles.fragments import Piece, lanes_of
from tenfoldc.gpu.emit.tiles.handing_on import HandingOn
from tenfoldc.gpu.emit.tiles.turns import turns, when
from tenfoldc.gpu.emit.tiles.words import Words
from tenfoldc.gpu.tensor_maps import RUN_BYTES, factor_maps
from tenfoldc.gpu.tile_memory import BULK_COLUMNS, BulkMemory, part_layout
from tenfoldc.loops.ir import MultiplyTiles

_GROUP = 4
"""Warps of a group."""

_PRODUCER_REGISTERS, _CONSUMER_REGISTERS = 40, 232
"""Registers of a thread where two groups multiply: what the producer leaves is theirs."""


class GroupSums:
    """The sums of a warp of a warp group, 16 rows of them, in chunks of some columns."""

    chunk_rows = 0

    def __init__(self, words: Words, columns: int, lane: str) -> None:
        self.words = words
        self.chunks = columns // BULK_COLUMNS
        self.group, self.place = words.quotient(lane, 4), words.remainder(lane, 4)

    def pieces(self, chunk: int) -> Iterator[Piece]:
        """Where the sums of a chunk belong."""
        for tile in range(BULK_COLUMNS // 8):
            first = (chunk * BULK_COLUMNS // 8 + tile) * 4
            for half in range(2):
                registers = (first + 2 * half, first + 2 * half + 1)
                yield Piece((self.group, half * 8), (self.words.scaled(self.place, 2), tile * 8), registers)


def multiply_bulk_tiles(writer: StatementText, statement: MultiplyTiles, blocks: int, maps: Sequence[str]) -> None:
    """Write what a thread does for all tiles of its block, one of `blocks`; `maps` point to the factors' maps."""
    _BulkProduct(writer, statement, blocks, maps).write()


class _BulkProduct:
    """The text of one kernel's tiles."""

    def __init__(self, writer: StatementText, statement: MultiplyTiles, blocks: int, maps: Sequence[str]) -> None:
        self.writer, self.statement, self.text = writer, statement, writer.text
        self.words = words = Words(writer.text)
        self.blocks, self.tiling = blocks, statement.tiling
        self.memory = BulkMemory(statement.tiling, statement.value.dtype)
        self.maps = list(zip(maps, factor_maps(statement), strict=True))
        self.base = writer.text.pure(
            f"addrspacecast ptr {writer.pointers[statement.memory.storage]} to ptr addrspace(3)"
        )
        self.thread = words.narrow(writer.value(statement.thread))
        warp, self.lane = lanes_of(words, self.thread)
        self.warp = self.text.fresh(f"call i32 @llvm.nvvm.shfl.sync.idx.i32(i32 -1, i32 {warp}, i32 0, i32 31)")
        self.block = words.narrow(writer.value(statement.block))
        stages = self.tiling.stages
        self.full = Barriers(writer.text, words.shared(self.base, self.memory.barriers))
        self.empty = Barriers(writer.text, words.shared(self.base, self.memory.barriers, 8 * stages))
        self.ring = Ring(writer.text, stages)
        along_depth = (statement.lhs.along_depth, statement.rhs.along_depth)
        self.product = GroupProduct(writer.text, self.tiling.multiplier, self.tiling.columns, along_depth=along_depth)

    def write(self) -> None:
        text, words = self.text, self.words
        when(text, text.pure(f"icmp eq i32 {self.thread}, 0"), self._start_barriers)
        text.effect("call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)")
        is_producer = words.is_below(self.warp, _GROUP)
        producer, consumer, done = text.label("producer"), text.label("consumer"), text.label("finished")
        text.branch_if(is_producer, producer, consumer)
        text.start(producer)
        with text.scope():
            self._set_registers("dec", _PRODUCER_REGISTERS)
            when(
                text,
                text.pure(f"icmp eq i32 {self.thread}, 0"),
                lambda: self._tiles([("i32", "0"), ("i32", "1")], self._produce),
            )
        text.branch(done)
        text.start(consumer)
        with text.scope():
            self._set_registers("inc", _CONSUMER_REGISTERS)
            self._tiles([("i32", "0"), ("i32", "0")], self._consume)
        text.branch(done)
        text.start(done)

    def _start_barriers(self) -> None:
        for stage in range(self.tiling.stages):
            self.full.start(stage, 1)
            self.empty.start(stage, self.tiling.warps)
        self.text.effect("call void @llvm.nvvm.fence.mbarrier_init.release.cluster()")
        self.text.effect("call void @llvm.nvvm.fence.proxy.async.shared_cta()")

    def _set_registers(self, change: str, count: int) -> None:
        if self.tiling.warps == 2 * _GROUP:
            self.text.effect(f"call void @llvm.nvvm.setmaxnreg.{change}.sync.aligned.u32(i32 {count})")

    def _tiles(self, state: Sequence[tuple[str, str]], body: Callable[[Sequence[str]], Sequence[str]]) -> None:
        """`body(stage, parity)` for each tile of the block."""

        def each(tile: str, carried: Sequence[str]) -> Sequence[str]:
            self.text.bind(self.statement.tile, self.words.wide(tile))
            return body(carried)

        turns(self.text, self.block, str(self.statement.tiles), str(self.blocks), state, each)

    def _stage(self, stage: str) -> tuple[str, str]:
        """Where both slices of a stage lie."""
        start = self.words.shared(self.base, self.words.scaled(stage, self.memory.stage_bytes))
        return start, self.words.shared(start, self.memory.factor_bytes[0])

    def _first(self) -> tuple[str, str, str]:
        """The first row, column and slice of the tile."""
        statement = self.statement
        places = (statement.first_row, statement.first_column, statement.first_slice)
        row, column, first = (self.words.narrow(self.writer.value(place)) for place in places)
        return row, column, first

    def _produce(self, carried: Sequence[str]) -> Sequence[str]:
        words = self.words
        row, column, first = self._first()
        outer = [[words.narrow(self.writer.value(at)) for at in own.outer] for _, own in self.maps]

        def bring(turn: str, state: Sequence[str]) -> Sequence[str]:
            stage, parity = state
            self.empty.wait(stage, parity)
            self.full.expect(stage, self.memory.stage_bytes)
            depth = words.scaled(words.add(first, turn), self.tiling.depth)
            barrier = self.full.at(stage)
            for (pointer, own), line, rest, target in zip(
                self.maps, (row, column), outer, self._stage(stage), strict=True
            ):
                for box in range(own.boxes):
                    own_line = words.add(line, box * own.box[0])
                    place = (depth, line) if own.along_depth else (own_line, depth)
                    box_bytes = own.box[0] * own.box[1] * own.buffer.dtype.itemsize
                    copy_box(self.text, words.shared(target, 0, box * box_bytes), pointer, (*place, *rest), barrier)
            return self.ring.advanced(stage, parity)

        kinds = [("i32", name) for name in carried]
        return turns(self.text, "0", str(self.statement.slices), "1", kinds, bring)

    def _consume(self, carried: Sequence[str]) -> Sequence[str]:
        words, text = self.words, self.text
        row, column, _ = self._first()
        own_warp = text.pure(f"sub i32 {self.warp}, {_GROUP}")
        group_row = words.scaled(words.quotient(own_warp, _GROUP), GROUP_ROWS)
        is_first = text.pure(f"icmp eq i32 {self.lane}, 0")

        def multiply(turn: str, state: Sequence[str]) -> Sequence[str]:
            stage, parity, before, *sums = state
            self.full.wait(stage, parity)
            found = self._steps(stage, group_row, turn, self.product.fence(sums))
            self.product.commit()
            self.product.wait(1)
            some_before = text.fresh(f"icmp ne i32 {turn}, 0")
            release(self.empty, before, text.fresh(f"and i1 {some_before}, {is_first}"))
            return (*self.ring.advanced(stage, parity), stage, *found)

        kinds = [("i32", carried[0]), ("i32", carried[1]), ("i32", "0"), *[("float", "0.0")] * self.product.count]
        stage, parity, last, *sums = turns(text, "0", str(self.statement.slices), "1", kinds, multiply)
        sums = self.product.finished(sums)
        if self.statement.slices:
            release(self.empty, last, is_first)
        part_row = words.add(row, group_row, words.scaled(words.remainder(own_warp, _GROUP), 16))
        self._hand_on(sums, own_warp, part_row, column)
        return stage, parity

    def _steps(self, stage: str, group_row: str, turn: str, sums: Sequence[str]) -> list[str]:
        """All steps of the depth of a slice."""
        words, text = self.words, self.text
        lhs, rhs = self._stage(stage)
        (_, lhs_map), (_, rhs_map) = self.maps
        lhs = words.shared(lhs, words.scaled(group_row, RUN_BYTES))
        size = lhs_map.buffer.dtype.itemsize
        box = RUN_BYTES * RUN_BYTES // size
        descriptors = [
            descriptor(text, address, own.along_depth, box) for address, own in ((lhs, lhs_map), (rhs, rhs_map))
        ]
        growth = [step_of(own.along_depth, size) for own in (lhs_map, rhs_map)]
        adds = text.fresh(f"zext i1 {text.fresh(f'icmp ne i32 {turn}, 0')} to i32")
        found = list(sums)
        for step in range(self.tiling.depth * size // STEP_BYTES):
            places = [text.fresh(f"add i64 {own}, {step * by}") for own, by in zip(descriptors, growth, strict=True)]
            found = self.product.step(places[0], places[1], found, "1" if step else adds)
        return found

    def _hand_on(self, sums: Sequence[str], own_warp: str, row: str, column: str) -> None:
        """The sums, some columns at a time, each of which has the same statements."""
        text, words = self.text, self.words
        layout = part_layout(self.tiling, self.statement.value.dtype)
        base = words.shared(self.base, words.scaled(own_warp, layout.bytes), self.memory.sums)
        own = GroupSums(words, self.tiling.columns, self.lane)

        def hand_on(number: str, _: Sequence[str]) -> Sequence[str]:
            first = words.add(column, words.scaled(number, BULK_COLUMNS))
            handing = HandingOn(
                self.writer, self.statement, own, layout, base=base, origin=(row, first), lane=self.lane
            )
            done = text.label("put")
            for chunk in range(own.chunks):
                here, after = text.label("chunk"), text.label("next")
                text.branch_if(text.fresh(f"icmp eq i32 {number}, {chunk}"), here, after)
                text.start(here)
                with text.scope():
                    handing.put(sums, chunk)
                text.branch(done)
                text.start(after)
            text.branch(done)
            text.start(done)
            handing.take_up()
            text.effect("call void @llvm.nvvm.bar.warp.sync(i32 -1)")
            return ()

        turns(text, "0", str(own.chunks), "1", (), hand_on)
