"""Sorting kernels: stable, at any length, for any comparator; launches grow with the logarithm of the length."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compiled import Case, case
from simulated import check, launches, plan_of

from tenfold_rt import dtypes
from tenfoldc.ir.builder import Var
from tenfoldc.ops.bitwise import and_
from tenfoldc.ops.comparison import Direction, compare
from tenfoldc.ops.sort import sort, top_k


def _ascending(x: Var, y: Var, *_: Var) -> list[Var]:
    return [compare(x, y, Direction.LT)]


def _numbered(label: str, x: Any, axis: int = -1) -> Case:
    """A sort that takes along where each element was, so that elements that change places show."""
    places = np.arange(x.size, dtype=np.int64).reshape(x.shape)
    return case(label, lambda a, b: sort([a, b], axis, True, _ascending), x, places)


@pytest.mark.parametrize(
    ("shape", "axis"), [((1,), 0), ((5,), 0), ((3, 33), 1), ((33, 3), 0), ((2, 3, 5), 1), ((2, 1500), 1), ((0, 4), 1)]
)
def test_equal_elements_keep_their_order(shape: tuple[int, ...], axis: int, rng: np.random.Generator) -> None:
    check([_numbered("ties", rng.integers(0, 20, shape).astype(np.int32), axis)])


def test_lines_longer_than_two_tiles_are_merged_in_memory(rng: np.random.Generator) -> None:
    program = _numbered("long", rng.integers(0, 500, 2500).astype(np.int16))
    check([program])
    assert [launch.grid for launch in launches(plan_of([program.module]))] == [3, 10, 10]


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.int64, np.float16, dtypes.bf16.numpy, np.float32, np.float64])
def test_any_type_of_element(dtype: Any, rng: np.random.Generator) -> None:
    check([_numbered("typed", rng.integers(0, 5, (2, 70)).astype(dtype))])


def test_a_comparator_may_look_at_several_operands(rng: np.random.Generator) -> None:
    def before(x: Var, y: Var, u: Var, v: Var) -> list[Var]:
        return [and_(compare(x, y, Direction.LE), compare(u, v, Direction.GT))]

    x, u = np.zeros(40, np.int32), rng.permutation(40).astype(np.float32)
    check([case("both", lambda a, b: sort([a, b], 0, True, before), x, u)])


@pytest.mark.parametrize(("taken", "size"), [(3, 10), (1, 2000), (5, 2500), (600, 1500), (40, 40)])
def test_the_largest_come_first_and_a_nan_before_them(taken: int, size: int, rng: np.random.Generator) -> None:
    x = rng.integers(0, 40, (2, size)).astype(np.float32)
    x[0, 1] = np.nan
    check([case("largest", lambda a: top_k(a, taken), x)])


def test_few_of_many_take_two_launches() -> None:
    x = np.zeros((2, 60_000), np.float32)
    plan = plan_of([case("few", lambda a: top_k(a, 4), x).module])
    assert [launch.grid for launch in launches(plan)] == [118, 1]
