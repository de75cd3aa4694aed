"""Reverse mode through branches and loops.

A region that may run many times, or not at all, is taken apart: its forward half gives, beside its results, what the
backward half needs of it (`tenfoldc.transform.residuals`).  A branch returns that; a scan stacks it; a `while` tapes
it and counts its turns, so that going back is a scan over the tape.  What each turn adds to the cotangent of a value
from outside the loop is summed in the carry of the way back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tenfold_rt.frozen import frozen
from tenfoldc import ops
from tenfoldc.ir.builder import Builder, Var, substitute
from tenfoldc.ir.core import Operation, Region, Value, captured
from tenfoldc.ir.op import Kind
from tenfoldc.ops.control import CASE, IF, WHILE
from tenfoldc.ops.loops import RECORD, SCAN
from tenfoldc.transform.activity import masked
from tenfoldc.transform.loops import Loop
from tenfoldc.transform.replay import builder_inside
from tenfoldc.transform.residuals import Residuals, residuals
from tenfoldc.transform.reverse import Cotangents, Pull, Reverse, Rules, zeros


class _Halves:
    """A region's forward half and its backward half, which takes one cotangent per active result."""

    def __init__(self, reverse: Reverse, region: Region, *, is_loop: bool) -> None:
        self._region = region
        self._inner = inner = reverse.inside()
        parameters = inner.replay.parameters(region.parameters)
        inner.masked = masked(region, inner.active)
        local = {*region.parameters}
        for operation in region.operations:
            if is_loop and _is_invariant(operation, local):
                reverse.operation(operation)
            else:
                inner.operation(operation)
                local.update(operation.results)
        self.forward = inner.replay.builder.region(parameters, inner.replay.vars(region.results))
        self.seeds = {
            place: reverse.replay.builder.parameter(result.type)
            for place, result in enumerate(region.results)
            if result in reverse.active
        }
        self._found = found = Cotangents(builder_inside(reverse.replay.builder), inner)
        found.add((region.results[place], found.builder.var(seed.value)) for place, seed in self.seeds.items())
        inner.pull(found)
        self.outside = [value for value in found.known if value not in local]
        """Values from around the region that get a cotangent from it."""

    def residuals(self, given: Sequence[Value] = ()) -> Residuals:
        """What the backward half needs of the forward half, beside its parameters that stand for `given`."""
        return residuals(self.forward, self._found.builder, {self._inner.replay.values[value] for value in given})

    def extended(self, kept: Sequence[Value]) -> Region:
        """The forward half, giving the values `kept` too."""
        forward = self.forward
        return Region(forward.parameters, forward.operations, (*forward.results, *kept))

    def backward(
        self,
        residuals: Residuals,
        parameters: Sequence[Value],
        replaced: dict[Value, Value],
        results: Callable[[Cotangents], Sequence[Var]],
    ) -> Region:
        """The backward half as a region: `replaced` says what stands for the residuals and the seeds in it, `results`
        chooses from the cotangents."""
        found = self._found.seen_from(builder_inside(self._found.builder))
        chosen = [var.value for var in results(found)]
        operations = (*residuals.again, *self._found.builder.operations, *found.builder.operations)
        copies = tuple(substitute(operation, replaced) for operation in operations)
        return Region(tuple(parameters), copies, tuple(replaced.get(value, value) for value in chosen))


# --- branches -------------------------------------------------------------------------------------


def _branches(reverse: Reverse, operation: Operation) -> Pull:
    """Branches that give their residuals too, in slots that several may use."""
    builder = reverse.replay.builder
    halves = [_Halves(reverse, region, is_loop=False) for region in operation.regions]
    needs = [half.residuals() for half in halves]
    slots: list[Value] = []
    places: list[list[int]] = []
    for need in needs:
        places.append(_assign(need.kept, slots))
    regions = [
        _filled(half.extended(()), dict(zip(place, need.kept, strict=True)), slots, builder)
        for half, need, place in zip(halves, needs, places, strict=True)
    ]
    operands = reverse.replay.vars(operation.operands)
    results = builder.emit(operation.op, operands, operation.attributes, regions)
    count = len(operation.results)
    reverse.replay.define(operation.results, results[:count])
    targets = list(dict.fromkeys(value for half in halves for value in half.outside))

    def pull(builder: Builder, outgoing: Sequence[Var | None]) -> Iterable[tuple[Value, Var | None]]:
        regions: list[Region] = []
        for half, need, place in zip(halves, needs, places, strict=True):
            replaced = {value: results[count + slot].value for value, slot in zip(need.kept, place, strict=True)}
            for number, seed in half.seeds.items():
                cotangent = outgoing[number]
                some = ops.full(builder, seed.type, 0) if cotangent is None else cotangent
                replaced[seed.value] = some.value
            regions.append(half.backward(need, (), replaced, lambda found: [found.some(value) for value in targets]))
        if not targets:
            return ()
        selector = builder.var(operands[0].value)
        return zip(targets, builder.emit(operation.op, [selector], operation.attributes, regions), strict=True)

    return pull


def _assign(kept: Sequence[Value], slots: list[Value]) -> list[int]:
    """A slot of its type for each of `kept`; `slots`, one value of each slot's type, gains those that are missing."""
    free = list(range(len(slots)))
    places: list[int] = []
    for value in kept:
        place = next((slot for slot in free if slots[slot].type == value.type), None)
        if place is None:
            place = len(slots)
            slots.append(value)
        else:
            free.remove(place)
        places.append(place)
    return places


def _filled(region: Region, filled: dict[int, Value], slots: Sequence[Value], outer: Builder) -> Region:
    """`region` giving its value for each slot as well, zeros where it has none."""
    inner = builder_inside(outer)
    given = [
        filled[slot] if slot in filled else ops.full(inner, value.type, 0).value for slot, value in enumerate(slots)
    ]
    return Region(region.parameters, (*region.operations, *inner.operations), (*region.results, *given))


# --- loops ----------------------------------------------------------------------------------------


def _loop(reverse: Reverse, operation: Operation) -> Pull:
    loop = Loop.of(operation)
    halves = _Halves(reverse, loop.body, is_loop=True)
    elements = loop.body.parameters[loop.carries :]
    need = halves.residuals(elements)
    body = halves.extended(need.kept)
    carry, stacks = reverse.replay.vars(loop.carry), reverse.replay.vars(loop.stacks)
    ran = _run(reverse, loop, carry, stacks, body)
    made = len(loop.made)
    reverse.replay.define((*loop.last, *loop.made), (*ran.last, *ran.made[:made]))
    if not isinstance(ran.turns, int):
        reverse.turns.update(dict.fromkeys(loop.made, ran.turns.value))
    return _WayBack(reverse, loop, halves, need, stacks, ran.made[made:], ran.turns)


def _is_invariant(operation: Operation, local: set[Value]) -> bool:
    """Whether an operation may as well be done before the loop, whose turns compute the values `local`."""
    used = (value for region in operation.regions for value in captured(region))
    return operation.op.kind is not Kind.CONTROL and local.isdisjoint(operation.operands) and local.isdisjoint(used)


@frozen
class _Ran:
    """What a loop gave: its last carry, the stacks that it made, and how many turns it took."""

    last: Sequence[Var]
    made: Sequence[Var]
    turns: int | Var


def _run(reverse: Reverse, loop: Loop, carry: Sequence[Var], stacks: Sequence[Var], body: Region) -> _Ran:
    """Emit `loop` with another body, which may make more stacks."""
    count = len(carry)
    if loop.condition is None:
        attributes: Any = loop.operation.attributes
        turns = attributes.turns if loop.turns is None else reverse.replay.var(loop.turns)
        results = ops.scan(carry, stacks, body, turns=turns, reverse=attributes.reverse)
        return _Ran(results[:count], results[count:], turns)
    results = ops.record(carry, reverse.replay.region(loop.condition), body)
    if loop.counted is not None:
        reverse.replay.define([loop.counted], [results[count]])
    return _Ran(results[:count], results[count + 1 :], results[count])


@frozen
class _WayBack:
    """The pull through a loop: a scan the other way round, which carries the carry's cotangents.

    `stacks` are those that the loop read, `kept` those that hold its residuals.
    """

    reverse: Reverse
    loop: Loop
    halves: _Halves
    need: Residuals
    stacks: Sequence[Var]
    kept: Sequence[Var]
    turns: int | Var

    def __call__(self, builder: Builder, outgoing: Sequence[Var | None]) -> Iterable[tuple[Value, Var | None]]:
        loop, halves, active = self.loop, self.halves, self.reverse.active
        cotangents = dict(zip(loop.operation.results, outgoing, strict=True))
        carried = [place for place, value in enumerate(loop.last) if value in active]
        made = [place for place, value in enumerate(loop.made) if value in active]
        elements = loop.body.parameters[loop.carries :]
        read = [place for place, value in enumerate(elements) if value in active]
        body = self._body(carried, made, read)
        init = [self._some(builder, loop.last[place], cotangents) for place in carried]
        init += [zeros(builder, self.reverse, value) for value in halves.outside]
        given = [builder.var(var.value) for var in (*self.kept, *self.stacks)]
        given += [self._some(builder, loop.made[place], cotangents) for place in made]
        turns = self.turns if isinstance(self.turns, int) else builder.var(self.turns.value)
        if not init and not given and isinstance(turns, int):
            return ()
        attributes: Any = loop.operation.attributes
        backward = not (loop.condition is None and attributes.reverse)
        results = ops.scan(init, given, body, turns=turns, reverse=backward)
        targets = [loop.carry[place] for place in carried] + halves.outside + [loop.stacks[place] for place in read]
        return zip(targets, results, strict=True)

    def _some(self, builder: Builder, value: Value, cotangents: dict[Value, Var | None]) -> Var:
        known = cotangents[value]
        return zeros(builder, self.reverse, value) if known is None else known

    def _body(self, carried: Sequence[int], made: Sequence[int], read: Sequence[int]) -> Region:
        """One turn back: cotangents of the carry and sums for values from outside, then residuals, elements of the
        stacks that the loop read, and cotangents of what it made."""
        loop, halves = self.loop, self.halves
        replaced: dict[Value, Value] = {}
        parameters: list[Value] = []

        def parameter(value: Value) -> Value:
            new = Value(value.type)
            parameters.append(new)
            return new

        for place in carried:
            new = parameter(loop.last[place])
            if place in halves.seeds:
                replaced[halves.seeds[place].value] = new
        sums = [parameter(value) for value in halves.outside]
        own = halves.forward.parameters[loop.carries :]
        for value in (*self.need.kept, *own):
            replaced[value] = parameter(value)
        for place in made:
            seed = halves.seeds[loop.carries + place].value
            replaced[seed] = parameter(seed)

        def results(found: Cotangents) -> list[Var]:
            following = [found.some(loop.body.parameters[place]) for place in carried]
            pairs = zip(sums, halves.outside, strict=True)
            totals = [ops.add(found.builder.var(total), found.some(value)) for total, value in pairs]
            return following + totals + [found.some(loop.body.parameters[loop.carries + place]) for place in read]

        return halves.backward(self.need, parameters, replaced, results)


RULES: Rules = {IF: _branches, CASE: _branches, WHILE: _loop, RECORD: _loop, SCAN: _loop}
