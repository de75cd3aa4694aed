"""`select_and_scatter` where every element lies in exactly one window, as in the gradient of most pooling.

Each window is then on its own: its elements are compared in registers and all of them written at once, with no memory
for what was chosen and nothing filled beforehand.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from tenfold_rt import dtypes
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Expr, Statement
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.loop_nest import nest
from tenfoldc.ops.window import WindowAxis

_MOST_STEPS = 16
"""Elements of a window that are compared in registers."""


def windows_tile(axes: Sequence[WindowAxis]) -> bool:
    """Whether every element lies in exactly one window, and a window has few."""

    def tiles(axis: WindowAxis) -> bool:
        is_dense = axis.base_dilation == 1 and (axis.window_dilation == 1 or axis.window == 1)
        return is_dense and axis.low == 0 and axis.window == axis.stride and axis.size == axis.windows * axis.window

    return all(map(tiles, axes)) and math.prod(axis.window for axis in axes) <= _MOST_STEPS


def lower_tiled_select_and_scatter(context: LoweringContext, axes: Sequence[WindowAxis]) -> Sequence[Statement]:
    """Statements for a `select_and_scatter` for whose axes `windows_tile` holds."""
    init = context.read(2, ())
    steps = list(itertools.product(*(range(axis.window) for axis in axes)))

    def window(place: Sequence[Expr]) -> list[Statement]:
        elements = [
            [
                scalar.add(scalar.mul(at, scalar.index(axis.stride)), scalar.index(step))
                for at, axis, step in zip(place, axes, taken, strict=True)
            ]
            for taken in steps
        ]
        best = context.read(0, elements[0])
        number: Expr = scalar.constant(0, dtypes.i32)
        for later, element in enumerate(elements[1:], 1):
            value = context.read(0, element)
            (stays,) = context.region(0, [best, value])
            best = scalar.select(stays, best, value)
            number = scalar.select(stays, number, scalar.constant(later, dtypes.i32))
        (given,) = context.region(1, [init, context.read(1, place)])
        return [
            statement
            for own, element in enumerate(elements)
            for statement in context.write(element, _where(number, own, given, init))
        ]

    return nest(context, [axis.windows for axis in axes], window, private=())


def _where(number: Expr, own: int, chosen: Expr, other: Expr) -> Expr:
    return scalar.select(scalar.equal(number, scalar.constant(own, dtypes.i32)), chosen, other)
