"""The interpreter agrees with JAX on exported programs, and with NumPy on control flow and calls."""

from __future__ import annotations

import exported
import numpy as np
import pytest
from hypothesis import given, settings
from strategies import programs

from tenfold.text.parser import parse
from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError
from tenfoldc import ops
from tenfoldc.interpret import interpret, interpret_region
from tenfoldc.ir.builder import Builder, build_region
from tenfoldc.ir.core import Function, Module
from tenfoldc.ir.types import Symbol, TensorType

CHAOTIC = "ode_nbody"
"""100 steps of 64 bodies turn one rounding into errors of 0.1, so JAX's answer is one of many."""


@pytest.mark.parametrize("name", [name for name in exported.WITH_ARRAYS if name != CHAOTIC])
def test_exported_program_gives_the_answers_of_jax(name: str) -> None:
    module = parse(exported.text(name), file=f"{name}.mlir")
    results = interpret(module, exported.arrays(name, "in"))
    for result, expected in zip(results, exported.arrays(name, "out"), strict=True):
        assert result.dtype == expected.dtype
        np.testing.assert_allclose(result, expected, rtol=2e-4, atol=2e-5)


def test_bodies_move_as_newton_says_over_three_steps() -> None:
    text = exported.text(CHAOTIC)
    assert text.count("dense<100>") == 1
    positions, velocities = exported.arrays(CHAOTIC, "in")
    results = interpret(parse(text.replace("dense<100>", "dense<3>")), [positions, velocities])
    x, v = positions.astype(np.float64), velocities.astype(np.float64)
    for _ in range(3):
        apart = x[None] - x[:, None]
        v = v + 0.01 * (apart * ((apart**2).sum(2) + 1e-3)[..., None] ** -1.5).sum(1)
        x = x + 0.01 * v
    np.testing.assert_allclose(results[0], x, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(results[1], v, rtol=1e-3, atol=1e-3)


@settings(deadline=None, max_examples=60)
@given(programs())
def test_random_program_gives_finite_numbers_of_the_declared_types(program) -> None:
    module, inputs = program
    for result, type_ in zip(interpret(module, inputs), module["main"].type.results, strict=True):
        assert (result.dtype, result.shape) == (type_.dtype.numpy, type_.sizes)
        assert np.isfinite(result).all()


def test_region_reads_values_from_around_it() -> None:
    builder = Builder()
    x = builder.parameter(TensorType(dtypes.i32))
    region = build_region([x.type], lambda y: (ops.multiply(y, y.builder.var(x.value)),))
    (result,) = interpret_region(region, [np.int32(5)], outside={x.value: np.array(7, np.int32)})
    assert result == 35


def test_call_runs_the_named_function() -> None:
    type_ = TensorType(dtypes.f32, (3,))
    inner = build_region([type_], lambda x: (ops.negate(x),))
    outer = Builder()
    x = outer.parameter(type_)
    body = outer.region([x], ops.call(outer, "flip", inner.type, [x]))
    module = Module({"main": Function("main", body), "flip": Function("flip", inner)})
    (result,) = interpret(module, [np.array([1, -2, 3], np.float32)])
    assert result.tolist() == [-1, 2, -3]


def test_array_of_another_dtype_is_refused() -> None:
    region = build_region([TensorType(dtypes.f32, (2,))], lambda x: (x,))
    with pytest.raises(ArgumentError, match=r"array 0 is float64\[2\], its parameter is f32\[2\]"):
        interpret(Module({"main": Function("main", region)}), [np.zeros(2)])


def test_one_symbol_is_one_size() -> None:
    type_ = TensorType(dtypes.f32, (Symbol("n"),))
    region = build_region([type_, type_], lambda x, y: (ops.add(x, y),))
    module = Module({"main": Function("main", region)})
    (result,) = interpret(module, [np.ones(3, np.float32), np.ones(3, np.float32)])
    assert result.tolist() == [2, 2, 2]
    with pytest.raises(ArgumentError, match="array 1"):
        interpret(module, [np.ones(3, np.float32), np.ones(4, np.float32)])
