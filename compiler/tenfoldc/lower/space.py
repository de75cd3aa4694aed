"""The loops of a nest: how the axes of a group are split, merged and tiled into the loops that run.

A group's axes are first split where an index divides by a part of them (the heads of an attention layer, merged in
memory), and neighbours are then merged where every access walks them as one, so that inner loops are long and plain.
A space is chosen by looking at the statements that it leads to: generate, look, generate again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from tenfold_rt.frozen import frozen
from tenfoldc.ir.groups import Group
from tenfoldc.loops import scalar
from tenfoldc.loops.index_algebra import IndexAlgebra
from tenfoldc.loops.ir import Apply, Axis, Constant, Expr, Load, Primitive, Statement, Store
from tenfoldc.loops.traversal import operands_of, roots_of, walk_statements

_LEAST_TILE = 8
"""Elements along each side of a tensor from which what is read across its rows is worth a tile."""

_MIN_STRIDE = 8
"""Strides from which reading across rows is worth tiling."""


@frozen
class Space:
    """`parts[a]` are the extents that group axis a is split into; `loops` lists the parts each loop merges.

    A part is (group axis, number).  `tiled` names two loops, counted from the outermost, that run in tiles.
    """

    parts: tuple[tuple[int, ...], ...]
    loops: tuple[tuple[tuple[int, int], ...], ...]
    reduced: frozenset[int]
    tiled: tuple[int, int] | None = None

    @staticmethod
    def of(group: Group) -> Space:
        """One loop per axis, rows outside."""
        axes = range(len(group.extents))
        order = sorted(axes, key=lambda axis: axis in group.reduced)
        loops = tuple(((axis, 0),) for axis in order)
        return Space(tuple((extent,) for extent in group.extents), loops, group.reduced)

    def extent(self, loop: int) -> int:
        return math.prod(self.parts[axis][part] for axis, part in self.loops[loop])

    def is_reduced(self, loop: int) -> bool:
        return self.loops[loop][0][0] in self.reduced

    @property
    def rows(self) -> list[int]:
        return [loop for loop in range(len(self.loops)) if not self.is_reduced(loop)]

    @property
    def folded(self) -> list[int]:
        return [loop for loop in range(len(self.loops)) if self.is_reduced(loop)]

    def positions(self, at: Mapping[int, Expr], algebra: IndexAlgebra) -> dict[int, Expr]:
        """The index along each group axis whose loops are all in `at`, which gives each loop's index."""
        where: dict[tuple[int, int], Expr] = {}
        for loop, index in at.items():
            rest = index
            for number, (axis, part) in reversed(list(enumerate(self.loops[loop]))):
                extent = self.parts[axis][part]
                if number:
                    where[axis, part] = scalar.rem(rest, scalar.index(extent)) if extent else scalar.index(0)
                    rest = scalar.div(rest, scalar.index(extent)) if extent else scalar.index(0)
                else:
                    where[axis, part] = rest
        found: dict[int, Expr] = {}
        for axis, extents in enumerate(self.parts):
            if all((axis, part) in where for part in range(len(extents))):
                position: Expr = scalar.index(0)
                for part, extent in enumerate(extents):
                    position = scalar.add(scalar.mul(position, scalar.index(extent)), where[axis, part])
                found[axis] = algebra.simplify(position)
        return found

    def split(self, loop: int, inner: int) -> Space:
        """Split a loop over one part into an outer and an inner loop of extent `inner`."""
        ((axis, part),) = self.loops[loop]
        old = self.parts[axis]
        new = (*old[:part], old[part] // inner, inner, *old[part + 1 :])
        parts = (*self.parts[:axis], new, *self.parts[axis + 1 :])
        loops: list[tuple[tuple[int, int], ...]] = []
        for number, own in enumerate(self.loops):
            moved = tuple((a, p + (a == axis and p > part)) for a, p in own)
            loops.extend([moved, ((axis, part + 1),)] if number == loop else [moved])
        return replace(self, parts=parts, loops=tuple(loops))

    def merged(self, first: Iterable[int]) -> Space:
        """Merge each loop of `first` with the loop after it."""
        joined = set(first)
        loops: list[tuple[tuple[int, int], ...]] = []
        for number, own in enumerate(self.loops):
            if number - 1 in joined:
                loops[-1] = (*loops[-1], *own)
            else:
                loops.append(own)
        return replace(self, loops=tuple(loops))


@frozen
class Accesses:
    """How statements use the loops: strides of every access, loops used otherwise, and divisions of a loop's index."""

    strides: list[dict[int, int]]
    pinned: set[int]
    divisors: dict[int, set[int]]

    @staticmethod
    def of(statements: Sequence[Statement], loop_of: Mapping[Axis, int], algebra: IndexAlgebra) -> Accesses:
        found = Accesses([], set(), {})
        pending: list[Expr] = []
        for statement in walk_statements(statements):
            if isinstance(statement, Store):
                pending.extend(found._access(statement, loop_of, algebra))
                pending.append(statement.value)
            else:
                pending.extend(roots_of(statement))
        seen: set[Expr] = set()
        while pending:
            expression = pending.pop()
            if expression in seen:
                continue
            seen.add(expression)
            if isinstance(expression, Load):
                pending.extend(found._access(expression, loop_of, algebra))
                continue
            if isinstance(expression, Axis) and expression in loop_of:
                found.pinned.add(loop_of[expression])
            found._note_division(expression, loop_of)
            pending.extend(operands_of(expression))
        return found

    def _access(self, access: Load | Store, loop_of: Mapping[Axis, int], algebra: IndexAlgebra) -> list[Expr]:
        """Record the strides of one access; gives the parts of its index that are more than an axis."""
        strides: dict[int, int] = {}
        rest: list[Expr] = []
        for atom, coefficient in algebra.offset(access.index, access.buffer.shape).terms:
            if isinstance(atom, Axis) and atom in loop_of:
                strides[loop_of[atom]] = strides.get(loop_of[atom], 0) + coefficient
            else:
                rest.append(atom)
        self.strides.append(strides)
        return rest

    def _note_division(self, expression: Expr, loop_of: Mapping[Axis, int]) -> None:
        if isinstance(expression, Apply) and expression.primitive in (Primitive.DIV, Primitive.REM):
            axis, divisor = expression.operands
            if isinstance(axis, Axis) and axis in loop_of and isinstance(divisor, Constant):
                self.divisors.setdefault(loop_of[axis], set()).add(int(divisor.value))


def improved(space: Space, accesses: Accesses, tile: bool) -> Space:
    """A better space for statements with these accesses; `space` itself where there is none."""
    if space.tiled is not None:
        return space
    for loop, divisors in accesses.divisors.items():
        if len(space.loops[loop]) != 1:
            continue
        extent = space.extent(loop)
        fitting = [divisor for divisor in divisors if 1 < divisor < extent and extent % divisor == 0]
        if fitting:
            return space.split(loop, min(fitting))
    mergeable = [loop for loop in range(len(space.loops) - 1) if _merges(space, accesses, loop)]
    if mergeable:
        return space.merged(mergeable)
    return _tiled(space, accesses) if tile else space


def _merges(space: Space, accesses: Accesses, loop: int) -> bool:
    """Whether all accesses walk `loop` and the next as one."""
    following = loop + 1
    if space.is_reduced(loop) != space.is_reduced(following) or {loop, following} & accesses.pinned:
        return False
    extent = space.extent(following)
    return all(strides.get(loop, 0) == strides.get(following, 0) * extent for strides in accesses.strides)


def _tiled(space: Space, accesses: Accesses) -> Space:
    """Tile the innermost loop with one that it strides across, so that cache lines are used whole."""
    innermost = len(space.loops) - 1
    if innermost < 1 or space.extent(innermost) < _LEAST_TILE:
        return space
    for strides in accesses.strides:
        if abs(strides.get(innermost, 0)) < _MIN_STRIDE:
            continue
        for loop in range(innermost):
            if strides.get(loop) == 1 and space.extent(loop) >= _LEAST_TILE:
                return replace(space, tiled=(loop, innermost))
    return space
