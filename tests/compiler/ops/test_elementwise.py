"""Every elementwise record: the element rule against the reference, the derivatives against finite differences."""

from __future__ import annotations

import itertools

import checking
import ml_dtypes
import numpy as np
import pytest

from tenfold_rt import dtypes
from tenfold_rt.errors import DTypeError, ShapeError
from tenfoldc import ops
from tenfoldc.ir.builder import Builder
from tenfoldc.ir.core import NO_ATTRIBUTES
from tenfoldc.ir.op import OPS
from tenfoldc.ir.types import Symbol, TensorType
from tenfoldc.loops import scalar
from tenfoldc.loops.evaluate import evaluate
from tenfoldc.loops.ir import Local
from tenfoldc.ops.comparison import CompareAttributes, CompareType, Direction
from tenfoldc.ops.conversion import ConvertAttributes
from tenfoldc.ops.elementwise import FLOATS, UNARY_NAMES, Elementwise
from tenfoldc.ops.gamma import PolygammaAttributes

RECORDS = [op for _, op in sorted(OPS.items()) if isinstance(op, Elementwise)]
DIFFERENTIABLE = [record for record in RECORDS if record.differentiable]
ANGLES = (ops.SINE, ops.COSINE, ops.TAN)
ANGLE_LIMIT = 2.0**52
GAMMAS = (ops.LGAMMA, ops.DIGAMMA, ops.POLYGAMMA)


def by_name(record):
    return record.mnemonic


def attributes_of(record, dtype):
    """Every choice of attributes that the record has for operands of `dtype`."""
    if record is ops.COMPARE:
        kinds = [None, CompareType.TOTALORDER] if dtype.is_float else [None]
        return [CompareAttributes(direction, kind) for direction in Direction for kind in kinds]
    if record is ops.CONVERT:
        return [ConvertAttributes(target) for target in record.dtypes if target != dtype and converts(dtype, target)]
    if record is ops.POLYGAMMA:
        return [PolygammaAttributes(order) for order in (1, 2, 3)]
    return [NO_ATTRIBUTES]


def converts(source, target):
    """Whether an element rule is ever asked for the conversion: those of 16-bit floats go through f32."""
    return not target.is_half or source in (dtypes.f32, dtypes.f64)


def special_values(dtype, few):
    """Numbers where rules go wrong: zeros, units, halves, extremes, NaN."""
    numpy = dtype.numpy
    if dtype.is_bool:
        return np.array([False, True])
    if dtype.is_integer:
        limits = np.iinfo(numpy)
        around_zero = [0, 1, 2, 3, 5, 7, 8, 31, 33, 100, -1, -2, -3, -8]
        wanted = [*around_zero, limits.max, limits.max - 1, limits.min, limits.min + 1]
        kept = sorted({value for value in wanted if limits.min <= value <= limits.max})
        return np.array(kept[:: 3 if few else 1], numpy)
    limits = ml_dtypes.finfo(numpy)
    wanted = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.5, -2.5, np.inf, -np.inf, np.nan]
    extremes = [limits.max, -limits.max, limits.smallest_subnormal, limits.smallest_normal]
    edges = [*map(float, extremes), 0.49999997, 3.7, 130.0, -130.0]
    more = [-129.0, 2.0**31, 2.0**63, -(2.0**31), 1e-5, 0.7, -0.3, 88.0, np.pi]
    with np.errstate(over="ignore"):
        return np.array(wanted if few else wanted + edges + more, np.float64).astype(numpy)


def operands_for(record, dtype):
    """All combinations of special values."""
    kinds = [dtype] * record.arity
    if record is ops.SELECT:
        kinds[0] = dtypes.bool_
    values = [special_values(kind, record.arity == 3) for kind in kinds]
    if record in ANGLES and dtype == dtypes.f64:
        values = [x[~(np.abs(x) >= ANGLE_LIMIT) | np.isinf(x)] for x in values]
    if record is ops.POLYGAMMA:
        values = [x[np.abs(x) > 1e-9] for x in values]
    return [np.array(column) for column in zip(*itertools.product(*values), strict=True)]


def same_to_ulps(actual, expected, bound):
    """Equal, NaN with NaN, or for finite floats within `bound` units of the last place."""
    if actual.dtype == dtypes.bf16.numpy:
        return same_to_ulps(actual.astype(np.float32), expected.astype(np.float32), 0)
    if actual.dtype.kind != "f":
        return actual == expected
    with np.errstate(all="ignore"):
        near = np.abs(actual - expected) <= bound * np.spacing(np.abs(expected))
    zeros_agree = (expected != 0) | (np.signbit(actual) == np.signbit(expected))
    return ((actual == expected) & zeros_agree) | (np.isnan(actual) & np.isnan(expected)) | (near & (expected != 0))


@pytest.mark.parametrize(
    ("record", "dtype"),
    [(record, dtype) for record in RECORDS for dtype in record.dtypes if record.on_bits or not dtype.is_half],
    ids=lambda value: value.mnemonic if isinstance(value, Elementwise) else value.name,
)
def test_element_rule_computes_the_reference(record, dtype):
    arrays = operands_for(record, dtype)
    for attributes in attributes_of(record, dtype):
        (expected,) = record.reference(arrays, attributes, ())
        locals_ = [
            Local(name, dtypes.from_numpy(a.dtype)) for name, a in zip(record.operand_names, arrays, strict=True)
        ]
        result = dtypes.from_numpy(expected.dtype)
        expr = record.scalar(locals_, result, attributes)
        assert expr.dtype == result
        actual = evaluate(expr, dict(zip(locals_, arrays, strict=True)))
        if record in GAMMAS:
            np.testing.assert_allclose(actual, expected, rtol=1e-12 if dtype == dtypes.f64 else 1e-6, atol=1e-14)
            continue
        wrong = ~same_to_ulps(actual, expected, 5)
        found = [tuple(array[wrong][:1]) for array in (*arrays, actual, expected)]
        assert not wrong.any(), f"operands, element rule, reference with {attributes}: {found}"


@pytest.mark.parametrize("record", RECORDS, ids=by_name)
def test_reference_has_the_inferred_type(record):
    dtype = record.dtypes[-1]
    for attributes in attributes_of(record, dtype):
        for shape in [(), (0, 3), (2, 3)]:
            arrays = [np.ones(shape, dtype.numpy) for _ in range(record.arity)]
            if record is ops.SELECT:
                arrays[0] = arrays[0] != 0
            (type_,) = record.infer([checking.type_of(array) for array in arrays], attributes, ())
            (result,) = record.reference(arrays, attributes, ())
            assert checking.type_of(result) == type_


def missing_rules(record):
    """The rules that an elementwise record ought to have and has not."""
    wanted = {"batch": record.batch_rule, "element": record.element}
    if record.differentiable:
        wanted |= {"jvp": record.jvp_rule, "vjp": record.vjp_rule}
    return [name for name, rule in wanted.items() if rule is None]


@pytest.mark.parametrize("record", RECORDS, ids=by_name)
def test_record_is_complete(record):
    assert missing_rules(record) == [], record.name


def test_a_record_without_partials_is_found():
    record = Elementwise(
        "chlo.test_without_partials",
        operand_names=UNARY_NAMES,
        dtypes=FLOATS,
        reference=lambda arrays, _: arrays[0],
        scalar=lambda operands, _dtype, _attributes: operands[0],
    )
    del OPS[record.name]
    assert missing_rules(record) == ["jvp", "vjp"]


def smooth_operands(record, rng, shape):
    arrays = [rng.uniform(low, high, shape) for low, high in record.domain]
    if record is ops.SELECT:
        arrays[0] = arrays[0] > 0
    return arrays


def application(record, arrays):
    attributes = ConvertAttributes(dtypes.f32) if record is ops.CONVERT else attributes_of(record, dtypes.f64)[0]
    return checking.apply_once(lambda *operands: record.apply_one(*operands, attributes=attributes), arrays)


@pytest.mark.parametrize("record", DIFFERENTIABLE, ids=by_name)
def test_derivatives_are_those_of_finite_differences(record):
    rng = np.random.default_rng(5)
    if record is ops.NEXT_AFTER:
        pytest.skip("a step of one ulp has no finite difference")
    checking.check_derivatives(application(record, smooth_operands(record, rng, (3, 4))), rng)


@pytest.mark.parametrize("record", RECORDS, ids=by_name)
@pytest.mark.parametrize("shape", [(), (2, 3), (0,)], ids=str)
def test_batching_is_a_loop(record, shape):
    rng = np.random.default_rng(6)
    if dtypes.f64 in record.dtypes:
        arrays = smooth_operands(record, rng, shape)
    else:
        arrays = [rng.integers(0, 9, shape).astype(record.dtypes[-1].numpy) for _ in range(record.arity)]
    checking.check_batching(application(record, [np.asarray(array) for array in arrays]), rng)


@pytest.mark.parametrize(
    "build",
    [
        lambda p, x, y: ops.select(p, x, y),
        lambda p, x, y: ops.select(ops.compare(p, p, Direction.NE), x, y),
    ],
)
def test_select_takes_a_predicate_for_all(build):
    rng = np.random.default_rng(8)
    x, y = rng.standard_normal((2, 3, 2))
    checking.check_op(build, [np.array(True), x, y], rng=rng)


def test_clamp_takes_bounds_for_all():
    rng = np.random.default_rng(9)
    x = np.array([[-3.0, 0.25, 0.5], [2.0, -0.75, 9.0]])
    checking.check_op(ops.clamp, [np.array(-1.0), x, np.array(1.0)], np.clip(x, -1, 1), rng=rng)
    checking.check_op(ops.clamp, [np.array(-1.0), x, np.full((2, 3), 1.0)], np.clip(x, -1, 1), rng=rng)


def test_clamp_gives_the_upper_bound_where_bounds_cross():
    x = np.array([-1.0, 2.0, 9.0])
    (result,) = checking.evaluate(ops.clamp, np.full(3, 5.0), x, np.full(3, 1.0))
    np.testing.assert_array_equal(result, [1.0, 1.0, 1.0])


def gradient(build, *arrays):
    """Cotangents of the operands for a cotangent of ones, through the last operation's rule."""
    found = checking.apply_once(build, arrays)
    (result,) = found.results()
    return checking._apply_vjp(found, {0: np.ones_like(result)})


@pytest.mark.parametrize("build", [ops.maximum, ops.minimum])
def test_extrema_split_the_gradient_of_ties(build):
    gradients = gradient(build, np.array([1.0, 2.0]), np.array([1.0, 2.0]))
    np.testing.assert_array_equal(gradients, [[0.5, 0.5], [0.5, 0.5]])


def test_gradient_of_abs_is_zero_at_zero():
    np.testing.assert_array_equal(gradient(ops.abs_, np.array([-2.0, 0.0, 3.0])), [[-1.0, 0.0, 1.0]])


def test_gradient_of_clamp_reaches_its_ends():
    low, middle, high = gradient(ops.clamp, np.zeros(3), np.array([0.0, 1.0, 2.0]), np.ones(3))
    np.testing.assert_array_equal([low, middle, high], [[0, 0, 0], [1, 1, 0], [0, 0, 1]])


def test_gradient_of_power_at_zero_is_finite():
    base, exponent = gradient(ops.power, np.array([0.0, 0.0, 0.0]), np.array([2.0, 1.0, 0.0]))
    np.testing.assert_array_equal(base, [0.0, 1.0, 0.0])
    np.testing.assert_array_equal(exponent, [0.0, 0.0, 0.0])


def i8(*values):
    return np.array(values, np.int8)


BITS_OF_MINUS_128 = i8(-128, -128, 64)
INTEGER_CASES = {
    "sum of bools": (ops.add, [True, True, False], [True, False, False], [True, True, False]),
    "product of bools": (ops.multiply, [True, True], [True, False], [True, False]),
    "signed quotient": (ops.divide, i8(7, -7, -128, 5), i8(-2, 2, -1, 0), [-3, -3, -128, -1]),
    "unsigned quotient": (ops.divide, np.array([7, 5], np.uint8), np.array([2, 0], np.uint8), [3, 255]),
    "remainder": (ops.remainder, i8(7, -7, -128, 5), i8(-2, 2, -1, 0), [1, -1, 0, 5]),
    "left shift": (ops.shift_left, i8(1, 1, 1), i8(7, 8, -1), [-128, 0, 0]),
    "arithmetic shift": (ops.shift_right_arithmetic, BITS_OF_MINUS_128, i8(7, 100, -1), [-1, -1, 0]),
    "logical shift": (ops.shift_right_logical, BITS_OF_MINUS_128, i8(7, 8, -1), [1, 0, 0]),
    "power": (ops.power, i8(3, -1, 1, 2, 0, 2), i8(4, -3, -9, -1, -2, 40), [81, -1, 1, 0, 0, 0]),
}


@pytest.mark.parametrize("case", INTEGER_CASES)
def test_integer_semantics(case):
    build, x, y, expected = INTEGER_CASES[case]
    (result,) = checking.evaluate(build, np.asarray(x), np.asarray(y))
    np.testing.assert_array_equal(result, expected)


def test_rounding_away_from_zero():
    x = np.array([0.5, -0.5, 1.5, 2.5, -2.5, 0.49999999999999994, -0.0, 2.0**52 + 1])
    (result,) = checking.evaluate(ops.round_nearest_afz, x)
    np.testing.assert_array_equal(result, [1, -1, 2, 3, -3, 0, -0.0, 2.0**52 + 1])


def test_total_order_sorts_all_floats():
    x = np.array([-np.nan, -np.inf, -1.0, -0.0, 0.0, 1.0, np.inf, np.nan], np.float32)
    x[0] = np.copysign(np.float32(np.nan), np.float32(-1))
    (result,) = checking.evaluate(lambda a, b: ops.compare(a, b, Direction.LT, CompareType.TOTALORDER), x[:-1], x[1:])
    assert result.all()


def test_bitcast_adds_and_removes_an_axis():
    rng = np.random.default_rng(2)
    x = rng.standard_normal((2, 3)).astype(np.float32)
    checking.check_op(lambda v: ops.bitcast_convert(v, dtypes.u8), [x], x[..., np.newaxis].view(np.uint8), rng=rng)
    parts = rng.integers(0, 2**16, (2, 2), np.uint16)
    checking.check_op(lambda v: ops.bitcast_convert(v, dtypes.f32), [parts], parts.view(np.float32)[:, 0], rng=rng)
    checking.check_op(lambda v: ops.bitcast_convert(v, dtypes.i32), [x], x.view(np.int32), rng=rng)


# Type rules


def infer(record, *types, attributes=NO_ATTRIBUTES):
    return record.infer(list(types), attributes, ())


def test_symbolic_sizes_must_be_the_same_symbol():
    n, m = Symbol("n"), Symbol("m")
    assert infer(ops.ADD, TensorType(dtypes.f32, (n,)), TensorType(dtypes.f32, (n,))) == (TensorType(dtypes.f32, (n,)),)
    with pytest.raises(ShapeError, match=r"add: shapes differ, f32\[n\] \(lhs\) and f32\[m\] \(rhs\)"):
        infer(ops.ADD, TensorType(dtypes.f32, (n,)), TensorType(dtypes.f32, (m,)))


def test_element_types_must_agree():
    with pytest.raises(DTypeError, match=r"multiply: element types differ, f32\[2\] \(lhs\) and i32\[2\] \(rhs\)"):
        infer(ops.MULTIPLY, TensorType(dtypes.f32, (2,)), TensorType(dtypes.i32, (2,)))


def test_element_types_that_an_op_does_not_take_are_named():
    with pytest.raises(DTypeError, match=r"sine: i32\[\] \(operand\) .*convert to one of f16, bf16, f32, f64"):
        infer(ops.SINE, TensorType(dtypes.i32))


def test_numbers_of_operands_are_checked():
    with pytest.raises(ShapeError, match="add: takes 2 operands, got 1"):
        infer(ops.ADD, TensorType(dtypes.f32))


def test_select_wants_a_bool():
    with pytest.raises(DTypeError, match=r"select: f32\[\] \(pred\) is not bool"):
        infer(ops.SELECT, *[TensorType(dtypes.f32)] * 3)


def test_compare_type_must_fit():
    with pytest.raises(DTypeError, match="compare: FLOAT does not compare i32"):
        infer(ops.COMPARE, *[TensorType(dtypes.i32)] * 2, attributes=CompareAttributes(Direction.EQ, CompareType.FLOAT))


def test_clamp_checks_bounds_of_full_rank():
    with pytest.raises(ShapeError, match=r"clamp: shapes differ, f32\[3\] \(min\) and f32\[2\] \(operand\)"):
        infer(ops.CLAMP, TensorType(dtypes.f32, (3,)), TensorType(dtypes.f32, (2,)), TensorType(dtypes.f32))


def test_bitcast_wants_the_axis_that_it_consumes():
    parts = Builder().parameter(TensorType(dtypes.u8, (3,)))
    with pytest.raises(ShapeError, match="needs a last axis of size 4 to become f32"):
        ops.bitcast_convert(parts, dtypes.f32)


def test_element_rules_read_rank_zero_operands_without_an_index():
    asked = []

    def read(operand, index):
        asked.append((operand, len(index)))
        return Local(f"x{operand}", dtypes.bool_ if operand == 0 else dtypes.f32)

    types = [TensorType(dtypes.bool_), TensorType(dtypes.f32, (4,)), TensorType(dtypes.f32, (4,))]
    ops.SELECT.element(NO_ATTRIBUTES, types, types[1], [scalar.index(0)], read)
    assert asked == [(0, 0), (1, 1), (2, 1)]
