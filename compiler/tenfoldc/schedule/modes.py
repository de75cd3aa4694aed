"""The scheduling stage: loops are marked with how they run.

    for i in 8: for j in 3: ...   →   for i in 8: unrolled j in 3: ...
    for i in 8: for j in 512: ... →   for i in 8: vector j in 512: ...
    for i in 8: for j in 21: ...  →   for i in 8: lanes l in 8: ...

(`tenfoldc.schedule.ragged`).  Before that, in this order:

- small loops that threads could share are merged (`tenfoldc.schedule.merging`);
- loops are cut where a choice by index changes (`tenfoldc.schedule.splitting`);
- loops that threads share are chosen (`tenfoldc.schedule.parallel`);
- short rows are computed many at a time (`tenfoldc.schedule.short_rows`);
- the lanes of many rows' vectors are folded at a time (`tenfoldc.schedule.lane_folds`);
- costly operations on one number per row are done for many rows at a time (`tenfoldc.schedule.row_scalars`);
- results too large for the cache are written past it (`tenfoldc.schedule.streaming`).

After it, rows that are passed over several times are asked for ahead (`tenfoldc.schedule.prefetch`).

What lowering could decide with the group at hand (merged and split axes, tiles, blocks of sums) is decided there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tenfoldc.loops.aliasing import DonatedMemory
from tenfoldc.loops.ir import Constant, For, If, Kernel, Mode, Program, Statement, While
from tenfoldc.loops.rewriting import with_inner
from tenfoldc.loops.traversal import inner_statements, loaded, stored
from tenfoldc.schedule.lane_folds import LaneFolds
from tenfoldc.schedule.merging import Merging
from tenfoldc.schedule.parallel import share_out, smallest_region
from tenfoldc.schedule.prefetch import ask_for_next_rows
from tenfoldc.schedule.ragged import whole_vectors
from tenfoldc.schedule.row_scalars import RowScalars
from tenfoldc.schedule.short_rows import ShortRows
from tenfoldc.schedule.splitting import split_at_choices
from tenfoldc.schedule.streaming import Streaming
from tenfoldc.target import Target
from tenfoldc.tuning import UNTUNED, Decisions, Tuning


def schedule(program: Program, target: Target, tuning: Tuning = UNTUNED) -> Program:
    """Mark innermost loops as vectors, short ones as unrolled, and those that threads share; see the module."""
    marking, row_scalars = _Marking(target, program), RowScalars(program, target)
    short_rows, lane_folds = ShortRows(program), LaneFolds(program, target)
    streaming = Streaming(program) if target.streams else None
    merging = Merging(program)
    kernels = [replace(kernel, body=merging.block(kernel.body)) for kernel in program.kernels]
    program = replace(program, kernels=tuple(kernels))
    smallest = smallest_region(program)

    def scheduled(kernel: Kernel) -> Kernel:
        decisions = Decisions(tuning)
        cut = replace(kernel, body=split_at_choices(kernel.body))
        kernel = short_rows.kernel(replace(cut, body=share_out(cut.body, decisions, smallest)))
        kernel = row_scalars.kernel(lane_folds.kernel(kernel))
        if streaming is not None:
            kernel = streaming.kernel(kernel)
        body = ask_for_next_rows(marking.block(kernel.body))
        return replace(kernel, body=body, decisions=(*kernel.decisions, *decisions.made))

    return replace(program, kernels=tuple(map(scheduled, program.kernels)))


class _Marking:
    """The marking of one program's loops."""

    def __init__(self, target: Target, program: Program) -> None:
        self._vector_bytes = target.vector_bytes
        self._memory = DonatedMemory(program)

    def block(self, statements: Iterable[Statement], inside: bool = False) -> tuple[Statement, ...]:
        return tuple(marked for statement in statements for marked in self._statement(statement, inside))

    def _statement(self, statement: Statement, inside: bool) -> tuple[Statement, ...]:
        match statement:
            case For():
                return self._loop(statement, inside)
            case _:
                return (with_inner(statement, self.block),)

    def _loop(self, loop: For, inside: bool) -> tuple[Statement, ...]:
        if any(isinstance(inner, For | While | If) for inner in inner_statements(loop)):
            return (replace(loop, body=self.block(loop.body, inside=True)),)
        if loop.mode in (Mode.PARALLEL, Mode.LANES):
            return (loop,)
        vector = replace(loop, mode=Mode.VECTOR)
        if not inside or not isinstance(loop.extent, Constant):
            return (vector,)
        if loop.extent.value <= self._vector_bytes // 4:
            return (replace(loop, mode=Mode.UNROLLED),)
        rows = None if self._in_place(loop) else whole_vectors(loop, self._vector_bytes // _itemsize(loop))
        return (vector,) if rows is None else rows

    def _in_place(self, loop: For) -> bool:
        """Whether a loop writes memory that it reads, that of a donated parameter included."""
        return not self._memory.owners(loaded((loop,))).isdisjoint(self._memory.owners(stored((loop,))))


def _itemsize(loop: For) -> int:
    """The size of the elements that a loop computes."""
    dtypes = [buffer.dtype for buffer in stored((loop,))] + [carry.value.dtype for carry in loop.carries]
    return max((dtype.itemsize for dtype in dtypes), default=4)
