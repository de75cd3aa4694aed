"""Statements of the loop IR as LLVM blocks: loops with carries, branches, stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tenfold_rt.errors import VerificationError
from tenfoldc.emit.expressions import ExpressionText
from tenfoldc.emit.function_text import FunctionText
from tenfoldc.emit.interleaving import interleave_count, lane_count
from tenfoldc.emit.micro_kernel import multiply_panels
from tenfoldc.emit.module_text import ModuleText
from tenfoldc.emit.outlined import lanes_properties
from tenfoldc.emit.parallel import Surroundings, write_parallel_loop
from tenfoldc.emit.scalar_types import register_type
from tenfoldc.emit.short_copies import short_copy, write_short_copy
from tenfoldc.emit.stream_copy import end_streams, stream_copy
from tenfoldc.emit.tapes import read_tape, write_tape
from tenfoldc.emit.tile_strip import multiply_strip, request_matrix_unit
from tenfoldc.emit.transpose_tile import transpose_tile
from tenfoldc.emit.unrolling import stays_loop
from tenfoldc.loops.ir import (
    Barrier,
    Buffer,
    Carry,
    Combine,
    Constant,
    For,
    If,
    Launch,
    Mode,
    MultiplyChain,
    MultiplyPanels,
    MultiplyStrip,
    MultiplyTiles,
    Prefetch,
    ReadTape,
    RequestMatrixUnit,
    Statement,
    Store,
    StreamCopy,
    TransposeTile,
    While,
    WriteTape,
)

_CALLS = (MultiplyPanels, MultiplyStrip, TransposeTile, StreamCopy, WriteTape, ReadTape)
"""Statements that are calls of functions that do much: a loop of them gains nothing by being unrolled."""

_NOT_UNROLLED = '!"llvm.loop.unroll.disable"'
_NO_VECTORS = ('!"llvm.loop.vectorize.width", i32 1', '!"llvm.loop.interleave.count", i32 1')

_ALIGNED_SPILLS = ' "frame-pointer"="all"'
"""With a frame pointer LLVM can align the stack when it comes to spilling vectors, as a long body makes it do; they
else cross cache lines, at half the speed of the whole loop, wherever the caller's stack happens to lie so."""


class StatementText(ExpressionText):
    """Writes statements into one function; parallel loops only where their `surroundings` are given."""

    has_vector_registers = True

    def __init__(
        self,
        module: ModuleText,
        text: FunctionText,
        pointers: Mapping[Buffer, str],
        origins: Mapping[Buffer, int],
        prefix: str,
        surroundings: Surroundings | None = None,
    ) -> None:
        super().__init__(module, text, pointers, origins)
        self.prefix = prefix
        self.surroundings = surroundings

    def statements(self, statements: Sequence[Statement]) -> None:
        for statement in statements:
            self._statement(statement)

    def function_body(self, statements: Sequence[Statement]) -> None:
        """All that one function does but for its return."""
        self.statements(statements)
        end_streams(self.text, statements)

    def _statement(self, statement: Statement) -> None:
        match statement:
            case Store():
                self.store(statement.buffer, statement.index, statement.value)
            case For():
                self._for(statement)
            case While():
                self._while(statement)
            case If():
                self._if(statement)
            case Prefetch():
                self.prefetch(statement.buffer, statement.index)
            case MultiplyPanels():
                multiply_panels(self, statement, self.prefix)
            case RequestMatrixUnit():
                request_matrix_unit(self, statement)
            case MultiplyStrip():
                multiply_strip(self, statement, self.prefix)
            case TransposeTile():
                transpose_tile(self, statement)
            case StreamCopy():
                stream_copy(self, statement)
            case WriteTape():
                write_tape(self, statement)
            case ReadTape():
                read_tape(self, statement)
            case Launch() | Combine() | Barrier() | MultiplyTiles() | MultiplyChain():
                raise VerificationError("a kernel of a GPU is no part of a program for a CPU")

    def _for(self, loop: For) -> None:
        if loop.mode is Mode.PARALLEL and self.surroundings is not None:
            self._for_shared(loop, self.surroundings)
        elif self.has_vector_registers and (copy := short_copy(loop)) is not None:
            write_short_copy(self, copy)
        elif not isinstance(loop.extent, Constant):
            self._for_some(loop)
        elif loop.extent.value > 0:
            self._for_at_least_once(loop)
        else:
            for carry in loop.carries:
                self.text.bind(carry.result, self.value(carry.init))

    def _for_shared(self, loop: For, surroundings: Surroundings) -> None:
        """A loop whose turns threads share."""

        def write_body(text: FunctionText, pointers: Mapping[Buffer, str], statements: Sequence[Statement]) -> None:
            StatementText(self.module, text, pointers, self.origins, self.prefix).function_body(statements)

        count = self.value(loop.extent)
        write_parallel_loop(self.module, self.text, loop, self.pointers, surroundings, count, write_body)

    def _for_at_least_once(self, loop: For) -> None:
        """A loop tested at its end; values after the loop are those of the last turn."""
        text = self.text
        inits = self.values(carry.init for carry in loop.carries)
        extent = self.value(loop.extent)
        body, done = text.label("loop"), text.label("done")
        before = text.block
        text.branch(body)
        text.start(body)
        axis, axis_phi = text.name(), text.reserve()
        carried, carry_phis = self._reserve_phis(loop.carries)
        group = self.module.access_group() if loop.mode is Mode.LANES else ""
        self.access = f", !llvm.access.group {group}" if group else ""
        with text.scope():
            text.bind(loop.axis, axis)
            self.statements(loop.body)
            nexts = self._following(loop.carries)
            latch = text.block
            following = text.fresh(f"add nuw nsw i64 {axis}, 1")
            again = text.fresh(f"icmp ult i64 {following}, {extent}")
            text.branch_if(again, body, done, self._loop_metadata(loop, group))
        self.access = ""
        text.fill(axis_phi, f"{axis} = phi i64 [ 0, %{before} ], [ {following}, %{latch} ]")
        self._fill_phis(loop.carries, carried, carry_phis, inits, before, nexts, latch)
        text.start(done)
        for carry, name in zip(loop.carries, nexts, strict=True):
            text.bind(carry.result, name)

    def _for_some(self, loop: For) -> None:
        """A loop tested at its start, for an extent that may be 0."""
        text = self.text
        inits = self.values(carry.init for carry in loop.carries)
        extent = self.value(loop.extent)
        head, body, done = text.label("head"), text.label("loop"), text.label("done")
        before = text.block
        text.branch(head)
        text.start(head)
        axis, axis_phi = text.name(), text.reserve()
        carried, carry_phis = self._reserve_phis(loop.carries)
        text.branch_if(text.fresh(f"icmp slt i64 {axis}, {extent}"), body, done)
        text.start(body)
        with text.scope():
            text.bind(loop.axis, axis)
            self.statements(loop.body)
            nexts = self._following(loop.carries)
            latch = text.block
            following = text.fresh(f"add nuw nsw i64 {axis}, 1")
            text.effect(f"br label %{head}{self._loop_metadata(loop) or self._own_metadata()}")
        text.fill(axis_phi, f"{axis} = phi i64 [ 0, %{before} ], [ {following}, %{latch} ]")
        self._fill_phis(loop.carries, carried, carry_phis, inits, before, nexts, latch)
        text.start(done)
        for carry, name in zip(loop.carries, carried, strict=True):
            text.bind(carry.result, name)

    def _while(self, loop: While) -> None:
        text = self.text
        inits = self.values(carry.init for carry in loop.carries)
        head, body, done = text.label("head"), text.label("loop"), text.label("done")
        before = text.block
        text.branch(head)
        text.start(head)
        carried, phis = self._reserve_phis(loop.carries)
        with text.scope():
            text.branch_if(self.value(loop.condition), body, done)
            text.start(body)
            self.statements(loop.body)
            nexts = self._following(loop.carries)
            latch = text.block
            text.effect(f"br label %{head}{self._own_metadata()}")
        self._fill_phis(loop.carries, carried, phis, inits, before, nexts, latch)
        text.start(done)
        for carry, name in zip(loop.carries, carried, strict=True):
            text.bind(carry.result, name)

    def _if(self, statement: If) -> None:
        text = self.text
        condition = self.value(statement.condition)
        then, done = text.label("then"), text.label("done")
        otherwise = text.label("else") if statement.otherwise else done
        text.branch_if(condition, then, otherwise)
        for label, body in ((then, statement.then), (otherwise, statement.otherwise)):
            if body or label == then:
                text.start(label)
                with text.scope():
                    self.statements(body)
                text.branch(done)
        text.start(done)

    def _following(self, carries: Sequence[Carry]) -> list[str]:
        """What a loop hands on to its next turn."""
        self.folding = True
        names = self.values(carry.next for carry in carries)
        self.folding = False
        return names

    def _reserve_phis(self, carries: Sequence[Carry]) -> tuple[list[str], list[int]]:
        """Names and reserved lines for the carried values."""
        names: list[str] = []
        lines: list[int] = []
        for carry in carries:
            names.append(self.text.name())
            lines.append(self.text.reserve())
            self.text.bind(carry.value, names[-1])
        return names, lines

    def _fill_phis(
        self,
        carries: Sequence[Carry],
        names: Sequence[str],
        lines: Sequence[int],
        inits: Sequence[str],
        before: str,
        nexts: Sequence[str],
        latch: str,
    ) -> None:
        for carry, name, line, init, following in zip(carries, names, lines, inits, nexts, strict=True):
            kind = register_type(carry.value.dtype)
            self.text.fill(line, f"{name} = phi {kind} [ {init}, %{before} ], [ {following}, %{latch} ]")

    def _own_metadata(self) -> str:
        """Of a loop without properties whose last branch is all there is of a block.

        LLVM would join that to the last branch of a loop before it, whose properties both loops would then have.
        """
        return self.module.loop_metadata(['!"tenfold.loop"'])

    def _loop_metadata(self, loop: For, group: str = "") -> str:
        if loop.mode is Mode.LANES:
            assert isinstance(loop.extent, Constant)
            return self.module.loop_metadata(lanes_properties(group, int(loop.extent.value)))
        if any(isinstance(statement, _CALLS) for statement in loop.body):
            return self.module.loop_metadata([_NOT_UNROLLED, *_NO_VECTORS])
        if loop.mode is Mode.UNROLLED:
            return self.module.loop_metadata(['!"llvm.loop.unroll.full"'])
        if stays_loop(loop):
            return self.module.loop_metadata([_NOT_UNROLLED])
        return self._vector_metadata(loop) if loop.mode is Mode.VECTOR else ""

    def _vector_metadata(self, loop: For) -> str:
        properties: list[str] = []
        if (lanes := lane_count(loop, self.module.target.vector_bytes)) is not None:
            properties.append(f'!"llvm.loop.vectorize.width", i32 {lanes}')
        if (count := interleave_count(loop)) is not None:
            self.text.attributes = _ALIGNED_SPILLS
            properties.append(f'!"llvm.loop.interleave.count", i32 {count}')
        return self.module.loop_metadata(properties) if properties else ""
