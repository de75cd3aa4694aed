"""Every primitive, over every dtype that has it, compiled and compared with NumPy on ordinary and special values."""

import math
from fractions import Fraction

import numpy as np
import pytest

from tenfold_rt import dtypes
from tenfold_rt.errors import UnsupportedError
from tenfoldc.emit.function_text import FunctionText
from tenfoldc.emit.primitives import write_primitive
from tenfoldc.loops.ir import COMPARISONS, Apply, Axis, Buffer, For, Kernel, Load, Mode, Primitive, Program, Store
from tenfoldc.loops.scalar import index
from tenfoldc.target import host, named

FLOATS = (dtypes.f32, dtypes.f64)
SIGNED = (dtypes.i8, dtypes.i16, dtypes.i32, dtypes.i64)
UNSIGNED = (dtypes.u8, dtypes.u16, dtypes.u32, dtypes.u64)
INTEGERS = SIGNED + UNSIGNED
ALL = (dtypes.bool_, *INTEGERS, *FLOATS)


def special_values(dtype):
    if dtype.is_bool:
        return np.array([False, True] * 20)
    if dtype.is_float:
        tiny = float(np.finfo(dtype.numpy).smallest_subnormal)
        big = float(np.finfo(dtype.numpy).max)
        values = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, -1.5, 2.5, -2.5, 0.49999997, tiny, -tiny, big, -big]
        values += [math.inf, -math.inf, math.nan, 8388609.0, -8388609.0, 4503599627370497.0, 3.7, -3.7]
        return np.array(values, dtype.numpy)
    info = np.iinfo(dtype.numpy)
    values = [info.min, info.min + 1, info.max, info.max - 1, 0, 1, 2, 3, 7, 100]
    return np.array(values + ([-1, -2, -3, -100] if dtype.is_signed else []), dtype.numpy)


def pairs(dtype):
    values = special_values(dtype)
    left, right = np.meshgrid(values, values)
    return np.ascontiguousarray(left.ravel()), np.ascontiguousarray(right.ravel())


def program_of(primitive, result_dtype, *operand_dtypes, size):
    operands = [Buffer(f"x{n}", dtype, (size,)) for n, dtype in enumerate(operand_dtypes)]
    result = Buffer("result", result_dtype, (size,))
    i = Axis("i")
    value = Apply(primitive, tuple(Load(operand, (i,)) for operand in operands), result_dtype)
    loop = For(i, index(size), (Store(result, (i,), value),), mode=Mode.VECTOR)
    return Program("f", tuple(operands), (result,), (), {}, (Kernel("map", (loop,)),))


@pytest.fixture
def compute(load_program):
    def run(primitive, result_dtype, *arrays, target=None):
        operand_dtypes = [dtypes.from_numpy(array.dtype) for array in arrays]
        program = program_of(primitive, result_dtype, *operand_dtypes, size=len(arrays[0]))
        (result,) = load_program(program, target)(*arrays)
        return result

    return run


def check(actual, expected, dtype):
    expected = expected.astype(dtype.numpy)
    np.testing.assert_array_equal(actual, expected)
    if dtype.is_float:
        known = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(actual[known]), np.signbit(expected[known]))


@pytest.mark.parametrize("dtype", ALL, ids=repr)
@pytest.mark.parametrize(
    ("primitive", "function"),
    [
        (Primitive.ADD, np.add),
        (Primitive.MUL, np.multiply),
        (Primitive.MAX, np.maximum),
        (Primitive.MIN, np.minimum),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_arithmetic(compute, primitive, function, dtype):
    x, y = pairs(dtype)
    with np.errstate(all="ignore"):
        expected = function(x, y)
    actual = compute(primitive, dtype, x, y)
    if dtype.is_float and primitive in (Primitive.MAX, Primitive.MIN):
        zeros = (x == 0) & (y == 0)
        least = np.signbit(x) & np.signbit(y) if primitive is Primitive.MAX else np.signbit(x) | np.signbit(y)
        expected[zeros] = np.where(least, -0.0, 0.0)[zeros]
    check(actual, expected, dtype)


@pytest.mark.parametrize("dtype", INTEGERS + FLOATS, ids=repr)
def test_subtraction_wraps(compute, dtype):
    x, y = pairs(dtype)
    with np.errstate(all="ignore"):
        check(compute(Primitive.SUB, dtype, x, y), x - y, dtype)


@pytest.mark.parametrize("dtype", FLOATS, ids=repr)
def test_division_of_floats(compute, dtype):
    x, y = pairs(dtype)
    with np.errstate(all="ignore"):
        check(compute(Primitive.DIV, dtype, x, y), x / y, dtype)


@pytest.mark.parametrize("dtype", INTEGERS, ids=repr)
def test_division_of_integers_truncates_toward_zero(compute, dtype):
    x, y = pairs(dtype)
    defined = (y != 0) & ~((x == np.iinfo(dtype.numpy).min) & (y == -1 if dtype.is_signed else False))
    x, y = np.ascontiguousarray(x[defined]), np.ascontiguousarray(y[defined])
    quotient = [int(abs(int(a)) // abs(int(b))) * (1 if (a < 0) == (b < 0) else -1) for a, b in zip(x, y, strict=True)]
    remainder = [int(a) - q * int(b) for a, b, q in zip(x, y, quotient, strict=True)]
    check(compute(Primitive.DIV, dtype, x, y), np.array(quotient, object), dtype)
    check(compute(Primitive.REM, dtype, x, y), np.array(remainder, object), dtype)


@pytest.mark.parametrize("dtype", ALL, ids=repr)
def test_comparisons(compute, dtype):
    x, y = pairs(dtype)
    functions = [np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal]
    order = [Primitive.EQ, Primitive.NE, Primitive.LT, Primitive.LE, Primitive.GT, Primitive.GE]
    assert set(order) == COMPARISONS
    for primitive, function in zip(order, functions, strict=True):
        check(compute(primitive, dtypes.bool_, x, y), function(x, y), dtypes.bool_)


@pytest.mark.parametrize("dtype", [dtypes.bool_, *INTEGERS], ids=repr)
def test_bitwise(compute, dtype):
    x, y = pairs(dtype)
    check(compute(Primitive.AND, dtype, x, y), x & y, dtype)
    check(compute(Primitive.OR, dtype, x, y), x | y, dtype)
    check(compute(Primitive.XOR, dtype, x, y), x ^ y, dtype)
    check(compute(Primitive.NOT, dtype, x), ~x, dtype)


@pytest.mark.parametrize("dtype", INTEGERS, ids=repr)
def test_shifts(compute, dtype):
    x, y = pairs(dtype)
    count = (y.astype(np.int64) % dtype.bits).astype(dtype.numpy)
    check(compute(Primitive.SHL, dtype, x, count), np.left_shift(x, count), dtype)
    check(compute(Primitive.SHR, dtype, x, count), np.right_shift(x, count), dtype)


@pytest.mark.parametrize("dtype", INTEGERS, ids=repr)
def test_bit_counts(compute, dtype):
    x = special_values(dtype)
    bits = [int(value) & ((1 << dtype.bits) - 1) for value in x]
    check(compute(Primitive.POPCOUNT, dtype, x), np.array([b.bit_count() for b in bits]), dtype)
    zeros = np.array([dtype.bits - b.bit_length() for b in bits])
    check(compute(Primitive.COUNT_LEADING_ZEROS, dtype, x), zeros, dtype)


@pytest.mark.parametrize("dtype", INTEGERS + FLOATS, ids=repr)
def test_sign_changes(compute, dtype):
    x = special_values(dtype)
    with np.errstate(all="ignore"):
        check(compute(Primitive.NEG, dtype, x), np.negative(x), dtype)
        check(compute(Primitive.ABS, dtype, x), np.abs(x), dtype)


ROUNDINGS = [
    (Primitive.FLOOR, np.floor),
    (Primitive.CEIL, np.ceil),
    (Primitive.TRUNC, np.trunc),
    (Primitive.ROUND_EVEN, np.rint),
]


@pytest.mark.parametrize("level", ["native", "x86-64"])
@pytest.mark.parametrize("dtype", FLOATS, ids=repr)
def test_rounding(compute, dtype, level):
    if not host().triple.startswith("x86_64"):
        pytest.skip("x86-64 levels run on x86-64 alone")
    x = special_values(dtype)
    for primitive, function in ROUNDINGS:
        check(compute(primitive, dtype, x, target=named(level)), function(x), dtype)


@pytest.mark.parametrize("dtype", FLOATS, ids=repr)
def test_square_root_and_sign(compute, dtype):
    x, y = pairs(dtype)
    with np.errstate(all="ignore"):
        check(compute(Primitive.SQRT, dtype, x), np.sqrt(x), dtype)
    check(compute(Primitive.COPYSIGN, dtype, x, y), np.copysign(x, y), dtype)


@pytest.mark.parametrize("dtype", FLOATS, ids=repr)
def test_fused_multiply_add_rounds_once(compute, dtype):
    if not host().has_fma:
        pytest.skip("this machine has no fused multiply-add")
    step = dtype.numpy.type(2.0 ** (-12 if dtype.bits == 32 else -27))
    x = np.full(9, 1 + step, dtype.numpy)
    actual = compute(Primitive.FMA, dtype, x, x, -np.ones(9, dtype.numpy) - 2 * step)
    np.testing.assert_array_equal(actual, np.full(9, step * step))


@pytest.mark.parametrize("target", [host(), named("x86-64")], ids=["host", "without-fma"])
@pytest.mark.parametrize("dtype", FLOATS, ids=repr)
def test_the_error_of_a_product_is_exact(compute, dtype, target):
    rng = np.random.default_rng(5)
    x, y = rng.uniform(-3, 3, (2, 100)).astype(dtype.numpy)
    errors = compute(Primitive.PRODUCT_ERROR, dtype, x, y, x * y, target=target)
    expected = [
        float(Fraction(float(a)) * Fraction(float(b)) - Fraction(float(a * b))) for a, b in zip(x, y, strict=True)
    ]
    np.testing.assert_array_equal(errors, expected)


@pytest.mark.parametrize("dtype", INTEGERS, ids=repr)
def test_multiply_add_of_integers(compute, dtype):
    x, y = pairs(dtype)
    check(compute(Primitive.FMA, dtype, x, y, y), x * y + y, dtype)


@pytest.mark.parametrize("dtype", ALL, ids=repr)
def test_select(compute, dtype):
    x, y = pairs(dtype)
    condition = np.arange(len(x)) % 3 == 0
    check(compute(Primitive.SELECT, dtype, condition, x, y), np.where(condition, x, y), dtype)


def converted(x, source, to):
    if to.is_bool:
        return x != 0
    if source.is_float and to.is_integer:
        info = np.iinfo(to.numpy)
        exact = [0 if math.isnan(v) else min(max(v, info.min), info.max) for v in x.tolist()]
        return np.array([int(v) for v in exact], object)
    with np.errstate(all="ignore"):
        return x.astype(to.numpy)


@pytest.mark.parametrize("source", ALL, ids=repr)
def test_conversions(compute, source):
    x = special_values(source)
    for to in ALL:
        check(compute(Primitive.CONVERT, to, x), converted(x, source, to), to)


def test_bitcasts_keep_the_bits(compute):
    for source in (*INTEGERS, *FLOATS):
        x = special_values(source)
        for to in (*INTEGERS, *FLOATS):
            if to.bits == source.bits:
                actual = compute(Primitive.BITCAST, to, x)
                np.testing.assert_array_equal(actual.view(np.uint8), x.view(np.uint8))


@pytest.mark.parametrize(
    ("primitive", "dtype"),
    [
        (Primitive.REM, dtypes.f32),
        (Primitive.DIV, dtypes.bool_),
        (Primitive.FLOOR, dtypes.i32),
        (Primitive.SHR, dtypes.bool_),
        (Primitive.NOT, dtypes.f64),
        (Primitive.SQRT, dtypes.i8),
    ],
)
def test_a_primitive_without_meaning_for_a_dtype_is_refused(primitive, dtype):
    x = Load(Buffer("x", dtype, ()), ())
    with pytest.raises(UnsupportedError, match=f"{primitive.value} has no meaning for {dtype.name}"):
        write_primitive(FunctionText(), host(), Apply(primitive, (x, x), dtype), ["%x", "%y"])
