"""A product of matrices as a launch whose blocks multiply tiles, and one that adds up what several blocks share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from tenfold_rt import dtypes
from tenfold_rt.frozen import frozen
from tenfoldc.gpu.lower.products.factors import Lines, half_behind, tile_factor, written_together
from tenfoldc.gpu.lower.products.shared_sums import SharedSums
from tenfoldc.gpu.lower.products.tilings import Cut, cut, multiprocessors
from tenfoldc.gpu.tensor_maps import factor_map
from tenfoldc.gpu.tile_memory import memory_bytes
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import (
    Buffer,
    Expr,
    Launch,
    Local,
    MultiplyTiles,
    Statement,
    TileFactor,
)
from tenfoldc.loops.tiles import Multiplier
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.products.product import Operand, Product
from tenfoldc.target import Target

_ROWS_TOGETHER = 8
"""Rows of tiles that blocks which run at one time walk along together, so that they find each other's factors in L2."""


def lower_tiled(ctx: LoweringContext, product: Product, target: Target, multiplier: Multiplier) -> list[Statement]:
    """The launches of a product of floats, no size of which is 0."""
    sizes = (product.batch, product.rows, product.columns, product.depth)
    processors = multiprocessors(target)
    if target.cpu == "sm_90a" and product.positions == 1:
        plan = _Tiled(ctx, product, cut(target, multiplier, *sizes, bulk=True), processors)
        if plan.tiling.bulk and plan.has_maps():
            return plan.statements()
    return _Tiled(ctx, product, cut(target, multiplier, *sizes, bulk=False), processors).statements()


def multiplier_of(ctx: LoweringContext, product: Product, single: Multiplier) -> Multiplier:
    """What multiplies: products of f32 are `single`, unless both factors are widened from the same 16 bits."""
    if product.dtype == dtypes.f64:
        return Multiplier.F64
    halves = {half_behind(_element(ctx, operand)) for operand in (product.lhs, product.rhs)}
    for multiplier in (Multiplier.BF16, Multiplier.F16):
        if halves == {multiplier.factor(product.dtype)}:
            return multiplier
    return single


def _element(ctx: LoweringContext, operand: Operand) -> Expr:
    """An element of a factor, somewhere."""
    axes = [ctx.axis(name) for name in ("batch", "line", "position", "channel")]
    return operand.read(axes[0], axes[1], axes[2], axes[3])


@frozen
class _Place:
    """Where a block's tile is: its part of the depth, its product, and its numbers in rows and columns of tiles."""

    part: Expr
    batch: Expr
    row: Expr
    column: Expr


_Write: TypeAlias = Callable[[_Place, Expr, Expr, Expr], Sequence[Statement]]
"""What is done with the value at a row and a column of a product."""


class _Tiled:
    """The launches of one product."""

    def __init__(self, ctx: LoweringContext, product: Product, plan: Cut, processors: int) -> None:
        self.ctx, self.product, self.parts, self.processors = ctx, product, plan.parts, processors
        self.tiling = tiling = plan.tiling
        self.tile_rows = -(-product.rows // tiling.rows)
        self.tile_columns = -(-product.columns // tiling.columns)
        self.tiles = self.tile_rows * self.tile_columns * product.batch * self.parts
        slices = -(-product.depth // tiling.depth)
        self.slices = -(-slices // self.parts)

    def statements(self) -> list[Statement]:
        """The launch of the tiles, and that which adds up their parts."""
        if self.parts == 1:
            return [self._launch(lambda place, i, j, value: self.product.write(place.batch, i, j, value))]
        sums = SharedSums(self.ctx, self.product, self.parts)
        launch = self._launch(lambda place, i, j, value: sums.keep(place.part, place.batch, i, j, value))
        return [launch, *sums.add_up()]

    def has_maps(self) -> bool:
        """Whether the copy engine can bring both factors."""
        product, tiling = self.product, self.tiling
        tile = self.ctx.axis("tile", self.tiles)
        batch = self._place(tile).batch
        for operand, lines, size in (
            (product.lhs, product.rows, tiling.rows),
            (product.rhs, product.columns, tiling.columns),
        ):
            factor = self._factor(operand, batch, lines)
            if not factor.along_depth and tiling.multiplier is Multiplier.TF32:
                return False  # warp groups multiply factors of f32 only where their depths adjoin
            if factor_map(factor, lines, product.channels, size, tile, self.tiles) is None:
                return False
        return True

    def _place(self, number: Expr) -> _Place:
        """Tile `number`: the parts of one tile adjoin, and tiles go down some rows before the next column."""
        rows, columns = self.tile_rows, self.tile_columns
        part, tile = _divided(number, self.parts)
        inside, batch = _divided(tile, rows * columns)
        together = min(_ROWS_TOGETHER, rows)
        inside, group = _divided(inside, together * columns)
        first = scalar.mul(group, scalar.index(together))
        height: Expr = scalar.index(together)
        if rows % together:
            height = scalar.minimum(height, scalar.sub(scalar.index(rows), first))
        if columns == 1:
            return _Place(part, batch, scalar.add(first, inside), scalar.index(0))
        if together == 1:
            return _Place(part, batch, first, inside)
        return _Place(part, batch, scalar.add(first, scalar.rem(inside, height)), scalar.div(inside, height))

    def _launch(self, write: _Write) -> Launch:
        ctx, product, tiling = self.ctx, self.product, self.tiling
        blocks = min(self.tiles, self.processors) if tiling.bulk else self.tiles
        block, thread = ctx.axis("block", blocks), ctx.axis("thread", tiling.threads)
        tile = ctx.axis("tile", self.tiles) if tiling.bulk else block
        place = self._place(tile)
        lhs = self._factor(product.lhs, place.batch, product.rows)
        rhs = self._factor(product.rhs, place.batch, product.columns)
        size = memory_bytes(tiling, product.dtype, lhs_along_depth=lhs.along_depth, rhs_along_depth=rhs.along_depth)
        memory = Buffer("tiles", dtypes.u8, (size,))
        row, column = ctx.axis("row", product.rows), ctx.axis("column", product.columns)
        value = Local("value", product.dtype)
        body = tuple(write(place, row, column, value))
        statement = MultiplyTiles(
            tiling=tiling,
            block=block,
            thread=thread,
            tile=tile,
            tiles=self.tiles,
            first_row=scalar.mul(place.row, scalar.index(tiling.rows)),
            first_column=scalar.mul(place.column, scalar.index(tiling.columns)),
            first_slice=scalar.mul(place.part, scalar.index(self.slices)),
            slices=self.slices,
            rows=product.rows,
            columns=product.columns,
            positions=product.positions,
            channels=product.channels,
            lhs=lhs,
            rhs=rhs,
            memory=memory,
            row=row,
            column=column,
            value=value,
            vector=written_together(body, column, product.columns),
            body=body,
        )
        return Launch("product", block, scalar.index(blocks), thread, tiling.threads, (statement,), (memory,))

    def _factor(self, operand: Operand, batch: Expr, lines: int) -> TileFactor:
        product, ctx = self.product, self.ctx
        places = Lines(
            ctx.axis("line", lines),
            ctx.axis("position", product.positions),
            ctx.axis("channel", product.channels),
            lines,
            product.positions,
            product.channels,
        )
        element = operand.read(batch, places.line, places.position, places.channel)
        return tile_factor(element, self.tiling.multiplier.factor(product.dtype), places)


def _divided(number: Expr, size: int) -> tuple[Expr, Expr]:
    """What `number` leaves when divided by `size`, and the quotient."""
    if size == 1:
        return scalar.index(0), number
    return scalar.rem(number, scalar.index(size)), scalar.div(number, scalar.index(size))
