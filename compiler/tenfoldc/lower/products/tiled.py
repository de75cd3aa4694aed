"""A product of matrices on the matrix unit, with what plain code there is for it beside.

    for each product b of the batch, each block u of columns:
        may tiles be used?
        for each block t of the depth, while they may:
            pack the rhs
            for each block v of rows: pack the lhs, multiply
            where numbers are cut into parts: were all of them such that the parts stand for them?
        if so, hand the sums to the consumers, else compute the block by vectors

So nothing leaves a block before it is known to be right, and where it is computed by vectors it has the very bits that
it has where there are no tiles.  Which way a block goes depends on its numbers and on the machine alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from tenfold_rt import dtypes
from tenfold_rt.frozen import frozen
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import (
    Buffer,
    Expr,
    For,
    If,
    Load,
    Mode,
    MultiplyStrip,
    RequestMatrixUnit,
    Statement,
)
from tenfoldc.loops.matrix_unit import TILE_DEPTH, TILE_LINES, TILE_WORDS
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.loop_nest import turns
from tenfoldc.lower.products.blocked import BlockedProduct, operands_in_place
from tenfoldc.lower.products.blocking import Blocking
from tenfoldc.lower.products.magnitudes import forget, notes, store_whether_exact
from tenfoldc.lower.products.packing import Span, block_size, for_each_panel, span
from tenfoldc.lower.products.product import Product
from tenfoldc.lower.products.tile_packing import TilePacking
from tenfoldc.lower.products.tiling import Parts, tiling
from tenfoldc.target import Target
from tenfoldc.tuning import Decisions

_ZERO = scalar.index(0)


def lower_tiled(
    ctx: LoweringContext, product: Product, parts: Parts, blocks: Blocking, target: Target
) -> list[Statement]:
    """The statements of a `product` of f32 whose sizes are at least 1; by vectors it is computed in `blocks`."""
    return _TiledProduct(ctx, product, parts, blocks, target).statements()


@frozen
class _Block:
    """A block of columns of one product."""

    b: Expr
    columns: Span


class _TiledProduct:
    """The loops over one product.  Names of axes: b batch, u block of columns, t of depth, v of rows."""

    def __init__(self, ctx: LoweringContext, product: Product, parts: Parts, blocks: Blocking, target: Target) -> None:
        self.ctx = ctx
        self.product = product
        self.sizes = tiling(product, parts)
        self.row_blocks = -(-product.rows // self.sizes.mc)
        self.column_blocks = -(-product.columns // self.sizes.nc)
        self.depth_blocks = -(-product.depth // self.sizes.kc)
        self.checks = not parts.are_exact
        self.usable = ctx.scratch("tiles_usable", dtypes.bool_, (1,))
        steps = self.sizes.kc // TILE_DEPTH
        row_panels, column_panels = (
            min(block, -(-size // TILE_LINES) * TILE_LINES) // TILE_LINES
            for block, size in ((self.sizes.mc, product.rows), (self.sizes.nc, product.columns))
        )
        lhs_shape = (row_panels, steps, parts.lhs, TILE_LINES, TILE_WORDS)
        rhs_shape = (column_panels, steps, parts.rhs, 2, TILE_WORDS, TILE_WORDS)
        self.lhs_panels = ctx.scratch("lhs_tiles", dtypes.u32, lhs_shape)
        self.rhs_panels = ctx.scratch("rhs_tiles", dtypes.u32, rhs_shape)
        lhs_noted = self._notes("lhs_magnitudes", -(-product.rows // TILE_LINES))
        rhs_noted = self._notes("rhs_magnitudes", column_panels)
        self.lhs = TilePacking(ctx, product, product.lhs, self.lhs_panels, lhs_noted)
        self.rhs = TilePacking(ctx, product, product.rhs, self.rhs_panels, rhs_noted)
        self.keeps_all_rows = self.checks or self.depth_blocks > 1
        self.sums = self._scratch()
        plain, blocks = _packed_anew(product), replace(blocks, nc=self.sizes.nc)
        self.plain = BlockedProduct(ctx, plain, blocks, operands_in_place(plain, blocks, target, Decisions()))

    def statements(self) -> list[Statement]:
        noted = [packing.noted for packing in (self.lhs, self.rhs) if packing.noted is not None]
        sums = [] if self.sums is None else [self.sums]
        own = [self.usable, self.lhs_panels, self.rhs_panels, *self.lhs.private, *self.rhs.private, *noted, *sums]
        private = [*own, *self.plain.private]

        def batch(b: Expr) -> list[Statement]:
            return self._loop("u", self.column_blocks, lambda u: self._column_block(b, u), private)

        return self._loop("b", self.product.batch, batch, private)

    def _column_block(self, b: Expr, u: Expr) -> list[Statement]:
        block = _Block(b, span(self.product.columns, self.sizes.nc, TILE_LINES, u))
        statements: list[Statement] = [RequestMatrixUnit(self.usable)]
        for packing in (self.lhs, self.rhs):
            statements += forget(self.ctx, packing.noted) if packing.noted is not None else []
        statements += self._loop("t", self.depth_blocks, lambda t: [self._if_usable(self._depth_block(block, t))])
        finished = self._finish(block) if self.checks else []
        return [*statements, self._if_usable(finished, self.plain.column_block(b, u))]

    def _depth_block(self, block: _Block, t: Expr) -> list[Statement]:
        depth = span(self.product.depth, self.sizes.kc, TILE_DEPTH, t)
        statements = self.rhs.pack(block.b, block.columns, depth, _ZERO)
        private = [self.lhs_panels, *self.lhs.private]
        if self.sums is not None and not self.keeps_all_rows:
            private.append(self.sums)

        def row_block(v: Expr) -> list[Statement]:
            rows = self._rows(v)
            packed = self.lhs.pack(block.b, rows, depth, scalar.mul(v, scalar.index(self.sizes.mc // TILE_LINES)))
            last = scalar.equal(t, scalar.index(self.depth_blocks - 1))
            written = [] if self.checks else self._write(block, rows)
            if written and self.depth_blocks > 1:
                written = [If(last, tuple(written))]
            return [*packed, *self._strips(block, rows, t, depth), *written]

        statements += self._loop("v", self.row_blocks, row_block, private)
        if self.lhs.noted is not None and self.rhs.noted is not None:
            noted = self.lhs.noted, self.rhs.noted
            statements += store_whether_exact(self.ctx, *noted, self.product.depth, self.usable)
        return statements

    def _strips(self, block: _Block, rows: Span, t: Expr, depth: Span) -> list[Statement]:
        """All panels of a block of rows by each panel of columns."""
        matrix, row, column = self._accumulator(block, rows)
        steps = block_size(-(-self.product.depth // TILE_DEPTH), self.sizes.kc // TILE_DEPTH, t)

        def strip(panel: Expr, width: int, accumulate: bool) -> Statement:
            return MultiplyStrip(
                target=matrix,
                row=row,
                column=scalar.add(column, scalar.mul(panel, scalar.index(TILE_LINES))),
                lhs=self.lhs_panels,
                lhs_panel=_ZERO,
                rhs=self.rhs_panels,
                rhs_panel=panel,
                steps=steps,
                rows=rows.lines,
                columns=width,
                accumulate=accumulate,
            )

        def column_panel(panel: Expr, width: int) -> list[Statement]:
            first = strip(panel, width, False)
            if self.depth_blocks == 1:
                return [first]
            return [If(scalar.equal(t, _ZERO), (first,), (strip(panel, width, True),))]

        return for_each_panel(self.ctx, "column_panel", block.columns, column_panel)

    def _finish(self, block: _Block) -> list[Statement]:
        """Hand all sums of a block of columns to the consumers."""
        if self.sums is None:
            return []
        return self._loop("v", self.row_blocks, lambda v: self._write(block, self._rows(v)), [])

    def _write(self, block: _Block, rows: Span) -> list[Statement]:
        """Hand the sums of a block of rows to the consumers."""
        if self.sums is None:
            return []
        i, j = self.ctx.axis("i"), self.ctx.axis("j")
        _, row, column = self._accumulator(block, rows)
        value = Load(self.sums, (scalar.add(row, i), scalar.add(column, j)))
        place = scalar.add(rows.first, i), scalar.add(block.columns.first, j)
        stored = self.product.write(block.b, *place, value)
        return [turns(i, rows.lines, (For(j, block.columns.lines, tuple(stored), mode=Mode.VECTOR),))]

    def _accumulator(self, block: _Block, rows: Span) -> tuple[Buffer, Expr, Expr]:
        """Where the sums of a block of rows are held: a matrix, and the place of the first in it."""
        place = self.product.place
        if self.sums is None:
            assert place is not None
            row, column = scalar.add(place.row(block.b), rows.first), place.column(block.b)
            return place.matrix, row, scalar.add(column, block.columns.first)
        return self.sums, rows.first if self.keeps_all_rows else _ZERO, _ZERO

    def _scratch(self) -> Buffer | None:
        """Memory for sums that still go through consumers: of one block, or of all rows."""
        if self.product.place is not None:
            return None
        height = self.product.rows if self.keeps_all_rows else min(self.sizes.mc, self.product.rows)
        width = min(self.sizes.nc, self.product.columns)
        return self.ctx.scratch("tile_sums", self.product.dtype, (height, width))

    def _rows(self, v: Expr) -> Span:
        return span(self.product.rows, self.sizes.mc, TILE_LINES, v)

    def _notes(self, name: str, panels: int) -> Buffer | None:
        return notes(self.ctx, name, panels * TILE_WORDS) if self.checks else None

    def _if_usable(self, then: Sequence[Statement], otherwise: Sequence[Statement] = ()) -> Statement:
        return If(Load(self.usable, (_ZERO,)), tuple(then), tuple(otherwise))

    def _loop(
        self, name: str, count: int, body: Callable[[Expr], list[Statement]], private: Sequence[Buffer] | None = None
    ) -> list[Statement]:
        """`body(number)` for `count` blocks, which are independent but for `private` memory where that is given."""
        if count == 1:
            return body(_ZERO)
        axis = self.ctx.axis(name)
        return [turns(axis, scalar.index(count), body(axis), private)]


def _packed_anew(product: Product) -> Product:
    """`product` without panels that are kept: by vectors it is seldom computed."""
    lhs, rhs = (replace(operand, packs_ahead=False) for operand in (product.lhs, product.rhs))
    return replace(product, lhs=lhs, rhs=rhs)
