"""A convolution as products of matrices whose one factor, the input under the window, is never written to memory.

Rows are output features, columns outputs, the depth all taps of all channels.  Of each product:

    pack the kernel in panels of mr rows
    for each image and group b:
        stage the input (tenfoldc.lower.convolutions.staging), some or all channels of it
        for each block u of columns:
            for each block t of the depth:
                copy the input into panels of nr columns, one after the other
                multiply: for each of them all panels of the kernel, and ask for the next of an input in place
            hand the sums to the consumers

Columns are the outputs of one image, or, where an image has few, the images of each output: the input is then staged
with the images adjoining.  Nothing is left to be shared by threads then but the channels: some parts of them have sums
of their own, which are added up in the end.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

from tenfold_rt.frozen import frozen
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Buffer, Expr, For, If, Load, Mode, MultiplyPanels, Statement, Store
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.convolutions.axes import SpatialAxis, images_axis
from tenfoldc.lower.convolutions.columns import Columns
from tenfoldc.lower.convolutions.depth import Depth, DepthBlock
from tenfoldc.lower.convolutions.staging import Layout, stage, staged_size
from tenfoldc.lower.convolutions.windows import Windows
from tenfoldc.lower.loop_nest import nest, turns
from tenfoldc.lower.products.blocking import tuned_blocking
from tenfoldc.lower.products.packing import Span, block_size, for_each_panel, span
from tenfoldc.lower.products.product import delinearise
from tenfoldc.target import Target
from tenfoldc.tuning import Decisions

_BLOCK_BYTES = 128 * 1024
"""Packed columns of a block: with a block of the kernel's panels and the sums, they fit the second cache."""
_KERNEL_BYTES = 192 * 1024
"""The kernel's panels that are read over and over while a block of columns is multiplied."""
_STAGED_BYTES = 256 * 1024
"""Staged input that is read by many taps and for many outputs in the second cache."""
_SPLITS = 8
"""Parts of a deep product with few results, each with sums of its own, that threads share."""
_SPLIT_DEPTH = 512
"""The depth of a part, at the least, beside which it takes no time to add its sums to the others."""
_SPLIT_BYTES = 256 * 1024
"""Sums of a part that stay in the second cache."""
_ZERO = scalar.index(0)


def lower_implicit_gemm(
    ctx: LoweringContext,
    windows: Windows,
    axes: tuple[SpatialAxis, ...],
    target: Target,
    decisions: Decisions,
    *,
    is_whole: bool,
) -> list[Statement]:
    """The outputs along `axes`, of floats; `is_whole`: these are all outputs.  No size is 0."""
    return _ImplicitGemm(ctx, windows, axes, target, decisions, is_whole).statements()


@frozen
class _Asked:
    """The part of an input in place whose panels are asked for ahead.

    A panel has a cache line of each channel, far apart, which no processor foresees: copying it would wait for memory,
    while the multiplication of the panel before it leaves memory idle.
    """

    block: DepthBlock
    origin: Expr


class _ImplicitGemm:
    """The loops over one set of outputs."""

    def __init__(
        self,
        ctx: LoweringContext,
        windows: Windows,
        axes: tuple[SpatialAxis, ...],
        target: Target,
        decisions: Decisions,
        is_whole: bool,
    ) -> None:
        self.ctx, self.windows, self.axes = ctx, windows, axes
        self.dtype = windows.result_type.dtype
        outputs = math.prod(axis.outputs for axis in axes)
        lanes = target.vector_bytes // self.dtype.itemsize
        self.images_adjoin = windows.batch > 1 and outputs < 8 * lanes and windows.batch >= min(outputs, lanes)
        self.layout = Layout((*axes, images_axis(windows.batch)) if self.images_adjoin else axes)
        self.batch_sizes = [1 if self.images_adjoin else windows.batch, windows.groups]
        self.rows, self.columns = windows.group_features, math.prod(self.layout.outputs)
        taps = math.prod(axis.taps for axis in axes)
        source = self._source_in_place()
        self.channels = windows.group_channels if source or not self.images_adjoin else self._channels_at_a_time()
        self.chunks = windows.group_channels // self.channels
        self.split = -(-self.chunks // _SPLITS) if self._may_split() else self.chunks
        """Chunks of a part of the depth that has sums of its own."""
        self.splits = -(-self.chunks // self.split)
        self.packs_all = self.chunks == 1 or windows.kernel_pays_ahead()
        """Whether the kernel is packed before anything else, rather than the channels of a chunk with each chunk."""
        kind = f"{math.prod(self.batch_sizes)} x {self.chunks} convolutions under {taps} taps"
        depth = self.channels * taps
        blocks = tuned_blocking(decisions, kind, target, self.rows, self.columns, depth, self.dtype)
        self.mr, self.nr = blocks.mr, blocks.nr
        self.depth = Depth(ctx, (self.channels, *(axis.taps for axis in axes)), blocks.kc)
        self.row_panels = -(-self.rows // self.mr)
        panels = max(1, _BLOCK_BYTES // (self.depth.kc * self.nr * self.dtype.itemsize))
        self.column_blocks = -(-self.columns // (panels * self.nr))
        self.block = -(-self.columns // (self.column_blocks * self.nr)) * self.nr
        self.column_blocks = -(-self.columns // self.block)
        self.is_staged = source is None
        staged = (
            ctx.scratch("staged", self.dtype, staged_size(self.layout, self.channels, self.nr))
            if source is None
            else source
        )
        self.input = Columns(ctx, self.layout, staged, self.nr, self.columns, may_overrun=self.is_staged)
        self.place = self._place() if is_whole else None
        self.sums_at_end = self.place is None and (self.chunks > 1 or self.images_adjoin or not is_whole)
        self.lhs = self._lhs_memory()
        shape = (self.block // self.nr, self.input.panel_rows(self.depth.kc), self.nr)
        self.rhs = ctx.scratch("rhs_panels", self.dtype, shape)
        width = self.columns if self.sums_at_end else self.block
        shape = (self.splits * self.rows, width)
        self.sums = ctx.scratch("sums", self.dtype, shape) if self.place is None else None

    def statements(self) -> list[Statement]:
        sums = [] if self.sums is None else [self.sums]
        staged = [self.input.memory] if self.is_staged else []
        packed = [] if self.packs_all else [self.lhs]
        before = self._each_chunk(self._pack_kernel) if self.packs_all else []
        groups = self.batch_sizes[1]
        private = [*staged, *packed, self.rhs]

        def batch(b: Expr) -> list[Statement]:
            group = b if self.batch_sizes[0] == 1 else scalar.rem(b, scalar.index(groups)) if groups > 1 else _ZERO
            parts = self._loop("part", self.splits, lambda part: self._part(b, group, part), private)
            return [*parts, *(self._finish_all(b) if self.sums_at_end else [])]

        return [*before, *self._loop("b", math.prod(self.batch_sizes), batch, [*private, *sums])]

    def _part(self, b: Expr, group: Expr, part: Expr) -> list[Statement]:
        """The chunks of a part of the depth; those of different parts are independent."""
        if self.split == 1:
            return self._chunk(b, group, part, _ZERO)
        number = self.ctx.axis("chunk", self.split)
        return [For(number, block_size(self.chunks, self.split, part), tuple(self._chunk(b, group, part, number)))]

    def _chunk(self, b: Expr, group: Expr, part: Expr, number: Expr) -> list[Statement]:
        """Chunk `number` of a part."""
        chunk = scalar.add(scalar.mul(part, scalar.index(self.split)), number)
        first_channel = scalar.mul(chunk, scalar.index(self.channels))
        statements = [] if self.packs_all else self._pack_kernel(group, chunk)
        origin = _ZERO
        if self.is_staged:
            statements += self._stage(b, group, first_channel)
        else:
            origin = scalar.mul(b, scalar.index(self.channels * self.layout.plane))
        sums = [self.sums] if self.sums is not None and not self.sums_at_end else []
        first_panel = self._first_panel(group, chunk)

        def column_block(u: Expr) -> list[Statement]:
            columns = span(self.columns, self.block, self.nr, u)
            depth = self._loop(
                "t",
                self.depth.blocks,
                lambda t: self._depth_block(b, part, t, columns, origin, first_panel, _is_first(number, t)),
            )
            return [*depth, *(self._finish(b, columns) if sums else [])]

        return [*statements, *self._loop("u", self.column_blocks, column_block, [self.rhs, *sums])]

    def _stage(self, b: Expr, group: Expr, first_channel: Expr) -> list[Statement]:
        image = _ZERO if self.images_adjoin else delinearise(b, self.batch_sizes)[0]

        def read(channel: Expr, places: Sequence[Expr]) -> Expr:
            own = scalar.add(first_channel, channel)
            if self.images_adjoin:
                return self.windows.read_input(places[-1], group, places[:-1], own)
            return self.windows.read_input(image, group, places, own)

        return stage(self.ctx, self.layout, self.channels, self.nr, self.input.memory, read)

    def _depth_block(
        self,
        b: Expr,
        part: Expr,
        t: Expr,
        columns: Span,
        origin: Expr,
        first_panel: Expr,
        is_first: Expr | None,
    ) -> list[Statement]:
        block = self.depth.block(t)
        panels = scalar.add(first_panel, scalar.mul(t, scalar.index(self.row_panels)))
        height = max(self.mr, _KERNEL_BYTES // (self.depth.kc * self.dtype.itemsize) // self.mr * self.mr)
        row_blocks = -(-self.rows // height)

        def pack(panel: Expr, count: int) -> list[Statement]:
            first = scalar.add(columns.first, scalar.mul(panel, scalar.index(self.nr)))
            return self.input.pack(self.depth, block, origin, first, count, self.rhs, panel)

        def rows(v: Expr) -> Callable[[Expr, int], list[Statement]]:
            lines = span(self.rows, height, self.mr, v)
            first = scalar.add(panels, scalar.mul(v, scalar.index(height // self.mr)))
            asked = None if self.is_staged or row_blocks > 1 else _Asked(block, origin)
            return self._tiles(self._sums_of(b, part, columns), lines, columns, first, block.depth, is_first, asked)

        if row_blocks == 1:
            tiles = rows(_ZERO)
            return for_each_panel(self.ctx, "column_panel", columns, lambda p, w: [*pack(p, w), *tiles(p, w)])
        packed = for_each_panel(self.ctx, "column_panel", columns, pack)
        return [
            *packed,
            *self._loop("v", row_blocks, lambda v: for_each_panel(self.ctx, "tile_column", columns, rows(v))),
        ]

    def _tiles(
        self,
        sums: tuple[Buffer, Expr, Expr],
        rows: Span,
        columns: Span,
        first_panel: Expr,
        depth: Expr,
        is_first: Expr | None,
        asked: _Asked | None,
    ) -> Callable[[Expr, int], list[Statement]]:
        """The tiles of some rows, by the panel of columns that they are in and its width."""
        matrix, top, left = sums

        def column_panel(panel: Expr, width: int) -> list[Statement]:
            def row_panel(row: Expr, height: int) -> list[Statement]:
                def tile(accumulate: bool) -> Statement:
                    return MultiplyPanels(
                        target=matrix,
                        row=scalar.add(scalar.add(top, rows.first), scalar.mul(row, scalar.index(self.mr))),
                        column=scalar.add(left, scalar.mul(panel, scalar.index(self.nr))),
                        lhs=self.lhs,
                        lhs_panel=scalar.add(first_panel, row),
                        rhs=self.rhs,
                        rhs_panel=panel,
                        depth=depth,
                        rows=height,
                        columns=width,
                        accumulate=accumulate,
                    )

                before = [] if asked is None else self._ask(asked, columns, panel, row)
                if is_first is None:
                    return [*before, tile(False)]
                return [*before, If(is_first, (tile(False),), (tile(True),))]

            return for_each_panel(self.ctx, "row_panel", rows, row_panel)

        return column_panel

    def _ask(self, asked: _Asked, columns: Span, panel: Expr, row: Expr) -> list[Statement]:
        """Ask for a part of the panel of columns after `panel`, of as many as there are panels of rows."""
        if self.columns <= self.nr:
            return []
        part = -(-self.depth.kc // self.row_panels)
        first_turn = scalar.mul(row, scalar.index(part))
        return [self.input.ask(asked.block, asked.origin, columns.end_of_next(panel), first_turn, part)]

    def _sums_of(self, b: Expr, part: Expr, columns: Span) -> tuple[Buffer, Expr, Expr]:
        """Where the sums of a block in a part of the depth are held, and the row and column of their first."""
        if self.place is not None:
            return self.place, self.windows.feature(b, _ZERO), columns.first
        assert self.sums is not None
        top = scalar.mul(part, scalar.index(self.rows))
        return self.sums, top, columns.first if self.sums_at_end else _ZERO

    def _finish(self, b: Expr, columns: Span) -> list[Statement]:
        """Hand the sums of a block of columns to the consumers."""
        assert self.sums is not None
        i, j = self.ctx.axis("i", self.rows), self.ctx.axis("j", self.block)
        outputs = delinearise(scalar.add(columns.first, j), self.layout.outputs)
        stored = self._write(b, i, outputs, Load(self.sums, (i, j)))
        return [turns(i, scalar.index(self.rows), (For(j, columns.lines, tuple(stored), mode=Mode.VECTOR),))]

    def _finish_all(self, b: Expr) -> list[Statement]:
        """Add up the sums of all parts and hand them to the consumers."""
        sums = self.sums
        assert sums is not None

        def write(index: Sequence[Expr]) -> Sequence[Statement]:
            row, *outputs = index
            column = scalar.row_major(outputs, self.layout.outputs)
            tops = [scalar.add(scalar.index(part * self.rows), row) for part in range(self.splits)]
            total = functools.reduce(scalar.add, [Load(sums, (top, column)) for top in tops])
            return self._write(b, row, outputs, total)

        return list(nest(self.ctx, [self.rows, *self.layout.outputs], write, private=()))

    def _write(self, b: Expr, row: Expr, outputs: Sequence[Expr], value: Expr) -> Sequence[Statement]:
        image, group = delinearise(b, self.batch_sizes)
        if self.images_adjoin:
            *outputs, image = outputs
        places = [axis.output(number) for axis, number in zip(self.axes, outputs, strict=True)]
        return self.windows.write(image, self.windows.feature(group, row), places, value)

    def _pack_kernel(self, group: Expr, chunk: Expr) -> list[Statement]:
        """Copy the kernel's rows of a group into panels, side by side."""
        first_panel = self._first_panel(group, chunk)
        first_channel = scalar.mul(chunk, scalar.index(self.channels))
        lines = span(self.rows, self.row_panels * self.mr, self.mr, _ZERO)

        def depth_block(t: Expr) -> list[Statement]:
            block = self.depth.block(t)
            panels = scalar.add(first_panel, scalar.mul(t, scalar.index(self.row_panels)))

            def panel(number: Expr, count: int) -> list[Statement]:
                def lanes(turn: Expr, channel: Expr, taps: Sequence[Expr]) -> list[Statement]:
                    places = [axis.tap(tap) for axis, tap in zip(self.axes, taps, strict=True)]
                    own = scalar.add(first_channel, channel)
                    first = scalar.mul(number, scalar.index(self.mr))
                    index = (scalar.add(panels, number), turn)
                    return [
                        Store(
                            self.lhs,
                            (*index, scalar.index(lane)),
                            self.windows.kernel_at(
                                self.windows.feature(group, scalar.add(first, scalar.index(lane))), places, own
                            ),
                        )
                        for lane in range(count)
                    ]

                return self.depth.walk(block, lanes)

            return for_each_panel(self.ctx, "panel", lines, panel)

        return self._loop("t", self.depth.blocks, depth_block, [])

    def _lhs_memory(self) -> Buffer:
        panels = self.depth.blocks * self.row_panels * (self.windows.groups * self.chunks if self.packs_all else 1)
        return self.ctx.scratch("lhs_panels", self.dtype, (panels, self.depth.kc, self.mr))

    def _first_panel(self, group: Expr, chunk: Expr) -> Expr:
        """The place of the first of the kernel's panels of a group and chunk."""
        if not self.packs_all:
            return _ZERO
        part = scalar.add(scalar.mul(group, scalar.index(self.chunks)), chunk)
        return scalar.mul(part, scalar.index(self.depth.blocks * self.row_panels))

    def _each_chunk(self, body: Callable[[Expr, Expr], list[Statement]]) -> list[Statement]:
        def group(group: Expr) -> list[Statement]:
            return self._loop("chunk", self.chunks, lambda chunk: body(group, chunk), [])

        return self._loop("g", self.windows.groups, group, [])

    def _source_in_place(self) -> Buffer | None:
        """The input as flat memory, where its elements lie as `layout` wants them; None where they must be staged."""
        numbers = self.windows.numbers
        if self.images_adjoin or not self.windows.is_pointwise or self.windows.attributes.batch_group_count > 1:
            return None
        matrix = self.windows.matrix(0, numbers.input, self.columns)
        return None if matrix is None else Buffer("input", matrix.dtype, (math.prod(matrix.shape),), base=matrix)

    def _channels_at_a_time(self) -> int:
        """How many channels are staged at a time: a divisor of their number, so that all parts are equal."""
        fitting = max(1, _STAGED_BYTES // (self.layout.plane * self.dtype.itemsize))
        channels = self.windows.group_channels
        if self._may_split():
            fitting = min(fitting, max(channels // _SPLITS, -(-_SPLIT_DEPTH // math.prod(self.layout.taps))))
        return max(part for part in range(1, min(fitting, channels) + 1) if channels % part == 0)

    def _may_split(self) -> bool:
        """Whether parts of the depth may have sums of their own, as nothing else is independent."""
        sums = self.rows * self.columns * self.dtype.itemsize
        return self.images_adjoin and self.batch_sizes[1] == 1 and sums <= _SPLIT_BYTES

    def _place(self) -> Buffer | None:
        """The result as a matrix whose rows are (image, feature), where sums may be added up in it."""
        windows, numbers = self.windows, self.windows.numbers
        features_first = (numbers.output_batch_dimension, numbers.output_feature_dimension)
        if self.images_adjoin or not windows.result_is(*features_first, *numbers.output_spatial_dimensions):
            return None
        height = windows.batch * windows.groups * windows.group_features
        return Buffer("outputs", self.dtype, (height, self.columns), base=windows.ctx.result())

    def _loop(
        self, name: str, count: int, body: Callable[[Expr], list[Statement]], private: Sequence[Buffer] | None = None
    ) -> list[Statement]:
        """`body(number)` for `count` numbers, independent but for `private` memory where that is given."""
        if count == 1:
            return body(_ZERO)
        axis = self.ctx.axis(name, count)
        return [turns(axis, scalar.index(count), body(axis), private)]


def _is_first(number: Expr, t: Expr) -> Expr | None:
    """The condition that nothing has been summed in a part yet; None where nothing ever has."""
    conditions = [scalar.equal(turn, _ZERO) for turn in (number, t) if turn is not _ZERO]
    if not conditions:
        return None
    return conditions[0] if len(conditions) == 1 else scalar.logical_and(*conditions)
