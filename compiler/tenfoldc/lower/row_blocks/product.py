"""A contraction as a stage: the rows of one block of it, tile by tile.

The operand without rows is packed once for all blocks; what has rows is packed, or read where a stage has left it,
block by block.  A contraction along the rows adds each block's part to sums that are handed on after the last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tenfold_rt.frozen import frozen
from tenfoldc.ir.groups import AxisMap, Role, Stage
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Buffer, Constant, Expr, For, If, Load, Mode, MultiplyPanels, Statement, Store
from tenfoldc.lower.loop_nest import turns
from tenfoldc.lower.products.blocking import blocking
from tenfoldc.lower.products.contraction import dot_product
from tenfoldc.lower.products.packing import DepthSpan, Span, for_each_panel, pack
from tenfoldc.lower.products.product import Operand, transposed
from tenfoldc.lower.row_blocks.block import Block, StageContext, padded
from tenfoldc.ops.contraction import DotGeneralAttributes
from tenfoldc.target import Target

_ZERO = scalar.index(0)

_LINE = 16
"""Columns whose totals are written together: where features adjoin in memory, they fill cache lines of their own."""


@frozen
class _Factor:
    """One operand: its axes in three groups, with the axes of the space that they are."""

    operand: Operand
    sizes: tuple[int, ...]
    axes: AxisMap
    batching: tuple[int, ...]
    free: tuple[int, ...]

    def position(self, axes: Sequence[int], at: Mapping[int, Expr]) -> Expr:
        """The number, row-major, of the place `at` along `axes`, at 0 along those that are no axes of the space."""
        total: Expr = _ZERO
        for axis in axes:
            own = self.axes[axis]
            total = scalar.mul(total, scalar.index(self.sizes[axis]))
            total = total if own is None else scalar.add(total, at[own])
        return total


@frozen
class _Panels:
    """A factor as the inner kernel reads it: packed in panels, or in place in a matrix."""

    buffer: Buffer

    @property
    def is_packed(self) -> bool:
        return len(self.buffer.shape) == 3


class BlockProduct:
    """The statements of one contraction.

    The factors are ordered so that the lhs has the rows, or, summing along rows, the rhs has the columns.
    """

    def __init__(self, block: Block, stage: Stage, target: Target) -> None:
        anchor = stage.group.anchor
        assert anchor is not None
        attributes = anchor.attributes
        assert isinstance(attributes, DotGeneralAttributes)
        numbers = attributes.dot_dimension_numbers
        self.block = block
        self.role = stage.role
        self.context = StageContext(block, stage.group, anchor)
        self.product = dot_product(anchor, self.context)
        sizes = [operand.type.sizes for operand in anchor.operands]
        lhs_free, rhs_free = numbers.lhs_free(len(sizes[0])), numbers.rhs_free(len(sizes[1]))
        batching = numbers.lhs_batching_dimensions, numbers.rhs_batching_dimensions
        self.lhs = _Factor(self.product.lhs, sizes[0], stage.axes[0], batching[0], lhs_free)
        self.rhs = _Factor(self.product.rhs, sizes[1], stage.axes[1], batching[1], rhs_free)
        if not self._is_ordered():
            self.lhs, self.rhs, self.product = self.rhs, self.lhs, transposed(self.product)
        self.batch = self.lhs.position(self.lhs.batching, block.at)
        product = self.product
        tile = blocking(target, max(1, min(block.size, product.rows)), product.columns, product.depth, product.dtype)
        self.mr, self.nr, self.kc = self._tile_rows(tile.mr), tile.nr, max(4, tile.kc)
        self.results = stage.group.results
        self.sums = self._sums()
        self.fixed = self._fixed_panels()
        self.moving = self._moving_panels()

    def _tile_rows(self, most: int) -> int:
        """The rows of a tile: as many as the registers hold, but tiles must fill all blocks save the last."""
        size = self.block.size
        if self.role is Role.ACCUMULATE or self.block.count == 1:
            return most
        return max(rows for rows in range(1, most + 1) if size % rows == 0)

    def _is_ordered(self) -> bool:
        blocks = self.block.blocks
        if self.role is Role.ACCUMULATE:
            return blocks.column in (self.rhs.axes[axis] for axis in self.rhs.free)
        return blocks.row in (self.lhs.axes[axis] for axis in self.lhs.free)

    # Memory

    def _sums(self) -> Buffer:
        """Where the products of a block are added up: in its window, where nothing else is to be done with them."""
        product, block = self.product, self.block
        if self.role is Role.ACCUMULATE:
            return self.context.scratch("totals", product.dtype, (product.rows, padded(product.columns, product.dtype)))
        if self.role is Role.SPREAD and self.results[0] in block.windows and not self.context.has_epilogue:
            return block.windows[self.results[0]][0]
        columns = padded(product.columns, product.dtype)
        return self.context.scratch("sums", product.dtype, (block.size, columns))

    def _is_in_place(self) -> bool:
        return self.role is Role.SPREAD and any(self.sums is window for window, _ in self.block.windows.values())

    def _fixed_panels(self) -> _Panels | None:
        """The rhs, which is the same for all blocks."""
        if self.role is Role.ACCUMULATE:
            return None
        shape = (-(-self.product.columns // self.nr), self.product.depth, self.nr)
        return _Panels(self.context.scratch("rhs_panels", self.product.dtype, shape))

    def _moving_panels(self) -> _Panels:
        """The lhs of one block."""
        if self.role is Role.GATHER:
            matrix = self._matrix(self.lhs)
            if matrix is not None:
                return _Panels(matrix)
        lines, depth = (self.product.rows, self.block.size)
        if self.role is not Role.ACCUMULATE:
            lines, depth = self.block.size, self.product.depth
        shape = (-(-lines // self.mr), depth, self.mr)
        return _Panels(self.context.scratch("lhs_panels", self.product.dtype, shape))

    def _matrix(self, factor: _Factor) -> Buffer | None:
        """The window that holds `factor`, a row of the block to each row; None where it is computed."""
        block = self.block
        row, column = block.axis("row", block.size), block.axis("column", block.columns)
        at = {**block.at, block.blocks.row: scalar.add(block.first, row), block.blocks.column: column}
        contracting = [a for a in range(len(factor.sizes)) if a not in {*factor.batching, *factor.free}]
        line, channel = factor.position(factor.free, at), factor.position(contracting, at)
        element = factor.operand.read(self.batch, line, _ZERO, channel)
        if not isinstance(element, Load) or element.buffer not in block.storage.windows:
            return None
        return element.buffer if element.index == (row, column) else None

    # Statements

    def prepare(self) -> list[Statement]:
        """What comes before the first block."""
        product = self.product
        if self.fixed is not None:
            lines = _lines(_ZERO, product.columns, self.nr)
            return self._pack(self.rhs.operand, lines, self._depth(_ZERO, product.depth), self.fixed)
        i, j = self.context.axis("i"), self.context.axis("j")
        zero = Store(self.sums, (i, j), scalar.constant(0, product.dtype))
        columns = For(j, scalar.index(self.sums.shape[1]), (zero,), mode=Mode.VECTOR)
        return [turns(i, scalar.index(self.sums.shape[0]), (columns,))]

    def run(self) -> list[Statement]:
        """One block."""
        if self.role is Role.ACCUMULATE:
            return self._accumulate()
        rows = self.block.rows(self.mr)
        packed: list[Statement] = []
        first = self.lhs.position(self.lhs.free, self.block.at)
        if self.moving.is_packed:
            depth = self._depth(_ZERO, self._live_depth())
            packed = self._pack(self.lhs.operand, replace(rows, first=first), depth, self.moving)
        columns = _lines(_ZERO, self.product.columns, self.nr)
        if self.role is Role.SPREAD:
            columns = _live_lines(self.block.live, self.product.columns, self.nr)
        assert self.fixed is not None
        tiles = self._in_chunks(rows, columns, self.moving, self.fixed)
        if self._is_in_place():
            return [*packed, *tiles]
        r, j = self.context.axis("r", self.block.size), self.context.axis("j", self.product.columns)
        written = self.product.write(self.batch, scalar.add(first, r), j, Load(self.sums, (r, j)))
        written_row = For(j, columns.lines, tuple(written), mode=Mode.VECTOR)
        return [*packed, *tiles, turns(r, rows.lines, (written_row,))]

    def finish(self) -> list[Statement]:
        """What comes after the last block."""
        if self.role is not Role.ACCUMULATE:
            return []
        columns, features = self.product.columns, self.product.rows
        count = -(-columns // _LINE)
        line, i = self.context.axis("line", count), self.context.axis("i", features)
        within = self.context.axis("j", min(_LINE, columns))
        first = scalar.mul(line, scalar.index(_LINE))
        j = scalar.add(first, within)
        length: Expr = scalar.index(_LINE)
        if columns % _LINE:
            length = scalar.minimum(length, scalar.sub(scalar.index(columns), first))
        written = self.product.write(self.batch, i, j, Load(self.sums, (i, j)))
        row = For(i, scalar.index(features), tuple(written), mode=Mode.VECTOR)
        return [turns(line, scalar.index(count), (For(within, length, (row,)),))]

    def _live_depth(self) -> Expr:
        return self.block.live if self.role is Role.GATHER else scalar.index(self.product.depth)

    def _accumulate(self) -> list[Statement]:
        block = self.block
        rows = _lines(_ZERO, self.product.rows, self.mr)
        columns = _live_lines(block.live, self.product.columns, self.nr)
        depth = block.rows(1).lines
        packed = self._pack(self.lhs.operand, rows, self._depth(block.first, depth), self.moving)
        matrix = self._matrix(self.rhs)
        if matrix is not None:
            return [*packed, *self._tiles(rows, columns, self.moving, _Panels(matrix), _ZERO, depth, True)]
        shape = (-(-self.product.columns // self.nr), block.size, self.nr)
        panels = _Panels(self.context.scratch("rhs_panels", self.product.dtype, shape))
        packed += self._pack(self.rhs.operand, columns, self._depth(block.first, depth), panels)
        return [*packed, *self._tiles(rows, columns, self.moving, panels, _ZERO, depth, True)]

    def _in_chunks(self, rows: Span, columns: Span, lhs: _Panels, rhs: _Panels) -> list[Statement]:
        """All tiles of a block, the depth cut so that a panel of the rhs stays in the nearest cache."""
        depth, total = self._live_depth(), self.product.depth
        if total <= self.kc:
            return self._tiles(rows, columns, lhs, rhs, _ZERO, depth, False)
        chunk, kc = self.context.axis("chunk", -(-total // self.kc)), scalar.index(self.kc)
        count: Expr = scalar.index(-(-total // self.kc))
        if not isinstance(depth, Constant):
            count = scalar.div(scalar.add(depth, scalar.index(self.kc - 1)), kc)
        first = scalar.mul(chunk, kc)
        length: Expr = scalar.minimum(kc, scalar.sub(depth, first))
        new = self._tiles(rows, columns, lhs, rhs, first, length, False)
        more = self._tiles(rows, columns, lhs, rhs, first, length, True)
        is_first = scalar.equal(chunk, _ZERO)
        return [For(chunk, count, (If(is_first, tuple(new), tuple(more)),))]

    def _tiles(
        self, rows: Span, columns: Span, lhs: _Panels, rhs: _Panels, first: Expr, depth: Expr, accumulate: bool
    ) -> list[Statement]:
        """Tiles of the sums, rows running inside, so that a panel of the rhs stays in the nearest cache."""

        def column_panel(panel: Expr, width: int) -> list[Statement]:
            column = scalar.mul(panel, scalar.index(self.nr))

            def row_panel(number: Expr, height: int) -> list[Statement]:
                row = scalar.mul(number, scalar.index(self.mr))
                return [
                    MultiplyPanels(
                        target=self.sums,
                        row=row,
                        column=column,
                        lhs=lhs.buffer,
                        lhs_panel=number if lhs.is_packed else row,
                        rhs=rhs.buffer,
                        rhs_panel=panel if rhs.is_packed else column,
                        depth=depth,
                        rows=height,
                        columns=width,
                        accumulate=accumulate,
                        lhs_first=first,
                        rhs_first=first,
                    )
                ]

            return for_each_panel(self.context, "row_panel", rows, row_panel)

        return for_each_panel(self.context, "column_panel", columns, column_panel)

    def _depth(self, first: Expr, count: Expr | int) -> DepthSpan:
        extent = scalar.index(count) if isinstance(count, int) else count
        return DepthSpan(_ZERO, scalar.index(1), first, extent, extent)

    def _pack(self, operand: Operand, lines: Span, depth: DepthSpan, panels: _Panels) -> list[Statement]:
        return pack(self.context, operand, self.batch, lines, depth, self.product.channels, panels.buffer, _ZERO)


def _lines(first: Expr, count: int, width: int) -> Span:
    return Span(first, scalar.index(count), scalar.index(count // width), width, count % width, None)


def _live_lines(live: Expr, total: int, width: int) -> Span:
    """Columns up to `live`, a multiple of `width` unless it is `total`."""
    if isinstance(live, Constant):
        return _lines(_ZERO, total, width)
    has_tail = scalar.equal(live, scalar.index(total))
    return Span(_ZERO, live, scalar.div(live, scalar.index(width)), width, total % width, has_tail)
