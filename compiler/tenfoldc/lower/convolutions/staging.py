"""The part of the input that one product of a convolution reads, laid out so that all columns of a tap adjoin.

The padding is written as zeros once, the places of a strided axis are sorted by their remainder, and what is fused
into the input is computed once per element.  Under every tap the columns are then runs of memory at fixed distances
from each other: packing is copying rows, with no test anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from tenfold_rt.frozen import frozen
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Axis, Buffer, Expr, For, Load, Mode, Statement, Store, TransposeTile
from tenfoldc.loops.rewriting import BufferReplacer
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.convolutions.axes import SpatialAxis
from tenfoldc.lower.loop_nest import turns
from tenfoldc.lower.products.product import delinearise, steps_in_memory
from tenfoldc.lower.storage import flat

_FEWEST_TRANSPOSED = 4
"""Places along each of two axes from which a block of them is transposed in registers."""


@frozen
class Layout:
    """Where the element of a channel, an output and a tap lies: channels outside, then each axis by part and place."""

    axes: tuple[SpatialAxis, ...]

    def strides(self) -> list[int]:
        """The distance of neighbouring places along each axis."""
        return [math.prod(axis.parts * axis.length for axis in self.axes[a + 1 :]) for a in range(len(self.axes))]

    @property
    def plane(self) -> int:
        """The elements of a channel."""
        return math.prod(axis.parts * axis.length for axis in self.axes)

    @property
    def outputs(self) -> list[int]:
        return [axis.outputs for axis in self.axes]

    @property
    def taps(self) -> list[int]:
        return [axis.taps for axis in self.axes]

    def run(self) -> int:
        """How many columns, at the least, adjoin from the beginning of a row on."""
        size, dense = 1, 1
        for axis in reversed(self.axes):
            if size != dense:
                break
            size, dense = size * axis.outputs, dense * axis.parts * axis.length
        return size

    def of_output(self, column: Expr) -> Expr:
        """The place of a column under tap 0, from the beginning of the channel."""
        place: Expr = scalar.index(0)
        for number, stride in zip(delinearise(column, self.outputs), self.strides(), strict=True):
            place = scalar.add(place, scalar.mul(number, scalar.index(stride)))
        return place

    def of_taps(self, taps: Sequence[Expr]) -> Expr:
        """How far from it the place under a tap is; the last axes may be without taps."""
        place: Expr = scalar.index(0)
        for axis, tap, stride in zip(self.axes, taps, self.strides(), strict=False):
            part = scalar.mul(axis.part(tap), scalar.index(axis.length * stride))
            place = scalar.add(place, scalar.add(part, scalar.mul(axis.advance(tap), scalar.index(stride))))
        return place


ReadInput = Callable[[Expr, Sequence[Expr]], Expr]
"""The input's element of a channel at places along the axes, all inside."""


def stage(
    ctx: LoweringContext,
    layout: Layout,
    channels: int,
    slack: int,
    memory: Buffer,
    read: ReadInput,
    *,
    origin: int = 0,
) -> list[Statement]:
    """Fill `memory` with `channels` planes of the input in `layout`, zeros outside, and `slack` zeros at the end.

    The first plane begins at `origin`.
    """
    strides = layout.strides()
    zero = scalar.constant(0, memory.dtype)

    def clear(first: Expr, count: int) -> list[Statement]:
        if not count:
            return []
        place = ctx.axis("zero", count)
        cleared = Store(memory, (scalar.add(first, place),), zero)
        return [For(place, scalar.index(count), (cleared,), mode=Mode.VECTOR)]

    def fill(channel: Expr, number: int, first: Expr, places: tuple[Expr, ...]) -> list[Statement]:
        if number == len(layout.axes):
            return [Store(memory, (first,), scalar.convert(read(channel, places), memory.dtype))]
        axis, stride, statements = layout.axes[number], strides[number], list[Statement]()
        for part in range(axis.parts):
            begin, end = axis.inside(part)
            origin = scalar.add(first, scalar.index(part * axis.length * stride))
            statements += clear(origin, begin * stride)
            if begin < end:
                turn = ctx.axis("place", end - begin)
                place = scalar.add(
                    scalar.mul(turn, scalar.index(axis.stride)),
                    scalar.index(begin * axis.stride + axis.offset(part)),
                )
                start = scalar.add(origin, scalar.index(begin * stride))
                at = scalar.add(start, scalar.mul(turn, scalar.index(stride)))
                statements.append(
                    transposed(channel, number, start, (*places, place), turn, end - begin)
                    or For(turn, scalar.index(end - begin), tuple(fill(channel, number + 1, at, (*places, place))))
                )
            statements += clear(scalar.add(origin, scalar.index(end * stride)), (axis.length - end) * stride)
        return statements

    def transposed(
        channel: Expr, number: int, start: Expr, places: tuple[Expr, ...], turn: Axis, turns: int
    ) -> Statement | None:
        """All of the last two axes where the first of them, `number`, is the one whose places adjoin in memory."""
        if number != len(layout.axes) - 2 or turns < _FEWEST_TRANSPOSED:
            return None
        last = layout.axes[-1]
        if last.parts != 1 or last.inside(0) != (0, last.length) or last.length < _FEWEST_TRANSPOSED:
            return None
        lane = ctx.axis("place", last.length)
        element = read(channel, (*places, scalar.add(lane, scalar.index(last.offset(0)))))
        steps = steps_in_memory(element, [turn, lane])
        if steps is None or steps[0] != 1 or steps[1] < 1 or last.stride != 1 or element.dtype != memory.dtype:
            return None
        assert isinstance(element, Load)
        corner = BufferReplacer({}, {turn: scalar.index(0), lane: scalar.index(0)})
        return TransposeTile(
            target=memory,
            target_first=start,
            target_stride=last.length,
            source=flat(element.buffer),
            source_first=corner.expression(scalar.row_major(element.index, element.buffer.shape)),
            source_stride=steps[1],
            rows=scalar.index(turns),
            columns=scalar.index(last.length),
        )

    channel = ctx.axis("channel", channels)
    first = scalar.add(scalar.mul(channel, scalar.index(layout.plane)), scalar.index(origin))
    plane = fill(channel, 0, first, ())
    return [
        turns(channel, scalar.index(channels), plane),
        *clear(scalar.index(origin + channels * layout.plane), slack),
    ]


def staged_size(layout: Layout, channels: int, slack: int) -> tuple[int]:
    """The shape of memory that `stage` fills."""
    return (channels * layout.plane + slack,)
