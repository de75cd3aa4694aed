"""Convolutions by fewer multiplications: the minimal filtering of S. Winograd, as A. Lavin and S. Gray use it.

"Fast Algorithms for Convolutional Neural Networks" (2015): m outputs under r taps, which lie under a tile of
n = m + r - 1 inputs, take n products instead of m * r,

    outputs = A^T ((G taps) * (B^T inputs)),

and along two axes n^2 instead of m^2 r^2.  The sums over channels are then n^2 products of matrices, rows for output
features, columns for tiles.  Here m = 2 and r = 3, whose matrices hold only 0, 1 and 1/2: sums of the inputs and of
products lose little (an error of about twice the plain sum's), which larger tiles do not.

    transform the kernel, in panels of mr rows
    for some images and each group b:
        stage the input (tenfoldc.lower.convolutions.staging)
        for each block u of tiles:
            copy the tiles' inputs into panels of nr columns and transform them
            multiply: n^2 products
            transform the sums and hand them to the consumers
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Buffer, Expr, For, If, Load, Mode, MultiplyPanels, Statement, Store
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.convolutions.axes import SpatialAxis, images_axis
from tenfoldc.lower.convolutions.columns import Columns
from tenfoldc.lower.convolutions.depth import Depth
from tenfoldc.lower.convolutions.minimal_filtering import INPUT, KERNEL, RESULT, along_axes
from tenfoldc.lower.convolutions.staging import Layout, stage, staged_size
from tenfoldc.lower.convolutions.windows import Windows
from tenfoldc.lower.loop_nest import nest, turns
from tenfoldc.lower.products.blocking import tuned_blocking
from tenfoldc.lower.products.packing import Span, block_size, for_each_panel, span
from tenfoldc.lower.products.product import delinearise
from tenfoldc.target import Target
from tenfoldc.tuning import Decisions

_OUTPUTS, _TAPS, _TILE = len(RESULT), len(KERNEL[0]), len(INPUT)
_FEWEST_CHANNELS = 8
"""Channels and features from which the transforms cost less than the multiplications they save."""
_FEWEST_TILES = 16
_FEWEST_INPUTS = 640
"""Tiles of all channels from which the many small products, and the kernel's transform, do not cost more than that."""
_CHANNELS_SORTED = 32
"""Channels of a panel whose taps are sorted at a time, in the nearest cache."""
_BLOCK_BYTES = 512 * 1024
_ZERO = scalar.index(0)


def saves_multiplications(windows: Windows, axes: Sequence[SpatialAxis]) -> bool:
    """Whether outputs along `axes` are found faster so, and their sums need not be as exact as can be."""
    if len(axes) < 2 or "HIGHEST" in windows.attributes.precision_config:
        return False
    is_fitting = all((axis.taps, axis.stride, axis.dilation) == (_TAPS, 1, 1) for axis in axes)
    tiles = windows.batch * math.prod(-(-axis.outputs // _OUTPUTS) for axis in axes)
    fewest = min(windows.group_channels, windows.group_features)
    is_large = tiles >= _FEWEST_TILES and tiles * windows.group_channels >= _FEWEST_INPUTS
    return is_fitting and len(axes) == 2 and fewest >= _FEWEST_CHANNELS and is_large


def lower_winograd(
    ctx: LoweringContext, windows: Windows, axes: tuple[SpatialAxis, ...], target: Target, decisions: Decisions
) -> list[Statement]:
    """The outputs along `axes`, for which `saves_multiplications` holds."""
    return _Winograd(ctx, windows, axes, target, decisions).statements()


class _Winograd:
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
        self.products = _TILE ** len(axes)
        tiled = tuple(replace(axis, outputs=-(-axis.outputs // _OUTPUTS), taps=_TILE, stride=_OUTPUTS) for axis in axes)
        self.images = _images_together(windows.batch, math.prod(axis.outputs for axis in tiled))
        self.layout = Layout((images_axis(self.images), *tiled))
        self.batch_sizes = [windows.batch // self.images, windows.groups]
        self.rows, self.channels = windows.group_features, windows.group_channels
        self.tiles = math.prod(self.layout.outputs)
        kind = f"{math.prod(self.batch_sizes)} minimal filterings"
        blocks = tuned_blocking(decisions, kind, target, self.rows, self.tiles, self.channels, self.dtype)
        self.mr, self.nr, self.kc = blocks.mr, blocks.nr, blocks.kc
        self.row_panels = -(-self.rows // self.mr)
        self.depth_blocks = -(-self.channels // self.kc)
        panel_bytes = self.products * (self.channels + self.rows) * self.nr * self.dtype.itemsize
        panels = min(8, max(4, _BLOCK_BYTES // panel_bytes))
        blocks_of_tiles = -(-self.tiles // (panels * self.nr))
        self.block = -(-self.tiles // (blocks_of_tiles * self.nr)) * self.nr
        self.block_panels = self.block // self.nr
        shape = staged_size(self.layout, self.channels, self.nr)
        staged = ctx.scratch("staged", self.dtype, shape)
        self.input = Columns(ctx, self.layout, staged, self.nr, self.tiles, may_overrun=True)
        self.taps = Depth(ctx, (1, *self.layout.taps), self.products)
        self.tile = ctx.scratch("tile", self.dtype, (1, self.input.panel_rows(self.products), self.nr))
        self.lhs = ctx.scratch(
            "lhs_panels",
            self.dtype,
            (windows.groups * self.products * self.depth_blocks * self.row_panels, self.kc, self.mr),
        )
        self.rhs = ctx.scratch(
            "rhs_panels", self.dtype, (self.products * self.depth_blocks * self.block_panels, self.kc, self.nr)
        )
        self.sums = ctx.scratch("sums", self.dtype, (self.products * self.rows, self.block))
        self.outputs = ctx.scratch("outputs", self.dtype, (_OUTPUTS ** (len(axes) - 1), _OUTPUTS * self.block))

    def statements(self) -> list[Statement]:
        private = [self.input.memory, self.tile, self.rhs, self.sums, self.outputs]

        def batch(index: Sequence[Expr]) -> list[Statement]:
            images, group = index

            def read(channel: Expr, places: Sequence[Expr]) -> Expr:
                image = scalar.add(scalar.mul(images, scalar.index(self.images)), places[0])
                return self.windows.read_input(image, group, places[1:], channel)

            staged = stage(self.ctx, self.layout, self.channels, self.nr, self.input.memory, read)
            count = -(-self.tiles // self.block)
            blocks = nest(self.ctx, [count], lambda u: self._block(images, group, u[0]), "u", private=private[1:])
            return [*staged, *blocks]

        return [*self._transform_kernel(), *nest(self.ctx, self.batch_sizes, batch, "b", private=private)]

    def _block(self, images: Expr, group: Expr, u: Expr) -> list[Statement]:
        tiles = span(self.tiles, self.block, self.nr, u)
        return [
            *self._transform_input(tiles),
            *self._multiply(group, tiles),
            *self._transform_sums(images, group, tiles),
        ]

    def _transform_input(self, tiles: Span) -> list[Statement]:
        channel = self.ctx.axis("channel", self.channels)
        origin = scalar.mul(channel, scalar.index(self.layout.plane))
        t, turn = delinearise(channel, [self.depth_blocks, self.kc])

        def panel(number: Expr, count: int) -> list[Statement]:
            """A panel of tiles; what the lanes beyond the last one hold does no harm."""
            first = scalar.add(tiles.first, scalar.mul(number, scalar.index(self.nr)))
            copied = self.input.pack(self.taps, self.taps.block(_ZERO), origin, first, count, self.tile, _ZERO)
            lane = self.ctx.axis("lane", self.nr)
            inputs = [Load(self.tile, (_ZERO, scalar.index(place), lane)) for place in range(self.products)]
            stored = [
                Store(self.rhs, (self._panel(product, self.block_panels, t, number), turn, lane), value)
                for product, value in enumerate(along_axes(INPUT, inputs, len(self.axes)))
            ]
            transformed = For(lane, scalar.index(self.nr), tuple(stored), mode=Mode.VECTOR)
            return [turns(channel, scalar.index(self.channels), [*copied, transformed], [self.tile])]

        return for_each_panel(self.ctx, "panel", tiles.in_full_panels, panel, [self.tile])

    def _panel(self, product: Expr | int, panels: int, t: Expr, number: Expr) -> Expr:
        """The place of a panel among those of all products and depth blocks, `panels` of each."""
        product = scalar.index(product) if isinstance(product, int) else product
        block = scalar.add(scalar.mul(product, scalar.index(self.depth_blocks)), t)
        return scalar.add(scalar.mul(block, scalar.index(panels)), number)

    def _multiply(self, group: Expr, tiles: Span) -> list[Statement]:
        rows = span(self.rows, self.row_panels * self.mr, self.mr, _ZERO)
        product, t = self.ctx.axis("product", self.products), self.ctx.axis("t", self.depth_blocks)
        is_cut = self.depth_blocks > 1
        t_now: Expr = t if is_cut else _ZERO
        own = scalar.add(scalar.mul(group, scalar.index(self.products)), product)

        def column_panel(panel: Expr, width: int) -> list[Statement]:
            def row_panel(row: Expr, height: int) -> list[Statement]:
                def tile(accumulate: bool) -> Statement:
                    top = scalar.mul(product, scalar.index(self.rows))
                    return MultiplyPanels(
                        target=self.sums,
                        row=scalar.add(top, scalar.mul(row, scalar.index(self.mr))),
                        column=scalar.mul(panel, scalar.index(self.nr)),
                        lhs=self.lhs,
                        lhs_panel=self._panel(own, self.row_panels, t_now, row),
                        rhs=self.rhs,
                        rhs_panel=self._panel(product, self.block_panels, t_now, panel),
                        depth=block_size(self.channels, self.kc, t_now),
                        rows=height,
                        columns=width,
                        accumulate=accumulate,
                    )

                return [If(scalar.equal(t, _ZERO), (tile(False),), (tile(True),))] if is_cut else [tile(False)]

            return for_each_panel(self.ctx, "row_panel", rows, row_panel)

        statements = tuple(for_each_panel(self.ctx, "tile_column", tiles.in_full_panels, column_panel))
        if is_cut:
            statements = (For(t, scalar.index(self.depth_blocks), statements),)
        return [For(product, scalar.index(self.products), statements)]

    def _transform_sums(self, images: Expr, group: Expr, tiles: Span) -> list[Statement]:
        row, j = self.ctx.axis("row", self.rows), self.ctx.axis("j", self.block)
        sums = [
            Load(self.sums, (scalar.add(row, scalar.index(product * self.rows)), j)) for product in range(self.products)
        ]
        places = [divmod(number, _OUTPUTS) for number in range(_OUTPUTS ** len(self.axes))]
        along = scalar.mul(j, scalar.index(_OUTPUTS))
        stored = [
            Store(self.outputs, (scalar.index(line), scalar.add(along, scalar.index(offset))), value)
            for (line, offset), value in zip(places, along_axes(RESULT, sums, len(self.axes)), strict=True)
        ]
        width = scalar.mul(tiles.in_full_panels.full, scalar.index(self.nr))
        transformed = For(j, width, tuple(stored), mode=Mode.VECTOR)
        feature = self.windows.feature(group, row)
        return [For(row, scalar.index(self.rows), (transformed, *self._write_rows(images, feature, tiles)))]

    def _write_rows(self, images: Expr, feature: Expr, tiles: Span) -> list[Statement]:
        """Hand the outputs of a block of tiles to the consumers, one row of tiles, or part of one, after the other."""
        across = self.layout.outputs[-1]
        first_row = scalar.div(tiles.first, scalar.index(across))
        end = scalar.add(tiles.first, tiles.lines)
        rows = scalar.sub(scalar.div(scalar.add(end, scalar.index(across - 1)), scalar.index(across)), first_row)
        number = self.ctx.axis("tile_row")
        tile_row = scalar.add(first_row, number)
        held = scalar.sub(scalar.mul(tile_row, scalar.index(across)), tiles.first)
        begin, end = _ZERO, scalar.index(across)
        if self.tiles > self.block and self.block % across:  # rows are cut between blocks
            begin = scalar.maximum(scalar.neg(held), begin)
            end = scalar.minimum(scalar.sub(tiles.lines, held), end)
        return [For(number, rows, tuple(self._write_row(images, feature, tile_row, held, begin, end)))]

    def _write_row(
        self, images: Expr, feature: Expr, tile_row: Expr, held: Expr, begin: Expr, end: Expr
    ) -> list[Statement]:
        """Write the outputs of tiles `begin` to before `end` of a row of tiles, the first of which is tile `held`."""
        number, *outer = delinearise(tile_row, self.layout.outputs[:-1])
        image = scalar.add(scalar.mul(images, scalar.index(self.images)), number)
        *outer_axes, last = self.axes
        two = scalar.index(_OUTPUTS)
        first, end = scalar.mul(begin, two), scalar.minimum(scalar.mul(end, two), scalar.index(last.outputs))
        column = self.ctx.axis("column", last.outputs)

        def line(offsets: tuple[Expr, ...]) -> list[Statement]:
            places = [scalar.add(scalar.mul(at, two), offset) for at, offset in zip(outer, offsets, strict=True)]
            place = scalar.add(first, column)
            held_at = scalar.add(scalar.mul(held, two), place)
            value = Load(self.outputs, (scalar.row_major(offsets, [_OUTPUTS] * len(offsets)), held_at))
            outputs = [axis.output(at) for axis, at in zip(self.axes, (*places, place), strict=True)]
            written = self.windows.write(image, feature, outputs, value)
            loop = For(column, scalar.maximum(scalar.sub(end, first), _ZERO), tuple(written), mode=Mode.VECTOR)
            conditions = [
                scalar.less(at, scalar.index(axis.outputs))
                for axis, at in zip(outer_axes, places, strict=True)
                if axis.outputs % _OUTPUTS
            ]
            return [If(functools.reduce(scalar.logical_and, conditions), (loop,))] if conditions else [loop]

        return list(nest(self.ctx, [_OUTPUTS] * len(outer_axes), line, "line"))

    def _transform_kernel(self) -> list[Statement]:
        """The transformed kernel as panels of all products; some channels of a panel are sorted by tap beforehand."""
        taps = list(itertools.product(range(_TAPS), repeat=len(self.axes)))
        chunk = min(self.kc, _CHANNELS_SORTED)
        by_tap = self.ctx.scratch("by_tap", self.dtype, (len(taps), chunk * self.mr))

        def panel(index: Sequence[Expr]) -> list[Statement]:
            group, t, number = index
            own = scalar.mul(group, scalar.index(self.products))
            channels = block_size(self.channels, self.kc, t)

            def part(first: Expr, count: Expr) -> list[Statement]:
                lane, c, place = (self.ctx.axis(name) for name in ("lane", "channel", "place"))
                row = scalar.add(scalar.mul(number, scalar.index(self.mr)), lane)
                if self.rows % self.mr:  # lanes beyond the last row repeat it
                    row = scalar.minimum(row, scalar.index(self.rows - 1))
                channel = scalar.add(scalar.mul(t, scalar.index(self.kc)), scalar.add(first, c))
                at = scalar.add(scalar.mul(c, scalar.index(self.mr)), lane)
                sorted_ = [
                    Store(
                        by_tap,
                        (scalar.index(tap), at),
                        self._kernel_under(self.windows.feature(group, row), places, channel),
                    )
                    for tap, places in enumerate(taps)
                ]
                values = [Load(by_tap, (scalar.index(tap), place)) for tap in range(len(taps))]
                start = scalar.add(scalar.mul(first, scalar.index(self.mr)), place)
                stored = [
                    Store(flat, (scalar.add(scalar.mul(panel, scalar.index(self.kc * self.mr)), start),), value)
                    for panel, value in (
                        (self._panel(scalar.add(own, scalar.index(product)), self.row_panels, t, number), value)
                        for product, value in enumerate(along_axes(KERNEL, values, len(self.axes)))
                    )
                ]
                lines = For(lane, scalar.index(self.mr), (For(c, count, tuple(sorted_)),))
                return [lines, For(place, scalar.mul(count, scalar.index(self.mr)), tuple(stored), mode=Mode.VECTOR)]

            if self.kc <= chunk:
                return part(_ZERO, channels)
            number_of = self.ctx.axis("part")
            first = scalar.mul(number_of, scalar.index(chunk))
            count = scalar.minimum(scalar.index(chunk), scalar.sub(channels, first))
            parts = scalar.div(scalar.add(channels, scalar.index(chunk - 1)), scalar.index(chunk))
            return [turns(number_of, parts, part(first, count), [by_tap])]

        flat = Buffer("lhs", self.dtype, (math.prod(self.lhs.shape),), base=self.lhs)
        sizes = [self.windows.groups, self.depth_blocks, self.row_panels]
        return list(nest(self.ctx, sizes, panel, "panel", private=[by_tap]))

    def _kernel_under(self, feature: Expr, taps: Sequence[int], channel: Expr) -> Expr:
        places = [axis.tap(scalar.index(tap)) for axis, tap in zip(self.axes, taps, strict=True)]
        return self.windows.kernel_at(feature, places, channel)


def _images_together(batch: int, tiles: int) -> int:
    """How many images' tiles are columns of one product: so many that panels are nearly full, and no more."""
    for images in range(1, batch):
        columns = images * tiles
        if batch % images == 0 and columns >= 0.9 * (-(-columns // 16) * 16):
            return images
    return batch if batch * tiles <= 1024 else 1
