"""Reverse mode: a region in, its results and a pullback from their cotangents to the arguments' out.

The region is repeated once, forward; the pullback walks it backward, asking each op's record for the cotangents
of its operands and adding up what reaches a value from several uses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from tenfoldc.ir.builder import Builder, Var
from tenfoldc.ir.core import Operation, Region, Value
from tenfoldc.ir.op import Site
from tenfoldc.ops import add
from tenfoldc.transform.replay import Replay, no_rule

Pullback: TypeAlias = Callable[[Sequence[Var | None]], tuple[Var | None, ...]]
"""From one cotangent per result (None is zero) to one per differentiated argument (None is zero)."""


def vjp(
    builder: Builder, region: Region, arguments: Sequence[Var], wrt: Sequence[int]
) -> tuple[tuple[Var, ...], Pullback]:
    """Emit `region` at `arguments`; give its results and the pullback to the arguments numbered in `wrt`.

    The pullback emits into `builder` too, so it must be called while that is being filled.  `UnsupportedError`,
    raised by the pullback, names an op that has no derivative rule.
    """
    replay = Replay(builder, region, arguments)
    active = _active_values(region, [region.parameters[i] for i in wrt])
    tape: list[tuple[Operation, Site[Any]]] = []
    for operation in region.operations:
        site = replay.repeat(operation)
        if any(result in active for result in operation.results):
            tape.append((operation, site))

    def pullback(cotangents: Sequence[Var | None]) -> tuple[Var | None, ...]:
        known: dict[Value, Var] = {}
        _accumulate(known, active, zip(region.results, cotangents, strict=True))
        for operation, site in reversed(tape):
            outgoing = [known.get(result) for result in operation.results]
            if any(cotangent is not None for cotangent in outgoing):
                with builder.at(operation.location):
                    if operation.op.vjp_rule is None:
                        raise no_rule(operation, "reverse derivative")
                    incoming = operation.op.vjp_rule(site, outgoing)
                    _accumulate(known, active, zip(operation.operands, incoming, strict=True))
        return tuple(known.get(region.parameters[i]) for i in wrt)

    return tuple(replay.var(result) for result in region.results), pullback


def _active_values(region: Region, inputs: Sequence[Value]) -> set[Value]:
    """Floating-point values that depend on `inputs`."""
    active = {value for value in inputs if value.type.dtype.is_float}
    for operation in region.operations:
        if any(operand in active for operand in operation.operands):
            active.update(result for result in operation.results if result.type.dtype.is_float)
    return active


def _accumulate(known: dict[Value, Var], active: set[Value], pairs: Iterable[tuple[Value, Var | None]]) -> None:
    for value, cotangent in pairs:
        if cotangent is not None and value in active:
            earlier = known.get(value)
            known[value] = cotangent if earlier is None else add(earlier, cotangent)
