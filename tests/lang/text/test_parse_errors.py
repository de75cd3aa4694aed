"""Errors in a text say what is wrong and show the place."""

from __future__ import annotations

import textwrap

import pytest

from tenfold.text.parser import parse
from tenfold_rt.errors import DTypeError, ParseError, ShapeError, TenfoldError, UnsupportedError, VerificationError


def message(body: str, error: type[TenfoldError] = ParseError) -> str:
    """What parsing a function with this body says."""
    text = f"func.func @main(%x: tensor<2x3xf32>, %y: tensor<3xf32>) -> tensor<2x3xf32> {{\n{body}\n}}\n"
    with pytest.raises(error) as caught:
        parse(text, file="net.mlir")
    assert type(caught.value) is error
    return str(caught.value)


def shown(what: str) -> str:
    return textwrap.dedent(what).strip("\n")


def test_unexpected_word() -> None:
    assert message("  %0 = stablehlo.negate %x = tensor<2x3xf32>") == shown("""
        unexpected '=', expected ':' or a value or a word, at net.mlir:2:28
              %0 = stablehlo.negate %x = tensor<2x3xf32>
                                       ^
    """)


def test_unexpected_character() -> None:
    assert message("  %0 = ! %x : tensor<2x3xf32>") == shown("""
        unexpected character '!', at net.mlir:2:8
              %0 = ! %x : tensor<2x3xf32>
                   ^
    """)


def test_text_that_ends_too_early() -> None:
    with pytest.raises(ParseError, match="the text ends too early"):
        parse("func.func @main(%x: tensor<f32>) -> tensor<f32> {")


def test_long_line_is_cut_around_the_place() -> None:
    text = message(f"  %0 = stablehlo.negate {' ' * 300}%nothing : tensor<2x3xf32>")
    _, line, caret = text.splitlines()
    assert len(line) <= 124
    assert line[caret.index("^") :].startswith("%nothing")


def test_unknown_op_is_named() -> None:
    assert message("  %0 = stablehlo.fft %x, type = FFT, length = [3] : tensor<2x3xf32>", UnsupportedError) == shown("""
        op stablehlo.fft is not supported, at net.mlir:2:8
              %0 = stablehlo.fft %x, type = FFT, length = [3] : tensor<2x3xf32>
                   ^
    """)


def test_unknown_element_type_is_named() -> None:
    text = message("  %0 = stablehlo.convert %x : (tensor<2x3xf32>) -> tensor<2x3xf8E5M2>", UnsupportedError)
    assert text.startswith("element type f8E5M2 is not supported")
    assert "at net.mlir:2:52" in text


def test_value_that_is_not_defined() -> None:
    assert message("  %0 = stablehlo.negate %z : tensor<2x3xf32>") == shown("""
        %z is not defined here, at net.mlir:2:25
              %0 = stablehlo.negate %z : tensor<2x3xf32>
                                    ^
    """)


def test_value_that_is_defined_twice() -> None:
    assert "%x is defined twice, at net.mlir:2:3" in message("  %x = stablehlo.negate %x : tensor<2x3xf32>")


def test_signature_that_is_not_the_operands() -> None:
    text = message("  %0 = stablehlo.convert %y : (tensor<2xf32>) -> tensor<2xf64>")
    assert "the operands are (tensor<3xf32>), but the signature says (tensor<2xf32>)" in text


def test_result_that_is_not_what_the_op_gives() -> None:
    text = message("  %0 = stablehlo.transpose %x, dims = [1, 0] : (tensor<2x3xf32>) -> tensor<2x3xf32>")
    assert text.startswith(
        "stablehlo.transpose: the results are declared as (tensor<2x3xf32>), but are (tensor<3x2xf32>), at net.mlir:2:8"
    )


def test_number_of_results() -> None:
    text = message("  %0:2 = stablehlo.negate %x : tensor<2x3xf32>")
    assert "stablehlo.negate: 2 results are named, there are 1" in text


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("stablehlo.transpose %x : (tensor<2x3xf32>) -> tensor<3x2xf32>", "attribute permutation is missing"),
        ("stablehlo.transpose %x, perm = [1, 0] : (tensor<2x3xf32>) -> tensor<3x2xf32>", "attribute perm is not one"),
        ("stablehlo.compare LESS, %x, %x : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xi1>", "LESS is not one of"),
        ("stablehlo.constant dense<[1.0, 2.0]> : tensor<3xf32>", "the nesting of the lists is not that of f32[3]"),
        ("stablehlo.negate GT, %x : tensor<2x3xf32>", "the operation is not written in this form"),
    ],
)
def test_malformed_attributes(line: str, what: str) -> None:
    text = message(f"  %0 = {line}")
    assert what in text
    assert "at net.mlir:2:8" in text


def test_shapes_that_do_not_fit_show_the_line() -> None:
    text = message("  %0 = stablehlo.add %x, %y : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>", ShapeError)
    assert text.startswith("add: shapes differ, f32[2, 3] (lhs) and f32[3] (rhs), at net.mlir:2:8; broadcast or")
    assert text.endswith("^")


def test_element_types_that_do_not_fit_show_the_line() -> None:
    text = message("  %0 = stablehlo.not %x : tensor<2x3xf32>", DTypeError)
    assert "at net.mlir:2:8" in text


def test_function_that_does_not_return_what_it_declares() -> None:
    text = message("  return %y : tensor<3xf32>")
    assert "function main returns (tensor<3xf32>), but declares (tensor<2x3xf32>), at net.mlir:1:11" in text


def test_region_without_a_return() -> None:
    assert "a region ends with a return" in message("  %0 = stablehlo.negate %x : tensor<2x3xf32>")


def test_two_functions_of_one_name() -> None:
    function = "func.func @f(%x: tensor<f32>) -> tensor<f32> { return %x : tensor<f32> }\n"
    with pytest.raises(ParseError, match=r"there are two functions f, at <text>:2:11"):
        parse(function * 2)


def test_call_of_a_function_that_does_not_exist() -> None:
    text = message(
        "  %0 = call @g(%x) : (tensor<2x3xf32>) -> tensor<2x3xf32>\n  return %0 : tensor<2x3xf32>",
        VerificationError,
    )
    assert "there is no function g, at net.mlir:2" in text
