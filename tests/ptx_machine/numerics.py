"""Arithmetic that NumPy lacks: correctly rounded fused multiply-add, rounding modes, saturation, ordered zeros."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptx_machine.scalars import BFLOAT16, Scalar

Array = NDArray[Any]


def flush(x: Array) -> Array:
    """`x` (float32) with subnormal numbers replaced by zeros of their sign."""
    return np.where(np.abs(x) < np.float32(2.0**-126), np.copysign(np.float32(0), x), x)


def odd(sum_: Array, error: Array) -> Array:
    """Round `sum_ + error`, where `error` is what float64 `sum_` lost, to odd: a later rounding is then exact."""
    bits = np.atleast_1d(np.array(sum_, np.float64)).view(np.int64)
    error = np.broadcast_to(error, bits.shape)
    inexact = np.isfinite(sum_) & (error != 0) & np.isfinite(error) & (bits & 1 == 0)
    towards_zero = (error < 0) != (bits < 0)
    zero = bits << 1 == 0
    step = np.where(zero, 0, np.where(towards_zero, -1, 1))
    return (bits + np.where(inexact, step, 0)).view(np.float64).reshape(np.shape(sum_) or (1,))


def two_sum(x: Array, y: Array) -> tuple[Array, Array]:
    """The sum of two float64 and its exact error (Knuth)."""
    total = x + y
    back = total - x
    return total, (x - (total - back)) + (y - back)


def fma32(x: Array, y: Array, z: Array) -> Array:
    """float32 fused multiply-add: the product of two float32 is exact in float64."""
    return fma_odd(x, y, z).astype(np.float32)


def fma_odd(x: Array, y: Array, z: Array) -> Array:
    """`x y + z` of operands of at most 24 bits, as float64 rounded to odd."""
    product = np.asarray(x, np.float64) * np.asarray(y, np.float64)
    addend = np.asarray(z, np.float64)
    total, error = two_sum(product, addend)
    if not np.any(error):
        return np.atleast_1d(total)
    return odd(total, error)


def _two_product(x: Array, y: Array) -> tuple[Array, Array]:
    """The product of two float64 and its exact error (Dekker), where nothing over- or underflows."""
    product = x * y
    split_x, split_y = x * 134217729.0, y * 134217729.0
    high_x, high_y = split_x - (split_x - x), split_y - (split_y - y)
    low_x, low_y = x - high_x, y - high_y
    return product, ((high_x * high_y - product) + high_x * low_y + low_x * high_y) + low_x * low_y


def fma64(x: Array, y: Array, z: Array) -> Array:
    """float64 fused multiply-add (Boldo and Melquiond: the last addition of the low parts rounds to odd)."""
    x, y, z = (np.atleast_1d(np.asarray(v, np.float64)) for v in np.broadcast_arrays(x, y, z))
    high, low = _two_product(x, y)
    upper, lower = two_sum(z, low)
    total, error = two_sum(high, upper)
    result = total + odd(*two_sum(error, lower))
    plain = x * y + z
    extreme = ~((np.abs(x) < 2.0**500) & (np.abs(y) < 2.0**500) & (np.abs(z) < 2.0**1000))
    extreme |= (np.abs(high) < 2.0**-900) & (high != 0) | (high == 0) & (x != 0) & (y != 0)
    extreme |= (plain == 0) & (x != 0) & (y != 0)
    result = np.where((x == 0) | (y == 0) | ~np.isfinite(plain), plain, result)
    for i in np.flatnonzero(extreme & np.isfinite(x) & np.isfinite(y) & np.isfinite(z)):
        result.flat[i] = _exact_fma(float(x.flat[i]), float(y.flat[i]), float(z.flat[i]))
    result = np.where(extreme & ~(np.isfinite(x) & np.isfinite(y) & np.isfinite(z)), plain, result)
    return np.where(np.isinf(z) & np.isfinite(x) & np.isfinite(y), z, result)


def _exact_fma(x: float, y: float, z: float) -> float:
    exact = Fraction(x) * Fraction(y) + Fraction(z)
    if exact == 0:
        return x * y + z
    try:
        return float(exact)
    except OverflowError:
        return float("inf") if exact > 0 else float("-inf")


def fma(scalar: Scalar, x: Array, y: Array, z: Array) -> Array:
    """`x y + z` rounded once to `scalar`."""
    if scalar.bits == 64:
        return fma64(x, y, z)
    return round_float(fma_odd(x, y, z), scalar, "rn")


def round_float(x: Array, scalar: Scalar, mode: str) -> Array:
    """Float64 `x` as an array of `scalar`, rounded by `mode`: rn (to even), rna (away), rz, rm (down) or rp (up)."""
    if scalar.bits == 64:
        return np.asarray(x, np.float64)
    if scalar.dtype == BFLOAT16:
        return _round_bits(_to_odd_float32(x), 16, mode).astype(np.uint16).view(BFLOAT16)
    nearest = np.atleast_1d(x).astype(scalar.dtype)
    if mode == "rn":
        return nearest
    return _directed(np.atleast_1d(x), nearest, mode)


def _directed(x: Array, nearest: Array, mode: str) -> Array:
    wide = nearest.astype(np.float64)
    too_high = (wide > x) & ((mode == "rm") | ((mode == "rz") & (x > 0)))
    too_low = (wide < x) & ((mode == "rp") | ((mode == "rz") & (x < 0)))
    down = np.nextafter(nearest, nearest.dtype.type(-np.inf))
    up = np.nextafter(nearest, nearest.dtype.type(np.inf))
    return np.where(too_high, down, np.where(too_low, up, nearest))


def _to_odd_float32(x: Array) -> Array:
    """The bits of float64 `x` rounded to odd in float32."""
    wide = np.atleast_1d(np.asarray(x, np.float64))
    down = _directed(wide, wide.astype(np.float32), "rz")
    bits = down.view(np.uint32)
    return np.where((down.astype(np.float64) != wide) & ~np.isnan(wide), bits | np.uint32(1), bits)


def _round_bits(bits: Array, drop: int, mode: str) -> Array:
    """Round float32 bits to those above the lowest `drop`, and shift them down."""
    magnitude = bits & np.uint32(0x7FFFFFFF)
    negative = bits >> np.uint32(31) != 0
    half = np.uint32(1 << (drop - 1))
    if mode == "rn":
        increment = half - np.uint32(1) + ((bits >> np.uint32(drop)) & np.uint32(1))
    elif mode == "rna":
        increment = np.full(bits.shape, half)
    else:
        away = np.uint32((1 << drop) - 1)
        increment = np.where(negative, away if mode == "rm" else 0, away if mode == "rp" else 0).astype(np.uint32)
    finite = magnitude < 0x7F800000
    rounded = np.where(finite, bits + increment, bits)
    nan = magnitude > 0x7F800000
    rounded = np.where(nan, bits | np.uint32(0x00400000), rounded)
    return rounded >> np.uint32(drop)


def round_tf32(x: Array, mode: str) -> Array:
    """float32 `x` rounded to tf32's 10 bits of fraction, as float32."""
    bits = np.atleast_1d(np.asarray(x, np.float32)).view(np.uint32)
    return (_round_bits(bits, 13, mode) << np.uint32(13)).view(np.float32)


ROUND_TO_INTEGER = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}


def float_to_integer(x: Array, source: Scalar, target: Scalar, mode: str) -> Array:
    """Float `x` to an integer type, out-of-range values clamped; NaN is 0, or the top bit where 64 bits take part."""
    wide = ROUND_TO_INTEGER[mode](np.atleast_1d(np.asarray(x)).astype(np.float64))
    low, high = integer_range(target)
    nan = np.isnan(wide)
    inside = ~nan & (wide >= float(low)) & (wide < float(high + 1))
    result = np.where(inside, wide, 0).astype(target.dtype)
    result = np.where(wide < float(low), target.dtype.type(low), result)
    result = np.where(wide >= float(high + 1), target.dtype.type(high), result)
    if source.bits == 64 or target.bits == 64:
        top = np.array([1 << (target.bits - 1)], f"u{target.nbytes}").view(target.dtype)[0]
        result = np.where(nan, top, result)
    return result


def integer_range(scalar: Scalar) -> tuple[int, int]:
    """The least and the greatest value of an integer type."""
    if scalar.is_signed:
        return -(1 << (scalar.bits - 1)), (1 << (scalar.bits - 1)) - 1
    return 0, (1 << scalar.bits) - 1


def integer_to_float(x: Array, scalar: Scalar, mode: str) -> Array:
    """Integer `x` as `scalar`, rounded once."""
    x = np.atleast_1d(x)
    if x.dtype.itemsize < 8:
        return round_float(x.astype(np.float64), scalar, mode)
    if mode == "rn" and scalar.bits >= 32:
        return x.astype(scalar.dtype)
    high = x.astype(np.float64)
    low = _exact_difference(x, high)
    if scalar.bits == 64:
        return _directed_sum(high, low, mode)
    return round_float(odd(high, low), scalar, mode)


def _exact_difference(x: Array, high: Array) -> Array:
    return np.array([float(int(a) - int(b)) for a, b in zip(x.ravel(), high.ravel(), strict=True)]).reshape(x.shape)


def _directed_sum(high: Array, low: Array, mode: str) -> Array:
    down = np.nextafter(high, -np.inf)
    up = np.nextafter(high, np.inf)
    if mode == "rm":
        return np.where(low < 0, down, high)
    if mode == "rp":
        return np.where(low > 0, up, high)
    return np.where((low < 0) & (high > 0), down, np.where((low > 0) & (high < 0), up, high))


def saturate_unit(x: Array) -> Array:
    """`x` clamped to [0, 1], NaN as 0."""
    one, zero = x.dtype.type(1), x.dtype.type(0)
    return np.where(x > zero, np.where(x < one, x, one), zero)


def least(x: Array, y: Array, propagate_nan: bool) -> Array:
    """Minimum, where -0 is less than +0; NaN wins or loses."""
    return _extremum(x, y, np.minimum if propagate_nan else np.fmin, np.signbit)


def greatest(x: Array, y: Array, propagate_nan: bool) -> Array:
    """Maximum, where +0 is greater than -0; NaN wins or loses."""
    return _extremum(x, y, np.maximum if propagate_nan else np.fmax, lambda v: ~np.signbit(v))


def _extremum(x: Array, y: Array, choose: Any, wins: Any) -> Array:
    if x.dtype == BFLOAT16:
        return _extremum(x.astype(np.float32), y.astype(np.float32), choose, wins).astype(BFLOAT16)
    zeros = (x == 0) & (y == 0)
    return np.where(zeros, np.where(wins(x), x, y), choose(x, y))


def truncated_quotient(x: Array, y: Array) -> Array:
    """Integer division towards zero; where it is undefined, a value nobody should rely on."""
    undefined = y == 0
    if x.dtype.kind == "i":
        undefined = undefined | ((y == -1) & (x == np.iinfo(x.dtype).min))
    divisor = np.where(undefined, y.dtype.type(1), y)
    return np.where(undefined, x.dtype.type(0x5A), (x - np.fmod(x, divisor)) // divisor)


def truncated_remainder(x: Array, y: Array) -> Array:
    """The remainder with the sign of `x`; where it is undefined, a value nobody should rely on."""
    undefined = y == 0
    if x.dtype.kind == "i":
        undefined = undefined | ((y == -1) & (x == np.iinfo(x.dtype).min))
    return np.where(undefined, x.dtype.type(0x5A), np.fmod(x, np.where(undefined, y.dtype.type(1), y)))


def high_product(x: Array, y: Array, scalar: Scalar) -> Array:
    """The upper half of the product of two integers."""
    if scalar.bits < 64:
        wide = np.dtype(f"{'i' if scalar.is_signed else 'u'}{scalar.nbytes * 2}")
        return (np.asarray(x).astype(wide) * np.asarray(y).astype(wide) >> wide.type(scalar.bits)).astype(scalar.dtype)
    unsigned_x, unsigned_y = np.asarray(x).astype(np.uint64), np.asarray(y).astype(np.uint64)
    high = _high_product_u64(unsigned_x, unsigned_y)
    if scalar.is_signed:
        high = high - np.where(np.asarray(x) < 0, unsigned_y, np.uint64(0))
        high = high - np.where(np.asarray(y) < 0, unsigned_x, np.uint64(0))
    return high.astype(scalar.dtype)


def _high_product_u64(x: Array, y: Array) -> Array:
    mask, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    low_x, high_x, low_y, high_y = x & mask, x >> half, y & mask, y >> half
    middle = high_x * low_y + (low_x * low_y >> half)
    other = low_x * high_y + (middle & mask)
    return high_x * high_y + (middle >> half) + (other >> half)
