"""Running statements with NumPy, many turns of a loop at a time: what a kernel makes of constants, while compiling.

    execute(statements, memory)

The turns of a nest are the axes of arrays, and each statement of it is done for all of them before the next.  So a
loop is taken that way only if it reads nothing that it writes, but for memory that is private to a turn, and it must
write no element twice; others are run turn by turn.  Results are the bits that compiled code would give, for
expressions that `is_reproducible` accepts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tenfold_rt import dtypes
from tenfold_rt.frozen import frozen
from tenfoldc.loops import scalar
from tenfoldc.loops.evaluate import evaluate
from tenfoldc.loops.ir import Apply, Axis, Buffer, Call, Expr, For, If, Load, Local, Primitive, Statement, Store
from tenfoldc.loops.ir import TransposeTile as Tile
from tenfoldc.loops.traversal import expressions, loaded, owners, parallel_loops, stored, walk_statements

Array: TypeAlias = NDArray[Any]
Memory: TypeAlias = Mapping[Buffer, Array]
"""Flat arrays by the buffers that own memory."""

_AT_ONCE = 1 << 19
"""Turns that are taken at a time at most, so that indices take megabytes."""

_MOST_PRIVATE = 1 << 23
"""Elements that the private memory of all turns that are taken at a time may have."""

_VARIES = frozenset({Primitive.FMA, Primitive.PRODUCT_ERROR})
"""Primitives that not every target rounds alike."""


class NotExecutableError(Exception):
    """Statements that cannot be run this way."""


def is_reproducible(statements: Sequence[Statement]) -> bool:
    """Whether `execute` knows all of `statements` and gives the bits that they give on any target."""
    for statement in walk_statements(statements):
        if not isinstance(statement, For | If | Store | Tile) or (isinstance(statement, For) and statement.carries):
            return False
    return all(is_reproducible_value(root) for statement in walk_statements(statements) for root in _roots(statement))


def is_reproducible_value(root: Expr) -> bool:
    """Whether every target gives an expression the same bits."""
    used = expressions((root,))
    return not any(isinstance(e, Call) or (isinstance(e, Apply) and e.primitive in _VARIES) for e in used)


def execute(statements: Sequence[Statement], memory: Memory) -> None:
    """Run `statements`, for which `is_reproducible` holds; `NotExecutableError` where turns overwrite each other."""
    _Execution(memory).block(statements, _Scope({}, (), (), {}))


def _roots(statement: Statement) -> tuple[Expr, ...]:
    match statement:
        case For():
            return (statement.extent,)
        case If():
            return (statement.condition,)
        case Store():
            return (*statement.index, statement.value)
        case Tile():
            return (statement.target_first, statement.source_first, statement.rows, statement.columns)
        case _:
            return ()


@frozen
class _Scope:
    """Where execution is: the turn of loops that are run turn by turn, the axes of others, and what must hold.

    `private` is memory that each place along so many of the first axes has of its own.
    """

    turns: Mapping[Axis, int]
    axes: tuple[tuple[Axis, int], ...]
    conditions: tuple[Expr, ...]
    private: Mapping[Buffer, int]

    @property
    def size(self) -> int:
        return math.prod(extent for _, extent in self.axes)

    def along(self, axis: Axis, extent: int) -> _Scope:
        return replace(self, axes=(*self.axes, (axis, extent)))

    def at(self, axis: Axis, turn: int) -> _Scope:
        return replace(self, turns={**self.turns, axis: turn})

    def where(self, condition: Expr) -> _Scope:
        return replace(self, conditions=(*self.conditions, condition))

    def bindings(self) -> dict[Local | Axis | Load, Array]:
        """Every axis as an array, whose own dimension is its place among the axes."""
        bound: dict[Local | Axis | Load, Array] = {axis: np.asarray(turn) for axis, turn in self.turns.items()}
        for place, (axis, extent) in enumerate(self.axes):
            shape = [extent if other == place else 1 for other in range(len(self.axes))]
            bound[axis] = np.arange(extent).reshape(shape)
        return bound


class _Execution:
    """One run."""

    def __init__(self, memory: Memory) -> None:
        self.memory = dict(memory)
        self.written: dict[Buffer, list[Array]] = {}
        """The places that the nest that is taken at once has written."""

    def block(self, statements: Iterable[Statement], scope: _Scope) -> None:
        for statement in statements:
            self._statement(statement, scope)
            if not scope.axes:
                self._check_nest()

    def _check_nest(self) -> None:
        """`NotExecutableError` where a nest that was taken at once has written to one place twice."""
        for parts in self.written.values():
            places = np.concatenate(parts)
            first = int(places.min())
            seen = np.zeros(int(places.max()) - first + 1, np.bool_)
            seen[places - first] = True
            if int(np.count_nonzero(seen)) != len(places):
                raise NotExecutableError
        self.written = {}

    def _statement(self, statement: Statement, scope: _Scope) -> None:
        match statement:
            case For():
                self._loop(statement, scope)
            case If():
                self.block(statement.then, scope.where(statement.condition))
                self.block(statement.otherwise, scope.where(scalar.apply(Primitive.NOT, statement.condition)))
            case Store():
                self._store(statement.buffer, statement.index, statement.value, scope)
            case Tile():
                self._tile(statement, scope)
            case _:
                raise NotExecutableError

    def _loop(self, loop: For, scope: _Scope) -> None:
        extent, scope = self._extent(loop.axis, loop.extent, scope)
        private = {b for inner in parallel_loops((loop,)) for b in inner.private}
        shared = owners(stored(loop.body)) & owners(loaded(loop.body))
        size = scope.size * extent
        if shared <= private and size <= _AT_ONCE and size * _elements(private) <= _MOST_PRIVATE:
            return self.block(loop.body, self._with_private(loop, scope.along(loop.axis, extent)))
        if scope.axes and not shared <= private:
            raise NotExecutableError
        for turn in range(extent):
            self.block(loop.body, self._with_private(loop, scope.at(loop.axis, turn)))
        return None

    def _with_private(self, loop: For, scope: _Scope) -> _Scope:
        """A scope in which every place has its own copy of the loop's private memory."""
        if not (loop.private and scope.axes):
            return scope
        for buffer in loop.private:
            self.memory[buffer] = np.zeros(scope.size * math.prod(buffer.shape), buffer.dtype.numpy)
        return replace(scope, private={**scope.private, **dict.fromkeys(loop.private, len(scope.axes))})

    def _extent(self, axis: Axis, extent: Expr, scope: _Scope) -> tuple[int, _Scope]:
        """The most turns of a loop, and the scope in which it takes as many as it should."""
        turns = _evaluate(extent, scope, self.memory)
        if turns.size == 0:
            return 0, scope
        most = int(turns.max())
        return most, scope if int(turns.min()) == most else scope.where(scalar.less(axis, extent))

    def _tile(self, tile: Tile, scope: _Scope) -> None:
        row, column = Axis("row"), Axis("column")
        for axis, length in ((row, tile.rows), (column, tile.columns)):
            extent, scope = self._extent(axis, length, scope)
            scope = scope.along(axis, extent)
        source = scalar.add(tile.source_first, scalar.add(scalar.mul(column, scalar.index(tile.source_stride)), row))
        target = scalar.add(tile.target_first, scalar.add(scalar.mul(row, scalar.index(tile.target_stride)), column))
        self._store(tile.target, (target,), Load(tile.source, (source,)), scope)

    def _store(self, buffer: Buffer, index: Sequence[Expr], value: Expr, scope: _Scope) -> None:
        shape = tuple(extent for _, extent in scope.axes)
        kept = np.ones(shape, np.bool_)
        for number, condition in enumerate(scope.conditions):
            guarded = replace(scope, conditions=scope.conditions[:number])
            kept = kept & _evaluate(condition, guarded, self.memory)
        if not kept.any():
            return
        places = np.broadcast_to(_places(buffer, index, scope, self.memory), shape)[kept]
        values = np.broadcast_to(_evaluate(value, scope, self.memory), shape)[kept]
        if scope.axes:
            self.written.setdefault(buffer.storage, []).append(places)
        self.memory[buffer.storage][places] = values


def _evaluate(root: Expr, scope: _Scope, memory: Memory) -> Array:
    """The value of an expression at all places of a scope, over as many dimensions as it depends on."""
    bound = scope.bindings()
    pending = [root]
    while pending:
        known = [e for e in expressions((pending[-1],)) if isinstance(e, Load) and e is not pending[-1]]
        missing = [load for load in known if load not in bound]
        if missing:
            pending.extend(missing)
            continue
        expression = pending.pop()
        if isinstance(expression, Load) and expression not in bound:
            places = [evaluate(position, bound) for position in expression.index]
            bound[expression] = memory[expression.buffer.storage][_flat(expression.buffer, places, scope)]
    return evaluate(root, bound)


def _places(buffer: Buffer, index: Sequence[Expr], scope: _Scope, memory: Memory) -> Array:
    return _flat(buffer, [_evaluate(position, scope, memory) for position in index], scope)


def _flat(buffer: Buffer, index: Sequence[Array], scope: _Scope) -> Array:
    """Places in the memory of `buffer`; where a condition may not hold, places outside become ones inside."""
    places: Array = np.zeros((), dtypes.i64.numpy)
    for number, position in enumerate(index):
        places = places + position * math.prod(buffer.shape[number + 1 :])
    size = math.prod(buffer.shape)
    if scope.conditions:
        places = np.clip(places, 0, size - 1)
    extents = [extent for _, extent in scope.axes]
    own = scope.private.get(buffer.storage, 0)
    if not own:
        return places
    copies: Array = np.arange(math.prod(extents[:own])).reshape((*extents[:own], *(1 for _ in extents[own:])))
    return places + copies * size


def _elements(buffers: Iterable[Buffer]) -> int:
    return max((math.prod(buffer.shape) for buffer in buffers), default=1)
