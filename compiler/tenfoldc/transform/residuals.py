"""What a pullback needs of the forward pass: what is kept for it, and what it computes again.

Kept is what costs work to compute.  Constants and larger copies of smaller tensors are made again, and so is what a
loop tapes within a region that may be run many times, for tapes cannot be stacked.
"""

from __future__ import annotations

from collections.abc import Set

from tenfold_rt.frozen import frozen
from tenfoldc.ir.builder import Builder
from tenfoldc.ir.core import Operation, Region, Value, captured
from tenfoldc.ir.op import Kind
from tenfoldc.ops.loops import is_tape


@frozen
class Residuals:
    """`kept` are values of the forward region; `again` operations of it to repeat, in order, on these."""

    kept: tuple[Value, ...]
    again: tuple[Operation, ...]


def residuals(forward: Region, pullback: Builder, given: Set[Value]) -> Residuals:
    """What `pullback` needs of the region `forward`, of whose values it has those `given` anyway."""
    producers = {result: operation for operation in forward.operations for result in operation.results}
    kept: dict[Value, None] = {}
    again: set[Operation] = set()
    seen = set(given)
    pending = [value for operation in reversed(pullback.operations) for value in _used(operation)]
    while pending:
        value = pending.pop()
        if value in seen:
            continue
        seen.add(value)
        producer = producers.get(value)
        if producer is not None and (is_tape(value.type) or _is_cheap(producer)):
            again.add(producer)
            pending.extend(_used(producer))
        elif producer is not None or value in forward.parameters:
            kept[value] = None
    return Residuals(tuple(kept), tuple(operation for operation in forward.operations if operation in again))


def _used(operation: Operation) -> list[Value]:
    return [*operation.operands, *(value for region in operation.regions for value in captured(region))]


def _is_cheap(operation: Operation) -> bool:
    """Whether an operation computes nothing and its result is no smaller than what it is made of."""
    if operation.op.kind is Kind.CREATION:
        return True
    if operation.op.kind is not Kind.MOVEMENT:
        return False
    return sum(value.type.size for value in operation.operands) <= sum(value.type.size for value in operation.results)
