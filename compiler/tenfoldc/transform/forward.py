"""The walk of forward mode: a region repeated with tangents beside its values, operation by operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from typing import Any, TypeAlias

from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import Operation, Region, Value
from tenfoldc.ir.op import Op
from tenfoldc.transform.replay import Replay, no_rule

Rules: TypeAlias = "dict[Op[Any], Callable[[Forward, Operation], None]]"
"""How to repeat operations that hold programs of their own."""


class Forward:
    """A region being repeated with tangents beside its values; `active` are those of its values that may have one."""

    def __init__(self, replay: Replay, tangents: dict[Value, Value], active: Set[Value], rules: Rules) -> None:
        self.replay = replay
        self.tangents = tangents
        self.active = active
        self.rules = rules

    def inside(self) -> Forward:
        """A region within this one."""
        return Forward(self.replay.inside(), self.tangents, self.active, self.rules)

    def repeat(self, region: Region) -> None:
        """Emit the operations of `region`, each with what its results' tangents take."""
        for operation in region.operations:
            with self.replay.builder.at(operation.location):
                if self.active.isdisjoint(operation.results):
                    self.replay.repeat(operation)
                else:
                    self.rules.get(operation.op, _by_rule)(self, operation)

    def tangent(self, value: Value) -> Var | None:
        """The tangent of `value`; None where it is zero."""
        known = self.tangents.get(value)
        return None if known is None else self.replay.builder.var(known)

    def some_tangent(self, value: Value) -> Var:
        """The tangent of `value`, of zeros where it is zero."""
        known = self.tangent(value)
        return ops.zeros_like(self.replay.var(value)) if known is None else known

    def moving(self, values: Sequence[Value]) -> list[int]:
        """The places of the active ones of `values`."""
        return [place for place, value in enumerate(values) if value in self.active]

    def doubled(self, values: Sequence[Value], moving: Sequence[int]) -> list[Var]:
        """`values`, then the tangents of those at the places `moving`."""
        return [*self.replay.vars(values), *(self.some_tangent(values[place]) for place in moving)]

    def parameters(self, values: Sequence[Value], moving: Sequence[int]) -> list[Var]:
        """New parameters for `values`, then for the tangents of those at the places `moving`."""
        primals = self.replay.parameters(values)
        tangents = [self.replay.builder.parameter(values[place].type) for place in moving]
        self.tangents.update((values[place], var.value) for place, var in zip(moving, tangents, strict=True))
        return [*primals, *tangents]

    def define(self, values: Sequence[Value], moving: Sequence[int], results: Sequence[Var]) -> None:
        """Let `results` stand for `values`, then for the tangents of those at the places `moving`."""
        count = len(values)
        self.replay.define(values, results[:count])
        self.tangents.update((values[place], var.value) for place, var in zip(moving, results[count:], strict=True))


def _by_rule(forward: Forward, operation: Operation) -> None:
    site = forward.replay.repeat(operation)
    incoming = [forward.tangent(operand) for operand in operation.operands]
    if all(tangent is None for tangent in incoming):
        return
    if operation.op.jvp_rule is None:
        raise no_rule(operation, "forward derivative")
    for result, tangent in zip(operation.results, operation.op.jvp_rule(site, incoming), strict=True):
        if tangent is not None:
            forward.tangents[result] = tangent.value
