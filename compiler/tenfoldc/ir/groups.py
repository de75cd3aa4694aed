"""What fusion hands to lowering: the operations of a region, partitioned into groups that each become one kernel.

    Plan  = groups in an order in which they can run, and a plan for every region of a control flow operation
    Group = operations in program order, results: the values that it writes to memory, and how it is computed

Inside a group, a value that the group computes is an expression wherever it is read; any other value is read from
memory.  A cheap operation may be part of several groups.  Constants belong to no group: lowering knows them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from tenfoldc.ir.core import Operation, Region, Value

AxisMap: TypeAlias = tuple[int | None, ...]
"""Per axis of a tensor, the loop axis that runs over it; None where the axis has size 1."""


class GroupKind(Enum):
    """How a group is computed.

    `NEST`: loops over shared axes, which may hold reductions; every operation is elementwise, a movement or a
    reduction.  `OPERATION`: one operation, the anchor, by the rule of its kind, with producers merged into its reads
    and consumers into its writes.  `VIEW`: nothing to compute, the result is the operand's memory in another shape.
    """

    NEST = "nest"
    OPERATION = "operation"
    VIEW = "view"


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Operations that become one kernel.

    A nest runs over axes of `extents`, outermost first, of which `reduced` are summed (or otherwise folded) away;
    those not reduced are its rows.  `maps` says along which axes each value is computed, where that is plain; a
    result and a reduction have exactly one map, and a value that is read in no plain way has none.
    """

    kind: GroupKind
    operations: tuple[Operation, ...]
    results: tuple[Value, ...]
    anchor: Operation | None = None
    extents: tuple[int, ...] = ()
    reduced: frozenset[int] = frozenset()
    maps: Mapping[Value, tuple[AxisMap, ...]] = field(default_factory=dict[Value, tuple[AxisMap, ...]])
    operand_maps: Mapping[Operation, AxisMap] = field(default_factory=dict[Operation, AxisMap])
    """For each reduction, the axes that run over its operands."""
    costly: frozenset[Value] = frozenset()
    """Values that are better kept than computed twice."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The groups of one region, and the plans of the regions nested in it."""

    groups: tuple[Group, ...]
    nested: Mapping[Region, Plan]

    def __str__(self) -> str:
        """A line for each group: how it is computed, over which loops, and which operations it merges."""
        lines = [_line(number, group) for number, group in enumerate(self.groups)]
        for region, plan in self.nested.items():
            results = ", ".join(str(result.type) for result in region.results)
            lines += [f"region of {results or 'nothing'}:", *(f"  {line}" for line in str(plan).splitlines())]
        return "\n".join(lines)


def _line(number: int, group: Group) -> str:
    merged = " ".join(operation.op.mnemonic for operation in group.operations)
    loops = " x ".join(f"{n}~" if axis in group.reduced else f"{n}" for axis, n in enumerate(group.extents))
    results = ", ".join(str(value.type) for value in group.results)
    over = f" over {loops}" if loops else ""
    return f"{number}: {group.kind.value}{over} -> {results}: {merged}"
