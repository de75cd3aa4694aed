"""Forward mode: a region and tangents of its arguments in, its results and their tangents out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any, TypeAlias

from tenfoldc import ops
from tenfoldc.ir.builder import Builder, Var
from tenfoldc.ir.core import Operation, Region, Value
from tenfoldc.ir.op import Op
from tenfoldc.ops.control import CASE, IF, WHILE
from tenfoldc.ops.loops import RECORD, SCAN
from tenfoldc.transform.activity import dependent, has_tangent
from tenfoldc.transform.loops import Loop
from tenfoldc.transform.replay import Replay, no_rule


def jvp(
    builder: Builder, region: Region, primals: Sequence[Var], tangents: Sequence[Var | None]
) -> tuple[tuple[Var, ...], tuple[Var | None, ...]]:
    """Emit `region` at `primals` together with its derivative along `tangents`.

    A tangent has its primal's type; None is zero.  Returns the results and their tangents.  `UnsupportedError`
    names an op that has no derivative rule.
    """
    known = {p: t.value for p, t in zip(region.parameters, tangents, strict=True) if t is not None}
    active = dependent(region, known, has_tangent)
    forward = Forward(Replay.of(builder, region, primals), known, active)
    forward.repeat(region)
    return tuple(forward.replay.vars(region.results)), tuple(map(forward.tangent, region.results))


class Forward:
    """A region being repeated with tangents beside its values; `active` are those of its values that may have one."""

    def __init__(self, replay: Replay, tangents: dict[Value, Value], active: Set[Value]) -> None:
        self.replay = replay
        self.tangents = tangents
        self.active = active

    def inside(self) -> Forward:
        """A region within this one."""
        return Forward(self.replay.inside(), self.tangents, self.active)

    def repeat(self, region: Region) -> None:
        """Emit the operations of `region`, each with what its results' tangents take."""
        for operation in region.operations:
            with self.replay.builder.at(operation.location):
                if self.active.isdisjoint(operation.results):
                    self.replay.repeat(operation)
                else:
                    _CONTROL.get(operation.op, _by_rule)(self, operation)

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


def _branches(forward: Forward, operation: Operation) -> None:
    """Branches that give tangents beside their results."""
    moving = forward.moving(operation.results)
    regions: list[Region] = []
    for branch in operation.regions:
        inner = forward.inside()
        inner.repeat(branch)
        regions.append(inner.replay.builder.region((), inner.doubled(branch.results, moving)))
    operands = forward.replay.vars(operation.operands)
    results = forward.replay.builder.emit(operation.op, operands, operation.attributes, regions)
    forward.define(operation.results, moving, results)


def _loop(forward: Forward, operation: Operation) -> None:
    """A loop that carries tangents beside its carry, and reads and makes stacks of tangents."""
    loop = Loop.of(operation)
    elements = loop.body.parameters[loop.carries :]
    moving, moving_elements, moving_made = map(forward.moving, (loop.last, elements, loop.made))
    inner = forward.inside()
    parameters = inner.parameters(loop.body.parameters[: loop.carries], moving)
    parameters += inner.parameters(elements, moving_elements)
    inner.repeat(loop.body)
    following = inner.doubled(loop.body.results[: loop.carries], moving)
    given = inner.doubled(loop.body.results[loop.carries :], moving_made)
    body = inner.replay.builder.region(parameters, [*following, *given])
    carry = forward.doubled(loop.carry, moving)
    results = _again(forward, loop, carry, forward.doubled(loop.stacks, moving_elements), moving, body)
    forward.define(loop.last, moving, results[: len(carry)])
    forward.define(loop.made, moving_made, results[len(carry) :])


def _again(
    forward: Forward, loop: Loop, carry: Sequence[Var], stacks: Sequence[Var], moving: Sequence[int], body: Region
) -> Sequence[Var]:
    """Emit a loop of the kind of `loop`; gives its last carry and the stacks that it makes."""
    if loop.condition is None:
        attributes: Any = loop.operation.attributes
        turns = attributes.turns if loop.turns is None else forward.replay.var(loop.turns)
        return ops.scan(carry, stacks, body, turns=turns, reverse=attributes.reverse)
    inner = forward.replay.inside()
    parameters = inner.parameters(loop.condition.parameters)
    parameters += [inner.builder.parameter(loop.last[place].type) for place in moving]
    for operation in loop.condition.operations:
        inner.repeat(operation)
    condition = inner.builder.region(parameters, inner.vars(loop.condition.results))
    if loop.counted is None:
        return ops.while_(carry, condition, body)
    results = ops.record(carry, condition, body)
    forward.replay.define([loop.counted], [results[len(carry)]])
    return *results[: len(carry)], *results[len(carry) + 1 :]


_Rule: TypeAlias = Callable[[Forward, Operation], None]
_CONTROL: Mapping[Op[Any], _Rule] = {IF: _branches, CASE: _branches, WHILE: _loop, RECORD: _loop, SCAN: _loop}
