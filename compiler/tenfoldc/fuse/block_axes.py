"""How groups fit a space of rows and columns: which axis of what they read and write is which axis of the space.

The space has outer axes, a row axis, which is cut into blocks, and a column axis.  A value that a chain of groups
computes has a place in it: for each axis of the tensor, an axis of the space, or None for one that is neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from tenfoldc.fuse.reads import ReadsOf, has_elements
from tenfoldc.ir.core import Operation, Value, captured
from tenfoldc.ir.groups import AxisMap, Group, GroupKind, Role, Stage
from tenfoldc.ops.contraction import DOT_GENERAL, DotDimensionNumbers, DotGeneralAttributes

Places: TypeAlias = dict[Value, AxisMap]
Fitted: TypeAlias = tuple[Stage, Places]
"""A group as a stage, and the places of what it writes."""

_FEWEST_ROWS = 8
_FEWEST_COLUMNS = 16


class BlockAxes:
    """A space, and the places of the values that its stages compute so far."""

    def __init__(self, extents: Sequence[int], reads_of: ReadsOf) -> None:
        self.extents = tuple(extents)
        self.row, self.column = len(extents) - 2, len(extents) - 1
        self.places: Places = {}
        self._reads_of = reads_of

    def is_wide(self, place: AxisMap) -> bool:
        """Whether there is an element per row and column."""
        return self.row in place and self.column in place

    def place_of_read(self, stage: Stage, value: Value) -> AxisMap | None:
        """The place of a value that a nest reads along its loops; None for any other."""
        maps = stage.group.maps.get(value, ())
        return _along(stage.axes[0], maps[0]) if stage.role is Role.NEST and len(maps) == 1 else None

    # Nests

    def loops_of(self, nest: Group) -> dict[int, int] | None:
        """The axis of the space that each loop of a nest is, by what it reads; None where that contradicts itself."""
        known = {value: self.places[value] for value in read_by(nest) if value in self.places}
        return _loops_along(nest, known)

    def nest(self, group: Group, loops: Mapping[int, int], more: Iterable[Places] = ()) -> Fitted | None:
        """A nest as a stage, `more` of what it reads having places; None where it does not fit."""
        places = {value: place for each in (self.places, *more) for value, place in each.items()}
        known = {value: places[value] for value in read_by(group) if value in places}
        if not self._covers(group, loops) or not self._reads_along_axes(group.operations, group, set(known)):
            return None
        axes = tuple(loops.get(loop) for loop in range(len(group.extents)))
        if any(_along(axes, read) != place for value, place in known.items() for read in group.maps.get(value, ())):
            return None
        written = {value: _along(axes, group.maps[value][0]) for value in group.results}
        if any(place.count(axis) != 1 for place in written.values() for axis in range(self.column)):
            return None
        return Stage(group, Role.NEST, (axes,)), written

    def _covers(self, group: Group, loops: Mapping[int, int]) -> bool:
        """Whether the loops of a nest hold all rows once, and are reduced along other axes only, the last included."""
        axes = set(loops.values())
        if group.kind is not GroupKind.NEST or axes | {self.column} != set(range(len(self.extents))):
            return False
        if len(axes) != len(loops) or any(group.extents[loop] != self.extents[axis] for loop, axis in loops.items()):
            return False
        rows = {loop for loop, axis in loops.items() if axis != self.column}
        return not group.reduced or (rows.isdisjoint(group.reduced) and len(group.extents) - 1 in group.reduced)

    def _reads_along_axes(self, operations: Iterable[Operation], group: Group, known: Iterable[Value]) -> bool:
        """Whether `operations` read all that depends on `known` along plain axes."""
        touched = set(known)
        for operation in operations:
            if touched.isdisjoint(operation.operands):
                continue
            touched.update(operation.results)
            if operation is group.anchor or operation in group.operand_maps:
                continue
            if not has_elements(operation):
                return False
            for read in self._reads_of(operation).reads:
                if read.axes is None and operation.operands[read.operand] in touched:
                    return False
        return True

    # Contractions

    def spread(self, producer: Group, value: Value, nest: Group, loops: Mapping[int, int]) -> Fitted | None:
        """`producer` as the contraction that gives `nest` an element of `value` for each row and column."""
        maps = nest.maps.get(value, ())
        if len(maps) != 1:
            return None
        return self._spread(producer, value, tuple(None if a is None else loops.get(a) for a in maps[0]))

    def recomputed(self, group: Group, value: Value, place: AxisMap) -> Fitted | None:
        """`group`, which computes `value` elsewhere, as a stage that computes it once more."""
        if group.kind is not GroupKind.NEST:
            return self._spread(group, value, place)
        (axes, *_) = group.maps[value]
        loops = {loop: axis for loop, axis in zip(axes, place, strict=True) if loop is not None and axis is not None}
        return self.nest(group, loops)

    def _spread(self, group: Group, value: Value, place: AxisMap) -> Fitted | None:
        numbers = _numbers(group)
        if numbers is None or not self.is_wide(place):
            return None
        axes = _anchor_axes(group, value)
        if axes is None:
            return None
        result: list[int | None] = [None] * _anchor_rank(group)
        for own, axis in zip(axes, place, strict=True):
            if own is not None:
                result[own] = axis
        if not _is_complete(_anchor(group).results[0], result):
            return None
        lhs, rhs = _operand_places(group, numbers, result)
        sides = [_free(lhs, numbers.lhs_free(len(lhs))), _free(rhs, numbers.rhs_free(len(rhs)))]
        column = next((number for number, side in enumerate(sides) if side == [self.column]), None)
        if column is None or sides[1 - column][-1:] != [self.row]:
            return None
        operands = _anchor(group).operands
        fixed, moving = operands[column], operands[1 - column]
        if self._touches(group, fixed):
            return None
        if self._touches(group, moving) and self._place_of(group, moving) != (lhs, rhs)[1 - column]:
            return None
        return self._stage(group, Role.SPREAD, lhs, rhs, tuple(result))

    def contraction(self, group: Group) -> Fitted | None:
        """A contraction that reads elements per row and column: it sums along one of these axes, or has such itself."""
        numbers = _numbers(group)
        if numbers is None:
            return None
        spread = self._spread_by_consumers(group)
        if spread is not None:
            return spread
        operands = _anchor(group).operands
        left, right = (self._place_of(group, operand) for operand in operands)
        if left is None or right is None:
            return None
        wide = [
            self.is_wide(place) and _is_complete(x, place) for x, place in zip(operands, (left, right), strict=True)
        ]
        if sum(wide) != 1:
            return None
        lhs, rhs = _paired(left, right, numbers)
        summed = [axis for axis in (lhs[own] for own in numbers.lhs_contracting_dimensions) if axis is not None]
        result = tuple(
            [lhs[axis] for axis in (*numbers.lhs_batching_dimensions, *numbers.lhs_free(len(lhs)))]
            + [rhs[axis] for axis in numbers.rhs_free(len(rhs))]
        )
        own, other = (lhs, rhs) if wide[0] else (rhs, lhs)
        free = numbers.lhs_free if wide[0] else numbers.rhs_free
        other_operand = operands[1 if wide[0] else 0]
        kept = _free(own, free(len(own)))
        if summed == [self.column] and kept[-1:] == [self.row] and not self._touches(group, other_operand):
            return self._stage(group, Role.GATHER, lhs, rhs, result)
        if summed == [self.row] and kept == [self.column] and self.column not in other and other.count(self.row) == 1:
            return self._stage(group, Role.ACCUMULATE, lhs, rhs, result)
        return None

    def _spread_by_consumers(self, group: Group) -> Fitted | None:
        """A contraction whose consumers in its group tell that it has an element per row and column."""
        loops = _loops_along(group, {value: self.places[value] for value in read_by(group) if value in self.places})
        maps = group.maps.get(group.results[0], ())
        if not loops or len(maps) != 1:
            return None
        return self._spread(group, group.results[0], tuple(None if a is None else loops.get(a) for a in maps[0]))

    def _stage(self, group: Group, role: Role, lhs: AxisMap, rhs: AxisMap, result: AxisMap) -> Fitted | None:
        """The stage, where consumers in the group read what has a place along the same axes."""
        numbers = _numbers(group)
        assert numbers is not None
        batching = zip(numbers.lhs_batching_dimensions, numbers.rhs_batching_dimensions, strict=True)
        if any(lhs[a] != rhs[b] or lhs[a] in (self.row, self.column) for a, b in batching):
            return None
        if any(result.count(axis) != 1 for axis in range(self.row)) or not self._sizes_agree(group, (lhs, rhs)):
            return None
        prologue = _before_anchor(group)
        after = [operation for operation in group.operations if operation not in prologue]
        known = {value for operation in after for value in operation.operands if value in self.places}
        if known and (role is Role.ACCUMULATE or not self._reads_along_axes(after, group, known)):
            return None
        long = [axis for axis, size in enumerate(_anchor(group).results[0].type.sizes) if size != 1]
        along = tuple(result[axis] for axis in long)
        if any(_along(along, read) != self.places[v] for v in known for read in group.maps.get(v, ())):
            return None
        places: Places = {}
        for value in group.results:
            axes = _anchor_axes(group, value)
            if axes is None:
                return None
            places[value] = tuple(None if axis is None else result[axis] for axis in axes)
        return Stage(group, role, (lhs, rhs, result)), places

    def _sizes_agree(self, group: Group, places: Sequence[AxisMap]) -> bool:
        return all(
            axis is None or size == self.extents[axis]
            for operand, place in zip(_anchor(group).operands, places, strict=True)
            for size, axis in zip(operand.type.sizes, place, strict=True)
        )

    def _touches(self, group: Group, value: Value) -> bool:
        """Whether `value`, which the anchor of `group` reads, depends on what a stage computes."""
        producer = _producer(group, value)
        if value in self.places or producer is None:
            return value in self.places
        return any(self._touches(group, operand) for operand in producer.operands)

    def _place_of(self, group: Group, value: Value) -> AxisMap | None:
        """The place of what the anchor of `group` reads as `value`; None where it is not read along plain axes."""
        if value in self.places:
            return self.places[value]
        producer = _producer(group, value)
        place: list[int | None] = [None] * value.type.rank
        if producer is None or not self._touches(group, value):
            return tuple(place)
        if not has_elements(producer):
            return None
        for read in self._reads_of(producer).reads:
            operand = producer.operands[read.operand]
            if not self._touches(group, operand):
                continue
            own = self._place_of(group, operand)
            if own is None or read.axes is None:
                return None
            for axis, to in zip(own, read.axes, strict=True):
                if axis is None:
                    continue
                if to is None or place[to] not in (None, axis):
                    return None
                place[to] = axis
        return tuple(place)


def seed_axes(
    nest: Group, writers: Mapping[Value, Group], reads_of: ReadsOf
) -> tuple[BlockAxes, dict[int, int]] | None:
    """The space of a nest that reduces rows of a contraction's result, and the axis of it that each of its loops is.

    None where there is no such contraction, or where the result has no more elements than what it is computed from.
    """
    if nest.kind is not GroupKind.NEST or nest.reduced != frozenset({len(nest.extents) - 1}):
        return None
    for value in read_by(nest):
        producer = writers.get(value)
        maps = nest.maps.get(value, ())
        if producer is None or len(maps) != 1 or set(maps[0]) - {None} != set(range(len(nest.extents))):
            continue
        row = _row_loop(nest, producer, value, maps[0])
        if row is not None:
            column = len(nest.extents) - 1
            outer = [loop for loop in range(column) if loop != row]
            order = [*outer, row, column]
            loops = {loop: axis for axis, loop in enumerate(order)}
            return BlockAxes([nest.extents[loop] for loop in order], reads_of), loops
    return None


def _row_loop(nest: Group, producer: Group, value: Value, axes: AxisMap) -> int | None:
    """The loop that runs over the rows of `value`, whose columns the last loop runs over."""
    numbers = _numbers(producer)
    own = None if numbers is None else _anchor_axes(producer, value)
    if numbers is None or own is None:
        return None
    result: list[int | None] = [None] * _anchor_rank(producer)
    for axis, loop in zip(own, axes, strict=True):
        if axis is not None:
            result[axis] = loop
    lhs, rhs = _operand_places(producer, numbers, result)
    sides = [_free(lhs, numbers.lhs_free(len(lhs))), _free(rhs, numbers.rhs_free(len(rhs)))]
    column = len(nest.extents) - 1
    if [column] not in sides:
        return None
    rows = sides[1 - sides.index([column])]
    if not rows or nest.extents[rows[-1]] < _FEWEST_ROWS or nest.extents[column] < _FEWEST_COLUMNS:
        return None
    types = [operand.type for operand in _anchor(producer).operands]
    if not types[0].dtype.is_float or types[0].dtype != value.type.dtype:
        return None
    return rows[-1] if value.type.size > types[0].size + types[1].size else None


def read_by(group: Group) -> list[Value]:
    """The values that `group` takes from elsewhere."""
    computed = {result for operation in group.operations for result in operation.results}
    read = [value for operation in group.operations for value in operation.operands]
    read += [value for operation in group.operations for region in operation.regions for value in captured(region)]
    return [value for value in dict.fromkeys(read) if value not in computed]


def _loops_along(nest: Group, places: Mapping[Value, AxisMap]) -> dict[int, int] | None:
    loops: dict[int, int] = {}
    for value, place in places.items():
        for axes in nest.maps.get(value, ()):
            for loop, axis in zip(axes, place, strict=True):
                if axis is not None and (loop is None or loops.setdefault(loop, axis) != axis):
                    return None
    return loops


def _along(axes: AxisMap, read: AxisMap) -> AxisMap:
    """`read`, a map to loops, as a map to what the loops run along."""
    return tuple(None if loop is None else axes[loop] for loop in read)


def _anchor(group: Group) -> Operation:
    assert group.anchor is not None
    return group.anchor


def _anchor_rank(group: Group) -> int:
    return _anchor(group).results[0].type.rank


def _numbers(group: Group) -> DotDimensionNumbers | None:
    """How the operands of a contraction are paired; None for any other group."""
    if group.anchor is None or group.anchor.op is not DOT_GENERAL:
        return None
    attributes = group.anchor.attributes
    assert isinstance(attributes, DotGeneralAttributes)
    return attributes.dot_dimension_numbers


def _anchor_axes(group: Group, value: Value) -> AxisMap | None:
    """For each axis of a result of a contraction's group, the axis of the contraction's own result."""
    sizes = _anchor(group).results[0].type.sizes
    if value is _anchor(group).results[0]:
        return tuple(None if size == 1 else axis for axis, size in enumerate(sizes))
    maps = group.maps.get(value, ())
    long = [axis for axis, size in enumerate(sizes) if size != 1]
    return tuple(None if loop is None else long[loop] for loop in maps[0]) if len(maps) == 1 else None


def _operand_places(
    group: Group, numbers: DotDimensionNumbers, result: Sequence[int | None]
) -> tuple[AxisMap, AxisMap]:
    """The places of both operands' axes, given those of the result's."""
    lhs: list[int | None] = [None] * _anchor(group).operands[0].type.rank
    rhs: list[int | None] = [None] * _anchor(group).operands[1].type.rank
    batching = len(numbers.lhs_batching_dimensions)
    lhs_axes = (*numbers.lhs_batching_dimensions, *numbers.lhs_free(len(lhs)))
    for axis, place in zip(lhs_axes, result, strict=False):
        lhs[axis] = place
    for axis, place in zip(numbers.rhs_batching_dimensions, result[:batching], strict=True):
        rhs[axis] = place
    for axis, place in zip(numbers.rhs_free(len(rhs)), result[len(lhs_axes) :], strict=True):
        rhs[axis] = place
    return tuple(lhs), tuple(rhs)


def _paired(lhs: AxisMap, rhs: AxisMap, numbers: DotDimensionNumbers) -> tuple[AxisMap, AxisMap]:
    """Both places, paired axes taking over what is known of the other."""
    left, right = list(lhs), list(rhs)
    pairs = zip(
        (*numbers.lhs_batching_dimensions, *numbers.lhs_contracting_dimensions),
        (*numbers.rhs_batching_dimensions, *numbers.rhs_contracting_dimensions),
        strict=True,
    )
    for a, b in pairs:
        left[a] = left[a] if left[a] is not None else right[b]
        right[b] = right[b] if right[b] is not None else left[a]
    return tuple(left), tuple(right)


def _is_complete(value: Value, place: Sequence[int | None]) -> bool:
    """Whether all axes of `value` have their place in the space."""
    return all(axis is not None or size == 1 for axis, size in zip(place, value.type.sizes, strict=True))


def _free(place: AxisMap, axes: Sequence[int]) -> list[int]:
    """The places of an operand's free axes, without those of none."""
    return [axis for axis in (place[own] for own in axes) if axis is not None]


def _producer(group: Group, value: Value) -> Operation | None:
    """The operation of `group`, other than its anchor, that computes `value`."""
    return next((o for o in group.operations if o is not group.anchor and value in o.results), None)


def _before_anchor(group: Group) -> set[Operation]:
    """The anchor, and the operations that it reads from."""
    pending, found = [_anchor(group)], set[Operation]()
    while pending:
        operation = pending.pop()
        found.add(operation)
        producers = (_producer(group, value) for value in operation.operands)
        pending.extend(producer for producer in producers if producer is not None and producer not in found)
    return found
