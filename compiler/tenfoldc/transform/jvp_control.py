"""Forward mode through branches and loops: results, carries and stacks have tangents beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import Operation, Region
from tenfoldc.ops.control import CASE, IF, WHILE
from tenfoldc.ops.loops import RECORD, SCAN
from tenfoldc.transform.forward import Forward, Rules
from tenfoldc.transform.loops import Loop


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


RULES: Rules = {IF: _branches, CASE: _branches, WHILE: _loop, RECORD: _loop, SCAN: _loop}
