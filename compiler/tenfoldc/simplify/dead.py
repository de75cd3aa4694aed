"""Dead code: operations, results of branches and carries of loops that no result of a region depends on.

What every value needs is listed first, so that one search from the results finds all that is alive, round loops
too: a carry that only feeds itself is dead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tenfoldc.ir.core import Operation, Region, Value, captured
from tenfoldc.ops.control import CASE, IF, WHILE
from tenfoldc.simplify.control import at


def without_dead(region: Region) -> Region:
    """`region` with the operations that its results depend on; its parameters stay."""
    needs: dict[Value, Sequence[Value]] = {}
    _list_needs(region, needs)
    return _pruned(region, _reached(region.results, needs))


def _reached(roots: Iterable[Value], needs: dict[Value, Sequence[Value]]) -> set[Value]:
    alive = set(roots)
    pending = list(alive)
    while pending:
        for value in needs.get(pending.pop(), ()):
            if value not in alive:
                alive.add(value)
                pending.append(value)
    return alive


def _list_needs(region: Region, needs: dict[Value, Sequence[Value]]) -> None:
    """Which values each result of an operation, and each carry of a loop, is computed from."""
    for operation in region.operations:
        if operation.op is WHILE:
            condition, body = operation.regions
            for place, result in enumerate(operation.results):
                carried = (operation.operands[place], body.results[place])
                needs[result] = (*carried, *condition.results)
                needs[condition.parameters[place]] = needs[body.parameters[place]] = carried
        elif operation.op in (IF, CASE):
            for place, result in enumerate(operation.results):
                branches = (branch.results[place] for branch in operation.regions)
                needs[result] = (*operation.operands, *branches)
        else:
            used = operation.operands
            for inner in operation.regions:
                used = (*used, *captured(inner))
            needs.update(dict.fromkeys(operation.results, used))
            continue
        for inner in operation.regions:
            _list_needs(inner, needs)


def _pruned(region: Region, alive: set[Value]) -> Region:
    kept = (operation for operation in region.operations if not alive.isdisjoint(operation.results))
    operations = tuple(_narrowed(operation, alive) for operation in kept)
    return Region(region.parameters, operations, region.results)


def _narrowed(operation: Operation, alive: set[Value]) -> Operation:
    """`operation`, where it has branches or is a loop, without results and carries that are dead."""
    if operation.op is WHILE:
        condition, body = operation.regions
        carries = zip(operation.results, condition.parameters, body.parameters, strict=True)
        kept = [place for place, values in enumerate(carries) if not alive.isdisjoint(values)]
        condition = replace(condition, parameters=at(condition.parameters, kept))
        body = replace(body, parameters=at(body.parameters, kept), results=at(body.results, kept))
        regions = (condition, body)
        operands = at(operation.operands, kept)
    elif operation.op in (IF, CASE):
        kept = [place for place, result in enumerate(operation.results) if result in alive]
        regions = tuple(replace(branch, results=at(branch.results, kept)) for branch in operation.regions)
        operands = operation.operands
    else:
        return operation
    return replace(
        operation,
        operands=operands,
        results=at(operation.results, kept),
        regions=tuple(_pruned(inner, alive) for inner in regions),
    )
