"""Programs within the program whose derivatives are taken in a way of their own.

Each is one operation with a region that it computes; transformations see to the rest, and simplification then puts the
region in its place.  The regions use nothing from around them.

    checkpoint     reverse mode keeps the operands alone and computes the region again
    custom_jvp     forward mode, and reverse mode by its transpose, is a region that the user gives
    custom_vjp     reverse mode is a pair of regions that the user gives
"""

from __future__ import annotations

from collections.abc import Sequence

from tenfold_rt.errors import ArgumentError
from tenfoldc.ir.builder import Builder, Var, substitute
from tenfoldc.ir.core import NO_ATTRIBUTES, Attributes, Region, Value, captured
from tenfoldc.ir.op import Array, Kind, Op, RegionFunction
from tenfoldc.ir.types import TensorType


def floats(types: Sequence[TensorType]) -> list[int]:
    """The places of the types that have tangents."""
    return [place for place, type_ in enumerate(types) if type_.dtype.is_float]


def _at(types: Sequence[TensorType], places: Sequence[int]) -> tuple[TensorType, ...]:
    return tuple(types[place] for place in places)


def _infer(types: Sequence[TensorType], _: Attributes, regions: Sequence[Region]) -> tuple[TensorType, ...]:
    program = regions[0].type
    if program.parameters != tuple(types):
        raise ArgumentError(f"checkpoint: the region takes {program.parameters}, given are {tuple(types)}")
    return program.results


def _infer_jvp(types: Sequence[TensorType], _: Attributes, regions: Sequence[Region]) -> tuple[TensorType, ...]:
    results = _infer(types, _, regions)
    rule = regions[1].type
    if rule.parameters != (*types, *_at(types, floats(types))):
        raise ArgumentError("custom_jvp: the rule does not take the arguments and their tangents")
    if rule.results != (*results, *_at(results, floats(results))):
        raise ArgumentError("custom_jvp: the rule does not give the results and their tangents")
    return results


def _infer_vjp(types: Sequence[TensorType], _: Attributes, regions: Sequence[Region]) -> tuple[TensorType, ...]:
    results = _infer(types, _, regions)
    forward, backward = regions[1].type, regions[2].type
    kept = forward.results[len(results) :]
    if forward.parameters != tuple(types) or forward.results[: len(results)] != results:
        raise ArgumentError("custom_vjp: the forward rule does not take the arguments and give the results")
    if backward.parameters != (*kept, *_at(results, floats(results))):
        raise ArgumentError("custom_vjp: the backward rule does not take the residuals and the cotangents")
    if backward.results != _at(types, floats(types)):
        raise ArgumentError("custom_vjp: the backward rule does not give the arguments' cotangents")
    return results


def _reference(arrays: Sequence[Array], _: Attributes, functions: Sequence[RegionFunction]) -> Sequence[Array]:
    return functions[0](*arrays)


CHECKPOINT = Op("tenfold.checkpoint", Kind.CONTROL, infer=_infer, reference=_reference)
CUSTOM_JVP = Op("tenfold.custom_jvp", Kind.CONTROL, infer=_infer_jvp, reference=_reference)
CUSTOM_VJP = Op("tenfold.custom_vjp", Kind.CONTROL, infer=_infer_vjp, reference=_reference)


def checkpoint(operands: Sequence[Var], region: Region, builder: Builder) -> tuple[Var, ...]:
    """The results of `region` on `operands`; values that it captures become operands."""
    region, outside = closed(region)
    return builder.emit(CHECKPOINT, [*operands, *map(builder.var, outside)], NO_ATTRIBUTES, [region])


def closed(region: Region) -> tuple[Region, list[Value]]:
    """`region` with one more parameter for each value that it uses from around it, and these."""
    outside = captured(region)
    replaced = {value: Value(value.type) for value in outside}
    parameters = (*region.parameters, *replaced.values())
    operations = tuple(substitute(operation, replaced) for operation in region.operations)
    return Region(parameters, operations, tuple(replaced.get(value, value) for value in region.results)), outside


# --- the barrier ----------------------------------------------------------------------------------


def _infer_barrier(types: Sequence[TensorType], _: Attributes, regions: Sequence[Region]) -> tuple[TensorType, ...]:
    return tuple(types)


def _barrier_reference(arrays: Sequence[Array], _: Attributes, functions: Sequence[RegionFunction]) -> Sequence[Array]:
    return arrays


OPTIMIZATION_BARRIER = Op("optimization_barrier", Kind.CONTROL, infer=_infer_barrier, reference=_barrier_reference)
"""Its operands, but what is computed from its results is not taken to be what is computed from them."""


def optimization_barrier(operands: Sequence[Var]) -> tuple[Var, ...]:
    """`operands` as values of their own, so that what is computed of them again is not shared with the first time."""
    return OPTIMIZATION_BARRIER.apply(*operands) if operands else ()
