"""The steps of a window along one axis: how many meet an element, and which."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tenfold_rt.frozen import frozen
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Expr, If, Statement
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.loop_nest import loop
from tenfoldc.ops.window import WindowAxis


@frozen
class Steps:
    """The steps of one window that meet an element: how many, at most how many, the element at each, and whether
    a step does meet one, where only a test at each step tells."""

    extent: Expr
    limit: int
    element: Callable[[Expr], Expr]
    guard: Callable[[Expr], Expr] | None = None


def always_inside(axis: WindowAxis) -> bool:
    """Whether every step of every window meets an element."""
    last = (axis.windows - 1) * axis.stride - axis.low + (axis.window - 1) * axis.window_dilation
    return axis.base_dilation == 1 and axis.low <= 0 and last < axis.size


def clipped(low: Expr, high: Expr) -> Expr:
    """How many numbers there are from `low` to before `high`."""
    return scalar.maximum(scalar.sub(high, low), scalar.index(0))


def window_steps(axis: WindowAxis, window: Expr) -> Steps:
    """The steps of window number `window`.

    Quotients truncate toward zero, which is the ceiling of what is negative and is clipped away in any case.
    """
    base = scalar.sub(scalar.mul(window, scalar.index(axis.stride)), scalar.index(axis.low))
    dilation, size = axis.window_dilation, axis.size

    def position(step: Expr) -> Expr:
        return scalar.add(base, scalar.mul(step, scalar.index(dilation)))

    if always_inside(axis):
        return Steps(scalar.index(axis.window), axis.window, position)
    zero = scalar.index(0)
    if axis.base_dilation == 1:
        before = scalar.sub(scalar.index(dilation - 1), base)
        first = scalar.maximum(scalar.div(before, scalar.index(dilation)), zero)
        after = scalar.sub(scalar.index(size - 1 + dilation), base)
        end = scalar.minimum(scalar.div(after, scalar.index(dilation)), scalar.index(axis.window))
        return Steps(clipped(first, end), axis.window, lambda step: position(scalar.add(first, step)))
    gap = scalar.index(axis.base_dilation)
    if dilation == 1:
        before = scalar.add(base, scalar.index(axis.base_dilation - 1))
        first = scalar.maximum(scalar.div(before, gap), zero)
        after = scalar.add(base, scalar.index(axis.window - 1 + axis.base_dilation))
        end = scalar.minimum(scalar.div(after, gap), scalar.index(size))
        limit = -(-axis.window // axis.base_dilation)
        return Steps(clipped(first, end), limit, lambda step: scalar.add(first, step))
    return Steps(
        scalar.index(axis.window),
        axis.window,
        lambda step: nearest(axis, position(step)),
        lambda step: meets(axis, position(step)),
    )


def visit_steps(
    context: LoweringContext,
    axes: Sequence[WindowAxis],
    windows: Sequence[Expr],
    visit: Callable[[Sequence[Expr]], Sequence[Statement]],
) -> Sequence[Statement]:
    """`visit` every element along `axes` of the window whose numbers along them are `windows`."""
    all_steps = [window_steps(axis, window) for axis, window in zip(axes, windows, strict=True)]
    taken = [context.axis("step", steps.limit) for steps in all_steps]
    statements = visit([steps.element(axis) for steps, axis in zip(all_steps, taken, strict=True)])
    for steps, axis in zip(reversed(all_steps), reversed(taken), strict=True):
        if steps.guard is not None:
            statements = (If(steps.guard(axis), tuple(statements)),)
        statements = loop(axis, steps.extent, statements)
    return statements


def meets(axis: WindowAxis, position: Expr) -> Expr:
    """Whether there is an element at `position`."""
    gap = scalar.index(axis.base_dilation)
    inside = scalar.logical_and(
        scalar.greater_equal(position, scalar.index(0)),
        scalar.less(position, scalar.index(axis.size * axis.base_dilation)),
    )
    return scalar.logical_and(inside, scalar.equal(scalar.rem(position, gap), scalar.index(0)))


def nearest(axis: WindowAxis, position: Expr) -> Expr:
    """The element at `position`, or where there is none some element."""
    quotient = scalar.div(position, scalar.index(axis.base_dilation))
    return scalar.minimum(scalar.maximum(quotient, scalar.index(0)), scalar.index(axis.size - 1))
