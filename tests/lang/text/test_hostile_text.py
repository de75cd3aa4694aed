"""Texts made to break the parser: each is refused by name, in bounded time and memory."""

from __future__ import annotations

import contextlib
import random
import re
from pathlib import Path

import pytest

from tenfold.text.parser import parse
from tenfold_rt.errors import ParseError, ShapeError, TenfoldError, UnsupportedError, VerificationError
from tenfoldc.simplify import simplify

PROGRAMS = Path(__file__).parents[2] / "data" / "stablehlo"
TOKENS = re.compile(r"%[\w#]+|[A-Za-z_.]+|-?\d+|tensor<[^>]*>|[^\s\w]")


def function(body: str, result: str = "%x", name: str = "main", type_: str = "tensor<4xf32>") -> str:
    return f"func.func @{name}(%x: {type_}) -> {type_} {{\n{body}\nreturn {result} : {type_}\n}}\n"


def test_deeply_nested_regions_are_refused() -> None:
    opened = "".join(f'%y{level} = "stablehlo.if"(%p) ({{\n' for level in range(500))
    text = f"func.func @main(%p: tensor<i1>, %x: tensor<f32>) -> tensor<f32> {{\n{opened}return %x : tensor<f32>\n"
    closing = "}, { stablehlo.return %x : tensor<f32> }) : (tensor<i1>) -> tensor<f32>\nreturn %y0 : tensor<f32>\n"
    with pytest.raises(ParseError, match=r"regions nest more than 64 deep, at <text>:65:"):
        parse(text + closing * 500 + "}")


def test_deeply_nested_attributes_are_refused() -> None:
    brackets = f"{'[' * 3000}0{']' * 3000}"
    with pytest.raises(ParseError, match="brackets nest too deeply, at <text>:2:6"):
        parse(function(f"%0 = stablehlo.reverse %x, dims = {brackets} : tensor<4xf32>"))


def test_long_chain_of_calls_is_refused() -> None:
    call = "%0 = call @f{} (%x) : (tensor<4xf32>) -> tensor<4xf32>"
    calls = "".join(function(call.format(number + 1), "%0", f"f{number}") for number in range(500))
    with pytest.raises(VerificationError, match="calls nest more than 200 deep"):
        parse(calls + function("", "%x", "f500"))


def test_functions_that_call_each_next_one_twice_are_refused() -> None:
    calls = "%0 = call @f{0} (%x) : ({1}) -> {1}\n%1 = call @f{0} (%0) : ({1}) -> {1}"
    text = "".join(function(calls.format(number + 1, "tensor<4xf32>"), "%1", f"f{number}") for number in range(60))
    module = parse(text + function("%0 = stablehlo.sine %x : tensor<4xf32>", "%0", "f60"))
    with pytest.raises(UnsupportedError, match=f"f0 is {2**60} operations with all that it calls"):
        simplify(module, "f0")


def test_locations_that_stand_for_each_other_are_passed_over() -> None:
    text = function("%0 = stablehlo.sine %x : tensor<4xf32> loc(#a)", "%0")
    (operation,) = parse(f"#a = loc(#b)\n#b = loc(#a)\n{text}", file="net.mlir")["main"].body.operations
    assert str(operation.location) == "net.mlir:4"


def test_list_shorter_than_its_type_is_refused() -> None:
    with pytest.raises(ParseError, match="has more elements than the list"):
        parse(function("%0 = stablehlo.constant dense<[1.0]> : tensor<1099511627776xf32>"))


@pytest.mark.parametrize("sizes", ["9223372036854775807x4x", "1000000x" * 4, f"{10**30}x"])
def test_tensor_larger_than_any_memory_is_refused(sizes: str) -> None:
    with pytest.raises(ShapeError, match=r"takes 2\*\*63 bytes or more, at <text>:1:"):
        parse(function("", type_=f"tensor<{sizes}f32>"))


def test_more_axes_than_numpy_has_are_refused() -> None:
    with pytest.raises(ShapeError, match="a tensor has 65 axes; it can have 64"):
        parse(function("", type_=f"tensor<{'1x' * 65}f32>"))


@pytest.mark.parametrize("name", ['"a\\00b"', '"llvm.sin"'])
def test_name_that_llvm_cannot_have_is_refused(name: str) -> None:
    with pytest.raises(VerificationError, match="no function can be called"):
        parse(function("", name=name))


@pytest.mark.parametrize(
    "operation",
    [
        "stablehlo.compare EQ : () -> tensor<i1>",
        "stablehlo.convolution() dim_numbers = [b, f]x[i, o]->[b, f] : () -> tensor<4xf32>",
        '"stablehlo.dot_general"() : () -> tensor<4xf32>',
        "stablehlo.constant dense<1.0> : () -> ()",
    ],
)
def test_operation_without_operands_or_results_is_refused(operation: str) -> None:
    with pytest.raises(TenfoldError, match="at <text>:2:"):
        parse(function(f"%0 = {operation}"))


@pytest.mark.parametrize("numbers", ["array<i64: 1%x>", "array<i64: 1.2.3>", f"[{'9' * 5000}]"])
def test_malformed_number_is_refused(numbers: str) -> None:
    with pytest.raises(ParseError, match=r"unexpected .*, at <text>:2:4\d"):
        parse(function(f'%0 = "stablehlo.reverse"(%x) <{{dimensions = {numbers}}}> : (tensor<4xf32>) -> tensor<4xf32>'))


def mutated(text: str, draw: random.Random) -> str:
    """`text` with one to four of its tokens dropped, doubled, or replaced by another of its own or by an odd one."""
    for _ in range(draw.randint(1, 4)):
        places = list(TOKENS.finditer(text))
        place, other = draw.choice(places), draw.choice(places)
        new = draw.choice(["", place[0] * 2, other[0], other[0], other[0], "-1", "0", str(2**63), "[", "tensor<0xi1>"])
        text = text[: place.start()] + new + text[place.end() :]
    return text


@pytest.mark.parametrize("name", ["fori_cond_switch", "gather_scatter", "einsum_linalg", "sort_argmax_topk"])
def test_mutated_programs_parse_or_are_refused(name: str, request: pytest.FixtureRequest) -> None:
    draw = random.Random(f"{request.config.getoption('--seed')} {name}")
    text = (PROGRAMS / f"{name}.mlir").read_text()
    for _ in range(25):
        changed = mutated(text, draw)
        try:
            with contextlib.suppress(TenfoldError):
                parse(changed, file="net.mlir")
        except Exception as error:
            raise AssertionError(changed) from error
