"""Convolutions with three outputs along each axis under many taps, gradients for kernels of 3 by 3, by fewer products.

Along an axis, output r is the sum over all taps t of input r + t times tap t.  Two taps at a time, these sums are
those of a minimal filtering (`tenfoldc.lower.convolutions.minimal_filtering`), which takes four products instead of
six; along two axes, for tiles of two by two taps, sixteen instead of thirty-six.  Its last transform is linear, so that
it is done once, for the sums over all tiles.  These are products of matrices: rows for output features, columns for
images (a gradient's input channels), and as deep as there are tiles:

    for each part of the channels (a gradient's images):
        for each channel of the part:
            stage its input with the images innermost, and its taps with the features innermost
            for each band, some rows of tiles:
                transform inputs and taps, into panels of nr columns and of mr rows
                add sixteen products to the part's sums
    transform the sums of all parts and hand the outputs to the consumers
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace

from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Buffer, Constant, Expr, For, If, Load, Mode, MultiplyPanels, Statement, Store
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.convolutions.axes import SpatialAxis, images_axis, plain_axis
from tenfoldc.lower.convolutions.minimal_filtering import INPUT, KERNEL, RESULT, along_axes
from tenfoldc.lower.convolutions.staging import Layout, stage, staged_size
from tenfoldc.lower.convolutions.windows import Windows
from tenfoldc.lower.loop_nest import nest, turns
from tenfoldc.lower.products.blocking import tuned_blocking
from tenfoldc.lower.products.packing import block_size, for_each_panel, span
from tenfoldc.target import Target
from tenfoldc.tuning import Decisions

_FACTORS = tuple(zip(*RESULT, strict=True))
"""A, by which the two taps of a tile become four factors."""
_SUMS = tuple(zip(*KERNEL, strict=True))
"""G^T, by which the four sums become three outputs."""
_TAPS, _PLACES, _OUTPUTS = len(RESULT), len(INPUT), len(_SUMS)

_FEWEST = 16
"""Images and features from which the transforms cost less than the multiplications they save."""
_FEWEST_TILES = 64
"""Tiles of all channels from which the transform of the sums does not cost more than that."""
_BAND_BYTES = 384 * 1024
_SHALLOWEST = 32
"""Turns of a product below which its sums' way to memory and back costs too much."""
_DEEPEST = 512
_STAGED_BYTES = 4 * 1024 * 1024
_MOST_PARTS = 8
_PARTS_BYTES = 8 * 1024 * 1024
"""The sums of all parts, which are read once more in the end."""
_ZERO = scalar.index(0)


def sums_few_products(windows: Windows, axes: Sequence[SpatialAxis]) -> bool:
    """Whether the outputs along `axes` are found faster so, and need not be as exact as can be."""
    if len(axes) != 2 or windows.groups > 1 or "HIGHEST" in windows.attributes.precision_config:
        return False
    is_fitting = all((axis.outputs, axis.stride, axis.dilation) == (_OUTPUTS, 1, 1) for axis in axes)
    rows, across = (-(-axis.taps // _TAPS) for axis in axes)
    staged = rows * across * _TAPS**2 * max(windows.batch, windows.group_features)
    is_small = across <= _DEEPEST and staged * windows.result_type.dtype.itemsize <= _STAGED_BYTES
    is_large = min(windows.batch, windows.group_features) >= _FEWEST
    return is_fitting and is_small and is_large and rows * across * windows.group_channels >= _FEWEST_TILES


def lower_winograd_sums(
    ctx: LoweringContext, windows: Windows, axes: tuple[SpatialAxis, ...], target: Target, decisions: Decisions
) -> list[Statement]:
    """The outputs along `axes`, for which `sums_few_products` holds."""
    return _WinogradSums(ctx, windows, axes, target, decisions).statements()


class _WinogradSums:
    """The loops over one set of outputs."""

    def __init__(
        self,
        ctx: LoweringContext,
        windows: Windows,
        axes: tuple[SpatialAxis, ...],
        target: Target,
        decisions: Decisions,
    ) -> None:
        self.ctx, self.windows, self.axes = ctx, windows, axes
        self.dtype = windows.result_type.dtype
        self.products = _PLACES ** len(axes)
        self.tile_rows, self.across = (-(-axis.taps // _TAPS) for axis in axes)
        self.rows, self.columns, channels = windows.group_features, windows.batch, windows.group_channels
        depth = channels * self.tile_rows * self.across
        blocks = tuned_blocking(
            decisions, f"sums of {self.products} products", target, self.rows, self.columns, depth, self.dtype
        )
        self.mr, self.nr = blocks.mr, blocks.nr
        self.row_panels, self.column_panels = -(-self.rows // self.mr), -(-self.columns // self.nr)
        self.height, self.width = self.row_panels * self.mr, self.column_panels * self.nr
        self.band = self._rows_together()
        self.bands = -(-self.tile_rows // self.band)
        sums = self.products * self.rows * self.width
        parts = max(1, min(_MOST_PARTS, channels, _PARTS_BYTES // (sums * self.dtype.itemsize)))
        self.part = -(-channels // parts)
        self.parts = -(-channels // self.part)
        self.inputs = Layout((*(_with_whole_tiles(axis) for axis in axes), images_axis(self.columns)))
        taken = [plain_axis(axis.taps, -(-axis.taps // _TAPS) * _TAPS, taps=1) for axis in axes]
        self.taps = Layout((*taken, images_axis(self.rows)))
        self.staged = ctx.scratch("staged", self.dtype, staged_size(self.inputs, 1, self.nr))
        self.staged_taps = ctx.scratch("staged_taps", self.dtype, staged_size(self.taps, 1, self.mr))
        self.factors = ctx.scratch("factors", self.dtype, (self.products, self.height))
        deepest = self.band * self.across
        self.lhs = ctx.scratch("lhs_panels", self.dtype, (self.products * self.row_panels, deepest, self.mr))
        self.rhs = ctx.scratch("rhs_panels", self.dtype, (self.products * self.column_panels, deepest, self.nr))
        self.sums = ctx.scratch("sums", self.dtype, (self.parts * self.products * self.rows, self.width))
        self.outputs = ctx.scratch("outputs", self.dtype, (_OUTPUTS ** len(axes), self.width))

    def _rows_together(self) -> int:
        """How many rows of tiles are a band: panels of all products, which stay in the second cache."""
        turn = self.products * (self.height + self.width) * self.dtype.itemsize
        depth = max(_SHALLOWEST, _BAND_BYTES // turn)
        bands = -(-self.tile_rows // max(1, depth // self.across))
        return -(-self.tile_rows // bands)

    def statements(self) -> list[Statement]:
        private = [self.staged, self.staged_taps, self.factors, self.lhs, self.rhs]

        def part(index: tuple[Expr, ...]) -> list[Statement]:
            number = self.ctx.axis("channel", self.part)
            channel = scalar.add(scalar.mul(index[0], scalar.index(self.part)), number)
            count = block_size(self.windows.group_channels, self.part, index[0])
            return [For(number, count, tuple(self._channel(index[0], channel, number)))]

        return [*nest(self.ctx, [self.parts], part, "part", private=private), *self._finish()]

    def _channel(self, part: Expr, channel: Expr, number: Expr) -> list[Statement]:
        def read(_: Expr, places: Sequence[Expr]) -> Expr:
            return self.windows.read_input(places[-1], _ZERO, places[:-1], channel)

        def read_taps(_: Expr, places: Sequence[Expr]) -> Expr:
            at = [axis.tap(place) for axis, place in zip(self.axes, places, strict=False)]
            return self.windows.kernel_at(places[-1], at, channel)

        def band(index: tuple[Expr, ...]) -> list[Statement]:
            rows = block_size(self.tile_rows, self.band, index[0])
            first = scalar.mul(index[0], scalar.index(self.band))
            is_first = [scalar.equal(turn, _ZERO) for turn in (number, *index) if not isinstance(turn, Constant)]
            return [*self._transform(first, rows), *self._multiply(part, rows, is_first)]

        return [
            *stage(self.ctx, self.inputs, 1, self.nr, self.staged, read),
            *stage(self.ctx, self.taps, 1, self.mr, self.staged_taps, read_taps),
            *nest(self.ctx, [self.bands], band, "band", private=None),
        ]

    def _transform(self, first: Expr, rows: Expr) -> list[Statement]:
        """Fill the panels of a band, a tile at a time."""
        row, column = self.ctx.axis("tile_row", self.band), self.ctx.axis("tile", self.across)
        turn = scalar.add(scalar.mul(row, scalar.index(self.across)), column)
        corner = [scalar.mul(at, scalar.index(_TAPS)) for at in (scalar.add(first, row), column)]
        tiles = [*self._transform_inputs(corner, turn), *self._transform_taps(corner, turn)]
        along = For(column, scalar.index(self.across), tuple(tiles))
        return [turns(row, rows, [along], [self.factors])]

    def _transform_inputs(self, corner: Sequence[Expr], turn: Expr) -> list[Statement]:
        panel, lane = self.ctx.axis("panel", self.column_panels), self.ctx.axis("lane", self.nr)
        image = scalar.add(scalar.mul(panel, scalar.index(self.nr)), lane)
        stored = [
            Store(self.rhs, (scalar.add(scalar.index(product * self.column_panels), panel), turn, lane), value)
            for product, value in enumerate(self._transformed(INPUT, self.staged, self.inputs, corner, image))
        ]
        lanes = For(lane, scalar.index(self.nr), tuple(stored), mode=Mode.VECTOR)
        return [For(panel, scalar.index(self.column_panels), (lanes,))]

    def _transform_taps(self, corner: Sequence[Expr], turn: Expr) -> list[Statement]:
        """Features side by side are transformed together, and copied to panels thereafter: a panel is no vector."""
        feature = self.ctx.axis("feature", self.height)
        stored = [
            Store(self.factors, (scalar.index(product), feature), value)
            for product, value in enumerate(self._transformed(_FACTORS, self.staged_taps, self.taps, corner, feature))
        ]

        def copy(index: tuple[Expr, ...]) -> list[Statement]:
            product, panel = index
            lane = self.ctx.axis("lane", self.mr)
            element = Load(self.factors, (product, scalar.add(scalar.mul(panel, scalar.index(self.mr)), lane)))
            place = (scalar.add(scalar.mul(product, scalar.index(self.row_panels)), panel), turn, lane)
            return [For(lane, scalar.index(self.mr), (Store(self.lhs, place, element),), mode=Mode.VECTOR)]

        return [
            For(feature, scalar.index(self.rows), tuple(stored), mode=Mode.VECTOR),
            *nest(self.ctx, [self.products, self.row_panels], copy, "panel", private=None),
        ]

    def _transformed(
        self, matrix: Sequence[Sequence[float]], memory: Buffer, layout: Layout, corner: Sequence[Expr], lane: Expr
    ) -> list[Expr]:
        """`matrix` along both axes, times what lies from `corner` on, of the images or features at `lane`."""
        count, strides = len(matrix[0]), layout.strides()
        start = functools.reduce(
            scalar.add, [scalar.mul(at, scalar.index(step)) for at, step in zip(corner, strides, strict=False)]
        )
        values = [
            Load(memory, (scalar.add(scalar.add(start, scalar.index(row * strides[0] + column * strides[1])), lane),))
            for row in range(count)
            for column in range(count)
        ]
        return along_axes(matrix, values, len(self.axes))

    def _multiply(self, part: Expr, rows: Expr, is_first: Sequence[Expr]) -> list[Statement]:
        """Add a band's products to the sums of a part, where all of `is_first` hold the first ones."""
        depth = scalar.mul(rows, scalar.index(self.across))
        lines = span(self.rows, self.height, self.mr, _ZERO)

        def column_panel(index: tuple[Expr, ...]) -> list[Statement]:
            product, panel = index
            own = scalar.add(scalar.mul(part, scalar.index(self.products)), product)
            top = scalar.mul(own, scalar.index(self.rows))

            def row_panel(row: Expr, height: int) -> list[Statement]:
                tile = MultiplyPanels(
                    target=self.sums,
                    row=scalar.add(top, scalar.mul(row, scalar.index(self.mr))),
                    column=scalar.mul(panel, scalar.index(self.nr)),
                    lhs=self.lhs,
                    lhs_panel=scalar.add(scalar.mul(product, scalar.index(self.row_panels)), row),
                    rhs=self.rhs,
                    rhs_panel=scalar.add(scalar.mul(product, scalar.index(self.column_panels)), panel),
                    depth=depth,
                    rows=height,
                    columns=self.nr,
                    accumulate=False,
                )
                if not is_first:
                    return [tile]
                condition = functools.reduce(scalar.logical_and, is_first)
                return [If(condition, (tile,), (replace(tile, accumulate=True),))]

            return for_each_panel(self.ctx, "row_panel", lines, row_panel)

        return list(nest(self.ctx, [self.products, self.column_panels], column_panel, "product", private=()))

    def _finish(self) -> list[Statement]:
        """Transform the sums of all parts, feature by feature, and hand the outputs to the consumers."""

        def feature(index: tuple[Expr, ...]) -> list[Statement]:
            column = self.ctx.axis("image", self.columns)
            sums: list[Expr] = []
            for product in range(self.products):
                tops = [(part * self.products + product) * self.rows for part in range(self.parts)]
                parts = [Load(self.sums, (scalar.add(scalar.index(top), index[0]), column)) for top in tops]
                sums.append(functools.reduce(scalar.add, parts))
            stored = [
                Store(self.outputs, (scalar.index(number), column), value)
                for number, value in enumerate(along_axes(_SUMS, sums, len(self.axes)))
            ]
            transformed = For(column, scalar.index(self.columns), tuple(stored), mode=Mode.VECTOR)
            sizes = [_OUTPUTS] * len(self.axes)
            return [transformed, *nest(self.ctx, sizes, lambda at: self._write(index[0], at), "output")]

        return list(nest(self.ctx, [self.rows], feature, "feature", private=[self.outputs]))

    def _write(self, feature: Expr, outputs: tuple[Expr, ...]) -> list[Statement]:
        image = self.ctx.axis("image", self.columns)
        value = Load(self.outputs, (scalar.row_major(outputs, [_OUTPUTS] * len(outputs)), image))
        places = [axis.output(at) for axis, at in zip(self.axes, outputs, strict=True)]
        written = self.windows.write(image, feature, places, value)
        return [For(image, scalar.index(self.columns), tuple(written), mode=Mode.VECTOR)]


def _with_whole_tiles(axis: SpatialAxis) -> SpatialAxis:
    """The axis with as many taps as tiles have; what lies only under those that were added is taken to be outside."""
    inside = max(0, min(axis.size, axis.taps + _OUTPUTS - 1 - axis.low))
    return replace(axis, taps=-(-axis.taps // _TAPS) * _TAPS, size=inside)
