"""Which pass over a row computes what.

A reduction that needs another's result waits for the pass after it; a value that several passes need is kept from
the first that computes it, if it is costly or written to memory anyway.  Rows are short enough to stay in cache.
"""

from __future__ import annotations

from tenfold_rt.frozen import frozen
from tenfoldc.ir.core import Operation, Value
from tenfoldc.ir.groups import AxisMap, Group
from tenfoldc.ops.comparison import SELECT


@frozen
class Passes:
    """The work of a nest, pass by pass.

    Pass p (from 1) folds `reductions[p]` and writes `elements[p]`, results with an element per turn; `rows[p]` are
    results with one element per row, written after pass p, or before the first where p is 0.  `kept[p]` are values
    that pass p must leave for later ones.  `level[v]` is the pass after which v can be computed.
    """

    count: int
    reductions: dict[int, list[Operation]]
    elements: dict[int, list[Value]]
    rows: dict[int, list[Value]]
    kept: dict[int, list[Value]]
    level: dict[Value, int]
    used_in: dict[Value, set[int]]


def runs_inside(group: Group, axes: AxisMap) -> bool:
    """Whether a value over `axes` has an element per turn of the reduced loops."""
    return any(axis in group.reduced for axis in axes if axis is not None)


def full_map(group: Group, value: Value) -> AxisMap | None:
    """The map of `value` that runs over all loops, if it is read so."""
    every = set(range(len(group.extents)))
    return next((axes for axes in group.maps.get(value, ()) if every == set(axes) - {None}), None)


def find_passes(group: Group) -> Passes:
    """Distribute the work of a nest over passes."""
    level: dict[Value, int] = {}
    reductions: dict[int, list[Operation]] = {}
    for operation in group.operations:
        ready = max((level.get(operand, 0) for operand in operation.operands), default=0)
        if operation in group.operand_maps:
            ready += 1
            reductions.setdefault(ready, []).append(operation)
        level.update((result, ready) for result in operation.results)
    elements: dict[int, list[Value]] = {}
    rows: dict[int, list[Value]] = {}
    used_in: dict[Value, set[int]] = {}
    for value in group.results:
        if group.reduced and runs_inside(group, group.maps[value][0]):
            elements.setdefault(level[value] + 1, []).append(value)
            used_in.setdefault(value, set()).add(level[value] + 1)
        else:
            rows.setdefault(level[value], []).append(value)
    for number, folded in reductions.items():
        for operation in folded:
            for operand in operation.operands:
                used_in.setdefault(operand, set()).add(number)
    kept = _keep(group, used_in)
    count = max([*reductions, *elements, 0])
    return Passes(count, reductions, elements, rows, kept, level, used_in)


def _keep(group: Group, used_in: dict[Value, set[int]]) -> dict[int, list[Value]]:
    """Choose the values that are kept, latest first, so that what only they need is computed once.

    A choice (a mask) is kept too.  Read by nothing but the reduction, LLVM folds it into a maximum or minimum, as a
    branch around that, and then finds no vectors for the loop.
    """
    kept: dict[int, list[Value]] = {}
    written = set(group.results)
    for operation in reversed(group.operations):
        if operation in group.operand_maps or not operation.results:
            continue
        (value,) = operation.results
        passes = used_in.get(value, set[int]())
        worth_keeping = value in group.costly or value in written or operation.op is SELECT
        if len(passes) > 1 and worth_keeping and full_map(group, value) is not None:
            kept.setdefault(min(passes), []).append(value)
            passes = {min(passes)}
        for operand in operation.operands:
            used_in.setdefault(operand, set()).update(passes)
    return kept
