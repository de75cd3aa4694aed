"""Substitution in panels: what `cholesky` and `triangular_solve` spend their time on.

A panel holds a few columns of unknowns, as wide as the inner kernel's tile.  A block of `HEIGHT` of its rows is
reduced by all rows before it, which is a product of matrices, and then solved by itself; what is stored is the negated
solution, for the inner kernel adds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tenfold_rt.dtypes import DType
from tenfold_rt.frozen import frozen
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Buffer, Constant, Expr, For, Load, Mode, MultiplyPanels, Statement, Store
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.loop_nest import loop
from tenfoldc.target import Target

HEIGHT = 4
"""Rows that are reduced at once; panels are a multiple of it wide."""


@frozen
class Panel:
    """Scratch memory of a few columns: `rows` as the inner kernel reads it, `matrix` as it is written."""

    rows: Buffer
    matrix: Buffer

    @property
    def width(self) -> int:
        return self.matrix.shape[1]

    def load(self, row: Expr, column: Expr) -> Load:
        return Load(self.matrix, (row, column))

    def store(self, row: Expr, column: Expr, value: Expr) -> Store:
        return Store(self.matrix, (row, column), value)


@frozen
class Triangle:
    """A lower triangle: rows of `matrix` from `first_row` on."""

    matrix: Buffer
    first_row: Expr
    unit_diagonal: bool = False

    def load(self, row: Expr, column: Expr) -> Load:
        return Load(self.matrix, (scalar.add(self.first_row, row), column))


def panel_width(dtype: DType, target: Target) -> int:
    """The columns of a panel: two vectors."""
    return 2 * target.vector_bytes // dtype.itemsize


def make_panel(ctx: LoweringContext, dtype: DType, size: int, target: Target) -> Panel:
    """A panel of `size` rows."""
    width = panel_width(dtype, target)
    rows = ctx.scratch("panel", dtype, (1, size, width))
    return Panel(rows, Buffer(rows.name, dtype, (size, width), base=rows))


def lanes(ctx: LoweringContext, panel: Panel, body: Callable[[Expr], Sequence[Statement]]) -> Statement:
    """`body(column)` for all columns of a panel at once."""
    lane = ctx.axis("lane")
    return For(lane, scalar.index(panel.width), tuple(body(lane)), mode=Mode.LANES)


def clear_columns(ctx: LoweringContext, panel: Panel, count: Expr, first: int) -> Sequence[Statement]:
    """Zeros from column `first` on, in `count` rows."""
    if first == panel.width:
        return ()
    row, column = ctx.axis("row"), ctx.axis("column")
    zero = scalar.constant(0.0, panel.matrix.dtype)
    stored = panel.store(row, scalar.add(scalar.index(first), column), zero)
    return loop(row, count, loop(column, scalar.index(panel.width - first), (stored,)))


def reduce_rows(panel: Panel, triangle: Triangle, row: Expr, height: int, depth: Expr) -> Sequence[Statement]:
    """Subtract from `height` rows what `depth` rows that are solved contribute."""
    if isinstance(depth, Constant) and depth.value == 0:
        return ()
    zero = scalar.index(0)
    product = MultiplyPanels(
        target=panel.matrix,
        row=row,
        column=zero,
        lhs=triangle.matrix,
        lhs_panel=scalar.add(triangle.first_row, row),
        rhs=panel.rows,
        rhs_panel=zero,
        depth=depth,
        rows=height,
        columns=panel.width,
        accumulate=True,
    )
    return (product,)


def substitute(ctx: LoweringContext, panel: Panel, triangle: Triangle, count: Expr) -> Sequence[Statement]:
    """Solve the first `count` rows of a panel; an unknown `count` is a multiple of `HEIGHT`."""
    known = int(count.value) if isinstance(count, Constant) else None
    blocks = scalar.div(count, scalar.index(HEIGHT)) if known is None else scalar.index(known // HEIGHT)
    statements: list[Statement] = []
    if known is None or known >= HEIGHT:
        block = ctx.axis("block")
        statements += loop(block, blocks, _solve_block(ctx, panel, triangle, _times(block, HEIGHT), HEIGHT))
    if known is not None and known % HEIGHT:
        first = scalar.index(known // HEIGHT * HEIGHT)
        statements += _solve_block(ctx, panel, triangle, first, known % HEIGHT)
    return statements


def _times(x: Expr, factor: int) -> Expr:
    return scalar.mul(x, scalar.index(factor))


def _solve_block(
    ctx: LoweringContext, panel: Panel, triangle: Triangle, first: Expr, height: int
) -> Sequence[Statement]:
    rows = [scalar.add(first, scalar.index(offset)) for offset in range(height)]

    def column(lane: Expr) -> Sequence[Statement]:
        negated: list[Expr] = []
        for row in rows:
            rest: Expr = panel.load(row, lane)
            for known, x in zip(rows, negated, strict=False):
                rest = scalar.fma(triangle.load(row, known), x, rest)
            solved = rest if triangle.unit_diagonal else scalar.div(rest, triangle.load(row, row))
            negated.append(scalar.neg(solved))
        return [panel.store(row, lane, x) for row, x in zip(rows, negated, strict=True)]

    return [*reduce_rows(panel, triangle, first, height, first), lanes(ctx, panel, column)]
