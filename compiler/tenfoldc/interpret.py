"""Tensor IR run with NumPy: each operation through its record's reference.  The oracle for compiled code.

Nothing is optimised and nothing falls back: an operation means what its reference computes, on f32 where it has
floats of 16 bits (`tenfoldc.widen`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold_rt.errors import ArgumentError
from tenfoldc.ir.core import Module, Operation, Region, Value, walk
from tenfoldc.ir.op import RegionFunction
from tenfoldc.ir.types import Symbol, TensorType
from tenfoldc.ops.control import CallAttributes
from tenfoldc.widen import widen

Array = NDArray[Any]


def interpret(module: Module, arrays: Sequence[Array], name: str = "main") -> tuple[Array, ...]:
    """The results of function `name` on `arrays`, one array per parameter.

    Raises `ArgumentError` where an array does not fit its parameter; a symbolic size is that of the first array
    that has it.
    """
    function = module[name]
    parameters = function.type.parameters
    if len(arrays) != len(parameters):
        raise ArgumentError(f"{name}: takes {len(parameters)} arrays, {len(arrays)} given")
    symbols: dict[Symbol, int] = {}
    for number, (array, type_) in enumerate(zip(arrays, parameters, strict=True)):
        if array.dtype != type_.dtype.numpy or not _fits(array.shape, type_, symbols):
            raise ArgumentError(f"{name}: array {number} is {array.dtype}{list(array.shape)}, its parameter is {type_}")
    module = widen(module)
    return interpret_region(module[name].body, arrays, module=module)


def _fits(shape: tuple[int, ...], type_: TensorType, symbols: dict[Symbol, int]) -> bool:
    return len(shape) == type_.rank and all(
        size == (symbols.setdefault(dim, size) if isinstance(dim, Symbol) else dim)
        for size, dim in zip(shape, type_.shape, strict=True)
    )


def interpret_region(
    region: Region,
    arrays: Sequence[Array],
    *,
    module: Module | None = None,
    outside: Mapping[Value, Array] | None = None,
) -> tuple[Array, ...]:
    """The results of `region` on `arrays`, one per parameter.

    `outside` holds the arrays of values that the region uses from around it; `module` the functions it calls.
    """
    known: dict[Value, Array] = dict(outside or {})
    known.update(zip(region.parameters, arrays, strict=True))
    for operation in region.operations:
        operands = [known[operand] for operand in operation.operands]
        functions = _region_functions(operation, module, known)
        results = operation.op.reference(operands, operation.attributes, functions)
        known.update(zip(operation.results, map(np.asarray, results), strict=True))
    return tuple(known[result] for result in region.results)


def _region_functions(
    operation: Operation, module: Module | None, known: Mapping[Value, Array]
) -> list[RegionFunction]:
    """What the reference calls: the operation's regions, or the function that a call names."""
    if isinstance(operation.attributes, CallAttributes):
        if module is None:
            raise ArgumentError(f"call: {operation.attributes.callee} is called, but no module is given")
        return [_region_function(module[operation.attributes.callee].body, module, {})]
    return [_region_function(region, module, _captured(region, known)) for region in operation.regions]


def _captured(region: Region, known: Mapping[Value, Array]) -> dict[Value, Array]:
    """The arrays that `region` uses from around it."""
    used = [*region.results, *(operand for operation in walk(region) for operand in operation.operands)]
    used.extend(result for operation in walk(region) for inner in operation.regions for result in inner.results)
    return {value: known[value] for value in used if value in known}


def _region_function(region: Region, module: Module | None, outside: Mapping[Value, Array]) -> RegionFunction:
    def function(*arrays: Array) -> tuple[Array, ...]:
        operands = [np.asarray(array) for array in arrays]
        return interpret_region(region, operands, module=module, outside=outside)

    return function
