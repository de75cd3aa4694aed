"""The verifier takes every program that is well formed and names each defect."""

from __future__ import annotations

from dataclasses import replace

import exported
import pytest
from hypothesis import given, settings
from strategies import programs

from tenfold.text.parser import parse
from tenfold_rt import dtypes
from tenfold_rt.errors import VerificationError
from tenfoldc import ops
from tenfoldc.ir.builder import Builder, build_region
from tenfoldc.ir.core import NO_ATTRIBUTES, Function, Location, Module, Operation, Region, Value
from tenfoldc.ir.types import FunctionType, TensorType
from tenfoldc.ir.verifier import verify

F32 = TensorType(dtypes.f32, (4,))
I32 = TensorType(dtypes.i32, (4,))


@settings(deadline=None, max_examples=60)
@given(programs())
def test_random_programs_are_well_formed(program) -> None:
    module, _ = program
    verify(module)


@pytest.mark.parametrize("name", exported.NAMES)
def test_exported_programs_are_well_formed(name: str) -> None:
    verify(parse(exported.text(name)))


def module_of(*operations: Operation, parameters: tuple[Value, ...] = (), results: tuple[Value, ...] = ()) -> Module:
    return Module({"main": Function("main", Region(parameters, operations, results))})


def fails(module: Module, message: str) -> VerificationError:
    with pytest.raises(VerificationError, match=message) as caught:
        verify(module)
    return caught.value


X, Y, Z = Value(F32), Value(F32), Value(F32)
NEGATE = Operation(ops.NEGATE, (X,), (Y,), location=Location("model.py", 3))


def test_use_before_definition() -> None:
    late = Operation(ops.NEGATE, (Y,), (Z,))
    fails(module_of(late, NEGATE, parameters=(X,)), "operand 0 is used before its definition")


def test_use_outside_the_region_of_the_definition() -> None:
    pred = Value(TensorType(dtypes.bool_))
    branch = Region((), (NEGATE,), (Y,))
    choice = Operation(ops.IF, (pred,), (Z,), regions=(branch, Region((), (), (X,))))
    leak = Operation(ops.NEGATE, (Y,), (Value(F32),))
    fails(module_of(choice, leak, parameters=(pred, X)), "used before its definition or outside its region")


def test_region_may_use_values_from_outside() -> None:
    pred = Value(TensorType(dtypes.bool_))
    choice = Operation(ops.IF, (pred,), (Z,), regions=(Region((), (NEGATE,), (Y,)), Region((), (), (X,))))
    verify(module_of(choice, parameters=(pred, X), results=(Z,)))


def test_result_that_is_not_visible() -> None:
    fails(module_of(results=(X,)), "result 0 of a region is not visible")


def test_second_definition() -> None:
    again = Operation(ops.NEGATE, (X,), (Y,))
    fails(module_of(NEGATE, again, parameters=(X,)), r"value of type f32\[4\] is defined twice")


def test_value_of_another_function() -> None:
    other = Function("other", Region((X,), (), (X,)))
    main = Function("main", Region((), (NEGATE,), (Y,)))
    fails(Module({"other": other, "main": main}), "function main: stablehlo.negate: operand 0")


def test_result_type_that_the_op_does_not_give() -> None:
    wrong = Operation(ops.NEGATE, (X,), (Value(I32),))
    fails(module_of(wrong, parameters=(X,)), r"results are \(i32\[4\]\), not \(f32\[4\]\)")


def test_operands_that_the_op_does_not_take() -> None:
    x = Value(I32)
    wrong = Operation(ops.ADD, (X, x), (Y,))
    fails(module_of(wrong, parameters=(X, x)), "add: element types differ")


def test_attributes_of_another_op() -> None:
    wrong = Operation(ops.TRANSPOSE, (X,), (Y,), NO_ATTRIBUTES)
    fails(module_of(wrong, parameters=(X,)), "attributes are Attributes, not TransposeAttributes")


def test_region_parameters_that_the_op_does_not_give() -> None:
    start = Value(TensorType(dtypes.i32))
    condition = build_region([TensorType(dtypes.f32)], lambda x: (ops.compare(x, x, ops.Direction.EQ),))
    body = build_region([start.type], lambda x: (x,))
    loop = Operation(ops.WHILE, (start,), (Value(start.type),), regions=(condition, body))
    fails(module_of(loop, parameters=(start,)), "while: the condition's parameters are")


def call_of(name: str, type_: FunctionType) -> Operation:
    return Operation(ops.CALL, (X,), (Y,), ops.CallAttributes(name, type_))


def test_call_of_a_function_that_does_not_exist() -> None:
    fails(
        module_of(call_of("f", FunctionType((F32,), (F32,))), parameters=(X,)),
        "func.call: there is no function f",
    )


def test_call_with_another_type() -> None:
    module = module_of(call_of("f", FunctionType((F32,), (F32,))), parameters=(X,))
    x = Value(I32)
    functions = {**module.functions, "f": Function("f", Region((x,), (), (x,)))}
    fails(Module(functions), "f has another type than the call says")


def test_recursion() -> None:
    module = module_of(call_of("main", FunctionType((F32,), (F32,))), parameters=(X,), results=(Y,))
    fails(module, "functions call each other in a circle, main -> main")


def test_entry_that_does_not_exist() -> None:
    fails(Module({}, entries=("main",)), "entry main is not one of its functions")


def test_function_under_another_name() -> None:
    module = module_of(parameters=(X,), results=(X,))
    fails(Module({"f": module["main"]}, ("f",)), "function main is listed under the name f")


IDENTITY = Function("main", Region((X, Y), (), (X, Y)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parameter_names": ("x",)}, "1 parameter names for 2 parameters"),
        ({"result_names": ("x", "x")}, "two results have one name"),
        ({"donated": ((0, 2),)}, "donates parameter 0 to result 2, but has 2 parameters and 2 results"),
        ({"donated": ((0, 0), (1, 0))}, "donates a result twice"),
        ({"donated": ((0, 0), (0, 1))}, "donates a parameter twice"),
    ],
)
def test_interface_that_does_not_fit(changes: dict[str, object], message: str) -> None:
    fails(Module({"main": replace(IDENTITY, **changes)}), message)


def test_donation_between_types() -> None:
    x = Value(I32)
    function = Function("main", Region((X, x), (), (x, X)), donated=((0, 0),))
    fails(Module({"main": function}), r"their types differ, f32\[4\] and i32\[4\]")


def test_message_shows_the_operation_within_its_surroundings() -> None:
    builder = Builder()
    x = builder.parameter(F32)
    for _ in range(5):
        x = ops.negate(x)
    operations = list(builder.operations)
    operations[2] = replace(operations[2], results=(Value(I32),), location=Location("model.py", 9))
    region = builder.region([builder.var(operations[0].operands[0])], [x])
    module = Module({"main": Function("main", replace(region, operations=tuple(operations)))})
    error = fails(module, "at model.py:9")
    assert error.excerpt.splitlines() == [
        "    func.func public @main(%arg0: tensor<4xf32>) -> tensor<4xf32> {",
        '      %0 = "stablehlo.negate"(%arg0) : (tensor<4xf32>) -> tensor<4xf32>',
        '      %1 = "stablehlo.negate"(%0) : (tensor<4xf32>) -> tensor<4xf32>',
        '-->   %2 = "stablehlo.negate"(%1) : (tensor<4xf32>) -> tensor<4xi32>',
        '      %3 = "stablehlo.negate"(%undefined) : (tensor<4xf32>) -> tensor<4xf32>',
        '      %4 = "stablehlo.negate"(%3) : (tensor<4xf32>) -> tensor<4xf32>',
        '      "func.return"(%4) : (tensor<4xf32>) -> ()',
    ]
