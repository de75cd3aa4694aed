"""Native code of every scalar function gives the bits that the evaluator gives, and calls nothing."""

from __future__ import annotations

import numpy as np
import pytest

from tenfold_rt import dtypes
from tenfoldc.loops import math, scalar
from tenfoldc.loops.evaluate import evaluate
from tenfoldc.loops.ir import Axis, Buffer, Call, For, Kernel, Load, Mode, Program, Store

FUNCTIONS = [value for value in vars(math).values() if isinstance(value, math.ScalarFunction)]
COUNT = 2003


def loop_over(function, dtype):
    """A program that applies `function` to every element of its parameters."""
    parameters = tuple(Buffer(f"x{number}", dtype, (COUNT,)) for number in range(function.arity))
    result, axis = Buffer("result", dtype, (COUNT,)), Axis("i")
    store = Store(result, (axis,), function(*(Load(parameter, (axis,)) for parameter in parameters)))
    kernel = Kernel("apply", (For(axis, scalar.index(COUNT), (store,), mode=Mode.VECTOR),))
    return Program("apply", parameters, (result,), (), {}, (kernel,))


def samples(rng, dtype):
    """Numbers near 1, numbers of every exponent, and special ones."""
    values = np.concatenate([rng.uniform(-3, 3, 1000), np.exp(rng.uniform(-80, 80, COUNT - 1009))])
    values = np.append(values, [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 1e-40, 0.5])
    return rng.permutation(values).astype(dtype.numpy)


@pytest.mark.parametrize("dtype", [dtypes.f32, dtypes.f64], ids=str)
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
def test_native_code_equals_the_evaluator(function, dtype, load_program):
    rng = np.random.default_rng(11)
    arrays = [samples(rng, dtype) for _ in range(function.arity)]
    program = load_program(loop_over(function, dtype))
    assert not any(line.startswith("declare") and "@llvm." not in line for line in program.text.splitlines())
    definition = function.definition(dtype)
    expected = evaluate(Call(definition, definition.parameters), dict(zip(definition.parameters, arrays, strict=True)))
    (actual,) = program(*arrays)
    np.testing.assert_array_equal(actual, expected)
