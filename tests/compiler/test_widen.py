"""Arithmetic on 16-bit floats: where it is rounded, what it accumulates in, what code comes of it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from compiled import Build, Case, call, case, check, close, compile_library, single
from random_programs import RandomProgram

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfoldc import ops
from tenfoldc.interpret import interpret
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import Module, walk
from tenfoldc.ir.types import TensorType
from tenfoldc.pipeline import stage_text
from tenfoldc.target import named
from tenfoldc.widen import widen

HALVES = (dtypes.f16, dtypes.bf16)
BF16 = dtypes.bf16.numpy


def types_in(build: Build, *types: TensorType) -> list[str]:
    """Each operation of a program with the element type of its result, once it is widened."""
    operations = walk(widen(single(build, types))["main"].body)
    return [f"{operation.op.mnemonic} {operation.results[0].type.dtype}" for operation in operations]


def test_what_only_moves_elements_keeps_them() -> None:
    moved = types_in(lambda x: ops.reverse(ops.transpose(x, (1, 0)), (0,)), TensorType(dtypes.bf16, (2, 3)))
    assert moved == ["transpose bf16", "reverse bf16"]


def test_every_operation_is_rounded() -> None:
    found = types_in(lambda x: ops.add(ops.multiply(x, x), x), TensorType(dtypes.f16, (3,)))
    assert found == [
        *("convert f32", "multiply f32", "convert f16"),
        *("convert f32", "add f32", "convert f16"),
    ]


def test_a_reduction_accumulates_in_f32() -> None:
    ones = np.ones(1000, BF16)
    module = single(lambda x: ops.reduce_sum(x, (0,)), [TensorType(dtypes.bf16, (1000,))])
    (total,) = interpret(module, [ones])
    assert (total.dtype, float(total)) == (BF16, 1000.0)


def test_a_comparator_is_widened_and_the_sorted_elements_are_not() -> None:
    found = types_in(lambda x: ops.sort_values(x, 0), TensorType(dtypes.bf16, (5,)))
    assert "sort bf16" in found
    assert "compare bool" in found
    assert found.index("convert f32") > found.index("sort bf16")


def test_a_module_without_such_floats_is_left_as_it_is() -> None:
    module = single(lambda x: ops.add(x, x), [TensorType(dtypes.f32, (3,))])
    assert widen(module)["main"] is module["main"]


@pytest.mark.parametrize("half", HALVES, ids=str)
def test_random_programs(half: DType, tmp_path: Path) -> None:
    """Their results depend on f32 sums in another order only where those decide a rounding."""
    near = close(f32=2.0**-6, f64=0.0)
    cases: list[Case] = []
    for seed in range(30):
        program = RandomProgram(seed, operations=8 + seed % 12, dtype=half)
        cases.append(Case(f"{seed}", Module({"main": program.function}), tuple(program.arguments), near))
    check(cases, tmp_path)


def product(result: DType | None) -> Build:
    return lambda x, y: ops.dot_general(x, y, lhs_contracting=(1,), rhs_contracting=(0,), result_dtype=result)


@pytest.mark.parametrize("half", HALVES, ids=str)
@pytest.mark.parametrize(("m", "k", "n"), [(3, 5, 7), (64, 96, 80), (130, 300, 70)])
def test_products_accumulate_in_f32(
    half: DType, m: int, k: int, n: int, rng: np.random.Generator, tmp_path: Path
) -> None:
    """Of small integers, whose sums f32 holds and 16 bits do not: so the only error is the last rounding."""
    x, y = (rng.integers(-9, 10, shape).astype(half.numpy) for shape in ((m, k), (k, n)))
    check([case(f"to {result}", product(result), x, y) for result in (None, dtypes.f32, dtypes.f64)], tmp_path)
    (exact,) = interpret(single(product(dtypes.f32), [TensorType(half, (m, k)), TensorType(half, (k, n))]), [x, y])
    np.testing.assert_array_equal(exact, x.astype(np.float64) @ y.astype(np.float64))


def test_panels_of_a_product_are_f32_and_no_operand_is_copied_whole() -> None:
    module = single(product(None), [TensorType(dtypes.bf16, (256, 256))] * 2)
    loops = stage_text(module, "loops", target=named("x86-64-v3"))
    assert len(re.findall("^kernel ", loops, re.MULTILINE)) == 1
    assert "temporary" not in loops
    assert re.search(r"rhs_panels\d: f32\[", loops)


def chain(x: Var, y: Var) -> Var:
    return ops.add(ops.multiply(x, y), x)


@pytest.mark.parametrize("half", HALVES, ids=str)
@pytest.mark.parametrize("level", ["x86-64-v2", "x86-64-v3", "x86-64-v4"])
def test_elementwise_code_is_vectors_and_calls_nothing(half: DType, level: str) -> None:
    module = single(chain, [TensorType(half, (4096,))] * 2)
    text = stage_text(module, "llvm", target=named(level))
    kernel = text[text.index("kernel0") :].split("\n}")[0]
    lanes = {"x86-64-v2": 4, "x86-64-v3": 8, "x86-64-v4": 16}[level]
    found = re.findall(r"fmul <(\d+) x (?:float|half)>", kernel)
    assert found
    assert all(int(width) % lanes == 0 for width in found)
    assembly = stage_text(module, "asm", target=named(level))
    body = assembly[assembly.index("kernel0") :].split(".Lfunc_end")[0]
    assert not re.search(r"\bcallq?\b|__(trunc|extend)", body)
    if level == "x86-64-v3":
        wide = r"vpmovzxwd\s.*%ymm" if half is dtypes.bf16 else r"vcvtph2ps\s.*%ymm"
        assert re.search(wide, body)
        assert re.search(r"vmulps\s.*%ymm", body)


def test_a_value_is_rounded_whether_or_not_it_is_stored(rng: np.random.Generator, tmp_path: Path) -> None:
    """What is fused shows in no bit."""
    x, y = (rng.normal(size=333).astype(BF16) for _ in range(2))
    modules = [
        single(chain, [TensorType(dtypes.bf16, (333,))] * 2),
        single(lambda x, y: (chain(x, y), ops.multiply(x, y)), [TensorType(dtypes.bf16, (333,))] * 2),
    ]
    library = compile_library(modules, tmp_path)
    fused, stored = (call(library, module, [x, y], f"main{n}")[0] for n, module in enumerate(modules))
    by_hand = ((x.astype("f4") * y.astype("f4")).astype(BF16).astype("f4") + x.astype("f4")).astype(BF16)
    assert fused.tobytes() == stored.tobytes() == by_hand.tobytes()


def test_constants_in_the_body_of_a_reduction(tmp_path: Path) -> None:
    def build(x: Var) -> list[Var]:
        def body(a: Var, b: Var) -> list[Var]:
            return [ops.maximum(ops.maximum(a, b), ops.full_like(b, 0.5))]

        return list(ops.reduce([x], [ops.full(x.builder, TensorType(x.dtype), 0)], (0,), body))

    check([case("at least a half", build, np.full(600, value, BF16)) for value in (0.25, 3.0)], tmp_path)
