"""Reductions: their reference, the bodies that are recognised, and their derivatives."""

from __future__ import annotations

import numpy as np
import pytest
from checking import apply_once, assert_same, check_derivatives, check_op, check_reference, distinct, evaluate

from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError, DTypeError, ShapeError, UnsupportedError
from tenfoldc import ops
from tenfoldc.ir.builder import Builder, build_region
from tenfoldc.ir.op import Site
from tenfoldc.ir.types import Symbol, TensorType
from tenfoldc.ops.comparison import Direction
from tenfoldc.ops.reducer import Reducer, body_of, neutral_values, recognise

CASES = [
    ((), ()),
    ((1,), (0,)),
    ((7,), (0,)),
    ((0,), (0,)),
    ((2, 3), (1,)),
    ((2, 3), (0, 1)),
    ((2, 3), ()),
    ((3, 0, 2), (1,)),
    ((3, 0, 2), (0,)),
    ((2, 5, 3), (2, 0)),
    ((13, 2), (0,)),
]
BOUNDS = {ops.reduce_max: (np.max, -np.inf), ops.reduce_min: (np.min, np.inf)}


def symbolic(*shape):
    return Builder().parameter(TensorType(dtypes.f32, shape))


@pytest.mark.parametrize(("shape", "dimensions"), CASES)
def test_reduce_sum(shape, dimensions, rng):
    x = rng.standard_normal(shape)
    check_op(lambda x: ops.reduce_sum(x, dimensions), [x], np.asarray(x.sum(dimensions)), rng=rng)


@pytest.mark.parametrize(("shape", "dimensions"), CASES)
def test_reduce_prod(shape, dimensions, rng):
    x = rng.uniform(0.5, 1.5, shape)
    check_op(lambda x: ops.reduce_prod(x, dimensions), [x], np.asarray(x.prod(dimensions)), rng=rng)


@pytest.mark.parametrize("reduce", [ops.reduce_max, ops.reduce_min])
@pytest.mark.parametrize(("shape", "dimensions"), CASES)
def test_reduce_max_and_min(reduce, shape, dimensions, rng):
    x = distinct(rng, shape)
    function, initial = BOUNDS[reduce]
    expected = np.asarray(function(x, axis=dimensions, initial=initial))
    application = apply_once(lambda x: reduce(x, dimensions), [x])
    check_reference(application, expected)
    if np.isfinite(expected).all():
        check_derivatives(_with_finite_init(application), rng)


def _with_finite_init(application):
    """Finite differences need a number; this one is never chosen."""
    x, init = application.arrays
    return type(application)(application.operation, (x, np.asarray(np.clip(init, -1e3, 1e3))))


@pytest.mark.parametrize("reduce", [ops.reduce_max, ops.reduce_min])
def test_batched_maximum(reduce, rng):
    check_op(lambda x: reduce(x, (0,)), [rng.integers(-9, 9, (5, 3)).astype(np.int16)], rng=rng)


@pytest.mark.parametrize("x", [[0.0, 2.0, 3.0], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0], [2.0, 0.0, 3.0, 5.0, -7.0]])
def test_product_has_a_gradient_at_zeros(x, rng):
    check_op(lambda x: ops.reduce_prod(x, (0,)), [np.array(x)], np.asarray(np.prod(x)), rng=rng)


def gradient(build, x):
    """The vjp of the last operation of `build` by its first operand, with cotangents of ones."""

    def program(x):
        build(x)
        operation = x.builder.operations[-1]
        operands, results = (tuple(map(x.builder.var, of)) for of in (operation.operands, operation.results))
        site = Site(operands, operation.attributes, operation.regions, results)
        return operation.op.vjp_rule(site, [ops.ones_like(results[0])] + [None] * (len(results) - 1))[0]

    return evaluate(program, np.asarray(x))[0]


def test_equal_maxima_share_the_gradient():
    assert_same(gradient(lambda x: ops.reduce_max(x, (0,)), [3.0, 1.0, 3.0, 3.0]), np.array([1, 0, 1, 1]) / 3)


def test_a_maximum_of_nan_sends_its_gradient_to_the_nan():
    assert_same(gradient(lambda x: ops.reduce_max(x, (0,)), [3.0, np.nan, 5.0]), np.array([0.0, 1.0, 0.0]))


def test_maxima_of_minus_infinity_keep_their_gradient():
    assert_same(gradient(lambda x: ops.reduce_max(x, (0,)), [-np.inf, -np.inf]), np.array([0.5, 0.5]))


def test_an_initial_value_that_wins_has_the_gradient(rng):
    check_op(
        lambda x, init: ops.reduce([x], [init], (1,), body_of(Reducer.MAX)),
        [np.array([[1.0, 2.0], [7.0, 8.0]]), np.array(5.0)],
        np.array([5.0, 8.0]),
        rng=rng,
    )


@pytest.mark.parametrize("reducer", [Reducer.SUM, Reducer.PRODUCT, Reducer.MIN])
def test_initial_values_take_part(reducer, rng):
    x, init = distinct(rng, (3, 5)), np.array(0.7)
    check_op(lambda x, init: ops.reduce([x], [init], (0,), body_of(reducer)), [x, init], rng=rng)


def test_sum_of_bools_is_or_and_product_is_and():
    x = np.array([[True, False], [False, False], [True, True]])
    assert_same(evaluate(lambda x: ops.reduce_sum(x, (1,)), x)[0], x.any(1))
    assert_same(evaluate(lambda x: ops.reduce_prod(x, (1,)), x)[0], x.all(1))


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.uint32])
def test_bitwise_reductions(dtype, rng):
    x = rng.integers(0, 100, (5, 3)).astype(dtype)
    check_op(lambda x: ops.reduce_and(x, (0,)), [x], np.bitwise_and.reduce(x), rng=rng)
    check_op(lambda x: ops.reduce_or(x, (0,)), [x], np.bitwise_or.reduce(x), rng=rng)


def test_integer_sums_wrap():
    assert evaluate(lambda x: ops.reduce_sum(x, (0,)), np.full(3, 100, np.int8))[0] == np.int8(44)


def test_long_sums_in_f32_are_pairwise():
    x = np.full(1_000_003, 0.1, np.float32)
    total = evaluate(lambda x: ops.reduce_sum(x, (0,)), x)[0]
    assert abs(float(total) / (1_000_003 * float(np.float32(0.1))) - 1) < 1e-6


# argmax and argmin


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int8, np.uint64, np.bool_])
def test_argmax_and_argmin_take_the_first_of_equals(dtype, rng):
    x = rng.integers(0, 4, (5, 7, 3)).astype(dtype)
    assert_same(evaluate(lambda x: ops.argmax(x, 1), x)[0], x.argmax(1).astype(np.int32))
    assert_same(evaluate(lambda x: ops.argmin(x, 1, dtypes.i64), x)[0], x.argmin(1))


def test_argmax_takes_the_first_nan():
    x = np.array([1.0, np.nan, 5.0, np.nan])
    assert evaluate(lambda x: ops.argmax(x, 0), x)[0] == 1
    assert evaluate(lambda x: ops.argmin(x, 0), x)[0] == 1


def test_argmax_of_minus_infinities_is_0():
    assert evaluate(lambda x: ops.argmax(x, 0), np.full(3, -np.inf))[0] == 0


@pytest.mark.parametrize("length", [127, 128, 32767, 32768])
def test_places_fit_the_integers_that_they_are_found_in(length):
    x = np.zeros(length, np.int8)
    x[-1] = 1
    assert evaluate(lambda x: ops.argmax(x, 0, dtypes.i64), x)[0] == length - 1


def test_argmax_of_nothing_is_refused():
    with pytest.raises(ShapeError, match="no element to choose"):
        ops.argmax(symbolic(3, 0), 1)


@pytest.mark.parametrize("reducer", [Reducer.ARGMAX, Reducer.ARGMIN])
@pytest.mark.parametrize("dimension", [0, 1])
def test_the_value_of_an_argmax_has_a_gradient(reducer, dimension, rng):
    x = distinct(rng, (3, 5))

    def build(x, value, index):
        indices = ops.iota(x.builder, x.type.with_dtype(dtypes.i32), dimension)
        return ops.reduce([x, indices], [value, index], [dimension], body_of(reducer))

    worst = np.array(-9.0 if reducer is Reducer.ARGMAX else 9.0)
    expected = [
        x.max(dimension) if reducer is Reducer.ARGMAX else x.min(dimension),
        (x.argmax(dimension) if reducer is Reducer.ARGMAX else x.argmin(dimension)).astype(np.int32),
    ]
    check_op(build, [x, worst, np.int32(0)], expected, rng=rng, batch=False)


def test_batched_argmax(rng):
    x = distinct(rng, (4, 3)).astype(np.float32)
    indices = np.broadcast_to(np.arange(3, dtype=np.int32), (4, 3))
    check_op(
        lambda x, i, *inits: ops.reduce([x, i], inits, [1], body_of(Reducer.ARGMAX)),
        [x, indices, np.float32(-np.inf), np.int32(0)],
        [x.max(1), x.argmax(1).astype(np.int32)],
        rng=rng,
    )


# Any body


def affine(scale_x, shift_x, scale_y, shift_y):
    """Composition of x -> scale * x + shift: associative, and the order matters."""
    return [ops.multiply(scale_x, scale_y), ops.add(ops.multiply(shift_x, scale_y), shift_y)]


@pytest.mark.parametrize("length", [0, 1, 2, 5, 8])
def test_any_associative_body_in_order(length, rng):
    scale, shift = rng.uniform(0.5, 1.5, (3, length)), rng.standard_normal((3, length))
    expected = [np.ones(3), np.zeros(3)]
    for n in range(length):
        expected = [expected[0] * scale[:, n], expected[1] * scale[:, n] + shift[:, n]]
    application = apply_once(
        lambda *of: ops.reduce(of[:2], of[2:], [1], affine), [scale, shift, np.array(1.0), np.array(0.0)]
    )
    check_reference(application, expected)


def test_a_body_may_ignore_its_arguments():
    def always(x, y):
        return [ops.constant(x.builder, 4.0)]

    found = evaluate(lambda x, init: ops.reduce([x], [init], [0], always), np.ones((3, 2)), np.array(0.0))[0]
    assert_same(found, np.array([4.0, 4.0]))


def test_an_unknown_body_has_no_derivative(rng):
    application = apply_once(
        lambda *of: ops.reduce(of[:2], of[2:], [0], affine), [np.ones(3), np.ones(3), np.ones(()), np.ones(())]
    )
    with pytest.raises(UnsupportedError, match="no derivative for the body of multiply, multiply, add"):
        check_derivatives(application, rng)


# recognise


def region(body, *dtypes_):
    scalars = [TensorType(dtype) for dtype in dtypes_]
    return build_region([*scalars, *scalars], body)


@pytest.mark.parametrize("reducer", list(Reducer))
def test_every_known_body_is_recognised(reducer):
    paired = reducer in (Reducer.ARGMAX, Reducer.ARGMIN)
    assert recognise(region(body_of(reducer), *([dtypes.i32, dtypes.i64] if paired else [dtypes.i32]))) is reducer


@pytest.mark.parametrize(
    ("reducer", "meaning"),
    [
        (Reducer.SUM, Reducer.OR),
        (Reducer.MAX, Reducer.OR),
        (Reducer.PRODUCT, Reducer.AND),
        (Reducer.MIN, Reducer.AND),
        (Reducer.AND, Reducer.AND),
    ],
)
def test_bodies_on_bools_are_logical(reducer, meaning):
    assert recognise(region(body_of(reducer), dtypes.bool_)) is meaning


def test_the_order_of_commuting_operands_does_not_matter():
    assert recognise(region(lambda x, y: [ops.add(y, x)], dtypes.f32)) is Reducer.SUM


def test_a_mirrored_comparison_is_the_same():
    def body(x, i, y, j):
        takes_x = ops.or_(ops.compare(x, x, Direction.NE), ops.compare(y, x, Direction.LT))
        tied = ops.and_(ops.compare(j, i, Direction.GT), ops.compare(y, x, Direction.EQ))
        return [ops.select(takes_x, x, y), ops.select(ops.or_(tied, takes_x), i, j)]

    assert recognise(region(body, dtypes.f32, dtypes.i32)) is Reducer.ARGMAX


def without_nan(x, i, y, j):
    takes_x = ops.compare(x, y, Direction.GT)
    tied = ops.and_(ops.compare(x, y, Direction.EQ), ops.compare(i, j, Direction.LT))
    return [ops.select(takes_x, x, y), ops.select(ops.or_(takes_x, tied), i, j)]


def test_integers_need_no_test_for_nan():
    assert recognise(region(without_nan, dtypes.i32, dtypes.i32)) is Reducer.ARGMAX
    assert recognise(region(without_nan, dtypes.f32, dtypes.i32)) is None


@pytest.mark.parametrize(
    "body",
    [
        lambda x, y: [ops.subtract(x, y)],
        lambda x, y: [ops.add(x, x)],
        lambda x, y: [x],
        lambda x, y: [ops.add(ops.add(x, y), y)],
    ],
)
def test_other_bodies_are_not_recognised(body):
    assert recognise(region(body, dtypes.f32)) is None


def test_a_body_that_uses_a_value_from_outside_is_not_recognised():
    outside = symbolic()
    inner = build_region(
        [TensorType(dtypes.f32)] * 2, lambda x, y: [ops.add(x, x.builder.var(outside.value))], like=outside.builder
    )
    assert recognise(inner) is None


@pytest.mark.parametrize("reducer", list(Reducer))
@pytest.mark.parametrize("dtype", [dtypes.bool_, dtypes.i8, dtypes.u8, dtypes.f32])
def test_neutral_values_change_nothing(reducer, dtype):
    if dtype.is_float and reducer in (Reducer.AND, Reducer.OR):
        return
    values = {"b": [False, True], "i": [-128, -1, 0, 127], "u": [0, 255], "f": [-np.inf, 0, np.inf]}
    x = np.array(values[dtype.numpy.kind], dtype.numpy)
    arrays = [x, np.full(x.shape, 3, np.int32)] if reducer.value.startswith("arg") else [x]
    types = [TensorType(dtypes.from_numpy(array.dtype)) for array in arrays]
    neutral = [
        np.full(x.shape, value, array.dtype)
        for value, array in zip(neutral_values(reducer, types), arrays, strict=True)
    ]
    found = evaluate(lambda *of: body_of(reducer)(*of), *arrays, *neutral)
    assert_same(found[0], x)


# Types


def test_reduce_drops_axes_and_carries_symbols():
    n = Symbol("n")
    assert ops.reduce_sum(symbolic(n, 3, 4), (1,)).shape == (n, 4)
    assert ops.reduce_sum(symbolic(3, n), (1,)).shape == (3,)


def test_reduce_refuses_a_missing_axis():
    with pytest.raises(ArgumentError, match="axis 2, but the rank is 2"):
        ops.reduce_sum(symbolic(2, 3), (2,))


def test_reduce_refuses_an_initial_value_of_another_type():
    x = symbolic(2)
    with pytest.raises(DTypeError, match=r"initial value 0 is i32\[\], needs f32\[\]"):
        ops.reduce([x], [ops.constant(x.builder, 0, dtypes.i32)], (0,), body_of(Reducer.SUM))


def test_reduce_refuses_a_body_of_another_type():
    x = symbolic(2)
    with pytest.raises(ShapeError, match=r"the body has type \(f32\[\], f32\[\]\) -> \(bool\[\]\)"):
        ops.reduce([x], [ops.constant(x.builder, 0, dtypes.f32)], (0,), lambda x, y: [ops.compare(x, y, Direction.LT)])
