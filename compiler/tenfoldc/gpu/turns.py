"""What schedules of a GPU are made of: loops and their turns, memory that launches need, statements for one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from tenfold_rt.dtypes import DType
from tenfold_rt.errors import VerificationError
from tenfold_rt.frozen import frozen
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import (
    Axis,
    Buffer,
    Carry,
    Constant,
    Expr,
    For,
    If,
    Launch,
    Load,
    Local,
    Mode,
    MultiplyPanels,
    ReadTape,
    Statement,
    Store,
    While,
    WriteTape,
)
from tenfoldc.loops.rewriting import BufferReplacer, with_inner
from tenfoldc.loops.traversal import all_expressions, walk_statements


@frozen
class Memory:
    """The buffers of a program and of one of its kernels, which scheduling adds to."""

    temporaries: list[Buffer]
    scratch: list[Buffer]

    def cell(self, dtype: DType) -> Buffer:
        """Memory for one number."""
        buffer = Buffer(f"cell{len(self.temporaries)}", dtype, ())
        self.temporaries.append(buffer)
        return buffer

    def own(self, private: Sequence[Buffer], threads: int) -> tuple[tuple[Buffer, ...], dict[Buffer, Buffer]]:
        """Memory for `private` buffers of that many threads, and the view of it that stands for each."""
        own: list[Buffer] = []
        replaced: dict[Buffer, Buffer] = {}
        for buffer in private:
            memory = Buffer(f"{buffer.name}_{len(self.scratch)}", buffer.dtype, (threads, *buffer.shape))
            self.scratch.append(memory)
            own.append(memory)
            replaced[buffer] = Buffer(buffer.name, buffer.dtype, buffer.shape, base=memory)
        return tuple(own), replaced


def in_order(
    statements: Sequence[Statement],
    memory: Memory,
    *,
    alone: Callable[[Sequence[Statement]], Iterable[Statement]],
    shared: Callable[[Statement], Iterable[Statement]],
) -> list[Statement]:
    """`statements` scheduled: those that one thread does by `alone`, as many together as follow each other.

    What a loop that one thread does hands to others goes through memory.
    """
    parts = _parts(statements)
    used = [_locals_in(part) for _, part in parts]
    cells: dict[Expr, Expr] = {}
    scheduled: list[Statement] = []
    for number, (is_shared_part, part) in enumerate(parts):
        seen = list(BufferReplacer({}, cells).statements(part)) if cells else part
        if is_shared_part:
            scheduled.extend(shared(seen[0]))
            continue
        wanted = set[Expr]().union(*used[number + 1 :])
        for statement in part:
            for carry in statement.carries if isinstance(statement, For | While) else ():
                if carry.result in wanted:
                    cell = memory.cell(carry.result.dtype)
                    seen.append(Store(cell, (), carry.result))
                    cells[carry.result] = Load(cell, ())
        scheduled.extend(alone(seen))
    return scheduled


def _parts(statements: Sequence[Statement]) -> list[tuple[bool, list[Statement]]]:
    """Statements that threads share, one by one, and stretches of those that they do not."""
    parts: list[tuple[bool, list[Statement]]] = []
    for statement in statements:
        if is_shared(statement) or not parts or parts[-1][0]:
            parts.append((is_shared(statement), [statement]))
        else:
            parts[-1][1].append(statement)
    return parts


def _locals_in(statements: Sequence[Statement]) -> set[Expr]:
    return {expression for expression in all_expressions(statements) if isinstance(expression, Local)}


def is_shared(statement: Statement) -> bool:
    """Whether more than one thread is to do a statement, or the host."""
    return any(
        isinstance(inner, Launch | WriteTape | ReadTape)
        or (isinstance(inner, For) and inner.mode is Mode.PARALLEL and not _is_one(inner.extent))
        for inner in walk_statements((statement,))
    )


def holds_launches(loop: For) -> bool:
    return any(isinstance(inner, Launch | WriteTape | ReadTape) for inner in walk_statements(loop.body))


def _is_one(extent: Expr) -> bool:
    return isinstance(extent, Constant) and int(extent.value) <= 1


@frozen
class Turns:
    """All turns of parallel loops that are nested with nothing beside them."""

    loops: tuple[For, ...]

    @staticmethod
    def of(loop: For) -> Turns:
        loops = [loop]
        while len(loops[-1].body) == 1:
            (inner,) = loops[-1].body
            if not isinstance(inner, For) or inner.mode is not Mode.PARALLEL or not isinstance(inner.extent, Constant):
                break
            loops.append(inner)
        return Turns(tuple(loops))

    @property
    def private(self) -> list[Buffer]:
        return list(dict.fromkeys(buffer for loop in self.loops for buffer in loop.private))

    @property
    def extent(self) -> Expr:
        extent: Expr = scalar.index(1)
        for loop in self.loops:
            extent = scalar.mul(extent, loop.extent)
        return extent

    @property
    def known(self) -> int | None:
        """How many turns there are, where that is known."""
        extent = self.extent
        return int(extent.value) if isinstance(extent, Constant) else None

    def body(self, place: Expr, views: dict[Buffer, Buffer]) -> tuple[Statement, ...]:
        """What is done in turn number `place`, with `views` for private memory."""
        found: dict[Expr, Expr] = {}
        for loop in reversed(self.loops[1:]):
            found[loop.axis] = scalar.rem(place, loop.extent)
            place = scalar.div(place, loop.extent)
        found[self.loops[0].axis] = place
        return BufferReplacer(views, found).statements(map(serial, self.loops[-1].body))


def shared_out(
    extent: Expr, first: Expr, threads: int, body: Callable[[Expr], Sequence[Statement]]
) -> tuple[Statement, ...]:
    """`body(number)` for all numbers below `extent` by threads that begin at `first` and are `threads` in all."""
    known = int(extent.value) if isinstance(extent, Constant) else None
    if known is not None and known <= threads:
        statements = tuple(body(first))
        return statements if known == threads else (If(scalar.less(first, extent), statements),)
    turn = Axis("turn")
    rounded = scalar.add(scalar.sub(extent, first), scalar.index(threads - 1))
    place = scalar.add(scalar.mul(turn, scalar.index(threads)), first)
    return (For(turn, scalar.div(rounded, scalar.index(threads)), tuple(body(place))),)


def serial(statement: Statement) -> Statement:
    """A statement for one thread: none of its loops is shared."""
    match statement:
        case For():
            return replace(statement, body=tuple(map(serial, statement.body)), mode=Mode.SERIAL, private=())
        case MultiplyPanels():
            return _plain_product(statement)
        case _:
            return with_inner(statement, lambda inner: tuple(map(serial, inner)))


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
