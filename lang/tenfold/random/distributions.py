"""Random numbers of a distribution; each is a function of uniform ones, through which derivatives go.

The numbers are JAX's (`jax.random`): the same bits of the same key, then the same formulas, so that they differ by the
roundings of logarithms and the like at most.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tenfold.eager import tensor_function
from tenfold.functions.axes import broadcast_shape, expand_to, normalize_axis, shape_argument
from tenfold.functions.creation import filled
from tenfold.promotion import as_dtype, convert, promoted_floating
from tenfold.random.threefry import random_bits, require_key, split_in
from tenfold.specs import DTypeLike, element_type, f32, i32
from tenfold.tracing import TensorLike, here, lift, wrap
from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.errors import ArgumentError, DTypeError, ShapeError
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops import Direction

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

Shape = int | Sequence[int]

_MANTISSA = {dtypes.f16: 10, dtypes.bf16: 7, dtypes.f32: 23, dtypes.f64: 52}
_ONE = {dtypes.f16: 0x3C00, dtypes.bf16: 0x3F80, dtypes.f32: 0x3F800000, dtypes.f64: 0x3FF0000000000000}
"""The bits of 1."""
_TINY = {dtypes.f16: 2.0**-14, dtypes.bf16: 2.0**-126, dtypes.f32: 2.0**-126, dtypes.f64: 2.0**-1022}
"""The smallest normal numbers."""
_UNSIGNED = {8: dtypes.u8, 16: dtypes.u16, 32: dtypes.u32, 64: dtypes.u64}


def float_type(name: str, dtype: DTypeLike) -> DType:
    """The float type that is asked for; `DTypeError` for any other."""
    kind = element_type(dtype)
    if not kind.is_float:
        raise DTypeError(f"{name}: gives floats, not {kind}", where=here())
    return kind


def from_zero_to_one(name: str, key: Var, shape: Sequence[int], dtype: DType) -> Var:
    """Multiples of the distance of floats just above 1, in [0, 1): random mantissas of floats in [1, 2), less 1."""
    mantissa, unsigned = _MANTISSA[dtype], _UNSIGNED[dtype.bits]
    width = 8 if mantissa < 8 else dtype.bits
    drawn = convert(random_bits(name, key, shape, _UNSIGNED[width]), unsigned)
    shifted = ops.shift_right_logical(drawn, filled(shape, width - mantissa, unsigned))
    between_1_and_2 = ops.bitcast_convert(ops.or_(shifted, filled(shape, _ONE[dtype], unsigned)), dtype)
    return ops.subtract(between_1_and_2, filled(shape, 1.0, dtype))


def between(name: str, key: Var, shape: Sequence[int], low: Var, high: Var) -> Var:
    """Uniform numbers in [low, high), both of one float type, which broadcast to `shape`."""
    unit = from_zero_to_one(name, key, shape, low.dtype)
    low, span = expand_to(low, shape), expand_to(ops.subtract(*_alike(high, low)), shape)
    return ops.maximum(low, ops.add(ops.multiply(unit, span), low))


def _alike(x: Var, y: Var) -> tuple[Var, Var]:
    shape = broadcast_shape("uniform", x.sizes, y.sizes)
    return expand_to(x, shape), expand_to(y, shape)


def _standard(name: str, key: Var, shape: Sequence[int], dtype: DType, low: float = 0.0) -> Var:
    return between(name, key, shape, filled((), low, dtype), filled((), 1.0, dtype))


@tensor_function
def uniform(
    key: TensorLike,
    shape: Shape = (),
    dtype: DTypeLike = f32,
    minval: TensorLike = 0.0,
    maxval: TensorLike = 1.0,
) -> Tensor:
    """Numbers that are equally likely anywhere from `minval` to below `maxval`."""
    kind, sizes = float_type("uniform", dtype), shape_argument("uniform", (shape,))
    low, high = as_dtype((minval, maxval), kind)
    return wrap(between("uniform", require_key("uniform", key), sizes, low, high))


@tensor_function
def normal(key: TensorLike, shape: Shape = (), dtype: DTypeLike = f32) -> Tensor:
    """Numbers of the normal distribution with mean 0 and deviation 1."""
    kind, sizes = float_type("normal", dtype), shape_argument("normal", (shape,))
    return wrap(_normal(require_key("normal", key), sizes, kind))


def _normal(key: Var, shape: Sequence[int], dtype: DType) -> Var:
    """The inverse of the distribution's function, at uniform numbers in (-1, 1)."""
    epsilon = 2.0 ** -(_MANTISSA[dtype] + 1)
    drawn = _standard("normal", key, shape, dtype, epsilon - 1.0)
    return ops.multiply(filled(shape, math.sqrt(2.0), dtype), ops.erf_inv(drawn))


@tensor_function
def truncated_normal(
    key: TensorLike,
    lower: TensorLike,
    upper: TensorLike,
    shape: Shape | None = None,
    dtype: DTypeLike = f32,
) -> Tensor:
    """Numbers of the normal distribution among those between `lower` and `upper`."""
    kind = float_type("truncated_normal", dtype)
    low, high = as_dtype((lower, upper), kind)
    sizes = shape_of("truncated_normal", shape, low, high)
    root = filled((), math.sqrt(2.0), kind)
    ends = [ops.erf(ops.divide(end, expand_to(root, end.sizes))) for end in (low, high)]
    drawn = between("truncated_normal", require_key("truncated_normal", key), sizes, *ends)
    values = ops.multiply(filled(sizes, math.sqrt(2.0), kind), ops.erf_inv(drawn))
    infinities = filled((), math.inf, kind), filled((), -math.inf, kind)
    least, most = (
        expand_to(ops.next_after(end, expand_to(infinity, end.sizes)), sizes)
        for end, infinity in zip((low, high), infinities, strict=True)
    )
    return wrap(ops.clamp(least, values, most))


def shape_of(name: str, shape: Shape | None, *parameters: Var) -> tuple[int, ...]:
    """`shape`, to which all parameters must broadcast; the shape that they have together where it is not given."""
    own = broadcast_shape(name, *(parameter.sizes for parameter in parameters))
    if shape is None:
        return own
    sizes = shape_argument(name, (shape,))
    if broadcast_shape(name, sizes, own) != sizes:
        raise ShapeError(f"{name}: parameters of shape {own} do not broadcast to {sizes}", where=here())
    return sizes


@tensor_function
def bernoulli(key: TensorLike, p: TensorLike = 0.5, shape: Shape | None = None) -> Tensor:
    """Bools that are true with probability `p`."""
    (chance,) = promoted_floating(p)
    sizes = shape_of("bernoulli", shape, chance)
    drawn = _standard("bernoulli", require_key("bernoulli", key), sizes, chance.dtype)
    return wrap(ops.compare(drawn, expand_to(chance, sizes), Direction.LT))


@tensor_function
def dropout(key: TensorLike, x: TensorLike, p: float = 0.5) -> Tensor:
    """`x` with each element zero with probability `p`, and else divided by 1 - p."""
    (value,) = promoted_floating(x)
    if not 0 <= p < 1:
        raise ArgumentError(f"dropout: p is {p}, but must be at least 0 and below 1", where=here())
    drawn = _standard("dropout", require_key("dropout", key), value.sizes, dtypes.f32)
    kept = ops.compare(drawn, filled(value.sizes, 1 - p, dtypes.f32), Direction.LT)
    scaled = ops.multiply(value, ops.full_like(value, 1 / (1 - p)))
    return wrap(ops.select(kept, scaled, ops.zeros_like(value)))


@tensor_function
def exponential(key: TensorLike, shape: Shape = (), dtype: DTypeLike = f32) -> Tensor:
    """Numbers of the exponential distribution with mean 1."""
    kind, sizes = float_type("exponential", dtype), shape_argument("exponential", (shape,))
    drawn = _standard("exponential", require_key("exponential", key), sizes, kind)
    return wrap(ops.negate(ops.log_plus_one(ops.negate(drawn))))


@tensor_function
def gumbel(key: TensorLike, shape: Shape = (), dtype: DTypeLike = f32) -> Tensor:
    """Numbers of the standard Gumbel distribution."""
    kind, sizes = float_type("gumbel", dtype), shape_argument("gumbel", (shape,))
    return wrap(_gumbel("gumbel", require_key("gumbel", key), sizes, kind))


def _gumbel(name: str, key: Var, shape: Sequence[int], dtype: DType) -> Var:
    drawn = _standard(name, key, shape, dtype, _TINY[dtype])
    return ops.negate(ops.log(ops.negate(ops.log(drawn))))


@tensor_function
def categorical(key: TensorLike, logits: TensorLike, axis: int = -1, shape: Shape | None = None) -> Tensor:
    """Indices along an axis of `logits`, i64, likely as their softmax says; of `shape`, or once for each other index.

    `shape` ends with those other axes.  An index is where logits plus Gumbel numbers are largest.
    """
    (value,) = promoted_floating(logits)
    place = normalize_axis("categorical", axis, value.rank)
    own = (*value.sizes[:place], *value.sizes[place + 1 :])
    sizes = own if shape is None else shape_argument("categorical", (shape,))
    extra = len(sizes) - len(own)
    if extra < 0 or broadcast_shape("categorical", sizes, own) != sizes:
        raise ShapeError(f"categorical: logits of {own} do not broadcast to {sizes}", where=here())
    ending = list(sizes[extra:])
    ending.insert(place, value.sizes[place])
    whole = (*sizes[:extra], *ending)
    noise = _gumbel("categorical", require_key("categorical", key), whole, value.dtype)
    return wrap(ops.argmax(ops.add(noise, expand_to(value, whole)), extra + place, dtypes.i64))


@tensor_function
def randint(key: TensorLike, shape: Shape, minval: TensorLike, maxval: TensorLike, dtype: DTypeLike = i32) -> Tensor:
    """Integers from `minval` to below `maxval`; `minval` where that is not less.

    They are remainders of numbers of twice as many bits as `dtype` has, 64 at least: not quite equally likely where
    the range is large and no power of 2.
    """
    kind, sizes = element_type(dtype), shape_argument("randint", (shape,))
    if not kind.is_integer:
        raise DTypeError(f"randint: gives integers, not {kind}", where=here())
    bounds = [lift(bound) for bound in (minval, maxval)]
    for bound in bounds:
        if not bound.dtype.is_integer:
            raise DTypeError(f"randint: a bound is {bound.type}, not an integer", where=here())
    drawn = kind if kind.bits >= 32 else dtypes.i32
    low, high, above = _bounds(bounds[0], bounds[1], sizes, kind, drawn)
    unsigned = _UNSIGNED[drawn.bits]
    one = filled(sizes, 1, unsigned)
    is_empty = ops.compare(high, low, Direction.LE)
    span = ops.select(is_empty, one, convert(ops.subtract(high, low), unsigned))
    span = ops.add(span, ops.select(ops.and_(above, ops.not_(is_empty)), one, ops.zeros_like(one)))
    first, second = (
        ops.remainder(random_bits("randint", k, sizes, unsigned), span)
        for k in split_in("randint", require_key("randint", key), 2)
    )
    root = ops.remainder(filled(sizes, 2 ** (drawn.bits // 2), unsigned), span)
    weight = ops.remainder(ops.multiply(root, root), span)
    offset = ops.remainder(ops.add(ops.multiply(first, weight), second), span)
    return wrap(convert(ops.add(low, convert(offset, drawn)), kind))


def _bounds(low: Var, high: Var, shape: Sequence[int], dtype: DType, drawn: DType) -> tuple[Var, Var, Var]:
    """Both bounds in the type that is drawn, but within `dtype`; and where `high` is more than that type holds."""
    least, most = _limits(dtype)
    is_wider = drawn != dtype
    above = filled((), False, dtypes.bool_) if is_wider else _beyond(high, most, Direction.GT)
    low, high = _clipped(low, drawn, least, most), _clipped(high, drawn, least, most + int(is_wider))
    return expand_to(low, shape), expand_to(high, shape), expand_to(above, shape)


def _limits(dtype: DType) -> tuple[int, int]:
    """The least and the largest integer."""
    half = 2 ** (dtype.bits - 1)
    return (0, 2 * half - 1) if dtype.is_unsigned else (-half, half - 1)


def _beyond(x: Var, limit: int, direction: Direction) -> Var:
    """Whether elements lie beyond a limit, which their own type may not hold."""
    least, most = _limits(x.dtype)
    if not least <= limit <= most:
        return filled(x.sizes, False, dtypes.bool_)
    return ops.compare(x, filled(x.sizes, limit, x.dtype), direction)


def _clipped(x: Var, dtype: DType, least: int, most: int) -> Var:
    value = convert(x, dtype)
    for limit, direction in ((most, Direction.GT), (least, Direction.LT)):
        value = ops.select(_beyond(x, limit, direction), filled(x.sizes, limit, dtype), value)
    return value
