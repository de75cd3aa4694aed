"""Which values of a region depend on others: the question before every transformation.

A loop hands a dependence on from turn to turn, so its body is looked at until nothing new depends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set

from tenfoldc.ir.core import Operation, Region, Value, captured
from tenfoldc.ir.op import Kind
from tenfoldc.ops.comparison import SELECT
from tenfoldc.transform.loops import BRANCHES, LOOPS, Loop


def has_tangent(value: Value) -> bool:
    """Whether `value` has a derivative: it is of floats."""
    return value.type.dtype.is_float


def is_anything(_: Value) -> bool:
    return True


def dependent(region: Region, sources: Iterable[Value], counts: Callable[[Value], bool]) -> set[Value]:
    """The values of `region`, and of the regions within it, that depend on `sources` through values that count.

    `sources` that count are among them.
    """
    search = _Search(counts)
    search.mark(sources)
    search.region(region)
    return search.found


def masked(region: Region, among: Set[Value]) -> set[Value]:
    """The values of `region`, of those `among`, that reach the choices of a `select` element by element.

    Where an element is not chosen its cotangent is 0, and must stay 0 whatever was computed of it.
    """
    found: set[Value] = set()
    for operation in reversed(region.operations):
        if operation.op is SELECT:
            found.update(operation.operands[1:])
        elif operation.op.kind in (Kind.ELEMENTWISE, Kind.MOVEMENT) and not found.isdisjoint(operation.results):
            found.update(operation.operands)
    return found & among


class _Search:
    """The dependent values that are known so far."""

    def __init__(self, counts: Callable[[Value], bool]) -> None:
        self.found: set[Value] = set()
        self._counts = counts

    def mark(self, values: Iterable[Value]) -> None:
        self.found.update(filter(self._counts, values))

    def region(self, region: Region) -> None:
        for operation in region.operations:
            if operation.op in BRANCHES:
                self._branches(operation)
            elif operation.op in LOOPS:
                self._loop(Loop.of(operation))
            else:
                used = (value for inner in operation.regions for value in captured(inner))
                if self._any(operation.operands) or self._any(used):
                    self.mark(operation.results)

    def _any(self, values: Iterable[Value]) -> bool:
        return not self.found.isdisjoint(values)

    def _branches(self, operation: Operation) -> None:
        if self._any(operation.operands):
            self.mark(operation.results)
        for branch in operation.regions:
            self.region(branch)
            self._pass_on(zip(branch.results, operation.results, strict=True))

    def _pass_on(self, links: Iterable[tuple[Value, Value]]) -> None:
        self.mark([target for source, target in links if source in self.found])

    def _loop(self, loop: Loop) -> None:
        body, count = loop.body, loop.carries
        links = [
            *zip((*loop.carry, *loop.stacks), body.parameters, strict=True),
            *zip(body.results, body.parameters[:count], strict=False),
            *zip(body.parameters[:count], loop.last, strict=True),
            *zip(body.results[count:], loop.made, strict=True),
        ]
        if loop.condition is not None:
            links += zip(body.parameters, loop.condition.parameters, strict=True)
        before = -1
        while before < len(self.found):
            before = len(self.found)
            self._pass_on(links)
            for region in loop.operation.regions:
                self.region(region)
            if self._is_length_dependent(loop):
                self.mark((*body.parameters[:count], *loop.operation.results))

    def _is_length_dependent(self, loop: Loop) -> bool:
        """Whether the number of turns depends on a source."""
        if loop.condition is not None:
            return self._any(loop.condition.results)
        return loop.turns is not None and loop.turns in self.found
