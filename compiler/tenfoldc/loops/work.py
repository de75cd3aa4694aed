"""How much a kernel has to do whatever the machine: its floating-point operations, and the bytes it must move.

A kernel goes in; a `Work` comes out, or None where loops turn as often as data says: a `while` that counts in a cell of
memory is followed, another is not.  An expression counts where a compiler would have it: in the innermost loop that it
depends on.  A buffer counts once, however often its elements are read: what its elements take, at most all of them.
Scratch memory, and what the kernel itself has written before it reads it, is taken as free.  Where a condition depends
on data, the branch with more to do counts.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.frozen import frozen
from tenfoldc.loops.evaluate import evaluate
from tenfoldc.loops.ir import (
    Apply,
    Axis,
    Barrier,
    Buffer,
    Call,
    Combine,
    Constant,
    Expr,
    For,
    Function,
    If,
    Kernel,
    Launch,
    Load,
    Local,
    MultiplyChain,
    MultiplyPanels,
    MultiplyStrip,
    MultiplyTiles,
    Prefetch,
    Primitive,
    ReadTape,
    RequestMatrixUnit,
    Statement,
    Store,
    StreamCopy,
    TileFactor,
    TransposeTile,
    While,
    WriteTape,
)
from tenfoldc.loops.matrix_unit import TILE_DEPTH, TILE_WORDS
from tenfoldc.loops.traversal import (
    expressions,
    inner_statements,
    operands_of,
    owners,
    roots_of,
    shared_buffers,
    stored,
    walk_statements,
)

_OPERATIONS = {
    Primitive.ADD: 1,
    Primitive.SUB: 1,
    Primitive.MUL: 1,
    Primitive.DIV: 1,
    Primitive.SQRT: 1,
    Primitive.MAX: 1,
    Primitive.MIN: 1,
    Primitive.FMA: 2,
}
"""Arithmetic; to move, compare or choose numbers is none."""

_MOST_TURNS = 10_000
"""Turns of a `while` that are followed."""

_MOST_STEPS = 100_000
"""Statements looked at, so that what has loops of many different lengths does not take long."""


@frozen
class Work:
    """Floating-point operations by their width, and bytes read and written."""

    f32_flops: int
    f64_flops: int
    bytes: int


def work(kernel: Kernel) -> Work | None:
    """What one call of `kernel` does; None where that cannot be known."""
    counter = _Counter(kernel.body)
    try:
        counter.block(kernel.body, [_Scope(1)], {})
    except _UnknownError:
        return None
    free = owners((*kernel.scratch, *shared_buffers(kernel.body)))
    own = _written_first(kernel.body)
    read = sum(_moved(buffer, count) for buffer, count in counter.tally.read.items() if buffer not in free | own)
    written = sum(_moved(buffer, count) for buffer, count in counter.tally.written.items() if buffer not in free)
    flops = counter.tally.flops
    return Work(flops[dtypes.f32], flops[dtypes.f64], read + written + counter.tally.taped)


class _UnknownError(Exception):
    """How often a loop turns depends on data."""


def _moved(buffer: Buffer, elements: int) -> int:
    return min(elements, math.prod(buffer.shape)) * buffer.dtype.itemsize


@dataclass(slots=True)
class _Tally:
    """Operations by dtype, elements by the buffer that owns them, and bytes copied to and from tapes."""

    flops: Counter[DType] = field(default_factory=Counter[DType])
    read: Counter[Buffer] = field(default_factory=Counter[Buffer])
    written: Counter[Buffer] = field(default_factory=Counter[Buffer])
    taped: int = 0

    def add(self, other: _Tally) -> None:
        self.flops += other.flops
        self.read += other.read
        self.written += other.written
        self.taped += other.taped

    @property
    def size(self) -> int:
        return self.flops.total() + self.read.total() + self.written.total() + self.taped


@dataclass(slots=True)
class _Scope:
    """A stretch of code that runs `times` times, and what has been counted there."""

    times: int
    counted: set[Expr] = field(default_factory=set[Expr])


class _Counter:
    """Counts statements.  `level` gives the depth of the scope that each axis and local belongs to."""

    def __init__(self, body: Sequence[Statement]) -> None:
        self.tally = _Tally()
        self.level: dict[Expr, int] = {}
        self.changing = owners(stored(body))
        self.cells: dict[Buffer, int] = {}
        """What is known to be in integer buffers of one element."""
        self._functions: dict[Function, Counter[DType]] = {}
        self._controls: dict[For, frozenset[Expr]] = {}
        self._leaves: dict[Expr, list[Axis | Local | Load]] = {}
        self._numbers: dict[tuple[Expr, tuple[int, ...]], int] = {}
        self._steps = 0

    def block(self, statements: Sequence[Statement], scopes: list[_Scope], known: Mapping[Axis, int]) -> None:
        """Count `statements`, in the innermost of `scopes`, where the indices `known` have one value each."""
        self._steps += len(statements)
        if self._steps > _MOST_STEPS:
            raise _UnknownError
        for statement in statements:
            self._statement(statement, scopes, known)

    def _statement(self, statement: Statement, scopes: list[_Scope], known: Mapping[Axis, int]) -> None:
        times = scopes[-1].times
        match statement:
            case For():
                self._loop(statement, scopes, known)
            case While():
                self._while(statement, scopes, known)
            case If():
                self._choice(statement, scopes, known)
            case Store():
                self._values(roots_of(statement), scopes)
                self.tally.written[statement.buffer.storage] += times
                self._keep(statement, known)
            case MultiplyPanels():
                depth = self._number(statement.depth, known)
                area = statement.rows * statement.columns
                if statement.target.dtype.is_float:
                    self.tally.flops[_computed_in(statement.target.dtype)] += 2 * area * depth * times
                self.tally.read[statement.lhs.storage] += statement.rows * depth * times
                self.tally.read[statement.rhs.storage] += statement.columns * depth * times
                self.tally.read[statement.target.storage] += area * times if statement.accumulate else 0
                self.tally.written[statement.target.storage] += area * times
            case MultiplyStrip():
                self._strip(statement, times, known)
            case TransposeTile():
                moved = self._number(statement.rows, known) * self._number(statement.columns, known) * times
                self.tally.read[statement.source.storage] += moved
                self.tally.written[statement.target.storage] += moved
            case StreamCopy():
                moved = self._number(statement.count, known) * times
                self.tally.read[statement.source.storage] += moved
                self.tally.written[statement.target.storage] += moved
            case WriteTape(source=moved) | ReadTape(target=moved):
                self.tally.taped += moved.nbytes * times
            case Launch():
                self.level |= dict.fromkeys((statement.block, statement.thread), len(scopes))
                turns = self._number(statement.blocks, known) * statement.threads
                self.block(statement.body, [*scopes, _Scope(times * turns)], known)
            case Combine():
                depth = len(scopes) - 1
                self.level |= dict.fromkeys((*statement.results, *statement.lhs, *statement.rhs), depth)
                self._values(roots_of(statement), scopes)
            case Prefetch() | RequestMatrixUnit() | Barrier():
                pass
            case MultiplyTiles():
                self._tiles(statement, scopes, known)
            case MultiplyChain():
                self._chain(statement, scopes, known)

    def _tiles(self, tiles: MultiplyTiles, scopes: list[_Scope], known: Mapping[Axis, int]) -> None:
        """Count the tiles of all blocks: each product of two elements, and each element of a factor, once."""
        tiling, all_depth = tiles.tiling, tiles.positions * tiles.channels
        slices = -(-all_depth // tiling.depth)
        depth = all_depth * min(1, tiles.slices / slices) if slices else 0
        products = tiles.tiles // (-(-tiles.rows // tiling.rows) * -(-tiles.columns // tiling.columns))
        area = products * tiles.rows * tiles.columns
        if tiles.value.dtype.is_float:
            self.tally.flops[_computed_in(tiles.value.dtype)] += 2 * round(area * depth)
        for factor, lines in ((tiles.lhs, tiles.rows), (tiles.rhs, tiles.columns)):
            self.level[tiles.tile] = len(scopes)
            self._factor(factor, round(products * lines * depth), scopes)
        self.level |= dict.fromkeys((tiles.row, tiles.column, tiles.value), len(scopes))
        self.block(tiles.body, [*scopes, _Scope(area)], known)

    def _factor(self, factor: TileFactor, times: int, scopes: list[_Scope]) -> None:
        self.level |= dict.fromkeys((factor.line, factor.position, factor.channel), len(scopes))
        inside = () if factor.inside is None else (factor.inside,)
        self._values((factor.element, *inside), [*scopes, _Scope(times)])

    def _chain(self, chain: MultiplyChain, scopes: list[_Scope], known: Mapping[Axis, int]) -> None:
        """Count the rows of all blocks, with all columns: which of these a block leaves out is not known here."""
        count = scopes[-1].times // chain.tiling.threads // -(-chain.rows // chain.tiling.rows)
        rows, area = count * chain.rows, count * chain.rows * chain.columns
        inner = [*scopes, _Scope(rows), _Scope(area)]
        self.level[chain.row], self.level[chain.column] = len(scopes), len(scopes) + 1
        for product in chain.products:
            self.level[product.value] = len(scopes) + 1
            self._factor(product.lhs, rows * product.channels, scopes)
            self._factor(product.rhs, count * chain.columns * product.channels, scopes)
        for each in chain.passes:
            depth = sum(p.channels for p in each.products) + sum(row_sum.features for row_sum in each.sums)
            self.tally.flops[dtypes.f32] += 2 * area * depth
            for fold in each.folds:
                own = (fold.part, fold.value, fold.current, fold.result)
                self.level |= dict.fromkeys(own, len(scopes)) | dict.fromkeys((fold.lhs, fold.rhs), len(scopes) + 1)
                self._values((fold.element, fold.combined), inner)
                self._values((fold.init, fold.next), inner[:-1])
            for row_sum in each.sums:
                own = (row_sum.total, row_sum.value, row_sum.feature)
                self.level |= dict.fromkeys(own, len(scopes) + 1)
                self._factor(row_sum.rhs, count * chain.columns * row_sum.features, scopes)
                self._values(row_sum.elements, inner)
                features = [*scopes, _Scope(rows), _Scope(rows * row_sum.features)]
                self._values((row_sum.finished,), features)
                self.block(row_sum.body, features, known)
        self.block(chain.body, inner[:-1], known)

    def _strip(self, strip: MultiplyStrip, times: int, known: Mapping[Axis, int]) -> None:
        """Count the sums as if factors had one part each, and what is read of their panels."""
        rows, steps = self._number(strip.rows, known), self._number(strip.steps, known)
        area = rows * strip.columns
        self.tally.flops[dtypes.f32] += 2 * area * TILE_DEPTH * steps * times
        self.tally.read[strip.lhs.storage] += rows * TILE_WORDS * strip.lhs.shape[2] * steps * times
        self.tally.read[strip.rhs.storage] += strip.columns * TILE_WORDS * strip.rhs.shape[2] * steps * times
        self.tally.read[strip.target.storage] += area * times if strip.accumulate else 0
        self.tally.written[strip.target.storage] += area * times

    def _loop(self, loop: For, scopes: list[_Scope], known: Mapping[Axis, int]) -> None:
        extent = self._number(loop.extent, known)
        self._values([carry.init for carry in loop.carries], scopes)
        for carry in loop.carries:
            self.level[carry.value] = len(scopes)
            self.level[carry.result] = len(scopes) - 1
        self.level[loop.axis] = len(scopes)
        times = scopes[-1].times
        if extent != 1:
            self._forget(loop.body)
        if loop.axis in self._deciding(loop):
            turns = [(_Scope(times), {**known, loop.axis: turn}) for turn in range(extent)]
        else:
            turns = [(_Scope(times * extent), known)]
        for scope, inside in turns:
            self.block(loop.body, [*scopes, scope], inside)
            self._values([carry.next for carry in loop.carries], [*scopes, scope])
        if extent != 1:
            self._forget(loop.body)

    def _while(self, loop: While, scopes: list[_Scope], known: Mapping[Axis, int]) -> None:
        """Count a loop whose turns end when a cell says so, all turns alike."""
        before = dict(self.cells)
        turns = 0
        while self._number(loop.condition, known):
            for statement in loop.body:
                if isinstance(statement, Store):
                    self._keep(statement, known)
                else:
                    self._forget((statement,))
            turns += 1
            if turns > _MOST_TURNS:
                raise _UnknownError
        after, self.cells = self.cells, before
        self._forget(loop.body)
        for carry in loop.carries:
            self.level[carry.value] = len(scopes)
            self.level[carry.result] = len(scopes) - 1
        inside = [*scopes, _Scope(scopes[-1].times * turns)]
        self._values(roots_of(loop), inside)
        self.block(loop.body, inside, known)
        self.cells = after

    def _keep(self, store: Store, known: Mapping[Axis, int]) -> None:
        """Take note of what a cell holds from now on."""
        if math.prod(store.buffer.shape) != 1 or not store.buffer.dtype.is_integer:
            return
        try:
            self.cells[store.buffer.storage] = self._number(store.value, known)
        except _UnknownError:
            self.cells.pop(store.buffer.storage, None)

    def _forget(self, statements: Sequence[Statement]) -> None:
        """What `statements` write is not known."""
        for buffer in stored(statements):
            self.cells.pop(buffer.storage, None)

    def _deciding(self, loop: For) -> frozenset[Expr]:
        """What decides how much is done in a turn: extents, depths and conditions come from it."""
        if loop not in self._controls:
            roots = [root for statement in walk_statements(loop.body) for root in _controls(statement)]
            self._controls[loop] = frozenset(expressions(roots))
        return self._controls[loop]

    def _choice(self, statement: If, scopes: list[_Scope], known: Mapping[Axis, int]) -> None:
        self._values((statement.condition,), scopes)
        try:
            is_chosen = self._number(statement.condition, known)
        except _UnknownError:
            branches = [self._apart(branch, scopes, known) for branch in (statement.then, statement.otherwise)]
            self.tally.add(max(branches, key=lambda tally: tally.size))
            self._forget((statement,))
        else:
            self.block(statement.then if is_chosen else statement.otherwise, scopes, known)

    def _apart(self, statements: Sequence[Statement], scopes: list[_Scope], known: Mapping[Axis, int]) -> _Tally:
        before, self.tally = self.tally, _Tally()
        self.block(statements, [*scopes, _Scope(scopes[-1].times)], known)
        apart, self.tally = self.tally, before
        return apart

    def _number(self, expression: Expr, known: Mapping[Axis, int]) -> int:
        """The value of an extent, a depth, a condition, or what goes into a cell."""
        if isinstance(expression, Constant):
            return int(expression.value)
        leaves = self._leaves.get(expression)
        if leaves is None:
            leaves = [each for each in expressions((expression,)) if isinstance(each, Axis | Local | Load)]
            self._leaves[expression] = leaves
        found = [self._leaf(leaf, known) for leaf in leaves]
        key = (expression, tuple(found))
        if key not in self._numbers:
            values = {leaf: np.asarray(value, leaf.dtype.numpy) for leaf, value in zip(leaves, found, strict=True)}
            self._numbers[key] = int(evaluate(expression, values))
        return self._numbers[key]

    def _leaf(self, leaf: Axis | Local | Load, known: Mapping[Axis, int]) -> int:
        """The value of an index or a cell."""
        if isinstance(leaf, Axis) and leaf in known:
            return known[leaf]
        if isinstance(leaf, Load) and leaf.buffer.storage in self.cells:
            return self.cells[leaf.buffer.storage]
        raise _UnknownError

    def _values(self, roots: Sequence[Expr], scopes: list[_Scope]) -> None:
        """Count what `roots` are computed from, each expression in the scope that it depends on."""
        pending = list(roots)
        depths: dict[Expr, int] = {}
        while pending:
            expression = pending[-1]
            missing = [operand for operand in operands_of(expression) if operand not in depths]
            if missing:
                pending.extend(missing)
                continue
            pending.pop()
            if expression in depths:
                continue
            depth = max([0, *(depths[operand] for operand in operands_of(expression))])
            if isinstance(expression, Axis | Local):
                depth = self.level.get(expression, len(scopes) - 1)
            elif isinstance(expression, Load) and expression.buffer.storage in self.changing:
                depth = len(scopes) - 1
            depths[expression] = depth
            if expression not in scopes[depth].counted:
                scopes[depth].counted.add(expression)
                self._count(expression, scopes[depth].times)

    def _count(self, expression: Expr, times: int) -> None:
        match expression:
            case Load():
                self.tally.read[expression.buffer.storage] += times
            case Apply(primitive, _, dtype) if primitive in _OPERATIONS and dtype.is_float:
                self.tally.flops[_computed_in(dtype)] += _OPERATIONS[primitive] * times
            case Call(function, _):
                for dtype, flops in self._function(function).items():
                    self.tally.flops[dtype] += flops * times
            case _:
                pass

    def _function(self, function: Function) -> Counter[DType]:
        if function not in self._functions:
            before, self.tally = self.tally, _Tally()
            self._values((function.body,), [_Scope(1)])
            self._functions[function], self.tally = self.tally.flops, before
        return self._functions[function]


def _computed_in(dtype: DType) -> DType:
    return dtypes.f64 if dtype is dtypes.f64 else dtypes.f32


def _controls(statement: Statement) -> tuple[Expr, ...]:
    """The expressions that say how much `statement` does."""
    match statement:
        case For():
            return (statement.extent,)
        case If():
            return (statement.condition,)
        case MultiplyPanels():
            return (statement.depth,)
        case MultiplyStrip():
            return (statement.rows, statement.steps)
        case TransposeTile():
            return (statement.rows, statement.columns)
        case StreamCopy():
            return (statement.count,)
        case Launch():
            return (statement.blocks,)
        case _:
            return ()


def _written_first(body: Sequence[Statement]) -> set[Buffer]:
    """The buffers whose memory the statements write before they read it."""
    first: dict[Buffer, bool] = {}
    for buffer, is_written in _touched(body):
        first.setdefault(buffer.storage, is_written)
    return {buffer for buffer, is_written in first.items() if is_written}


def _touched(statements: Sequence[Statement]) -> Iterator[tuple[Buffer, bool]]:
    """Each buffer that is read or written, in that order, and whether it is written."""
    for statement in statements:
        after: Sequence[Expr] = ()
        roots = roots_of(statement)
        if isinstance(statement, For | While):
            after = [carry.next for carry in statement.carries]
            roots = [root for root in roots if root not in after]
        yield from _loaded(roots)
        match statement:
            case For() | While() | Launch() | MultiplyTiles():
                yield from _touched(statement.body)
                yield from _loaded(after)
            case MultiplyChain():
                yield from _touched(inner_statements(statement))
            case If():
                yield from _touched((*statement.then, *statement.otherwise))
            case MultiplyPanels() | MultiplyStrip():
                yield from ((statement.lhs, False), (statement.rhs, False))
                yield statement.target, not statement.accumulate
            case TransposeTile() | StreamCopy():
                yield from ((statement.source, False), (statement.target, True))
            case RequestMatrixUnit():
                yield statement.granted, True
            case WriteTape():
                yield statement.source, False
            case ReadTape():
                yield statement.target, True
            case Store():
                yield statement.buffer, True
            case Prefetch() | Combine() | Barrier():
                pass


def _loaded(roots: Sequence[Expr]) -> Iterator[tuple[Buffer, bool]]:
    for expression in expressions(roots):
        if isinstance(expression, Load):
            yield expression.buffer, False
