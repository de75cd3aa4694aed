"""Where the slices of a product's factors, and then its sums, lie in the shared memory of a block.

A slice is some depth of a factor for a block's lines, rows of the lhs or columns of the rhs.  What varies fastest are
either its lines or its depths; after each run of these lie some bytes that hold nothing, so that threads that read
side by side across the runs, or write, meet different banks.  When all slices are multiplied, the sums take their
place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.frozen import frozen
from tenfoldc.loops.ir import ChainProduct, ColumnPass, RowSum
from tenfoldc.loops.tiles import Multiplier, Tiling

_ALIGNMENT = 128
"""What slices begin at a multiple of, in bytes."""

_WIDE = 16
"""Bytes of the widest access of a thread."""

_HALF_STEP, _FMA_STEP, _FMA_COLUMNS = 16, 8, 32
"""What depths and columns of a chain's products are rounded up to."""

_BARRIER = 8
"""Bytes of a barrier in memory."""

BULK_COLUMNS = 32
"""Columns of sums that a warp has in memory at one time beside slices that are brought."""

_GAP = 8
"""Elements between two rows of sums, so that threads that write rows side by side meet different banks."""


@frozen
class SliceLayout:
    """The layout of one factor's slices; `pitch` elements lie between the starts of two runs."""

    dtype: DType
    lines: int
    depth: int
    lines_adjoin: bool
    pitch: int

    @property
    def bytes(self) -> int:
        """What one slice takes."""
        runs = self.depth if self.lines_adjoin else self.lines
        return -(-runs * self.pitch * self.dtype.itemsize // _ALIGNMENT) * _ALIGNMENT


def slice_layout(tiling: Tiling, lines: int, dtype: DType, along_depth: bool) -> SliceLayout:
    """The layout of slices of `lines` lines; `along_depth`: the depths are what adjoins in memory."""
    lines_adjoin = tiling.multiplier is Multiplier.FMA or not along_depth
    run = lines if lines_adjoin else tiling.depth
    gap = _WIDE // dtype.itemsize
    if tiling.multiplier is Multiplier.F64:
        gap = 4
    elif tiling.multiplier is Multiplier.TF32 and lines_adjoin:
        gap = 8
    return SliceLayout(dtype, lines, tiling.depth, lines_adjoin, run + gap)


@frozen
class PartLayout:
    """The layout of the sums of a warp's part of a tile, row by row."""

    dtype: DType
    rows: int
    columns: int

    @property
    def pitch(self) -> int:
        """Elements between the starts of two rows."""
        return self.columns + _GAP

    @property
    def bytes(self) -> int:
        """What one warp's sums take."""
        return self.rows * self.pitch * self.dtype.itemsize


def part_layout(tiling: Tiling, total: DType) -> PartLayout:
    """The layout of each warp's sums of `total`, of as many as are in memory at one time."""
    columns = min(BULK_COLUMNS, tiling.part_columns) if tiling.bulk else tiling.part_columns
    return PartLayout(total, tiling.part_rows, columns)


@frozen
class BulkMemory:
    """The memory of a block whose slices the copy engine brings: a ring of stages, sums, a full and an empty barrier
    for each stage.

    The lines of slices lie without gaps: the copy engine swizzles them.
    """

    tiling: Tiling
    total: DType

    @property
    def factor_bytes(self) -> tuple[int, int]:
        """What a slice takes, of the lhs and of the rhs."""
        size = self.tiling.depth * self.tiling.multiplier.factor(self.total).itemsize
        return self.tiling.rows * size, self.tiling.columns * size

    @property
    def stage_bytes(self) -> int:
        """What both slices take."""
        return sum(self.factor_bytes)

    @property
    def sums(self) -> int:
        """Where the sums begin."""
        return self.tiling.stages * self.stage_bytes

    @property
    def barriers(self) -> int:
        """Where the barriers begin."""
        return self.sums + self.tiling.warps * part_layout(self.tiling, self.total).bytes

    @property
    def bytes(self) -> int:
        """All of it."""
        return self.barriers + 2 * _BARRIER * self.tiling.stages


def memory_bytes(tiling: Tiling, total: DType, *, lhs_along_depth: bool, rhs_along_depth: bool) -> int:
    """The shared memory that a block needs, for its slices and for its sums."""
    if tiling.bulk:
        return BulkMemory(tiling, total).bytes
    dtype = tiling.multiplier.factor(total)
    slices = slice_layout(tiling, tiling.rows, dtype, lhs_along_depth).bytes
    slices += slice_layout(tiling, tiling.columns, dtype, rhs_along_depth).bytes
    return max(tiling.stages * slices, tiling.warps * part_layout(tiling, total).bytes)


@frozen
class ChainMemory:
    """The memory of a block that multiplies a chain of products.

    The rows' factors stay; elements that are multiplied again, where these do not stay in registers; then two stages of
    what belongs to a stretch of columns, whose place sums take when they are handed on.
    """

    tiling: Tiling
    passes: tuple[ColumnPass, ...]

    def of_product(self, product: ChainProduct) -> Tiling:
        """The tiling of a product."""
        step = _FMA_STEP if self.tiling.multiplier is Multiplier.FMA else _HALF_STEP
        return replace(self.tiling, depth=-(-product.channels // step) * step)

    def of_sum(self, row_sum: RowSum) -> Tiling:
        """The tiling of a sum, features being its columns."""
        step = _FMA_COLUMNS if self.tiling.multiplier is Multiplier.FMA else _HALF_STEP
        return replace(self.tiling, columns=-(-row_sum.features // step) * step, depth=self.tiling.columns)

    def row_slice(self, product: ChainProduct) -> SliceLayout:
        """The layout of a product's rows."""
        return self._slice(self.of_product(product), self.tiling.rows, product.lhs.along_depth)

    def column_slices(self, each: ColumnPass) -> list[SliceLayout]:
        """The layouts of a stretch of columns, of the products of a pass and of its sums."""
        tilings = [(self.of_product(p), self.tiling.columns, p.rhs.along_depth) for p in each.products]
        tilings += [(self.of_sum(s), self.of_sum(s).columns, s.rhs.along_depth) for s in each.sums]
        return [self._slice(*tiling) for tiling in tilings]

    def _slice(self, tiling: Tiling, lines: int, along_depth: bool) -> SliceLayout:
        return slice_layout(tiling, lines, tiling.multiplier.factor(dtypes.f32), along_depth)

    @property
    def products(self) -> Sequence[ChainProduct]:
        """The products of all passes, each once."""
        return list(dict.fromkeys(product for each in self.passes for product in each.products))

    @property
    def elements(self) -> SliceLayout:
        """The layout of the elements that are multiplied again."""
        return slice_layout(replace(self.tiling, depth=self.tiling.columns), self.tiling.rows, dtypes.f32, False)

    @property
    def elements_at(self) -> int:
        """Where these begin."""
        return sum(self.row_slice(product).bytes for product in self.products)

    @property
    def stages_at(self) -> int:
        """Where the stages begin."""
        return self.elements_at + (self.elements.bytes if self.tiling.multiplier is Multiplier.FMA else 0)

    def stage_bytes(self, each: ColumnPass) -> int:
        """What one stage of a pass takes."""
        return sum(layout.bytes for layout in self.column_slices(each))

    @property
    def bytes(self) -> int:
        """All of it."""
        stages = [self.tiling.stages * self.stage_bytes(each) for each in self.passes]
        sums = [part_layout(self.of_sum(s), dtypes.f32).bytes for each in self.passes for s in each.sums]
        return self.stages_at + max([*stages, *(self.tiling.warps * size for size in sums)])
