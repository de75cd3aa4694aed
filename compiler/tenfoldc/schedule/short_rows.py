"""Rows of few elements, many at a time: the lanes of a vector are rows, and what a row is folded to needs no shuffles.

    for i in 100000: (carry m; for j in 10: m = max(m, x[i, j])); y[i] = m
    →   for b in 1563: (t = x[b * 64:+64] transposed
                        vector i in 64: y[b * 64 + i] = max(t[0, i], ..., t[9, i]))

A block of rows is transposed in registers, into memory that stays in the nearest cache; so are results that have an
element for each of a row's.  What one pass over a row leaves for the next stays in registers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from tenfoldc.loops import scalar
from tenfoldc.loops.aliasing import DonatedMemory
from tenfoldc.loops.index_algebra import IndexAlgebra
from tenfoldc.loops.ir import (
    Axis,
    Buffer,
    Constant,
    Expr,
    For,
    Kernel,
    Load,
    Mode,
    Program,
    Statement,
    Store,
    TransposeTile,
)
from tenfoldc.loops.rewriting import BufferReplacer, with_inner
from tenfoldc.loops.traversal import loaded, owners, stored
from tenfoldc.schedule.blocks import Blocks, blocks_of
from tenfoldc.schedule.cost import turns_of
from tenfoldc.schedule.straight_rows import Lines, NotStraightError, StraightRow

_ROWS = 64
"""Rows of a block."""
_LEAST_ROWS = 1024
"""Rows from which blocks of them pay."""
_ROWS_FOR_OPERATION = 16
"""Rows for each operation of one from which it pays to compile so much code."""


class ShortRows:
    """The rewriting of one program's kernels."""

    def __init__(self, program: Program) -> None:
        self._memory = DonatedMemory(program)

    def kernel(self, kernel: Kernel) -> Kernel:
        """`kernel` with loops over short rows in blocks, where they walk across memory."""
        rewriting = _Rewriting(self._memory, kernel)
        body = rewriting.block(kernel.body)
        return replace(kernel, body=body, scratch=(*kernel.scratch, *rewriting.scratch))


class _Rewriting:
    """The rewriting of one kernel."""

    def __init__(self, memory: DonatedMemory, kernel: Kernel) -> None:
        self._memory = memory
        self._kernel = kernel
        self._algebra = IndexAlgebra()
        self.scratch: list[Buffer] = []

    def block(self, statements: Iterable[Statement], times: int = 1) -> tuple[Statement, ...]:
        """Statements that run so many times."""
        return tuple(self._statement(statement, times) for statement in statements)

    def _statement(self, statement: Statement, times: int) -> Statement:
        if not isinstance(statement, For):
            return with_inner(statement, lambda inner: self.block(inner, times))
        turns = turns_of(statement.extent)
        if statement.mode is Mode.SERIAL and not statement.carries and turns >= _ROWS:
            try:
                return self._rows(statement, turns * times)
            except NotStraightError:
                pass
        if isinstance(statement.extent, Constant):
            self._algebra.declare(statement.axis, turns)
        before = len(self.scratch)
        body = self.block(statement.body, turns * times)
        if statement.mode is not Mode.PARALLEL:
            return replace(statement, body=body)
        return replace(statement, body=body, private=(*statement.private, *self.scratch[before:]))

    def _rows(self, rows: For, times: int) -> Statement:
        """A loop over short rows, so many in all, as one over blocks of them."""
        row = StraightRow(rows, times // _ROWS_FOR_OPERATION if times >= _LEAST_ROWS else 0)
        row.drop({buffer for buffer in owners(stored(row.stores)) if self._is_own(buffer, rows)})
        written, read = (self._memory.owners(find(row.stores)) for find in (stored, loaded))
        gathered, scattered = row.lines(row.loads()), row.lines(row.stores)
        if not written.isdisjoint(read) or not (gathered or scattered) or not _are_whole(scattered, row):
            raise NotStraightError
        blocks, axis = self._blocks(rows), Axis(rows.axis.name)
        known: dict[Expr, Expr] = {rows.axis: scalar.add(blocks.first, axis)}
        targets: dict[Store, Load] = {}
        before: list[Statement] = []
        after: list[Statement] = []
        for lines, loads in gathered.items():
            memory = self._new(lines)
            before.append(_transposed(lines, row.first(lines, blocks.first), memory, blocks, into=False))
            known.update((load, _element(memory, place, axis)) for load, place in loads)
        for lines, stores in scattered.items():
            memory = self._new(lines)
            after.append(_transposed(lines, row.first(lines, blocks.first), memory, blocks, into=True))
            targets.update((store, _element(memory, place, axis)) for store, place in stores)
        inner = For(axis, blocks.length, _stores(row, BufferReplacer({}, known), targets))
        return For(blocks.number, blocks.count, (*before, inner, *after))

    def _blocks(self, rows: For) -> Blocks:
        """The rows in blocks, all of which are full where there are enough: the last one overlaps the one before."""
        blocks = blocks_of(rows, _ROWS, "block")
        least, _ = self._algebra.range_of(self._algebra.form(rows.extent))
        if least < _ROWS or isinstance(blocks.length, Constant):
            return blocks
        last = scalar.sub(rows.extent, scalar.index(_ROWS))
        return replace(blocks, first=scalar.minimum(blocks.first, last), length=scalar.index(_ROWS))

    def _is_own(self, buffer: Buffer, rows: For) -> bool:
        """Whether `buffer` is scratch memory that nothing but `rows` reads."""
        if buffer not in self._kernel.scratch:
            return False
        reads = sum(each.storage is buffer for each in loaded(self._kernel.body))
        return reads == sum(each.storage is buffer for each in loaded((rows,)))

    def _new(self, lines: Lines) -> Buffer:
        buffer = Buffer(f"lines{len(self.scratch)}", lines.storage.dtype, (lines.count * _ROWS,))
        self.scratch.append(buffer)
        return buffer


def _element(memory: Buffer, place: int, row: Axis) -> Load:
    """Element `place` of the line of a row that lies transposed in `memory`."""
    return Load(memory, (scalar.add(row, scalar.index(place * _ROWS)),))


def _stores(row: StraightRow, replacer: BufferReplacer, targets: Mapping[Store, Load]) -> tuple[Statement, ...]:
    """The stores of a row, some of them to `targets` instead."""
    body: list[Statement] = []
    for store in row.stores:
        if store in targets:
            target = targets[store]
            body.append(Store(target.buffer, target.index, replacer.expression(store.value)))
        else:
            body.extend(replacer.statements((store,)))
    return tuple(body)


def _are_whole(scattered: Mapping[Lines, list[tuple[Store, int]]], row: StraightRow) -> bool:
    """Whether lines that are written are written whole, apart from each other, and nothing else is of their memory."""
    for lines, places in scattered.items():
        if lines.count > lines.stride or {place for _, place in places} != set(range(lines.count)):
            return False
        if sum(store.buffer.storage is lines.storage for store in row.stores) != len(places):
            return False
    return True


def _transposed(lines: Lines, first: Expr, memory: Buffer, blocks: Blocks, *, into: bool) -> TransposeTile:
    """From the lines of a block of rows to `memory`; where `into`, the other way."""
    flat, zero, count = lines.storage, scalar.index(0), scalar.index(lines.count)
    if len(flat.shape) != 1:
        flat = Buffer(flat.name, flat.dtype, (math.prod(flat.shape),), base=flat)
    if into:
        return TransposeTile(flat, first, lines.stride, memory, zero, _ROWS, blocks.length, count)
    return TransposeTile(memory, zero, _ROWS, flat, first, lines.stride, count, blocks.length)
