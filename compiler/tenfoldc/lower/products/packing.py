"""Packing: blocks of an operand copied into panels, in the order in which the inner kernel reads them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from tenfold_rt.frozen import frozen
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Axis, Buffer, Constant, Expr, For, If, Load, Mode, Statement, Store, TransposeTile
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.loop_nest import turns
from tenfoldc.lower.products.product import Operand
from tenfoldc.lower.storage import flat


@frozen
class Span:
    """A block of lines (rows or columns): its first one, its full panels, and whether it has the ragged last one.

    `has_tail` is a condition, or None where every block has the tail; `tail` is that panel's lines, 0 for none.
    """

    first: Expr
    lines: Expr
    full: Expr
    width: int
    tail: int
    has_tail: Expr | None

    @property
    def in_full_panels(self) -> Span:
        """The same block with its ragged panel as a full one."""
        if not self.tail:
            return self
        up = scalar.add(self.lines, scalar.index(self.width - 1))
        return replace(self, full=scalar.div(up, scalar.index(self.width)), tail=0)

    def end_of_next(self, panel: Expr) -> Expr:
        """The last line of the panel after `panel`, which may lie beyond the last one."""
        after = scalar.mul(scalar.add(panel, scalar.index(2)), scalar.index(self.width))
        return scalar.add(self.first, scalar.sub(after, scalar.index(1)))


@frozen
class DepthSpan:
    """A block of the depth: all channels of some positions, or some channels of one."""

    first_position: Expr
    positions: Expr
    first_channel: Expr
    channels: Expr
    depth: Expr


def block_size(total: int, block: int, number: Expr) -> Expr:
    """How much block `number` holds of `total` cut into pieces of `block`, of which the last may be smaller."""
    if total % block == 0:
        return scalar.index(block)
    if total < block:
        return scalar.index(total)
    return scalar.minimum(scalar.index(block), scalar.sub(scalar.index(total), scalar.mul(number, scalar.index(block))))


def span(total: int, block: int, width: int, number: Expr) -> Span:
    """Block `number` of `total` lines, `block` to each, in panels of `width`; `block` is a multiple of `width`."""
    lines = block_size(total, block, number)
    if isinstance(lines, Constant):
        full: Expr = scalar.index(int(lines.value) // width)
    else:
        full = scalar.div(lines, scalar.index(width))
    last = -(-total // block) - 1
    has_tail = scalar.equal(number, scalar.index(last)) if last > 0 else None
    return Span(scalar.mul(number, scalar.index(block)), lines, full, width, total % width, has_tail)


def for_each_panel(
    ctx: LoweringContext,
    name: str,
    lines: Span,
    body: Callable[[Expr, int], Sequence[Statement]],
    private: Sequence[Buffer] | None = (),
) -> list[Statement]:
    """`body(panel, lines)` for each panel of a block, the ragged one last, each independent but for `private`.

    Where `private` is None, they are not independent.
    """
    statements: list[Statement] = []
    if not (isinstance(lines.full, Constant) and lines.full.value == 0):
        panel = ctx.axis(name)
        statements.append(turns(panel, lines.full, body(panel, lines.width), private))
    if lines.tail:
        tail = tuple(body(lines.full, lines.tail))
        statements += tail if lines.has_tail is None else [If(lines.has_tail, tail)]
    return statements


def pack(
    ctx: LoweringContext,
    operand: Operand,
    batch: Expr,
    lines: Span,
    depth: DepthSpan,
    total_channels: int,
    panels: Buffer,
    first: Expr,
) -> list[Statement]:
    """Copy a block into `panels`, shape (panels, kc, width), from the `first` on; ragged lanes hold finite numbers.

    That is 0, or what the last line holds: lines that lie apart are read one by one, each where it is.
    """
    block = _Block(ctx, operand, batch, lines, depth, total_channels, panels, first)
    reads_lines = not operand.lines_adjoin and block.transposed(scalar.index(0), lines.width) is None
    return for_each_panel(ctx, "panel", lines.in_full_panels if reads_lines else lines, block.copy)


@frozen
class _Block:
    """A block on its way into panels."""

    ctx: LoweringContext
    operand: Operand
    batch: Expr
    lines: Span
    depth: DepthSpan
    total_channels: int
    panels: Buffer
    first: Expr

    def copy(self, panel: Expr, count: int) -> list[Statement]:
        """One panel, of which `count` lanes are lines."""
        transposed = self.transposed(panel, count)
        if transposed is not None:
            return [transposed, *self._fill(panel, count)]
        positions = self.depth.positions
        has_one_position = isinstance(positions, Constant) and positions.value == 1
        position = scalar.index(0) if has_one_position else self.ctx.axis("position")
        channel = self.ctx.axis("channel")
        if self.operand.lines_adjoin:
            lane = self.ctx.axis("lane")
            element = self._element(panel, lane, position, channel)
            copied = (For(lane, scalar.index(count), (element,), mode=Mode.VECTOR),)
            body = For(channel, self.depth.channels, copied)
        else:
            elements = tuple(self._element(panel, scalar.index(lane), position, channel) for lane in range(count))
            body = For(channel, self.depth.channels, elements, mode=Mode.VECTOR)
        if isinstance(position, Axis):
            body = For(position, positions, (body,))
        return [body, *self._fill(panel, count)]

    def _element(self, panel: Expr, lane: Expr, position: Expr, channel: Expr) -> Statement:
        line = scalar.add(self.lines.first, scalar.add(scalar.mul(panel, scalar.index(self.lines.width)), lane))
        if isinstance(lane, Constant) and lane.value >= self.lines.tail > 0:
            last = scalar.sub(scalar.add(self.lines.first, self.lines.lines), scalar.index(1))
            line = scalar.minimum(line, last)
        p = scalar.add(self.depth.first_position, position)
        c = scalar.add(self.depth.first_channel, channel)
        value = scalar.convert(self.operand.read(self.batch, line, p, c), self.panels.dtype)
        turn = scalar.add(scalar.mul(position, scalar.index(self.total_channels)), channel)
        return Store(self.panels, (scalar.add(self.first, panel), turn, lane), value)

    def transposed(self, panel: Expr, count: int) -> Statement | None:
        """A panel of `count` lines that lie side by side in memory; None where they do not."""
        operand, depth, width = self.operand, self.depth, self.lines.width
        line = scalar.add(self.lines.first, scalar.mul(panel, scalar.index(width)))
        first = operand.read(self.batch, line, depth.first_position, depth.first_channel)
        if operand.line_stride is None or not isinstance(first, Load) or first.dtype != self.panels.dtype:
            return None
        sizes = first.buffer.shape
        offset: Expr = scalar.index(0)
        for axis, position in enumerate(first.index):
            offset = scalar.add(offset, scalar.mul(position, scalar.index(math.prod(sizes[axis + 1 :]))))
        return TransposeTile(
            target=flat(self.panels),
            target_first=scalar.mul(scalar.add(self.first, panel), scalar.index(math.prod(self.panels.shape[1:]))),
            target_stride=width,
            source=flat(first.buffer),
            source_first=offset,
            source_stride=operand.line_stride,
            rows=depth.channels,
            columns=scalar.index(count),
        )

    def _fill(self, panel: Expr, count: int) -> list[Statement]:
        """Zeros in the lanes that are no lines."""
        if count == self.lines.width:
            return []
        k, lane = self.ctx.axis("k"), self.ctx.axis("lane")
        index = (scalar.add(self.first, panel), k, scalar.add(scalar.index(count), lane))
        cleared = Store(self.panels, index, scalar.constant(0, self.panels.dtype))
        return [For(k, self.depth.depth, (For(lane, scalar.index(self.lines.width - count), (cleared,)),))]
