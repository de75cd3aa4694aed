"""Cumulative reductions along an axis, as `reduce_window` with windows that run from one end of it."""

from __future__ import annotations

from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops.broadcast import check_axes
from tenfoldc.ops.creation import constant
from tenfoldc.ops.reducer import Reducer, body_of, neutral_value
from tenfoldc.ops.window import reduce_window


def cumulative_sum(x: Var, dimension: int, reverse: bool = False) -> Var:
    """Each element plus all before it along `dimension`, or in `reverse` all after it."""
    return _cumulative(Reducer.SUM, x, dimension, reverse)


def cumulative_product(x: Var, dimension: int, reverse: bool = False) -> Var:
    """Each element times all before it along `dimension`, or in `reverse` all after it."""
    return _cumulative(Reducer.PRODUCT, x, dimension, reverse)


def cumulative_max(x: Var, dimension: int, reverse: bool = False) -> Var:
    """The largest of each element and all before it along `dimension`, or in `reverse` all after it."""
    return _cumulative(Reducer.MAX, x, dimension, reverse)


def cumulative_min(x: Var, dimension: int, reverse: bool = False) -> Var:
    """The smallest of each element and all before it along `dimension`, or in `reverse` all after it."""
    return _cumulative(Reducer.MIN, x, dimension, reverse)


def _cumulative(reducer: Reducer, x: Var, dimension: int, reverse: bool) -> Var:
    check_axes(f"cumulative_{reducer.value}", "dimension", [dimension], x.rank)
    others = max(x.sizes[dimension] - 1, 0)
    dimensions, padding = [1] * x.rank, [(0, 0)] * x.rank
    dimensions[dimension] = others + 1
    padding[dimension] = (0, others) if reverse else (others, 0)
    init = constant(x.builder, neutral_value(reducer, x.dtype), x.dtype)
    (result,) = reduce_window([x], [init], body_of(reducer), dimensions, padding=padding)
    return result


def shift(x: Var, value: Var, dimension: int, places: int) -> Var:
    """`x` moved along `dimension` by `places`, backward if negative; the scalar `value` fills the gap."""
    low, high = [0] * x.rank, [0] * x.rank
    low[dimension], high[dimension] = places, -places
    return ops.pad(x, value, low, high)


def linear_recurrence(decay: Var, increment: Var, dimension: int, reverse: bool = False) -> Var:
    """The s with s[i] = decay[i] * s[i - 1] + increment[i] along `dimension`, 0 before the first.

    In `reverse`, s[i] depends on s[i + 1].  Takes a logarithmic number of elementwise steps (Hillis and Steele,
    "Data parallel algorithms", 1986), each over twice the distance of the one before.
    """
    zero, one = (constant(decay.builder, value, decay.dtype) for value in (0, 1))
    distance = 1
    while distance < decay.sizes[dimension]:
        places = -distance if reverse else distance
        increment = ops.add(increment, ops.multiply(decay, shift(increment, zero, dimension, places)))
        decay = ops.multiply(decay, shift(decay, one, dimension, places))
        distance *= 2
    return increment
