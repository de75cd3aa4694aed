"""The largest elements of rows, for many rows at a time: a vector for each row, and then a lane for each.

    for i in 1024: (carry m; for j in 100: m = max(m, x[i, j])); y[i] = m
    →   for b in 16: (for i in 64: lanes l in 8: part[i, l] = max(x[b * 64 + i, l], x[b * 64 + i, 8 + l], ...)
                      t = part transposed
                      vector i in 64: y[b * 64 + i] = max(t[0, i], ..., t[7, i]))

To fold the lanes of one vector takes longer than a row of dozens of elements where, as in a maximum of floats, a step
is several instructions.  Where rows are passed over again, a block is as many as stay in the nearest cache.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from tenfoldc.loops import scalar
from tenfoldc.loops.aliasing import DonatedMemory
from tenfoldc.loops.ir import (
    Axis,
    Buffer,
    Carry,
    Expr,
    For,
    Kernel,
    Load,
    Local,
    Mode,
    Primitive,
    Program,
    Statement,
    Store,
    TransposeTile,
)
from tenfoldc.loops.rewriting import BufferReplacer, with_inner
from tenfoldc.loops.traversal import loaded, stored, walk_statements
from tenfoldc.schedule.blocks import blocks_of
from tenfoldc.schedule.cost import turns_of
from tenfoldc.schedule.folds import fold_of, in_pairs
from tenfoldc.schedule.ragged import LaneTerms, lane_terms
from tenfoldc.schedule.row_scalars import near_rows
from tenfoldc.target import Target

_MOST_ROWS = 64
_LEAST_ROWS = 16
"""Rows of a block."""
_VECTORS_AT_HAND = 8
"""Vectors of a row up to which passing over it again at once costs less than coming back to it after the block."""


class LaneFolds:
    """The rewriting of one program's kernels."""

    def __init__(self, program: Program, target: Target) -> None:
        self._memory = DonatedMemory(program)
        self._vector_bytes = target.vector_bytes

    def kernel(self, kernel: Kernel) -> Kernel:
        """`kernel` with loops over rows that begin by finding the largest elements in blocks of rows."""
        rewriting = _Rewriting(self._memory, self._vector_bytes)
        body = rewriting.block(kernel.body)
        return replace(kernel, body=body, scratch=(*kernel.scratch, *rewriting.scratch))


class _Rewriting:
    """The rewriting of one kernel."""

    def __init__(self, memory: DonatedMemory, vector_bytes: int) -> None:
        self._memory = memory
        self._vector_bytes = vector_bytes
        self.scratch: list[Buffer] = []

    def block(self, statements: Iterable[Statement]) -> tuple[Statement, ...]:
        return tuple(map(self._statement, statements))

    def _statement(self, statement: Statement) -> Statement:
        match statement:
            case For(mode=Mode.PARALLEL):
                before = len(self.scratch)
                body = self.block(statement.body)
                return replace(statement, body=body, private=(*statement.private, *self.scratch[before:]))
            case For(mode=Mode.SERIAL, carries=(), body=(For() as first, *rest)) if rest:
                terms = self._terms(statement, first, rest)
                if terms is None:
                    return with_inner(statement, self.block)
                return self._in_blocks(statement, first, rest, terms)
            case _:
                return with_inner(statement, self.block)

    def _terms(self, rows: For, first: For, rest: list[Statement]) -> LaneTerms | None:
        """What the lanes of a row's vector hold; None where blocks do not gain or would change what is computed."""
        if turns_of(rows.extent) < 2 * _LEAST_ROWS or not first.carries or not all(map(_is_extremum, first.carries)):
            return None
        if first.mode is not Mode.SERIAL or _block_rows(rows, rest) < _LEAST_ROWS:
            return None
        if not all(isinstance(inner, For | Store) for inner in walk_statements(rows.body)):
            return None
        if not self._memory.owners(loaded((first,))).isdisjoint(self._memory.owners(stored(rest))):
            return None
        lanes = self._vector_bytes // first.carries[0].value.dtype.itemsize
        is_again = any(isinstance(statement, For) for statement in rest)
        if is_again and turns_of(first.extent) <= _VECTORS_AT_HAND * lanes:
            return None
        return lane_terms(first, lanes)

    def _in_blocks(self, rows: For, first: For, rest: list[Statement], terms: LaneTerms) -> Statement:
        """`rows` as a loop over blocks of rows."""
        size = min(_block_rows(rows, rest), turns_of(rows.extent))
        blocks = blocks_of(rows, size, "block")
        lanes = scalar.index(terms.lanes)
        parts = [self._new("part", carry, size * terms.lanes) for carry in first.carries]
        turned = [self._new("turned", carry, size * terms.lanes) for carry in first.carries]

        def loop(row: Axis, known: Mapping[Local, Expr], statements: Iterable[Statement]) -> For:
            replacer = BufferReplacer({}, {rows.axis: scalar.add(blocks.first, row), **known})
            return For(row, blocks.length, replacer.statements(statements))

        row = Axis(rows.axis.name)
        place = scalar.add(scalar.mul(row, lanes), terms.lane)
        stores = [Store(part, (place,), value) for part, value in zip(parts, terms.values, strict=True)]
        passes: list[Statement] = [loop(row, {}, [For(terms.lane, lanes, tuple(stores), mode=Mode.LANES)])]
        zero = scalar.index(0)
        for part, turn in zip(parts, turned, strict=True):
            passes.append(TransposeTile(turn, zero, size, part, zero, terms.lanes, lanes, blocks.length))
        row = Axis(rows.axis.name)
        known: dict[Local, Expr] = {}
        for carry, turn in zip(first.carries, turned, strict=True):
            elements = [Load(turn, (scalar.add(row, scalar.index(lane * size)),)) for lane in range(terms.lanes)]
            known[carry.result] = in_pairs(carry.next, [carry.init, *elements])
        if all(isinstance(statement, Store) for statement in rest):
            return For(blocks.number, blocks.count, (*passes, loop(row, known, rest)))
        kept = {carry.result: self._new("kept", carry, size) for carry in first.carries}
        passes.append(loop(row, {}, [Store(kept[result], (row,), value) for result, value in known.items()]))
        row = Axis(rows.axis.name)
        passes.append(loop(row, {result: Load(buffer, (row,)) for result, buffer in kept.items()}, rest))
        return For(blocks.number, blocks.count, tuple(passes))

    def _new(self, name: str, carry: Carry, size: int) -> Buffer:
        buffer = Buffer(f"{name}{len(self.scratch)}", carry.value.dtype, (size,))
        self.scratch.append(buffer)
        return buffer


def _is_extremum(carry: Carry) -> bool:
    """Whether floats are folded, each step of which is more than an instruction."""
    fold = fold_of(carry)
    return fold is not None and fold[0] in (Primitive.MAX, Primitive.MIN) and carry.value.dtype.is_float


def _block_rows(rows: For, rest: list[Statement]) -> int:
    """How many rows make a block."""
    if all(isinstance(statement, Store) for statement in rest):
        return _MOST_ROWS
    return min(_MOST_ROWS, near_rows(rows))
