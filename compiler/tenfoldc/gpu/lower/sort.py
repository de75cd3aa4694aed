"""Sorting on a GPU: `sort` and `top_k` as merges in which every thread finds the place of its own elements.

    place of an element = its place in its run + how many elements of the other run come before it

which a binary search finds.  So runs of any length merge, stably, and threads wait for nothing but each other's last
round.  Runs up to a tile are merged in shared memory, in one launch; longer ones in memory, a launch for each doubling:

    lines ── tiles of each line sorted ── runs of 2 tiles ── runs of 4 tiles ── ... ── lines sorted

Where few of the largest are wanted, each tile keeps as many, and what is kept makes a shorter line.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias, cast

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.frozen import frozen
from tenfoldc.gpu.lower.grid import Grid, both, shift_left, shift_right
from tenfoldc.gpu.lower.threads import BLOCK, SHARED_BYTES, power_of_two
from tenfoldc.ir.core import Operation
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import (
    Barrier,
    Buffer,
    Carry,
    Expr,
    For,
    If,
    Launch,
    Load,
    Local,
    Primitive,
    Statement,
    Store,
    While,
)
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.loop_nest import bind
from tenfoldc.lower.products.product import delinearise
from tenfoldc.lower.sort import Before
from tenfoldc.lower.top_k import is_greater
from tenfoldc.ops.sort import SortAttributes, TopKAttributes

Read: TypeAlias = Callable[[Expr, Expr], Sequence[Expr]]
"""The elements at a place of a line, one for each tensor that is sorted."""

Write: TypeAlias = Callable[[Expr, Expr, Sequence[Expr]], Sequence[Statement]]
"""What is done with the elements at a place of a sorted line."""

_TILE = 1024
"""Elements that are sorted in shared memory at most."""

_FEW = 4
"""How many times fewer elements than a tile has are worth keeping from each tile alone."""


@frozen
class Lines:
    """`count` lines of `size` elements to be sorted by `before`; `write` is given the first `taken` of each."""

    count: int
    size: int
    taken: int
    types: tuple[DType, ...]
    read: Read
    before: Before
    write: Write


# Rules


def lower_sort(operation: Operation, ctx: LoweringContext) -> Sequence[Statement]:
    """The launches of `sort`, of any number of operands by any comparator; equal elements keep their order."""
    sizes = operation.operands[0].type.sizes
    axis = cast(SortAttributes, operation.attributes).axis(len(sizes))
    count = len(operation.operands)
    others = [*sizes[:axis], *sizes[axis + 1 :]]
    if 0 in sizes:
        return ()

    def index(line: Expr, place: Expr) -> tuple[Expr, ...]:
        outer = delinearise(line, others)
        return (*outer[:axis], place, *outer[axis:])

    def read(line: Expr, place: Expr) -> Sequence[Expr]:
        return [ctx.read(number, index(line, place)) for number in range(count)]

    def before(left: Sequence[Expr], right: Sequence[Expr]) -> Expr:
        return ctx.region(0, [value for pair in zip(left, right, strict=True) for value in pair])[0]

    def write(line: Expr, place: Expr, values: Sequence[Expr]) -> Sequence[Statement]:
        return [
            statement
            for number, value in enumerate(values)
            for statement in ctx.write(index(line, place), value, number)
        ]

    types = tuple(operand.type.dtype for operand in operation.operands)
    return sort_lines(ctx, Lines(math.prod(others), sizes[axis], sizes[axis], types, read, before, write))


def lower_top_k(operation: Operation, ctx: LoweringContext) -> Sequence[Statement]:
    """The launches of `top_k`."""
    taken = cast(TopKAttributes, operation.attributes).k
    operand = operation.operands[0].type
    if taken == 0 or operand.size == 0:
        return ()
    *others, size = operand.sizes

    def read(line: Expr, place: Expr) -> Sequence[Expr]:
        return [ctx.read(0, (*delinearise(line, others), place)), scalar.convert(place, dtypes.i32)]

    def write(line: Expr, place: Expr, values: Sequence[Expr]) -> Sequence[Statement]:
        index = (*delinearise(line, others), place)
        return [*ctx.write(index, values[0], 0), *ctx.write(index, values[1], 1)]

    types = (operand.dtype, dtypes.i32)
    return sort_lines(ctx, Lines(math.prod(others), size, taken, types, read, is_greater, write))


def sort_lines(ctx: LoweringContext, lines: Lines) -> list[Launch]:
    """The launches that sort `lines`."""
    launches: list[Launch] = []
    tile = _tile_size(lines.types)
    while lines.size > tile and lines.taken * _FEW <= tile:
        kept = -(-lines.size // tile)
        size = (kept - 1) * lines.taken + min(lines.taken, lines.size - (kept - 1) * tile)
        buffers = _memory(ctx, lines, size)
        candidates = replace(lines, size=size, read=_read_from(buffers))
        launches.append(_sort_tiles(ctx, lines, tile, lines.taken, _write_to(buffers)))
        lines = candidates
    if lines.size <= tile:
        return [*launches, _sort_tiles(ctx, lines, tile, lines.taken, lines.write)]
    runs = _memory(ctx, lines, lines.size)
    launches.append(_sort_tiles(ctx, lines, tile, tile, _write_to(runs)))
    while 2 * tile < lines.size:
        merged = _memory(ctx, lines, lines.size)
        launches.append(_merge(ctx, lines, tile, runs, lines.size, _write_to(merged)))
        runs, tile = merged, 2 * tile
    return [*launches, _merge(ctx, lines, tile, runs, lines.taken, lines.write)]


def _tile_size(types: Sequence[DType]) -> int:
    """Elements of a tile: two copies of it are in shared memory."""
    fitting = SHARED_BYTES // (2 * sum(dtype.itemsize for dtype in types))
    return max(1, min(_TILE, power_of_two(fitting + 1) // 2))


def _memory(ctx: LoweringContext, lines: Lines, size: int) -> list[Buffer]:
    return [ctx.scratch("lines", dtype, (lines.count, size)) for dtype in lines.types]


def _read_from(buffers: Sequence[Buffer]) -> Read:
    return lambda line, place: [Load(buffer, (line, place)) for buffer in buffers]


def _write_to(buffers: Sequence[Buffer]) -> Write:
    def write(line: Expr, place: Expr, values: Sequence[Expr]) -> Sequence[Statement]:
        return [Store(buffer, (line, place), value) for buffer, value in zip(buffers, values, strict=True)]

    return write


# Runs


@frozen
class _Place:
    """The place `within` a line, or a part of one, that has `length` elements in sorted runs of 2 ** `level` each."""

    within: Expr
    length: Expr
    level: Expr

    def merged(
        self, own: Sequence[Expr], read: Callable[[Expr], Sequence[Expr]], before: Before
    ) -> tuple[Statement, Expr]:
        """Where the element `own` at this place stands once neighbouring runs are merged."""
        one = scalar.index(1)
        run = shift_right(self.within, self.level)
        is_left = scalar.equal(scalar.apply(Primitive.AND, run, one), scalar.index(0))
        sibling = scalar.apply(Primitive.XOR, run, one)
        start = scalar.minimum(shift_left(sibling, self.level), self.length)
        end = scalar.minimum(shift_left(scalar.add(sibling, one), self.level), self.length)
        low, high = Local("low", dtypes.i64), Local("high", dtypes.i64)
        probe = shift_right(scalar.add(low, high), one)
        other = read(probe)
        left = [scalar.select(is_left, theirs, ours) for theirs, ours in zip(other, own, strict=True)]
        right = [scalar.select(is_left, ours, theirs) for theirs, ours in zip(other, own, strict=True)]
        precedes = scalar.equal(scalar.convert(before(left, right), dtypes.i32), scalar.convert(is_left, dtypes.i32))
        found = Local("found", dtypes.i64)
        carries = (
            Carry(low, start, scalar.select(precedes, scalar.add(probe, one), low), found),
            Carry(high, end, scalar.select(precedes, high, probe), Local("end", dtypes.i64)),
        )
        search = While(carries, scalar.less(low, high), ())
        pair = shift_left(shift_right(run, one), scalar.add(self.level, one))
        offset = scalar.sub(self.within, shift_left(run, self.level))
        return search, scalar.add(scalar.add(pair, offset), scalar.sub(found, start))


def _merge(ctx: LoweringContext, lines: Lines, run: int, runs: Sequence[Buffer], taken: int, write: Write) -> Launch:
    """Merge pairs of runs of `run` elements, one element a thread; `write` the first `taken` of each line."""
    total = lines.count * lines.size
    grid = Grid(ctx.axis, -(-total // BLOCK), BLOCK)
    number = grid.known("element", total, grid.number)
    line = grid.known("line", lines.count, scalar.div(number, scalar.index(lines.size)))
    within = grid.known("within", lines.size, scalar.rem(number, scalar.index(lines.size)))
    bound, own = bind(ctx, _read_from(runs)(line, within))
    place = _Place(within, scalar.index(lines.size), scalar.index(run.bit_length() - 1))
    search, target = place.merged(own, lambda at: _read_from(runs)(line, at), lines.before)
    writes = tuple(write(line, grid.known("place", lines.size, target), own))
    body: list[Statement] = [*bound, search, *writes]
    if taken < lines.size:
        body = [*bound, search, If(scalar.less(target, scalar.index(taken)), writes)]
    if total % BLOCK:
        body = [If(scalar.less(grid.number, scalar.index(total)), tuple(body))]
    return grid.launch("merge", body)


# Tiles


def _sort_tiles(ctx: LoweringContext, lines: Lines, tile: int, taken: int, write: Write) -> Launch:
    """Sort each tile of each line; `write` the first `taken` of each, side by side."""
    return _Tiles(ctx, lines, tile, taken).launch(write)


class _Tiles:
    """A launch that sorts parts of lines in shared memory, several in a block where they are short."""

    def __init__(self, ctx: LoweringContext, lines: Lines, tile: int, taken: int) -> None:
        self.ctx, self.lines, self.taken = ctx, lines, taken
        self.width = power_of_two(min(lines.size, tile))
        self.in_line = -(-lines.size // self.width)
        self.count = lines.count * self.in_line
        slots = max(min(tile, power_of_two(self.count * self.width)), self.width)
        self.in_block = slots // self.width
        self.grid = Grid(ctx.axis, -(-self.count // self.in_block), min(slots, BLOCK))
        self.turns = slots // self.grid.threads
        self.halves = [self.grid.shared("tile", dtype, (2, slots)) for dtype in lines.types]

    def launch(self, write: Write) -> Launch:
        rounds = self.width.bit_length() - 1
        body: list[Statement] = [self._each(self._fill)]
        if rounds:
            number = self.ctx.axis("round", rounds)
            merged = self._each(lambda slot: self._round(slot, number))
            body.append(For(number, scalar.index(rounds), (Barrier(), merged)))
        body.append(Barrier())
        half = scalar.index(rounds % 2)
        body.append(self._each(lambda slot: self._unload(slot, half, write)))
        return self.grid.launch("tiles", body)

    def _each(self, body: Callable[[_Slot], Sequence[Statement]]) -> Statement:
        """`body` for those slots of a thread that hold an element."""
        turn = self.ctx.axis("turn", self.turns)
        number = scalar.add(scalar.mul(turn, scalar.index(self.grid.threads)), self.grid.thread)
        slot = self._slot(number)
        guarded = If(slot.is_real, tuple(body(slot)))
        return For(turn, scalar.index(self.turns), (guarded,))

    def _slot(self, number: Expr) -> _Slot:
        width, lines = scalar.index(self.width), self.lines
        part = scalar.add(scalar.mul(self.grid.block, scalar.index(self.in_block)), scalar.div(number, width))
        within = scalar.rem(number, width)
        line, tile = scalar.div(part, scalar.index(self.in_line)), scalar.rem(part, scalar.index(self.in_line))
        first = scalar.mul(tile, width)
        length: Expr = width
        conditions: list[Expr] = []
        if self.count % self.in_block:
            conditions.append(scalar.less(part, scalar.index(self.count)))
        if lines.size % self.width:
            length = scalar.minimum(width, scalar.sub(scalar.index(lines.size), first))
            conditions.append(scalar.less(within, length))
        grid = self.grid
        return _Slot(
            scalar.sub(number, within),
            grid.known("within", self.width, within),
            grid.known("line", lines.count, line),
            grid.known("tile", self.in_line, tile),
            length,
            both(conditions),
        )

    def _load(self, half: Expr, place: Expr) -> list[Expr]:
        return [Load(buffer, (half, place)) for buffer in self.halves]

    def _store(self, half: Expr, place: Expr, values: Sequence[Expr]) -> list[Statement]:
        return [Store(buffer, (half, place), value) for buffer, value in zip(self.halves, values, strict=True)]

    def _fill(self, slot: _Slot) -> list[Statement]:
        first = scalar.mul(slot.tile, scalar.index(self.width))
        place = self.grid.known("place", self.lines.size, scalar.add(first, slot.within))
        return self._store(scalar.index(0), scalar.add(slot.first, slot.within), self.lines.read(slot.line, place))

    def _round(self, slot: _Slot, number: Expr) -> list[Statement]:
        half = scalar.apply(Primitive.AND, number, scalar.index(1))
        bound, own = bind(self.ctx, self._load(half, scalar.add(slot.first, slot.within)))
        place = _Place(slot.within, slot.length, number)
        search, target = place.merged(own, lambda at: self._load(half, scalar.add(slot.first, at)), self.lines.before)
        stores = self._store(scalar.sub(scalar.index(1), half), scalar.add(slot.first, target), own)
        return [*bound, search, *stores]

    def _unload(self, slot: _Slot, half: Expr, write: Write) -> list[Statement]:
        taken = min(self.taken, self.width)
        size = self.lines.size
        whole, rest = divmod(size, self.width)
        place = scalar.add(scalar.mul(slot.tile, scalar.index(taken)), slot.within)
        inside = self.grid.known("place", whole * taken + min(rest, taken), place)
        writes = write(slot.line, inside, self._load(half, scalar.add(slot.first, slot.within)))
        if taken == self.width:
            return list(writes)
        return [If(scalar.less(slot.within, scalar.index(taken)), tuple(writes))]


@frozen
class _Slot:
    """A place in shared memory: of the element `within` tile number `tile` of a line, whose slots begin at `first`.

    The tile has `length` elements; the slot holds one where it `is_real`.
    """

    first: Expr
    within: Expr
    line: Expr
    tile: Expr
    length: Expr
    is_real: Expr
