"""Rows of windows along the last axis, short enough for the nearest cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Buffer, Expr, Statement
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.loop_nest import loop, nest
from tenfoldc.ops.window import WindowAxis

Index: TypeAlias = tuple[Expr, ...]

ROW = 1024
"""Windows in a row of accumulators, which then stays in the nearest cache."""


def each_row(
    context: LoweringContext,
    axes: Sequence[WindowAxis],
    body: Callable[[Index, Expr, Expr], Sequence[Statement]],
    private: Sequence[Buffer] | None = None,
) -> Sequence[Statement]:
    """`body(outer, start, length)` for rows of at most `ROW` windows along the last axis.

    Where `private` is given, rows are independent of each other but for that scratch memory.
    """
    extents = [axis.windows for axis in axes[:-1]]
    windows = axes[-1].windows
    if windows <= ROW:
        return nest(
            context, extents, lambda outer: body(outer, scalar.index(0), scalar.index(windows)), private=private
        )

    def block(index: Index) -> Sequence[Statement]:
        start = scalar.mul(index[-1], scalar.index(ROW))
        rest = scalar.sub(scalar.index(windows), start)
        return body(index[:-1], start, scalar.minimum(rest, scalar.index(ROW)))

    return nest(context, [*extents, -(-windows // ROW)], block, private=private)


def along_row(
    context: LoweringContext, length: Expr, body: Callable[[Expr], Sequence[Statement]]
) -> Sequence[Statement]:
    axis = context.axis("place")
    return loop(axis, length, body(axis))
