"""Cumulative reductions: along and across memory, in one launch or in parts, forward and in reverse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from compiled import case, close
from simulated import check, launches, plan_of

from tenfold_rt import dtypes
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops.cumulative import cumulative_max, cumulative_min, cumulative_product, cumulative_sum
from tenfoldc.ops.reducer import Reducer, body_of
from tenfoldc.ops.window import reduce_window

SUMS = close(f32=1e-4, f64=1e-12)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("shape", "axis"), [((1,), 0), ((5,), 0), ((3, 33), 1), ((33, 3), 0), ((2, 3, 5), 1), ((256,), 0), ((70, 1, 40), 0)]
)
def test_sums_run_along_any_axis(shape: tuple[int, ...], axis: int, reverse: bool, rng: np.random.Generator) -> None:
    x = rng.standard_normal(shape).astype(np.float32)
    check([case("sums", lambda a: cumulative_sum(a, axis, reverse), x, compare=SUMS)])


@pytest.mark.parametrize("reverse", [False, True])
def test_long_lines_are_folded_in_parts_first(reverse: bool, rng: np.random.Generator) -> None:
    x = rng.standard_normal((200, 33)).astype(np.float32)
    program = case("parts", lambda a: cumulative_sum(a, 0, reverse), x, compare=SUMS)
    check([program], schedules=[0, 1, 2])
    assert [(launch.grid, launch.threads) for launch in launches(plan_of([program.module]))] == [(8, 256), (8, 256)]


def test_many_lines_take_one_launch_whatever_their_length() -> None:
    x = np.zeros((300, 9000), np.float32)
    plan = plan_of([case("lines", lambda a: cumulative_sum(a, 1), x).module])
    assert [launch.grid for launch in launches(plan)] == [300]


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.int64, np.float16, dtypes.bf16.numpy, np.float64])
@pytest.mark.parametrize("scan", [cumulative_sum, cumulative_max, cumulative_min, cumulative_product])
def test_any_type_of_element(scan: Callable[..., Var], dtype: Any, rng: np.random.Generator) -> None:
    x = rng.integers(0, 3, (3, 41)).astype(dtype)
    check([case("typed", lambda a: scan(a, 1), x, compare=SUMS)], schedules=[1])


def test_a_nan_is_the_largest_from_where_it_stands(rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 41)).astype(np.float32)
    x[1, 7] = np.nan
    check([case("nan", lambda a: cumulative_max(a, 1), x)])


def test_an_initial_value_is_combined_once(rng: np.random.Generator) -> None:
    x = rng.integers(0, 9, 100).astype(np.int32)

    def sums(a: Var) -> Var:
        init = ops.constant(a.builder, 1000, a.dtype)
        return reduce_window([a], [init], body_of(Reducer.SUM), [100], padding=[(99, 0)])[0]

    check([case("init", sums, x)])


def test_bodies_of_two_tensors_run_along_each_line(rng: np.random.Generator) -> None:
    x, places = rng.integers(0, 9, (3, 41)).astype(np.float32), np.tile(np.arange(41, dtype=np.int32), (3, 1))

    def largest(a: Var, b: Var) -> tuple[Var, ...]:
        inits = [ops.constant(a.builder, value, x.dtype) for value, x in ((-np.inf, a), (0, b))]
        return reduce_window([a, b], inits, body_of(Reducer.ARGMAX), [1, 41], padding=[(0, 0), (40, 0)])

    check([case("pairs", largest, x, places)])
