"""Rows that are passed over several times: the next row is asked for while there is work to do on this one.

    for i in n: (first pass; second pass)   →   for i in n: (first pass; for l in lines: prefetch x[i + 1]; second pass)

Processors foresee what follows in memory, but within a page only, and the first pass over a row, which has little
else to do, would wait for memory while later passes leave it idle.  A single later pass that writes does not: what it
writes needs memory, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from tenfoldc.loops import scalar
from tenfoldc.loops.index_algebra import IndexAlgebra
from tenfoldc.loops.ir import (
    Axis,
    Buffer,
    Constant,
    Expr,
    For,
    Load,
    Local,
    Mode,
    Prefetch,
    Statement,
    Store,
)
from tenfoldc.loops.rewriting import BufferReplacer, with_inner
from tenfoldc.loops.traversal import all_expressions, expressions, owners, stored, walk_statements
from tenfoldc.schedule.cost import Costs

_LINE = 64
_LEAST_BYTES = 1 << 10
"""Rows from which it pays: shorter ones the processor foresees."""
_MOST_BYTES = 1 << 15
"""Rows up to which the next one does not drive this one out of the cache."""


def ask_for_next_rows(statements: Sequence[Statement]) -> tuple[Statement, ...]:
    """`statements` with prefetches in those loops over rows that gain from them."""
    return tuple(map(_statement, statements))


def _statement(statement: Statement) -> Statement:
    match statement:
        case For():
            body = tuple(map(_statement, statement.body))
            loop = statement if all(map(_same, body, statement.body)) else replace(statement, body=body)
            return _with_prefetches(loop)
        case _:
            return with_inner(statement, ask_for_next_rows)


def _same(new: Statement, old: Statement) -> bool:
    return new is old


def _with_prefetches(rows: For) -> For:
    """A loop over rows that asks for the next one before the pass that takes the longest, the first aside."""
    passes = [place for place, s in enumerate(rows.body) if isinstance(s, For) and s.mode is not Mode.LANES]
    writes = any(isinstance(s, Store) for place in passes for s in walk_statements(rows.body[place : place + 1]))
    if rows.mode is not Mode.SERIAL or len(passes) < (3 if writes else 2):
        return rows
    prefetches = [_prefetches(rows.axis, *streamed) for streamed in _streams(rows)]
    if not prefetches:
        return rows
    costs = Costs(in_vectors=True)
    longest = max(passes[1:], key=lambda place: costs.of(rows.body[place : place + 1]))
    return replace(rows, body=(*rows.body[:longest], *prefetches, *rows.body[longest:]))


def _streams(rows: For) -> Iterator[tuple[For, Load]]:
    """One access to each buffer of which every turn of `rows` reads elements of its own, in the order of memory."""
    written = owners(stored(rows.body))
    within = {statement.axis for statement in walk_statements(rows.body) if isinstance(statement, For)}
    found: set[Buffer] = set()
    for loop in rows.body:
        if not isinstance(loop, For) or not isinstance(loop.extent, Constant):
            continue
        extent = int(loop.extent.value)
        for load in all_expressions((loop,)):
            if not isinstance(load, Load) or load.buffer.storage in written | found:
                continue
            size = extent * load.dtype.itemsize
            if _LEAST_BYTES <= size <= _MOST_BYTES and _is_row(load, rows.axis, loop.axis, extent, within):
                found.add(load.buffer.storage)
                yield loop, load


def _is_row(load: Load, row: Axis, column: Axis, extent: int, within: set[Axis]) -> bool:
    """Whether an access goes through memory with `column`, to another place with each `row`, whatever the data."""
    used = [e for e in expressions(load.index) if isinstance(e, Load | Local | Axis)]
    if any(isinstance(e, Load | Local) or (e in within and e is not column) for e in used):
        return False
    algebra = IndexAlgebra()
    algebra.declare(row, None)
    algebra.declare(column, extent)
    form = algebra.offset(load.index, load.buffer.shape)
    return form.coefficient(column) == 1 and form.coefficient(row) >= extent


def _prefetches(row: Axis, loop: For, load: Load) -> Statement:
    """A loop over the cache lines of what `load` reads in the turn of `row` that follows."""
    assert isinstance(loop.extent, Constant)
    elements = _LINE // load.dtype.itemsize
    line = Axis("l")
    place: dict[Expr, Expr] = {
        row: scalar.add(row, scalar.index(1)),
        loop.axis: scalar.mul(line, scalar.index(elements)),
    }
    index = BufferReplacer({}, place).expression
    count = -(-int(loop.extent.value) // elements)
    return For(line, scalar.index(count), (Prefetch(load.buffer, tuple(map(index, load.index))),))
