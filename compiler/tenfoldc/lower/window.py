"""Lowering of window reductions and select-and-scatter.

A row of windows along the last axis is worked on at a time: the loops over the steps of a window lie outside, the
loop over the row inside, so that the innermost loop runs through memory in
order.  Where windows hang over an edge, the range of a loop is clipped before it starts.  Four forms of
`reduce_window`:

    running    windows from one end of an axis, as in a cumulative sum (`tenfoldc.lower.running_windows`)
    direct     few steps, none of which leaves the operand: one expression per result
    separable  a body that may be reordered: axis by axis (`tenfoldc.lower.separable_windows`)
    rows       all others: a row of accumulators, step by step
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import TypeAlias, cast

from tenfold_rt import dtypes
from tenfoldc.ir.core import Operation
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Buffer, Expr, If, Load, Statement, Store
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.disjoint_windows import lower_tiled_select_and_scatter, windows_tile
from tenfoldc.lower.loop_nest import bind, loop, nest, write_result
from tenfoldc.lower.running_windows import lower_running
from tenfoldc.lower.separable_windows import lower_separable, windows_separate
from tenfoldc.lower.window_rows import ROW, along_row, each_row
from tenfoldc.lower.window_steps import always_inside, clipped, meets, nearest, visit_steps, window_steps
from tenfoldc.lower.window_values import elements_at, initial_values, write_all, write_initial_values
from tenfoldc.ops.window import (
    ReduceWindowAttributes,
    SelectAndScatterAttributes,
    WindowAxis,
    running_axis,
)

Index: TypeAlias = tuple[Expr, ...]

DIRECT_STEPS = 32
"""Windows of at most so many steps become one expression."""


# Rows of windows


def _row_range(axis: WindowAxis, step: Expr, start: Expr, length: Expr) -> tuple[Expr, Expr]:
    """The first window of `length` from `start` whose `step` may meet an element, and how many follow."""
    end = scalar.add(start, length)
    if axis.base_dilation > 1 or always_inside(axis):
        return start, length
    stride = scalar.index(axis.stride)
    offset = scalar.sub(scalar.index(axis.low), scalar.mul(step, scalar.index(axis.window_dilation)))
    first = scalar.div(scalar.add(offset, scalar.index(axis.stride - 1)), stride)
    last = scalar.div(scalar.add(offset, scalar.index(axis.size - 1 + axis.stride)), stride)
    first, last = scalar.maximum(first, start), scalar.minimum(last, end)
    return first, clipped(first, last)


Visit: TypeAlias = Callable[[Expr, Index], Sequence[Statement]]
"""What to do where a window meets an element: the window's place in the row and the element's index."""


def _visit_row(
    context: LoweringContext,
    axes: Sequence[WindowAxis],
    outer: Index,
    start: Expr,
    length: Expr,
    visit: Visit,
) -> Sequence[Statement]:
    """`visit` every element of every window of a row, window steps outside and windows inside."""
    row = axes[-1]
    step = context.axis("step", row.window)
    first, count = _row_range(row, step, start, length)
    along = context.axis("window")
    window = scalar.add(first, along)
    position = scalar.sub(
        scalar.add(scalar.mul(window, scalar.index(row.stride)), scalar.mul(step, scalar.index(row.window_dilation))),
        scalar.index(row.low),
    )
    place = scalar.sub(window, start)

    def visit_line(element: Sequence[Expr]) -> Sequence[Statement]:
        inner: Sequence[Statement]
        if row.base_dilation > 1:
            visited = visit(place, (*element, nearest(row, position)))
            inner = (If(meets(row, position), tuple(visited)),)
        else:
            inner = visit(place, (*element, position))
        return loop(step, scalar.index(row.window), loop(along, count, inner))

    return visit_steps(context, axes[:-1], outer, visit_line)


# reduce_window


def lower_reduce_window(operation: Operation, context: LoweringContext) -> Sequence[Statement]:
    """Statements for `reduce_window`."""
    attributes = cast(ReduceWindowAttributes, operation.attributes)
    operand = operation.operands[0].type
    axes = attributes.axes(operand.sizes)
    running = running_axis(attributes, operand.shape)
    if operation.results[0].type.size == 0:
        return ()
    if operand.size == 0:
        return write_initial_values(operation, context)
    if running is not None:
        return lower_running(operation, context, running)
    direct = math.prod(axis.window for axis in axes) <= DIRECT_STEPS and all(map(always_inside, axes))
    if windows_separate(operation, axes) and not (direct and _meets_once(axes)):
        return lower_separable(operation, context, axes)
    if direct:
        return _lower_direct(operation, context, axes)
    return _lower_rows(operation, context, axes)


def _meets_once(axes: Sequence[WindowAxis]) -> bool:
    """Whether windows overlap along one axis at most, so that there is nothing to share between axes."""
    overlapping = [axis for axis in axes if axis.window * axis.windows > axis.size]
    return len(overlapping) <= 1


def _lower_direct(operation: Operation, context: LoweringContext, axes: Sequence[WindowAxis]) -> Sequence[Statement]:
    def window(place: Index) -> Sequence[Statement]:
        steps = [window_steps(axis, at) for axis, at in zip(axes, place, strict=True)]
        values = tuple(initial_values(operation, context))
        for taken in itertools.product(*(range(axis.window) for axis in axes)):
            index = tuple(along.element(scalar.index(step)) for along, step in zip(steps, taken, strict=True))
            values = context.region(0, [*values, *elements_at(operation, context, index)])
        return write_all(context, place, values)

    return nest(context, [axis.windows for axis in axes], window, private=())


def _store_together(
    context: LoweringContext, buffers: Sequence[Buffer], index: Index, values: Sequence[Expr]
) -> list[Statement]:
    """Store one value into each buffer; all are computed before the first is stored."""
    statements: list[Statement] = []
    if len(values) > 1:
        bound, values = bind(context, values)
        statements.extend(bound)
    pairs = zip(buffers, values, strict=True)
    return [*statements, *(Store(buffer, index, value) for buffer, value in pairs)]


def _lower_rows(operation: Operation, context: LoweringContext, axes: Sequence[WindowAxis]) -> Sequence[Statement]:
    width = min(axes[-1].windows, ROW)
    rows = [context.scratch("row", result.type.dtype, (width,)) for result in operation.results]

    def accumulate(place: Expr, element: Index) -> Sequence[Statement]:
        carried = [Load(row, (place,)) for row in rows]
        values = context.region(0, [*carried, *elements_at(operation, context, element)])
        return _store_together(context, rows, (place,), values)

    def row(outer: Index, start: Expr, length: Expr) -> Sequence[Statement]:
        inits = initial_values(operation, context)

        def begin(place: Expr) -> Sequence[Statement]:
            return [Store(row, (place,), init) for row, init in zip(rows, inits, strict=True)]

        def finish(place: Expr) -> Sequence[Statement]:
            return write_all(context, (*outer, scalar.add(start, place)), [Load(row, (place,)) for row in rows])

        return [
            *along_row(context, length, begin),
            *_visit_row(context, axes, outer, start, length, accumulate),
            *along_row(context, length, finish),
        ]

    return each_row(context, axes, row, private=rows)


# select_and_scatter


def lower_select_and_scatter(operation: Operation, context: LoweringContext) -> Sequence[Statement]:
    """Statements for `select_and_scatter`: fill the result, then choose and scatter row by row.

    Threads share the axes in front along which windows are single elements, and so do not meet.
    Windows that meet nowhere are done one by one (`tenfoldc.lower.disjoint_windows`).
    """
    attributes = cast(SelectAndScatterAttributes, operation.attributes)
    sizes = operation.results[0].type.sizes
    # An axis in front gives a scalar a row.
    axes = [*attributes.windows().axes(sizes)] or [WindowAxis(1, 1)]
    if sizes and windows_tile(axes):
        return lower_tiled_select_and_scatter(context, axes)
    result, init = context.result(), context.read(2, ())
    fill = nest(context, sizes, lambda index: [Store(result, index, init)], private=())
    if math.prod(sizes) == 0:
        return fill
    return [*fill, *_Choosing(context, sizes, axes).planes(), *write_result(context, sizes)]


class _Choosing:
    """Rows of windows, each of which chooses an element and scatters to it."""

    def __init__(self, context: LoweringContext, sizes: Sequence[int], axes: Sequence[WindowAxis]) -> None:
        self._context, self._sizes, self._axes = context, sizes, axes
        result, width = context.result(), min(axes[-1].windows, ROW)
        # A position as wide as most elements makes for the widest vectors.
        integer = dtypes.i32 if math.prod(sizes) < 2**31 else dtypes.i64
        self._best = context.scratch("best", result.dtype, (width,))
        self._chosen = context.scratch("chosen", integer, (width,))
        self._flat = Buffer(f"{result.name}.flat", result.dtype, (math.prod(sizes),), base=result)
        self._none = scalar.constant(-1, integer)

    def planes(self) -> Sequence[Statement]:
        """All rows; those of different places along axes in front whose windows are single elements do not meet."""
        axes = self._axes
        apart = sum(1 for _ in itertools.takewhile(lambda axis: axis.trivial, axes[:-1]))

        def plane(place: Index) -> Sequence[Statement]:
            def row(outer: Index, start: Expr, length: Expr) -> Sequence[Statement]:
                return self._row((*place, *outer), start, length)

            return each_row(self._context, axes[apart:], row)

        outer = [axis.windows for axis in axes[:apart]]
        return nest(self._context, outer, plane, private=[self._best, self._chosen])

    def _row(self, outer: Index, start: Expr, length: Expr) -> Sequence[Statement]:
        def scatter(place: Expr) -> Sequence[Statement]:
            return self._scatter(place, (*outer, scalar.add(start, place)) if self._sizes else ())

        return [
            *along_row(self._context, length, self._begin),
            *_visit_row(self._context, self._axes, outer, start, length, self._choose),
            *along_row(self._context, length, scatter),
        ]

    def _begin(self, place: Expr) -> Sequence[Statement]:
        zero = scalar.constant(0, self._best.dtype)
        return [Store(self._best, (place,), zero), Store(self._chosen, (place,), self._none)]

    def _choose(self, place: Expr, element: Index) -> Sequence[Statement]:
        value = self._context.read(0, element[-len(self._sizes) :] if self._sizes else ())
        current, position = Load(self._best, (place,)), Load(self._chosen, (place,))
        (stays,) = self._context.region(0, [current, value])
        keep = scalar.logical_and(scalar.greater(position, self._none), stays)
        here = scalar.convert(row_major(element, [axis.size for axis in self._axes]), self._chosen.dtype)
        return [
            Store(self._best, (place,), scalar.select(keep, current, value)),
            Store(self._chosen, (place,), scalar.select(keep, position, here)),
        ]

    def _scatter(self, place: Expr, window: Index) -> Sequence[Statement]:
        position = Load(self._chosen, (place,))
        target = (scalar.convert(position, dtypes.i64),)
        source = self._context.read(1, window)
        (value,) = self._context.region(1, [Load(self._flat, target), source])
        return [If(scalar.greater(position, self._none), (Store(self._flat, target, value),))]


def row_major(index: Index, sizes: Sequence[int]) -> Expr:
    """The position of `index` in a dense array of `sizes`."""

    def append(position: Expr, part: tuple[Expr, int]) -> Expr:
        return scalar.add(scalar.mul(position, scalar.index(part[1])), part[0])

    return reduce(append, zip(index, sizes, strict=True), cast(Expr, scalar.index(0)))
