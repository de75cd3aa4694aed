"""The launches of a chain of products: one whose blocks take some rows, and, for what is added up along the rows, one
whose blocks take some columns.

The second computes all elements again, and reads what the first has folded for each row.  Neither adds to anything that
another block adds to, so that every sum is formed in one order.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.frozen import frozen
from tenfoldc.gpu.lower.products.factors import Lines, half_behind, tile_factor, written_together
from tenfoldc.gpu.lower.row_blocks.elements import ChainElements, NoChainError, Sum, anchor_of
from tenfoldc.gpu.lower.row_blocks.passes import Passes, PlacedSum
from tenfoldc.gpu.lower.row_blocks.tilings import chain_tiling
from tenfoldc.gpu.tile_memory import ChainMemory
from tenfoldc.ir.groups import Role, Stage
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import (
    Axis,
    Buffer,
    ChainProduct,
    ColumnPass,
    Expr,
    Launch,
    Load,
    Local,
    MultiplyChain,
    RowFold,
    RowSum,
    Statement,
    Store,
    TileFactor,
)
from tenfoldc.loops.rewriting import BufferReplacer
from tenfoldc.loops.tiles import Multiplier, Tiling
from tenfoldc.lower.anchor import AnchorContext
from tenfoldc.lower.products.product import delinearise
from tenfoldc.lower.row_blocks.block import Block
from tenfoldc.lower.row_blocks.masking import live_columns, live_rows
from tenfoldc.target import Target


def chain_launches(chain: ChainElements, target: Target) -> tuple[list[Statement], list[Buffer]]:
    """The launches, and the memory in which one leaves what the other reads."""
    along_columns = [each for each in chain.sums if each.stage.role is Role.GATHER]
    along_rows = [each for each in chain.sums if each.stage.role is Role.ACCUMULATE]
    passes = Passes(chain, along_columns)
    writer = _Launches(chain, target, {each.sum for own in passes.sums for each in own if each.factor is not None})
    statements: list[Statement] = []
    kept: Mapping[Local, Buffer] = writer.kept if along_rows else {}
    stores = [Store(buffer, (*chain.at[:-2], chain.row), fold) for fold, buffer in kept.items()]
    stores += [
        chain.elements.store(chain.storage.result(value), chain.row_index(value), element)
        for value, element in chain.row_results
    ]
    if stores or along_columns:
        statements.append(writer.rows(passes, stores))
    if along_rows:
        known: dict[Expr, Expr] = {fold: Load(buffer, (*chain.at[:-2], chain.row)) for fold, buffer in kept.items()}
        seen = BufferReplacer({}, known)
        totals = [Local("total", dtypes.f32) for _ in along_rows]
        sums = [
            PlacedSum(each, seen.expression(each.element), None, total, total)
            for each, total in zip(along_rows, totals, strict=True)
        ]
        statements.append(writer.columns(sums))
    return statements, list(kept.values())


@frozen
class _Side:
    """Which axis of the space a launch's blocks have lines of, and along which they go."""

    name: str
    line: int
    along: int


class _Launches:
    """Writes the launches of one chain; the elements of `bounded` sums are at most 1."""

    def __init__(self, chain: ChainElements, target: Target, bounded: Collection[Sum]) -> None:
        self.chain, self.target, self.bounded = chain, target, bounded
        self.extents = chain.blocks.extents
        self.row_side = _Side("rowchain", chain.blocks.row, chain.blocks.column)
        self.column_side = _Side("columnchain", chain.blocks.column, chain.blocks.row)
        self.multiplier = self._multiplier()
        outer = self.extents[: chain.blocks.row + 1]
        self.kept: Mapping[Local, Buffer] = {
            fold.result: Buffer(f"folded{number}", fold.result.dtype, outer) for number, fold in enumerate(chain.folds)
        }

    def _multiplier(self) -> Multiplier:
        """Tensor cores for 16 bits where all that is read is widened from those; else what is exact in f32."""
        chain, nowhere = self.chain, scalar.index(0)
        elements: list[Expr] = []
        for each in chain.sums:
            elements.append(chain.operand(each.stage, each.other, {}, nowhere, nowhere))
        for stage in chain.products.values():
            elements += [chain.operand(stage, number, {}, nowhere, nowhere) for number in (0, 1)]
        halves: set[DType | None] = {half_behind(element) for element in elements}
        for multiplier in (Multiplier.BF16, Multiplier.F16):
            if halves == {multiplier.factor(dtypes.f32)} and all(self._parts(each, multiplier) for each in chain.sums):
                return multiplier
        return Multiplier.FMA

    def _parts(self, each: Sum, multiplier: Multiplier) -> int:
        """Of how many parts of 16 bits an element of a sum is made up; 0 where it cannot be.

        One, where it has 16 bits, or the sum has in the end; three parts of bf16 are an f32.
        """
        half = multiplier.factor(dtypes.f32)
        if multiplier is Multiplier.FMA or half_behind(each.element) == half:
            return 1
        ends_half = all(value.type.dtype == half for value in each.stage.group.results)
        if multiplier is Multiplier.BF16:
            return 1 if ends_half else 3
        return 1 if ends_half and each in self.bounded else 0

    # Launches

    def rows(self, passes: Passes, body: Sequence[Statement]) -> Launch:
        """The launch whose blocks have rows."""
        side = self.row_side
        products = {value: self._product(value, side) for value in self.chain.products}
        own = [
            ColumnPass(
                tuple(products[value] for value in self._used(folds, sums)),
                tuple(folds),
                tuple(self._row_sum(each, side) for each in sums),
            )
            for folds, sums in zip(passes.folds, passes.sums, strict=True)
        ]
        return self._launch(side, own, body)

    def columns(self, sums: Sequence[PlacedSum]) -> Launch:
        """The launch whose blocks have columns, and go along the rows."""
        side = self.column_side
        products = tuple(self._product(value, side) for value in self._used((), sums))
        own = ColumnPass(products, (), tuple(self._row_sum(each, side) for each in sums))
        return self._launch(side, [own], ())

    def _used(self, folds: Sequence[RowFold], sums: Sequence[PlacedSum]) -> list[Local]:
        elements = [*(fold.element for fold in folds), *(each.element for each in sums)]
        return list(dict.fromkeys(value for element in elements for value in self.chain.products_in(element)))

    def _launch(self, side: _Side, passes: Sequence[ColumnPass], body: Sequence[Statement]) -> Launch:
        chain, extents = self.chain, self.extents
        lines, others = extents[side.line], extents[side.along]
        tiling = chain_tiling(self.target, self.multiplier, tuple(passes), lines)
        if tiling is None:
            raise NoChainError
        tiles, outer = -(-lines // tiling.rows), math.prod(extents[:-2])
        block, thread = chain.axis("block", tiles * outer), chain.axis("thread", tiling.threads)
        number, batch = (
            chain.algebra.simplify(each)
            for each in (scalar.rem(block, scalar.index(tiles)), scalar.div(block, scalar.index(tiles)))
        )
        first, end = self._stretches(side, tiling, number, batch)
        memory = Buffer("tiles", dtypes.u8, (ChainMemory(tiling, tuple(passes)).bytes,))
        line, along = chain.at[side.line], chain.at[side.along]
        assert isinstance(line, Axis)
        assert isinstance(along, Axis)
        statement = MultiplyChain(
            tiling=tiling,
            thread=thread,
            first_row=scalar.mul(number, scalar.index(tiling.rows)),
            first=first,
            end=end,
            rows=lines,
            columns=others,
            row=line,
            column=along,
            passes=tuple(passes),
            body=tuple(body),
            memory=memory,
        )
        places = delinearise(batch, extents[:-2])
        known: dict[Expr, Expr] = {
            axis: place for axis, place in zip(chain.at, places, strict=False) if isinstance(axis, Axis)
        }
        statements = BufferReplacer({}, known).statements((statement,))
        return Launch(side.name, block, scalar.index(tiles * outer), thread, tiling.threads, statements, (memory,))

    def _stretches(self, side: _Side, tiling: Tiling, number: Expr, batch: Expr) -> tuple[Expr, Expr]:
        """The stretches that a block goes along: those in which a mask leaves anything."""
        chain, written = self.chain, frozenset(self.chain.group.results)
        size = tiling.rows if side is self.row_side else tiling.columns
        block = Block(chain.blocks, written, chain.storage, size)
        count = -(-self.extents[side.along] // tiling.columns)
        with chain.storage.windowed(block.windows):
            if side is self.row_side:
                live = live_columns(block, written)
                known = BufferReplacer({}, {block.number: number, block.outer: batch})
                end = scalar.div(scalar.add(live, scalar.index(tiling.columns - 1)), scalar.index(tiling.columns))
                return scalar.index(0), chain.algebra.simplify(known.expression(end))
            begin = live_rows(block, written, scalar.mul(number, scalar.index(tiling.rows)))
        first = scalar.minimum(scalar.div(begin, scalar.index(tiling.columns)), scalar.index(count))
        return chain.algebra.simplify(first), scalar.index(count)

    # Factors

    def _product(self, value: Local, side: _Side) -> ChainProduct:
        """The product of a stage, the factor first that has the lines of the launch's blocks."""
        chain, stage = self.chain, self.chain.products[value]
        numbers = (0, 1) if side.line in self._free(stage, 0) else (1, 0)
        lines = [
            self._factor(stage, number, axis) for number, axis in zip(numbers, (side.line, side.along), strict=True)
        ]
        _, contracting = chain.own_axes(stage, 0)
        return ChainProduct(lines[0], lines[1], chain.size(stage, 0, contracting), value)

    def _free(self, stage: Stage, number: int) -> list[int | None]:
        return [axis for axis in stage.axes[number] if axis in (self.chain.blocks.row, self.chain.blocks.column)]

    def _factor(self, stage: Stage, number: int, line_axis: int) -> TileFactor:
        """A factor with a line for each place along an axis of the space."""
        chain = self.chain
        _, contracting = chain.own_axes(stage, number)
        places = self._lines(self.extents[line_axis], chain.size(stage, number, contracting))
        element = chain.operand(stage, number, {line_axis: places.line}, scalar.index(0), places.channel)
        return tile_factor(element, self.multiplier.factor(dtypes.f32), places)

    def _lines(self, lines: int, channels: int) -> Lines:
        chain = self.chain
        line, position, channel = chain.axis("line", lines), chain.axis("position", 1), chain.axis("channel", channels)
        return Lines(line, position, channel, lines, 1, channels)

    def _row_sum(self, placed: PlacedSum, side: _Side) -> RowSum:
        chain, stage, other = self.chain, placed.sum.stage, placed.sum.other
        free, _ = chain.own_axes(stage, other)
        features = chain.size(stage, other, free)
        places = self._lines(features, self.extents[side.along])
        element = chain.operand(stage, other, {side.along: places.channel}, places.line, scalar.index(0))
        feature, value = chain.axis("feature", features), Local("value", dtypes.f32)
        context = AnchorContext(stage.group, anchor_of(stage), chain.storage, chain.algebra)
        body = tuple(context.write(chain.result_index(stage, feature), value))
        return RowSum(
            elements=_in_parts(placed.element, self._parts(placed.sum, self.multiplier)),
            factor=placed.factor,
            rhs=tile_factor(element, self.multiplier.factor(dtypes.f32), places),
            features=features,
            total=placed.total,
            finished=chain.scaled(stage, other, placed.finished),
            feature=feature,
            value=value,
            vector=written_together(body, feature, features),
            body=body,
        )


def _in_parts(element: Expr, count: int) -> tuple[Expr, ...]:
    """`element` as a sum of so many numbers: what is left when those before are rounded to bf16."""
    found = [element]
    while len(found) < count:
        rounded = scalar.convert(scalar.convert(found[-1], dtypes.bf16), dtypes.f32)
        is_infinite = scalar.equal(scalar.abs_(found[-1]), scalar.constant(math.inf, dtypes.f32))
        rest = scalar.select(is_infinite, scalar.constant(0, dtypes.f32), scalar.sub(found[-1], rounded))
        found.append(rest)
    return tuple(found)
