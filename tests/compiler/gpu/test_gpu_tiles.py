"""Elementwise work across memory goes through tiles in shared memory, whatever is fused with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compiled import Build, case
from simulated import check, launches, plan_of

from tenfold_rt import dtypes
from tenfoldc import ops
from tenfoldc.ir.builder import Var


def _transpose(*permutation: int) -> Build:
    return lambda a: ops.transpose(a, permutation)


@pytest.mark.parametrize(
    ("shape", "permutation"),
    [
        ((40, 50), (1, 0)),
        ((8, 8), (1, 0)),
        ((64, 64), (1, 0)),
        ((3, 40, 50), (0, 2, 1)),
        ((33, 5, 70), (2, 1, 0)),
        ((9, 300), (1, 0)),
        ((300, 9), (1, 0)),
        ((5, 11, 12, 13), (3, 1, 0, 2)),
        ((7, 9), (1, 0)),
        ((0, 40), (1, 0)),
    ],
)
def test_any_permutation_at_any_size(
    shape: tuple[int, ...], permutation: tuple[int, ...], rng: np.random.Generator
) -> None:
    check([case("transposed", _transpose(*permutation), rng.standard_normal(shape).astype(np.float32))])


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.int64, np.float16, dtypes.bf16.numpy, np.float64])
def test_any_type_of_element(dtype: Any, rng: np.random.Generator) -> None:
    check([case("typed", _transpose(1, 0), rng.integers(0, 2, (70, 45)).astype(dtype))])


def _rows_and_columns(a: Var, b: Var) -> Var:
    return ops.add(ops.negate(ops.transpose(a, (1, 0))), b)


def _written_both_ways(a: Var, b: Var) -> list[Var]:
    total = _rows_and_columns(a, b)
    return [total, ops.transpose(total, (1, 0))]


def _a_part(a: Var, b: Var) -> Var:
    return ops.slice_(_rows_and_columns(a, b), [3, 2], [45, 39])


def _heads(a: Var, b: Var) -> Var:
    return ops.reshape(ops.transpose(ops.reshape(_rows_and_columns(a, b), (5, 10, 4, 10)), (0, 2, 1, 3)), (20, 100))


@pytest.mark.parametrize("build", [_rows_and_columns, _written_both_ways, _a_part, _heads])
def test_what_is_fused_is_computed_on_the_way(build: Build, rng: np.random.Generator) -> None:
    x, y = (rng.standard_normal(shape).astype(np.float32) for shape in ((40, 50), (50, 40)))
    check([case(build.__name__, build, x, y)], schedules=[0, 1, 2])


def test_the_fewest_accesses_are_staged(rng: np.random.Generator) -> None:
    x = rng.standard_normal((40, 50)).astype(np.float32)
    program = case("both", lambda a, b: ops.add(ops.transpose(a, (1, 0)), ops.transpose(b, (1, 0))), x, x + 1)
    check([program])
    assert plan_of([program.module]).ptx.count(".shared .align") == 1


def test_a_transpose_is_one_launch_through_shared_memory() -> None:
    plan = plan_of([case("large", _transpose(1, 0), np.zeros((1000, 2000), np.float32)).module])
    assert [(launch.grid, launch.threads) for launch in launches(plan)] == [(32 * 63, 256)]
    assert plan.ptx.count("st.shared.b32") == plan.ptx.count("ld.shared.b32") > 0
