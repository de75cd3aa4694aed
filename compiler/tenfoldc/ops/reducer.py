"""The scalar functions that combine elements: building their regions, and recognising them in a program.

`reduce`, `reduce_window` and `scatter` take any region as their body.  The bodies listed in `Reducer` have
derivatives and fast lowerings; `recognise` finds them however a front end wrote them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import TypeAlias

import numpy as np

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.errors import ArgumentError, DTypeError, ShapeError
from tenfoldc.ir.builder import Builder, Var, build_region
from tenfoldc.ir.core import Operation, Region, Value
from tenfoldc.ir.types import FunctionType, TensorType
from tenfoldc.ops.arithmetic import ADD, MAXIMUM, MINIMUM, MULTIPLY, add, maximum, minimum, multiply
from tenfoldc.ops.bitwise import AND, OR, and_, or_
from tenfoldc.ops.comparison import SELECT, CompareAttributes, CompareType, Direction, compare, select

Body: TypeAlias = Callable[..., Sequence[Var]]
Pattern: TypeAlias = tuple[object, ...]


class Reducer(Enum):
    """A body that is known: of one tensor, or, for `ARGMAX` and `ARGMIN`, of values and their indices.

    On bools addition and the maximum are `OR`, multiplication and the minimum `AND`.  `ARGMAX` and `ARGMIN`
    prefer a NaN to any number and the lower index among equals.
    """

    SUM = "sum"
    PRODUCT = "product"
    MAX = "max"
    MIN = "min"
    AND = "and"
    OR = "or"
    ARGMAX = "argmax"
    ARGMIN = "argmin"


_COMBINE: Mapping[Reducer, Callable[[Var, Var], Var]] = {
    Reducer.SUM: add,
    Reducer.PRODUCT: multiply,
    Reducer.MAX: maximum,
    Reducer.MIN: minimum,
    Reducer.AND: and_,
    Reducer.OR: or_,
}


def neutral_value(reducer: Reducer, dtype: DType) -> bool | int | float:
    """The number that leaves every other as it is when combined with it; for `ARGMAX`, that of the values."""
    if reducer in (Reducer.SUM, Reducer.OR):
        return 0
    if reducer is Reducer.PRODUCT:
        return 1
    if reducer is Reducer.AND:
        return True if dtype.is_bool else _extreme(dtype, largest=True) if dtype.is_unsigned else -1
    return _extreme(dtype, largest=reducer in (Reducer.MIN, Reducer.ARGMIN))


def _extreme(dtype: DType, *, largest: bool) -> bool | int | float:
    if dtype.is_bool:
        return largest
    if dtype.is_float:
        return float("inf") if largest else float("-inf")
    limits = np.iinfo(dtype.numpy.name)
    return int(limits.max if largest else limits.min)


def neutral_values(reducer: Reducer, types: Sequence[TensorType]) -> list[bool | int | float]:
    """`neutral_value` for each tensor that `reducer` combines; an index counts from 0."""
    return [neutral_value(reducer, types[0].dtype), *(0 for _ in types[1:])]


def body_of(reducer: Reducer) -> Body:
    """The function that combines two scalars, or for `ARGMAX` two pairs, as `reducer` says."""
    if reducer in (Reducer.ARGMAX, Reducer.ARGMIN):
        return functools.partial(_prefer, Direction.GT if reducer is Reducer.ARGMAX else Direction.LT)
    combine = _COMBINE[reducer]

    def body(x: Var, y: Var) -> Sequence[Var]:
        return [combine(x, y)]

    return body


def _prefer(
    direction: Direction, x: Var, x_index: Var, y: Var, y_index: Var, *, ordered: bool = False
) -> Sequence[Var]:
    """The one of two (value, index) pairs that stands in `direction` to the other.

    `ordered` leaves out the test for NaN, which does nothing for integers.
    """
    takes_x = compare(x, y, direction)
    if not ordered:
        takes_x = or_(takes_x, compare(x, x, Direction.NE))
    tied = and_(compare(x, y, Direction.EQ), compare(x_index, y_index, Direction.LT))
    return [select(takes_x, x, y), select(or_(takes_x, tied), x_index, y_index)]


def build_body(name: str, operands: Sequence[TensorType], body: Body, like: Builder) -> Region:
    """The region of `body` on scalars: an accumulator per operand, then an element per operand."""
    scalars = [TensorType(operand.dtype) for operand in operands]
    region = build_region([*scalars, *scalars], body, like=like)
    check_body(name, scalars, region)
    return region


def split_operands(name: str, operands: Sequence[TensorType]) -> tuple[Sequence[TensorType], Sequence[TensorType]]:
    """The tensors and the initial values of a variadic fold: as many of each, the tensors of one shape.

    Raises `ArgumentError`, `ShapeError` or `DTypeError` where they are not.
    """
    count = len(operands) // 2
    if count == 0 or len(operands) != 2 * count:
        raise ArgumentError(f"{name}: needs an initial value for every tensor, got {len(operands)} operands")
    inputs, inits = operands[:count], operands[count:]
    for number, (operand, init) in enumerate(zip(inputs, inits, strict=True)):
        if operand.shape != inputs[0].shape:
            raise ShapeError(f"{name}: shapes differ, {inputs[0]} (operand 0) and {operand} (operand {number})")
        if init != TensorType(operand.dtype):
            raise DTypeError(f"{name}: initial value {number} is {init}, needs {TensorType(operand.dtype)}")
    return inputs, inits


def check_body(name: str, scalars: Sequence[TensorType], region: Region) -> None:
    """`ShapeError` unless `region` maps two of each of `scalars` to one of each."""
    wanted = FunctionType((*scalars, *scalars), tuple(scalars))
    if region.type != wanted:
        raise ShapeError(f"{name}: the body has type {_show(region.type)}, needs {_show(wanted)}")


def _show(type_: FunctionType) -> str:
    parameters, results = (", ".join(map(str, types)) for types in (type_.parameters, type_.results))
    return f"({parameters}) -> ({results})"


def describe(region: Region) -> str:
    """The ops of a body, for messages: `add, tanh`."""
    return ", ".join(operation.op.mnemonic for operation in region.operations) or "no operation"


def recognise(region: Region) -> Reducer | None:
    """Which known body `region` is; None where it is none of them."""
    pattern = _pattern(region)
    if pattern is None:
        return None
    dtype = region.parameters[0].type.dtype
    for candidate in _COMBINE:
        if pattern == _known_pattern(candidate):
            return _ON_BOOLS.get(candidate, candidate) if dtype.is_bool else candidate
    for candidate in (Reducer.ARGMAX, Reducer.ARGMIN):
        if pattern == _known_pattern(candidate):
            return candidate
        if not dtype.is_float and pattern == _known_pattern(candidate, ordered=True):
            return candidate
    return None


_ON_BOOLS = {
    Reducer.SUM: Reducer.OR,
    Reducer.MAX: Reducer.OR,
    Reducer.PRODUCT: Reducer.AND,
    Reducer.MIN: Reducer.AND,
}


@functools.cache
def _known_pattern(reducer: Reducer, *, ordered: bool = False) -> Pattern | None:
    if reducer in (Reducer.ARGMAX, Reducer.ARGMIN):
        scalars = [TensorType(dtypes.i32), TensorType(dtypes.i32)]
        body = functools.partial(body_of(reducer), ordered=ordered)
        return _pattern(build_region([*scalars, *scalars], body))
    scalar = TensorType(dtypes.i32)
    return _pattern(build_region([scalar, scalar], body_of(reducer)))


def _pattern(region: Region) -> Pattern | None:
    """The results as nested tuples, equal for equal expressions up to the order of commuting operands.

    None where an operation occurs that no known body has.
    """
    known: dict[Value, object] = {parameter: number for number, parameter in enumerate(region.parameters)}
    for operation in region.operations:
        if any(operand not in known for operand in operation.operands):
            return None
        described = _describe(operation, [known[operand] for operand in operation.operands])
        if described is None:
            return None
        known[operation.results[0]] = described
    if any(result not in known for result in region.results):
        return None
    return tuple(known[result] for result in region.results)


_MIRRORED = {Direction.GT: Direction.LT, Direction.GE: Direction.LE}


def _describe(operation: Operation, operands: list[object]) -> Pattern | None:
    if operation.op in (ADD, MULTIPLY, MAXIMUM, MINIMUM, AND, OR):
        return (operation.op.name, *sorted(operands, key=repr))
    if operation.op is SELECT:
        return (operation.op.name, *operands)
    if isinstance(operation.attributes, CompareAttributes):
        direction = operation.attributes.comparison_direction
        if operation.attributes.compare_type is CompareType.TOTALORDER:
            return None
        if direction in _MIRRORED:
            direction, operands = _MIRRORED[direction], operands[::-1]
        elif direction in (Direction.EQ, Direction.NE):
            operands = sorted(operands, key=repr)
        return (operation.op.name, direction.value, *operands)
    return None
