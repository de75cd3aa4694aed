"""Printed IR is StableHLO's text, in the pretty and in the generic form."""

from __future__ import annotations

import textwrap

import numpy as np
from hypothesis import given, settings
from strategies import programs

from tenfold_rt import dtypes
from tenfoldc import ops
from tenfoldc.ir.builder import Builder, build_region
from tenfoldc.ir.core import Function, Location, Module
from tenfoldc.ir.printer import print_function, print_module
from tenfoldc.ir.types import Symbol, TensorType

SCALAR = TensorType(dtypes.f32)
VECTOR = TensorType(dtypes.f32, (4,))


def affine() -> Function:
    """y = 2 x + 1 at line 7, with everything that a function can say of itself."""
    builder = Builder()
    builder.location = Location("model.py", 7)
    x = builder.parameter(VECTOR)
    y = ops.add(ops.multiply(x, ops.full_like(x, 2)), ops.ones_like(x))
    body = builder.region([x], [y])
    return Function("affine", body, ("x",), ("y",), ((0, 0),), "Twice x and one.")


def test_pretty_form() -> None:
    assert print_function(affine()) == textwrap.dedent("""\
        func.func public @affine(PARAMETERS) -> (RESULTS) attributes {tenfold.doc = "Twice x and one."} {
          %0 = stablehlo.constant dense<2.000000e+00> : tensor<4xf32>
          %1 = stablehlo.multiply %arg0, %0 : tensor<4xf32>
          %2 = stablehlo.constant dense<1.000000e+00> : tensor<4xf32>
          %3 = stablehlo.add %1, %2 : tensor<4xf32>
          return %3 : tensor<4xf32>
        }
    """).replace("PARAMETERS", '%arg0: tensor<4xf32> {tenfold.name = "x", tf.aliasing_output = 0 : i32}').replace(
        "RESULTS", 'tensor<4xf32> {tenfold.name = "y"}'
    )


def test_generic_form() -> None:
    text = print_function(affine(), generic=True)
    assert '%0 = "stablehlo.constant"() <{value = dense<2.000000e+00> : tensor<4xf32>}> : () -> tensor<4xf32>' in text
    assert '%1 = "stablehlo.multiply"(%arg0, %0) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>' in text
    assert '"func.return"(%3) : (tensor<4xf32>) -> ()' in text


def test_locations_are_printed_on_request() -> None:
    assert 'tensor<4xf32> loc("model.py":7:0)' in print_function(affine(), locations=True)
    assert "loc(" not in print_function(affine())


def test_functions_that_are_no_entries_are_private() -> None:
    function = affine()
    text = print_module(Module({"affine": function}, entries=()))
    assert "func.func private @affine" in text


def lines_of(builder: Builder) -> list[str]:
    """The operations that `builder` holds, as printed."""
    text = print_function(Function("f", builder.region([], [])))
    return [line.strip() for line in text.splitlines()[1:-2]]


def test_words_stand_for_attributes() -> None:
    builder = Builder()
    x = ops.iota(builder, TensorType(dtypes.i32, (2, 3)), 1)
    ops.transpose(x, (1, 0))
    ops.slice_(x, (0, 1), (2, 3), (1, 2))
    ops.compare(x, x, ops.Direction.LE)
    assert lines_of(builder) == [
        "%0 = stablehlo.iota dim = 1 : tensor<2x3xi32>",
        "%1 = stablehlo.transpose %0, dims = [1, 0] : (tensor<2x3xi32>) -> tensor<3x2xi32>",
        "%2 = stablehlo.slice %0 [0:2, 1:3:2] : (tensor<2x3xi32>) -> tensor<2x1xi32>",
        "%3 = stablehlo.compare LE, %0, %0, SIGNED : (tensor<2x3xi32>, tensor<2x3xi32>) -> tensor<2x3xi1>",
    ]


def test_dot_general_pairs_axes() -> None:
    builder = Builder()
    x = ops.full(builder, TensorType(dtypes.f32, (5, 2, 3)), 1)
    y = ops.full(builder, TensorType(dtypes.f32, (3, 5)), 1)
    axes = {"lhs_contracting": (2,), "rhs_contracting": (0,), "lhs_batching": (0,), "rhs_batching": (1,)}
    ops.dot_general(x, y, **axes)
    assert lines_of(builder)[-1] == (
        "%2 = stablehlo.dot_general %0, %1, batching_dims = [0] x [1], contracting_dims = [2] x [0], "
        "precision = [DEFAULT, DEFAULT] : (tensor<5x2x3xf32>, tensor<3x5xf32>) -> tensor<5x2xf32>"
    )


def test_reduction_by_one_op_applies_it() -> None:
    builder = Builder()
    ops.reduce_sum(ops.full(builder, VECTOR, 1), (0,))
    assert lines_of(builder)[-1] == (
        "%2 = stablehlo.reduce(%0 init: %1) applies stablehlo.add across dimensions = [0] : "
        "(tensor<4xf32>, tensor<f32>) -> tensor<f32>"
    )


def test_other_reductions_print_their_body() -> None:
    builder = Builder()
    x = ops.full(builder, VECTOR, 1)
    zero = ops.constant(builder, 0, dtypes.f32)
    ops.reduce([x], [zero], (0,), lambda a, b: (ops.add(a, ops.multiply(b, b)),))
    assert lines_of(builder)[2:] == [
        "%2 = stablehlo.reduce(%0 init: %1) across dimensions = [0] : (tensor<4xf32>, tensor<f32>) -> tensor<f32>",
        "reducer(%arg0: tensor<f32>, %arg1: tensor<f32>) {",
        "%3 = stablehlo.multiply %arg1, %arg1 : tensor<f32>",
        "%4 = stablehlo.add %arg0, %3 : tensor<f32>",
        "stablehlo.return %4 : tensor<f32>",
        "}",
    ]


def test_regions_of_a_loop_name_their_parameters_alike() -> None:
    builder = Builder()
    start = ops.constant(builder, 0, dtypes.i32)
    condition = build_region([start.type], lambda i: (ops.compare(i, i, ops.Direction.NE),))
    ops.while_([start], condition, build_region([start.type], lambda i: (ops.negate(i),)))
    assert lines_of(builder)[1:] == [
        "%1 = stablehlo.while(%arg0 = %0) : tensor<i32>",
        "cond {",
        "%2 = stablehlo.compare NE, %arg0, %arg0, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>",
        "stablehlo.return %2 : tensor<i1>",
        "} do {",
        "%3 = stablehlo.negate %arg0 : tensor<i32>",
        "stablehlo.return %3 : tensor<i32>",
        "}",
    ]


def test_ops_without_a_form_of_their_own_are_generic() -> None:
    builder = Builder()
    pred = ops.constant(builder, True)
    branches = [Builder(), Builder()]
    regions = [branch.region((), [ops.constant(branch, i, dtypes.f32)]) for i, branch in enumerate(branches)]
    ops.if_(pred, *regions)
    assert lines_of(builder)[1:] == [
        '%1 = "stablehlo.if"(%0) ({',
        "%2 = stablehlo.constant dense<0.000000e+00> : tensor<f32>",
        "stablehlo.return %2 : tensor<f32>",
        "}, {",
        "%3 = stablehlo.constant dense<1.000000e+00> : tensor<f32>",
        "stablehlo.return %3 : tensor<f32>",
        "}) : (tensor<i1>) -> tensor<f32>",
    ]


def test_symbols_are_printed_in_types() -> None:
    builder = Builder()
    x = builder.parameter(TensorType(dtypes.f32, (Symbol("n"),)))
    text = print_function(Function("f", builder.region([x], [ops.negate(x)])))
    assert "stablehlo.negate %arg0 : tensor<?xf32, #tenfold.symbols<n>>" in text


def test_constants_tell_programs_apart_bit_for_bit() -> None:
    array = np.linspace(0, 1, 1000)
    texts: set[str] = set()
    for last in (array[-1], np.nextafter(array[-1], 2)):
        builder = Builder()
        array[-1] = last
        texts.add(print_function(Function("f", builder.region([], [ops.constant(builder, array)]))))
    assert len(texts) == 2


@settings(deadline=None, max_examples=25)
@given(programs())
def test_printing_twice_gives_one_text(program) -> None:
    module, _ = program
    assert print_module(module) == print_module(module)
