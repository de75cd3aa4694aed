"""`triangular_solve` on a GPU: a block for some vectors of a system, unknown after unknown.

Once an unknown is known for all of a block's vectors, its threads take it out of all equations after it, then wait for
each other.  The right-hand sides are kept in shared memory where they fit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import cast

from tenfoldc.gpu.lower.grid import Grid
from tenfoldc.gpu.lower.threads import BLOCK, FULL, SHARED_BYTES, WARP, power_of_two
from tenfoldc.ir.core import Operation
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Barrier, Expr, For, If, Load, Statement, Store
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.linear_algebra.triangular_solve import UNROLLED, Systems, unrolled
from tenfoldc.lower.loop_nest import nest
from tenfoldc.ops.linear_algebra import TriangularSolveAttributes

_LEAST_VECTORS = 4
"""Vectors of a block down to which more blocks are better."""


def lower_triangular_solve(operation: Operation, ctx: LoweringContext) -> Sequence[Statement]:
    """The launch of `triangular_solve`."""
    type_ = operation.results[0].type
    if type_.size == 0:
        return ()
    attributes = cast(TriangularSolveAttributes, operation.attributes)
    *batch, rows, columns = type_.sizes
    size, vectors = (rows, columns) if attributes.left_side else (columns, rows)
    systems = Systems(ctx, attributes, tuple(batch), size, vectors, type_.dtype)
    if size <= UNROLLED:
        extents = [math.prod(batch), vectors]
        return nest(ctx, extents, lambda index: unrolled(systems, index[0], index[1]), private=())
    return _Block(systems).statements()


class _Block:
    """The launch that solves each system of a batch, `width` vectors by one block."""

    def __init__(self, systems: Systems) -> None:
        self.ctx, self.systems, self.size = systems.ctx, systems, systems.size
        self.width = self._vectors()
        self.groups = -(-systems.vectors // self.width)
        blocks = math.prod(systems.batch) * self.groups
        self.grid = Grid(self.ctx.axis, blocks, min(BLOCK, max(WARP, power_of_two(self.size * self.width))))
        self.number = scalar.div(self.grid.block, scalar.index(self.groups))
        self.first = scalar.mul(scalar.rem(self.grid.block, scalar.index(self.groups)), scalar.index(self.width))
        shape = (self.size, self.width)
        self.is_shared = math.prod(shape) * systems.dtype.itemsize <= SHARED_BYTES
        self.values = (
            self.grid.shared("values", systems.dtype, shape)
            if self.is_shared
            else self.ctx.scratch("values", systems.dtype, (blocks, *shape))
        )

    def _vectors(self) -> int:
        """How many vectors a block solves for."""
        systems = self.systems
        width = min(WARP, power_of_two(systems.vectors))
        while width > 1 and self.size * width * systems.dtype.itemsize > SHARED_BYTES:
            width //= 2
        while width > _LEAST_VECTORS and math.prod(systems.batch) * -(-systems.vectors // width) < FULL // 2:
            width //= 2
        return width

    def statements(self) -> list[Statement]:
        size = scalar.index(self.size)
        number = self.grid.known("system", math.prod(self.systems.batch), self.number)
        row = self.ctx.axis("row", self.size)
        after = scalar.add(row, scalar.index(1))

        def fill(place: Expr, column: Expr, vector: Expr) -> Sequence[Statement]:
            return [Store(self.values, self._place(place, column), self.systems.read(number, place, vector))]

        def reduce(below: Expr, column: Expr, _: Expr) -> Sequence[Statement]:
            place = self.grid.known("place", self.size, scalar.add(after, below))
            factor = scalar.neg(self.systems.triangle(number, place, row))
            solved = self.systems.divided(self._load(row, column), number, row)
            reduced = scalar.fma(factor, solved, self._load(place, column))
            return [Store(self.values, self._place(place, column), reduced)]

        def write(place: Expr, column: Expr, vector: Expr) -> Sequence[Statement]:
            solved = self.systems.divided(self._load(place, column), number, place)
            return self.systems.write(number, place, vector, solved)

        steps = For(row, size, (Barrier(), self._elements(scalar.sub(size, after), reduce)))
        body = [self._elements(size, fill), steps, Barrier(), self._elements(size, write)]
        return [self.grid.launch("substitution", body)]

    def _place(self, row: Expr, column: Expr) -> tuple[Expr, ...]:
        return (row, column) if self.is_shared else (self.grid.block, row, column)

    def _load(self, row: Expr, column: Expr) -> Expr:
        return Load(self.values, self._place(row, column))

    def _elements(self, rows: Expr, body: Callable[[Expr, Expr, Expr], Sequence[Statement]]) -> Statement:
        """`body(row, column, vector)` for all elements of the first `rows` rows, the threads taking turns."""
        threads, width = scalar.index(self.grid.threads), scalar.index(self.width)
        total = scalar.mul(rows, width)
        turn = self.ctx.axis("turn", -(-self.size * self.width // self.grid.threads))
        number = scalar.add(scalar.mul(turn, threads), self.grid.thread)
        row, column = scalar.div(number, width), scalar.rem(number, width)
        place = self.grid.known("row", self.size, row)
        vector = self.grid.known("vector", self.systems.vectors, scalar.add(self.first, column))
        inside = scalar.less(number, total)
        if self.systems.vectors % self.width:
            is_vector = scalar.less(scalar.add(self.first, column), scalar.index(self.systems.vectors))
            inside = scalar.logical_and(inside, is_vector)
        turns = scalar.div(scalar.add(total, scalar.index(self.grid.threads - 1)), threads)
        return For(turn, turns, (If(inside, tuple(body(place, column, vector))),))
