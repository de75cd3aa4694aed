"""Rows' largest elements found for many rows at a time: no vector's lanes are folded by themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from compiled import Case, case, check, close
from loop_programs import f32, softmax
from row_programs import X86, largest, least, loops_of, odd_rows, places, scheduled, tiles_of, total

from tenfoldc.ir.builder import Var
from tenfoldc.loops.ir import Mode
from tenfoldc.loops.traversal import parallel_loops


@pytest.mark.parametrize("compute", [largest, least])
@pytest.mark.parametrize("columns", [16, 37, 100])
def test_lanes_of_many_rows_are_folded_at_a_time(compute: Callable[..., Var], columns: int) -> None:
    program = scheduled([f32(4096, columns)], compute)
    (tile,) = tiles_of(program)
    assert tile.source_stride == X86.vector_bytes // 4
    assert not any(loop.carries for loop in loops_of(program))
    assert [loop.mode for loop in loops_of(program)[-2:]] == [Mode.LANES, Mode.VECTOR]


def test_rows_that_are_passed_over_again_know_their_largest() -> None:
    program = scheduled([f32(4096, 100)], softmax)
    assert len(tiles_of(program)) == 1
    (kernel,) = program.kernels
    (shared,) = parallel_loops(kernel.body)
    assert {buffer for buffer in kernel.scratch if buffer.name[:4] in ("part", "turn", "kept")} <= set(shared.private)


@pytest.mark.parametrize(
    ("shape", "compute"),
    [((4096, 37), total), ((8, 37), largest), ((4096, 4000), largest), ((512, 3000), softmax), ((4096, 37), softmax)],
    ids=["sums", "few rows", "long rows", "long rows twice", "short rows twice"],
)
def test_other_rows_are_folded_one_by_one(shape: tuple[int, int], compute: Callable[..., Var]) -> None:
    assert not tiles_of(scheduled([f32(*shape)], compute))


def test_rows_that_are_changed_in_place_are_read_before() -> None:
    assert not tiles_of(scheduled([f32(4096, 100)], softmax, ((0, 0),)))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_every_row_has_its_own_result(dtype: str, tmp_path: Path) -> None:
    computed: list[Callable[..., Var | Sequence[Var]]] = [largest, least, places]
    cases: list[Case] = []
    for shape in ((33, 9), (64, 16), (1000, 17), (131, 37), (4099, 24), (700, 100), (90, 257)):
        x = odd_rows(shape, dtype)
        cases += [case(f"{compute.__name__} {shape}", compute, x) for compute in computed]
    check(cases, tmp_path)


def test_every_row_has_its_own_elements(tmp_path: Path) -> None:
    tolerance = close(f32=4e-6, f64=2e-14)
    cases: list[Case] = []
    for shape in ((1000, 17), (131, 37), (700, 100)):
        x = np.random.default_rng(3).standard_normal(shape).astype(np.float32)
        x[17, 2], x[19, 1], x[20] = np.nan, np.inf, -np.inf
        cases.append(case(f"softmax {shape}", softmax, x, compare=tolerance))
        cases.append(case(f"softmax in place {shape}", softmax, x, compare=tolerance, donated=((0, 0),)))
    check(cases, tmp_path)
