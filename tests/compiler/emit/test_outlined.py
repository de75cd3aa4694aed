"""Functions that are called instead of inlined: those with many calls, and those with a rare case."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tenfold_rt import dtypes
from tenfoldc.emit.outlined import MOST_OPTIMISED_CALLS
from tenfoldc.emit.program import emit_program
from tenfoldc.emit.units import divide
from tenfoldc.loops import math, scalar
from tenfoldc.loops.evaluate import evaluate
from tenfoldc.loops.ir import Allocation, Axis, Buffer, Call, For, Kernel, Load, Mode, Program, Store
from tenfoldc.target import host, named

COUNT = 1003


def chain(function, dtype, length):
    """A loop that applies `function` and adds the argument, `length` times."""
    x, result, axis = Buffer("x", dtype, (COUNT,)), Buffer("result", dtype, (COUNT,)), Axis("i")
    value = start = Load(x, (axis,))
    for _ in range(length):
        value = scalar.add(function(value), start)
    loop = For(axis, scalar.index(COUNT), (Store(result, (axis,), value),), mode=Mode.VECTOR)
    return Program("chain", (x,), (result,), (), {}, (Kernel("chain", (loop,)),))


def vector_calls(program, lanes, kind):
    return re.findall(rf"call <{lanes} x {kind}> @([\w.]+)", program.compiled.optimised_text())


def test_many_calls_are_of_one_vector_function(load_program):
    program = load_program(chain(math.tanh, dtypes.f32, MOST_OPTIMISED_CALLS + 1), named("x86-64-v3"))
    called = [name for name in vector_calls(program, 8, "float") if not name.startswith("llvm")]
    assert set(called) == {"tanh.f32.x8"}
    assert len(called) > MOST_OPTIMISED_CALLS
    body = re.search(
        r"^define internal <8 x float> @tanh.f32.x8\(.*?^}", program.compiled.optimised_text(), re.M | re.S
    )
    assert body is not None
    assert "fdiv <8 x float>" in body[0]
    assert "alloca" not in body[0]


def test_few_calls_are_inlined(load_program):
    program = load_program(chain(math.tanh, dtypes.f32, 6), named("x86-64-v3"))
    assert all(name.startswith("llvm") for name in vector_calls(program, 8, "float"))


@pytest.mark.parametrize(("dtype", "lanes", "kind"), [(dtypes.f32, 8, "float"), (dtypes.f64, 4, "double")])
def test_a_rare_case_is_branched_around(load_program, dtype, lanes, kind):
    program = load_program(chain(math.sin, dtype, 1), named("x86-64-v3"))
    name = f"sin.{dtype.name}.x{lanes}"
    assert name in vector_calls(program, lanes, kind)
    text = program.compiled.optimised_text()
    body = re.search(rf"^define internal <{lanes} x {kind}> @{name}\(.*?^}}", text, re.M | re.S)
    assert body is not None
    assert re.search(rf"call (fastcc )?{kind} @sin.{dtype.name}\(", body[0])
    assert "br i1" in body[0]


@pytest.mark.parametrize(
    ("function", "dtype"), [(math.tanh, dtypes.f32), (math.sin, dtypes.f32), (math.sin, dtypes.f64)]
)
def test_what_is_called_gives_the_bits_that_the_evaluator_gives(function, dtype, load_program):
    rng = np.random.default_rng(4)
    x = (rng.uniform(-3, 3, COUNT) * rng.choice([1, 1, 1, 1e9, 1e200 if dtype == dtypes.f64 else 1], COUNT)).astype(
        dtype.numpy
    )
    (actual,) = load_program(chain(function, dtype, MOST_OPTIMISED_CALLS + 1))(x)
    definition, expected = function.definition(dtype), x
    for _ in range(MOST_OPTIMISED_CALLS + 1):
        expected = evaluate(Call(definition, definition.parameters), {definition.parameters[0]: expected}) + x
    np.testing.assert_array_equal(actual, expected)


def test_what_shared_text_calls_is_visible():
    """lgamma, which is inlined, calls the sine."""
    emitted = emit_program(chain(math.lgamma, dtypes.f64, 1), Allocation({}, 0), named("x86-64-v3"))
    units = divide(emitted.parts, emitted.metadata, "")
    defined = {
        unit.names[name] for unit in units for name in re.findall(r"^define hidden [^@]*@(\w+)\(", unit.text, re.M)
    }
    assert {"sin.f64", "sin.f64.x4", "sin.f64.x8"} <= defined


def test_units_keep_the_names_that_calls_hold_as_text():
    emitted = emit_program(chain(math.sin, dtypes.f64, 1), Allocation({}, 0), host())
    units = divide(emitted.parts, emitted.metadata, "")
    (kernel,) = [unit for unit in units if "declare hidden double" in unit.text]
    assert '@llvm.compiler.used = appending global [2 x ptr] [ptr @"sin.f64.x' in kernel.text
    assert 'call double @"sin.f64"(' in kernel.text
