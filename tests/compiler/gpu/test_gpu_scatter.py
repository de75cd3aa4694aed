"""Scatter: as if updates were applied in order, by launches whose number does not depend on the indices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compiled import Array, Build, Case, case, close
from simulated import check, launches, plan_of

from tenfold_rt import dtypes
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops.reducer import Body
from tenfoldc.ops.scatter import ScatterDimensionNumbers, scatter

SUMS = close(f32=1e-4, f64=1e-10)
ELEMENTS = ScatterDimensionNumbers((), (0,), (), (), (0,), 1)
ROWS = ScatterDimensionNumbers((1,), (0,), (), (), (0,), 1)
BLOCKS = ScatterDimensionNumbers((1, 2), (), (), (), (0, 1), 1)


def _add(x: Var, y: Var) -> list[Var]:
    return [ops.add(x, y)]


def _replace(_: Var, y: Var) -> list[Var]:
    return [y]


def _halve_and_add(x: Var, y: Var) -> list[Var]:
    return [ops.add(ops.multiply(x, ops.constant(x.builder, 0.5, x.dtype)), y)]


def _scatter(body: Body, numbers: ScatterDimensionNumbers, **promises: bool) -> Build:
    return lambda a, i, u: scatter([a], i, [u], body, numbers, **promises)[0]


def _case(body: Body, numbers: ScatterDimensionNumbers, a: Array, i: Array, u: Array, **promises: bool) -> Case:
    return case(body.__name__, _scatter(body, numbers, **promises), a, i, u, compare=SUMS)


@pytest.mark.parametrize("body", [_add, _replace, _halve_and_add])
@pytest.mark.parametrize(("updates", "places"), [(1, 1), (5, 40), (300, 45)])
def test_elements_that_meet_are_combined_in_order(
    body: Body, updates: int, places: int, rng: np.random.Generator
) -> None:
    a, i = rng.standard_normal(37), rng.integers(-2, places, (updates, 1))
    check([_case(body, ELEMENTS, a, i.astype(np.int32), rng.standard_normal(updates))])


@pytest.mark.parametrize("places", [1, 3, 50])
def test_many_for_one_place_are_combined_in_chunks(places: int, rng: np.random.Generator) -> None:
    a, i, u = rng.standard_normal(37), rng.integers(0, places, (1100, 1)), rng.standard_normal(1100)
    check([_case(_add, ELEMENTS, a, i, u)])


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.int64, np.float16, dtypes.bf16.numpy, np.float32])
def test_any_type_of_element(dtype: Any, rng: np.random.Generator) -> None:
    a, u = (rng.integers(0, 3, size).astype(dtype) for size in (9, 60))
    check([_case(_add, ELEMENTS, a, rng.integers(0, 9, (60, 1)), u)])


@pytest.mark.parametrize("updates", [70, 1100])
def test_rows_are_combined_as_wholes(updates: int, rng: np.random.Generator) -> None:
    a, u = rng.standard_normal((9, 5)), rng.standard_normal((updates, 5))
    check([_case(_add, ROWS, a, rng.integers(-1, 10, (updates, 1)), u)])


@pytest.mark.parametrize("body", [_add, _replace])
@pytest.mark.parametrize("updates", [1, 2, 5, 80])
def test_blocks_may_overlap_in_part_and_hang_over_edges(body: Body, updates: int, rng: np.random.Generator) -> None:
    a, u = rng.standard_normal((9, 21)), rng.standard_normal((updates, 3, 4))
    check([_case(body, BLOCKS, a, rng.integers(-3, 20, (updates, 2)), u)])


def test_promises_are_used(rng: np.random.Generator) -> None:
    a, u = rng.standard_normal(37), rng.standard_normal(20)
    unique = _case(_add, ELEMENTS, a, rng.permutation(37)[:20].reshape(-1, 1), u, unique_indices=True)
    ordered = np.sort(rng.integers(-3, 40, (20, 1)), 0)
    in_order = _case(_add, ELEMENTS, a, ordered, u, indices_are_sorted=True)
    check([unique, in_order])
    assert [len(launches(plan_of([each.module]))) for each in (unique, in_order)] == [2, 3]


def test_a_body_may_combine_several_tensors(rng: np.random.Generator) -> None:
    a, i, u = rng.standard_normal((9, 5)), rng.integers(-1, 10, (30, 1)), rng.standard_normal((30, 5))

    def body(x: Var, y: Var, u: Var, v: Var) -> list[Var]:
        return [ops.add(x, v), ops.maximum(y, u)]

    def both(a: Var, b: Var, i: Var, u: Var, v: Var) -> tuple[Var, ...]:
        return scatter([a, b], i, [u, v], body, ROWS)

    check([case("both", both, a, 2 * a, i, u, 3 * u, compare=SUMS)])


def test_a_large_scatter_has_a_thread_for_each_element() -> None:
    a, i, u = np.zeros((1000, 64), np.float32), np.zeros((900, 1), np.int32), np.zeros((900, 64), np.float32)
    plan = plan_of([_case(_replace, ROWS, a, i, u).module])
    assert [(launch.grid, launch.threads) for launch in launches(plan)] == [(250, 256), (1, 256), (225, 256)]
