"""The walk of reverse mode: a region repeated forward, then cotangents taken back through its operations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import replace
from typing import Any, TypeAlias

from tenfoldc import ops
from tenfoldc.ir.builder import Builder, Var, build_region
from tenfoldc.ir.core import Operation, Region, Value
from tenfoldc.ir.op import Op, Site
from tenfoldc.ops.arithmetic import MULTIPLY
from tenfoldc.ops.elementwise import Elementwise
from tenfoldc.ops.loops import is_tape
from tenfoldc.transform.activity import masked
from tenfoldc.transform.replay import Replay, no_rule

Pull: TypeAlias = Callable[[Builder, Sequence[Var | None]], Iterable[tuple[Value, Var | None]]]
"""From the cotangents of an operation's results, in the builder of the pullback, to those of values that it used."""

Rules: TypeAlias = "dict[Op[Any], Callable[[Reverse, Operation], Pull]]"
"""How to emit operations that hold programs of their own, and to pull back through them."""


class Reverse:
    """A region being repeated forward, and the pulls that lead back through its operations.

    `active` are those of its values that have a cotangent; `turns` says for each tape, of this region or from
    around it, how many turns it holds.
    """

    def __init__(self, replay: Replay, active: Set[Value], rules: Rules, turns: dict[Value, Value]) -> None:
        self.replay = replay
        self.active = active
        self.turns = turns
        self.rules = rules
        self.masked: Set[Value] = frozenset()
        self._tape: list[tuple[Operation, Pull]] = []

    def inside(self) -> Reverse:
        """A region within this one."""
        return Reverse(self.replay.inside(), self.active, self.rules, self.turns)

    def forward(self, region: Region) -> None:
        """Emit the operations of `region` and remember how to pull back through the active ones."""
        self.masked = masked(region, self.active)
        for operation in region.operations:
            self.operation(operation)

    def operation(self, operation: Operation) -> None:
        with self.replay.builder.at(operation.location):
            if self.active.isdisjoint(operation.results):
                self.replay.repeat(operation)
            else:
                self._tape.append((operation, self.rules.get(operation.op, _by_rule)(self, operation)))

    def pull(self, found: Cotangents) -> None:
        """Go back through the operations, from the cotangents that are `found` to those of what they depend on."""
        for operation, pull in reversed(self._tape):
            outgoing = [found.get(result) for result in operation.results]
            if any(cotangent is not None for cotangent in outgoing):
                with found.builder.at(operation.location):
                    found.add(pull(found.builder, outgoing))


class Cotangents:
    """The cotangents found so far by a pullback that is built in `builder`."""

    def __init__(self, builder: Builder, reverse: Reverse) -> None:
        self.builder = builder
        self.known: dict[Value, Var] = {}
        self._reverse = reverse

    def seen_from(self, builder: Builder) -> Cotangents:
        """The same cotangents, as operands for operations in `builder`."""
        seen = Cotangents(builder, self._reverse)
        seen.known = {value: builder.var(var.value) for value, var in self.known.items()}
        return seen

    def get(self, value: Value) -> Var | None:
        """The cotangent of `value`; None where it is zero."""
        return self.known.get(value)

    def some(self, value: Value) -> Var:
        """The cotangent of `value`, of zeros where it is zero."""
        known = self.known.get(value)
        return zeros(self.builder, self._reverse, value) if known is None else known

    def add(self, pairs: Iterable[tuple[Value, Var | None]]) -> None:
        """Add cotangents to those of their values, where these have any."""
        for value, cotangent in pairs:
            if cotangent is not None and value in self._reverse.active:
                earlier = self.known.get(value)
                self.known[value] = cotangent if earlier is None else self._sum(value, earlier, cotangent)

    def _sum(self, value: Value, x: Var, y: Var) -> Var:
        if not is_tape(value.type):
            return ops.add(x, y)
        element = value.type.with_shape(value.type.shape[1:])
        body = build_region([element, element], _add)
        (total,) = ops.scan([], [x, y], body, turns=self.builder.var(self._reverse.turns[value]))
        return total


def _add(x: Var, y: Var) -> list[Var]:
    return [ops.add(x, y)]


def zeros(builder: Builder, reverse: Reverse, value: Value) -> Var:
    """A cotangent of `value` that is zero."""
    if not is_tape(value.type):
        return ops.full(builder, value.type, 0)
    element = value.type.with_shape(value.type.shape[1:])
    inner = Builder()
    body = inner.region([], [ops.full(inner, element, 0)])
    (tape,) = ops.scan([], [], body, turns=builder.var(reverse.turns[value]))
    return tape


def _by_rule(reverse: Reverse, operation: Operation) -> Pull:
    site = reverse.replay.repeat(operation)
    guarded = _is_guarded(reverse, operation)

    def pull(builder: Builder, outgoing: Sequence[Var | None]) -> Iterable[tuple[Value, Var | None]]:
        if operation.op.vjp_rule is None:
            raise no_rule(operation, "reverse derivative")
        incoming = operation.op.vjp_rule(_moved(site, builder), outgoing)
        if guarded:
            (cotangent,) = outgoing
            incoming = [None if value is None else _where_any(cotangent, value) for value in incoming]
        return zip(operation.operands, incoming, strict=True)

    return pull


def _is_guarded(reverse: Reverse, operation: Operation) -> bool:
    """Whether a cotangent of 0 is to pass an operation as 0, though its derivative may be infinite or NaN there."""
    op = operation.op
    if not isinstance(op, Elementwise) or not op.singular or operation.results[0] not in reverse.masked:
        return False
    return op is not MULTIPLY or all(operand in reverse.active for operand in operation.operands)


def _where_any(cotangent: Var | None, value: Var) -> Var:
    """`value` where the result's cotangent is not 0, which it is computed from."""
    if cotangent is None:
        return value
    nothing = ops.compare(cotangent, ops.zeros_like(cotangent), ops.Direction.EQ)
    return ops.select(nothing, ops.zeros_like(value), value)


def _moved(site: Site[Any], builder: Builder) -> Site[Any]:
    """`site` as seen by a pullback in `builder`."""
    operands = tuple(builder.var(operand.value) for operand in site.operands)
    return replace(site, operands=operands, results=tuple(builder.var(result.value) for result in site.results))
