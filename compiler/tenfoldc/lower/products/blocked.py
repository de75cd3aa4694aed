"""A product of matrices as five loops around the inner kernel, over blocks that fit the caches, packed in panels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Buffer, Expr, For, If, Load, Mode, MultiplyPanels, Statement
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.loop_nest import turns
from tenfoldc.lower.products.blocking import Blocking
from tenfoldc.lower.products.packing import DepthSpan, Span, block_size, for_each_panel, pack, span
from tenfoldc.lower.products.product import Operand, Product
from tenfoldc.target import Target

_PACK_LHS_COLUMNS = 256
"""An lhs row is read once per panel of the rhs: from so many columns on, packing it pays."""
_PACK_RHS_PANELS = 2
"""A panel of the rhs is read once per panel of the lhs: from so many on, packing it pays."""
_SMALL_RHS_BYTES = 16 * 1024
_ZERO = scalar.index(0)


def lower_blocked(ctx: LoweringContext, product: Product, blocks: Blocking, target: Target) -> list[Statement]:
    """The statements of `product`, whose sizes are all at least 1 and whose dtype is a float."""
    return _BlockedProduct(ctx, product, blocks, target).statements()


@dataclass(frozen=True, slots=True)
class _Accumulator:
    """Where sums are held: a row-major matrix, and the place in it of a block's first row and column."""

    matrix: Buffer
    row: Expr
    column: Expr


class _BlockedProduct:
    """The loops over one product.  Names of axes: b batch, u block of columns, t of depth, v of rows."""

    def __init__(self, ctx: LoweringContext, product: Product, blocks: Blocking, target: Target) -> None:
        self.ctx = ctx
        self.product = product
        self.blocks = blocks
        self.kc, self.depth_blocks = self._cut_depth()
        self.row_blocks = -(-product.rows // blocks.mc)
        self.column_blocks = -(-product.columns // blocks.nc)
        self.lhs_in_place = product.lhs.matrix if product.columns <= _PACK_LHS_COLUMNS else None
        self.rhs_in_place = product.rhs.matrix if self._reads_rhs_in_place(target) else None
        self.packs_while_multiplying = product.rhs.matrix is not None and not self.rhs_in_place and self.row_blocks == 1
        self.packs_while_multiplying &= self._can_read_rhs_in_place(target)
        self.lhs_panels = self._lhs_buffer()
        self.rhs_panels = self._rhs_buffer()
        self.scratch = self._scratch()

    def statements(self) -> list[Statement]:
        blocks = [self.lhs_panels] if self.lhs_in_place is None else []
        sums = [self.scratch] if self.scratch else []
        panels = [] if self.rhs_in_place else [self.rhs_panels]

        def batch(b: Expr) -> list[Statement]:
            return self._loop("u", self.column_blocks, lambda u: self._column_block(b, u), [*blocks, *panels, *sums])

        return self._loop("b", self.product.batch, batch, [*blocks, *panels, *sums])

    def _column_block(self, b: Expr, u: Expr) -> list[Statement]:
        columns = span(self.product.columns, self.blocks.nc, self.blocks.nr, u)

        def depth_block(t: Expr) -> list[Statement]:
            depth = self._depth_span(t)
            packs_first = not (self.rhs_in_place or self.packs_while_multiplying)
            packed = [] if not packs_first else self._pack(self.product.rhs, b, columns, depth, self.rhs_panels)
            private = [] if self.lhs_in_place else [self.lhs_panels]
            if self.scratch and self.depth_blocks == 1:
                private.append(self.scratch)
            rows = self._loop("v", self.row_blocks, lambda v: self._row_block(b, v, t, columns, depth), private)
            return [*packed, *rows]

        return self._loop("t", self.depth_blocks, depth_block)

    def _row_block(self, b: Expr, v: Expr, t: Expr, columns: Span, depth: DepthSpan) -> list[Statement]:
        rows = span(self.product.rows, self.blocks.mc, self.blocks.mr, v)
        packed: list[Statement] = []
        if self.lhs_in_place is None:
            packed = self._pack(self.product.lhs, b, rows, depth, self.lhs_panels)
        accumulator = self._accumulator(b, rows, columns)
        tiles = self._tiles(b, t, rows, columns, depth, accumulator)
        return [*packed, *tiles, *self._epilogue(b, t, rows, columns, accumulator)]

    def _tiles(
        self,
        b: Expr,
        t: Expr,
        rows: Span,
        columns: Span,
        depth: DepthSpan,
        accumulator: _Accumulator,
    ) -> list[Statement]:
        """Every tile of a block: rows run inside, so that a panel of the rhs stays in the nearest cache."""
        mr, nr = scalar.index(self.blocks.mr), scalar.index(self.blocks.nr)

        def tile(panel: Expr, height: int, column_panel: Expr, width: int, accumulate: bool, packs: bool) -> Statement:
            row, column = scalar.mul(panel, mr), scalar.mul(column_panel, nr)
            lhs_panel = panel
            if self.lhs_in_place:
                first_row = scalar.mul(b, scalar.index(self.product.rows))
                lhs_panel = scalar.add(first_row, scalar.add(rows.first, row))
            rhs_first, rhs_panel = scalar.index(0), _ZERO if self.packs_while_multiplying else column_panel
            if self.rhs_in_place or packs:
                rhs_first = scalar.add(scalar.mul(b, scalar.index(self.product.depth)), depth.first_channel)
                rhs_panel = scalar.add(columns.first, column)
            return MultiplyPanels(
                target=accumulator.matrix,
                row=scalar.add(accumulator.row, row),
                column=scalar.add(accumulator.column, column),
                lhs=self.lhs_in_place or self.lhs_panels,
                lhs_panel=lhs_panel,
                rhs=(self.product.rhs.matrix if packs else self.rhs_in_place) or self.rhs_panels,
                rhs_panel=rhs_panel,
                depth=depth.depth,
                rows=height,
                columns=width,
                accumulate=accumulate,
                lhs_first=depth.first_channel if self.lhs_in_place else scalar.index(0),
                rhs_first=rhs_first,
                packed=self.rhs_panels if packs else None,
            )

        def column_panel(panel: Expr, width: int) -> list[Statement]:
            def row_panel(row: Expr, height: int, packs: bool = False) -> list[Statement]:
                first = tile(row, height, panel, width, False, packs)
                if self.depth_blocks == 1:
                    return [first]
                following = tile(row, height, panel, width, True, packs)
                return [If(scalar.equal(t, scalar.index(0)), (first,), (following,))]

            if not self.packs_while_multiplying:
                return for_each_panel(self.ctx, "row_panel", rows, row_panel)
            one = scalar.index(1)
            rest = replace(rows, full=scalar.sub(rows.full, one))
            others = for_each_panel(
                self.ctx, "row_panel", rest, lambda row, height: row_panel(scalar.add(row, one), height)
            )
            return [*row_panel(_ZERO, rows.width, packs=True), *others]

        private = [self.rhs_panels] if self.packs_while_multiplying else []
        return for_each_panel(self.ctx, "column_panel", columns, column_panel, private)

    def _epilogue(self, b: Expr, t: Expr, rows: Span, columns: Span, accumulator: _Accumulator) -> Sequence[Statement]:
        """Hand the sums of a block to the consumers once they are complete."""
        if self.scratch is None:
            return []
        i, j = self.ctx.axis("i"), self.ctx.axis("j")
        value = Load(self.scratch, (scalar.add(accumulator.row, i), scalar.add(accumulator.column, j)))
        stored = self.product.write(b, scalar.add(rows.first, i), scalar.add(columns.first, j), value)
        loop = turns(i, rows.lines, (For(j, columns.lines, tuple(stored), mode=Mode.VECTOR),))
        last = scalar.index(self.depth_blocks - 1)
        return [loop] if self.depth_blocks == 1 else [If(scalar.equal(t, last), (loop,))]

    def _loop(
        self, name: str, count: int, body: Callable[[Expr], list[Statement]], private: Sequence[Buffer] | None = None
    ) -> list[Statement]:
        """`body(number)` for `count` blocks, which are independent but for `private` memory where that is given."""
        if count == 1:
            return body(scalar.index(0))
        axis = self.ctx.axis(name)
        return [turns(axis, scalar.index(count), body(axis), private)]

    def _pack(self, operand: Operand, b: Expr, lines: Span, depth: DepthSpan, panels: Buffer) -> list[Statement]:
        return pack(self.ctx, operand, b, lines, depth, self.product.channels, panels)

    def _accumulator(self, b: Expr, rows: Span, columns: Span) -> _Accumulator:
        place = self.product.place
        if self.scratch is None and place is not None:
            row, column = scalar.add(place.row(b), rows.first), scalar.add(place.column(b), columns.first)
            return _Accumulator(place.matrix, row, column)
        assert self.scratch is not None
        row = rows.first if self.depth_blocks > 1 else scalar.index(0)
        return _Accumulator(self.scratch, row, scalar.index(0))

    def _scratch(self) -> Buffer | None:
        """Memory for sums that still go through consumers: one block, or where depth is cut all rows."""
        if self.product.place is not None:
            return None
        height = self.product.rows if self.depth_blocks > 1 else min(self.blocks.mc, self.product.rows)
        width = min(self.blocks.nc, self.product.columns)
        return self.ctx.scratch("sums", self.product.dtype, (height, width))

    def _cut_depth(self) -> tuple[int, int]:
        """Depth of a block, and how many there are.  A block never holds parts of two positions."""
        positions, channels, kc = self.product.positions, self.product.channels, self.blocks.kc
        if positions == 1 or channels >= kc:
            chunks = -(-channels // kc)
            chunk = min(channels, -(-channels // (4 * chunks)) * 4)
            return chunk, positions * -(-channels // chunk)
        together = kc // channels
        together = -(-positions // -(-positions // together))
        return together * channels, -(-positions // together)

    def _depth_span(self, t: Expr) -> DepthSpan:
        positions, channels, zero = self.product.positions, self.product.channels, scalar.index(0)
        if self.kc > channels or self.depth_blocks == 1:
            together = self.kc // channels
            count = block_size(positions, together, t)
            depth = scalar.mul(count, scalar.index(channels))
            return DepthSpan(scalar.mul(t, scalar.index(together)), count, zero, scalar.index(channels), depth)
        chunks = -(-channels // self.kc)
        position = scalar.div(t, scalar.index(chunks)) if positions > 1 else zero
        chunk = scalar.rem(t, scalar.index(chunks)) if positions > 1 else t
        count = block_size(channels, self.kc, chunk)
        return DepthSpan(position, scalar.index(1), scalar.mul(chunk, scalar.index(self.kc)), count, count)

    def _reads_rhs_in_place(self, target: Target) -> bool:
        """Whether packing the rhs would cost more than it gains: it is read a few times only, or is tiny."""
        product = self.product
        if not self._can_read_rhs_in_place(target):
            return False
        is_read_rarely = product.rows <= _PACK_RHS_PANELS * self.blocks.mr
        return is_read_rarely or product.depth * product.columns * product.dtype.itemsize <= _SMALL_RHS_BYTES

    def _can_read_rhs_in_place(self, target: Target) -> bool:
        """Whether what lies beyond the last column can be left out by a mask, where it must be."""
        lanes = target.vector_bytes // self.product.dtype.itemsize
        return self.product.columns % lanes == 0 or "avx" in target.features

    def _lhs_buffer(self) -> Buffer:
        if self.lhs_in_place is not None:
            return self.lhs_in_place
        panels = min(self.blocks.mc, -(-self.product.rows // self.blocks.mr) * self.blocks.mr) // self.blocks.mr
        return self.ctx.scratch("lhs_panels", self.product.dtype, (panels, self.kc, self.blocks.mr))

    def _rhs_buffer(self) -> Buffer:
        if self.rhs_in_place is not None:
            return self.rhs_in_place
        panels = min(self.blocks.nc // self.blocks.nr, -(-self.product.columns // self.blocks.nr))
        if self.packs_while_multiplying:
            panels = 1
        return self.ctx.scratch("rhs_panels", self.product.dtype, (panels, self.kc, self.blocks.nr))
