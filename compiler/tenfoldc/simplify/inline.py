"""Calls, and operations that stand for the region they hold, replaced by what they compute, also within regions."""

from __future__ import annotations

from dataclasses import replace

from tenfold_rt.errors import UnsupportedError
from tenfoldc.ir.builder import substitute
from tenfoldc.ir.core import Location, Module, Operation, Region, Value, walk
from tenfoldc.ops.control import CallAttributes
from tenfoldc.ops.custom import CHECKPOINT, CUSTOM_JVP, CUSTOM_VJP, OPTIMIZATION_BARRIER

INLINED = frozenset((CHECKPOINT, CUSTOM_JVP, CUSTOM_VJP))
"""Ops that compute their first region; all else about them has been used by transformations."""

_LARGEST_BODY = 200_000
"""Functions that each call the next one twice grow beyond any memory."""


def without_calls(module: Module, entry: str) -> Region:
    """The body of function `entry` without calls.

    An inlined operation keeps its location, or takes that of the call where it has none.  `UnsupportedError` where
    functions call each other in a circle, a function that does not exist, or more operations than can be compiled.
    """
    count = _count(module, entry, (), {})
    if count > _LARGEST_BODY:
        raise UnsupportedError(f"call: {entry} is {count} operations with all that it calls", mend="write a loop")
    return _Inliner(module).body(entry)


def _count(module: Module, name: str, callers: tuple[str, ...], known: dict[str, int]) -> int:
    """How many operations function `name` has once its calls are inlined; `known` are the counts found so far."""
    if name in callers:
        circle = " -> ".join((*callers[callers.index(name) :], name))
        raise UnsupportedError(f"call: functions call each other in a circle, {circle}", mend="write a loop")
    if name not in module.functions:
        raise UnsupportedError(f"call: there is no function {name}")
    if name not in known:
        sites = [operation.attributes for operation in walk(module[name].body)]
        callees = [site.callee for site in sites if isinstance(site, CallAttributes)]
        inlined = sum(_count(module, callee, (*callers, name), known) for callee in callees)
        known[name] = len(sites) - len(callees) + inlined
    return known[name]


class _Inliner:
    """Bodies without calls, each made once."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._bodies: dict[str, Region] = {}

    def body(self, name: str) -> Region:
        if name not in self._bodies:
            body = self._module[name].body
            called = any(
                isinstance(operation.attributes, CallAttributes) or operation.op in INLINED for operation in walk(body)
            )
            self._bodies[name] = self._region(body, {}) if called else body
        return self._bodies[name]

    def _region(self, region: Region, replaced: dict[Value, Value]) -> Region:
        """`region` without calls; `replaced` says what stands for the results of calls."""
        operations: list[Operation] = []
        for operation in region.operations:
            operands = tuple(replaced.get(operand, operand) for operand in operation.operands)
            if isinstance(operation.attributes, CallAttributes):
                body = self.body(operation.attributes.callee)
                operations += _repeat(body, operands, operation, replaced)
            elif operation.op in INLINED:
                operations += _repeat(self._region(operation.regions[0], {}), operands, operation, replaced)
            elif operation.regions or operands != operation.operands:
                regions = tuple(self._region(inner, replaced) for inner in operation.regions)
                operations.append(replace(operation, operands=operands, regions=regions))
            else:
                operations.append(operation)
        results = tuple(replaced.get(result, result) for result in region.results)
        return Region(region.parameters, tuple(operations), results)


def _repeat(
    body: Region, arguments: tuple[Value, ...], call: Operation, replaced: dict[Value, Value]
) -> list[Operation]:
    """Copies of the operations of `body` on `arguments`; `replaced` gains the results of `call`."""
    copies = dict(zip(body.parameters, arguments, strict=True))
    operations = [_located(substitute(operation, copies), call.location) for operation in body.operations]
    results = (copies.get(result, result) for result in body.results)
    replaced.update(zip(call.results, results, strict=True))
    return operations


def _located(operation: Operation, location: Location | None) -> Operation:
    return replace(operation, location=location) if operation.location is None else operation


def without_barriers(region: Region, replaced: dict[Value, Value] | None = None) -> Region:
    """`region` with the operands of barriers in place of their results: what they kept apart is apart by now."""
    known: dict[Value, Value] = {} if replaced is None else replaced
    operations: list[Operation] = []
    for operation in region.operations:
        operands = tuple(known.get(operand, operand) for operand in operation.operands)
        if operation.op is OPTIMIZATION_BARRIER:
            known.update(zip(operation.results, operands, strict=True))
            continue
        regions = tuple(without_barriers(inner, known) for inner in operation.regions)
        operations.append(replace(operation, operands=operands, regions=regions))
    return Region(region.parameters, tuple(operations), tuple(known.get(result, result) for result in region.results))
