"""Calls: their callees' operations take their place, in regions too, and circles are refused."""

from __future__ import annotations

import numpy as np
import pytest
from simplifying import assert_same_bits, module_of, ops_of, simplified

from tenfold_rt import dtypes
from tenfold_rt.errors import UnsupportedError
from tenfoldc import ops
from tenfoldc.ir.builder import Builder, build_region
from tenfoldc.ir.core import Function, Location, Module
from tenfoldc.ir.types import FunctionType, TensorType
from tenfoldc.simplify import simplify

F32 = TensorType(dtypes.f32, (3,))
UNARY = FunctionType((F32,), (F32,))
X = np.array([0.5, -0.0, 3], np.float32)


def calling(name: str):
    def body(x):
        (result,) = ops.call(x.builder, name, UNARY, [x])
        return result

    return body


def function(name: str, body) -> Function:
    return Function(name, module_of([F32], body)["main"].body)


def module_with(*functions: Function) -> Module:
    return Module({each.name: each for each in functions})


def test_calls_of_calls() -> None:
    module = module_with(
        function("main", lambda x: calling("outer")(calling("outer")(x))),
        function("outer", lambda x: ops.sine(calling("inner")(x))),
        function("inner", ops.tanh),
    )
    after = simplified(module)
    assert ops_of(after) == ["tanh", "sine", "tanh", "sine"]
    assert_same_bits(module, after, [X])


def test_callee_that_returns_its_parameter() -> None:
    module = module_with(function("main", calling("same")), function("same", lambda x: x))
    body = simplified(module)["main"].body
    assert body.results == body.parameters


def test_call_within_a_loop() -> None:
    def main(x):
        carry = (ops.constant(x.builder, 0, dtypes.i32), x)
        types = [var.type for var in carry]
        condition = build_region(types, lambda i, _: [ops.compare(i, ops.full_like(i, 3), ops.Direction.LT)])
        body = build_region(types, lambda i, y: [ops.add(i, ops.ones_like(i)), calling("step")(y)])
        return ops.while_(carry, condition, body)[1]

    module = module_with(function("main", main), function("step", ops.tanh))
    after = simplified(module)
    assert ops_of(after) == ["while", "compare", "add", "tanh"]
    assert_same_bits(module, after, [X])


def test_callee_takes_the_location_of_the_call_where_it_has_none() -> None:
    builder = Builder()
    x = builder.parameter(F32)
    with builder.at(Location("main.py", 7)):
        result = calling("f")(x)
    module = module_with(Function("main", builder.region([x], [result])), function("f", ops.tanh))
    (operation,) = simplified(module)["main"].body.operations
    assert operation.location == Location("main.py", 7)


def test_circle_of_calls_is_refused() -> None:
    module = module_with(function("main", calling("f")), function("f", calling("g")), function("g", calling("f")))
    with pytest.raises(UnsupportedError, match="in a circle, f -> g -> f"):
        simplify(module, "main")


def test_call_of_a_function_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="there is no function f"):
        simplify(module_with(function("main", calling("f"))), "main")
