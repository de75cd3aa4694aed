"""The largest elements of a line, in the order of the line: what `top_k` sorts where it takes many.

Elements become integers in the same order.  The least of the largest is found bit by bit from the highest, with a pass
over the line each, in vectors, that counts how many are no less.  What is no less is then copied, without branches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.frozen import frozen
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Axis, Buffer, Carry, Expr, For, Load, Local, Mode, Primitive, Statement, Store
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.loop_nest import bind, loop
from tenfoldc.lower.sort import AS_WIDE, store_all


@frozen
class LargestMemory:
    """Scratch memory of a line: its `keys`, and the elements `kept`, one more than are wanted, with their indices."""

    size: int
    keys: Buffer
    kept: tuple[Buffer, Buffer]

    @staticmethod
    def of(context: LoweringContext, size: int, taken: int, dtype: DType) -> LargestMemory:
        """Memory for `taken` of `size` elements."""
        key = dtype if dtype.is_integer else AS_WIDE[dtype.itemsize]
        kept = (context.scratch("kept", kind, (taken + 1,)) for kind in (dtype, dtypes.i32))
        return LargestMemory(size, context.scratch("keys", key, (size,)), (next(kept), next(kept)))

    @property
    def all(self) -> tuple[Buffer, ...]:
        """All buffers, which are private to a line."""
        return (self.keys, *self.kept)


def keep_largest(
    context: LoweringContext, memory: LargestMemory, read: Callable[[Expr], Sequence[Expr]]
) -> Sequence[Statement]:
    """Put the largest elements of the line that `read` gives into `kept`; of equals the first, NaNs above all."""
    size, keys = scalar.index(memory.size), memory.keys
    place = context.axis("place", memory.size)
    filled = For(place, size, (Store(keys, (place,), _key(read(place)[0])),), mode=Mode.VECTOR)
    taken = memory.kept[0].shape[0] - 1
    counter = dtypes.i64 if keys.dtype.itemsize == 8 else dtypes.i32
    wanted = scalar.constant(taken, counter)
    search, least = _least(context, memory, counter, wanted)
    greater, above = _count(context, memory, counter, lambda key: scalar.greater(key, least))
    return [filled, *search, greater, *_copied(context, memory, read, least, scalar.sub(wanted, above))]


def _key(x: Expr) -> Expr:
    """An integer in the order of the elements; zeros are equal, and so are NaNs."""
    if not x.dtype.is_float:
        return scalar.convert(x, AS_WIDE[1]) if x.dtype.is_bool else x
    width = AS_WIDE[x.dtype.itemsize]
    zero = scalar.constant(0.0, x.dtype)
    x = scalar.select(scalar.equal(x, zero), zero, x)
    x = scalar.select(scalar.equal(x, x), x, scalar.constant(math.nan, x.dtype))
    bits = scalar.bitcast(x, width)
    turned = scalar.apply(Primitive.XOR, bits, scalar.constant(2 ** (width.bits - 1) - 1, width))
    return scalar.select(scalar.less(bits, scalar.constant(0, width)), turned, bits)


def _count(
    context: LoweringContext, memory: LargestMemory, counter: DType, holds: Callable[[Expr], Expr]
) -> tuple[Statement, Expr]:
    """How many keys something holds for."""
    place, count, counted = context.axis("place", memory.size), Local("count", counter), Local("counted", counter)
    more = scalar.add(count, scalar.convert(holds(Load(memory.keys, (place,))), counter))
    carry = Carry(count, scalar.constant(0, counter), more, counted)
    return For(place, scalar.index(memory.size), (), (carry,), Mode.VECTOR), counted


def _least(
    context: LoweringContext, memory: LargestMemory, counter: DType, wanted: Expr
) -> tuple[Sequence[Statement], Expr]:
    """The greatest number that as many keys as are wanted are no less than.

    Of the least integer, no bit but a sign is set; to turn the next bit gives the next greater candidate.
    """
    dtype, turn = memory.keys.dtype, context.axis("bit", memory.keys.dtype.bits)
    lowest = scalar.constant(-(2 ** (dtype.bits - 1)) if dtype.is_signed else 0, dtype)
    least, found = Local("least", dtype), Local("found", dtype)
    bit = scalar.convert(scalar.sub(scalar.index(dtype.bits - 1), turn), dtype)
    unit = scalar.apply(Primitive.SHL, scalar.constant(1, dtype), bit)
    bound, (candidate,) = bind(context, [scalar.apply(Primitive.XOR, least, unit)])
    counting, count = _count(context, memory, counter, lambda key: scalar.greater_equal(key, candidate))
    chosen = scalar.select(scalar.greater_equal(count, wanted), candidate, least)
    carry = Carry(least, lowest, chosen, found)
    return loop(turn, scalar.index(dtype.bits), [*bound, counting], [carry]), found


def _copied(
    context: LoweringContext,
    memory: LargestMemory,
    read: Callable[[Expr], Sequence[Expr]],
    least: Expr,
    equals: Expr,
) -> Sequence[Statement]:
    """Copy what is above `least`, and the first `equals` of what equals it; each element is stored behind the last."""
    place: Axis = context.axis("place", memory.size)
    kept, left = Local("kept", dtypes.i64), Local("left", equals.dtype)
    key = Load(memory.keys, (place,))
    has_left = scalar.greater(left, scalar.constant(0, left.dtype))
    is_equal = scalar.logical_and(scalar.equal(key, least), has_left)
    is_kept = scalar.convert(scalar.logical_or(scalar.greater(key, least), is_equal), dtypes.i64)
    carries = [
        Carry(kept, scalar.index(0), scalar.add(kept, is_kept), Local("all", dtypes.i64)),
        Carry(left, equals, scalar.sub(left, scalar.convert(is_equal, left.dtype)), Local("none", left.dtype)),
    ]
    return loop(place, scalar.index(memory.size), store_all(memory.kept, (kept,), read(place)), carries)
