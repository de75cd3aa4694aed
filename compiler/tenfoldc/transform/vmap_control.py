"""Batching of branches and loops.

Where all examples take the same branch or as many turns, the regions are batched within.  Where they differ, all
branches are computed and each example's results selected; a loop turns until the last example ends, and examples
that have ended keep their carry.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import Operation, Region
from tenfoldc.ops import Direction
from tenfoldc.ops.control import CASE, IF, WHILE
from tenfoldc.ops.loops import COUNT, RECORD, SCAN, is_tape
from tenfoldc.transform.batch import Batch, Rules
from tenfoldc.transform.loops import Loop

# --- branches -------------------------------------------------------------------------------------


def _branches(batch: Batch, operation: Operation) -> None:
    (selector,) = operation.operands
    if selector in batch.carried:
        _select(batch, operation)
        return
    inners = [batch.inside() for _ in operation.regions]
    for inner, region in zip(inners, operation.regions, strict=True):
        inner.repeat(region)
    flags = [
        any(region.results[place] in batch.carried for region in operation.regions)
        for place in range(len(operation.results))
    ]
    regions = [
        inner.replay.builder.region((), [inner.as_expected(*pair) for pair in zip(region.results, flags, strict=True)])
        for inner, region in zip(inners, operation.regions, strict=True)
    ]
    selectors = batch.replay.vars(operation.operands)
    results = batch.replay.builder.emit(operation.op, selectors, operation.attributes, regions)
    batch.define(operation.results, results, flags)


def _select(batch: Batch, operation: Operation) -> None:
    """All branches, and each example's results selected."""
    for region in operation.regions:
        batch.repeat(region)
    selector = batch.replay.var(operation.operands[0])
    if operation.op is IF:
        chosen = [selector]
    else:
        numbers = range(len(operation.regions) - 1)
        chosen = [ops.compare(selector, ops.full_like(selector, number), Direction.EQ) for number in numbers]
    results: list[Var] = []
    for place in range(len(operation.results)):
        *firsts, result = [batch.batched(region.results[place]) for region in operation.regions]
        for pred, value in reversed(list(zip(chosen, firsts, strict=True))):
            result = _where(pred, value, result)
        results.append(result)
    batch.define(operation.results, results, [True] * len(results))


def _where(pred: Var, on_true: Var, on_false: Var) -> Var:
    """Example by example."""
    return ops.select(ops.broadcast_in_dim(pred, on_true.shape, (0,)), on_true, on_false)


# --- loops ----------------------------------------------------------------------------------------


def _loop(batch: Batch, operation: Operation) -> None:
    loop = Loop.of(operation)
    if loop.condition is None:
        _scan(batch, loop)
    else:
        _while(batch, loop, loop.condition)


def _enter(batch: Batch, region: Region, flags: Sequence[bool]) -> tuple[Batch, list[Var]]:
    """A region of a loop within `batch`, with parameters of which those flagged are batched."""
    inner = batch.inside()
    variables: list[Var] = []
    for value, flag in zip(region.parameters, flags, strict=True):
        shape = (batch.size, *value.type.shape) if flag else value.type.shape
        variables.append(inner.replay.builder.parameter(value.type.with_shape(shape)))
    inner.define(region.parameters, variables, flags)
    return inner, variables


def _while(batch: Batch, loop: Loop, condition: Region) -> None:
    """A `while` or a `record`.  Where examples take different numbers of turns, these are counted in the carry."""
    count = loop.carries
    flags = [value in batch.expected for value in loop.last]
    differ = condition.results[0] in batch.expected
    counts = differ and loop.counted is not None
    carry = [batch.as_expected(*pair) for pair in zip(loop.carry, flags, strict=True)]
    if counts:
        carry.append(ops.full(batch.replay.builder, COUNT.with_shape((batch.size,)), 0))

    inner, parameters = _enter(batch, condition, flags)
    extra = [inner.replay.builder.parameter(carry[-1].type)] if counts else []
    inner.repeat(condition)
    test = inner.replay.var(condition.results[0])
    if differ:
        test = ops.reduce_or(inner.batched(condition.results[0]), (0,))
    tested = inner.replay.builder.region([*parameters, *extra], [test])

    inner, parameters = _enter(batch, loop.body, flags)
    alive: Var | None = None
    if differ:
        inner.define(condition.parameters, parameters, flags)
        inner.repeat(condition)
        alive = inner.batched(condition.results[0])
    extra = [inner.replay.builder.parameter(carry[-1].type)] if counts else []
    following, made, made_flags = _turn(inner, loop, flags, parameters, alive)
    if counts and alive is not None:
        following.append(ops.add(extra[0], ops.convert(alive, COUNT.dtype)))
    body = inner.replay.builder.region([*parameters, *extra], [*following, *made])

    if loop.counted is None:
        batch.define(loop.last, ops.while_(carry, tested, body), flags)
        return
    results = ops.record(carry, tested, body)
    turns = results[count] if counts else results[len(carry)]
    batch.define([loop.counted], [turns], [counts])
    batch.define(loop.last, results[:count], flags)
    batch.define(loop.made, results[len(carry) + 1 :], made_flags)


def _scan(batch: Batch, loop: Loop) -> None:
    """A scan.  Where examples take different numbers of turns, the carry counts those that are under way."""
    count, builder = loop.carries, batch.replay.builder
    attributes: Any = loop.operation.attributes
    flags = [value in batch.expected for value in loop.last]
    read = [value in batch.carried for value in loop.stacks]
    carry = [batch.as_expected(*pair) for pair in zip(loop.carry, flags, strict=True)]
    stacks = [_exchanged(batch.replay.var(value), flag) for value, flag in zip(loop.stacks, read, strict=True)]
    turns: int | Var = attributes.turns if loop.turns is None else batch.replay.var(loop.turns)
    limits = turns if isinstance(turns, Var) and loop.turns in batch.carried else None
    if limits is not None:
        turns = ops.reduce_max(limits, (0,))
        last = ops.subtract(turns, ops.ones_like(turns))
        carry.append(last if attributes.reverse else ops.full(builder, COUNT, 0))

    inner, parameters = _enter(batch, loop.body, [*flags, *read])
    extra, following_turn, alive = [], [], None
    if limits is not None:
        turn = inner.replay.builder.parameter(COUNT)
        step = ops.full(inner.replay.builder, COUNT, -1 if attributes.reverse else 1)
        extra, following_turn = [turn], [ops.add(turn, step)]
        here = inner.replay.builder.var(limits.value)
        alive = ops.compare(ops.add_batch_axis(turn, batch.size), here, Direction.LT)
    following, made, made_flags = _turn(inner, loop, flags, parameters, alive)
    ordered = [*parameters[:count], *extra, *parameters[count:]]
    body = inner.replay.builder.region(ordered, [*following, *following_turn, *made])
    results = ops.scan(carry, stacks, body, turns=turns, reverse=attributes.reverse)
    batch.define(loop.last, results[:count], flags)
    stacked = zip(results[len(carry) :], made_flags, strict=True)
    batch.define(loop.made, [_exchanged(var, flag) for var, flag in stacked], made_flags)


def _turn(
    inner: Batch, loop: Loop, flags: Sequence[bool], parameters: Sequence[Var], alive: Var | None
) -> tuple[list[Var], list[Var], list[bool]]:
    """The body of a loop: the next carry, what the turn gives to stacks, and which of that is batched.

    Examples that are not `alive` keep their carry.
    """
    inner.repeat(loop.body)
    results = loop.body.results
    following = [inner.as_expected(*pair) for pair in zip(results[: loop.carries], flags, strict=True)]
    if alive is not None:
        following = [_where(alive, new, old) for new, old in zip(following, parameters, strict=False)]
    made = results[loop.carries :]
    return following, inner.replay.vars(made), [value in inner.carried for value in made]


def _exchanged(stack: Var, is_batched: bool) -> Var:
    """A stack whose turns and batch axis, the first two, change places; a tape's stay as they are."""
    if not is_batched or is_tape(stack.type):
        return stack
    return ops.transpose(stack, (1, 0, *range(2, stack.rank)))


RULES: Rules = {IF: _branches, CASE: _branches, WHILE: _loop, RECORD: _loop, SCAN: _loop}
