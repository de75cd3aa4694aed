"""Windows: a thread for each, and for each element that they scatter to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from compiled import Case, case, close
from simulated import check, launches, plan_of

from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops.comparison import Direction, compare
from tenfoldc.ops.reducer import Reducer, body_of
from tenfoldc.ops.window import reduce_window, select_and_scatter

SUMS = close(f32=1e-5, f64=1e-12)
Padding = Sequence[tuple[int, int]]
NONE = [(0, 0)] * 3


def _reduced(x: Any, reducer: Reducer, init: float, *windows: Any) -> Case:
    def reduced(a: Var) -> Var:
        return reduce_window([a], [ops.constant(a.builder, init, a.dtype)], body_of(reducer), *windows)[0]

    return case(str(windows), reduced, x, compare=SUMS)


@pytest.mark.parametrize(
    ("window", "strides", "base", "dilation", "padding"),
    [
        ([1, 2, 2], [1, 2, 2], [1, 1, 1], [1, 1, 1], NONE),
        ([1, 3, 3], [1, 2, 2], [1, 1, 1], [1, 1, 1], [(0, 0), (1, 1), (2, 0)]),
        ([1, 3, 3], [1, 2, 1], [1, 2, 1], [1, 2, 3], [(0, 0), (1, 1), (2, 4)]),
        ([1, 2, 3], [1, 1, 1], [1, 3, 1], [1, 1, 1], [(0, 0), (-1, 1), (-2, -1)]),
        ([1, 20, 3], [1, 1, 1], [1, 1, 1], [1, 1, 1], NONE),
    ],
)
def test_windows_of_all_shapes(
    window: list[int],
    strides: list[int],
    base: list[int],
    dilation: list[int],
    padding: Padding,
    rng: np.random.Generator,
) -> None:
    x = rng.standard_normal((2, 13, 11)).astype(np.float32)
    windows = (window, strides, base, dilation, padding)
    check([_reduced(x, Reducer.MAX, -np.inf, *windows), _reduced(x, Reducer.SUM, 1.5, *windows)])


def test_each_window_has_a_thread() -> None:
    x = np.zeros((4, 64, 64), np.float32)
    plan = plan_of([_reduced(x, Reducer.MAX, -np.inf, [1, 3, 3], [1, 1, 1], (), (), [(0, 0), (1, 1), (1, 1)]).module])
    assert [(launch.grid, launch.threads) for launch in launches(plan)] == [(64, 256)]


def _scattered(x: Any, source: Any, window: list[int], strides: list[int], padding: Padding) -> Case:
    def scattered(a: Var, b: Var) -> Var:
        init = ops.constant(a.builder, 0.25, a.dtype)
        return select_and_scatter(
            a,
            b,
            init,
            lambda x, y: [compare(x, y, Direction.GE)],
            lambda x, y: [ops.add(x, y)],
            window,
            strides,
            padding,
        )

    return case(str((window, strides, padding)), scattered, x, source, compare=SUMS)


@pytest.mark.parametrize(
    ("window", "strides", "padding", "windows"),
    [
        ([1, 2, 2], [1, 2, 2], NONE, (2, 6, 5)),
        ([1, 3, 3], [1, 2, 2], [(0, 0), (1, 1), (1, 0)], (2, 6, 5)),
        ([2, 3, 2], [1, 1, 3], [(1, 0), (-1, 2), (2, 2)], (2, 11, 5)),
        ([1, 13, 3], [1, 1, 1], NONE, (2, 0, 8)),
        ([1, 2, 2], [1, 3, 4], NONE, (2, 4, 3)),
    ],
)
def test_windows_scatter_to_what_they_choose(
    window: list[int], strides: list[int], padding: Padding, windows: tuple[int, ...], rng: np.random.Generator
) -> None:
    x = rng.integers(0, 4, (2, 12, 10)).astype(np.float32)
    check([_scattered(x, rng.standard_normal(windows).astype(np.float32), window, strides, padding)])


def test_a_scalar_is_its_own_window() -> None:
    check([_scattered(np.float32(2), np.float32(3), [], [], [])])


def test_windows_that_overlap_take_two_launches() -> None:
    x, source = np.zeros((2, 64, 64), np.float32), np.zeros((2, 62, 62), np.float32)
    plan = plan_of([_scattered(x, source, [1, 3, 3], [1, 1, 1], NONE).module])
    assert [launch.grid for launch in launches(plan)] == [31, 32]
