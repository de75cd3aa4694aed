"""The element of a given rank along an axis, without sorting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenfold.control.loops import fori_loop
from tenfold.functions.axes import expand_to, with_axes_kept
from tenfold.functions.creation import counted
from tenfold.promotion import convert
from tenfold.tracing import lift, wrap
from tenfold.transforms.custom import custom_jvp
from tenfold_rt import dtypes
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops import Direction

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

SHORT = 12
"""Elements of an axis up to which sorting it is no slower."""


def at_rank(x: Var, rank: Var, axis: int) -> tuple[Var, Var]:
    """The element that `rank` others come before along `axis`, in ascending order with NaN last, and its index (i64).

    `rank` has one number along `axis`.  Of equal elements the order is that of their indices.  The axis may not be
    empty.
    """
    if x.sizes[axis] <= SHORT:
        values, indices = ops.sort_with_indices(x, axis, False, dtypes.i64)
        return ops.take_along_axis(values, rank, axis), ops.take_along_axis(indices, rank, axis)

    def select(tensor: Tensor, rank: Tensor) -> Tensor:
        keys = ops.ascending_keys(lift(tensor))
        return wrap(ops.from_ascending_keys(_key_at_rank(keys, lift(rank), axis), x.dtype))

    def moved(primals: tuple[Tensor, Tensor], tangents: tuple[Tensor, None]) -> tuple[Tensor, Tensor]:
        value = select(*primals)
        place = _index_of(lift(primals[0]), lift(value), lift(primals[1]), axis)
        return value, wrap(ops.take_along_axis(lift(tangents[0]), place, axis))

    differentiable = custom_jvp(select)
    differentiable.defjvp(moved)
    value = lift((differentiable if x.dtype.is_float else select)(wrap(x), wrap(rank)))
    return value, _index_of(x, value, rank, axis)


def _count(flags: Var, axis: int) -> Var:
    """How many of `flags` are set along `axis`, which stays."""
    dtype = dtypes.i32 if flags.sizes[axis] < 2**31 else dtypes.i64
    return with_axes_kept(ops.reduce_sum(convert(flags, dtype), (axis,)), flags.sizes, (axis,))


def _key_at_rank(keys: Var, rank: Var, axis: int) -> Var:
    """The greatest number that no more than `rank` keys are less than, bit after bit from the highest."""
    sequence, bits = wrap(keys), keys.dtype.bits
    wanted = wrap(convert(rank, dtypes.i32 if keys.sizes[axis] < 2**31 else dtypes.i64))

    def decide(turn: Tensor, found: Tensor) -> Tensor:
        all_keys, least = lift(sequence), lift(found)
        place = convert(ops.subtract(ops.full_like(lift(turn), bits - 1), lift(turn)), keys.dtype)
        unit = ops.shift_left(ops.ones_like(place), place)
        candidate = ops.xor(least, expand_to(unit, least.sizes))
        less = ops.compare(all_keys, expand_to(candidate, all_keys.sizes), Direction.LT)
        fits = ops.compare(_count(less, axis), lift(wanted), Direction.LE)
        return wrap(ops.select(fits, candidate, least))

    lowest = -(2 ** (bits - 1)) if keys.dtype.is_signed else 0
    begin = ops.full(keys.builder, rank.type.with_dtype(keys.dtype), lowest)
    return lift(fori_loop(0, bits, decide, wrap(begin)))


def _index_of(x: Var, value: Var, rank: Var, axis: int) -> Var:
    """Where `value` is, of equals the one of `rank`; i64."""
    keys = ops.ascending_keys(x)
    key = expand_to(ops.ascending_keys(value), x.sizes)
    equal = ops.compare(keys, key, Direction.EQ)
    before = _count(ops.compare(keys, key, Direction.LT), axis)
    number = ops.cumulative_sum(convert(equal, before.dtype), axis)
    sought = ops.add(ops.subtract(convert(rank, before.dtype), before), ops.ones_like(before))
    is_it = ops.and_(equal, ops.compare(number, expand_to(sought, x.sizes), Direction.EQ))
    place = counted(x.sizes, axis, before.dtype)
    found = ops.reduce_max(ops.select(is_it, place, ops.zeros_like(place)), (axis,))
    return convert(with_axes_kept(found, x.sizes, (axis,)), dtypes.i64)
