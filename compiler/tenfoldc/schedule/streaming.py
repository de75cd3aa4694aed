"""Results too large for the cache are written past it: a block at a time is computed in the cache, and copied.

    for i in 65536: y[i] = f(x[i])
    →   for b in 256: (for i in 256: block[i] = f(x[b * 256 + i]); y[b * 256:+256] = stream block)

A plain store reads the line that it is to change first, a third of the traffic of a copy.  The stores of the loop
itself cannot pass the cache by: LLVM makes such stores vectors only where they are aligned, and results need not be.

Only loops that wait for memory gain; where there is much to compute, plain stores go on meanwhile, and a block is a
detour.  Nor do rows gain that are short, or no whole lines: the parts of lines at their ends cost too much.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tenfold_rt.frozen import frozen
from tenfoldc.loops import scalar
from tenfoldc.loops.index_algebra import Affine, IndexAlgebra
from tenfoldc.loops.ir import (
    Apply,
    Axis,
    Buffer,
    Constant,
    Expr,
    For,
    If,
    Kernel,
    Load,
    Local,
    Mode,
    Primitive,
    Program,
    Statement,
    Store,
    StreamCopy,
)
from tenfoldc.loops.rewriting import BufferReplacer, with_inner
from tenfoldc.loops.traversal import all_roots, dependents, expressions, loaded, owners
from tenfoldc.schedule.blocks import blocks_of
from tenfoldc.schedule.cost import Costs
from tenfoldc.schedule.ragged import is_plain

_RESULT_BYTES = 8 << 20
"""Sizes from which it pays for results."""
_READ_BYTES = 16 << 20
"""Sizes from which it pays for what the program itself reads again, of which a cache may still hold some."""
_LEAST_BYTES = 1 << 9
"""Rows from which it pays."""
_BLOCK_BYTES = 1 << 10
"""The size of blocks.  While one is written, what is to be read next waits."""
_MOST_BYTES = 1 << 11
"""Rows up to which they are blocks."""
_MOST_COST = 0.215
"""Nanoseconds for each byte that is stored up to which a loop waits for memory."""
_LINE = 64


class Streaming:
    """The rewriting of one program's kernels."""

    def __init__(self, program: Program) -> None:
        donated = owners(program.results[result] for _, result in program.donated)
        results = owners(program.results) - donated
        temporaries = owners(program.temporaries)
        self._large = {b for b in temporaries | results if b.nbytes >= _READ_BYTES}
        unread = {b for b in results - self._large if b.nbytes >= _RESULT_BYTES}
        if unread:
            self._large |= unread - owners(b for kernel in program.kernels for b in loaded(kernel.body))

    def kernel(self, kernel: Kernel) -> Kernel:
        """`kernel` with the copies that gain."""
        targets = self._large and self._large - owners(loaded(kernel.body))
        if not targets:
            return kernel
        rewriting = _Rewriting(targets)
        body = rewriting.block(kernel.body, ())
        return replace(kernel, body=body, scratch=(*kernel.scratch, *rewriting.scratch))


@frozen(eq=False)
class _Stream:
    """A store that a loop does to one element after the other: `first` is where, in elements, it begins."""

    store: Store
    first: Affine


class _Rewriting:
    """The rewriting of one kernel."""

    def __init__(self, targets: set[Buffer]) -> None:
        self._targets = targets
        self._algebra = IndexAlgebra()
        self._costs = Costs(in_vectors=True)
        self.scratch: list[Buffer] = []

    def block(self, statements: Sequence[Statement], around: tuple[For, ...]) -> tuple[Statement, ...]:
        """Statements within the loops `around`."""
        return tuple(new for statement in statements for new in self._statement(statement, around))

    def _statement(self, statement: Statement, around: tuple[For, ...]) -> tuple[Statement, ...]:
        match statement:
            case For():
                return self._loop(statement, around)
            case If():
                return (with_inner(statement, lambda inner: self.block(inner, around)),)
            case _:
                return (statement,)

    def _loop(self, loop: For, around: tuple[For, ...]) -> tuple[Statement, ...]:
        most = _most_turns(loop.extent)
        self._algebra.declare(loop.axis, most)
        if loop.mode is Mode.PARALLEL:
            before = len(self.scratch)
            body = self.block(loop.body, (*around, loop))
            return (replace(loop, body=body, private=(*loop.private, *self.scratch[before:])),)
        streams = self._streams(loop, around)
        if not streams:
            return (replace(loop, body=self.block(loop.body, (*around, loop))),)
        itemsize = max(stream.store.buffer.dtype.itemsize for stream in streams)
        if most is None or most * itemsize > _MOST_BYTES:
            return (self._cut(loop, streams, _block_turns(most, itemsize)),)
        if most * itemsize < _LEAST_BYTES:
            return (loop,)
        return self._staged(loop, streams, most)

    def _streams(self, loop: For, around: tuple[For, ...]) -> list[_Stream]:
        """The stores of `loop` for which blocks gain."""
        if loop.carries or loop.mode not in (Mode.SERIAL, Mode.VECTOR) or not is_plain(loop):
            return []
        stores = [statement for statement in loop.body if isinstance(statement, Store)]
        found = [stream for store in stores if (stream := self._stream(store, loop, around)) is not None]
        found = [stream for stream in found if all(_are_apart(stream, other, loop.extent) for other in found)]
        written = sum(stream.store.buffer.dtype.itemsize for stream in found)
        return found if self._costs.of(loop.body, _invariants(loop)) <= _MOST_COST * written else []

    def _stream(self, store: Store, loop: For, around: tuple[For, ...]) -> _Stream | None:
        """A store of `loop`, if it fills one of the targets, each element once, and where each time is known before."""
        if store.buffer.storage not in self._targets:
            return None
        form = self._algebra.offset(store.index, store.buffer.shape)
        first = Affine(tuple(term for term in form.terms if term[0] is not loop.axis), form.constant)
        used = set(expressions(atom for atom, _ in first.terms))
        is_known = not any(e is loop.axis or isinstance(e, Load | Local) for e in used)
        if any(coefficient * store.buffer.dtype.itemsize % _LINE for _, coefficient in first.terms):
            return None
        is_once = all(outer.axis in used or _most_turns(outer.extent) == 1 for outer in around)
        return _Stream(store, first) if is_known and is_once else None

    def _staged(self, loop: For, streams: Sequence[_Stream], most: int) -> tuple[Statement, ...]:
        """`loop`, which fills blocks, and their copies."""
        stores, copies = self._blocks(streams, loop.axis, most, scalar.index(0), loop.extent)
        return (replace(loop, body=_replaced(loop.body, stores)), *copies)

    def _cut(self, loop: For, streams: Sequence[_Stream], size: int) -> Statement:
        """`loop` as one over blocks of some turns of it, with the copies of each."""
        blocks, turn = blocks_of(loop, size, "block"), Axis(loop.axis.name)
        stores, copies = self._blocks(streams, turn, size, blocks.first, blocks.length)
        replacer = BufferReplacer({}, {loop.axis: scalar.add(blocks.first, turn)})
        within = For(turn, blocks.length, replacer.statements(_replaced(loop.body, stores)), mode=loop.mode)
        return For(blocks.number, self._algebra.simplify(blocks.count), (within, *copies))

    def _blocks(
        self, streams: Sequence[_Stream], turn: Axis, most: int, before: Expr, turns: Expr
    ) -> tuple[dict[Statement, Store], list[StreamCopy]]:
        """The stores into blocks of `most` turns, and copies of `turns` of them; `before` others come first."""
        stores: dict[Statement, Store] = {}
        copies: list[StreamCopy] = []
        for stream in streams:
            target = stream.store.buffer
            block = Buffer(f"block{len(self.scratch)}", target.dtype, (most,))
            self.scratch.append(block)
            stores[stream.store] = Store(block, (turn,), stream.store.value)
            flat = Buffer(target.name, target.dtype, (math.prod(target.shape),), target)
            first = scalar.add(before, self._algebra.expression(stream.first))
            copies.append(StreamCopy(flat, first, block, turns))
        return stores, copies


def _block_turns(extent: int | None, itemsize: int) -> int:
    """How many turns make a block: whole lines, and all blocks alike, where that can be."""
    line, wanted = _LINE // itemsize, _BLOCK_BYTES // itemsize
    alike = [size for size in range(wanted // 2, 2 * wanted + 1, line) if extent is not None and extent % size == 0]
    return min(alike, key=lambda size: abs(size - wanted), default=wanted)


def _are_apart(one: _Stream, other: _Stream, extent: Expr) -> bool:
    """Whether two stores of a loop fill different memory."""
    if one is other or one.store.buffer.storage is not other.store.buffer.storage:
        return True
    if one.first.terms != other.first.terms or not isinstance(extent, Constant):
        return False
    return abs(one.first.constant - other.first.constant) >= int(extent.value)


def _invariants(loop: For) -> set[Expr]:
    """The expressions in a loop that are the same in all of its turns."""
    roots = list(all_roots(loop.body))
    return set(expressions(roots)) - dependents(roots, {loop.axis})


def _replaced(statements: Sequence[Statement], stores: Mapping[Statement, Store]) -> tuple[Statement, ...]:
    """`statements` with other stores."""
    return tuple(stores.get(statement, statement) for statement in statements)


def _most_turns(extent: Expr) -> int | None:
    """How many turns a loop of this extent takes at most, where that can be seen."""
    if isinstance(extent, Constant):
        return int(extent.value)
    if isinstance(extent, Apply) and extent.primitive is Primitive.MIN:
        bounds = [bound for bound in map(_most_turns, extent.operands) if bound is not None]
        return min(bounds, default=None)
    return None
