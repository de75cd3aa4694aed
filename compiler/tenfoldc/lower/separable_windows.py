"""Window reductions axis by axis, for bodies whose operands may be reordered: sums, products, extremes, `and`, `or`.

The windows along the last windowed axis, the line, are done a row at a time.  What the windows hold along all other
axes is combined first, into a row that lies in the nearest cache together with the padding at its ends; each result
then comes from the places of the row that its window covers.  Where windows are a few elements apart, the places are
first parted by their remainder, as vectors of windows then read vectors of places.

A window of r x c elements so costs about r + c combinations in place of r c, and no place is tested for lying outside.
Nor does a sum round oftener: each of its terms goes through at most r + c additions.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import TypeAlias

from tenfold_rt.frozen import frozen
from tenfoldc.ir.core import Operation
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Buffer, Constant, Expr, If, Load, Statement, Store
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.folding import has_neutral, neutral
from tenfoldc.lower.loop_nest import loop, nest
from tenfoldc.lower.window_steps import always_inside, clipped, visit_steps, window_steps
from tenfoldc.lower.window_values import initial_values
from tenfoldc.ops.window import WindowAxis

Index: TypeAlias = tuple[Expr, ...]

ROOM = 8192
"""Elements of a row, few enough for a near cache."""

COLUMNS = 512
"""Elements of the last axis in a row, where that is not the line."""

MOST_STEPS = 32
"""Steps of a window that become one expression."""

MOST_PHASES = 4
"""Strides of windows up to which the places of a row are parted, so that vectors of windows are loaded whole."""


def windows_separate(operation: Operation, axes: Sequence[WindowAxis]) -> bool:
    """Whether `lower_separable` can reorder the body, and a row has room for a window."""
    number = _line_number(axes)
    if number is None or not has_neutral(operation):
        return False
    return _places(axes[number], 1) * _columns(axes, number) <= ROOM


def lower_separable(operation: Operation, context: LoweringContext, axes: Sequence[WindowAxis]) -> Sequence[Statement]:
    """Statements for a `reduce_window` for which `windows_separate` holds."""
    number = _line_number(axes)
    assert number is not None
    line, columns = axes[number], _columns(axes, number)
    windows = min(line.windows, (ROOM // columns - _places(line, 1)) // line.stride + 1)
    dtype = operation.results[0].type.dtype
    row = context.scratch("row", dtype, (_places(line, windows), columns))
    results = context.scratch("results", dtype, (windows, columns)) if line.window > MOST_STEPS else None
    phases = None
    if results is None and number + 1 == len(axes) and 1 < line.stride <= MOST_PHASES:
        phases = context.scratch("phases", dtype, (line.stride, row.shape[0] // line.stride))
    rows = _Rows(operation, context, tuple(axes), number, row, phases, results, windows)
    after = [axis.size for axis in axes[number + 1 :]]
    blocks = [-(-line.windows // windows), -(-after[-1] // columns) if after else 1]
    outer = [*(axis.windows for axis in axes[:number]), *after[:-1], *blocks]
    return nest(context, outer, rows.statements, private=rows.scratches)


def _line_number(axes: Sequence[WindowAxis]) -> int | None:
    return max((number for number, axis in enumerate(axes) if not axis.trivial), default=None)


def _columns(axes: Sequence[WindowAxis], number: int) -> int:
    return min(axes[-1].size, COLUMNS) if number + 1 < len(axes) else 1


def _places(axis: WindowAxis, windows: int) -> int:
    """Positions that so many neighbouring windows cover, up to the next multiple of their stride."""
    covered = (axis.window - 1) * axis.window_dilation + 1
    return (windows - 1 + -(-covered // axis.stride)) * axis.stride


Body: TypeAlias = Callable[[Expr, Expr], Sequence[Statement]]
"""What to do at a place, or for a window, of a row and in a column."""


@frozen
class _Rows:
    """The rows of one operation.

    `axes[number]` is the line, of whose windows a row has at most `windows`.  `phases`, where given, holds the places
    of the row by their remainder and quotient by the stride; `results` accumulates windows of many steps.
    """

    operation: Operation
    context: LoweringContext
    axes: tuple[WindowAxis, ...]
    number: int
    row: Buffer
    phases: Buffer | None
    results: Buffer | None
    windows: int

    @property
    def scratches(self) -> list[Buffer]:
        return [buffer for buffer in (self.row, self.phases, self.results) if buffer is not None]

    def statements(self, index: Index) -> Sequence[Statement]:
        """The row at `index`: along the axes before the line and after it, blocks of windows, blocks of columns."""
        start, windows = _block(index[-2], self.axes[self.number].windows, self.windows)
        column, columns = scalar.index(0), scalar.index(1)
        if self.number + 1 < len(self.axes):
            column, columns = _block(index[-1], self.axes[-1].size, self.row.shape[1])
        row = _Row(self, index[: self.number], index[self.number : -2], start, windows, column, columns)
        reduced = row.reduce() if self.results is None else row.accumulate(self.results)
        return [*row.gather(), *row.part(), *reduced]

    def combine(self, values: Sequence[Expr]) -> Expr:
        """`values` one after the other."""
        return reduce(lambda one, other: self.context.region(0, [one, other])[0], values)


def _block(number: Expr, extent: int, size: int) -> tuple[Expr, Expr]:
    """Where block `number` of an axis begins, and how much of the axis it has."""
    if extent <= size:
        return scalar.index(0), scalar.index(extent)
    start = scalar.mul(number, scalar.index(size))
    return start, scalar.minimum(scalar.sub(scalar.index(extent), start), scalar.index(size))


@frozen
class _Row:
    """So many `windows` along the line from `start`, and `columns` of the last axis from `column`."""

    rows: _Rows
    before: Index
    after: Index
    start: Expr
    windows: Expr
    column: Expr
    columns: Expr

    @property
    def line(self) -> WindowAxis:
        return self.rows.axes[self.rows.number]

    def gather(self) -> Sequence[Statement]:
        """Combine what the windows hold along the axes before the line, for each place of the row."""
        above = self.rows.axes[: self.rows.number]
        nothing = self._fill(scalar.index(0), self._places())
        clip = [*nothing, *visit_steps(self.rows.context, above, self.before, self._combine_step)]
        if any(axis.base_dilation > 1 for axis in above) or math.prod(axis.window for axis in above) > MOST_STEPS:
            return clip
        whole = [*self._fill_padding(), *self._combine_steps(above)]
        inside = [
            scalar.equal(window_steps(axis, window).extent, scalar.index(axis.window))
            for axis, window in zip(above, self.before, strict=True)
            if not always_inside(axis)
        ]
        return [If(reduce(scalar.logical_and, inside), tuple(whole), tuple(clip))] if inside else whole

    def part(self) -> Sequence[Statement]:
        """Part the row into its phases, if it has any."""
        row, phases, stride = self.rows.row, self.rows.phases, self.line.stride
        if phases is None:
            return ()
        axis = self.rows.context.axis("quotient")
        count = scalar.add(self.windows, scalar.index(_places(self.line, 1) // stride - 1))
        stores = [
            Store(phases, (scalar.index(phase), axis), Load(row, (_position(self.line, axis, phase), scalar.index(0))))
            for phase in range(stride)
        ]
        return loop(axis, count, stores)

    def reduce(self) -> Sequence[Statement]:
        """Write the result of each window, one expression of the places of the row."""

        def window(number: Expr, column: Expr) -> Sequence[Statement]:
            return self._write(number, column, self.rows.combine([self._initial(), *self._covered(number, column)]))

        return self._each(self.windows, window)

    def accumulate(self, results: Buffer) -> Sequence[Statement]:
        """Write the result of each window, to which the places of the row are added step by step."""
        step = self.rows.context.axis("step", self.line.window)

        def begin(window: Expr, column: Expr) -> Sequence[Statement]:
            return [Store(results, (window, column), self._initial())]

        def add(window: Expr, column: Expr) -> Sequence[Statement]:
            place = scalar.add(
                scalar.mul(window, scalar.index(self.line.stride)),
                scalar.mul(step, scalar.index(self.line.window_dilation)),
            )
            values = [Load(results, (window, column)), Load(self.rows.row, (place, column))]
            return [Store(results, (window, column), self.rows.combine(values))]

        def finish(window: Expr, column: Expr) -> Sequence[Statement]:
            return self._write(window, column, Load(results, (window, column)))

        additions = loop(step, scalar.index(self.line.window), self._each(self.windows, add))
        return [*self._each(self.windows, begin), *additions, *self._each(self.windows, finish)]

    def _initial(self) -> Expr:
        return initial_values(self.rows.operation, self.rows.context)[0]

    def _covered(self, window: Expr, column: Expr) -> list[Expr]:
        """What the row holds at the steps of a window."""
        row, phases, stride = self.rows.row, self.rows.phases, self.line.stride
        places = [step * self.line.window_dilation for step in range(self.line.window)]
        if phases is None:
            return [Load(row, (_position(self.line, window, place), column)) for place in places]
        return [
            Load(phases, (scalar.index(place % stride), scalar.add(window, scalar.index(place // stride))))
            for place in places
        ]

    def _write(self, window: Expr, column: Expr, value: Expr) -> Sequence[Statement]:
        index = (*self.before, scalar.add(self.start, window), *self.after, *self._columns(column))
        return self.rows.context.write(index, value)

    def _columns(self, column: Expr) -> Index:
        """The index along the last axis, where that is not the line."""
        return (scalar.add(self.column, column),) if self.rows.number + 1 < len(self.rows.axes) else ()

    def _combine_steps(self, above: Sequence[WindowAxis]) -> Sequence[Statement]:
        """Every element of the row from all steps along the axes `above`, none of which leaves the operand."""
        steps = list(itertools.product(*(range(axis.window) for axis in above)))

        def combine(element: Expr, column: Expr) -> Sequence[Statement]:
            lines = [
                tuple(
                    _position(axis, window, step * axis.window_dilation - axis.low)
                    for axis, window, step in zip(above, self.before, taken, strict=True)
                )
                for taken in steps
            ]
            value = self.rows.combine([self._read(line, element, column) for line in lines])
            return [Store(self.rows.row, (self._place(element), column), value)]

        return self._each_element(combine)

    def _combine_step(self, line: Sequence[Expr]) -> Sequence[Statement]:
        """Combine the row with the elements of one `line`."""
        row = self.rows.row

        def combine(element: Expr, column: Expr) -> Sequence[Statement]:
            index = (self._place(element), column)
            return [Store(row, index, self.rows.combine([Load(row, index), self._read(line, element, column)]))]

        return self._each_element(combine)

    def _read(self, line: Sequence[Expr], element: Expr, column: Expr) -> Expr:
        return self.rows.context.read(0, (*line, element, *self.after, *self._columns(column)))

    # Places along the line

    def _first(self) -> Expr:
        """The position of place 0 from that of element 0."""
        return scalar.sub(scalar.mul(self.start, scalar.index(self.line.stride)), scalar.index(self.line.low))

    def _places(self) -> Expr:
        last = scalar.mul(scalar.add(self.windows, scalar.index(-1)), scalar.index(self.line.stride))
        return scalar.add(last, scalar.index(_places(self.line, 1)))

    def _place(self, element: Expr) -> Expr:
        return scalar.sub(scalar.mul(element, scalar.index(self.line.base_dilation)), self._first())

    def _elements(self) -> tuple[Expr, Expr]:
        """The first element that has a place, and how many have."""

        def covered(position: Expr) -> Expr:
            """The first element not before `position`.  Quotients truncate; what is negative is clipped away."""
            gap = self.line.base_dilation
            return scalar.div(scalar.add(position, scalar.index(gap - 1)), scalar.index(gap)) if gap > 1 else position

        first = scalar.maximum(covered(self._first()), scalar.index(0))
        end = covered(scalar.add(self._first(), self._places()))
        return first, clipped(first, scalar.minimum(end, scalar.index(self.line.size)))

    def _fill_padding(self) -> Sequence[Statement]:
        """Neutral values where the row has no elements."""
        if self.line.base_dilation > 1:
            return self._fill(scalar.index(0), self._places())
        first, count = self._elements()
        head = scalar.minimum(self._place(first), self._places())
        end = scalar.add(head, count)
        return [*self._fill(scalar.index(0), head), *self._fill(end, scalar.sub(self._places(), end))]

    def _fill(self, first: Expr, count: Expr) -> Sequence[Statement]:
        if isinstance(count, Constant) and count.value == 0:
            return ()
        value = neutral(self.rows.operation)
        return self._each(count, lambda at, column: [Store(self.rows.row, (scalar.add(first, at), column), value)])

    def _each_element(self, body: Body) -> Sequence[Statement]:
        first, count = self._elements()
        return self._each(count, lambda at, column: body(scalar.add(first, at), column))

    def _each(self, count: Expr, body: Body) -> Sequence[Statement]:
        place = self.rows.context.axis("place")
        if self.rows.number + 1 == len(self.rows.axes):
            return loop(place, count, body(place, scalar.index(0)))
        column = self.rows.context.axis("column")
        return loop(place, count, loop(column, self.columns, body(place, column)))


def _position(axis: WindowAxis, window: Expr, place: int) -> Expr:
    """The position that lies `place` after the first step of a window."""
    return scalar.add(scalar.mul(window, scalar.index(axis.stride)), scalar.index(place))
