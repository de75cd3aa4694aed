"""Rules that leave out the rounding of a number to 16 bits which has no more, so that rounding cannot change it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import Operation, Value
from tenfoldc.ir.op import Op
from tenfoldc.ops.conversion import ConvertAttributes
from tenfoldc.simplify.matching import Match, Table, splat_element

ROUNDING = Table()

_LONGEST_CHAIN = 8
"""Operations that are looked through for the place where a number was last rounded."""

_KEEPING: frozenset[Op[Any]] = frozenset(
    (
        *(ops.NEGATE, ops.ABS, ops.SIGN, ops.MAXIMUM, ops.MINIMUM, ops.CLAMP, ops.SELECT),
        *(ops.FLOOR, ops.CEIL, ops.ROUND_NEAREST_EVEN, ops.ROUND_NEAREST_AFZ),
    )
)
"""Ops whose result has no more bits than their operands."""


@ROUNDING.rule(ops.CONVERT)
def rounding_of_rounded(match: Match[ConvertAttributes]) -> Var | None:
    """What was rounded to 16 bits and is wanted in f32 again, where it was such a number before."""
    inner = match.made_by(0, ops.CONVERT)
    if inner is None or match.attributes.dtype != dtypes.f32 or inner.operand.dtype != dtypes.f32:
        return None
    fits = _fits(inner.operand.value, match.operand.dtype, match.producers, _LONGEST_CHAIN)
    return inner.operand if fits else None


def _fits(value: Value, half: DType, producers: Mapping[Value, Operation], budget: int) -> bool:
    """Whether every element of an f32 `value` is a number of `half`, which has 16 bits."""
    element = splat_element(value, producers)
    if element is not None:
        with np.errstate(over="ignore"):
            return bool(element == element.astype(half.numpy).astype(np.float32))
    producer = producers.get(value)
    if producer is None or not budget:
        return False
    if producer.op is ops.CONVERT:
        return producer.operands[0].type.dtype == half
    if producer.op not in _KEEPING:
        return False
    floats = [operand for operand in producer.operands if operand.type.dtype.is_float]
    return all(_fits(operand, half, producers, budget - 1) for operand in floats)
