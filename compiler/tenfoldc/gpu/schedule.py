"""Scheduling for a GPU: every statement of a program becomes part of a launch, or control flow around launches.

    parallel i in 1000: ...                    →   launch: one turn a thread
    for t in 10: parallel i in 1000000: ...    →   for t in 10: launch
    while condition: parallel i ...            →   launch: flag = condition; while flag: launch; launch: flag = ...
    while condition: parallel i in 100 ...     →   launch of one block: while condition: ...
    carry s = 0; for i in 1000: ...            →   launch: one thread

Lowering writes launches for most of what a GPU is good at; this is for the rest.  What private memory parallel loops
have becomes a piece for each thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tenfoldc.gpu.lower.threads import BLOCK, WARP
from tenfoldc.gpu.one_block import by_one_block
from tenfoldc.gpu.turns import Memory, Turns, holds_launches, in_order, serial, shared_out
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import (
    Axis,
    Buffer,
    Constant,
    Expr,
    For,
    If,
    Kernel,
    Launch,
    Load,
    Mode,
    Program,
    ReadTape,
    Statement,
    Store,
    While,
    WriteTape,
)

_MOST_THREADS = 1 << 18
"""Threads that a launch has where each takes more than one turn."""

_PRIVATE_BYTES = 1 << 28
"""Private memory that the threads of a launch may take together."""


def schedule(program: Program) -> Program:
    """`program` with nothing but launches, copies of tapes and control flow around them."""
    temporaries: list[Buffer] = [*program.temporaries]
    kernels = [_scheduled(kernel, temporaries) for kernel in program.kernels]
    return replace(program, kernels=tuple(kernels), temporaries=tuple(temporaries))


def _scheduled(kernel: Kernel, temporaries: list[Buffer]) -> Kernel:
    memory = Memory(temporaries, [*kernel.scratch])
    body = tuple(_block(kernel.body, memory))
    return replace(kernel, body=body, scratch=tuple(memory.scratch))


def _block(statements: Sequence[Statement], memory: Memory) -> list[Statement]:
    """Statements that the host carries out; those which one thread does are done in one launch."""
    return in_order(statements, memory, alone=_alone, shared=lambda statement: _statement(statement, memory))


def _statement(statement: Statement, memory: Memory) -> list[Statement]:
    launch = by_one_block(statement, memory)
    if launch is not None:
        return [launch]
    match statement:
        case Launch():
            return [statement]
        case For(mode=Mode.PARALLEL) if not holds_launches(statement):
            return [_spread(statement, memory)]
        case For(extent=Constant(), carries=()):
            return [replace(statement, body=tuple(_block(statement.body, memory)), mode=Mode.SERIAL, private=())]
        case While(carries=(), turns=int()):
            return [replace(statement, body=tuple(_block(statement.body, memory)))]
        case While(carries=()):
            flag, test = _cell(statement.condition, memory)
            return [test, While((), Load(flag, ()), (*_block(statement.body, memory), test))]
        case If():
            flag, test = _cell(statement.condition, memory)
            then, otherwise = (tuple(_block(branch, memory)) for branch in (statement.then, statement.otherwise))
            return [test, If(Load(flag, ()), then, otherwise)]
        case WriteTape() | ReadTape():
            cell, place = _cell(statement.place, memory)
            return [place, replace(statement, place=Load(cell, ()))]
        case _:
            return _alone([statement])


def _cell(value: Expr, memory: Memory) -> tuple[Buffer, Statement]:
    """Memory for one number, and the launch that puts `value` there."""
    cell = memory.cell(value.dtype)
    return cell, _alone([Store(cell, (), value)])[0]


def _alone(statements: Sequence[Statement]) -> list[Statement]:
    """`statements` as a launch of one thread."""
    body = tuple(serial(statement) for statement in statements)
    return [Launch("thread", Axis("block"), scalar.index(1), Axis("thread"), 1, body)]


def _spread(loop: For, memory: Memory) -> Launch:
    """A parallel loop, and those nested in it with nothing beside them, one turn a thread."""
    turns = Turns.of(loop)
    threads = _threads(turns.known, turns.private)
    size = min(BLOCK, -(-threads // WARP) * WARP)
    blocks = -(-threads // size)
    block, thread = Axis("block"), Axis("thread")
    number = scalar.add(scalar.mul(block, scalar.index(size)), thread)
    own, views = memory.own(turns.private, blocks * size)
    body = shared_out(turns.extent, number, blocks * size, lambda place: turns.body(place, views))
    return Launch("turns", block, scalar.index(blocks), thread, size, body, (), own)


def _threads(turns: int | None, private: Sequence[Buffer]) -> int:
    """How many threads take the turns of a loop."""
    most = _MOST_THREADS if turns is None else max(1, turns)
    size = sum(buffer.nbytes for buffer in private)
    return max(1, min(most, _PRIVATE_BYTES // size)) if size else most
