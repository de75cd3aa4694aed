"""Attributes are spelled as the fields of their dataclass say."""

from __future__ import annotations

from enum import Enum

import pytest

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.frozen import frozen
from tenfoldc import ops
from tenfoldc.ir.attribute_text import (
    Dense,
    Dialect,
    decode_attributes,
    decode_value,
    parse_string,
    print_fields,
    print_string,
    print_symbol,
)
from tenfoldc.ir.core import Attributes
from tenfoldc.ir.types import FunctionType, TensorType

F32 = TensorType(dtypes.f32, (2,))
SIGNATURE = FunctionType((F32,), (F32,))


class Fruit(Enum):
    APPLE = "apple"


@frozen
class Sample(Attributes):
    """One field of each kind."""

    number: int
    flag: bool
    word: str
    axes: tuple[int, ...]
    flags: tuple[bool, ...]
    padding: tuple[tuple[int, int], ...]
    fruit: Fruit
    dtype: DType
    optional: int | None = None


SAMPLE = Sample(3, True, 'a "b"', (0, 2), (False, True), ((1, 2), (3, 4)), Fruit.APPLE, dtypes.f32)


def test_fields_are_printed_by_name_without_what_the_signature_says() -> None:
    assert print_fields(SAMPLE) == [
        ("axes", "array<i64: 0, 2>"),
        ("flag", "true"),
        ("flags", "array<i1: false, true>"),
        ("fruit", "#stablehlo<fruit APPLE>"),
        ("number", "3 : i64"),
        ("padding", "dense<[[1, 2], [3, 4]]> : tensor<2x2xi64>"),
        ("word", '"a \\22b\\22"'),
    ]


def test_values_are_decoded_by_the_fields_types() -> None:
    values = {
        "axes": [0, 2],
        "flag": True,
        "flags": [False, True],
        "fruit": Dialect("#stablehlo<fruit APPLE>"),
        "number": 3,
        "padding": Dense("[[1, 2], [3, 4]]", "tensor<2x2xi64>"),
        "word": 'a "b"',
        "mhlo.anything": "passed over",
    }
    assert decode_attributes(Sample, values, SIGNATURE) == SAMPLE


def test_splat_stands_for_every_pair() -> None:
    assert decode_value(Dense("0", "tensor<2x2xi64>"), tuple[tuple[int, int], ...]) == ((0, 0), (0, 0))


def test_gather_dimensions_leave_out_what_is_empty() -> None:
    numbers = ops.GatherDimensionNumbers(offset_dims=(1,), start_index_map=(0,), index_vector_dim=1)
    attributes = ops.GatherAttributes(numbers, (1, 4), False)
    text = dict(print_fields(attributes))["dimension_numbers"]
    assert text == "#stablehlo.gather<offset_dims = [1], start_index_map = [0], index_vector_dim = 1>"
    assert decode_value(Dialect(text), ops.GatherDimensionNumbers) == numbers


def test_dtype_of_a_product_is_none_where_it_is_the_operands() -> None:
    values = {"dot_dimension_numbers": Dialect("#stablehlo.dot<lhs_contracting_dimensions = [0]>")}
    same = decode_attributes(ops.DotGeneralAttributes, values, FunctionType((F32, F32), (F32,)))
    wide = F32.with_dtype(dtypes.f64)
    wider = decode_attributes(ops.DotGeneralAttributes, values, FunctionType((F32, F32), (wide,)))
    assert (same.result_dtype, wider.result_dtype) == (None, dtypes.f64)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"permutation": None}, "attribute permutation is missing"),
        ({"permutation": 3}, "attribute permutation: 3 is not a list"),
        ({"permutation": ["x"]}, "attribute permutation: x is not an integer"),
        ({"permutation": [0], "dims": [0]}, "attribute dims is not one of this operation's, which are: permutation"),
    ],
)
def test_wrong_attribute_is_named(changed: dict[str, object], message: str) -> None:
    values = {name: value for name, value in changed.items() if value is not None}
    with pytest.raises(ValueError, match=message):
        decode_attributes(ops.TRANSPOSE.attributes, values, SIGNATURE)


def test_unknown_word_is_shown_with_those_that_are_known() -> None:
    with pytest.raises(ValueError, match="LESS is not one of EQ, NE, LT, LE, GT, GE"):
        decode_value(Dialect("#stablehlo<comparison_direction LESS>"), ops.Direction)


@pytest.mark.parametrize("text", ["", 'say "x"', "back\\slash", "line\nbreak\ttab", "naïve", "\\22"])
def test_string_survives(text: str) -> None:
    assert parse_string(print_string(text)) == text


def test_symbol_is_quoted_where_it_is_no_identifier() -> None:
    assert print_symbol("main") == "@main"
    assert print_symbol("f.<locals>.g") == '@"f.<locals>.g"'
