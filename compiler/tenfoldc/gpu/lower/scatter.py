"""`scatter` on a GPU: the results are those of updates applied one after the other, whatever the threads' order.

Updates that cannot meet are applied by a thread each.  Others are sorted by where they go, stably, so that those for
one place follow each other in their order; one thread then applies all for a place (for an element of a window, where
windows do not overlap in part):

    indices 2 0 2 1 0   →   places 0 0 1 2 2, of updates 1 4 3 0 2   →   threads at the first of each place, or, where
                                                                        the last update wins, at the last

Where updates are many and combine in any order, a thread applies no more than a chunk of them, and a second launch
combines what the chunks of one place amount to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias, cast

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.frozen import frozen
from tenfoldc.gpu.lower.grid import both, logical_not
from tenfoldc.gpu.lower.sort import Lines, sort_lines
from tenfoldc.gpu.lower.threads import power_of_two
from tenfoldc.ir.core import Operation, Region
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Buffer, Carry, Expr, For, If, Load, Local, Primitive, Statement, Store, While
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.folding import has_neutral, neutral
from tenfoldc.lower.loop_nest import bind, nest, write_result
from tenfoldc.lower.products.product import delinearise
from tenfoldc.lower.scatter import combine_update, update_index, window_corner
from tenfoldc.lower.window import row_major
from tenfoldc.ops.gather import other_axes
from tenfoldc.ops.scatter import ScatterAttributes, window_axes, window_sizes

Index: TypeAlias = tuple[Expr, ...]

_FEW_WINDOWS = 2
"""Windows up to which one launch after the other is no slower than sorting."""

_FEW_OVERLAPPING = 64
"""Windows that overlap in part up to which one launch after the other is better than sorting all their elements."""

_LEAST_CHUNKED = 1024
"""Updates from which those for one place are applied in chunks."""


def lower_scatter(operation: Operation, ctx: LoweringContext) -> Sequence[Statement]:
    """The launches of `scatter`."""
    sizes, count = operation.operands[0].type.sizes, len(operation.results)

    def copy(index: Index) -> Sequence[Statement]:
        return [Store(ctx.result(number), index, ctx.read(number, index)) for number in range(count)]

    statements: list[Statement] = list(nest(ctx, sizes, copy, private=()))
    if 0 not in sizes and 0 not in operation.operands[-1].type.shape:
        statements += _apply(_Updates(operation, ctx))
    for number in range(count):
        statements += write_result(ctx, sizes, number)
    return statements


def _apply(updates: _Updates) -> Sequence[Statement]:
    vectors = math.prod(updates.scattered)
    if updates.attributes.unique_indices or vectors == 1:
        return _one_by_one(updates, private=())
    few = _FEW_WINDOWS if updates.windows_are_apart else _FEW_OVERLAPPING
    if vectors <= few:
        return _one_by_one(updates, private=None)
    return _Sorted(updates).statements()


class _Updates:
    """Where the updates of a scatter go: windows at the places that index vectors name."""

    def __init__(self, operation: Operation, ctx: LoweringContext) -> None:
        self.operation, self.ctx = operation, ctx
        self.attributes = cast(ScatterAttributes, operation.attributes)
        self.numbers = self.attributes.scatter_dimension_numbers
        self.sizes, self.type = operation.operands[0].type.sizes, operation.operands[-1].type
        self.windows = window_sizes(self.numbers, len(self.sizes), self.type)
        self.window_axes = window_axes(self.numbers, len(self.sizes))
        self.window_shape = [self.windows[axis] for axis in self.window_axes]
        self.scattered = [self.type.sizes[axis] for axis in other_axes(self.type.rank, self.numbers.update_window_dims)]

    @property
    def indexed(self) -> tuple[int, ...]:
        """The axes along which an index vector, or its own place, says where a window lies."""
        return tuple(sorted((*self.numbers.scatter_dims_to_operand_dims, *self.numbers.input_batching_dims)))

    @property
    def windows_are_apart(self) -> bool:
        """Whether any two windows lie at one place or do not meet."""
        return all(self.windows[axis] == 1 for axis in self.numbers.scatter_dims_to_operand_dims)

    def corner(self, vector: Index) -> dict[int, Expr]:
        return window_corner(self.operation, self.ctx, self.numbers, self.windows, vector)

    def target(self, corner: dict[int, Expr], within: Index) -> Index:
        """Where an element of a window goes."""
        place = [corner.get(axis, scalar.index(0)) for axis in range(len(self.sizes))]
        for axis, offset in zip(self.window_axes, within, strict=True):
            place[axis] = scalar.add(place[axis], offset)
        return tuple(place)

    def is_inside(self, target: Index) -> Expr:
        """Whether there is an element at `target`."""
        conditions: list[Expr] = []
        for axis in self.numbers.scatter_dims_to_operand_dims:
            conditions.append(scalar.greater_equal(target[axis], scalar.index(0)))
            conditions.append(scalar.less(target[axis], scalar.index(self.sizes[axis])))
        return both(conditions)

    def source(self, vector: Index, within: Index) -> Index:
        """Where the update for an element of a window is."""
        return update_index(self.numbers, self.type.rank, vector, within)


def _one_by_one(updates: _Updates, private: Sequence[Buffer] | None) -> Sequence[Statement]:
    """Windows that are independent of each other, or, where `private` is None, one after the other."""
    ctx = updates.ctx

    def window(vector: Index) -> Sequence[Statement]:
        def element(within: Index) -> Sequence[Statement]:
            target = updates.target(updates.corner(vector), within)
            combined = combine_update(updates.operation, ctx, target, updates.source(vector, within))
            return [If(updates.is_inside(target), tuple(combined))]

        return nest(ctx, updates.window_shape, element, private=())

    return nest(ctx, updates.scattered, window, private=private)


# Sorted updates


@frozen
class _Item:
    """What is sorted: whole windows, of which `within` is an element, or single elements."""

    vector: Index
    within: Index


class _Sorted:
    """Updates that are sorted by their targets: windows as a whole where they do not overlap in part."""

    def __init__(self, updates: _Updates) -> None:
        self.updates, self.ctx, self.operation = updates, updates.ctx, updates.operation
        self.by_window = updates.windows_are_apart
        vectors, elements = math.prod(updates.scattered), math.prod(updates.window_shape)
        self.count = vectors if self.by_window else vectors * elements
        self.axes = updates.indexed if self.by_window else tuple(range(len(updates.sizes)))
        self.extents = [updates.sizes[axis] for axis in self.axes]
        self.nowhere = math.prod(self.extents)
        self.key_type: DType = dtypes.i32 if self.nowhere < 2**31 - 1 else dtypes.i64
        self.shape = updates.window_shape if self.by_window else []
        self.keys = self.ctx.scratch("targets", self.key_type, (self.count,))
        self.order = self.ctx.scratch("order", dtypes.i32, (self.count,))

    def statements(self) -> list[Statement]:
        statements = self._sort()
        if _replaces(self.operation.regions[0], len(self.operation.results)):
            return [*statements, *nest(self.ctx, [self.count, *self.shape], self._last, private=())]
        if self.count < _LEAST_CHUNKED or not has_neutral(self.operation):
            return [*statements, *nest(self.ctx, [self.count, *self.shape], self._all, private=())]
        return [*statements, *_Chunks(self).statements()]

    def _item(self, number: Expr, within: Index) -> _Item:
        updates = self.updates
        if self.by_window:
            return _Item(tuple(delinearise(number, updates.scattered)), within)
        elements = scalar.index(math.prod(updates.window_shape))
        vector, place = scalar.div(number, elements), scalar.rem(number, elements)
        return _Item(tuple(delinearise(vector, updates.scattered)), tuple(delinearise(place, updates.window_shape)))

    def _key(self, number: Expr) -> Expr:
        """The place that an item goes to, as a number; `nowhere` for those that are dropped."""
        zeros = tuple(scalar.index(0) for _ in self.shape)
        item = self._item(number, zeros)
        target = self.updates.target(self.updates.corner(item.vector), item.within)
        place = row_major(tuple(target[axis] for axis in self.axes), self.extents)
        chosen = scalar.select(self.updates.is_inside(target), place, scalar.index(self.nowhere))
        return scalar.convert(chosen, self.key_type)

    def _sort(self) -> list[Statement]:
        def write(_: Expr, place: Expr, values: Sequence[Expr]) -> Sequence[Statement]:
            return [Store(self.keys, (place,), values[0]), Store(self.order, (place,), values[1])]

        def read(_: Expr, place: Expr) -> Sequence[Expr]:
            return [self._key(place), scalar.convert(place, dtypes.i32)]

        if (
            self.updates.attributes.indices_are_sorted
            and self.by_window
            and not self.updates.numbers.input_batching_dims
        ):
            zero = scalar.index(0)
            return list(nest(self.ctx, [self.count], lambda at: write(zero, at[0], read(zero, at[0])), private=()))
        types = (self.key_type, dtypes.i32)
        lines = Lines(1, self.count, self.count, types, read, lambda x, y: scalar.less(x[0], y[0]), write)
        return list(sort_lines(self.ctx, lines))

    # What threads read

    def key(self, place: Expr) -> Expr:
        return Load(self.keys, (place,))

    def is_somewhere(self, place: Expr) -> Expr:
        return scalar.less(self.key(place), scalar.constant(self.nowhere, self.key_type))

    def begins(self, place: Expr) -> Expr:
        """Whether the items before `place` go elsewhere."""
        before = self.key(scalar.maximum(scalar.sub(place, scalar.index(1)), scalar.index(0)))
        is_other = scalar.apply(Primitive.NE, before, self.key(place))
        return scalar.logical_or(scalar.equal(place, scalar.index(0)), is_other)

    def target(self, place: Expr, within: Index) -> Index:
        """Where the item at `place` of the sorted ones goes, or an element of it."""
        number = scalar.convert(self.key(place), dtypes.i64)
        corner = dict(zip(self.axes, delinearise(number, self.extents), strict=True))
        return self.updates.target(corner, within) if self.by_window else tuple(corner.values())

    def source(self, place: Expr, within: Index) -> Index:
        item = self._item(scalar.convert(Load(self.order, (place,)), dtypes.i64), within)
        return self.updates.source(item.vector, item.within)

    def updates_at(self, place: Expr, within: Index) -> list[Expr]:
        results = len(self.operation.results)
        return [self.ctx.read(results + 1 + n, self.source(place, within)) for n in range(results)]

    def loaded(self, target: Index) -> list[Expr]:
        return [Load(self.ctx.result(number), target) for number in range(len(self.operation.results))]

    def stored(self, target: Index, values: Sequence[Expr]) -> list[Statement]:
        return [Store(self.ctx.result(number), target, value) for number, value in enumerate(values)]

    # What threads do

    def _last(self, index: Index) -> Sequence[Statement]:
        """Store the update of an item where no other follows."""
        place, within = index[0], index[1:]
        after = scalar.add(place, scalar.index(1))
        last = scalar.index(self.count - 1)
        is_other = scalar.apply(Primitive.NE, self.key(scalar.minimum(after, last)), self.key(place))
        wins = scalar.logical_or(scalar.equal(place, last), is_other)
        target = self.target(place, within)
        combined = combine_update(self.operation, self.ctx, target, self.source(place, within))
        return [If(scalar.logical_and(wins, self.is_somewhere(place)), tuple(combined))]

    def _all(self, index: Index) -> Sequence[Statement]:
        """Apply all updates that go where the first of them goes."""
        place, within = index[0], index[1:]
        target = self.target(place, within)
        statements, values = self.applied(place, scalar.index(self.count), within, self.loaded(target))
        body = (*statements, *self.stored(target, values))
        return [If(scalar.logical_and(self.begins(place), self.is_somewhere(place)), body)]

    def applied(
        self, place: Expr, end: Expr, within: Index, start: Sequence[Expr]
    ) -> tuple[list[Statement], Sequence[Expr]]:
        """`start` with all updates from `place` on, up to `end`, that go to one place."""
        bound, (key, last) = bind(self.ctx, [self.key(place), scalar.sub(end, scalar.index(1))])
        at, carried = Local("at", dtypes.i64), [Local("value", value.dtype) for value in start]
        following = self.ctx.region(0, [*carried, *self.updates_at(at, within)])
        goes_there = scalar.equal(self.key(scalar.minimum(at, last)), key)
        more = scalar.logical_and(scalar.less_equal(at, last), goes_there)
        results = [Local("values", value.dtype) for value in start]
        advance = Carry(at, place, scalar.add(at, scalar.index(1)), Local("behind", dtypes.i64))
        carries = (advance, *map(Carry, carried, start, following, results))
        return [*bound, While(carries, more, ())], results


class _Chunks:
    """Sorted updates of one tensor, applied by more than one thread where many go to one place."""

    def __init__(self, items: _Sorted) -> None:
        self.items, self.ctx = items, items.ctx
        self.size = power_of_two(math.isqrt(items.count))
        self.count = -(-items.count // self.size)
        self.neutral = neutral(items.operation)
        self.folds = self.ctx.scratch("folds", self.neutral.dtype, (self.count, *items.shape))

    def statements(self) -> list[Statement]:
        first = nest(self.ctx, [self.items.count, *self.items.shape], self._fold, private=())
        second = nest(self.ctx, [self.count, *self.items.shape], self._combine, private=())
        return [*first, *second]

    def _fold(self, index: Index) -> Sequence[Statement]:
        """Apply the updates of a chunk for one place, or, of those that began before the chunk, keep the fold."""
        place, within, items = index[0], index[1:], self.items
        chunk = scalar.div(place, scalar.index(self.size))
        first = scalar.mul(chunk, scalar.index(self.size))
        end = scalar.minimum(scalar.add(first, scalar.index(self.size)), scalar.index(items.count))
        begins, is_first = items.begins(place), scalar.equal(place, first)
        target = items.target(place, within)
        # What is there is read by the one thread alone that writes it.
        old, start = Local("old", self.neutral.dtype), Local("start", self.neutral.dtype)
        carry = Carry(old, self.neutral, items.loaded(target)[0], start)
        read = For(self.ctx.axis("once", 1), scalar.convert(begins, dtypes.i64), (), (carry,))
        statements, values = items.applied(place, end, within, [start])
        kept = Store(self.folds, (chunk, *within), values[0])
        stored = If(begins, tuple(items.stored(target, values)), (kept,))
        works = scalar.logical_and(scalar.logical_or(begins, is_first), items.is_somewhere(place))
        return [If(works, (read, *statements, stored))]

    def _combine(self, index: Index) -> Sequence[Statement]:
        """Where the updates for a place go on into a chunk for the first time, apply what the chunks amount to."""
        chunk, within, items = index[0], index[1:], self.items
        size, one, zero = scalar.index(self.size), scalar.index(1), scalar.index(0)
        place = scalar.mul(chunk, size)
        before = scalar.mul(scalar.maximum(scalar.sub(chunk, one), zero), size)
        goes_on = logical_not(items.begins(place))
        same = scalar.equal(items.key(before), items.key(place))
        was_going_on = scalar.logical_and(same, logical_not(items.begins(before)))
        target = items.target(place, within)
        bound, (key,) = bind(self.ctx, [items.key(place)])
        at, (start,) = Local("at", dtypes.i64), items.loaded(target)
        value, result = Local("value", start.dtype), Local("values", start.dtype)
        inside = scalar.minimum(at, scalar.index(self.count - 1))
        goes_there = scalar.equal(items.key(scalar.mul(inside, size)), key)
        more = scalar.logical_and(scalar.less(at, scalar.index(self.count)), goes_there)
        (following,) = self.ctx.region(0, [value, Load(self.folds, (at, *within))])
        advance = Carry(at, chunk, scalar.add(at, one), Local("behind", dtypes.i64))
        loop = While((advance, Carry(value, start, following, result)), more, ())
        works = both([goes_on, logical_not(was_going_on), items.is_somewhere(place)])
        return [If(works, (*bound, loop, *items.stored(target, [result])))]


def _replaces(region: Region, count: int) -> bool:
    """Whether a body gives the update whatever was there."""
    return tuple(region.results) == tuple(region.parameters[count:])
