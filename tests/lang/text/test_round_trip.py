"""Text that was printed reads back to the same text, whatever the program and whichever the form."""

from __future__ import annotations

import exported
import numpy as np
import pytest
from hypothesis import given, settings
from strategies import programs

from tenfold.text.parser import parse
from tenfold_rt import dtypes
from tenfoldc import ops
from tenfoldc.interpret import interpret
from tenfoldc.ir.builder import Builder, Var
from tenfoldc.ir.core import Function, Location, Module
from tenfoldc.ir.printer import print_module
from tenfoldc.ir.types import Symbol, TensorType


def assert_survives(module: Module) -> None:
    for generic in (False, True):
        text = print_module(module, generic=generic)
        assert print_module(parse(text), generic=generic) == text


def module_of(builder: Builder, parameters: list[Var], results: list[Var]) -> Module:
    return Module({"main": Function("main", builder.region(parameters, results))})


@settings(deadline=None, max_examples=100)
@given(programs())
def test_random_program_survives(program) -> None:
    module, _ = program
    assert_survives(module)


@settings(deadline=None, max_examples=25)
@given(programs())
def test_program_means_the_same_after_reading(program) -> None:
    module, inputs = program
    again = parse(print_module(module))
    for result, expected in zip(interpret(again, inputs), interpret(module, inputs), strict=True):
        assert result.dtype == expected.dtype
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("name", exported.NAMES)
def test_exported_program_survives(name: str) -> None:
    assert_survives(parse(exported.text(name)))


@pytest.mark.parametrize("name", exported.NAMES)
def test_pretty_and_generic_text_are_one_program(name: str) -> None:
    module = parse(exported.text(name))
    assert print_module(parse(print_module(module, generic=True))) == print_module(module)


def test_what_a_function_says_of_itself_survives() -> None:
    builder = Builder()
    x, y = (builder.parameter(TensorType(dtypes.f32, (3,))) for _ in range(2))
    body = builder.region([x, y], [ops.add(x, y), ops.subtract(x, y)])
    function = Function("step", body, ("w", "dw"), ("sum", 'odd "name"'), ((1, 0),), "Adds,\nand subtracts.")
    again = parse(print_module(Module({"step": function}, ("step",))))["step"]
    assert (again.name, again.parameter_names, again.result_names) == ("step", ("w", "dw"), ("sum", 'odd "name"'))
    assert (again.donated, again.doc) == (((1, 0),), "Adds,\nand subtracts.")


def test_entries_survive() -> None:
    builder = Builder()
    x = builder.parameter(TensorType(dtypes.f32))
    body = builder.region([x], [x])
    names = ("f", "f.<locals>.g", "h")
    module = Module({name: Function(name, body) for name in names}, ("f", "h"))
    again = parse(print_module(module).replace("%arg0", "%x"))
    assert (tuple(again.functions), again.entries) == (names, ("f", "h"))


def test_symbols_survive() -> None:
    builder = Builder()
    x = builder.parameter(TensorType(dtypes.f32, (Symbol("n"), 4, Symbol("m"))))
    part = ops.slice_(ops.exponential(x), (0, 1, 0), (Symbol("n"), 3, Symbol("m")))
    module = module_of(builder, [x], [ops.transpose(part, (2, 0, 1))])
    assert_survives(module)
    assert parse(print_module(module))["main"].type == module["main"].type


def test_locations_survive() -> None:
    builder = Builder()
    builder.location = Location("a folder/model.py", 12)
    x = builder.parameter(TensorType(dtypes.f32))
    module = module_of(builder, [x], [ops.negate(x)])
    text = print_module(module, locations=True)
    (operation,) = parse(text)["main"].body.operations
    assert operation.location == Location("a folder/model.py", 12)
    assert print_module(parse(text), locations=True) == text


def test_convolution_survives() -> None:
    builder = Builder()
    x = builder.parameter(TensorType(dtypes.f32, (2, 8, 8, 3)))
    kernel = builder.parameter(TensorType(dtypes.f32, (3, 3, 3, 5)))
    numbers = ops.ConvDimensionNumbers.of((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))
    out = ops.convolution(x, kernel, dimension_numbers=numbers, window_strides=(2, 1), padding=((1, 0), (0, 2)))
    module = module_of(builder, [x, kernel], [out])
    assert "dim_numbers = [b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f], window = {stride = [2, 1]" in print_module(module)
    assert_survives(module)


def test_windows_survive() -> None:
    builder = Builder()
    x = builder.parameter(TensorType(dtypes.f32, (4, 6)))
    zero = ops.constant(builder, 0, dtypes.f32)
    (out,) = ops.reduce_window([x], [zero], lambda a, b: (ops.add(a, b),), (2, 3), padding=((1, 1), (0, 0)))
    assert_survives(module_of(builder, [x], [out]))


def test_large_constants_survive() -> None:
    builder = Builder()
    random = np.random.default_rng(0)
    floats = ops.constant(builder, random.normal(size=(40, 50)).astype(np.float32))
    bools = ops.constant(builder, random.integers(0, 2, (13, 17)).astype(bool))
    module = module_of(builder, [], [floats, bools])
    assert_survives(module)
    for result, expected in zip(interpret(parse(print_module(module)), []), interpret(module, []), strict=True):
        assert result.tobytes() == expected.tobytes()


def test_comparison_in_total_order_survives() -> None:
    builder = Builder()
    x = builder.parameter(TensorType(dtypes.f32, (3,)))
    attributes = ops.CompareAttributes(ops.Direction.LT, ops.CompareType.TOTALORDER)
    module = module_of(builder, [x], list(ops.COMPARE.apply(x, x, attributes=attributes)))
    assert "TOTALORDER" in print_module(module)
    assert_survives(module)
