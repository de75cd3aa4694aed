"""Conversion of 16-bit floats: every bit pattern widened, every rounding decided, with the instructions and without."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from tenfold_rt import dtypes
from tenfoldc.loops.ir import Axis, Buffer, For, Kernel, Load, Mode, Program, Store
from tenfoldc.loops.scalar import convert, index
from tenfoldc.target import host, named

HALVES = (dtypes.f16, dtypes.bf16)
TARGETS = [host(), named("x86-64-v2")]

pytestmark = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.cpu)


def conversion(source: dtypes.DType, result: dtypes.DType, size: int) -> Program:
    x, y, i = Buffer("x", source, (size,)), Buffer("y", result, (size,)), Axis("i")
    loop = For(i, index(size), (Store(y, (i,), convert(Load(x, (i,)), result)),), mode=Mode.VECTOR)
    return Program("f", (x,), (y,), (), {}, (Kernel("map", (loop,)),))


def all_halves(half: dtypes.DType) -> np.ndarray:
    return np.arange(2**16, dtype=np.uint16).view(half.numpy)


def finite_numbers(half: dtypes.DType) -> np.ndarray:
    """Every finite number in order, a zero once."""
    bits = np.arange(2**15, dtype=np.uint16)
    positive = bits[bits < np.array(np.inf).astype(half.numpy).view(np.uint16)].view(half.numpy).astype(np.float64)
    return np.concatenate([-positive[:0:-1], positive])


@pytest.mark.parametrize("half", HALVES, ids=str)
def test_every_number_is_widened_exactly(half, target, load_program) -> None:
    x = all_halves(half)
    (wide,) = load_program(conversion(half, dtypes.f32, x.size), target)(x)
    np.testing.assert_array_equal(wide, x.astype(np.float32))
    np.testing.assert_array_equal(np.signbit(wide), np.signbit(x))


def around_every_tie(half: dtypes.DType, wide: type) -> np.ndarray:
    """Every number of 16 bits, the middle between each and the next, and the neighbours of that; overflow and NaN."""
    numbers = finite_numbers(half).astype(wide)
    middles = numbers[1:] / 2 + numbers[:-1] / 2
    near = [np.nextafter(middles, np.array(side, wide), dtype=wide) for side in (-np.inf, np.inf)]
    top = float(ml_dtypes.finfo(half.numpy).max)
    last = top * (1 + float(ml_dtypes.finfo(half.numpy).eps) / 4)
    edges = [last, np.nextafter(wide(last), wide(0)), np.finfo(wide).max, np.inf, np.finfo(wide).smallest_subnormal]
    values = np.concatenate([numbers, middles, *near, np.array(edges, wide)])
    return np.concatenate([values, -values, np.array([np.nan], wide)])


@pytest.mark.parametrize("wide", [dtypes.f32, dtypes.f64], ids=str)
@pytest.mark.parametrize("half", HALVES, ids=str)
def test_rounding_is_to_nearest_even(half, wide, target, load_program) -> None:
    x = around_every_tie(half, wide.numpy.type)
    (rounded,) = load_program(conversion(wide, half, x.size), target)(x)
    table = finite_numbers(half)
    beyond = 2 * table[-1] - table[-2]
    table = np.concatenate([[-beyond], table, [beyond]])
    known = np.isfinite(x)
    value = np.clip(x[known].astype(np.float64), table[0], table[-1])
    above = np.clip(np.searchsorted(table, value), 1, len(table) - 1)
    low, high = table[above - 1], table[above]
    to_high = np.where(value - low == high - value, is_even(half, high), value - low > high - value)
    expected = np.where(to_high, high, low)
    expected = np.where(np.abs(expected) == table[-1], np.copysign(np.inf, expected), expected)
    np.testing.assert_array_equal(rounded[known].astype(np.float64), expected)
    np.testing.assert_array_equal(np.signbit(rounded[known]), np.signbit(x[known]))
    np.testing.assert_array_equal(rounded[~known].astype(np.float64), x[~known].astype(np.float64))


def is_even(half: dtypes.DType, values: np.ndarray) -> np.ndarray:
    """Whether the last bit of each is clear; what lies beyond the largest has a power of two for its place."""
    with np.errstate(over="ignore"):
        return values.astype(half.numpy).view(np.uint16) % 2 == 0


@pytest.mark.parametrize("half", HALVES, ids=str)
def test_a_nan_stays_one_whatever_its_bits(half, target, load_program) -> None:
    bits = np.array([0x7F800001, 0x7FFFFFFF, 0xFF800001, 0xFFFFFFFF, 0x7FC00000], np.uint32)
    (rounded,) = load_program(conversion(dtypes.f32, half, bits.size), target)(bits.view(np.float32))
    assert np.isnan(rounded).all()
    np.testing.assert_array_equal(np.signbit(rounded), bits >> 31 == 1)


@pytest.mark.parametrize("half", HALVES, ids=str)
def test_no_conversion_is_a_call(half, target, load_program) -> None:
    for source, result in ((half, dtypes.f32), (dtypes.f32, half), (dtypes.f64, half)):
        program = load_program(conversion(source, result, 640), target)
        lines = program.compiled.assembly().splitlines()
        called = [line.split()[-1] for line in lines if line.split()[:1] in (["callq"], ["call"], ["jmp"])]
        assert not [name for name in called if "sf" in name or "df" in name or name.startswith("__")]
