"""Window reductions on a GPU, one thread a window, and `select_and_scatter`, which looks twice.

First each window notes the place of the element that it chooses; then each element looks at the windows that cover it
and combines what those that have chosen it bring.  So no two threads write to one place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import TypeAlias, cast

from tenfold_rt import dtypes
from tenfold_rt.frozen import frozen
from tenfoldc.gpu.lower.scans import lower_running
from tenfoldc.ir.core import Operation
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Axis, Carry, Constant, Expr, For, Load, Local, Statement, Store
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.disjoint_windows import lower_tiled_select_and_scatter, windows_tile
from tenfoldc.lower.loop_nest import nest
from tenfoldc.lower.window import row_major
from tenfoldc.lower.window_steps import clipped, window_steps
from tenfoldc.lower.window_values import elements_at, initial_values, write_all, write_initial_values
from tenfoldc.ops.window import ReduceWindowAttributes, SelectAndScatterAttributes, WindowAxis, running_axis

Index: TypeAlias = tuple[Expr, ...]

Step: TypeAlias = Callable[[Index, Sequence[Expr]], Sequence[Expr]]
"""The carried values after one more place."""


@frozen
class _Range:
    """The places to look at along one axis: `place(turn)` for `extent` turns, at most `limit`.

    Where `guard` is given, it says whether there is one at a turn.
    """

    extent: Expr
    limit: int
    place: Callable[[Expr], Expr]
    guard: Callable[[Expr], Expr] | None = None


def lower_reduce_window(operation: Operation, ctx: LoweringContext) -> Sequence[Statement]:
    """The launches of `reduce_window`."""
    attributes = cast(ReduceWindowAttributes, operation.attributes)
    operand = operation.operands[0].type
    axes = attributes.axes(operand.sizes)
    if operand.size == 0:
        return write_initial_values(operation, ctx)
    running = running_axis(attributes, operand.shape)
    if running is not None:
        return lower_running(operation, ctx, running)

    def combine(element: Index, carried: Sequence[Expr]) -> Sequence[Expr]:
        return ctx.region(0, [*carried, *elements_at(operation, ctx, element)])

    def window(place: Index) -> Sequence[Statement]:
        statements, values = _fold(ctx, _covered(axes, place), initial_values(operation, ctx), combine)
        return [*statements, *write_all(ctx, place, values)]

    return nest(ctx, [axis.windows for axis in axes], window, private=())


def lower_select_and_scatter(operation: Operation, ctx: LoweringContext) -> Sequence[Statement]:
    """The launches of `select_and_scatter`."""
    attributes = cast(SelectAndScatterAttributes, operation.attributes)
    sizes = operation.results[0].type.sizes
    axes = attributes.windows().axes(sizes)
    init = ctx.read(2, ())
    if not all(axis.windows for axis in axes):
        return nest(ctx, sizes, lambda index: ctx.write(index, init), private=())
    if not sizes:
        return ctx.write((), ctx.region(1, [init, ctx.read(1, ())])[0])
    if windows_tile(axes):
        return lower_tiled_select_and_scatter(ctx, axes)
    integer = dtypes.i32 if math.prod(sizes) < 2**31 else dtypes.i64
    chosen = ctx.scratch("chosen", integer, [axis.windows for axis in axes])
    none = scalar.constant(-1, integer)

    def choose(element: Index, carried: Sequence[Expr]) -> Sequence[Expr]:
        (best, position), value = carried, ctx.read(0, element)
        (stays,) = ctx.region(0, [best, value])
        keep = scalar.logical_and(scalar.greater(position, none), stays)
        here = scalar.convert(row_major(element, sizes), integer)
        return [scalar.select(keep, best, value), scalar.select(keep, position, here)]

    def window(place: Index) -> Sequence[Statement]:
        start = [scalar.constant(0, operation.results[0].type.dtype), none]
        statements, (_, position) = _fold(ctx, _covered(axes, place), start, choose)
        return [*statements, Store(chosen, place, position)]

    def element(index: Index) -> Sequence[Statement]:
        here = scalar.convert(row_major(index, sizes), integer)

        def scatter(place: Index, carried: Sequence[Expr]) -> Sequence[Expr]:
            (value,) = ctx.region(1, [*carried, ctx.read(1, place)])
            return [scalar.select(scalar.equal(Load(chosen, place), here), value, carried[0])]

        covering = [_covering(axis, at) for axis, at in zip(axes, index, strict=True)]
        statements, (value,) = _fold(ctx, covering, [init], scatter)
        return [*statements, *ctx.write(index, value)]

    choices = nest(ctx, [axis.windows for axis in axes], window, private=())
    return [*choices, *nest(ctx, sizes, element, private=())]


def _covered(axes: Sequence[WindowAxis], place: Index) -> list[_Range]:
    """The elements that the window at `place` meets, along each axis."""
    found: list[_Range] = []
    for axis, at in zip(axes, place, strict=True):
        steps = window_steps(axis, at)
        found.append(_Range(steps.extent, steps.limit, steps.element, steps.guard))
    return found


def _covering(axis: WindowAxis, element: Expr) -> _Range:
    """The windows that cover `element` along an axis without dilations.

    Quotients truncate toward zero, which for what is negative is clipped away in any case.
    """
    if axis.window == axis.stride == 1 and axis.low == 0 and axis.windows == axis.size:
        return _Range(scalar.index(1), 1, lambda _: element)
    stride = scalar.index(axis.stride)
    before = scalar.add(element, scalar.index(axis.low - axis.window + axis.stride))
    first = scalar.maximum(scalar.div(before, stride), scalar.index(0))
    after = scalar.add(element, scalar.index(axis.low + axis.stride))
    end = scalar.minimum(scalar.div(after, stride), scalar.index(axis.windows))
    limit = -(-axis.window // axis.stride)
    return _Range(clipped(first, end), limit, lambda turn: scalar.add(first, turn))


def _fold(
    ctx: LoweringContext, ranges: Sequence[_Range], start: Sequence[Expr], step: Step
) -> tuple[list[Statement], Sequence[Expr]]:
    """Carry values from `start` through loops over `ranges`, in row-major order."""

    def inside(taken: tuple[Expr, ...], carried: Sequence[Expr]) -> tuple[list[Statement], Sequence[Expr]]:
        if len(taken) == len(ranges):
            return [], _guarded_step(ranges, taken, carried, step)
        along = ranges[len(taken)]
        if along.limit == 1 and _is_one(along.extent):
            return inside((*taken, scalar.index(0)), carried)
        axis: Axis = ctx.axis("step", along.limit)
        locals_ = [Local("carried", value.dtype) for value in carried]
        statements, following = inside((*taken, axis), locals_)
        results = [Local("folded", value.dtype) for value in carried]
        carries = tuple(map(Carry, locals_, carried, following, results))
        return [For(axis, along.extent, tuple(statements), carries)], results

    return inside((), start)


def _guarded_step(ranges: Sequence[_Range], taken: Index, carried: Sequence[Expr], step: Step) -> Sequence[Expr]:
    place = tuple(along.place(turn) for along, turn in zip(ranges, taken, strict=True))
    values = step(place, carried)
    guards = [along.guard(turn) for along, turn in zip(ranges, taken, strict=True) if along.guard is not None]
    if not guards:
        return values
    is_there = reduce(scalar.logical_and, guards)
    return [scalar.select(is_there, value, old) for value, old in zip(values, carried, strict=True)]


def _is_one(extent: Expr) -> bool:
    return isinstance(extent, Constant) and extent.value == 1
