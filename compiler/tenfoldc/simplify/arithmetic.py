"""Rules for elementwise ops: operations with neutral and absorbing numbers, with themselves, and their inverses.

Rules for floats hold for every bit of the result: x + 0.0 is not x where x is -0.0, but x + -0.0 is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import Attributes
from tenfoldc.ir.op import Array
from tenfoldc.ops.comparison import CompareAttributes, CompareType, Direction
from tenfoldc.ops.conversion import BitcastConvertAttributes, ConvertAttributes
from tenfoldc.simplify.matching import Match, Table

ARITHMETIC = Table()

_MANTISSA = {dtypes.bf16: 8, dtypes.f16: 11, dtypes.f32: 24, dtypes.f64: 53}


def _is(element: Array | None, number: float) -> bool:
    """Whether `element` is `number`, with its sign where that is a zero."""
    if element is None:
        return False
    value = element.item()
    return value == number and math.copysign(1, value) == math.copysign(1, number)


def _all_bits(element: Array | None) -> bool:
    """Whether an integer or bool has all its bits set."""
    return element is not None and bool(np.invert(element) == 0)


def _one_way(match: Match[Any], accept: Callable[[Array | None], bool]) -> Var | None:
    """The operand of a commutative op whose other operand is a repeated constant that `accept` takes."""
    for number in (0, 1):
        if accept(match.splat(1 - number)):
            return match.operands[number]
    return None


def _either(match: Match[Any], accept: Callable[[Array | None], bool]) -> Var | None:
    """The operand that is a repeated constant that `accept` takes."""
    return next((match.operands[number] for number in (0, 1) if accept(match.splat(number))), None)


# Neutral and absorbing numbers


@ARITHMETIC.rule(ops.ADD)
def add_zero(match: Match[Attributes]) -> Var | None:
    zero = -0.0 if match.type.dtype.is_float else 0.0
    return _one_way(match, lambda element: _is(element, zero))


@ARITHMETIC.rule(ops.ADD)
def add_zero_again(match: Match[Attributes]) -> Var | None:
    """The first 0.0 has left no -0.0 for the second to change."""
    inner = match.made_by(0, ops.ADD)
    return match.operand if inner is not None and _is(match.splat(1), 0.0) and _is(inner.splat(1), 0.0) else None


@ARITHMETIC.rule(ops.SUBTRACT)
def subtract_zero(match: Match[Attributes]) -> Var | None:
    return match.operand if _is(match.splat(1), 0.0) else None


@ARITHMETIC.rule(ops.MULTIPLY)
def multiply_by_one(match: Match[Attributes]) -> Var | None:
    return _one_way(match, lambda element: _is(element, 1))


@ARITHMETIC.rule(ops.MULTIPLY)
def multiply_by_zero(match: Match[Attributes]) -> Var | None:
    """Not of floats, where NaN, infinities and -0.0 make a difference."""
    return None if match.type.dtype.is_float else _either(match, lambda element: _is(element, 0))


@ARITHMETIC.rule(ops.DIVIDE)
def divide_by_one(match: Match[Attributes]) -> Var | None:
    return match.operand if _is(match.splat(1), 1) else None


@ARITHMETIC.rule(ops.DIVIDE)
def divide_by_power_of_two(match: Match[Attributes]) -> Var | None:
    """A product with the reciprocal, where that is a float and so the same number is rounded."""
    divisor = match.splat(1)
    if divisor is None or not match.type.dtype.is_float:
        return None
    number, smallest = divisor.item(), float(np.finfo(divisor.dtype).tiny)
    if not math.isfinite(number) or abs(math.frexp(number)[0]) != 0.5:
        return None
    if abs(number) < smallest or 1 / abs(number) < smallest:
        return None
    return ops.multiply(match.operand, match.filled(np.asarray(1 / number, divisor.dtype)))


@ARITHMETIC.rule(ops.REMAINDER)
def remainder_by_one(match: Match[Attributes]) -> Var | None:
    if match.type.dtype.is_float or not _is(match.splat(1), 1):
        return None
    return ops.full(match.builder, match.type, 0)


@ARITHMETIC.rule(ops.POWER)
def power_of_one(match: Match[Attributes]) -> Var | None:
    return match.operand if _is(match.splat(1), 1) else None


@ARITHMETIC.rule(ops.POWER)
def power_of_zero(match: Match[Attributes]) -> Var | None:
    exponent = match.splat(1)
    return None if exponent is None or exponent.item() != 0 else ops.full(match.builder, match.type, 1)


@ARITHMETIC.rule(ops.AND, ops.MINIMUM)
def and_with_all_bits(match: Match[Attributes]) -> Var | None:
    """Minima are meant of bools only."""
    return _one_way(match, _all_bits) if _is_logic(match, ops.AND) else None


@ARITHMETIC.rule(ops.AND, ops.MINIMUM)
def and_with_no_bits(match: Match[Attributes]) -> Var | None:
    return _either(match, lambda element: _is(element, 0)) if _is_logic(match, ops.AND) else None


@ARITHMETIC.rule(ops.OR, ops.XOR, ops.MAXIMUM)
def or_with_no_bits(match: Match[Attributes]) -> Var | None:
    """Maxima are meant of bools only."""
    return _one_way(match, lambda element: _is(element, 0)) if _is_logic(match, ops.OR, ops.XOR) else None


@ARITHMETIC.rule(ops.OR, ops.ADD, ops.MAXIMUM)
def or_with_all_bits(match: Match[Attributes]) -> Var | None:
    """Sums and maxima are meant of bools only."""
    return _either(match, _all_bits) if _is_logic(match, ops.OR) else None


def _is_logic(match: Match[Any], *logical: object) -> bool:
    return match.operation.op in logical or match.type.dtype.is_bool


@ARITHMETIC.rule(ops.SHIFT_LEFT, ops.SHIFT_RIGHT_LOGICAL, ops.SHIFT_RIGHT_ARITHMETIC)
def shift_by_zero(match: Match[Attributes]) -> Var | None:
    return match.operand if _is(match.splat(1), 0) else None


# Operands that are one value


@ARITHMETIC.rule(ops.MAXIMUM, ops.MINIMUM, ops.AND, ops.OR)
def extremum_of_itself(match: Match[Attributes]) -> Var | None:
    return match.operand if match.same(0, 1) else None


@ARITHMETIC.rule(ops.SUBTRACT, ops.XOR)
def difference_to_itself(match: Match[Attributes]) -> Var | None:
    """Not of floats: the difference of infinities is NaN."""
    if match.type.dtype.is_float or not match.same(0, 1):
        return None
    return ops.full(match.builder, match.type, 0)


@ARITHMETIC.rule(ops.COMPARE)
def compare_with_itself(match: Match[CompareAttributes]) -> Var | None:
    """Not of floats, unless in the total order: a NaN does not equal itself."""
    ordered = match.attributes.compare_type is CompareType.TOTALORDER
    if not match.same(0, 1) or (match.operand.dtype.is_float and not ordered):
        return None
    holds = match.attributes.comparison_direction in (Direction.EQ, Direction.LE, Direction.GE)
    return ops.full(match.builder, match.type, holds)


# Operations that undo or repeat their operand's


@ARITHMETIC.rule(ops.NEGATE, ops.NOT)
def inverse_of_itself(match: Match[Attributes]) -> Var | None:
    inner = match.made_by(0, match.operation.op)
    return None if inner is None else inner.operand


@ARITHMETIC.rule(ops.ABS)
def abs_of_sign(match: Match[Attributes]) -> Var | None:
    """The magnitude of -x or |x| is that of x."""
    inner = match.made_by(0, ops.NEGATE) or match.made_by(0, ops.ABS)
    return None if inner is None else ops.abs_(inner.operand)


@ARITHMETIC.rule(ops.CONVERT)
def convert_to_own_dtype(match: Match[ConvertAttributes]) -> Var | None:
    return match.operand if match.operand.dtype == match.attributes.dtype else None


@ARITHMETIC.rule(ops.CONVERT)
def convert_of_convert(match: Match[ConvertAttributes]) -> Var | None:
    """The first conversion is left out where it loses nothing and the second does not mind the family of numbers."""
    inner = match.made_by(0, ops.CONVERT)
    if inner is None:
        return None
    source, middle, target = inner.operand.dtype, match.operand.dtype, match.attributes.dtype
    if not _holds(middle, source) or _needs_f32(source, target):
        return None
    saturates_instead = source.is_integer and middle.is_float and target.is_integer
    if saturates_instead and not _holds(target, source):
        return None
    return ops.convert(inner.operand, target)


def _needs_f32(source: DType, target: DType) -> bool:
    """Whether there is no conversion at once, since one of both has 16 bits."""
    if source == target or not (source.is_half or target.is_half):
        return False
    return target != dtypes.f32 and source not in (dtypes.f32, dtypes.f64)


def _holds(wide: DType, narrow: DType) -> bool:
    """Whether every number of `narrow` is one of `wide`."""
    if narrow == wide or narrow.is_bool:
        return True
    if wide.is_float and narrow.is_float:
        return wide.bits > narrow.bits
    if wide.is_float:
        return _MANTISSA[wide] >= narrow.bits - narrow.is_signed
    if not (wide.is_integer and narrow.is_integer) or (narrow.is_signed and wide.is_unsigned):
        return False
    return wide.bits - wide.is_signed >= narrow.bits - narrow.is_signed


@ARITHMETIC.rule(ops.BITCAST_CONVERT)
def bitcast_back(match: Match[BitcastConvertAttributes]) -> Var | None:
    """To the dtype that the operand has, or that it had before a bitcast of the same width."""
    if match.operand.type == match.type:
        return match.operand
    inner = match.made_by(0, ops.BITCAST_CONVERT)
    return inner.operand if inner is not None and inner.operand.type == match.type else None


# Choice


@ARITHMETIC.rule(ops.SELECT)
def select_by_constant(match: Match[Attributes]) -> Var | None:
    predicate = match.splat(0)
    return None if predicate is None else match.operands[1 if predicate.item() else 2]


@ARITHMETIC.rule(ops.SELECT)
def select_of_same(match: Match[Attributes]) -> Var | None:
    return match.operands[1] if match.same(1, 2) else None


@ARITHMETIC.rule(ops.SELECT)
def select_by_negation(match: Match[Attributes]) -> Var | None:
    inner = match.made_by(0, ops.NOT)
    return None if inner is None else ops.select(inner.operand, match.operands[2], match.operands[1])


@ARITHMETIC.rule(ops.SELECT)
def select_of_truth(match: Match[Attributes]) -> Var | None:
    """The predicate itself, where the choice is between true and false."""
    if not match.type.dtype.is_bool or match.operand.type != match.type:
        return None
    return match.operand if _is(match.splat(1), 1) and _is(match.splat(2), 0) else None
