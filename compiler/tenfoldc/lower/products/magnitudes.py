"""Which products parts in bf16 may stand for: what is noted of the magnitudes of factors, and the condition on them.

Sums of products of parts are as exact as f32's as long as no factor or sum overflows, and nothing matters that is
smaller than a normal number, which the matrix unit takes for zero.  So it is asked of all factors that are not zero:
their exponents, and the sums of one of each operand, are neither too high nor too low.  Infinities and NaNs are
beyond any bound.
"""

from __future__ import annotations

from collections.abc import Sequence

from tenfold_rt import dtypes
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Apply, Buffer, Carry, Expr, For, Load, Local, Mode, Primitive, Statement, Store
from tenfoldc.lower.context import LoweringContext

_MAGNITUDE = 0x7FFFFFFF
_EXPONENT = 23
"""Bits of an f32 below its exponent, whose bias is 127."""

_LEAST = 29
"""Of a factor, 2^-98: a part that is too small for a bf16 is below 2^-27 of it."""
_LEAST_SUM = 156
"""Of two factors, whose product is at least 2^-98: what is too small for an f32 is below 2^-27 of it."""
_MOST = 253
"""Of a factor, so that it can be rounded up."""
_MOST_SUM = 378
"""Of two factors whose product, if it were the sum of one term, just does not overflow."""
_LARGEST, _LEAST_ABOVE_ZERO = range(2)
"""Rows of what is noted: the largest magnitudes, and the least less one unit, so that zero is the largest of them."""
_NEUTRAL = (0, 0xFFFFFFFF)


def notes(ctx: LoweringContext, name: str, places: int) -> Buffer:
    """Memory for the magnitudes seen at `places`, as bits."""
    return ctx.scratch(name, dtypes.u32, (2, places))


def forget(ctx: LoweringContext, noted: Buffer) -> list[Statement]:
    """Begin anew."""
    place = ctx.axis("place")
    stores = tuple(
        Store(noted, (scalar.index(row), place), scalar.constant(value, dtypes.u32))
        for row, value in enumerate(_NEUTRAL)
    )
    return [For(place, scalar.index(noted.shape[1]), stores, mode=Mode.VECTOR)]


def note(noted: Buffer, place: Expr, factors: Sequence[Expr]) -> list[Statement]:
    """Take note of `factors`, which are f32, at `place`."""
    at = [(scalar.index(row), place) for row in (_LARGEST, _LEAST_ABOVE_ZERO)]
    largest: Expr = Load(noted, at[0])
    least: Expr = Load(noted, at[1])
    for factor in factors:
        bits = scalar.bitcast(factor, dtypes.u32)
        magnitude = scalar.logical_and(bits, scalar.constant(_MAGNITUDE, dtypes.u32))
        largest = scalar.maximum(largest, magnitude)
        least = scalar.minimum(least, scalar.sub(magnitude, scalar.constant(1, dtypes.u32)))
    return [Store(noted, at[0], largest), Store(noted, at[1], least)]


def store_whether_exact(ctx: LoweringContext, lhs: Buffer, rhs: Buffer, depth: int, flag: Buffer) -> list[Statement]:
    """`flag[0]` becomes whether sums of `depth` products of the factors noted are as exact as f32's."""
    statements: list[Statement] = []
    largest: list[Expr] = []
    least: list[Expr] = []
    for noted in (lhs, rhs):
        loop, (high, low) = _extremes(ctx, noted)
        statements.append(loop)
        largest.append(high)
        least.append(low)
    most = _MOST_SUM - (depth - 1).bit_length()
    conditions = [_at_most(exponent, _MOST) for exponent in largest]
    conditions += [_at_most(scalar.constant(_LEAST, dtypes.u32), exponent) for exponent in least]
    conditions.append(_at_most(scalar.add(*largest), most))
    conditions.append(scalar.less_equal(scalar.constant(_LEAST_SUM, dtypes.u32), scalar.add(*least)))
    whole = conditions[0]
    for condition in conditions[1:]:
        whole = scalar.logical_and(whole, condition)
    return [*statements, Store(flag, (scalar.index(0),), whole)]


def _at_most(exponent: Expr, bound: Expr | int) -> Expr:
    return scalar.less_equal(exponent, scalar.constant(bound, dtypes.u32) if isinstance(bound, int) else bound)


def _extremes(ctx: LoweringContext, noted: Buffer) -> tuple[Statement, tuple[Expr, Expr]]:
    """A loop over all places, and the highest and the least exponent, the bias included, that it finds."""
    place = ctx.axis("place")
    carries: list[Carry] = []
    for row, primitive in ((_LARGEST, Primitive.MAX), (_LEAST_ABOVE_ZERO, Primitive.MIN)):
        value, result = (Local(name, dtypes.u32) for name in ("seen", "extreme"))
        met = Apply(primitive, (value, Load(noted, (scalar.index(row), place))), dtypes.u32)
        carries.append(Carry(value, scalar.constant(_NEUTRAL[row], dtypes.u32), met, result))
    loop = For(place, scalar.index(noted.shape[1]), (), tuple(carries), mode=Mode.VECTOR)
    shift = scalar.constant(_EXPONENT, dtypes.u32)
    high, low = (scalar.apply(Primitive.SHR, carry.result, shift) for carry in carries)
    return loop, (high, low)
