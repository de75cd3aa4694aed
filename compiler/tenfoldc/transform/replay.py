"""Repeating a region operation by operation while something else is done beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tenfold_rt.errors import UnsupportedError
from tenfoldc.ir.builder import Builder, Var, copied, substitute
from tenfoldc.ir.core import Operation, Region, Value
from tenfoldc.ir.op import Site


class Replay:
    """A region being repeated in `builder`.  `values` says what stands for its values there."""

    def __init__(self, builder: Builder, values: dict[Value, Value]) -> None:
        self.builder = builder
        self.values = values

    @staticmethod
    def of(builder: Builder, region: Region, arguments: Sequence[Var]) -> Replay:
        """`region` in `builder`, its parameters replaced by `arguments`."""
        return Replay(builder, {p: a.value for p, a in zip(region.parameters, arguments, strict=True)})

    def inside(self) -> Replay:
        """A region within this one, to be repeated in a builder of its own."""
        return Replay(builder_inside(self.builder), self.values)

    def parameters(self, values: Sequence[Value]) -> list[Var]:
        """New parameters that stand for `values`."""
        variables = [self.builder.parameter(value.type) for value in values]
        self.define(values, variables)
        return variables

    def var(self, value: Value) -> Var:
        """What `value` of the region is in the new program; a value from outside is itself."""
        return Var(self.values.get(value, value), self.builder)

    def vars(self, values: Sequence[Value]) -> list[Var]:
        return [self.var(value) for value in values]

    def repeat(self, operation: Operation) -> Site[Any]:
        """Emit `operation` and give its site."""
        copy = substitute(operation, self.values)
        self.builder.operations.append(copy)
        return Site(
            tuple(Var(operand, self.builder) for operand in copy.operands),
            copy.attributes,
            copy.regions,
            tuple(Var(result, self.builder) for result in copy.results),
        )

    def site(self, operation: Operation) -> Site[Any]:
        """The site of `operation` without emitting it."""
        regions = tuple(copied(region, self.values) for region in operation.regions)
        return Site(tuple(self.vars(operation.operands)), operation.attributes, regions)

    def region(self, region: Region) -> Region:
        """A copy of `region`, which lies within this one."""
        inner = self.inside()
        parameters = inner.parameters(region.parameters)
        for operation in region.operations:
            inner.repeat(operation)
        return inner.builder.region(parameters, inner.vars(region.results))

    def define(self, values: Sequence[Value], variables: Sequence[Var]) -> None:
        """Let `variables` stand for `values` from here on."""
        self.values.update((value, var.value) for value, var in zip(values, variables, strict=True))


def builder_inside(outer: Builder) -> Builder:
    """A builder for a region within that of `outer`."""
    inner = Builder(outer.locate)
    inner.location = outer.location
    return inner


def no_rule(operation: Operation, rule: str) -> UnsupportedError:
    """The error for an op whose record lacks a rule that a transformation needs."""
    return UnsupportedError(f"{operation.op.name} has no {rule} rule", mend="express it with ops that have one")
