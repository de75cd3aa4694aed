"""The three kinds of loops seen alike: a carry, stacks that are read, stacks that are made."""

from __future__ import annotations

from tenfold_rt.frozen import frozen
from tenfoldc.ir.core import Operation, Region, Value
from tenfoldc.ops.control import CASE, IF, WHILE
from tenfoldc.ops.loops import RECORD, SCAN, ScanAttributes

BRANCHES = frozenset((IF, CASE))
LOOPS = frozenset((WHILE, RECORD, SCAN))


@frozen
class Loop:
    """A loop's operands, results and regions by what they are for.

    The body takes the carry and an element of each of `stacks`, and gives the next carry and an element of each of
    `made`.  `condition` takes the carry; a scan has none.  `turns` is the number of turns where a scan is given it,
    `counted` where a record finds it out.
    """

    operation: Operation
    carry: tuple[Value, ...]
    stacks: tuple[Value, ...]
    last: tuple[Value, ...]
    made: tuple[Value, ...]
    condition: Region | None
    body: Region
    turns: Value | None = None
    counted: Value | None = None

    @property
    def carries(self) -> int:
        return len(self.carry)

    @staticmethod
    def of(operation: Operation) -> Loop:
        operands, results, attributes = operation.operands, operation.results, operation.attributes
        if isinstance(attributes, ScanAttributes):
            first, count = attributes.first_stack, attributes.carries
            turns = operands[0] if attributes.turns is None else None
            return Loop(
                operation,
                operands[attributes.first_carry : first],
                operands[first:],
                results[:count],
                results[count:],
                None,
                operation.regions[0],
                turns=turns,
            )
        condition, body = operation.regions
        count = len(operands)
        counted = results[count] if operation.op is RECORD else None
        return Loop(operation, operands, (), results[:count], results[count + 1 :], condition, body, counted=counted)
