"""Short rows: a block of them is transposed, its rows are the lanes of vectors, and every row keeps its own result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from compiled import Case, case, check, close
from loop_programs import f32, layer_norm, softmax
from row_programs import largest, least, loops_of, odd_rows, places, scheduled, tiles_of, total

from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.loops.ir import Mode, Store
from tenfoldc.loops.traversal import parallel_loops, walk_statements


def some_are_large(x: Var) -> Var:
    half = ops.full(x.builder, x.type, 0.5)
    return ops.reduce_or(ops.compare(x, half, ops.Direction.GT), [1])


def normalised(x: Var) -> Var:
    ones = ops.full(x.builder, f32(x.sizes[1]), 1.0)
    return layer_norm(x, ones, ones)


@pytest.mark.parametrize(
    ("compute", "columns"),
    [(largest, 5), (least, 12), (places, 5), (places, 10), (some_are_large, 6), (some_are_large, 20)],
)
def test_a_row_is_a_lane_and_nothing_is_folded_across_lanes(compute: Callable[..., Var], columns: int) -> None:
    program = scheduled([f32(8192, columns)], compute)
    (tile,) = tiles_of(program)
    assert tile.source_stride == columns
    innermost = [loop for loop in loops_of(program) if all(isinstance(inner, Store) for inner in loop.body)]
    assert [(loop.mode, loop.carries) for loop in innermost] == [(Mode.VECTOR, ())]


def test_results_of_elements_go_back_the_same_way_and_what_passes_leave_stays_in_registers() -> None:
    program = scheduled([f32(20000, 10)], softmax)
    gathered, scattered = tiles_of(program)
    assert (gathered.source_stride, scattered.target_stride) == (10, 10)
    (kernel,) = program.kernels
    stored = {s.buffer for s in walk_statements(kernel.body) if isinstance(s, Store)}
    assert stored == {scattered.source}


def test_each_thread_has_a_block_of_its_own() -> None:
    program = scheduled([f32(20000, 10)], largest)
    (kernel,) = program.kernels
    (shared,) = parallel_loops(kernel.body)
    assert tiles_of(program)[0].target in shared.private


@pytest.mark.parametrize(
    ("shape", "compute"),
    [((8192, 4), largest), ((8192, 40), softmax), ((8192, 16), total), ((500, 10), largest), ((2000, 10), softmax)],
    ids=["shuffled by LLVM", "long rows", "sums of long rows", "few rows", "few rows for much code"],
)
def test_other_rows_stay_as_they_are(shape: tuple[int, int], compute: Callable[..., Var]) -> None:
    assert not any(tile.source_stride == shape[1] for tile in tiles_of(scheduled([f32(*shape)], compute)))


def test_rows_that_are_changed_in_place_stay_as_they_are() -> None:
    assert tiles_of(scheduled([f32(20000, 10)], softmax))
    assert not tiles_of(scheduled([f32(20000, 10)], softmax, ((0, 0),)))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "uint8", "int32", "int64", "bool"])
def test_every_row_has_its_own_result(dtype: str, tmp_path: Path) -> None:
    computed: list[Callable[..., Var | Sequence[Var]]] = [largest, least]
    computed += [] if dtype == "bool" else [places]
    cases: list[Case] = []
    for shape in ((1024, 4), (1025, 5), (1087, 7), (3000, 10), (70001, 13), (1100, 20), (1030, 10, 3), (40, 60, 9)):
        x = odd_rows(shape, dtype)
        for compute in computed if len(shape) == 2 else [largest]:
            cases.append(case(f"{compute.__name__} {shape}", compute, x))
    check(cases, tmp_path)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_row_has_its_own_elements(dtype: str, tmp_path: Path) -> None:
    tolerance = close(f32=4e-6, f64=2e-14)
    cases: list[Case] = []
    for shape in ((20000, 5), (40001, 8), (10007, 3)):
        x = np.random.default_rng(3).standard_normal(shape).astype(dtype)
        x[17, 2], x[19, 1], x[20] = np.nan, np.inf, -np.inf
        cases.append(case(f"softmax {shape}", softmax, x, compare=tolerance))
        cases.append(case(f"softmax in place {shape}", softmax, x, compare=tolerance, donated=((0, 0),)))
        cases.append(case(f"sum {shape}", total, x, compare=tolerance))
        if dtype == "float32":
            cases.append(case(f"normalised {shape}", normalised, np.nan_to_num(x), compare=tolerance))
    check(cases, tmp_path)
