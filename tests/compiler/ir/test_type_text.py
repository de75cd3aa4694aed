"""Tensor types are spelled as in StableHLO."""

from __future__ import annotations

import pytest

from tenfold_rt import dtypes
from tenfold_rt.errors import UnsupportedError
from tenfoldc.ir.type_text import parse_type, print_signature, print_type
from tenfoldc.ir.types import Symbol, TensorType

SPELLINGS = [
    (TensorType(dtypes.f32), "tensor<f32>"),
    (TensorType(dtypes.bool_, (2, 0, 3)), "tensor<2x0x3xi1>"),
    (TensorType(dtypes.u8, (5,)), "tensor<5xui8>"),
    (TensorType(dtypes.bf16, (5,)), "tensor<5xbf16>"),
    (TensorType(dtypes.c64, (5,)), "tensor<5xcomplex<f32>>"),
    (
        TensorType(dtypes.f32, (Symbol("n"), 784, Symbol("m"))),
        "tensor<?x784x?xf32, #tenfold.symbols<n, m>>",
    ),
]


@pytest.mark.parametrize(("type_", "text"), SPELLINGS)
def test_type_is_spelled_both_ways(type_: TensorType, text: str) -> None:
    assert print_type(type_) == text
    assert parse_type(text) == type_


def test_signature_puts_parentheses_around_all_but_one_result() -> None:
    x = TensorType(dtypes.f32)
    assert print_signature([x, x], [x]) == "(tensor<f32>, tensor<f32>) -> tensor<f32>"
    assert print_signature([], [x, x]) == "() -> (tensor<f32>, tensor<f32>)"
    assert print_signature([x], []) == "(tensor<f32>) -> ()"


def test_foreign_element_type_is_named() -> None:
    with pytest.raises(UnsupportedError, match="element type f8E4M3FN is not supported; use one of i1, i8"):
        parse_type("tensor<2xf8E4M3FN>")


def test_unknown_size_needs_a_name() -> None:
    with pytest.raises(ValueError, match="needs a name for each"):
        parse_type("tensor<?xf32>")
