"""A group under construction: its loop axes, its operations, and how it reads every value.

Axes are numbers, unique within one region's fusion, so that two clusters can be merged by renaming.  An access is
either a map of a tensor's axes to loop axes, or, where the index is more than that, the operation that reads.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Set
from typing import TypeAlias

from tenfoldc.fuse.reads import Read
from tenfoldc.ir.core import Operation, Value
from tenfoldc.ir.groups import AxisMap, Group, GroupKind

Access: TypeAlias = AxisMap | Operation

MAX_OPERATIONS = 96
MAX_WEIGHT = 800
"""Sizes up to which a kernel grows; beyond them LLVM's time per operation rises."""

MAX_ROW_BYTES = 65536
"""Rows up to this size stay in cache while a kernel passes over them several times."""


class Cluster:
    """A group that still takes operations, from its last to its first."""

    def __init__(self, kind: GroupKind, anchor: Operation | None = None) -> None:
        self.kind = kind
        self.anchor = anchor
        self.extents: dict[int, int] = {}
        """Loop axes, outermost first, with their extents."""
        self.reduced: set[int] = set()
        self.operations: dict[Operation, None] = {}
        self.results: dict[Value, None] = {}
        self.accesses: dict[Value, dict[Access, int]] = {}
        """How each value is read and, for opaque reads, how often an element is computed for it."""
        self.prologue: set[Value] = set()
        """Values that the anchor reads, directly or through producers merged into its reads."""
        self.operand_maps: dict[Operation, AxisMap] = {}
        self.consumers: set[Cluster] = set()
        self.weight = 0
        self.sealed = False
        self.merged_into: Cluster | None = None

    def find(self) -> Cluster:
        """The cluster that this one has become part of."""
        found = self
        while found.merged_into is not None:
            found = found.merged_into
        return found

    @property
    def rows(self) -> list[int]:
        return [axis for axis in self.extents if axis not in self.reduced]

    def has_room(self, weight: int, operations: int = 1) -> bool:
        """Whether more operations may join."""
        fits = len(self.operations) + operations <= MAX_OPERATIONS
        return fits and not self.sealed and (self.weight + weight <= MAX_WEIGHT or not self.operations)

    def maps(self, value: Value) -> list[AxisMap]:
        """The plain ways in which `value` is read."""
        return [access for access in self.accesses.get(value, {}) if not isinstance(access, Operation)]

    def only_map(self, value: Value) -> AxisMap | None:
        """The map of a value that is read in one plain way."""
        accesses = self.accesses.get(value, {})
        maps = self.maps(value)
        return maps[0] if len(accesses) == 1 and maps else None

    def evaluations(self, value: Value) -> int:
        """How many elements of `value` are computed if it is computed where it is read."""
        accesses = self.accesses.get(value, {}).items()
        return sum(count if isinstance(access, Operation) else self.turns(access) for access, count in accesses)

    def turns(self, axes: AxisMap) -> int:
        """How often an expression over `axes` is computed: once per turn of the innermost loop that it needs.

        What the rows of a nest with reductions share is computed once per row.
        """
        order = self.rows if self.reduced.isdisjoint(axes) else list(self.extents)
        depth = 1 + max((order.index(axis) for axis in axes if axis is not None), default=-1)
        return math.prod(self.extents[axis] for axis in order[:depth])

    def covers(self, axes: AxisMap) -> bool:
        """Whether a value over `axes` is computed once per turn of all loops, or once per row."""
        used = [axis for axis in axes if axis is not None]
        if len(set(used)) != len(used):
            return False
        return set(used) in (set(self.extents), set(self.rows))

    def add(self, operation: Operation, weight: int, reads: Iterable[Read]) -> None:
        """Compute `operation`, whose result has accesses already, inside this cluster."""
        self.operations[operation] = None
        (result,) = operation.results
        accesses = self.accesses.get(result, {})
        self.weight += weight * max(1, len(accesses))
        for operand, axes in reads:
            value = operation.operands[operand]
            if result in self.prologue:
                self.prologue.add(value)
            for access, count in accesses.items():
                if axes is None or isinstance(access, Operation):
                    turns = count if isinstance(access, Operation) else self.turns(access)
                    self.read(value, operation, turns)
                else:
                    self.read(value, tuple(None if axis is None else access[axis] for axis in axes))

    def read(self, value: Value, access: Access, count: int = 0) -> None:
        """Note a read of `value`."""
        accesses = self.accesses.setdefault(value, {})
        accesses[access] = accesses.get(access, 0) + count

    def absorb(self, other: Cluster, renamed: Mapping[int, int]) -> None:
        """Take over all of `other`, whose axes are renamed; what computes reductions keeps doing so."""
        self.operations |= other.operations
        self.results |= other.results
        self.reduced |= {renamed[axis] for axis in other.reduced}
        self.weight += other.weight
        self.consumers |= other.consumers
        for operation, axes in other.operand_maps.items():
            self.operand_maps[operation] = _rename(axes, renamed)
        for value, accesses in other.accesses.items():
            for access, count in accesses.items():
                renamed_access = access if isinstance(access, Operation) else _rename(access, renamed)
                self.read(value, renamed_access, count)
        other.merged_into = self

    def reaches(self, target: Cluster, budget: int = 256) -> bool:
        """Whether `target` needs this cluster's results; True, to be safe, where the search grows long."""
        pending: list[Cluster] = [self]
        seen: set[Cluster] = {self}
        while pending:
            cluster = pending.pop()
            if cluster is target or len(seen) > budget:
                return True
            following = {consumer.find() for consumer in cluster.consumers} - seen
            seen |= following
            pending.extend(following)
        return False

    def group(self, position: Mapping[Operation, int], costly: Set[Value]) -> Group:
        """The finished group, its axes numbered from the outermost."""
        number = {axis: place for place, axis in enumerate(self.extents)}
        maps = {value: tuple(_rename(axes, number) for axes in self.maps(value)) for value in self.accesses}
        return Group(
            self.kind,
            tuple(sorted(self.operations, key=position.__getitem__)),
            tuple(self.results),
            self.anchor,
            tuple(self.extents.values()),
            frozenset(number[axis] for axis in self.reduced),
            {value: axes for value, axes in maps.items() if axes},
            {operation: _rename(axes, number) for operation, axes in self.operand_maps.items()},
            frozenset(value for value in maps if value in costly),
        )


def _rename(axes: AxisMap, names: Mapping[int, int]) -> AxisMap:
    return tuple(None if axis is None else names[axis] for axis in axes)
