"""Lowering of `scatter`: copy the inputs, then a loop over index vectors with a loop over each one's window.

The part of a window that lies inside is worked out before its loops, which then need no test.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TypeAlias, cast

from tenfoldc.ir.core import Operation
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Expr, If, Load, Statement, Store
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.loop_nest import bind, loop, nest, write_result
from tenfoldc.ops.gather import clamped_index, other_axes
from tenfoldc.ops.scatter import ScatterAttributes, ScatterDimensionNumbers, window_axes, window_sizes

Index: TypeAlias = tuple[Expr, ...]


def lower_scatter(operation: Operation, context: LoweringContext) -> Sequence[Statement]:
    """Statements for `scatter`, with updates applied in the row-major order of their index vectors."""
    attributes = cast(ScatterAttributes, operation.attributes)
    numbers, count = attributes.scatter_dimension_numbers, len(operation.results)
    sizes = operation.operands[0].type.sizes
    updates = operation.operands[-1].type

    def copy(index: Index) -> Sequence[Statement]:
        return [Store(context.result(number), index, context.read(number, index)) for number in range(count)]

    statements: list[Statement] = list(nest(context, sizes, copy, private=()))
    if 0 not in sizes and 0 not in updates.shape:
        scattered = [updates.sizes[axis] for axis in other_axes(updates.rank, numbers.update_window_dims)]
        statements += nest(context, scattered, lambda vector: _scatter_window(operation, context, vector))
    for number in range(count):
        statements += write_result(context, sizes, number)
    return statements


def window_corner(
    operation: Operation,
    context: LoweringContext,
    numbers: ScatterDimensionNumbers,
    windows: Sequence[int],
    vector: Index,
) -> dict[int, Expr]:
    """Where the window of `vector` begins along each axis that is indexed, and the place along batching axes.

    A start is moved no further than just outside, where its window still covers nothing.
    """
    count = len(operation.results)
    sizes, indices = operation.operands[0].type.sizes, operation.operands[count].type
    index_axes = other_axes(indices.rank, (numbers.index_vector_dim,))
    corner: dict[int, Expr] = {}
    for axis, index_axis in zip(numbers.input_batching_dims, numbers.scatter_indices_batching_dims, strict=True):
        corner[axis] = vector[index_axes.index(index_axis)]
    for number, axis in enumerate(numbers.scatter_dims_to_operand_dims):
        where = list(vector)
        if numbers.index_vector_dim < indices.rank:
            where.insert(numbers.index_vector_dim, scalar.index(number))
        corner[axis] = clamped_index(context.read(count, where), -windows[axis], sizes[axis])
    return corner


def _scatter_window(operation: Operation, context: LoweringContext, vector: Index) -> Sequence[Statement]:
    """Combine one window of updates with the part of the results that it covers."""
    numbers = cast(ScatterAttributes, operation.attributes).scatter_dimension_numbers
    sizes, updates = operation.operands[0].type.sizes, operation.operands[-1].type
    windows = window_sizes(numbers, len(sizes), updates)
    zero = scalar.index(0)
    corner = window_corner(operation, context, numbers, windows, vector)
    bound, starts = bind(context, list(corner.values()))
    corner = dict(zip(corner, starts, strict=True))
    axes = {axis: context.axis("within", windows[axis]) for axis in window_axes(numbers, len(sizes))}
    target: list[Expr] = []
    extents: dict[int, Expr] = {}
    within: dict[int, Expr] = {}
    conditions: list[Expr] = []
    for axis, size in enumerate(sizes):
        start = corner.get(axis, zero)
        if axis not in axes:
            target.append(start)
            if axis in numbers.scatter_dims_to_operand_dims:
                conditions += [scalar.greater_equal(start, zero), scalar.less(start, scalar.index(size))]
            continue
        within[axis], extents[axis] = axes[axis], scalar.index(windows[axis])
        if axis in corner:
            low = scalar.maximum(scalar.sub(zero, start), zero)
            high = scalar.minimum(scalar.sub(scalar.index(size), start), extents[axis])
            extents[axis] = scalar.maximum(scalar.sub(high, low), zero)
            within[axis] = scalar.add(low, axes[axis])
        target.append(scalar.add(start, within[axis]))
    source = update_index(numbers, updates.rank, vector, list(within.values()))
    statements: Sequence[Statement] = combine_update(operation, context, tuple(target), source)
    for axis in reversed(axes):
        statements = loop(axes[axis], extents[axis], statements)
    if conditions:
        statements = (If(reduce(scalar.logical_and, conditions), tuple(statements)),)
    return [*bound, *statements]


def update_index(numbers: ScatterDimensionNumbers, rank: int, vector: Index, within: Sequence[Expr]) -> Index:
    """The place in the updates of one element of the window of `vector`."""
    along = dict(zip(numbers.update_window_dims, within, strict=True))
    along |= zip(other_axes(rank, numbers.update_window_dims), vector, strict=True)
    return tuple(along[axis] for axis in range(rank))


def combine_update(operation: Operation, context: LoweringContext, target: Index, source: Index) -> Sequence[Statement]:
    """Combine the updates at `source` with the results at `target`."""
    count = len(operation.results)
    results = [context.result(number) for number in range(count)]
    current = [Load(result, target) for result in results]
    updates = [context.read(count + 1 + number, source) for number in range(count)]
    values: Sequence[Expr] = context.region(0, [*current, *updates])
    bound: Sequence[Statement] = ()
    if count > 1:
        bound, values = bind(context, values)
    return [*bound, *(Store(result, target, value) for result, value in zip(results, values, strict=True))]
