"""Control flow records: what they compute and what they refuse."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from checking import evaluate

from tenfold_rt import dtypes
from tenfold_rt.errors import ArgumentError, DTypeError, ShapeError
from tenfoldc import ops
from tenfoldc.interpret import interpret
from tenfoldc.ir.builder import Builder, Var, build_region
from tenfoldc.ir.core import Function, Module, Region
from tenfoldc.ir.types import FunctionType, TensorType
from tenfoldc.ops import Direction


def branch(around: Var, compute: Callable[[Var], Var]) -> Region:
    """A branch that computes from the value `around` of the surrounding program."""
    builder = Builder()
    return builder.region((), [compute(builder.var(around.value))])


def test_if_takes_the_branch_that_the_predicate_says():
    def build(pred: Var, x: Var) -> tuple[Var, ...]:
        return ops.if_(pred, branch(x, ops.negate), branch(x, ops.square))

    assert evaluate(build, np.array(True), np.array(3.0)) == (-3.0,)
    assert evaluate(build, np.array(False), np.array(3.0)) == (9.0,)


@pytest.mark.parametrize(("index", "expected"), [(0, -3.0), (1, 9.0), (2, 27.0), (3, 27.0), (-1, 27.0)])
def test_case_out_of_range_takes_the_last_branch(index: int, expected: float):
    def build(index: Var, x: Var) -> tuple[Var, ...]:
        cube = branch(x, lambda x: ops.multiply(x, ops.square(x)))
        return ops.case(index, [branch(x, ops.negate), branch(x, ops.square), cube])

    assert evaluate(build, np.array(index, np.int32), np.array(3.0)) == (expected,)


def power_loop(x: Var, count: Var) -> tuple[Var, ...]:
    """x ** count by repeated multiplication; the body uses `x` from outside."""
    one = ops.ones_like(x)
    zero = ops.zeros_like(count)

    def condition(turn: Var, product: Var) -> tuple[Var]:
        return (ops.compare(turn, turn.builder.var(count.value), Direction.LT),)

    def body(turn: Var, product: Var) -> tuple[Var, Var]:
        return ops.add(turn, ops.ones_like(turn)), ops.multiply(product, product.builder.var(x.value))

    types = [zero.type, one.type]
    return ops.while_([zero, one], build_region(types, condition), build_region(types, body))


@pytest.mark.parametrize("count", [0, 1, 5])
def test_while_repeats_its_body_on_the_carry(count: int):
    turns, product = evaluate(power_loop, np.array([2.0, -1.0]), np.array(count, np.int32))
    assert turns == count
    np.testing.assert_array_equal(product, [2.0**count, (-1.0) ** count])


def test_call_computes_the_function_it_names():
    vector = TensorType(dtypes.f32, (2,))
    double = Function("double", build_region([vector], lambda x: (ops.add(x, x),)))
    main = Function(
        "main", build_region([vector], lambda x: ops.call(x.builder, "double", double.type, [ops.negate(x)]))
    )
    (result,) = interpret(Module({"main": main, "double": double}), [np.array([1, -2], np.float32)])
    np.testing.assert_array_equal(result, [-2, 4])


def test_call_with_another_type_is_refused():
    vector = TensorType(dtypes.f32, (2,))
    with pytest.raises(ShapeError, match=r"argument 0 of f is f32\[3\], its parameter is f32\[2\]"):
        evaluate(lambda x: ops.call(x.builder, "f", FunctionType((vector,), (vector,)), [x]), np.zeros(3, np.float32))


def test_branches_of_different_types_are_refused():
    def build(pred: Var, x: Var) -> tuple[Var, ...]:
        return ops.if_(pred, branch(x, ops.negate), branch(x, lambda x: ops.reshape(x, (1,))))

    with pytest.raises(ShapeError, match=r"branch 1 gives \(f64\[1\]\), branch 0 gives \(f64\[\]\)"):
        evaluate(build, np.array(True), np.array(3.0))


def test_a_predicate_that_is_a_number_is_refused():
    with pytest.raises(DTypeError, match=r"the predicate is f64\[\], not one bool scalar"):
        evaluate(lambda x: ops.if_(x, branch(x, ops.negate), branch(x, ops.negate)), np.array(3.0))


def test_a_case_without_branches_is_refused():
    with pytest.raises(ArgumentError, match="no branches"):
        evaluate(lambda index: ops.case(index, []), np.array(0, np.int32))


def test_a_body_that_changes_the_carry_is_refused():
    def build(x: Var) -> tuple[Var, ...]:
        condition = build_region([x.type], lambda x: (ops.constant(x.builder, True),))
        return ops.while_([x], condition, build_region([x.type], lambda x: (ops.convert(x, dtypes.f32),)))

    with pytest.raises(ShapeError, match=r"the body gives \(f32\[\]\), the carry is \(f64\[\]\)"):
        evaluate(build, np.array(3.0))
