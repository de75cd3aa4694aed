"""How rules see a program: an operation, the operations that made its operands, and constants among them.

A rule is a function from a `Match` to the value that replaces the only result of the operation, or None.  Rules are
listed by op in a `Table`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np

from tenfold_rt.frozen import frozen
from tenfoldc.ir.builder import Builder, Var
from tenfoldc.ir.core import Attributes, Operation, Value
from tenfoldc.ir.op import A, Array, Op
from tenfoldc.ir.types import TensorType
from tenfoldc.ops.creation import ConstantAttributes, constant, splat_value
from tenfoldc.ops.movement import BROADCAST_IN_DIM, broadcast_in_dim

B = TypeVar("B", bound=Attributes)


@frozen
class Match(Generic[A]):
    """An operation that a rule may replace.  Vars belong to the builder that takes the replacement."""

    operation: Operation
    attributes: A
    builder: Builder
    producers: Mapping[Value, Operation]

    @property
    def operands(self) -> tuple[Var, ...]:
        return tuple(Var(operand, self.builder) for operand in self.operation.operands)

    @property
    def operand(self) -> Var:
        """The first operand."""
        return Var(self.operation.operands[0], self.builder)

    @property
    def type(self) -> TensorType:
        """The type of the only result."""
        return self.operation.results[0].type

    def made_by(self, number: int, op: Op[B]) -> Match[B] | None:
        """The operation that made operand `number`, where that is an `op`."""
        producer = self.producers.get(self.operation.operands[number])
        if producer is None or producer.op is not op:
            return None
        attributes: Any = producer.attributes
        return Match(producer, attributes, self.builder, self.producers)

    def constant(self, number: int) -> Array | None:
        """The array that operand `number` is, where it is a constant."""
        return constant_array(self.operation.operands[number], self.producers)

    def splat(self, number: int) -> Array | None:
        """The element, of rank 0, that operand `number` repeats, where it is a constant."""
        return splat_element(self.operation.operands[number], self.producers)

    def same(self, first: int, second: int) -> bool:
        """Whether two operands are one value."""
        return self.operation.operands[first] is self.operation.operands[second]

    def filled(self, element: Array) -> Var:
        """A constant of the result's type that repeats `element`."""
        return filled(self.builder, self.type, element)


Rule: TypeAlias = Callable[[Match[Any]], Var | None]


class Table:
    """Rules by op, in the order in which they are tried."""

    def __init__(self) -> None:
        self.rules: dict[Op[Any], list[Rule]] = {}

    def rule(self, *ops: Op[Any]) -> Callable[[Rule], Rule]:
        """List the decorated rule for each of `ops`."""

        def add(rule: Rule) -> Rule:
            for op in ops:
                self.rules.setdefault(op, []).append(rule)
            return rule

        return add


def constant_array(value: Value, producers: Mapping[Value, Operation]) -> Array | None:
    """The array that `value` is, where it is a constant."""
    producer = producers.get(value)
    if producer is None or not isinstance(producer.attributes, ConstantAttributes):
        return None
    return producer.attributes.value


def splat_element(value: Value, producers: Mapping[Value, Operation]) -> Array | None:
    """The element, of rank 0, that `value` repeats, where it is a constant; its shape may be symbolic."""
    producer = producers.get(value)
    if producer is not None and producer.op is BROADCAST_IN_DIM and not producer.operands[0].type.rank:
        return constant_array(producer.operands[0], producers)
    array = constant_array(value, producers)
    return None if array is None or splat_value(array) is None else np.asarray(array[(0,) * array.ndim])


def filled(builder: Builder, type_: TensorType, element: Array) -> Var:
    """A tensor of `type_` that repeats `element`, of rank 0; never an array of that size in memory."""
    if is_static(type_):
        return constant(builder, np.broadcast_to(element, type_.sizes))
    return broadcast_in_dim(constant(builder, element), type_.shape, ())


def is_static(type_: TensorType) -> bool:
    """Whether every size is a number."""
    return all(isinstance(size, int) for size in type_.shape)
