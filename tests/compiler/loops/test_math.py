"""Scalar functions against NumPy in wider floats: errors in units of the last place, and special values."""

from __future__ import annotations

import math as python_math

import numpy as np
import pytest

from tenfold_rt import dtypes
from tenfoldc.loops import math
from tenfoldc.loops.evaluate import evaluate
from tenfoldc.loops.ir import Apply, Call, Local, Primitive
from tenfoldc.loops.math.definition import polynomial
from tenfoldc.loops.traversal import expressions

COUNT = 20_000


def uniform(low, high):
    return lambda rng, dtype: rng.uniform(low, high, COUNT)


def magnitudes(rng, dtype):
    """Positive numbers of every exponent, subnormal ones included."""
    limits = np.finfo(dtype.numpy)
    low, high = np.log(float(limits.smallest_subnormal)), np.log(float(limits.max))
    return np.exp(rng.uniform(low, high, COUNT))


def signed_magnitudes(rng, dtype):
    return magnitudes(rng, dtype) * rng.choice([-1.0, 1.0], COUNT)


def below(limit):
    """Numbers of every exponent up to that of `limit`."""
    return lambda rng, dtype: np.exp(rng.uniform(-80, np.log(limit), COUNT)) * rng.choice([-1.0, 1.0], COUNT)


def near_quarter_turns(rng, dtype):
    return np.pi / 2 * rng.integers(1, 4 * 10**7 if dtype == dtypes.f32 else 10**8, COUNT)


def logistic(x):
    return 1 / (1 + np.exp(-x))


def by_element(function):
    """A function of Python floats on an array, for what NumPy lacks; right to half an ulp of a double or so."""
    return lambda x: np.array([function(float(value)) for value in x])


def arguments_of_angles(rng, dtype):
    return signed_magnitudes(rng, dtype) if dtype == dtypes.f32 else below(2.0**51)(rng, dtype)


UNARY = [
    (math.exp, np.exp, (uniform(-103, 88), uniform(-744, 709)), (1.05, 1.1)),
    (math.exp, np.exp, (uniform(-1, 1), uniform(-1, 1)), (1.0, 1.1)),
    (math.expm1, np.expm1, (uniform(-20, 88), uniform(-40, 709)), (1.7, 2.0)),
    (math.expm1, np.expm1, (below(1), below(1)), (1.7, 2.0)),
    (math.log, np.log, (magnitudes, magnitudes), (1.0, 0.9)),
    (math.log, np.log, (uniform(0.5, 2), uniform(0.5, 2)), (1.0, 0.9)),
    (math.log1p, np.log1p, (magnitudes, magnitudes), (1.6, 1.5)),
    (math.log1p, np.log1p, (uniform(-1, 2), uniform(-1, 2)), (1.6, 1.5)),
    (math.log1p, np.log1p, (below(0.9), below(0.9)), (1.6, 1.5)),
    (math.tanh, np.tanh, (uniform(-10, 10), uniform(-20, 20)), (2.0, 2.0)),
    (math.tanh, np.tanh, (below(1), below(1)), (2.0, 2.0)),
    (math.logistic, logistic, (uniform(-87, 90), uniform(-700, 700)), (2.0, 2.0)),
    (math.sinh, np.sinh, (uniform(-89, 89), uniform(-710, 710)), (2.0, 2.0)),
    (math.sinh, np.sinh, (uniform(-2, 2), uniform(-2, 2)), (2.0, 2.0)),
    (math.cosh, np.cosh, (uniform(-89, 89), uniform(-710, 710)), (2.0, 2.0)),
    (math.asinh, np.arcsinh, (signed_magnitudes, signed_magnitudes), (0.51, 2.0)),
    (math.acosh, np.arccosh, (uniform(1, 9), uniform(1, 9)), (0.51, 2.0)),
    (math.atanh, np.arctanh, (uniform(-1, 1), uniform(-1, 1)), (0.51, 2.0)),
    (math.sin, np.sin, (uniform(-10, 10), uniform(-10, 10)), (1.5, 0.9)),
    (math.sin, np.sin, (near_quarter_turns, near_quarter_turns), (1.5, 0.9)),
    (math.sin, np.sin, (arguments_of_angles, arguments_of_angles), (1.5, 0.9)),
    (math.cos, np.cos, (uniform(-10, 10), uniform(-10, 10)), (1.5, 0.9)),
    (math.cos, np.cos, (near_quarter_turns, near_quarter_turns), (1.5, 0.9)),
    (math.cos, np.cos, (arguments_of_angles, arguments_of_angles), (1.5, 0.9)),
    (math.tan, np.tan, (uniform(-10, 10), uniform(-10, 10)), (0.51, 1.0)),
    (math.tan, np.tan, (near_quarter_turns, near_quarter_turns), (0.51, 1.0)),
    (math.tan, np.tan, (arguments_of_angles, arguments_of_angles), (0.51, 1.0)),
    (math.asin, np.arcsin, (uniform(-1, 1), uniform(-1, 1)), (0.51, 0.8)),
    (math.acos, np.arccos, (uniform(-1, 1), uniform(-1, 1)), (0.51, 0.8)),
    (math.atan, np.arctan, (signed_magnitudes, signed_magnitudes), (1.4, 1.5)),
    (math.atan, np.arctan, (uniform(-2, 2), uniform(-2, 2)), (1.4, 1.5)),
    (math.cbrt, np.cbrt, (signed_magnitudes, signed_magnitudes), (0.51, 0.9)),
    (math.erf, by_element(python_math.erf), (uniform(-4.5, 4.5), uniform(-6, 6)), (1.8, 2.0)),
    (math.erf, by_element(python_math.erf), (below(1), below(1)), (1.8, 2.0)),
    (math.erfc, by_element(python_math.erfc), (uniform(-4, 9), uniform(-6, 26.5)), (0.51, 3.0)),
]

BINARY = [
    (math.pow_, np.power, (magnitudes, uniform(-3, 3)), (0.51, 1.3)),
    (math.pow_, np.power, (uniform(0.9, 1.1), uniform(-500, 500)), (0.51, 1.3)),
    (math.atan2, np.arctan2, (uniform(-2, 2), uniform(-2, 2)), (1.4, 1.5)),
    (math.atan2, np.arctan2, (signed_magnitudes, uniform(-2, 2)), (1.4, 1.5)),
    (math.fmod, np.fmod, (signed_magnitudes, signed_magnitudes), (0.0, 0.0)),
    (math.fmod, np.fmod, (uniform(-20, 20), uniform(-3, 3)), (0.0, 0.0)),
]


def compute(function, *arrays):
    """`function` on arrays of one dtype."""
    dtype = dtypes.from_numpy(arrays[0].dtype)
    definition = function.definition(dtype)
    return evaluate(Call(definition, definition.parameters), dict(zip(definition.parameters, arrays, strict=True)))


def worst_error(actual, expected):
    """The largest error in units of the last place of `expected`, rounded to the dtype of `actual`."""
    with np.errstate(all="ignore"):
        rounded = expected.astype(actual.dtype)
        same = (actual == rounded) & np.isinf(rounded) | (np.isnan(actual) & np.isnan(rounded))
        unit = np.spacing(np.abs(rounded)).astype(np.longdouble)
        error = np.abs(actual.astype(np.longdouble) - expected) / unit
    return float(np.where(same, 0, np.where(np.isnan(error), np.inf, error)).max())


def check(function, reference, generators, dtype, bound):
    rng = np.random.default_rng(7)
    arrays = [np.asarray(generator(rng, dtype), np.float64).astype(dtype.numpy) for generator in generators]
    wide = np.float64 if dtype == dtypes.f32 else np.longdouble
    with np.errstate(all="ignore"):
        expected = np.asarray(reference(*(array.astype(wide) for array in arrays)))
    assert worst_error(compute(function, *arrays), expected) <= bound


@pytest.mark.parametrize("dtype", [dtypes.f32, dtypes.f64], ids=str)
@pytest.mark.parametrize(("function", "reference", "domain", "bounds"), UNARY, ids=lambda v: getattr(v, "name", ""))
def test_function_of_one_is_accurate(function, reference, domain, bounds, dtype):
    which = 0 if dtype == dtypes.f32 else 1
    check(function, reference, [domain[which]], dtype, bounds[which])


@pytest.mark.parametrize("dtype", [dtypes.f32, dtypes.f64], ids=str)
@pytest.mark.parametrize(("function", "reference", "domains", "bounds"), BINARY, ids=lambda v: getattr(v, "name", ""))
def test_function_of_two_is_accurate(function, reference, domains, bounds, dtype):
    check(function, reference, domains, dtype, bounds[0 if dtype == dtypes.f32 else 1])


@pytest.mark.parametrize("dtype", [dtypes.f32, dtypes.f64], ids=str)
def test_inverse_error_function_inverts(dtype):
    """erf_inv is within 4 ulp: the interval that erf maps to within that distance of x holds it."""
    rng = np.random.default_rng(3)
    y = np.concatenate([rng.uniform(-2.5, 2.5, 2000), rng.uniform(-1e-8, 1e-8, 200)])
    x = np.array([python_math.erf(value) for value in y]).astype(dtype.numpy)
    got = compute(math.erf_inv, x).astype(np.float64)
    slope = 2 / np.sqrt(np.pi) * np.exp(-got * got)
    miss = np.array([python_math.erf(value) for value in got]) - x
    rounding = np.spacing(np.abs(x)).astype(np.float64) if dtype == dtypes.f64 else 0
    allowed = slope * 3 * np.spacing(np.abs(got).astype(dtype.numpy)).astype(np.float64) + rounding
    assert (np.abs(miss) <= allowed).all()


SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -3.0, 4.5, np.inf, -np.inf, np.nan])
NUMPY_NAMES = {
    math.exp: np.exp, math.expm1: np.expm1, math.log: np.log, math.log1p: np.log1p, math.tanh: np.tanh,
    math.logistic: logistic, math.sinh: np.sinh, math.cosh: np.cosh, math.asinh: np.arcsinh, math.acosh: np.arccosh,
    math.atanh: np.arctanh, math.sin: np.sin, math.cos: np.cos, math.tan: np.tan, math.asin: np.arcsin,
    math.acos: np.arccos, math.atan: np.arctan, math.cbrt: np.cbrt, math.pow_: np.power, math.atan2: np.arctan2,
    math.fmod: np.fmod, math.erf: by_element(python_math.erf), math.erfc: by_element(python_math.erfc),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [dtypes.f32, dtypes.f64], ids=str)
@pytest.mark.parametrize("function", NUMPY_NAMES, ids=lambda function: function.name)
def test_special_values_are_numpys(function, dtype):
    limits = np.finfo(dtype.numpy)
    edges = [limits.smallest_subnormal, -limits.smallest_subnormal, limits.smallest_normal, 2.0**60]
    values = np.concatenate([SPECIAL, np.array(edges, np.float64)]).astype(dtype.numpy)
    values = np.append(values, [limits.max, -limits.max]).astype(dtype.numpy)
    arrays = [values]
    if function.arity == 2:
        arrays = [np.repeat(values, len(values)), np.tile(values, len(values))]
    with np.errstate(all="ignore"):
        expected = np.asarray(NUMPY_NAMES[function](*arrays)).astype(dtype.numpy)
    actual = compute(function, *arrays)
    assert worst_error(actual, expected.astype(np.longdouble)) <= 4
    zeros = expected == 0
    np.testing.assert_array_equal(np.signbit(actual[zeros]), np.signbit(expected[zeros]))


@pytest.mark.slow
@pytest.mark.parametrize("function", [f for f in NUMPY_NAMES if f.arity == 1], ids=lambda function: function.name)
def test_f32_functions_are_within_two_units_everywhere(function):
    """One in 4,099 of all f32, of every exponent and sign."""
    x = np.arange(0, 2**32, 4099, dtype=np.uint64).astype(np.uint32).view(np.float32)
    with np.errstate(all="ignore"):
        expected = np.asarray(NUMPY_NAMES[function](x.astype(np.float64)))
    assert worst_error(compute(function, x), expected) <= 2


def test_inverse_error_function_at_its_ends():
    x = np.array([0.0, -0.0, 1.0, -1.0, 1.5, -2.0, np.nan])
    got = compute(math.erf_inv, x)
    np.testing.assert_array_equal(got, [0.0, -0.0, np.inf, -np.inf, np.nan, np.nan, np.nan])
    assert list(np.signbit(got[:2])) == [False, True]


def test_every_f32_exponent_is_reduced_right():
    """16367173 * 2^72 is the f32 nearest to a multiple of pi/2, and 1e22 the usual test of reductions."""
    x = np.array([16367173 * 2.0**72, 1e22, 3.4028235e38, 2.0**52, 2.0**79, 2.0**106], np.float32)
    expected = np.sin(x.astype(np.float64))
    assert worst_error(compute(math.sin, x), expected.astype(np.longdouble)) <= 1.5


def test_every_f64_exponent_is_reduced_right():
    """6381956970095103 * 2^797 is the f64 nearest to a multiple of pi/2."""
    mpmath = pytest.importorskip("mpmath")
    x = np.ldexp(np.random.default_rng(2).uniform(-2, 2, 972), np.arange(52, 1024))
    x = np.append(x, [6381956970095103 * 2.0**797, 1e22, 2.0**52, -(2.0**100), np.finfo(np.float64).max])
    for function, exact in ((math.sin, mpmath.sin), (math.cos, mpmath.cos), (math.tan, mpmath.tan)):
        with mpmath.workprec(1400):
            references = [exact(mpmath.mpf(value)) for value in x]
            expected = np.array([np.longdouble(mpmath.nstr(value, 25)) for value in references])
        assert worst_error(compute(function, x), expected) <= 0.9


@pytest.mark.parametrize("function", [math.sin, math.cos, math.tan])
def test_infinite_angles_give_no_number(function):
    assert np.isnan(compute(function, np.array([np.inf, -np.inf]))).all()


def test_each_name_has_one_function():
    assert math.exp.definition(dtypes.f32) is math.exp.definition(dtypes.f32)
    assert math.exp.definition(dtypes.f64).name == "exp.f64"


@pytest.mark.parametrize(("terms", "squarings"), [(1, 0), (2, 0), (3, 0), (4, 1), (5, 1), (7, 1), (8, 2), (10, 2)])
def test_polynomials_take_few_powers(terms, squarings):
    """An odd term is joined to the one before it, where a pair of its own would take one more power of x."""
    root = polynomial(Local("x", dtypes.f32), [1.0] * terms)
    products = {part for part in expressions([root]) if isinstance(part, Apply) and part.primitive is Primitive.MUL}
    assert len(products) == squarings


def test_tanh_chooses_no_formula():
    """One formula holds everywhere: only operands are bounded, twice, and a quotient is computed once."""
    parts = expressions([math.tanh.definition(dtypes.f32).body])
    used = [part.primitive for part in parts if isinstance(part, Apply)]
    assert used.count(Primitive.SELECT) == 2
    assert used.count(Primitive.DIV) == 1


@pytest.mark.parametrize("dtype", [dtypes.f32, dtypes.f64])
def test_erf_divides_by_nothing(dtype):
    """A division takes a processor as long as some ten products."""
    pending, called = [math.erf(Local("x", dtype))], set()
    while pending:
        for expression in expressions([pending.pop()]):
            if isinstance(expression, Call) and expression.function not in called:
                called.add(expression.function)
                pending.append(expression.function.body)
            assert not (isinstance(expression, Apply) and expression.primitive is Primitive.DIV)
    assert called
