"""Numbers as sums of bf16: how many parts hold all of an operand's numbers exactly, and those parts.

    x = x1 + x2 + x3,   x1 = bf16(x),   x2 = bf16(x - x1),   x3 = x - x1 - x2

Rounded to nearest, each part leaves at most 2^-8 of the number: the eight bits of three parts are the 24 of an f32, as
long as the last of them is no smaller than a bf16 can be.  (G. Henry, P. Tang, A. Heinecke, "Leveraging the bfloat16
Artificial Intelligence Datatype For Higher-Precision Computations", 2019.)
"""

from __future__ import annotations

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Apply, Constant, Expr, Primitive

MOST_PARTS = 3
_BITS = 8
"""Of a bf16's significand."""

_HALF_PLACE = 0x8000
_UPPER_HALF = 0xFFFF0000


def parts_of(element: Expr) -> int:
    """How many bf16 add up to any number that `element`, an f32, can be."""
    match element:
        case Apply(Primitive.CONVERT, (source,)):
            return min(MOST_PARTS, -(-_significant_bits(source.dtype) // _BITS))
        case Apply(Primitive.SELECT, (_, on_true, on_false)):
            return max(parts_of(on_true), parts_of(on_false))
        case Constant(value):
            return 1 if value == 0 else MOST_PARTS
        case _:
            return MOST_PARTS


def _significant_bits(dtype: DType) -> int:
    if dtype.is_float:
        return {dtypes.bf16: 8, dtypes.f16: 11}.get(dtype, 24)
    return 1 if dtype.is_bool else dtype.bits


def split(x: Expr, parts: int) -> list[Expr]:
    """The bits of the parts of an f32, as u32 whose lower halves are zero; the last holds all that remains."""
    found: list[Expr] = []
    for number in range(parts):
        bits = scalar.bitcast(x, dtypes.u32)
        if number < parts - 1:
            bits = scalar.add(bits, scalar.constant(_HALF_PLACE, dtypes.u32))
        found.append(scalar.logical_and(bits, scalar.constant(_UPPER_HALF, dtypes.u32)))
        if number < parts - 1:
            x = scalar.sub(x, scalar.bitcast(found[-1], dtypes.f32))
    return found


def word(lower: Expr, upper: Expr) -> Expr:
    """Two parts as they are given by `split` in one word."""
    return scalar.logical_or(scalar.apply(Primitive.SHR, lower, scalar.constant(16, dtypes.u32)), upper)
