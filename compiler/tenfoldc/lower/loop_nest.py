"""Nested loops and other small statements that lowering rules are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Axis, Buffer, Carry, Expr, For, Load, Local, Mode, Statement
from tenfoldc.lower.context import LoweringContext


def nest(
    context: LoweringContext,
    extents: Sequence[int],
    body: Callable[[tuple[Expr, ...]], Sequence[Statement]],
    name: str = "i",
    *,
    private: Sequence[Buffer] | None = None,
) -> tuple[Statement, ...]:
    """`body(index)` at every index of a space of `extents`, in row-major order; no loop for an extent of 1.

    Where `private` is given, what is done at one index is independent of all others, but for that scratch memory.
    """
    if 0 in extents:
        return ()
    axes = [None if extent == 1 else context.axis(name, extent) for extent in extents]
    statements = tuple(body(tuple(scalar.index(0) if axis is None else axis for axis in axes)))
    for axis, extent in zip(reversed(axes), reversed(extents), strict=True):
        if axis is not None:
            statements = (turns(axis, scalar.index(extent), statements, private),)
    return statements


def turns(axis: Axis, extent: Expr, body: Sequence[Statement], private: Sequence[Buffer] | None = ()) -> For:
    """A loop whose turns are independent of each other but for `private` scratch memory; None: they are not."""
    if private is None:
        return For(axis, extent, tuple(body))
    return For(axis, extent, tuple(body), mode=Mode.PARALLEL, private=tuple(private))


def loop(axis: Axis, extent: Expr, body: Sequence[Statement], carries: Sequence[Carry] = ()) -> tuple[Statement, ...]:
    """One loop, as the statements of a body."""
    return (For(axis, extent, tuple(body), tuple(carries)),)


def bind(context: LoweringContext, values: Sequence[Expr]) -> tuple[tuple[Statement, ...], tuple[Local, ...]]:
    """Compute `values` at this place, whatever is stored after; gives the statement and names for them.

    A loop that runs no turn hands on what its carries begin with.
    """
    if not values:
        return (), ()
    carries: list[Carry] = []
    for value in values:
        local = Local("bound", value.dtype)
        carries.append(Carry(local, value, local, Local("bound", value.dtype)))
    statement = For(context.axis("none", 0), scalar.index(0), (), tuple(carries))
    return (statement,), tuple(carry.result for carry in carries)


def write_result(context: LoweringContext, shape: Sequence[int], number: int = 0) -> tuple[Statement, ...]:
    """Hand what a rule has left in result `number` to the consumers that are fused, if any are."""
    if not context.has_epilogue:
        return ()

    def write(index: tuple[Expr, ...]) -> Sequence[Statement]:
        return context.write(index, Load(context.result(number), index), number)

    return nest(context, shape, write, private=())
