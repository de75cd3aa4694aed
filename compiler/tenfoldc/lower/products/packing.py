"""Packing: blocks of an operand copied into panels, in the order in which the inner kernel reads them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Axis, Buffer, Constant, Expr, For, If, Load, Mode, Statement, Store, TransposeTile
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.loop_nest import turns
from tenfoldc.lower.products.product import Operand


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
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
    private: Sequence[Buffer] = (),
) -> list[Statement]:
    """`body(panel, lines)` for each panel of a block, the ragged one last, each independent but for `private`."""
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
    first_panel: Expr,
) -> list[Statement]:
    """Copy a block into `panels`, shape (panels, kc, width), from panel `first_panel` on; ragged lanes become 0."""

    def element(panel: Expr, lane: Expr, position: Expr, channel: Expr) -> Statement:
        line = scalar.add(lines.first, scalar.add(scalar.mul(panel, scalar.index(lines.width)), lane))
        p = scalar.add(depth.first_position, position)
        c = scalar.add(depth.first_channel, channel)
        value = scalar.convert(operand.read(batch, line, p, c), panels.dtype)
        return Store(panels, (scalar.add(first_panel, panel), turn(position, channel), lane), value)

    def turn(position: Expr, channel: Expr) -> Expr:
        return scalar.add(scalar.mul(position, scalar.index(total_channels)), channel)

    def copy(panel: Expr, count: int) -> list[Statement]:
        transposed = transpose(panel) if count == lines.width else None
        if transposed is not None:
            return [transposed]
        has_one_position = isinstance(depth.positions, Constant) and depth.positions.value == 1
        position = scalar.index(0) if has_one_position else ctx.axis("position")
        channel = ctx.axis("channel")
        if operand.lines_adjoin:
            lane = ctx.axis("lane")
            copied = (For(lane, scalar.index(count), (element(panel, lane, position, channel),), mode=Mode.VECTOR),)
            body = For(channel, depth.channels, copied)
        else:
            copied = tuple(element(panel, scalar.index(lane), position, channel) for lane in range(count))
            body = For(channel, depth.channels, copied, mode=Mode.VECTOR)
        if isinstance(position, Axis):
            body = For(position, depth.positions, (body,))
        return [body, *fill(panel, count)]

    def transpose(panel: Expr) -> Statement | None:
        """The same for a whole panel of lines that lie side by side in memory."""
        line = scalar.add(lines.first, scalar.mul(panel, scalar.index(lines.width)))
        first = operand.read(batch, line, depth.first_position, depth.first_channel)
        if operand.line_stride is None or not isinstance(first, Load) or first.dtype != panels.dtype:
            return None
        sizes = first.buffer.shape
        weights = [scalar.index(math.prod(sizes[axis + 1 :])) for axis in range(len(sizes))]
        offset: Expr = scalar.index(0)
        for position, weight in zip(first.index, weights, strict=True):
            offset = scalar.add(offset, scalar.mul(position, weight))
        panel_size = scalar.index(math.prod(panels.shape[1:]))
        return TransposeTile(
            target=_flat(panels),
            target_first=scalar.mul(scalar.add(first_panel, panel), panel_size),
            target_stride=lines.width,
            source=_flat(first.buffer),
            source_first=offset,
            source_stride=operand.line_stride,
            rows=depth.channels,
            columns=scalar.index(lines.width),
        )

    def fill(panel: Expr, count: int) -> list[Statement]:
        if count == lines.width:
            return []
        k, lane = ctx.axis("k"), ctx.axis("lane")
        zero = scalar.constant(0, panels.dtype)
        index = (scalar.add(first_panel, panel), k, scalar.add(scalar.index(count), lane))
        lanes = For(lane, scalar.index(lines.width - count), (Store(panels, index, zero),))
        return [For(k, depth.depth, (lanes,))]

    return for_each_panel(ctx, "panel", lines, copy)


def _flat(buffer: Buffer) -> Buffer:
    return Buffer(buffer.name, buffer.dtype, (math.prod(buffer.shape),), base=buffer)
