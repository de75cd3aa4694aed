"""Programs within the program whose derivatives are taken in a way of their own.

Each is one operation with a region that it computes; transformations see to the rest, and simplification then puts the
region in its place.  The regions use nothing from around them.  Rules are regions too, made when they are first needed,
for a rule may well call the function that it is the rule of.

    checkpoint     reverse mode keeps the operands alone and computes the region again
    custom_jvp     forward mode, and reverse mode by its transpose, is a region that the user gives
    custom_vjp     reverse mode is a pair of regions that the user gives
"""

from __future__ import annotations

from collections.abc import Sequence

from tenfold_rt.errors import ArgumentError, UnsupportedError
from tenfold_rt.frozen import frozen
from tenfoldc.ir.builder import Builder, Var, substitute
from tenfoldc.ir.core import NO_ATTRIBUTES, Attributes, DeferredRegions, Region, Value, captured
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


@frozen
class CustomAttributes(Attributes):
    """The rule or rules of the derivative, as regions; None once they are lost, in text."""

    rules: DeferredRegions | None = None

    def regions(self) -> tuple[Region, ...]:
        if self.rules is None:
            raise UnsupportedError("the rule for a derivative is not part of a program's text")
        return self.rules.regions()


def rule_for_jvp(types: Sequence[TensorType], results: Sequence[TensorType], attributes: CustomAttributes) -> Region:
    """From arguments and the tangents of those that are floats to results and theirs; `ArgumentError` if it is not."""
    (rule,) = attributes.regions()
    if rule.type.parameters != (*types, *_at(types, floats(types))):
        raise ArgumentError("custom_jvp: the rule does not take the arguments and their tangents")
    if rule.type.results != (*results, *_at(results, floats(results))):
        raise ArgumentError("custom_jvp: the rule does not give the results and their tangents")
    return rule


def rules_for_vjp(
    types: Sequence[TensorType], results: Sequence[TensorType], attributes: CustomAttributes
) -> tuple[Region, Region]:
    """From arguments to results and residuals, and from residuals and cotangents to the arguments' cotangents.

    `ArgumentError` if they are not that.
    """
    forward, backward = attributes.regions()
    kept = forward.type.results[len(results) :]
    if forward.type.parameters != tuple(types) or forward.type.results[: len(results)] != tuple(results):
        raise ArgumentError("custom_vjp: the forward rule does not take the arguments and give the results")
    if backward.type.parameters != (*kept, *_at(results, floats(results))):
        raise ArgumentError("custom_vjp: the backward rule does not take the residuals and the cotangents")
    if backward.type.results != _at(types, floats(types)):
        raise ArgumentError("custom_vjp: the backward rule does not give the arguments' cotangents")
    return forward, backward


def _reference(arrays: Sequence[Array], _: Attributes, functions: Sequence[RegionFunction]) -> Sequence[Array]:
    return functions[0](*arrays)


CHECKPOINT = Op("tenfold.checkpoint", Kind.CONTROL, infer=_infer, reference=_reference)
CUSTOM_JVP = Op("tenfold.custom_jvp", Kind.CONTROL, attributes=CustomAttributes, infer=_infer, reference=_reference)
CUSTOM_VJP = Op("tenfold.custom_vjp", Kind.CONTROL, attributes=CustomAttributes, infer=_infer, reference=_reference)


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
