"""Constant folding: operations on constants, computed while compiling with the reference of their record.

Only what is exact, or rounded once as IEEE 754 says, is folded; a logarithm is left to the code that computes every
other logarithm, so that it comes out the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from tenfoldc import ops
from tenfoldc.ir.builder import Builder, Var
from tenfoldc.ir.core import Operation, Value
from tenfoldc.ir.op import Array, Kind, Op
from tenfoldc.ops.creation import constant
from tenfoldc.simplify.matching import constant_array, filled, is_static, splat_element

Producers: TypeAlias = Mapping[Value, Operation]
Find: TypeAlias = Callable[[Value, Producers], Array | None]

SMALL = 64
"""The most elements that a folded constant may have, unless they are all one."""

_ROUNDED_ONCE: frozenset[Op[Any]] = frozenset(
    (
        *(ops.ADD, ops.SUBTRACT, ops.MULTIPLY, ops.DIVIDE, ops.REMAINDER, ops.SQUARE, ops.SQRT),
        *(ops.NEGATE, ops.ABS, ops.SIGN, ops.FLOOR, ops.CEIL, ops.ROUND_NEAREST_EVEN, ops.ROUND_NEAREST_AFZ),
        *(ops.MAXIMUM, ops.MINIMUM, ops.CLAMP, ops.SELECT, ops.COMPARE, ops.IS_FINITE, ops.CONVERT),
    )
)


def folded(operation: Operation, producers: Producers, builder: Builder) -> Var | None:
    """The constant that `operation` computes, or None where it is none, too large, or not exact."""
    if not operation.operands or operation.regions or not is_exact(operation):
        return None
    type_ = operation.results[0].type
    if operation.op.kind is Kind.ELEMENTWISE:
        elements = _found(splat_element, operation, producers)
        if elements is not None:
            value = evaluated(operation, elements)
            return None if value is None else filled(builder, type_, value)
    if not is_static(type_) or type_.size > SMALL:
        return None
    arrays = _found(constant_array, operation, producers)
    value = None if arrays is None else evaluated(operation, arrays)
    return None if value is None else constant(builder, value)


def _found(find: Find, operation: Operation, producers: Producers) -> list[Array] | None:
    """What `find` gives for every operand; None where it gives none for one."""
    found: list[Array] = []
    for operand in operation.operands:
        array = find(operand, producers)
        if array is None:
            return None
        found.append(array)
    return found


def is_exact(operation: Operation) -> bool:
    """Whether the reference of `operation` gives the bits that compiled code gives."""
    if operation.op.kind is Kind.ELEMENTWISE:
        floats = any(operand.type.dtype.is_float for operand in operation.operands)
        return not floats or operation.op in _ROUNDED_ONCE
    return operation.op.kind is Kind.MOVEMENT or operation.op is ops.GATHER


def evaluated(operation: Operation, arrays: list[Array]) -> Array | None:
    """The result; None where elementwise arithmetic gives a NaN, whose bits depend on the machine."""
    (result,) = operation.op.reference(arrays, operation.attributes, ())
    value = np.asarray(result)
    if operation.op.kind is Kind.ELEMENTWISE and value.dtype.kind == "f" and bool(np.isnan(value).any()):
        return None
    return value
