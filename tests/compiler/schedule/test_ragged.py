"""Rows whose length is no multiple of a vector's: what they become, and that every element counts once."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from compiled import Case, case, check, close
from loop_programs import along_rows, f32, function, lowered, softmax

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import Function, Module
from tenfoldc.loops.ir import For, Kernel, Mode
from tenfoldc.loops.traversal import walk_statements
from tenfoldc.ops import Direction, Reducer
from tenfoldc.pipeline import stage_text
from tenfoldc.target import named


def modes_of(kernel: Kernel) -> list[Mode]:
    inner = [s for s in walk_statements(kernel.body) if isinstance(s, For)]
    return [loop.mode for loop in inner if not any(isinstance(s, For) for s in loop.body)]


def llvm(source: Function) -> str:
    return stage_text(Module({"main": source}, entries=("main",)), "llvm", target=named("x86-64-v3"))


@pytest.mark.parametrize(
    ("columns", "modes"),
    [(37, {Mode.LANES}), (40, {Mode.LANES, Mode.VECTOR}), (80, {Mode.VECTOR}), (7, {Mode.UNROLLED})],
)
def test_rows_of_a_softmax(columns: int, modes: set[Mode]) -> None:
    (kernel,) = lowered(function([f32(16, columns)], softmax)).kernels
    assert set(modes_of(kernel)) == modes


def test_a_long_row_ends_with_one_vector() -> None:
    (kernel,) = lowered(function([f32(16, 1003)], lambda x: ops.reduce_sum(x, [1]))).kernels
    assert modes_of(kernel) == [Mode.VECTOR, Mode.LANES]


def test_no_element_of_a_ragged_row_is_computed_alone() -> None:
    """The exponentials of a row of 37 are those of five vectors, and so are the quotients."""
    text = llvm(function([f32(16, 37)], softmax))
    kernel = text[text.index("define internal fastcc void") :].split("\n}")[0]
    assert len(re.findall(r"store <8 x float>", kernel)) == 10
    assert "store float" not in kernel
    assert "@llvm.fma.f32" not in kernel


def _neighbours(x: Var) -> Var:
    rows, columns = x.shape
    return ops.multiply(ops.slice_(x, [0, 1], [rows, columns]), ops.slice_(x, [0, 0], [rows, columns - 1]))


def _bounded_softmax(x: Var) -> Var:
    largest = ops.reduce_max(x, [1])
    bound = ops.select(ops.is_finite(largest), largest, ops.zeros_like(largest))
    exponentials = ops.exponential(ops.subtract(x, along_rows(bound, x)))
    return ops.divide(exponentials, along_rows(ops.reduce_sum(exponentials, [1]), x))


@pytest.mark.parametrize("columns", [9, 17, 2003])
def test_llvm_makes_vectors_of_all_rows_and_has_nothing_to_say(columns: int, capfd: pytest.CaptureFixture[str]) -> None:
    """Of rows of k vectors and an element, one turn reads what the next reads again; rows of 2003 are shared out."""
    llvm(function([f32(5, columns)], softmax))
    llvm(function([f32(5, columns)], _bounded_softmax))
    llvm(function([f32(5, columns + 2)], lambda x: ops.exponential(_neighbours(x))))
    assert capfd.readouterr().err == ""


def test_what_a_loop_reads_and_writes_in_place_is_written_once() -> None:
    source = function([f32(16, 37)], ops.exponential, donated=[(0, 0)])
    rows = function([f32(16, 37), f32(37)], _add_row, donated=[(0, 0)])
    for program in (lowered(source), lowered(rows)):
        assert Mode.LANES not in modes_of(program.kernels[0])


def _add_row(x: Var, row: Var) -> Var:
    return ops.add(ops.exponential(x), ops.broadcast_in_dim(row, x.shape, [1]))


def _pooled(window: int) -> Callable[[Var], list[Var]]:
    """The largest of windows side by side, and where a gradient would go."""

    def compute(x: Var) -> list[Var]:
        sizes, least = (1, window), ops.constant(x.builder, float("-inf"), x.dtype)
        (largest,) = ops.reduce_window([x], [least], ops.body_of(Reducer.MAX), sizes, sizes)
        zero = ops.constant(x.builder, 0, x.dtype)
        takes, adds = (lambda a, b: (ops.compare(a, b, Direction.GE),)), ops.body_of(Reducer.SUM)
        return [largest, ops.select_and_scatter(x, largest, zero, takes, adds, sizes, sizes)]

    return compute


@pytest.mark.parametrize("window", [2, 3, 4])
def test_rows_of_windows_side_by_side_are_whole_vectors(window: int, capfd: pytest.CaptureFixture[str]) -> None:
    source = function([f32(6, 14 * window)], _pooled(window))
    assert {mode for kernel in lowered(source).kernels for mode in modes_of(kernel)} == {Mode.LANES}
    assert "store float" not in llvm(source)
    assert capfd.readouterr().err == ""


def test_rows_of_overlapping_windows_are_left_to_llvm() -> None:
    """Whose elements, every second of three neighbours, make no whole vectors."""

    def overlapping(x: Var) -> list[Var]:
        return list(ops.reduce_window([x], [ops.constant(x.builder, 0, x.dtype)], _second_of_pair, (1, 3), (1, 2)))

    (kernel,) = lowered(function([f32(6, 29)], overlapping)).kernels
    assert modes_of(kernel) == [Mode.VECTOR]


def _second_of_pair(x: Var, y: Var) -> list[Var]:
    return [ops.add(ops.negate(x), y)]


def _columns(x: Var) -> list[Var]:
    folds = [ops.reduce_sum, ops.reduce_prod, ops.reduce_max, ops.reduce_min]
    if x.dtype.is_integer:
        folds += [ops.reduce_and, ops.reduce_or]
    return [fold(x, [1]) for fold in folds]


def _case(columns: int, dtype: DType, compute: Callable[[Var], Var | list[Var]]) -> Case:
    random = np.random.default_rng(columns)
    x = random.uniform(0.9, 1.1, (3, columns)) if dtype.is_float else random.integers(-5, 100, (3, columns))
    label = f"{compute.__name__} of {columns} {dtype.name}"
    return case(label, compute, x.astype(dtype.numpy), compare=close(f32=1e-5, f64=1e-13))


def test_every_element_counts_once(tmp_path: Path) -> None:
    lengths = [9, 12, 15, 17, 31, 37, 63, 65, 71, 1001]
    kinds = [dtypes.f32, dtypes.f64, dtypes.i32]
    cases = [_case(columns, dtype, _columns) for columns in lengths for dtype in kinds]
    cases += [_case(columns, dtypes.f32, softmax) for columns in lengths]
    check(cases, tmp_path)


def test_windows_side_by_side_are_each_their_own(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    cases: list[Case] = []
    for window, windows in itertools.product((2, 3, 4), (9, 14, 71)):
        x = random.standard_normal((3, window * windows)).astype(np.float32)
        cases.append(case(f"{windows} windows of {window}", _pooled(window), x))
    check(cases, tmp_path)


@pytest.mark.parametrize("columns", [16, 24, 32, 48, 64])
def test_a_short_fold_of_whole_vectors_is_done_in_vectors(columns: int) -> None:
    source = function([f32(64, columns)], lambda x: ops.reduce_sum(ops.square(x), [1]))
    (kernel,) = lowered(source).kernels
    assert modes_of(kernel) == [Mode.LANES]
    text = llvm(source)
    assert len(re.findall(r"fmul (\w+ )*<8 x float>", text)) % (columns // 8) == 0
    assert re.findall(r"fmul (\w+ )*<8 x float>", text)
    assert not re.findall(r"fmul (\w+ )*float", text)
