"""Floats of 16 bits computed with in 32: a module in, one without arithmetic on f16 and bf16 out.

This defines what such arithmetic means, for the interpreter and for compiled code alike.  Operands are converted to
f32, which is exact; the operation is done in f32; each result that was to have 16 bits is rounded to nearest even,
once.  So a sum, a product of matrices or a convolution accumulates in f32 and is rounded at its end, and an
elementwise operation gives the correctly rounded result of one on the 16-bit numbers wherever f32's own is correct
(f32 has the 2p + 2 bits that make the second rounding harmless: Figueroa, "When is double rounding innocuous?", 1995).
What only moves elements keeps them as they are, as do sorts, whose comparators are widened, and ops on bit patterns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfoldc.ir.core import Attributes, Function, Module, Operation, Region, Value, walk
from tenfoldc.ir.op import Kind
from tenfoldc.ir.types import TensorType
from tenfoldc.ops.conversion import CONVERT, ConvertAttributes
from tenfoldc.ops.creation import CONSTANT, ConstantAttributes


def widen(module: Module) -> Module:
    """`module` with conversions to f32 and back around all arithmetic on floats of 16 bits; types at functions stay."""
    return replace(module, functions={name: _function(function) for name, function in module.functions.items()})


def _function(function: Function) -> Function:
    if not any(_touches_halves(operation) for operation in walk(function.body)):
        return function
    return replace(function, body=_Widening(function.body, rounds=True).region())


def _touches_halves(operation: Operation) -> bool:
    return any(value.type.dtype.is_half for value in (*operation.operands, *operation.results))


class _Widening:
    """A region being rewritten.

    With `rounds`, every value keeps its type, and its rounded elements are what others read.  Without, as in the
    scalar body of a reduction that is done in f32, parameters, results and all between are f32.
    """

    def __init__(self, source: Region, *, rounds: bool) -> None:
        self._source = source
        self._rounds = rounds
        self._operations: list[Operation] = []
        self._wide: dict[Value, Value] = {}
        """What holds the elements of a 16-bit value in f32."""

    def region(self) -> Region:
        source = self._source
        if self._rounds:
            for operation in source.operations:
                self._add(operation)
            return replace(source, operations=tuple(self._operations))
        parameters = tuple(self._fresh(parameter) for parameter in source.parameters)
        for operation in source.operations:
            self._compute(operation)
        return Region(parameters, tuple(self._operations), self._all_wide(source.results))

    def _fresh(self, value: Value) -> Value:
        """`value`, or where it has 16 bits the f32 value that stands for it."""
        if not value.type.dtype.is_half:
            return value
        self._wide[value] = Value(value.type.with_dtype(dtypes.f32))
        return self._wide[value]

    def _all_wide(self, values: Sequence[Value]) -> tuple[Value, ...]:
        return tuple(self._in_f32(value) for value in values)

    def _in_f32(self, value: Value) -> Value:
        """`value`, or where it has 16 bits the same numbers in f32."""
        if value.type.dtype.is_half and value not in self._wide:
            wide = Value(value.type.with_dtype(dtypes.f32))
            self._operations.append(Operation(CONVERT, (value,), (wide,), ConvertAttributes(dtypes.f32)))
            self._wide[value] = wide
        return self._wide.get(value, value)

    def _add(self, operation: Operation) -> None:
        """An operation of a region that rounds."""
        if _moves(operation) or not _touches_halves(operation) or _is_rounding(operation):
            regions = tuple(_Widening(region, rounds=True).region() for region in operation.regions)
            self._operations.append(replace(operation, regions=regions) if regions else operation)
        else:
            self._compute(operation)

    def _compute(self, operation: Operation) -> None:
        """An operation done in f32."""
        operands = self._all_wide(operation.operands)
        results = tuple(self._fresh(result) for result in operation.results)
        regions = tuple(_Widening(region, rounds=False).region() for region in operation.regions)
        attributes = _widened(operation.attributes)
        self._operations.append(
            replace(operation, operands=operands, results=results, attributes=attributes, regions=regions)
        )
        if self._rounds:
            for result, wide in zip(operation.results, results, strict=True):
                if result is not wide:
                    del self._wide[result]
                    rounding = ConvertAttributes(result.type.dtype)
                    self._operations.append(Operation(CONVERT, (wide,), (result,), rounding, (), operation.location))


def _moves(operation: Operation) -> bool:
    """Whether an operation computes no element, or leaves that to regions which do so on their own."""
    match operation.op.kind:
        case Kind.MOVEMENT | Kind.CONTROL:
            return True
        case Kind.SORT:
            return bool(operation.regions)
        case Kind.INDEXED:
            return not any(region.operations for region in operation.regions)
        case _:
            return operation.op is CONSTANT or operation.op.on_bits


def _is_rounding(operation: Operation) -> bool:
    """Whether an operation is a single conversion between 16 bits and f32, or from f64, which is rounded once."""
    if operation.op is not CONVERT:
        return False
    source, target = operation.operands[0].type.dtype, operation.results[0].type.dtype
    return target == dtypes.f32 or (target.is_half and source in (dtypes.f32, dtypes.f64))


def _widened(attributes: Attributes) -> Attributes:
    """`attributes` that name no 16-bit float: types, and the elements of a constant, become f32."""
    if isinstance(attributes, ConstantAttributes):
        dtype = dtypes.from_numpy(attributes.value.dtype)
        is_half = dtype is not None and dtype.is_half
        return ConstantAttributes(_single(attributes.value)) if is_half else attributes
    changes: dict[str, Any] = {}
    for field in fields(attributes):
        value = getattr(attributes, field.name)
        if isinstance(value, DType) and value.is_half:
            changes[field.name] = dtypes.f32
        elif isinstance(value, TensorType) and value.dtype.is_half:
            changes[field.name] = value.with_dtype(dtypes.f32)
    return replace(attributes, **changes) if changes else attributes


def _single(array: Any) -> Any:
    first = array[(0,) * array.ndim] if array.size and not any(array.strides) else None
    if first is not None:
        return np.broadcast_to(first.astype(np.float32), array.shape)
    return array.astype(np.float32)
