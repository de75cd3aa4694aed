"""Loops with small bodies, run by one block of threads, so that a turn costs no launch and no look of the host.

    while condition:                     launch of one block:
        parallel i in 100: ...      →        while condition:
        s = ...                                  barrier; threads i < 100: ...; barrier; thread 0: s = ...; barrier

Threads are what the loops around a parallel one take turns with; all of them look at every condition.  Launches in the
body are run too, their blocks one after the other, so that what they compute is the same to the bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from tenfoldc.gpu.lower.threads import SHARED_BYTES, WARP, shared_size
from tenfoldc.gpu.turns import Memory, Turns, holds_launches, in_order, is_shared, serial, shared_out
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import (
    Axis,
    Barrier,
    Buffer,
    Combine,
    Constant,
    Expr,
    For,
    If,
    Launch,
    Mode,
    MultiplyChain,
    MultiplyTiles,
    ReadTape,
    Statement,
    While,
    WriteTape,
)
from tenfoldc.loops.rewriting import BufferReplacer
from tenfoldc.loops.traversal import walk_statements

_MOST_TURNS = 1024
"""Turns of a parallel loop, or threads of all blocks of a launch, up to which one block takes them."""

_MOST_BLOCKS = 4
"""Blocks of a launch, whose threads wait for each other, that are run one after the other."""

_THREADS = 512
"""Threads of the block at most, where no launch in the body asks for more: so each has registers enough."""

_LEAST_REPEATS = 2
"""Turns of a counted loop from which fewer launches are worth it."""


def by_one_block(statement: Statement, memory: Memory) -> Launch | None:
    """A loop as the launch of one block; None for what is no loop, or too large."""
    match statement:
        case While(carries=()):
            pass
        case For(extent=Constant(value=extent), carries=()) if extent >= _LEAST_REPEATS and not _is_spread(statement):
            pass
        case _:
            return None
    threads = _threads_for(statement)
    return None if threads is None else _OneBlock(memory, threads).launch(statement)


def _is_spread(loop: For) -> bool:
    """Whether the turns of a loop go to threads."""
    return loop.mode is Mode.PARALLEL and not holds_launches(loop)


def _threads_for(statement: Statement) -> int | None:
    """The threads of a block that does a statement; None where no block should."""
    turns: list[int] = []
    fixed: set[int] = set()
    shared_bytes = 0
    for part in _shared_parts((statement,)):
        match part:
            case Launch(blocks=Constant(value=blocks), private=()):
                turns.append(int(blocks) * part.threads)
                shared_bytes += sum(map(shared_size, part.shared))
                if _is_bulk(part) or (_is_joint(part) and blocks > _MOST_BLOCKS):
                    return None
                if _is_joint(part):
                    fixed.add(part.threads)
            case For() if (known := Turns.of(part).known) is not None:
                turns.append(known)
            case _:
                return None
    if max(turns, default=0) > _MOST_TURNS or len(fixed) > 1 or shared_bytes > SHARED_BYTES:
        return None
    wanted = -(-max(turns, default=1) // WARP) * WARP
    return next(iter(fixed), min(_THREADS, max(WARP, wanted)))


def _shared_parts(statements: Iterable[Statement]) -> Iterator[Statement]:
    """What threads share: parallel loops, launches, and what no block can do."""
    for statement in statements:
        match statement:
            case For() if _is_spread(statement) and is_shared(statement):
                yield statement
            case For(extent=Constant(), carries=()) | While(carries=()) if is_shared(statement):
                yield from _shared_parts(statement.body)
            case If():
                yield from _shared_parts((*statement.then, *statement.otherwise))
            case Launch() | WriteTape() | ReadTape():
                yield statement
            case _:
                if any(isinstance(inner, Launch | WriteTape | ReadTape) for inner in walk_statements((statement,))):
                    yield statement


def _is_joint(launch: Launch) -> bool:
    """Whether all threads of a block wait for each other, or exchange values across warps."""

    def joins(statement: Statement) -> bool:
        if isinstance(statement, Combine):
            return statement.threads * statement.stride > WARP or launch.threads % WARP != 0
        return isinstance(statement, Barrier | MultiplyTiles | MultiplyChain)

    return bool(launch.shared) or any(map(joins, walk_statements(launch.body)))


def _is_bulk(launch: Launch) -> bool:
    """Whether a launch has tiles that the copy engine brings, which is set up for one launch."""
    return any(isinstance(part, MultiplyTiles) and part.tiling.bulk for part in walk_statements(launch.body))


class _OneBlock:
    """A launch of one block of `threads` threads while it is written.

    Whatever is written ends with a barrier, and conditions are followed by one, so that no thread changes what
    another still reads.
    """

    def __init__(self, memory: Memory, threads: int) -> None:
        self._memory = memory
        self._threads = threads
        self._thread = Axis("thread")
        self._shared: list[Buffer] = []
        self._private: list[Buffer] = []

    def launch(self, statement: Statement) -> Launch:
        body = tuple(self._statement(statement))
        own = tuple(self._shared), tuple(self._private)
        return Launch("loop", Axis("block"), scalar.index(1), self._thread, self._threads, body, *own)

    def _block(self, statements: Sequence[Statement]) -> tuple[Statement, ...]:
        return tuple(in_order(statements, self._memory, alone=self._alone, shared=self._statement))

    def _alone(self, statements: Sequence[Statement]) -> list[Statement]:
        """Statements for the first thread."""
        is_first = scalar.equal(self._thread, scalar.index(0))
        return [If(is_first, tuple(map(serial, statements))), Barrier()]

    def _statement(self, statement: Statement) -> list[Statement]:
        match statement:
            case Launch():
                return self._launched(statement)
            case For() if _is_spread(statement):
                return self._spread(statement)
            case For(extent=Constant(), carries=()):
                return [replace(statement, body=self._block(statement.body), mode=Mode.SERIAL, private=())]
            case While(carries=()):
                body = (Barrier(), *self._block(statement.body))
                return [While((), statement.condition, body), Barrier()]
            case If():
                then, otherwise = (self._branch(branch) for branch in (statement.then, statement.otherwise))
                return [If(statement.condition, then, otherwise), Barrier()]
            case _:
                return self._alone([statement])

    def _branch(self, statements: Sequence[Statement]) -> tuple[Statement, ...]:
        return (Barrier(), *self._block(statements)) if statements else ()

    def _spread(self, loop: For) -> list[Statement]:
        turns = Turns.of(loop)
        own, views = self._memory.own(turns.private, self._threads)
        self._private.extend(own)
        body = shared_out(turns.extent, self._thread, self._threads, lambda place: turns.body(place, views))
        return [*body, Barrier()]

    def _launched(self, launch: Launch) -> list[Statement]:
        """The blocks of a launch, one after the other where their threads wait for each other."""
        if not _is_joint(launch):
            return self._threads_of(launch)
        copies = {
            buffer: replace(buffer, name=f"{buffer.name}_{len(self._shared) + number}")
            for number, buffer in enumerate(launch.shared)
        }
        self._shared.extend(copies.values())
        body = BufferReplacer(copies, {launch.thread: self._thread}).statements(launch.body)
        return [For(launch.block, launch.blocks, (*body, Barrier()))]

    def _threads_of(self, launch: Launch) -> list[Statement]:
        """The threads of all blocks of a launch, whole warps at a time."""
        threads = scalar.index(launch.threads)

        def body(number: Expr) -> tuple[Statement, ...]:
            known: dict[Expr, Expr] = {
                launch.block: scalar.div(number, threads),
                launch.thread: scalar.rem(number, threads),
            }
            return BufferReplacer({}, known).statements(launch.body)

        total = scalar.mul(launch.blocks, threads)
        return [*shared_out(total, self._thread, self._threads, body), Barrier()]
