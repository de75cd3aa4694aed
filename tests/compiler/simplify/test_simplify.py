"""Whole programs: simplification keeps every bit, finds everything in one run, and takes linear time."""

from __future__ import annotations

from dataclasses import replace

import exported
import numpy as np
import pytest
from hypothesis import given, settings
from simplifying import assert_same_bits, module_of, ops_of, simplified
from strategies import programs

from tenfold.text.parser import parse
from tenfold_rt import dtypes
from tenfoldc import ops
from tenfoldc.ir.builder import Builder
from tenfoldc.ir.core import Function, Location, Module, walk
from tenfoldc.ir.printer import print_module
from tenfoldc.ir.types import TensorType
from tenfoldc.ops.creation import ConstantAttributes
from tenfoldc.simplify import rewrite

F32 = TensorType(dtypes.f32, (8,))


@settings(deadline=None, max_examples=150)
@given(programs())
def test_random_program_keeps_every_bit(program) -> None:
    module, inputs = program
    assert_same_bits(module, simplified(module), inputs)


@settings(deadline=None, max_examples=100)
@given(programs())
def test_second_run_finds_nothing_more(program) -> None:
    module, _ = program
    once = simplified(module)
    assert print_module(simplified(once)) == print_module(once)


@settings(deadline=None, max_examples=100)
@given(programs())
def test_what_is_one_number_is_never_written_out(program) -> None:
    module, _ = program
    for operation in walk(simplified(module)["main"].body):
        if isinstance(operation.attributes, ConstantAttributes):
            value = operation.attributes.value
            one_number = value.size > 1 and len({element.tobytes() for element in value.ravel()}) == 1
            assert not one_number or not any(value.strides)


@pytest.mark.parametrize("name", exported.WITH_ARRAYS)
def test_exported_program_keeps_every_bit_and_has_fewer_operations(name: str) -> None:
    module = parse(exported.text(name))
    after = simplified(module)
    assert_same_bits(module, after, exported.arrays(name, "in"))
    count = sum(len(list(walk(function.body))) for function in module.functions.values())
    assert len(list(walk(after["main"].body))) < count
    assert print_module(simplified(after)) == print_module(after)


def test_equal_operations_become_one() -> None:
    module = module_of([F32], lambda x: ops.add(ops.tanh(ops.sine(x)), ops.tanh(ops.sine(x))))
    assert ops_of(simplified(module)) == ["sine", "tanh", "add"]


def test_equal_reductions_become_one() -> None:
    module = module_of([F32], lambda x: ops.add(ops.reduce_sum(x, (0,)), ops.reduce_sum(x, (0,))))
    assert [operation.op.mnemonic for operation in simplified(module)["main"].body.operations][1:] == ["reduce", "add"]


def test_unequal_reductions_stay_apart() -> None:
    module = module_of([F32], lambda x: [ops.reduce_max(x, (0,)), ops.reduce_min(x, (0,))])
    assert ops_of(simplified(module)) == ["reduce", "maximum", "reduce", "minimum"]


@pytest.mark.parametrize(
    "numbers",
    [
        (np.float32(0.0), np.float32(-0.0)),
        (np.uint32(0x7FC00000).view(np.float32), np.uint32(0x7FC00001).view(np.float32)),
        (np.float32(1), np.float64(1)),
        (np.array([1, 0], np.int32), np.array([1, 2], np.int32)),
        (np.zeros(2, np.int32), np.zeros(3, np.int32)),
    ],
)
def test_constants_of_other_bits_stay_apart(numbers) -> None:
    module = module_of([], lambda builder: [ops.constant(builder, number) for number in numbers])
    after = simplified(module)
    assert len(after["main"].body.operations) == 2
    assert_same_bits(module, after, [])


def test_equal_constants_become_one() -> None:
    values = np.arange(100.0)
    module = module_of([], lambda builder: [ops.constant(builder, values), ops.constant(builder, values.copy())])
    assert len(simplified(module)["main"].body.operations) == 1


def test_arithmetic_of_constants_is_done_at_once() -> None:
    module = module_of([], lambda b: ops.divide(ops.full(b, F32, 1), ops.add(ops.full(b, F32, 2), ops.full(b, F32, 1))))
    (constant,) = simplified(module)["main"].body.operations
    value = constant.attributes.value
    assert value.strides == (0,)
    assert value[0] == np.float32(1) / np.float32(3)


@pytest.mark.parametrize(("size", "left"), [(64, []), (65, ["add"])])
def test_only_small_arrays_are_computed_at_once(size: int, left: list[str]) -> None:
    values = np.arange(size)
    module = module_of([], lambda b: ops.add(ops.constant(b, values), ops.constant(b, values)))
    assert ops_of(simplified(module)) == left


@pytest.mark.parametrize(
    ("function", "left"),
    [
        (lambda b: ops.sqrt(ops.constant(b, -1.0)), ["sqrt"]),
        (lambda b: ops.multiply(ops.constant(b, np.inf), ops.constant(b, 0.0)), ["multiply"]),
        (lambda b: ops.sqrt(ops.constant(b, 4.0)), []),
    ],
)
def test_arithmetic_that_gives_nan_is_left_to_the_machine(function, left: list[str]) -> None:
    assert ops_of(simplified(module_of([], function))) == left


def test_what_has_several_roundings_is_left_to_the_machine() -> None:
    module = module_of([], lambda b: ops.exponential(ops.constant(b, 1.5)))
    assert ops_of(simplified(module)) == ["exponential"]


def test_dead_operations_are_left_out() -> None:
    def body(x):
        ops.reduce_sum(ops.tanh(x), (0,))
        return ops.sine(x)

    assert ops_of(simplified(module_of([F32], body))) == ["sine"]


def test_parameters_constants_and_duplicates_as_results() -> None:
    module = module_of([F32, F32], lambda x, y: [y, x, y, ops.tanh(x), ops.tanh(x), ops.ones_like(x)])
    after = simplified(module)
    body = after["main"].body
    assert body.results[:3] == (body.parameters[1], body.parameters[0], body.parameters[1])
    assert body.results[3] is body.results[4]
    rows = np.linspace(0, 1, 16, dtype=np.float32).reshape(2, 8)
    assert_same_bits(module, after, list(rows))


def test_names_donations_and_documentation_stay() -> None:
    module = module_of([F32, F32], lambda x, y: [ops.negate(ops.negate(x))])
    main = replace(module["main"], parameter_names=("a", "b"), result_names=("c",), donated=((1, 0),), doc="Text.")
    after = simplified(Module({"main": main}))["main"]
    assert (after.parameter_names, after.result_names, after.donated) == (("a", "b"), ("c",), ((1, 0),))
    assert after.doc == "Text."
    assert after.body.parameters == main.body.parameters


def test_operations_keep_their_locations() -> None:
    builder = Builder()
    x = builder.parameter(F32)
    with builder.at(Location("model.py", 3)):
        y = ops.divide(x, ops.full_like(x, 2))
    with builder.at(Location("model.py", 4)):
        z = ops.tanh(y)
    body = simplified(Module({"main": Function("main", builder.region([x], [z]))}))["main"].body
    assert [str(operation.location) for operation in body.operations] == ["model.py:3", "model.py:3", "model.py:4"]


@pytest.mark.parametrize("length", [100, 5000])
def test_chain_is_rewritten_once_per_operation(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def count(operation):
        seen.append(operation.op.name)
        return original(operation)

    original = rewrite.key
    monkeypatch.setattr(rewrite, "key", count)

    def body(x):
        for _ in range(length):
            x = ops.tanh(ops.transpose(ops.transpose(x, (0,)), (0,)))
        return x

    assert ops_of(simplified(module_of([F32], body))) == ["tanh"] * length
    assert len(seen) == length


def test_chain_of_inverses_falls_in_one_run() -> None:
    def body(x):
        for _ in range(5000):
            x = ops.negate(x)
        return x

    assert ops_of(simplified(module_of([F32], body))) == []
