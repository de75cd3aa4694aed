"""The parser reads what MLIR tools write: both forms, aliases, locations, every way to spell a thing."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tenfold.text.parser import parse
from tenfold_rt import dtypes
from tenfoldc import ops
from tenfoldc.interpret import interpret
from tenfoldc.ir.core import Location, Module, Operation
from tenfoldc.ir.types import TensorType


def parse_body(body: str, parameters: str = "%x: tensor<4xf32>", result: str = "tensor<4xf32>") -> Module:
    return parse(f"func.func @main({parameters}) -> {result} {{\n{body}\n}}", file="body.mlir")


def first(module: Module) -> Operation:
    return module["main"].body.operations[0]


def test_functions_need_no_module_around_them() -> None:
    assert parse_body("return %x : tensor<4xf32>").entries == ("main",)


def test_private_functions_are_no_entries() -> None:
    module = parse("""
        module @m attributes {mhlo.num_partitions = 1 : i32} {
          func.func public @main(%x: tensor<f32>) -> (tensor<f32> {jax.result_info = "result"}) {
            %0 = func.call @inner(%x) : (tensor<f32>) -> tensor<f32>
            return %0 : tensor<f32>
          }
          func.func private @inner(%x: tensor<f32> {mhlo.sharding = "{replicated}"}) -> tensor<f32> {
            func.return %x : tensor<f32>
          }
        }
    """)
    assert module.entries == ("main",)
    assert tuple(module.functions) == ("main", "inner")


def test_values_may_have_any_name() -> None:
    module = parse_body("""
        %a.b-c$1 = stablehlo.negate %x : tensor<4xf32>
        %0 = stablehlo.add %a.b-c$1, %x : tensor<4xf32>
        return %0 : tensor<4xf32>
    """)
    assert [operation.op for operation in module["main"].body.operations] == [ops.NEGATE, ops.ADD]


def test_results_are_named_together_or_one_by_one() -> None:
    module = parse("""
        func.func @f(%x: tensor<2xf32>) -> (tensor<2xf32>, tensor<2xf32>) {
          return %x, %x : tensor<2xf32>, tensor<2xf32>
        }
        func.func @main(%x: tensor<2xf32>) -> (tensor<2xf32>, tensor<2xf32>) {
          %0:2 = call @f(%x) : (tensor<2xf32>) -> (tensor<2xf32>, tensor<2xf32>)
          %a, %b = call @f(%0#1) : (tensor<2xf32>) -> (tensor<2xf32>, tensor<2xf32>)
          return %a, %b : tensor<2xf32>, tensor<2xf32>
        }
    """)
    one, two = module["main"].body.operations
    assert two.operands == (one.results[1],)


def test_generic_form_with_attributes_in_either_place() -> None:
    for attributes in ("<{permutation = array<i64: 1, 0>}>", "{permutation = array<i64: 1, 0>}"):
        module = parse_body(
            f'%0 = "stablehlo.transpose"(%x) {attributes} : (tensor<2x3xf32>) -> tensor<3x2xf32>\n'
            '"func.return"(%0) : (tensor<3x2xf32>) -> ()',
            parameters="%x: tensor<2x3xf32>",
            result="tensor<3x2xf32>",
        )
        assert first(module).attributes == ops.TRANSPOSE.attributes((1, 0))


def test_lists_may_be_dense_constants() -> None:
    module = parse_body(
        '%0 = "stablehlo.transpose"(%x) {permutation = dense<[1, 0]> : tensor<2xi64>} '
        ": (tensor<2x3xf32>) -> tensor<3x2xf32>\nreturn %0 : tensor<3x2xf32>",
        parameters="%x: tensor<2x3xf32>",
        result="tensor<3x2xf32>",
    )
    assert first(module).attributes == ops.TRANSPOSE.attributes((1, 0))


def test_blocks_of_a_region_name_their_parameters() -> None:
    module = parse("""
        func.func @main(%x: tensor<3xf32>, %y: tensor<f32>) -> tensor<f32> {
          %0 = "stablehlo.reduce"(%x, %y) <{dimensions = array<i64: 0>}> ({
          ^bb0(%a: tensor<f32>, %b: tensor<f32>):
            %1 = stablehlo.maximum %a, %b : tensor<f32>
            "stablehlo.return"(%1) : (tensor<f32>) -> ()
          }) : (tensor<3xf32>, tensor<f32>) -> tensor<f32>
          return %0 : tensor<f32>
        }
    """)
    (result,) = interpret(module, [np.array([1, 5, 2], np.float32), np.float32(3)])
    assert result == 5


def test_names_end_with_their_region() -> None:
    module = parse("""
        func.func @main(%p: tensor<i1>, %x: tensor<f32>) -> tensor<f32> {
          %0 = "stablehlo.if"(%p) ({
            %1 = stablehlo.negate %x : tensor<f32>
            stablehlo.return %1 : tensor<f32>
          }, {
            %1 = stablehlo.abs %x : tensor<f32>
            stablehlo.return %1 : tensor<f32>
          }) : (tensor<i1>) -> tensor<f32>
          %1 = stablehlo.add %0, %0 : tensor<f32>
          return %1 : tensor<f32>
        }
    """)
    assert [float(interpret(module, [np.bool_(p), np.float32(-3)])[0]) for p in (True, False)] == [6, 6]


def test_short_and_full_signatures_are_one() -> None:
    full = "(tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>"
    for signature in ("tensor<4xf32>", full):
        module = parse_body(f"%0 = stablehlo.add %x, %x : {signature}\nreturn %0 : tensor<4xf32>")
        assert first(module).results[0].type == TensorType(dtypes.f32, (4,))


def test_comparison_that_goes_without_saying() -> None:
    for text in ("EQ, %x, %x", "EQ, %x, %x, FLOAT"):
        module = parse_body(
            f"%0 = stablehlo.compare {text} : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xi1>\nreturn %0 : tensor<4xi1>",
            result="tensor<4xi1>",
        )
        assert first(module).attributes == ops.CompareAttributes(ops.Direction.EQ)


def test_scalar_slice_and_empty_lists() -> None:
    module = parse_body(
        "%0 = stablehlo.slice %x [] : (tensor<f32>) -> tensor<f32>\n"
        "%1 = stablehlo.transpose %0, dims = [] : (tensor<f32>) -> tensor<f32>\n"
        "return %1 : tensor<f32>",
        parameters="%x: tensor<f32>",
        result="tensor<f32>",
    )
    assert first(module).attributes == ops.SliceAttributes((), (), ())


def test_convolution_fills_in_what_its_window_leaves_out() -> None:
    module = parse_body(
        "%0 = stablehlo.convolution(%x, %k) dim_numbers = [b, 0, f]x[0, i, o]->[b, 0, f], window = {} "
        "{batch_group_count = 1 : i64, feature_group_count = 1 : i64} "
        ": (tensor<1x5x2xf32>, tensor<3x2x4xf32>) -> tensor<1x3x4xf32>\nreturn %0 : tensor<1x3x4xf32>",
        parameters="%x: tensor<1x5x2xf32>, %k: tensor<3x2x4xf32>",
        result="tensor<1x3x4xf32>",
    )
    attributes = first(module).attributes
    assert (attributes.window_strides, attributes.padding, attributes.window_reversal) == ((1,), ((0, 0),), (False,))


def test_donation_as_jax_writes_it() -> None:
    module = parse_body("return %x : tensor<4xf32>", parameters="%x: tensor<4xf32> {tf.aliasing_output = 0 : i32}")
    assert module["main"].donated == ((0, 0),)


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("", Location("body.mlir", 2)),
        (' loc("model.py":31:4)', Location("model.py", 31)),
        (' loc("model.py":31:4 to 31:9)', Location("model.py", 31)),
        (' loc("jit(f)/add"("model.py":31:4))', Location("model.py", 31)),
        (' loc(callsite("add"("inner.py":3:4) at "model.py":31:4))', Location("inner.py", 3)),
        (' loc(fused["a", "model.py":31:4])', Location("model.py", 31)),
        (" loc(#loc1)", Location("model.py", 8)),
        (" loc(unknown)", Location("body.mlir", 2)),
        (' loc("a name")', Location("body.mlir", 2)),
    ],
)
def test_location_names_a_file_and_line(location: str, expected: Location) -> None:
    text = f"%0 = stablehlo.negate %x : tensor<4xf32>{location}\nreturn %0 : tensor<4xf32>"
    aliases = '\n#loc = loc("model.py":8:1)\n#loc1 = loc("jit(f)/neg"(#loc))\n'
    module = parse(f"func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {{\n{text}\n}}{aliases}", file="body.mlir")
    assert first(module).location == expected


def test_alias_stands_for_an_attribute() -> None:
    module = parse("""
        #direction = #stablehlo<comparison_direction GT>
        func.func @main(%x: tensor<f32>) -> tensor<i1> {
          %0 = "stablehlo.compare"(%x, %x) {comparison_direction = #direction}
            : (tensor<f32>, tensor<f32>) -> tensor<i1>
          return %0 : tensor<i1>
        }
    """)
    assert first(module).attributes == ops.CompareAttributes(ops.Direction.GT)


def test_functions_in_generic_form() -> None:
    module = parse("""
        "builtin.module"() <{sym_name = "m"}> ({
          "func.func"() <{function_type = (tensor<4xf32>) -> tensor<4xf32>, sym_name = "main",
                          arg_attrs = [{tf.aliasing_output = 0 : i32}], res_attrs = [{tenfold.name = "y"}]}> ({
          ^bb0(%arg0: tensor<4xf32>):
            %0 = "func.call"(%arg0) <{callee = @inner}> : (tensor<4xf32>) -> tensor<4xf32>
            "func.return"(%0) : (tensor<4xf32>) -> ()
          }) : () -> ()
          "func.func"() <{function_type = (tensor<4xf32>) -> tensor<4xf32>, sym_name = "inner",
                          sym_visibility = "private"}> ({
          ^bb0(%arg0: tensor<4xf32>):
            "func.return"(%arg0) : (tensor<4xf32>) -> ()
          }) : () -> ()
        }) : () -> ()
    """)
    main = module["main"]
    assert (tuple(module.functions), module.entries) == (("main", "inner"), ("main",))
    assert (main.donated, main.result_names) == (((0, 0),), ("y",))
    assert first(module).attributes == ops.CallAttributes("inner", main.type)


def test_comments_are_passed_over() -> None:
    assert parse_body("// a comment\nreturn %x : tensor<4xf32> // another").entries == ("main",)


@pytest.mark.parametrize("dtype", dtypes.ALL)
def test_constants_of_every_dtype(dtype: dtypes.DType) -> None:
    element = "(1.0, 0.0)" if dtype.is_complex else "true" if dtype.is_bool else "1.0" if dtype.is_float else "1"
    type_ = f"tensor<2x{dtype.stablehlo}>"
    module = parse_body(f"%0 = stablehlo.constant dense<{element}> : {type_}\nreturn %0 : {type_}", "", type_)
    (result,) = interpret(module, [])
    assert result.dtype == dtype.numpy
    assert result.tolist() == [1, 1]


def test_dtypes_without_native_code_are_read() -> None:
    module = parse_body("return %x : tensor<4xcomplex<f32>>", "%x: tensor<4xcomplex<f32>>", "tensor<4xcomplex<f32>>")
    assert module["main"].type.parameters == (TensorType(dtypes.c64, (4,)),)


def test_importing_tenfold_does_not_import_the_parser_generator() -> None:
    code = "import sys, tenfold; sys.exit('lark' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
