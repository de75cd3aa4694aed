"""Control flow: calls of other functions, choices between regions, and loops.

Regions may use values of the surrounding program.  Derivatives and batches of these ops are made by the
transforms, which rewrite regions and callees; the records hold types and references only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError, DTypeError, ShapeError
from tenfold_rt.frozen import frozen
from tenfoldc.ir.builder import Builder, Var
from tenfoldc.ir.core import Attributes, Region
from tenfoldc.ir.op import Array, Kind, Op, RegionFunction
from tenfoldc.ir.types import FunctionType, TensorType

# --- call -----------------------------------------------------------------------------------------


@frozen
class CallAttributes(Attributes):
    """`callee` names a function of the module; `callee_type` is its signature."""

    callee: str
    callee_type: FunctionType


def _infer_call(types: Sequence[TensorType], attributes: CallAttributes, _: Sequence[Region]) -> tuple[TensorType, ...]:
    wanted = attributes.callee_type.parameters
    if len(types) != len(wanted):
        raise ArgumentError(f"call: {attributes.callee} takes {len(wanted)} arguments, {len(types)} given")
    for number, (given, want) in enumerate(zip(types, wanted, strict=True)):
        if given != want:
            raise ShapeError(f"call: argument {number} of {attributes.callee} is {given}, its parameter is {want}")
    return attributes.callee_type.results


def _call_reference(arrays: Sequence[Array], _: CallAttributes, functions: Sequence[RegionFunction]) -> Sequence[Array]:
    (callee,) = functions
    return callee(*arrays)


CALL = Op(
    "func.call",
    Kind.CONTROL,
    attributes=CallAttributes,
    infer=_infer_call,
    reference=_call_reference,
)
"""A call of another function of the module.  Its reference gets the callee as its only region function."""


def call(builder: Builder, function_name: str, callee_type: FunctionType, args: Sequence[Var]) -> tuple[Var, ...]:
    """The results of the module's function `function_name` on `args`."""
    return builder.emit(CALL, args, CallAttributes(function_name, callee_type))


# --- if and case ----------------------------------------------------------------------------------


def _check_branches(name: str, regions: Sequence[Region]) -> tuple[TensorType, ...]:
    results = regions[0].type.results
    for number, region in enumerate(regions):
        if region.parameters:
            raise ArgumentError(f"{name}: branch {number} has parameters; branches use values from outside instead")
        if region.type.results != results:
            given, want = (", ".join(map(str, types)) for types in (region.type.results, results))
            raise ShapeError(f"{name}: branch {number} gives ({given}), branch 0 gives ({want})")
    return results


def _infer_if(types: Sequence[TensorType], _: Attributes, regions: Sequence[Region]) -> tuple[TensorType, ...]:
    if len(types) != 1 or types[0] != TensorType(dtypes.bool_):
        raise DTypeError(f"if: the predicate is {', '.join(map(str, types))}, not one bool scalar")
    if len(regions) != 2:
        raise ArgumentError(f"if: {len(regions)} branches given, 2 wanted")
    return _check_branches("if", regions)


def _if_reference(arrays: Sequence[Array], _: Attributes, functions: Sequence[RegionFunction]) -> Sequence[Array]:
    then, otherwise = functions
    return then() if arrays[0] else otherwise()


IF = Op("if", Kind.CONTROL, infer=_infer_if, reference=_if_reference)


def if_(pred: Var, then_region: Region, else_region: Region) -> tuple[Var, ...]:
    """The results of `then_region` where the bool scalar `pred` holds, else of `else_region`.

    The regions have no parameters and equal result types.
    """
    return IF.apply(pred, regions=(then_region, else_region))


def _infer_case(types: Sequence[TensorType], _: Attributes, regions: Sequence[Region]) -> tuple[TensorType, ...]:
    if len(types) != 1 or types[0] != TensorType(dtypes.i32):
        raise DTypeError(f"case: the index is {', '.join(map(str, types))}, not one i32 scalar")
    if not regions:
        raise ArgumentError("case: no branches given")
    return _check_branches("case", regions)


def _case_reference(arrays: Sequence[Array], _: Attributes, functions: Sequence[RegionFunction]) -> Sequence[Array]:
    index = int(arrays[0])
    return functions[index if 0 <= index < len(functions) else -1]()


CASE = Op("case", Kind.CONTROL, infer=_infer_case, reference=_case_reference)


def case(index: Var, regions: Sequence[Region]) -> tuple[Var, ...]:
    """The results of `regions[index]`; an `index` (i32 scalar) out of range takes the last.

    The regions have no parameters and equal result types.
    """
    return CASE.apply(index, regions=regions)


# --- while ----------------------------------------------------------------------------------------


def _infer_while(types: Sequence[TensorType], _: Attributes, regions: Sequence[Region]) -> tuple[TensorType, ...]:
    if len(regions) != 2:
        raise ArgumentError(f"while: {len(regions)} regions given, a condition and a body wanted")
    carry = tuple(types)
    for name, region in zip(("condition", "body"), regions, strict=True):
        _check_carry(f"the {name}'s parameters are", region.type.parameters, carry)
    if regions[0].type.results != (TensorType(dtypes.bool_),):
        raise DTypeError(
            f"while: the condition gives {', '.join(map(str, regions[0].type.results))}, not one bool scalar"
        )
    _check_carry("the body gives", regions[1].type.results, carry)
    return carry


def _check_carry(what: str, types: tuple[TensorType, ...], carry: tuple[TensorType, ...]) -> None:
    if types != carry:
        given, want = (", ".join(map(str, group)) for group in (types, carry))
        raise ShapeError(
            f"while: {what} ({given}), the carry is ({want})", mend="keep shapes and dtypes from turn to turn"
        )


def _while_reference(arrays: Sequence[Array], _: Attributes, functions: Sequence[RegionFunction]) -> Sequence[Array]:
    condition, body = functions
    carry = tuple(arrays)
    while bool(np.asarray(condition(*carry)[0])):
        carry = body(*carry)
    return carry


WHILE = Op("while", Kind.CONTROL, infer=_infer_while, reference=_while_reference)


def while_(operands: Sequence[Var], cond_region: Region, body_region: Region) -> tuple[Var, ...]:
    """Repeat `body_region` on the carry, at first `operands`, while `cond_region` of it holds.

    Both regions take the carry; `cond_region` gives one bool scalar, `body_region` the next carry of equal
    types.  Returns the last carry.
    """
    return WHILE.apply(*operands, regions=(cond_region, body_region))
