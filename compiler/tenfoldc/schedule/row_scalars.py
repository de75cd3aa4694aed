"""Costly operations on one number per row, for many rows at a time: in vectors rather than one by one.

    for i in 1024: (s = sum over j of exp(x[i, j]); y[i] = log(s))
    →   for b in 16: (for i in 64: (s = sum over j of exp(x[b * 64 + i, j]); kept[i] = s)
                      for i in 64: y[b * 64 + i] = log(kept[i]))

Where the rows are passed over again with such a number, the numbers of a block of rows are computed between the two
passes, and a block is as many rows as stay in the nearest cache.  A function, root or quotient of one number takes
about as long as one of a vector, which matters where rows are short.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace

from tenfold_rt.frozen import frozen
from tenfoldc.loops import scalar
from tenfoldc.loops.aliasing import DonatedMemory
from tenfoldc.loops.ir import (
    Apply,
    Axis,
    Buffer,
    Call,
    Expr,
    For,
    If,
    Kernel,
    Load,
    Local,
    Mode,
    Program,
    Statement,
    Store,
    While,
)
from tenfoldc.loops.rewriting import BufferReplacer, with_inner
from tenfoldc.loops.traversal import (
    all_expressions,
    all_roots,
    dependents,
    expressions,
    loaded,
    operands_of,
    owners,
    stored,
    walk_statements,
)
from tenfoldc.schedule.blocks import blocks_of
from tenfoldc.schedule.cost import SLOW, Costs, turns_of
from tenfoldc.target import Target

_MOST_ROWS = 64
_LEAST_ROWS = 8
_NEAR_BYTES = 1 << 14
"""What the rows of a block may take, so that they are still in the nearest cache when they are passed over again."""
_LEAST_GAIN = 0.01
"""The share of a row's time from which it pays to keep its numbers in memory meanwhile."""


class RowScalars:
    """The rewriting of one program's kernels."""

    def __init__(self, program: Program, target: Target) -> None:
        self._lanes = target.vector_bytes // 4
        self._memory = DonatedMemory(program)

    def kernel(self, kernel: Kernel) -> Kernel:
        """`kernel` with loops over rows cut in two where that gains."""
        rewriting = _Rewriting(self._lanes, self._memory)
        body = rewriting.block(kernel.body)
        return replace(kernel, body=body, scratch=(*kernel.scratch, *rewriting.scratch))


@frozen(eq=False)
class _Cut:
    """What comes `first` for each row, the costly `numbers` known then, and the `rest`, which uses them."""

    first: tuple[Statement, ...]
    numbers: tuple[Expr, ...]
    rest: tuple[Statement, ...]

    @property
    def only_stores(self) -> bool:
        return all(isinstance(statement, Store) for statement in self.rest)

    @property
    def kept(self) -> tuple[Local, ...]:
        """What `first` computes and others use."""
        results = [carry.result for loop in self.first if isinstance(loop, For | While) for carry in loop.carries]
        used = {*all_expressions(self.rest), *expressions(self.numbers)}
        return tuple(result for result in results if result in used)


class _Rewriting:
    """The rewriting of one kernel."""

    def __init__(self, lanes: int, memory: DonatedMemory) -> None:
        self._lanes = lanes
        self._memory = memory
        self._costs = Costs()
        self.scratch: list[Buffer] = []

    def block(self, statements: Iterable[Statement]) -> tuple[Statement, ...]:
        return tuple(map(self._statement, statements))

    def _statement(self, statement: Statement) -> Statement:
        match statement:
            case For(mode=Mode.PARALLEL):
                before = len(self.scratch)
                body = self.block(statement.body)
                return replace(statement, body=body, private=(*statement.private, *self.scratch[before:]))
            case For() if (cut := self._cut(statement)) is not None:
                return self._in_two(statement, cut)
            case _:
                return with_inner(statement, self.block)

    def _cut(self, rows: For) -> _Cut | None:
        """Where to cut a loop over rows; None where that does not gain or would change what it computes."""
        if rows.mode is not Mode.SERIAL or rows.carries or turns_of(rows.extent) < 2 * _LEAST_ROWS:
            return None
        if not all(isinstance(inner, For | While | If | Store) for inner in walk_statements(rows.body)):
            return None
        cut = max(_cuts(rows), key=self._gain, default=None)
        if cut is None or self._gain(cut) < _LEAST_GAIN * self._costs.of(rows.body) or not self._are_apart(cut):
            return None
        return cut if cut.only_stores or near_rows(rows) >= _LEAST_ROWS else None

    def _gain(self, cut: _Cut) -> float:
        """Nanoseconds for each row by which a lane of a vector takes less than a number alone."""
        stores = tuple(Store(Buffer("", number.dtype, ()), (), number) for number in cut.numbers)
        return (self._lanes - 1) * self._costs.of(stores)

    def _are_apart(self, cut: _Cut) -> bool:
        """Whether nothing goes by way of memory from one part to the other."""
        memory = self._memory
        first, rest = memory.owners(stored(cut.first)), memory.owners(stored(cut.rest))
        before, after = memory.owners(loaded(cut.first)), memory.owners(loaded(cut.rest))
        return first.isdisjoint(rest | after) and rest.isdisjoint(before)

    def _in_two(self, rows: For, cut: _Cut) -> For:
        """`rows` as a loop over blocks of rows."""
        size = min(_MOST_ROWS, max(_LEAST_ROWS, near_rows(rows)), turns_of(rows.extent))
        blocks = blocks_of(rows, size, "block")

        def loop(statements: Sequence[Statement], memory: Mapping[Expr, Buffer], more: Mapping[Expr, Buffer]) -> For:
            """`statements` for each row of a block, which read what is in `memory` and put `more` into it."""
            row = Axis(rows.axis.name)
            known: dict[Expr, Expr] = {value: Load(buffer, (row,)) for value, buffer in memory.items()}
            replacer = BufferReplacer({}, {rows.axis: scalar.add(blocks.first, row), **known})
            puts = [Store(buffer, (row,), replacer.expression(value)) for value, buffer in more.items()]
            return For(row, blocks.length, (*replacer.statements(statements), *puts))

        kept = self._buffers("kept", cut.kept, size)
        if cut.only_stores:
            passes = [loop(cut.first, {}, kept), loop(cut.rest, kept, {})]
        else:
            numbers = self._buffers("number", cut.numbers, size)
            passes = [loop(cut.first, {}, kept), loop((), kept, numbers), loop(cut.rest, {**kept, **numbers}, {})]
        return For(blocks.number, blocks.count, tuple(passes))

    def _buffers(self, name: str, values: Sequence[Expr], size: int) -> dict[Expr, Buffer]:
        """New buffers for one value of each row."""
        buffers = [Buffer(f"{name}{len(self.scratch) + place}", v.dtype, (size,)) for place, v in enumerate(values)]
        self.scratch += buffers
        return dict(zip(values, buffers, strict=True))


def _cuts(rows: For) -> Iterator[_Cut]:
    """The places where the turns of a loop can be cut: those from which costly numbers are known."""
    defined = _defined(rows)
    if not defined:
        return
    known_after: dict[int, dict[Expr, None]] = {}
    for number in _costly(rows, set(defined)):
        used = [defined[e] for e in expressions((number,)) if isinstance(e, Local) and e in defined]
        if used:
            known_after.setdefault(max(used), {})[number] = None
    for place, numbers in known_after.items():
        yield _Cut(rows.body[: place + 1], tuple(numbers), rows.body[place + 1 :])


def _defined(rows: For) -> dict[Local, int]:
    """What the loops of a row end with, and which of its statements they are."""
    loops = [(place, loop) for place, loop in enumerate(rows.body) if isinstance(loop, For | While)]
    return {carry.result: place for place, loop in loops for carry in loop.carries}


def _costly(rows: For, results: Set[Expr]) -> Iterator[Expr]:
    """The largest expressions that have one value in a row and are costly."""
    inside = _inside(rows, results)
    costly = {expression for expression in all_expressions(rows.body) if _is_costly(expression)}
    pending = list(all_roots(rows.body))
    varies, has_costly = dependents(pending, inside), dependents(pending, costly)
    seen: set[Expr] = set()
    while pending:
        expression = pending.pop()
        if expression in seen:
            continue
        seen.add(expression)
        if expression not in varies and expression in has_costly:
            yield expression
        elif expression in has_costly:
            pending.extend(operands_of(expression))


def _is_costly(expression: Expr) -> bool:
    """Whether an operation alone takes about as long as a vector of them, and that is long."""
    if isinstance(expression, Apply):
        return expression.primitive in SLOW and expression.dtype.is_float
    return isinstance(expression, Call)


def _inside(rows: For, results: Set[Expr]) -> set[Expr]:
    """What may have more values than one in a row: the axes and carries of its loops.

    And what is in memory, which may change, or be there only where an inner loop or a condition allows it to be read.
    """
    found: set[Expr] = {expression for expression in all_expressions(rows.body) if isinstance(expression, Load)}
    for loop in walk_statements(rows.body):
        if isinstance(loop, For):
            found.add(loop.axis)
        if isinstance(loop, For | While):
            found |= {local for carry in loop.carries for local in (carry.value, carry.result)}
    return found - results


def near_rows(rows: For) -> int:
    """How many rows stay in the nearest cache while they are passed over, a few at a time."""
    return _NEAR_BYTES // max(1, _row_bytes(rows)) // _LEAST_ROWS * _LEAST_ROWS


def _row_bytes(rows: For) -> int:
    """About as much memory as one turn of `rows` reads."""
    total = 0
    for loop in rows.body:
        if isinstance(loop, For):
            elements = sum(buffer.dtype.itemsize for buffer in owners(loaded((loop,))))
            total = max(total, elements * turns_of(loop.extent))
    return total
