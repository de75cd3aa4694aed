"""What hot loops are made of: vectors as wide as the registers, several turns side by side where one is long."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tenfold_rt import dtypes
from tenfoldc import ops
from tenfoldc.ir.builder import Builder
from tenfoldc.ir.core import Function, Module
from tenfoldc.ir.types import TensorType
from tenfoldc.pipeline import stage_text
from tenfoldc.target import named

SHAPE = (8, 512)


def code(body, stage: str = "llvm") -> str:
    """What `body` of one f32 matrix becomes for AVX2."""
    builder = Builder()
    x = builder.parameter(TensorType(dtypes.f32, SHAPE))
    region = builder.region([x], [body(x)])
    module = Module({"main": Function("main", region)}, entries=("main",))
    return stage_text(module, stage, target=named("x86-64-v3"))


def lower_triangle(x):
    """`x` with minus infinity above the diagonal, as causal attention masks its scores."""
    rows, columns = (ops.iota(x.builder, TensorType(dtypes.i64, SHAPE), axis) for axis in (0, 1))
    masked = ops.full(x.builder, x.type, -np.inf)
    return ops.select(ops.compare(rows, columns, ops.Direction.GE), x, masked)


def softmax(x):
    largest = ops.broadcast_in_dim(ops.reduce_max(x, (1,)), SHAPE, (0,))
    grown = ops.exponential(ops.subtract(x, largest))
    return ops.divide(grown, ops.broadcast_in_dim(ops.reduce_sum(grown, (1,)), SHAPE, (0,)))


def test_a_masked_row_is_kept_and_its_largest_element_found_in_vectors() -> None:
    text = code(lambda x: softmax(lower_triangle(x)))
    assert re.search(r"call <8 x float> @llvm\.maximum\.v8f32", text)
    assert len(re.findall(r"scratch row", code(lambda x: softmax(lower_triangle(x)), "loops"))) == 2


def test_a_softmax_is_one_kernel_without_calls() -> None:
    loops, text = code(softmax, "loops"), code(softmax)
    assert len(re.findall(r"^kernel ", loops, re.MULTILINE)) == 1
    kernel = text[text.index("define internal fastcc void") :].split("\n}")[0]
    assert not re.findall(r"call (?!.*@llvm\.)", kernel)


@pytest.mark.parametrize(("function", "vectors"), [(ops.erf, 4), (ops.log, 2)], ids=["one chain", "several chains"])
def test_a_long_body_runs_as_many_vectors_at_a_time_as_fill_the_units(function, vectors: int) -> None:
    text = code(function)
    body = text[text.index("vector.body:") :].split("br i1")[0]
    assert body.count("store <8 x float>") == vectors


def test_a_short_body_is_left_to_llvm() -> None:
    assert "interleave" not in code(lambda x: ops.add(x, x))


def test_merging_sorted_runs_takes_no_branch_on_data() -> None:
    """Both ends of a merge are one block of straight code."""

    def sorted_rows(x):
        return ops.sort([x], 1, True, lambda a, b: [ops.compare(a, b, ops.Direction.LT)])[0]

    blocks = re.split(r"^\.LBB\d+_\d+:", code(sorted_rows, "asm"), flags=re.MULTILINE)
    assert any(block.count("ucomiss") == 2 for block in blocks)


def test_the_index_of_the_largest_element_is_found_in_vectors() -> None:
    """In one kernel: the largest element, then the least index where it lies."""
    assert len(re.findall(r"^kernel ", code(lambda x: ops.argmax(x, 1), "loops"), re.MULTILINE)) == 1
    text = code(lambda x: ops.argmax(x, 1, dtypes.i64))
    assert "call <8 x float> @llvm.maximum.v8f32" in text
    assert re.search(r"call <8 x i32> @llvm\.smin\.v8i32", text)


@pytest.mark.parametrize("dtype", [dtypes.i8, dtypes.u8, dtypes.i16, dtypes.i32, dtypes.u32], ids=str)
def test_floats_become_integers_in_vectors(dtype) -> None:
    text = code(lambda x: ops.convert(x, dtype))
    assert re.search(r"fpto[su]i <8 x float>", text)
    assert not re.search(r"fpto[su]i float", text)
    assert ".sat." not in text


@pytest.mark.parametrize("dtype", [dtypes.i64, dtypes.u64], ids=str)
def test_floats_become_long_integers_in_vectors(dtype) -> None:
    text = code(lambda x: ops.convert(x, dtype))
    assert "call <4 x double> @llvm.fma.v4f64" in text
    assert "fptosi" not in text
    assert ".sat." not in text


def test_floats_become_short_integers_by_instructions_that_hold_them_in_range() -> None:
    assert "vpacksswb" in code(lambda x: ops.convert(x, dtypes.i8), "asm")
