"""Nests on a GPU: how many launches, how many threads a row, and that every element is there whatever the sizes."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from compiled import Array, Case, case, close
from simulated import call, check, launches, plan_of

import tenfold as tn
from tenfold.nn import functional
from tenfold_rt.cuda.plan import Plan
from tenfoldc import ops
from tenfoldc.gpu.lower.threads import across_rows, along_rows, parts_of
from tenfoldc.ir.core import Module

Function = Callable[[tn.Tensor], object]

SIZES = ((1, 1), (1, 3), (5, 31), (33, 32), (2, 257), (40, 100), (70, 5), (2, 1030))
CLOSE = close(f32=1e-5, f64=1e-13)


def softmax(x: tn.Tensor) -> tn.Tensor:
    return functional.softmax(x, dim=-1)


def normalised(x: tn.Tensor) -> tn.Tensor:
    return functional.layer_norm(x, (x.shape[-1],)) + 1


def column_sums(x: tn.Tensor) -> tuple[tn.Tensor, tn.Tensor]:
    return tn.sum(x, dim=0), tn.amax(x, dim=0)


def totals(x: tn.Tensor) -> tuple[tn.Tensor, tn.Tensor]:
    return tn.sum(x * x), tn.amin(x)


def largest(x: tn.Tensor) -> tn.Tensor:
    return tn.argmax(x, -1)


def are_positive(x: tn.Tensor) -> tn.Tensor:
    return tn.all(x > -1, dim=-1)


def module(function: Function, *arrays: Array) -> Module:
    lowered = tn.compile(function).lower(*arrays).module
    (name,) = lowered.entries
    return Module({**lowered.functions, "main": lowered[name]}, ("main",))


def plan(function: Function, *sizes: int) -> Plan:
    return plan_of([module(function, np.zeros(sizes, np.float32))])


def program(function: Function, x: Array) -> Case:
    return Case(f"{function.__name__} of {x.shape}", module(function, x), (x,), CLOSE)


@pytest.mark.parametrize("function", [softmax, normalised, column_sums, totals, largest, are_positive])
def test_every_size_gives_what_the_reference_gives(function: Function, rng: np.random.Generator) -> None:
    check([program(function, rng.standard_normal(size, dtype=np.float32)) for size in SIZES], schedules=[1])


@pytest.mark.parametrize("function", [softmax, totals])
def test_long_rows_give_what_the_reference_gives(function: Function, rng: np.random.Generator) -> None:
    check([program(function, rng.standard_normal((2, 17_001), dtype=np.float32))], schedules=[2])


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int8, np.int64, np.bool_])
def test_sums_of_every_type(dtype: type, rng: np.random.Generator) -> None:
    x = rng.integers(0, 2, (9, 130)).astype(dtype)
    check([case(str(axes), lambda x, axes=axes: ops.reduce_sum(x, axes), x) for axes in ((0,), (1,), (0, 1))])


def test_nothing_folded_is_the_neutral_number() -> None:
    empty = np.zeros((3, 0), np.float32)
    check(
        [
            case("rows", lambda x: ops.reduce_sum(x, (1,)), empty),
            case("all", lambda x: ops.reduce_sum(x, (0, 1)), empty),
        ]
    )


def test_nan_and_infinity_go_through_a_row() -> None:
    x = np.array([[1.0, np.nan, 2.0], [np.inf, 1.0, 2.0], [-np.inf, -np.inf, -np.inf]], np.float32)
    check([program(softmax, x), program(largest, x), program(totals, x)])


# How the work is shared out


@pytest.mark.parametrize("function", [softmax, normalised])
def test_a_row_that_fits_in_registers_takes_one_launch_and_reads_memory_once(function: Function) -> None:
    made = plan(function, 64, 1024)
    (launch,) = launches(made)
    assert (launch.grid, launch.threads) == (32, 256)
    assert len(re.findall(r"ld\.global\.nc\.v4\.b32", made.ptx)) == 2
    assert not re.search(r"ld\.global\.nc\.b32|ld\.global\.b32", made.ptx)


def test_long_rows_are_passed_over_in_loops_by_the_largest_blocks() -> None:
    made = plan(softmax, 300, 100_000)
    assert max(launch.threads for launch in launches(made)) == 1024
    assert "bra" in made.ptx


def test_elementwise_work_moves_sixteen_bytes_at_a_time() -> None:
    made = plan(lambda x: x * 2 + 1, 1000, 4)
    (launch,) = launches(made)
    assert (launch.grid, launch.threads) == (4, 256)
    assert "ld.global.nc.v4.b32" in made.ptx
    assert "st.global.v4.b32" in made.ptx


def test_a_sum_of_few_long_rows_is_shared_by_blocks() -> None:
    first, second = launches(plan(totals, 1000, 1000))
    assert first.grid > 50
    assert second.grid == 1


def test_equal_kernels_are_written_once() -> None:
    def twice(x: tn.Tensor) -> tuple[tn.Tensor, tn.Tensor]:
        product = x @ functional.softmax(x, dim=0)
        return product, functional.softmax(product, dim=0)

    made = plan(twice, 64, 64)
    first, *_, last = launches(made)
    assert first.kernel == last.kernel


def test_results_do_not_depend_on_how_warps_are_scheduled(rng: np.random.Generator) -> None:
    x = rng.standard_normal((100, 700), dtype=np.float32)
    made = plan(column_sums, *x.shape)
    assert len({b"".join(result.tobytes() for result in call(made, [x], schedule=s)) for s in range(4)}) == 1


@pytest.mark.parametrize("length", [1, 2, 31, 1000, 4096, 16384, 10**6])
def test_a_team_reaches_every_element_of_its_row(length: int) -> None:
    for vector in (1, 2, 4, 8):
        if length % vector == 0:
            team = along_rows(length, vector, 3)
            assert team.threads * team.cells * team.vector >= length
            assert team.size <= 1024
            assert team.is_looped or team.cells * team.vector <= 32
    team = across_rows(length, 40, 3)
    assert team.threads * team.cells >= length
    assert team.size <= 1024


def test_many_rows_are_not_cut_into_parts() -> None:
    team = along_rows(4096, 4, 3)
    assert parts_of(4096, 5000, team) == 1
    assert parts_of(10**7, 1, team) > 100
