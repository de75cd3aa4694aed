"""Convolutions with few outputs under many taps, gradients for kernels above all, as dot products of rows in memory.

As a product of matrices such a convolution is deep and has few columns: packing would take longer than multiplying.
But the taps of a channel adjoin in the kernel's memory, and so do the inputs under them, once these are staged for
each output along all axes but the first (`tenfoldc.lower.convolutions.staging`).  So each output is a sum of dot
products of rows, and vectors run along the taps:

    for each group and task, some of the channels:
        for some channels of the task:
            stage the input for each output along the last axes
            for each block of the taps:
                for a few features and outputs at a time, whose sums, a vector of each, are held in registers:
                    add up the products of the block's taps of all channels that are staged
                    add these sums to those of the task
    add up the lanes of all tasks and hand the sums to the consumers
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from tenfold_rt.dtypes import DType
from tenfold_rt.frozen import frozen
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Apply, Buffer, Carry, Expr, For, If, Load, Local, Mode, Primitive, Statement, Store
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.convolutions.axes import SpatialAxis
from tenfoldc.lower.convolutions.staging import Layout, stage
from tenfoldc.lower.convolutions.windows import KernelRows, Windows
from tenfoldc.lower.loop_nest import nest
from tenfoldc.lower.products.blocking import IN_FLIGHT
from tenfoldc.lower.products.packing import Span, block_size, for_each_panel, span
from tenfoldc.lower.products.product import delinearise
from tenfoldc.target import Target

_STAGED_BYTES = 256 * 1024
"""Staged input, of the second cache, through which each tile of sums goes."""
_COPIED_BYTES = 64 * 1024
"""Rows of a tile's features that are copied where they do not lie as they are read."""
_BLOCK_TAPS = 1024
"""Taps of a block, so that the rows of a tile's features stay in the first cache."""
_MOST_COPIES = 16
"""Outputs along the last axes for each of which the input is staged."""
_FEWEST_VECTORS = 4
"""Vectors of a row below which what is done once for each row counts."""
_OUTPUTS_PER_VECTOR = 6
_MOST_OUTPUTS = 64
"""Outputs, and outputs for each vector of a row, up to which a product of matrices is slower: it packs the kernel once
for all outputs."""
_MOST_TASKS = 16
_ZERO = scalar.index(0)


@frozen
class DotProducts:
    """How a convolution is cut up: the taps of a channel are a row, `lanes` of which are a vector.

    `tile_features` times `tile_outputs` sums are held in registers, over `together` channels and `block` vectors of
    each row.  A task has `parts` times `together` channels.  `kernel` is where rows lie; None: they are copied.
    """

    dtype: DType
    taps: int
    lanes: int
    tile_features: int
    tile_outputs: int
    together: int
    block: int
    parts: int
    kernel: KernelRows | None


def dot_products(windows: Windows, axes: Sequence[SpatialAxis], target: Target) -> DotProducts | None:
    """How to find the outputs along `axes`, all there are, by dot products; None where that is slower."""
    dtype = windows.result_type.dtype
    lanes = target.vector_bytes // dtype.itemsize
    taps, features = math.prod(axis.taps for axis in axes), windows.group_features
    outputs = windows.batch * math.prod(axis.outputs for axis in axes)
    copies = math.prod(axis.outputs for axis in axes[1:])
    vectors = taps // lanes
    if vectors < _FEWEST_VECTORS or outputs > min(_MOST_OUTPUTS, _OUTPUTS_PER_VECTOR * vectors):
        return None
    if copies > _MOST_COPIES or windows.kernel_pays_ahead():
        return None
    staged = windows.batch * copies * _staged(axes, [0] * (len(axes) - 1)).plane
    tile_features, tile_outputs = _tile(target, features, outputs)
    kernel = windows.kernel_rows() if all(axis.tap_step == 1 for axis in axes) else None
    copied = 0 if kernel is not None else tile_features * taps
    if staged * dtype.itemsize > _STAGED_BYTES or copied * dtype.itemsize > _COPIED_BYTES:
        return None
    channels = windows.group_channels
    fitting = min(_BLOCK_TAPS // taps, _STAGED_BYTES // (staged * dtype.itemsize), channels)
    together = max(part for part in range(1, max(fitting, 1) + 1) if channels % part == 0)
    blocks = 1 if kernel is None else -(-taps // _BLOCK_TAPS)
    tasks = min(-(-_MOST_TASKS // windows.groups), channels // together)
    return DotProducts(
        dtype=dtype,
        taps=taps,
        lanes=lanes,
        tile_features=tile_features,
        tile_outputs=tile_outputs,
        together=together,
        block=-(-vectors // blocks),
        parts=-(-(channels // together) // tasks),
        kernel=kernel,
    )


def lower_dot_products(
    ctx: LoweringContext, windows: Windows, axes: tuple[SpatialAxis, ...], plan: DotProducts
) -> list[Statement]:
    """The outputs along `axes`, of floats.  No size is 0."""
    return _DotProducts(ctx, windows, axes, plan).statements()


def _tile(target: Target, features: int, outputs: int) -> tuple[int, int]:
    """How many features and outputs to sum at a time: registers hold the sums, and the row of each of the fewer."""

    def time(tile: tuple[int, int]) -> float:
        total = 0.0
        for height in _pieces(features, tile[0]):
            for width in _pieces(outputs, tile[1]):
                total += max(height * width, height + width, IN_FLIGHT)
        return total

    most = target.vector_registers - 1
    tiles = itertools.product(range(min(features, most), 0, -1), range(min(outputs, most), 0, -1))
    return min((tile for tile in tiles if math.prod(tile) + min(tile) <= most), key=time)


def _pieces(total: int, size: int) -> list[int]:
    return [size] * (total // size) + ([total % size] if total % size else [])


def _staged(axes: Sequence[SpatialAxis], outputs: Sequence[int]) -> Layout:
    """How the input under `outputs` along the last axes is staged: for each part of the first, the taps adjoin.

    Outputs and taps change places, as a place depends on both in the same way.
    """
    first = axes[0]
    swapped = [replace(first, outputs=first.taps, taps=first.outputs, stride=first.dilation, dilation=first.stride)]
    for axis, output in zip(axes[1:], outputs, strict=True):
        low = axis.low - output * axis.stride
        swapped.append(replace(axis, outputs=axis.taps, taps=1, stride=axis.dilation, dilation=1, low=low))
    return Layout(tuple(swapped))


@frozen
class _Row:
    """The element of a channel that is staged and a tap lies at `first` + channel * `step` + tap of flat memory."""

    memory: Buffer
    first: Expr
    step: int


@frozen
class _Block:
    """Some vectors of each row; the condition that they are the row's last, None where they are the whole row."""

    first: Expr
    vectors: Expr
    is_last: Expr | None


class _DotProducts:
    """The loops over one convolution's outputs."""

    def __init__(
        self, ctx: LoweringContext, windows: Windows, axes: tuple[SpatialAxis, ...], plan: DotProducts
    ) -> None:
        self.ctx, self.windows, self.axes, self.plan = ctx, windows, axes, plan
        self.last_outputs = [axis.outputs for axis in axes[1:]]
        self.layout = _staged(axes, [0] * len(self.last_outputs))
        self.copy = plan.together * windows.batch * self.layout.plane
        self.outputs = [windows.batch, *(axis.outputs for axis in axes)]
        self.columns = math.prod(self.outputs)
        self.parts = windows.group_channels // plan.together
        self.tasks = -(-self.parts // plan.parts)
        self.staged = ctx.scratch("staged", plan.dtype, (math.prod(self.last_outputs) * self.copy,))
        self.tile = ctx.scratch("tile", plan.dtype, (plan.tile_features * plan.tile_outputs, plan.lanes))
        height = windows.groups * windows.group_features * self.columns
        self.sums = ctx.scratch("sums", plan.dtype, (height, self.tasks * plan.lanes))
        rows = plan.tile_features * plan.together * plan.taps
        self.copied = ctx.scratch("rows", plan.dtype, (rows,)) if plan.kernel is None else None

    def statements(self) -> list[Statement]:
        private = [self.staged, *self._of_tile()]
        sizes = [self.windows.groups, self.windows.group_features, *self.outputs]
        return [
            *nest(self.ctx, [self.windows.groups, self.tasks], lambda b: self._task(*b), "b", private=private),
            *nest(self.ctx, sizes, self._finish, private=()),
        ]

    def _of_tile(self) -> list[Buffer]:
        return [self.tile, *([] if self.copied is None else [self.copied])]

    def _task(self, group: Expr, task: Expr) -> list[Statement]:
        zero = scalar.constant(0, self.plan.dtype)

        def clear(index: Sequence[Expr]) -> list[Statement]:
            feature, column = index
            at = self._sum_of(group, feature, column)
            return [self._lanes(lambda lane: [Store(self.sums, (at, self._lane_of(task, lane)), zero)])]

        cleared = nest(self.ctx, [self.windows.group_features, self.columns], clear, private=())
        part = self.ctx.axis("part")
        number = scalar.add(scalar.mul(task, scalar.index(self.plan.parts)), part)
        first_channel = scalar.mul(number, scalar.index(self.plan.together))
        body = [*self._stage(group, first_channel), *self._add_channels(group, task, first_channel)]
        return [*cleared, For(part, block_size(self.parts, self.plan.parts, task), tuple(body))]

    def _sum_of(self, group: Expr, feature: Expr, column: Expr) -> Expr:
        return scalar.add(scalar.mul(self.windows.feature(group, feature), scalar.index(self.columns)), column)

    def _lane_of(self, task: Expr, lane: Expr) -> Expr:
        return scalar.add(scalar.mul(task, scalar.index(self.plan.lanes)), lane)

    def _lanes(self, body: Callable[[Expr], Sequence[Statement]]) -> Statement:
        lane = self.ctx.axis("lane", self.plan.lanes)
        return For(lane, scalar.index(self.plan.lanes), tuple(body(lane)), mode=Mode.LANES)

    def _stage(self, group: Expr, first_channel: Expr) -> list[Statement]:
        planes = [self.plan.together, self.windows.batch]

        def read(plane: Expr, places: Sequence[Expr]) -> Expr:
            channel, image = delinearise(plane, planes)
            return self.windows.read_input(image, group, places, scalar.add(first_channel, channel))

        statements: list[Statement] = []
        for copy, outputs in enumerate(itertools.product(*map(range, self.last_outputs))):
            layout = _staged(self.axes, outputs)
            statements += stage(self.ctx, layout, math.prod(planes), 0, self.staged, read, origin=copy * self.copy)
        return statements

    def _add_channels(self, group: Expr, task: Expr, first_channel: Expr) -> list[Statement]:
        """Add to the sums of a task the products under all taps of the channels that are staged."""
        vectors = self.plan.taps // self.plan.lanes
        blocks = -(-vectors // self.plan.block)
        if blocks == 1:
            return self._add_block(group, task, first_channel, _Block(_ZERO, scalar.index(vectors), None))
        number = self.ctx.axis("block", blocks)
        first, count = scalar.mul(number, scalar.index(self.plan.block)), block_size(vectors, self.plan.block, number)
        block = _Block(first, count, scalar.equal(number, scalar.index(blocks - 1)))
        return [For(number, scalar.index(blocks), tuple(self._add_block(group, task, first_channel, block)))]

    def _add_block(self, group: Expr, task: Expr, first_channel: Expr, block: _Block) -> list[Statement]:
        height, width = self.plan.tile_features, self.plan.tile_outputs
        features, outputs = _lines(self.windows.group_features, height), _lines(self.columns, width)

        def some_features(panel: Expr, count: int) -> list[Statement]:
            first = scalar.mul(panel, scalar.index(height))
            numbers = [scalar.add(first, scalar.index(number)) for number in range(count)]
            rows = [self._kernel_row(group, number, place, first_channel) for place, number in enumerate(numbers)]

            def some_outputs(panel: Expr, count: int) -> list[Statement]:
                first = scalar.mul(panel, scalar.index(width))
                columns = [scalar.add(first, scalar.index(number)) for number in range(count)]
                sums = [self._sum_of(group, number, column) for number in numbers for column in columns]
                inputs = [self._input_row(column) for column in columns]
                return self._add_tile(list(itertools.product(rows, inputs)), sums, task, block)

            copied = self._copy_rows(group, first, count, first_channel)
            return [*copied, *for_each_panel(self.ctx, "outputs", outputs, some_outputs, [self.tile])]

        return for_each_panel(self.ctx, "features", features, some_features, self._of_tile())

    def _kernel_row(self, group: Expr, feature: Expr, place: int, first_channel: Expr) -> _Row:
        """The row of a feature, number `place` of its tile."""
        rows = self.plan.kernel
        if rows is not None:
            return _Row(rows.memory, rows.first(self.windows.feature(group, feature), first_channel), rows.channel)
        assert self.copied is not None
        return _Row(self.copied, scalar.index(place * self.plan.together * self.plan.taps), self.plan.taps)

    def _copy_rows(self, group: Expr, first_feature: Expr, count: int, first_channel: Expr) -> list[Statement]:
        """Copy the rows of a tile's features where they do not lie as they are read."""
        copied = self.copied
        if copied is None:
            return []
        sizes = [count, self.plan.together, *(axis.taps for axis in self.axes)]

        def copy(index: Sequence[Expr]) -> list[Statement]:
            number, channel, *taps = index
            places = [axis.tap(tap) for axis, tap in zip(self.axes, taps, strict=True)]
            feature = self.windows.feature(group, scalar.add(first_feature, number))
            element = self.windows.kernel_at(feature, places, scalar.add(first_channel, channel))
            return [Store(copied, (scalar.row_major(index, sizes),), element)]

        return list(nest(self.ctx, sizes, copy, "tap"))

    def _input_row(self, column: Expr) -> _Row:
        """The inputs of an output."""
        image, first, *last = delinearise(column, self.outputs)
        copy = scalar.mul(scalar.row_major(last, self.last_outputs), scalar.index(self.copy))
        plane = scalar.mul(image, scalar.index(self.layout.plane))
        place = scalar.add(scalar.add(copy, plane), self.layout.of_taps([first]))
        return _Row(self.staged, place, self.windows.batch * self.layout.plane)

    def _add_tile(
        self, factors: Sequence[tuple[_Row, _Row]], sums: Sequence[Expr], task: Expr, block: _Block
    ) -> list[Statement]:
        """Add to each of some sums the products of two rows."""
        lanes, rest = self.plan.lanes, self.plan.taps % self.plan.lanes
        zero = scalar.constant(0, self.plan.dtype)
        channel, vector = self.ctx.axis("channel", self.plan.together), self.ctx.axis("vector")
        step = scalar.mul(scalar.add(block.first, vector), scalar.index(lanes))

        def clear(lane: Expr) -> list[Statement]:
            return [Store(self.tile, (scalar.index(number), lane), zero) for number in range(len(sums))]

        def flush(lane: Expr) -> list[Statement]:
            places = [(row, self._lane_of(task, lane)) for row in sums]
            terms = [Load(self.tile, (scalar.index(number), lane)) for number in range(len(sums))]
            return [
                Store(self.sums, at, scalar.add(Load(self.sums, at), term))
                for at, term in zip(places, terms, strict=True)
            ]

        def whole(lane: Expr) -> list[Statement]:
            return self._add_products(factors, channel, scalar.add(step, lane), lane, None)

        def last(lane: Expr) -> list[Statement]:
            tap = scalar.add(scalar.index(self.plan.taps - lanes), lane)
            return self._add_products(
                factors, channel, tap, lane, scalar.greater_equal(lane, scalar.index(lanes - rest))
            )

        body: list[Statement] = [For(vector, block.vectors, (self._lanes(whole),))]
        if rest:
            ragged = self._lanes(last)
            body.append(ragged if block.is_last is None else If(block.is_last, (ragged,)))
        return [
            self._lanes(clear),
            For(channel, scalar.index(self.plan.together), tuple(body)),
            self._lanes(flush),
        ]

    def _add_products(
        self, factors: Sequence[tuple[_Row, _Row]], channel: Expr, tap: Expr, lane: Expr, counts: Expr | None
    ) -> list[Statement]:
        """A lane of each sum and one product more, where it `counts`."""
        zero = scalar.constant(0, self.plan.dtype)
        elements: dict[_Row, Expr] = {}
        for row in itertools.chain.from_iterable(factors):
            if row not in elements:
                place = scalar.add(scalar.add(row.first, scalar.mul(channel, scalar.index(row.step))), tap)
                element: Expr = Load(row.memory, (place,))
                elements[row] = element if counts is None else scalar.select(counts, element, zero)
        added: list[Statement] = []
        for number, (x, y) in enumerate(factors):
            at = (scalar.index(number), lane)
            added.append(Store(self.tile, at, scalar.fma(elements[x], elements[y], Load(self.tile, at))))
        return added

    def _finish(self, index: Sequence[Expr]) -> list[Statement]:
        """Add up the lanes of an output's sum and hand it to the consumers."""
        group, number, image, *outputs = index
        row = self._sum_of(group, number, scalar.row_major(index[2:], self.outputs))
        k, dtype = self.ctx.axis("k"), self.plan.dtype
        total, result = Local("total", dtype), Local("sum", dtype)
        added = Apply(Primitive.ADD, (total, Load(self.sums, (row, k))), dtype, reassociate=True)
        carry = Carry(total, scalar.constant(0, dtype), added, result)
        places = [axis.output(output) for axis, output in zip(self.axes, outputs, strict=True)]
        lanes = For(k, scalar.index(self.sums.shape[1]), (), (carry,), mode=Mode.VECTOR)
        return [lanes, *self.windows.write(image, self.windows.feature(group, number), places, result)]


def _lines(count: int, width: int) -> Span:
    """All of `count` features or outputs, `width` at a time."""
    return span(count, -(-count // width) * width, width, _ZERO)
