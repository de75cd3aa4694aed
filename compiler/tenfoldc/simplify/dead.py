"""Dead code: operations, results of branches, carries of loops and tensors sorted along that no result depends on.

What every value needs is listed first, so that one search from the results finds all that is alive, round loops
too: a carry that only feeds itself is dead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tenfoldc.ir.core import Operation, Region, Value, captured
from tenfoldc.ops.control import CASE, IF, WHILE
from tenfoldc.ops.sort import SORT
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
        elif operation.op is SORT:
            compared = [operation.operands[place] for place in _compared(operation)]
            for operand, result in zip(operation.operands, operation.results, strict=True):
                needs[result] = (operand, *compared, *captured(operation.regions[0]))
        else:
            used = operation.operands
            for inner in operation.regions:
                used = (*used, *captured(inner))
            needs.update(dict.fromkeys(operation.results, used))
            continue
        for inner in operation.regions:
            _list_needs(inner, needs)


def _compared(sort: Operation) -> list[int]:
    """The numbers of the operands that the comparator of a sort looks at."""
    (comparator,) = sort.regions
    used = {value for operation in comparator.operations for value in operation.operands} | {*comparator.results}
    for operation in comparator.operations:
        used.update(*map(captured, operation.regions))
    numbered = enumerate(comparator.parameters)
    return list(dict.fromkeys(number // 2 for number, parameter in numbered if parameter in used))


def _pruned(region: Region, alive: set[Value]) -> Region:
    kept = (operation for operation in region.operations if not alive.isdisjoint(operation.results))
    operations = tuple(_narrowed(operation, alive) for operation in kept)
    return Region(region.parameters, operations, region.results)


def _narrowed(operation: Operation, alive: set[Value]) -> Operation:
    """`operation`, where it has branches, is a loop or sorts, without results and carries that are dead."""
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
    elif operation.op is SORT:
        return _narrowed_sort(operation, alive)
    else:
        return operation
    return replace(
        operation,
        operands=operands,
        results=at(operation.results, kept),
        regions=tuple(_pruned(inner, alive) for inner in regions),
    )


def _narrowed_sort(sort: Operation, alive: set[Value]) -> Operation:
    """`sort` of the tensors that are compared by or whose sorted form is alive."""
    compared = _compared(sort)
    kept = [place for place, result in enumerate(sort.results) if result in alive or place in compared]
    (comparator,) = sort.regions
    pairs = [number for place in kept for number in (2 * place, 2 * place + 1)]
    return replace(
        sort,
        operands=at(sort.operands, kept),
        results=at(sort.results, kept),
        regions=(replace(comparator, parameters=at(comparator.parameters, pairs)),),
    )
