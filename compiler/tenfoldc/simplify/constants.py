"""Large constants that one operation alone uses are replaced by what it makes of them, if that takes no more memory.

    transpose(c0), c0 not used otherwise   →   c1

So an exported model holds its weights as its contractions read them.  Small constants are folded wherever they are
used (`tenfoldc.simplify.folding`); a large one that has other uses would be held twice.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from tenfoldc.ir.core import Operation, Region, Value, walk
from tenfoldc.ir.op import Array
from tenfoldc.ops.creation import CONSTANT, ConstantAttributes, splat_value
from tenfoldc.simplify.folding import SMALL, evaluated, is_exact
from tenfoldc.simplify.matching import is_static


def with_constants_folded(region: Region) -> Region:
    """A region that computes the same; `region` itself where it has no large constants."""
    if not any(_is_large(operation) for operation in walk(region)):
        return region
    return _Folding(region).region(region)


def _is_large(operation: Operation) -> bool:
    return isinstance(operation.attributes, ConstantAttributes) and operation.attributes.value.size > SMALL


class _Folding:
    """One walk over a function's body."""

    def __init__(self, body: Region) -> None:
        self.uses = Counter(value for operation in walk(body) for value in operation.operands)
        for region in (body, *(inner for operation in walk(body) for inner in operation.regions)):
            self.uses.update(region.results)
        self.constants: dict[Value, Array] = {}

    def region(self, region: Region) -> Region:
        return replace(region, operations=tuple(map(self._folded, region.operations)))

    def _folded(self, operation: Operation) -> Operation:
        """The constant that `operation` computes, or itself."""
        if operation.regions:
            return replace(operation, regions=tuple(map(self.region, operation.regions)))
        array = self._array(operation)
        if array is None:
            return operation
        (result,) = operation.results
        self.constants[result] = array
        if isinstance(operation.attributes, ConstantAttributes):
            return operation
        return Operation(CONSTANT, (), (result,), ConstantAttributes(array), location=operation.location)

    def _array(self, operation: Operation) -> Array | None:
        """What `operation` computes; None where that is not known or takes more memory than it frees."""
        if isinstance(operation.attributes, ConstantAttributes):
            return operation.attributes.value
        operands = operation.operands
        if not operands or not is_exact(operation) or not all(operand in self.constants for operand in operands):
            return None
        freed = sum(_memory(self.constants[operand]) for operand in operands if self.uses[operand] == 1)
        if not is_static(operation.results[0].type) or _nbytes(operation.results[0]) > freed:
            return None
        return evaluated(operation, [self.constants[operand] for operand in operands])


def _memory(array: Array) -> int:
    """The bytes that a constant takes: none worth counting where it repeats one element."""
    return array.nbytes if splat_value(array) is None else 0


def _nbytes(value: Value) -> int:
    return value.type.size * value.type.dtype.itemsize
