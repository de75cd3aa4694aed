"""A product of matrices as five loops around the inner kernel, over blocks that fit the caches, packed in panels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from tenfold_rt.frozen import frozen
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Buffer, Expr, For, If, Load, Mode, MultiplyPanels, Prefetch, Statement
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.loop_nest import turns
from tenfoldc.lower.products.blocking import Blocking, balanced
from tenfoldc.lower.products.packing import DepthSpan, Span, block_size, for_each_panel, pack, span
from tenfoldc.lower.products.product import Operand, Product
from tenfoldc.target import Target
from tenfoldc.tuning import Decisions

_PACK_LHS_COLUMNS = 256
"""An lhs row is read once per panel of the rhs: from so many columns on, packing it pays."""
_PACK_RHS_PANELS = 2
"""A panel of the rhs is read once per panel of the lhs: from so many on, packing it pays."""
_SMALL_RHS_BYTES = 16 * 1024
_NEAR_BYTES = 1024 * 1024
"""All of an rhs up to which it is likely to lie in a cache from which no more need be asked for ahead."""
_FAR_BYTES = 2048
_WAYS = 8
"""Rows of an rhs that are streamed side by side: so many lines of the nearest cache may lie a power of two apart, and
the processor foresees the way of about as many rows through memory.  More come at a quarter of the speed, or less."""
_RUN_BYTES = 8192
"""Of each such row, before the next rows: the longer, the faster, but threads share what is beside each other."""
_ZERO = scalar.index(0)


def lower_blocked(
    ctx: LoweringContext, product: Product, blocks: Blocking, target: Target, decisions: Decisions
) -> list[Statement]:
    """The statements of `product`, whose sizes are all at least 1 and whose dtype is a float."""
    return BlockedProduct(ctx, product, blocks, operands_in_place(product, blocks, target, decisions)).statements()


@frozen
class InPlace:
    """The operands that are read in place, as matrices; `packable` is the rhs where its rows can be read at all."""

    lhs: Buffer | None
    rhs: Buffer | None
    packable: Buffer | None


def operands_in_place(product: Product, blocks: Blocking, target: Target, decisions: Decisions) -> InPlace:
    """Which operands not to pack: those of which little is read again, unless measurement says otherwise."""
    lanes = target.vector_bytes // product.dtype.itemsize
    can_mask = product.columns % lanes == 0 or "avx" in target.features
    lhs = None if product.lhs.packs_ahead else product.lhs.matrix
    rhs = product.rhs.matrix if can_mask and not product.rhs.packs_ahead else None
    is_read_rarely = product.rows <= _PACK_RHS_PANELS * blocks.mr
    is_small = product.depth * product.columns * product.dtype.itemsize <= _SMALL_RHS_BYTES
    default = int(product.columns > _PACK_LHS_COLUMNS or lhs is None), int(not (is_read_rarely or is_small) or not rhs)
    others = [(x, y) for x in (0, 1) for y in (0, 1) if (x or lhs is not None) and (y or rhs is not None)]
    question = f"packing of {product.kind}, {product.dtype} {product.rows}x{product.columns} over {product.depth}"
    packs_lhs, packs_rhs = decisions.choose(question, default, others)
    return InPlace(None if packs_lhs else lhs, None if packs_rhs else rhs, rhs)


@frozen
class _Accumulator:
    """Where sums are held: a row-major matrix, and the place in it of a block's first row and column."""

    matrix: Buffer
    row: Expr
    column: Expr


@frozen
class _Side:
    """One operand in blocks of `block` of its `lines`, each in panels of `width`.

    `memory` holds the panels of one block, or of all blocks where these are packed ahead of all products; where there
    is a `matrix`, the operand is read in place instead.
    """

    operand: Operand
    lines: int
    block: int
    width: int
    matrix: Buffer | None
    memory: Buffer

    @property
    def packed_ahead(self) -> bool:
        return self.matrix is None and self.operand.packs_ahead

    @property
    def blocks(self) -> int:
        return -(-self.lines // self.block)

    @property
    def panels(self) -> int:
        """The panels of a block."""
        return min(self.block, -(-self.lines // self.width) * self.width) // self.width

    @property
    def private(self) -> list[Buffer]:
        """What blocks overwrite."""
        return [] if self.matrix is not None or self.packed_ahead else [self.memory]

    def span(self, number: Expr) -> Span:
        """The lines of a block."""
        return span(self.lines, self.block, self.width, number)


class BlockedProduct:
    """The loops over one product.  Names of axes: b batch, u block of columns, t of depth, v of rows."""

    def __init__(self, ctx: LoweringContext, product: Product, blocks: Blocking, in_place: InPlace) -> None:
        self.ctx = ctx
        self.product = product
        self.blocks = blocks
        is_streamed = self._is_streamed(in_place.rhs)
        self.deepest = min(blocks.kc, _WAYS) if is_streamed else blocks.kc
        self.kc, self.depth_blocks = self._cut_depth()
        row_blocks = -(-product.rows // blocks.mc)
        self.packs_while_multiplying = in_place.packable is not None and in_place.rhs is None and row_blocks == 1
        self.lhs = self._side("lhs_panels", product.lhs, product.rows, blocks.mc, blocks.mr, in_place.lhs)
        run = balanced(product.columns, _RUN_BYTES // product.dtype.itemsize, blocks.nr)
        nc = run if is_streamed else blocks.nc
        self.rhs = self._side("rhs_panels", product.rhs, product.columns, nc, blocks.nr, in_place.rhs)
        self.scratch = self._scratch()

    @property
    def private(self) -> list[Buffer]:
        """Memory that holds nothing from one block of columns to the next."""
        return [*self.lhs.private, *self.rhs.private, *([self.scratch] if self.scratch else [])]

    def statements(self) -> list[Statement]:
        def batch(b: Expr) -> list[Statement]:
            return self._loop("u", self.rhs.blocks, lambda u: self.column_block(b, u), self.private)

        ahead = [statement for side in (self.lhs, self.rhs) if side.packed_ahead for statement in self._pack_all(side)]
        return [*ahead, *self._loop("b", self.product.batch, batch, self.private)]

    def _pack_all(self, side: _Side) -> list[Statement]:
        """All blocks of an operand, packed."""

        def blocks(b: Expr, number: Expr) -> list[Statement]:
            return self._loop("t", self.depth_blocks, lambda t: self._pack(side, b, number, t), [])

        def batch(b: Expr) -> list[Statement]:
            return self._loop("block", side.blocks, lambda number: blocks(b, number), [])

        return self._loop("b", self.product.batch, batch, [])

    def column_block(self, b: Expr, u: Expr) -> list[Statement]:
        """Block `u` of the columns of product `b`, its consumers included."""

        def depth_block(t: Expr) -> list[Statement]:
            packs_first = self.rhs.private and not self.packs_while_multiplying
            packed = self._pack(self.rhs, b, u, t) if packs_first else []
            private = self.lhs.private
            if self.scratch and self.depth_blocks == 1:
                private.append(self.scratch)
            rows = self._loop("v", self.lhs.blocks, lambda v: self._row_block(b, u, v, t), private)
            return [*packed, *rows]

        return self._loop("t", self.depth_blocks, depth_block)

    def _row_block(self, b: Expr, u: Expr, v: Expr, t: Expr) -> list[Statement]:
        rows, columns = self.lhs.span(v), self.rhs.span(u)
        packed = self._pack(self.lhs, b, v, t) if self.lhs.private else []
        accumulator = self._accumulator(b, rows, columns)
        tiles = self._tiles(b, u, v, t, accumulator)
        return [*packed, *tiles, *self._epilogue(b, t, rows, columns, accumulator)]

    def _tiles(self, b: Expr, u: Expr, v: Expr, t: Expr, accumulator: _Accumulator) -> list[Statement]:
        """Every tile of a block: rows run inside, so that a panel of the rhs stays in the nearest cache."""
        mr, nr = scalar.index(self.blocks.mr), scalar.index(self.blocks.nr)
        rows, columns, depth = self.lhs.span(v), self.rhs.span(u), self._depth_span(t)
        lhs_matrix, rhs_matrix = self.lhs.matrix, self.rhs.matrix

        def tile(panel: Expr, height: int, column_panel: Expr, width: int, accumulate: bool, packs: bool) -> Statement:
            row, column = scalar.mul(panel, mr), scalar.mul(column_panel, nr)
            lhs_panel = scalar.add(self._first_panel(self.lhs, b, v, t), panel)
            if lhs_matrix:
                first_row = scalar.mul(b, scalar.index(self.product.rows))
                lhs_panel = scalar.add(first_row, scalar.add(rows.first, row))
            rhs, rhs_first = rhs_matrix or self.rhs.memory, _ZERO
            rhs_panel = _ZERO
            if not self.packs_while_multiplying:
                rhs_panel = scalar.add(self._first_panel(self.rhs, b, u, t), column_panel)
            if rhs_matrix or packs:
                rhs = self.product.rhs.matrix or rhs
                rhs_first = scalar.add(scalar.mul(b, scalar.index(self.product.depth)), depth.first_channel)
                rhs_panel = scalar.add(columns.first, column)
            return MultiplyPanels(
                target=accumulator.matrix,
                row=scalar.add(accumulator.row, row),
                column=scalar.add(accumulator.column, column),
                lhs=lhs_matrix or self.lhs.memory,
                lhs_panel=lhs_panel,
                rhs=rhs,
                rhs_panel=rhs_panel,
                depth=depth.depth,
                rows=height,
                columns=width,
                accumulate=accumulate,
                lhs_first=depth.first_channel if lhs_matrix else _ZERO,
                rhs_first=rhs_first,
                packed=self.rhs.memory if packs else None,
            )

        def column_panel(panel: Expr, width: int) -> list[Statement]:
            def row_panel(row: Expr, height: int, packs: bool = False) -> list[Statement]:
                asked = [] if packs else self._ask(b, columns, depth, panel, scalar.sub(row, scalar.index(1)))
                first = tile(row, height, panel, width, False, packs)
                if self.depth_blocks == 1:
                    return [*asked, first]
                following = tile(row, height, panel, width, True, packs)
                return [*asked, If(scalar.equal(t, scalar.index(0)), (first,), (following,))]

            if not self.packs_while_multiplying:
                return for_each_panel(self.ctx, "row_panel", rows, row_panel)
            one = scalar.index(1)
            rest = replace(rows, full=scalar.sub(rows.full, one))
            others = for_each_panel(
                self.ctx, "row_panel", rest, lambda row, height: row_panel(scalar.add(row, one), height)
            )
            return [*row_panel(_ZERO, rows.width, packs=True), *others]

        private = self.rhs.private if self.packs_while_multiplying else []
        return for_each_panel(self.ctx, "column_panel", columns, column_panel, private)

    def _ask(self, b: Expr, columns: Span, depth: DepthSpan, panel: Expr, row: Expr) -> list[Statement]:
        """Ask for a part of the panel of the rhs after `panel`, of as many as there are panels of rows but the first.

        The first tile reads it from rows far apart, which no processor foresees, while the others leave memory idle.
        """
        matrix, others = self.product.rhs.matrix, self.lhs.panels - 1
        size = self.product.batch * self.product.depth * self.product.columns * self.product.dtype.itemsize
        if matrix is None or not self.packs_while_multiplying or others == 0 or size <= _NEAR_BYTES:
            return []
        part = -(-self.kc // others)
        turn = self.ctx.axis("ahead", part)
        first = scalar.add(scalar.mul(b, scalar.index(self.product.depth)), depth.first_channel)
        k = scalar.add(first, scalar.add(scalar.mul(row, scalar.index(part)), turn))
        asked = Prefetch(matrix, (k, columns.end_of_next(panel)))
        return [For(turn, scalar.index(part), (asked,))]

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

    def _pack(self, side: _Side, b: Expr, number: Expr, t: Expr) -> list[Statement]:
        """Copy a block of an operand into panels."""
        lines, depth, first = side.span(number), self._depth_span(t), self._first_panel(side, b, number, t)
        return pack(self.ctx, side.operand, b, lines, depth, self.product.channels, side.memory, first)

    def _first_panel(self, side: _Side, b: Expr, number: Expr, t: Expr) -> Expr:
        """The place of a block's first panel among those in memory."""
        if not side.packed_ahead:
            return _ZERO
        block = scalar.add(scalar.mul(b, scalar.index(side.blocks)), number)
        block = scalar.add(scalar.mul(block, scalar.index(self.depth_blocks)), t)
        return scalar.mul(block, scalar.index(side.panels))

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
        width = min(self.rhs.block, self.product.columns)
        return self.ctx.scratch("sums", self.product.dtype, (height, width))

    def _is_streamed(self, rhs: Buffer | None) -> bool:
        """Whether an rhs in place is read once, from rows that lie far apart: then a few of them side by side."""
        if rhs is None or self.product.rows > self.blocks.mr:
            return False
        return rhs.shape[-1] * rhs.dtype.itemsize >= _FAR_BYTES

    def _cut_depth(self) -> tuple[int, int]:
        """Depth of a block, and how many there are.  A block never holds parts of two positions."""
        positions, channels, kc = self.product.positions, self.product.channels, self.deepest
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

    def _side(self, name: str, operand: Operand, lines: int, block: int, width: int, matrix: Buffer | None) -> _Side:
        """An operand and memory for its panels."""
        if matrix is not None:
            return _Side(operand, lines, block, width, matrix, matrix)
        panels = min(block, -(-lines // width) * width) // width
        if operand.packs_ahead:
            panels *= self.product.batch * -(-lines // block) * self.depth_blocks
        elif self.packs_while_multiplying and operand is self.product.rhs:
            panels = 1
        memory = self.ctx.scratch(name, self.product.dtype, (panels, self.kc, width))
        return _Side(operand, lines, block, width, None, memory)
