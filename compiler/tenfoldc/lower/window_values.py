"""What a window reduction reads and writes: the values its windows begin with, elements, and results."""

from __future__ import annotations

from collections.abc import Sequence

from tenfoldc.ir.core import Operation
from tenfoldc.loops.ir import Expr, Statement
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.loop_nest import nest


def initial_values(operation: Operation, context: LoweringContext) -> list[Expr]:
    """What the windows of a `reduce_window` begin with."""
    count = len(operation.results)
    return [context.read(count + number, ()) for number in range(count)]


def elements_at(operation: Operation, context: LoweringContext, index: Sequence[Expr]) -> list[Expr]:
    """The elements of the tensors that a `reduce_window` combines."""
    return [context.read(number, index) for number in range(len(operation.results))]


def write_all(context: LoweringContext, index: Sequence[Expr], values: Sequence[Expr]) -> list[Statement]:
    """Write an element of each result."""
    return [statement for number, value in enumerate(values) for statement in context.write(index, value, number)]


def write_initial_values(operation: Operation, context: LoweringContext) -> Sequence[Statement]:
    """Results of windows over tensors without elements."""
    inits = initial_values(operation, context)
    return nest(context, operation.results[0].type.sizes, lambda index: write_all(context, index, inits))
