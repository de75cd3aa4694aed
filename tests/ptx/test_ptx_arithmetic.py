"""Arithmetic, conversions and comparisons of the interpreter against NumPy and exact fractions."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from ptx_machine import PtxError, UnknownInstruction
from ptx_machine.module import Module
from ptx_programs import apply, elementwise

INF, NAN = np.inf, np.nan
SPECIAL = np.array([0.0, -0.0, 1.5, -2.5, INF, -INF, NAN, 1e-40, 3e38, -0.5, 0.5, 2.5], np.float32)


def pairs(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.meshgrid(values, values)
    return x.ravel().copy(), y.ravel().copy()


def same(found: np.ndarray, expected: np.ndarray) -> bool:
    """Equal with NaN where NaN is, and the signs of zeros."""
    if found.dtype.kind not in "fV":
        return np.array_equal(found, expected)
    f, e = found.astype(np.float64), expected.astype(np.float64)
    return np.array_equal(f, e, equal_nan=True) and np.array_equal(np.signbit(f)[f == 0], np.signbit(e)[e == 0])


@pytest.mark.parametrize(
    ("instruction", "compute"),
    [
        ("add.rn.f32", np.add),
        ("sub.rn.f32", np.subtract),
        ("mul.rn.f32", np.multiply),
        ("div.rn.f32", np.divide),
        ("min.NaN.f32", np.minimum),
        ("max.NaN.f32", np.maximum),
        ("copysign.f32", lambda x, y: np.copysign(y, x)),
    ],
)
def test_float_operations_are_ieee(instruction: str, compute: Any) -> None:
    x, y = pairs(SPECIAL)
    with np.errstate(all="ignore"):
        expected = compute(x, y)
    if "in." in instruction or "ax." in instruction:
        zero = (x == 0) & (y == 0)
        choose = np.signbit(x) | np.signbit(y) if "min" in instruction else np.signbit(x) & np.signbit(y)
        expected = np.where(zero, np.where(choose, np.float32(-0.0), np.float32(0)), expected)
    assert same(apply(f"{instruction} %y, %x0, %x1;", [x, y], np.float32), expected)


def test_minimum_without_nan_returns_the_number() -> None:
    x = np.array([NAN, 1, NAN], np.float32)
    y = np.array([2, NAN, NAN], np.float32)
    assert same(apply("min.f32 %y, %x0, %x1;", [x, y], np.float32), np.array([2, 1, NAN], np.float32))


def test_ftz_flushes_operands_and_results() -> None:
    x = np.array([1e-40, 2.0**-126, -(2.0**-126)], np.float32)
    y = np.array([1.0, 0.5, 0.5], np.float32)
    assert same(apply("mul.rn.ftz.f32 %y, %x0, %x1;", [x, y], np.float32), np.array([0, 0, -0.0], np.float32))
    assert apply("mul.rn.f32 %y, %x0, %x1;", [x, y], np.float32)[0] == np.float32(1e-40)


def exact_fma(x: float, y: float, z: float) -> Fraction:
    return Fraction(x) * Fraction(y) + Fraction(z)


def test_fma_of_float32_rounds_once(rng: np.random.Generator) -> None:
    x, y = (rng.standard_normal(1000).astype(np.float32) for _ in range(2))
    z = (-x * y * (1 + rng.integers(-2, 3, 1000) * 2.0**-24)).astype(np.float32)
    found = apply("fma.rn.f32 %y, %x0, %x1, %x2;", [x, y, z], np.float32)
    for i in range(1000):
        exact = exact_fma(float(x[i]), float(y[i]), float(z[i]))
        error = abs(Fraction(float(found[i])) - exact)
        for neighbour in (np.nextafter(found[i], np.float32(INF)), np.nextafter(found[i], np.float32(-INF))):
            assert error <= abs(Fraction(float(neighbour)) - exact)


def test_fma_of_float32_at_a_double_rounding() -> None:
    x = np.array([1 + 2.0**-12], np.float32)
    z = np.array([2.0**-60], np.float32)
    tie = apply("fma.rn.f32 %y, %x0, %x0, %x1;", [x, z], np.float32)
    assert tie[0] == np.float32(1 + 2.0**-11 + 2.0**-23)


def test_fma_of_float64_rounds_once(rng: np.random.Generator) -> None:
    x, y = (rng.standard_normal(1000) * 2.0 ** rng.integers(-300, 300, 1000) for _ in range(2))
    z = -x * y * (1 + rng.integers(-2, 3, 1000) * 2.0**-52)
    found = apply("fma.rn.f64 %y, %x0, %x1, %x2;", [x, y, z], np.float64)
    assert all(found[i] == float(exact_fma(x[i], y[i], z[i])) for i in range(1000))


def test_fma_of_float64_at_the_ends_of_the_range() -> None:
    x = np.array([1e300, 1e-200, INF, 0.0, 1e308, 5e-324])
    y = np.array([1e10, 1e-200, 0.0, INF, 10.0, 0.5])
    z = np.array([-INF, 1e-320, 1.0, 1.0, -1e308, 5e-324])
    expected = np.array([-INF, 1e-320, NAN, NAN, INF, 1e-323])
    assert same(apply("fma.rn.f64 %y, %x0, %x1, %x2;", [x, y, z], np.float64), expected)


INTEGERS = np.array([0, 1, 2, 7, 31, -1, -2, -7, 2**31 - 1, -(2**31), 123456789, -987654321], np.int32)


@pytest.mark.parametrize(
    ("instruction", "exact"),
    [
        ("add.s32", lambda x, y: x + y),
        ("sub.s32", lambda x, y: x - y),
        ("mul.lo.s32", lambda x, y: x * y),
        ("mul.hi.s32", lambda x, y: x * y >> 32),
        ("mul.hi.u32", lambda x, y: (x & 0xFFFFFFFF) * (y & 0xFFFFFFFF) >> 32),
        ("min.s32", min),
        ("max.u32", lambda x, y: max(x & 0xFFFFFFFF, y & 0xFFFFFFFF)),
        ("add.sat.s32", lambda x, y: max(-(2**31), min(2**31 - 1, x + y))),
        ("and.b32", lambda x, y: x & y),
        ("xor.b32", lambda x, y: x ^ y),
        ("shl.b32", lambda x, y: x << y if 0 <= y < 32 else 0),
        ("shr.s32", lambda x, y: x >> min(y & 0xFFFFFFFF, 31)),
        ("shr.u32", lambda x, y: (x & 0xFFFFFFFF) >> y if 0 <= y < 32 else 0),
    ],
)
def test_integer_operations_wrap(instruction: str, exact: Any) -> None:
    x, y = pairs(INTEGERS)
    expected = [exact(int(a), int(b)) & 0xFFFFFFFF for a, b in zip(x, y, strict=True)]
    assert apply(f"{instruction} %y, %x0, %x1;", [x, y], np.uint32).tolist() == expected


def test_integer_division_truncates() -> None:
    x, y = np.array([7, -7, 7, -7], np.int32), np.array([2, 2, -2, -2], np.int32)
    assert apply("div.s32 %y, %x0, %x1;", [x, y], np.int32).tolist() == [3, -3, -3, 3]
    assert apply("rem.s32 %y, %x0, %x1;", [x, y], np.int32).tolist() == [1, -1, 1, -1]


def test_products_of_64_bits(rng: np.random.Generator) -> None:
    x, y = (rng.integers(-(2**63), 2**63, 100) for _ in range(2))
    high = [int(a) * int(b) >> 64 for a, b in zip(x, y, strict=True)]
    unsigned = [int(a) % 2**64 * (int(b) % 2**64) >> 64 for a, b in zip(x, y, strict=True)]
    assert apply("mul.hi.s64 %y, %x0, %x1;", [x, y], np.int64).tolist() == high
    assert apply("mul.hi.u64 %y, %x0, %x1;", [x, y], np.uint64).tolist() == unsigned


def test_wide_products_extend_by_type() -> None:
    x, y = np.array([-3], np.int32), np.array([5], np.int32)
    z = np.array([100], np.int64)
    assert apply("mad.wide.s32 %y, %x0, %x1, %x2;", [x, y, z], np.int64).tolist() == [85]
    assert apply("mul.wide.u32 %y, %x0, %x1;", [x, y], np.int64).tolist() == [(2**32 - 3) * 5]


def extracted(x: int, start: int, length: int, signed: bool) -> int:
    width = 32
    bits = [(x >> min(i, width - 1 if signed else i)) & 1 if signed or i < width else 0 for i in range(600)]
    value = sum(bits[start + i] << i for i in range(min(length, width)))
    if signed and length:
        top = bits[min(start + length - 1, width - 1)]
        value |= sum(top << i for i in range(min(length, width), width))
    return value & 0xFFFFFFFF


@pytest.mark.parametrize("kind", ["u32", "s32"])
def test_bit_fields_are_extracted(kind: str) -> None:
    cases = [(x, s, n) for x in (0x89ABCDEF, 0x12345678) for s in (0, 3, 31, 32, 200) for n in (0, 1, 5, 31, 32, 255)]
    columns = [np.array(column, np.uint32) for column in zip(*cases, strict=True)]
    found = apply(f"bfe.{kind} %y, %x0, %x1, %x2;", columns, np.uint32).tolist()
    signed = kind == "s32"
    as_number = [(x - (x >> 31 << 32) if signed else x, s, n) for x, s, n in cases]
    assert found == [extracted(x, s, n, signed) for x, s, n in as_number]


def test_bit_counts() -> None:
    x = np.array([0, 1, 0x80000000, 0x00F0, 0xFFFFFFFF], np.uint32)
    assert apply("clz.b32 %y, %x0;", [x], np.uint32).tolist() == [32, 31, 0, 24, 0]
    assert apply("popc.b32 %y, %x0;", [x], np.uint32).tolist() == [0, 1, 1, 4, 32]
    assert apply("brev.b32 %y, %x0;", [x], np.uint32).tolist() == [0, 0x80000000, 1, 0x0F000000, 0xFFFFFFFF]
    assert apply("bfind.u32 %y, %x0;", [x], np.uint32).tolist() == [0xFFFFFFFF, 0, 31, 7, 31]


def test_permutations_of_bytes() -> None:
    x, y = np.array([0x33221100], np.uint32), np.array([0x77665584], np.uint32)
    assert apply("prmt.b32 %y, %x0, %x1, 0x0123U;", [x, y], np.uint32)[0] == 0x00112233
    assert apply("prmt.b32 %y, %x0, %x1, 0x7654;", [x, y], np.uint32)[0] == 0x77665584
    assert apply("prmt.b32 %y, %x0, %x1, 0xC000;", [x, y], np.uint32)[0] == 0xFF000000


def test_funnel_shifts_and_logic_of_three() -> None:
    low, high = np.array([0x80000001], np.uint32), np.array([0x12345678], np.uint32)
    assert apply("shf.l.wrap.b32 %y, %x0, %x1, 36;", [low, high], np.uint32)[0] == 0x23456788
    assert apply("shf.r.clamp.b32 %y, %x0, %x1, 40;", [low, high], np.uint32)[0] == 0x12345678
    z = np.array([0xFF00FF00], np.uint32)
    found = apply("lop3.b32 %y, %x0, %x1, %x2, 0xCA;", [low, high, z], np.uint32)
    assert found[0] == (low[0] & high[0]) | (~low[0] & z[0])


# ---- conversions


ROUNDINGS = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}


@pytest.mark.parametrize("mode", ROUNDINGS)
@pytest.mark.parametrize("target", ["s32", "u32", "s64", "u8", "s8"])
def test_floats_convert_to_integers_with_clamping(mode: str, target: str) -> None:
    x = np.array([0.5, 1.5, -0.5, -1.5, 2.49, 1e10, -1e10, 1e20, INF, -INF, 255.7, -129.0], np.float32)
    bits, signed = int(target[1:]), target[0] == "s"
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    rounded = ROUNDINGS[mode](x.astype(np.float64))
    expected = [low if v < low else high if v > high else int(v) for v in rounded]
    found = apply(f"cvt.{mode}.{target}.f32 %y, %x0;", [x], np.dtype(f"{'i' if signed else 'u'}{bits // 8}"))
    assert found.tolist() == expected


def test_nan_converts_to_zero_or_the_top_bit() -> None:
    x = np.array([NAN], np.float32)
    assert apply("cvt.rzi.s32.f32 %y, %x0;", [x], np.int32)[0] == 0
    assert apply("cvt.rzi.s64.f32 %y, %x0;", [x], np.int64)[0] == -(2**63)


@pytest.mark.parametrize(
    ("target", "dtype", "mode"),
    [(f"f{bits}", np.dtype(f"f{bits // 8}"), mode) for bits in (16, 32) for mode in ("rn", "rz", "rm", "rp")]
    + [("bf16", ml_dtypes.bfloat16, mode) for mode in ("rn", "rz")],
)
def test_narrowing_rounds_by_mode(target: str, dtype: Any, mode: str) -> None:
    source = "f32" if target == "bf16" else "f64"
    x = np.array([1 + 2.0**-8, 1 + 3 * 2.0**-9, -1 - 2.0**-9, 0.1, -0.1, 1.0, 3.14159], f"f{int(source[1:]) // 8}")
    found = apply(f"cvt.{mode}.{target}.{source} %y, %x0;", [x], dtype).astype(np.float64)
    wide = x.astype(np.float64)
    step = np.abs(np.spacing(found.astype(dtype)).astype(np.float64))
    if mode == "rn":
        assert (np.abs(found - wide) <= step / 2).all()
    elif mode == "rz":
        assert (np.abs(found) <= np.abs(wide)).all()
    else:
        assert ((found <= wide) if mode == "rm" else (found >= wide)).all()
    assert (np.abs(found - wide) < step).all()


@pytest.mark.parametrize("value", [2**24 + 1, 2**63 - 1, -(2**53) - 1, 123456789123456789])
@pytest.mark.parametrize("target", ["f32", "f64"])
def test_integers_of_64_bits_convert_to_the_nearest(value: int, target: str) -> None:
    x = np.array([value], np.int64)
    dtype = np.dtype(f"f{int(target[1:]) // 8}")
    found = float(apply(f"cvt.rn.{target}.s64 %y, %x0;", [x], dtype)[0])
    for neighbour in (
        np.nextafter(dtype.type(found), dtype.type(INF)),
        np.nextafter(dtype.type(found), dtype.type(-INF)),
    ):
        assert abs(Fraction(found) - value) <= abs(Fraction(float(neighbour)) - value)


def test_saturation_of_integers_and_floats() -> None:
    x = np.array([300, -5, 100], np.int32)
    assert apply("cvt.sat.u8.s32 %y, %x0;", [x], np.uint8).tolist() == [255, 0, 100]
    assert apply("cvt.s64.s32 %y, %x0;", [x], np.int64).tolist() == [300, -5, 100]
    assert apply("cvt.u64.u32 %y, %x0;", [x], np.uint64).tolist() == [300, 2**32 - 5, 100]
    f = np.array([1.5, -0.5, NAN, 0.25], np.float32)
    assert apply("cvt.sat.f32.f32 %y, %x0;", [f], np.float32).tolist() == [1, 0, 0, 0.25]


def test_two_floats_pack_into_one_register(rng: np.random.Generator) -> None:
    x, y = (rng.standard_normal(64).astype(np.float32) for _ in range(2))
    found = apply("cvt.rn.bf16x2.f32 %y, %x0, %x1;", [x, y], np.uint32).view(ml_dtypes.bfloat16).reshape(-1, 2)
    assert np.array_equal(found[:, 0], y.astype(ml_dtypes.bfloat16))
    assert np.array_equal(found[:, 1], x.astype(ml_dtypes.bfloat16))


def test_arithmetic_of_packed_halves(rng: np.random.Generator) -> None:
    x, y = (rng.standard_normal(64).astype(np.float16) for _ in range(2))
    found = apply("add.rn.f16x2 %y, %x0, %x1;", [x.view(np.uint32), y.view(np.uint32)], np.uint32).view(np.float16)
    assert np.array_equal(found, x + y)
    b, c = x.astype(ml_dtypes.bfloat16), y.astype(ml_dtypes.bfloat16)
    found = apply("mul.rn.bf16 %y, %x0, %x1;", [b.view(np.uint16), c.view(np.uint16)], np.uint16)
    assert np.array_equal(found.view(ml_dtypes.bfloat16), b * c)


# ---- comparisons


COMPARISONS = {
    "eq": lambda x, y, u: (x == y) & ~u,
    "ne": lambda x, y, u: (x != y) & ~u,
    "lt": lambda x, y, u: x < y,
    "geu": lambda x, y, u: (x >= y) | u,
    "equ": lambda x, y, u: (x == y) | u,
    "neu": lambda x, y, u: (x != y) | u,
    "num": lambda x, y, u: ~u,
    "nan": lambda x, y, u: u,
}


@pytest.mark.parametrize("name", COMPARISONS)
def test_float_comparisons_treat_nan_by_their_name(name: str) -> None:
    x, y = pairs(SPECIAL)
    unordered = np.isnan(x) | np.isnan(y)
    found = apply(f"setp.{name}.f32 %p1, %x0, %x1; selp.b32 %y, 1, 0, %p1;", [x, y], np.uint32)
    assert np.array_equal(found != 0, COMPARISONS[name](x, y, unordered))


def test_comparisons_combine_with_predicates() -> None:
    x = np.array([1, 5, 9], np.int32)
    code = "setp.gt.s32 %p1, %x0, 2; setp.lt.and.s32 %p2|%p3, %x0, 7, %p1; selp.b32 %r5, 1, 0, %p2;"
    code += "selp.b32 %r6, 2, 0, %p3; or.b32 %y, %r5, %r6;"
    assert apply(code, [x], np.uint32).tolist() == [0, 1, 2]
    assert apply("set.lt.u32.s32 %y, %x0, 7;", [x], np.uint32).tolist() == [0xFFFFFFFF, 0xFFFFFFFF, 0]


@pytest.mark.parametrize(
    "instruction",
    [
        "add.rz.f32 %y, %x0, %x0;",
        "add.foo.f32 %y, %x0, %x0;",
        "frobnicate.b32 %y, %x0;",
        "cvt.s32.f32 %y, %x0;",
        "mov.b32 %y, %clock;",
        "mov.b64 %y, %x0;",
        "setp.lo.s32 %p1, %x0, %x0;",
        "ex2.f32 %y, %x0;",
        "bra $nowhere;",
    ],
)
def test_what_is_not_known_raises_when_the_module_is_made(instruction: str) -> None:
    with pytest.raises(UnknownInstruction, match="line"):
        Module(elementwise(instruction, ["b32"], "b32"))


def test_an_error_names_line_kernel_block_and_thread() -> None:
    with pytest.raises(PtxError, match=r"line \d+ of k, block \(0, 0, 0\), thread \(0, 0, 0\): trap"):
        apply("trap;", [np.zeros(1, np.uint32)], np.uint32)
