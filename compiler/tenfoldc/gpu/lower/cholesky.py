"""`cholesky` on a GPU: one block a matrix, column after column.

With A = L L^T, each thread has rows of L.  For column j it subtracts from its elements of A what the columns before
contribute, the block waits, and all divide by the root of the diagonal element.  The factor is kept by columns, in
shared memory where it fits, so that neighbouring threads read neighbouring elements.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import cast

from tenfoldc.gpu.lower.grid import Grid
from tenfoldc.gpu.lower.threads import SHARED_BYTES, WARP, power_of_two, shared_size
from tenfoldc.ir.core import Operation
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Axis, Barrier, Buffer, Carry, Expr, For, If, Load, Local, Primitive, Statement, Store
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.linear_algebra.cholesky import UNROLLED, Matrices, nan_unless_positive, unrolled
from tenfoldc.lower.loop_nest import bind, nest
from tenfoldc.ops.linear_algebra import CholeskyAttributes

_THREADS = 512
"""Threads of a block at most: more would have too few registers."""


def lower_cholesky(operation: Operation, ctx: LoweringContext) -> Sequence[Statement]:
    """The launch of `cholesky`."""
    type_ = operation.operands[0].type
    if type_.size == 0:
        return ()
    *batch, size, _ = type_.sizes
    matrices = Matrices(ctx, tuple(batch), size, cast(CholeskyAttributes, operation.attributes).lower)
    if size <= UNROLLED:
        return nest(ctx, [math.prod(batch)], lambda index: unrolled(matrices, index[0]), private=())
    return _Block(matrices).statements()


class _Block:
    """The launch that factors each matrix of a batch by a block."""

    def __init__(self, matrices: Matrices) -> None:
        self.ctx, self.matrices, self.size = matrices.ctx, matrices, matrices.size
        self.dtype = self.ctx.result().dtype
        count = math.prod(matrices.batch)
        self.grid = Grid(self.ctx.axis, count, min(_THREADS, max(WARP, power_of_two(self.size))))
        self.pivot = self.grid.shared("pivot", self.dtype, ())
        shape = (self.size, self.size)
        room = SHARED_BYTES - shared_size(self.pivot)
        self.is_shared = shared_size(Buffer("factor", self.dtype, shape)) <= room
        self.factor = (
            self.grid.shared("factor", self.dtype, shape)
            if self.is_shared
            else self.ctx.scratch("factor", self.dtype, (count, *shape))
        )

    def statements(self) -> list[Statement]:
        column = self.ctx.axis("column", self.size)
        reduced = self._rows(lambda row: [If(_is_below(row, column), tuple(self._reduced(row, column)))])
        bound, (root,) = bind(self.ctx, [nan_unless_positive(Load(self.pivot, ()))])
        scaled = self._rows(lambda row: [If(_is_below(row, column), (self._scaled(row, column, root),))])
        columns = For(column, scalar.index(self.size), (reduced, Barrier(), *bound, scaled, Barrier()))
        return [self.grid.launch("cholesky", [columns, *self._finish()])]

    def _place(self, row: Expr, column: Expr) -> tuple[Expr, ...]:
        """Where the factor's element is kept: columns are contiguous."""
        return (column, row) if self.is_shared else (self.grid.block, column, row)

    def _load(self, row: Expr, column: Expr) -> Expr:
        return Load(self.factor, self._place(row, column))

    def _rows(self, body: Callable[[Axis], Sequence[Statement]]) -> Statement:
        return self.grid.shared_out("row", self.size, body)

    def _reduced(self, row: Axis, column: Axis) -> list[Statement]:
        """An element of a column of A less what the columns before contribute."""
        k = self.ctx.axis("k", self.size)
        rest, result = Local("rest", self.dtype), Local("reduced", self.dtype)
        following = scalar.fma(scalar.neg(self._load(row, k)), self._load(column, k), rest)
        start = self.matrices.read(self.grid.block, row, column)
        loop = For(k, column, (), (Carry(rest, start, following, result),))
        pivot = If(scalar.equal(row, column), (Store(self.pivot, (), result),))
        return [loop, Store(self.factor, self._place(row, column), result), pivot]

    def _scaled(self, row: Axis, column: Axis, root: Expr) -> Statement:
        value = scalar.div(self._load(row, column), root)
        value = scalar.select(scalar.equal(row, column), root, value)
        return Store(self.factor, self._place(row, column), value)

    def _finish(self) -> list[Statement]:
        """Write the factor, zeros beyond it, and NaN for a matrix that is not positive definite."""
        size = scalar.index(self.size)
        last = scalar.index(self.size - 1)
        bound, (pivot,) = bind(self.ctx, [self._load(last, last)])
        failed = scalar.apply(Primitive.NE, pivot, pivot)

        def element(number: Axis) -> Sequence[Statement]:
            slow = self.grid.known("slow", self.size, scalar.div(number, size))
            fast = self.grid.known("fast", self.size, scalar.rem(number, size))
            row, column = (slow, fast) if self.matrices.lower else (fast, slow)
            value = self._load(row, scalar.minimum(row, column))
            inside = scalar.select(failed, pivot, value)
            zero = scalar.constant(0.0, self.dtype)
            chosen = scalar.select(scalar.less_equal(column, row), inside, zero)
            return self.matrices.write(self.grid.block, row, column, chosen)

        return [*bound, self.grid.shared_out("element", self.size**2, element)]


def _is_below(row: Axis, column: Axis) -> Expr:
    return scalar.greater_equal(row, column)
