"""Scheduling for a GPU: every statement of a program becomes part of a launch, or control flow around launches.

    parallel i in 1000: ...                    →   launch: one turn a thread
    for t in 10: parallel i in 1000: ...       →   for t in 10: launch
    while condition: parallel i ...            →   launch: flag = condition; while flag: launch; launch: flag = ...
    carry s = 0; for i in 1000: ...            →   launch: one thread

Lowering writes launches for most of what a GPU is good at; this is for the rest.  What private memory parallel loops
have becomes a piece for each thread.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from tenfold_rt.dtypes import DType
from tenfold_rt.errors import VerificationError
from tenfoldc.gpu.lower.threads import BLOCK, WARP
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import (
    Axis,
    Buffer,
    Carry,
    Constant,
    Expr,
    For,
    If,
    Kernel,
    Launch,
    Load,
    Local,
    Mode,
    MultiplyPanels,
    Program,
    ReadTape,
    Statement,
    Store,
    While,
    WriteTape,
)
from tenfoldc.loops.rewriting import BufferReplacer
from tenfoldc.loops.traversal import all_expressions, walk_statements

_MOST_THREADS = 1 << 18
"""Threads that a launch has where each takes more than one turn."""

_PRIVATE_BYTES = 1 << 28
"""Private memory that the threads of a launch may take together."""


def schedule(program: Program) -> Program:
    """`program` with nothing but launches, copies of tapes and control flow around them."""
    temporaries: list[Buffer] = [*program.temporaries]
    kernels = [_Scheduling(kernel, temporaries).kernel() for kernel in program.kernels]
    return replace(program, kernels=tuple(kernels), temporaries=tuple(temporaries))


class _Scheduling:
    """The scheduling of one kernel; `temporaries` are those of the program, which may gain some."""

    def __init__(self, kernel: Kernel, temporaries: list[Buffer]) -> None:
        self._kernel = kernel
        self._temporaries = temporaries
        self._scratch: list[Buffer] = [*kernel.scratch]

    def kernel(self) -> Kernel:
        body = tuple(self._block(self._kernel.body))
        return replace(self._kernel, body=body, scratch=tuple(self._scratch))

    def _block(self, statements: Sequence[Statement]) -> list[Statement]:
        """Statements that the host carries out; those which one thread does are done in one launch.

        What a loop hands to launches after it goes through memory.
        """
        scheduled: list[Statement] = []
        alone: list[Statement] = []
        wanted = _locals_in([statement for statement in statements if _is_shared(statement)])
        cells: dict[Expr, Expr] = {}
        for statement in statements:
            if _is_shared(statement):
                scheduled.extend(self._alone(alone))
                alone = []
                (seen,) = BufferReplacer({}, cells).statements((statement,)) if cells else (statement,)
                scheduled.extend(self._statement(seen))
                continue
            alone.append(statement)
            for carry in statement.carries if isinstance(statement, For | While) else ():
                if carry.result in wanted:
                    cell = self._temporary("cell", carry.result.dtype)
                    alone.append(Store(cell, (), carry.result))
                    cells[carry.result] = Load(cell, ())
        return [*scheduled, *self._alone(alone)]

    def _statement(self, statement: Statement) -> list[Statement]:
        match statement:
            case Launch():
                return [statement]
            case For(mode=Mode.PARALLEL) if not _holds_launches(statement):
                return [self._spread(statement)]
            case For(extent=Constant(), carries=()):
                return [replace(statement, body=tuple(self._block(statement.body)), mode=Mode.SERIAL, private=())]
            case While(carries=()):
                flag, test = self._cell(statement.condition)
                return [test, While((), Load(flag, ()), (*self._block(statement.body), test))]
            case If():
                flag, test = self._cell(statement.condition)
                then, otherwise = (tuple(self._block(branch)) for branch in (statement.then, statement.otherwise))
                return [test, If(Load(flag, ()), then, otherwise)]
            case WriteTape() | ReadTape():
                cell, place = self._cell(statement.place)
                return [place, replace(statement, place=Load(cell, ()))]
            case _:
                return self._alone([statement])

    def _cell(self, value: Expr) -> tuple[Buffer, Statement]:
        """Memory for one number, and the launch that puts `value` there."""
        cell = self._temporary("cell", value.dtype)
        return cell, self._alone([Store(cell, (), value)])[0]

    def _temporary(self, name: str, dtype: DType) -> Buffer:
        buffer = Buffer(f"{name}{len(self._temporaries)}", dtype, ())
        self._temporaries.append(buffer)
        return buffer

    def _alone(self, statements: Sequence[Statement]) -> list[Statement]:
        """`statements` as a launch of one thread."""
        if not statements:
            return []
        body = tuple(_serial(statement) for statement in statements)
        return [Launch("thread", Axis("block"), scalar.index(1), Axis("thread"), 1, body)]

    def _spread(self, loop: For) -> Launch:
        """A parallel loop, and those nested in it with nothing beside them, one turn a thread."""
        loops = _nested(loop)
        private = list(dict.fromkeys(buffer for each in loops for buffer in each.private))
        extent: Expr = scalar.index(1)
        for each in loops:
            extent = scalar.mul(extent, each.extent)
        known = int(extent.value) if isinstance(extent, Constant) else None
        threads = self._threads(known, private)
        size = min(BLOCK, -(-threads // WARP) * WARP)
        blocks = -(-threads // size)
        block, thread = Axis("block"), Axis("thread")
        linear = scalar.add(scalar.mul(block, scalar.index(size)), thread)
        own, replaced = self._own(private, blocks * size)
        body = tuple(_serial(statement) for statement in loops[-1].body)
        if known is not None and known <= blocks * size:
            statements = BufferReplacer(replaced, _indices(loops, linear)).statements(body)
            if known != blocks * size:
                statements = (If(scalar.less(linear, extent), statements),)
        else:
            turn = Axis("turn")
            count = _quotient_up(scalar.sub(extent, linear), blocks * size)
            place = scalar.add(scalar.mul(turn, scalar.index(blocks * size)), linear)
            statements = (For(turn, count, BufferReplacer(replaced, _indices(loops, place)).statements(body)),)
        return Launch("turns", block, scalar.index(blocks), thread, size, statements, (), own)

    def _threads(self, turns: int | None, private: Sequence[Buffer]) -> int:
        """How many threads take the turns of a loop."""
        most = _MOST_THREADS if turns is None else max(1, turns)
        size = sum(math.prod(buffer.shape) * buffer.dtype.itemsize for buffer in private)
        return max(1, min(most, _PRIVATE_BYTES // size)) if size else most

    def _own(self, private: Sequence[Buffer], threads: int) -> tuple[tuple[Buffer, ...], dict[Buffer, Buffer]]:
        """Memory for `private` buffers of that many threads, and the view of it that stands for each."""
        own: list[Buffer] = []
        replaced: dict[Buffer, Buffer] = {}
        for buffer in private:
            memory = Buffer(f"{buffer.name}_{len(self._scratch)}", buffer.dtype, (threads, *buffer.shape))
            self._scratch.append(memory)
            own.append(memory)
            replaced[buffer] = Buffer(buffer.name, buffer.dtype, buffer.shape, base=memory)
        return tuple(own), replaced


def _locals_in(statements: Sequence[Statement]) -> set[Expr]:
    return {expression for expression in all_expressions(statements) if isinstance(expression, Local)}


def _nested(loop: For) -> list[For]:
    """A parallel loop and those that are all that the one before holds, whose extents do not depend on it."""
    loops = [loop]
    while len(loops[-1].body) == 1:
        (inner,) = loops[-1].body
        if not isinstance(inner, For) or inner.mode is not Mode.PARALLEL or not isinstance(inner.extent, Constant):
            break
        loops.append(inner)
    return loops


def _indices(loops: Sequence[For], place: Expr) -> dict[Expr, Expr]:
    """The index of each of nested loops at a place in all their turns."""
    found: dict[Expr, Expr] = {}
    for loop in reversed(loops[1:]):
        found[loop.axis] = scalar.rem(place, loop.extent)
        place = scalar.div(place, loop.extent)
    found[loops[0].axis] = place
    return found


def _is_shared(statement: Statement) -> bool:
    """Whether more than one thread is to do a statement, or the host."""
    return any(
        isinstance(inner, Launch | WriteTape | ReadTape)
        or (isinstance(inner, For) and inner.mode is Mode.PARALLEL and not _is_one(inner.extent))
        for inner in walk_statements((statement,))
    )


def _holds_launches(loop: For) -> bool:
    return any(isinstance(inner, Launch | WriteTape | ReadTape) for inner in walk_statements(loop.body))


def _is_one(extent: Expr) -> bool:
    return isinstance(extent, Constant) and int(extent.value) <= 1


def _quotient_up(extent: Expr, size: int) -> Expr:
    return scalar.div(scalar.add(extent, scalar.index(size - 1)), scalar.index(size))


def _serial(statement: Statement) -> Statement:
    """A statement for one thread: none of its loops is shared."""
    match statement:
        case For():
            return replace(statement, body=tuple(map(_serial, statement.body)), mode=Mode.SERIAL, private=())
        case While():
            return replace(statement, body=tuple(map(_serial, statement.body)))
        case If():
            then, otherwise = tuple(map(_serial, statement.then)), tuple(map(_serial, statement.otherwise))
            return replace(statement, then=then, otherwise=otherwise)
        case MultiplyPanels():
            return _plain_product(statement)
        case _:
            return statement


def _plain_product(panels: MultiplyPanels) -> Statement:
    """A product of panels as three loops."""
    if panels.packed is not None:
        raise VerificationError("a product that packs what it reads is nothing that a thread of a GPU does")
    i, j, k, dtype = Axis("i"), Axis("j"), Axis("k"), panels.target.dtype
    lhs_depth, rhs_depth = scalar.add(panels.lhs_first, k), scalar.add(panels.rhs_first, k)
    is_packed = len(panels.lhs.shape) == 3, len(panels.rhs.shape) == 3
    lhs = (panels.lhs_panel, lhs_depth, i) if is_packed[0] else (scalar.add(panels.lhs_panel, i), lhs_depth)
    rhs = (panels.rhs_panel, rhs_depth, j) if is_packed[1] else (rhs_depth, scalar.add(panels.rhs_panel, j))
    place = (scalar.add(panels.row, i), scalar.add(panels.column, j))
    total, result = Local("sum", dtype), Local("total", dtype)
    following = scalar.fma(Load(panels.lhs, lhs), Load(panels.rhs, rhs), total)
    start = Load(panels.target, place) if panels.accumulate else scalar.constant(0, dtype)
    inner = For(k, panels.depth, (), (Carry(total, start, following, result),))
    row = For(j, scalar.index(panels.columns), (inner, Store(panels.target, place, result)))
    return For(i, scalar.index(panels.rows), (row,))
