"""Repeating a region operation by operation while something else is done beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tenfold_rt.errors import UnsupportedError
from tenfoldc.ir.builder import Builder, Var, substitute
from tenfoldc.ir.core import Operation, Region, Value
from tenfoldc.ir.op import Site


class Replay:
    """A region being repeated in `builder`, its parameters replaced by `arguments`."""

    def __init__(self, builder: Builder, region: Region, arguments: Sequence[Var]) -> None:
        self.builder = builder
        self._values = {p: a.value for p, a in zip(region.parameters, arguments, strict=True)}

    def var(self, value: Value) -> Var:
        """What `value` of the region is in the new program; a value from outside is itself."""
        return Var(self._values.get(value, value), self.builder)

    def repeat(self, operation: Operation) -> Site[Any]:
        """Emit `operation` and give its site."""
        copy = substitute(operation, self._values)
        self.builder.operations.append(copy)
        return Site(
            tuple(Var(operand, self.builder) for operand in copy.operands),
            copy.attributes,
            copy.regions,
            tuple(Var(result, self.builder) for result in copy.results),
        )

    def site(self, operation: Operation) -> Site[Any]:
        """The site of `operation` without emitting it."""
        return Site(tuple(self.var(operand) for operand in operation.operands), operation.attributes, operation.regions)

    def define(self, value: Value, var: Var) -> None:
        """Let `var` stand for `value` from here on."""
        self._values[value] = var.value


def no_rule(operation: Operation, rule: str) -> UnsupportedError:
    """The error for an op whose record lacks a rule that a transformation needs."""
    return UnsupportedError(f"{operation.op.name} has no {rule} rule", mend="express it with ops that have one")
