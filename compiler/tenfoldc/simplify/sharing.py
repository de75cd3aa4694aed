"""What makes two operations equal: their op, operands, attributes and regions, as a key that can be hashed."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable

from tenfoldc.ir.core import Operation, Region, Value
from tenfoldc.ir.op import Array
from tenfoldc.ops.creation import ConstantAttributes, splat_value


def key(operation: Operation) -> Hashable:
    """Equal for operations that compute the same bits.  Constants count by their bits, so 0.0 is not -0.0."""
    if isinstance(operation.attributes, ConstantAttributes):
        return constant_key(operation.attributes.value)
    if operation.regions:
        return _numbered_key(operation, {})
    return (operation.op, operation.operands, operation.attributes)


def constant_key(value: Array) -> Hashable:
    """Element type, shape, and the bits: those of the element that repeats, or a digest of all."""
    if splat_value(value) is not None:
        return (value.dtype.name, value.shape, value[(0,) * value.ndim].tobytes())
    return (value.dtype.name, value.shape, hashlib.blake2b(value.tobytes()).digest())


def _numbered_key(operation: Operation, numbers: dict[Value, int]) -> Hashable:
    """The key of an operation where the values that regions define go by numbers, not by identity."""
    operands = tuple(numbers.get(operand, operand) for operand in operation.operands)
    if isinstance(operation.attributes, ConstantAttributes):
        return constant_key(operation.attributes.value)
    regions = tuple(_region_key(region, numbers) for region in operation.regions)
    return (operation.op, operands, operation.attributes, regions)


def _region_key(region: Region, numbers: dict[Value, int]) -> Hashable:
    for parameter in region.parameters:
        numbers[parameter] = len(numbers)
    lines: list[Hashable] = []
    for operation in region.operations:
        lines.append(_numbered_key(operation, numbers))
        for result in operation.results:
            numbers[result] = len(numbers)
    types = tuple(parameter.type for parameter in region.parameters)
    return (types, tuple(lines), tuple(numbers.get(result, result) for result in region.results))
