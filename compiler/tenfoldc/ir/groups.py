"""What fusion hands to lowering: the operations of a region, partitioned into groups that each become one kernel.

    Plan  = groups in an order in which they can run, and a plan for every region of a control flow operation
    Group = operations in program order, results: the values that it writes to memory, and how it is computed

Inside a group, a value that the group computes is an expression wherever it is read; any other value is read from
memory.  A cheap operation may be part of several groups.  Constants belong to no group: lowering knows them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import Enum
from typing import TypeAlias

from tenfold_rt.frozen import frozen
from tenfoldc.ir.core import Operation, Region, Value

AxisMap: TypeAlias = tuple[int | None, ...]
"""Per axis of a tensor, the loop axis that runs over it; None where the axis has size 1."""


class GroupKind(Enum):
    """How a group is computed.

    `NEST`: loops over shared axes, which may hold reductions; every operation is elementwise, a movement or a
    reduction.  `OPERATION`: one operation, the anchor, by the rule of its kind, with producers merged into its reads
    and consumers into its writes.  `VIEW`: nothing to compute, the result is the operand's memory in another shape.
    `ROW_BLOCKS`: several groups, run one after the other for a block of rows at a time (`RowBlocks`).
    """

    NEST = "nest"
    OPERATION = "operation"
    VIEW = "view"
    ROW_BLOCKS = "row blocks"


@frozen(eq=False)
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
    blocks: RowBlocks | None = None
    """How a group of kind `ROW_BLOCKS` is computed."""


class Role(Enum):
    """What a stage does with the rows and columns of a block.

    `NEST`: a nest that runs over the rows.  The others are contractions: `SPREAD` gives an element per row and
    column; `GATHER` sums along the columns and gives some features per row; `ACCUMULATE` sums along the rows and gives
    some features per column, complete only after the last block.
    """

    NEST = "nest"
    SPREAD = "spread"
    GATHER = "gather"
    ACCUMULATE = "accumulate"


@frozen(eq=False)
class Stage:
    """One group's work on a block.

    `axes` says for each loop axis of a nest, or for each axis of a contraction's lhs, rhs and result, which axis of
    the block's space it is, None for any other.
    """

    group: Group
    role: Role
    axes: tuple[AxisMap, ...]


@frozen(eq=False)
class RowBlocks:
    """Groups that share their rows, so that all of them can be computed for some rows before the next are begun.

    The space has the axes `extents`: outer ones, then rows, then columns.  `places` gives for every value that a stage
    computes which axes of the space its own axes are.  Values that are no result of the group exist a block at a time.
    """

    extents: tuple[int, ...]
    stages: tuple[Stage, ...]
    places: Mapping[Value, AxisMap]

    def is_wide(self, axes: AxisMap) -> bool:
        """Whether a value along `axes` of the space has an element per row and column."""
        return self.row in axes and self.column in axes

    @property
    def row(self) -> int:
        """The number of the row axis."""
        return len(self.extents) - 2

    @property
    def column(self) -> int:
        """The number of the column axis."""
        return len(self.extents) - 1


@frozen(eq=False)
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
