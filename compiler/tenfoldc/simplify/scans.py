"""Loops that stack, written as plain loops: the stacks become part of the carry, updated in place turn by turn.

A stack of known length is an array; one of unknown length is a tape.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from tenfoldc import ops
from tenfoldc.ir.builder import Builder, Var, build_region
from tenfoldc.ir.core import Operation, Region, Value
from tenfoldc.ir.types import TensorType
from tenfoldc.ops import Direction
from tenfoldc.ops.loops import COUNT, RECORD, SCAN, ScanAttributes, is_tape


def without_scans(region: Region) -> Region:
    """`region` with a `while` for each loop that stacks."""
    return _Writer().region(region, {})


class _Writer:
    """Rewrites regions; stacks are numbered through."""

    def __init__(self) -> None:
        self._stacks = itertools.count()

    def region(self, region: Region, replaced: dict[Value, Value]) -> Region:
        """`region` rewritten; `replaced` says what stands for values by now."""
        operations: list[Operation] = []
        for operation in region.operations:
            operands = tuple(replaced.get(operand, operand) for operand in operation.operands)
            regions = tuple(self.region(inner, replaced) for inner in operation.regions)
            if operation.op not in (SCAN, RECORD):
                operations.append(_with(operation, operands, regions))
                continue
            builder = Builder()
            builder.location = operation.location
            given = [builder.var(operand) for operand in operands]
            write = self._scan if operation.op is SCAN else self._record
            results = write(builder, operation, given, regions)
            operations += builder.operations
            replaced.update((old, new.value) for old, new in zip(operation.results, results, strict=True))
        return Region(region.parameters, tuple(operations), tuple(replaced.get(r, r) for r in region.results))

    def _scan(
        self, builder: Builder, operation: Operation, operands: Sequence[Var], regions: Sequence[Region]
    ) -> Sequence[Var]:
        attributes = operation.attributes
        assert isinstance(attributes, ScanAttributes)
        count = attributes.carries
        carry, stacks = operands[attributes.first_carry : attributes.first_stack], operands[attributes.first_stack :]
        made = self._empty(builder, attributes.types[count:])
        if attributes.turns == 0:
            return *carry, *made
        turns = operands[0] if attributes.turns is None else ops.full(builder, COUNT, attributes.turns)
        start = [ops.full(builder, COUNT, 0), *carry, *made]
        types = [var.type for var in start]

        def condition(turn: Var, *_: Var) -> list[Var]:
            return [ops.compare(turn, turn.builder.var(turns.value), Direction.LT)]

        def body(turn: Var, *values: Var) -> list[Var]:
            inner = turn.builder
            one = ops.ones_like(turn)
            place = turn
            if attributes.reverse:
                place = ops.subtract(ops.subtract(inner.var(turns.value), one), turn)
            elements = [_element(inner.var(stack.value), place) for stack in stacks]
            results = inner.inline(regions[0], [*values[:count], *elements])
            gathered = zip(values[count:], results[count:], strict=True)
            return [ops.add(turn, one), *results[:count], *(_extended(stack, each, place) for stack, each in gathered)]

        looped = [build_region(types, part, like=builder) for part in (condition, body)]
        return ops.while_(start, *looped)[1:]

    def _record(
        self, builder: Builder, operation: Operation, operands: Sequence[Var], regions: Sequence[Region]
    ) -> Sequence[Var]:
        attributes: Any = operation.attributes
        count = len(operands)
        made = self._empty(builder, attributes.types[count + 1 :])
        start = [*operands, ops.full(builder, COUNT, 0), *made]
        types = [var.type for var in start]

        def condition(*values: Var) -> Sequence[Var]:
            return values[-1].builder.inline(regions[0], values[:count])

        def body(*values: Var) -> list[Var]:
            turn = values[count]
            results = turn.builder.inline(regions[1], values[:count])
            gathered = zip(values[count + 1 :], results[count:], strict=True)
            tapes = [_extended(tape, each, turn) for tape, each in gathered]
            return [*results[:count], ops.add(turn, ops.ones_like(turn)), *tapes]

        return ops.while_(start, *(build_region(types, part, like=builder) for part in (condition, body)))

    def _empty(self, builder: Builder, types: Iterable[TensorType]) -> list[Var]:
        """Stacks to be filled: the turns write all of each."""
        return [ops.empty_stack(builder, type_, next(self._stacks)) for type_ in types]


def _with(operation: Operation, operands: tuple[Value, ...], regions: tuple[Region, ...]) -> Operation:
    if operands == operation.operands and all(a is b for a, b in zip(regions, operation.regions, strict=True)):
        return operation
    return Operation(operation.op, operands, operation.results, operation.attributes, regions, operation.location)


def _element(stack: Var, place: Var) -> Var:
    """The element of a stack at `place`."""
    if is_tape(stack.type):
        return ops.tape_read(stack, place)
    zero = ops.zeros_like(place)
    sizes = stack.sizes[1:]
    return ops.reshape(ops.dynamic_slice(stack, [place, *[zero] * len(sizes)], (1, *sizes)), sizes)


def _extended(stack: Var, element: Var, place: Var) -> Var:
    """A stack with `element` at `place`."""
    if is_tape(stack.type):
        return ops.tape_write(stack, element, place)
    zero = ops.zeros_like(place)
    row = ops.reshape(element, (1, *element.shape))
    return ops.dynamic_update_slice(stack, row, [place, *[zero] * element.rank])
