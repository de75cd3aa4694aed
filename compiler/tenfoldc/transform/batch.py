"""The walk of batching: a region repeated over a batch, operation by operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from typing import Any, TypeAlias

from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import Operation, Region, Value
from tenfoldc.ir.op import Op
from tenfoldc.transform.replay import Replay, no_rule

Rules: TypeAlias = "dict[Op[Any], Callable[[Batch, Operation], None]]"
"""How to batch operations that hold programs of their own."""


class Batch:
    """A region being repeated over a batch of `size` examples.

    `carried` are those of its values that have a batch axis, `expected` those that will get one once what they
    depend on is repeated; loops give one to all carries that are expected to have it.
    """

    def __init__(self, replay: Replay, carried: set[Value], expected: Set[Value], size: int, rules: Rules) -> None:
        self.replay = replay
        self.carried = carried
        self.expected = expected
        self.size = size
        self.rules = rules

    def inside(self) -> Batch:
        """A region within this one."""
        return Batch(self.replay.inside(), self.carried, self.expected, self.size, self.rules)

    def repeat(self, region: Region) -> None:
        """Emit the operations of `region`."""
        for operation in region.operations:
            with self.replay.builder.at(operation.location):
                if operation.op in self.rules and not self.expected.isdisjoint(operation.results):
                    self.rules[operation.op](self, operation)
                else:
                    self._by_rule(operation)

    def _by_rule(self, operation: Operation) -> None:
        flags = [operand in self.carried for operand in operation.operands]
        if not any(flags):
            self.replay.repeat(operation)
            return
        if operation.op.batch_rule is None:
            raise no_rule(operation, "batching")
        results, batched = operation.op.batch_rule(self.replay.site(operation), flags, self.size)
        self.define(operation.results, results, batched)

    def define(self, values: Sequence[Value], variables: Sequence[Var], batched: Sequence[bool]) -> None:
        """Let `variables` stand for `values`; those that are `batched` have a batch axis."""
        self.replay.define(values, variables)
        self.carried.update(value for value, flag in zip(values, batched, strict=True) if flag)

    def batched(self, value: Value) -> Var:
        """What stands for `value`, repeated over the batch where it is single."""
        var = self.replay.var(value)
        return var if value in self.carried else ops.add_batch_axis(var, self.size)

    def as_expected(self, value: Value, is_batched: bool) -> Var:
        """What stands for `value`, with a batch axis if `is_batched`; it has none otherwise."""
        return self.batched(value) if is_batched else self.replay.var(value)
