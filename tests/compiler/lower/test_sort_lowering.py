"""The lowerings of sort and top_k, executed on loop IR, against their references."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from plain_context import LoadProgram, assert_lowered

from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.lower import sort
from tenfoldc.lower.sort import lower_sort, lower_top_k
from tenfoldc.ops import Direction


@pytest.mark.parametrize("size", [0, 1, 2, 7, 8, 9, 16, 17, 41])
@pytest.mark.parametrize("descending", [False, True])
def test_lines_of_any_length(size: int, descending: bool):
    x = np.random.default_rng(81).integers(0, 9, (2, size)).astype(np.float64)
    x[:, ::5] = np.nan
    assert_lowered(lambda x: ops.sort_with_indices(x, 1, descending), [x], lower_sort)


@pytest.mark.parametrize("size", [15, 17, 33, 64, 129])
@pytest.mark.parametrize("blocks", [2, 16])
def test_lines_in_blocks(size: int, blocks: int, monkeypatch: pytest.MonkeyPatch):
    """Blocks of 8 elements or more, in one to five rounds, the last block of any length; equal elements keep order."""
    monkeypatch.setattr(sort, "LONG", 14)
    monkeypatch.setattr(sort, "MOST_BLOCKS", blocks)
    x = np.random.default_rng(86).integers(0, 9, (2, size)).astype(np.float64)
    x[:, ::5] = np.nan
    assert_lowered(lambda x: ops.sort_with_indices(x, 1), [x], lower_sort)


@pytest.mark.parametrize("dimension", [0, 1, 2])
def test_any_axis(dimension: int, load_program: LoadProgram):
    x = np.random.default_rng(82).integers(0, 4, (11, 3, 10))
    assert_lowered(lambda x: ops.sort_with_indices(x, dimension), [x], lower_sort, load_program)


@pytest.mark.parametrize("order", [np.arange(37), np.arange(37)[::-1], np.zeros(37)])
def test_lines_in_order_already(order: np.ndarray, load_program: LoadProgram):
    assert_lowered(lambda x: ops.sort_with_indices(x, 0), [order.astype(np.float32)], lower_sort, load_program)


def test_a_comparator_over_several_operands(load_program: LoadProgram):
    rng = np.random.default_rng(83)
    keys, ties, flags = rng.integers(0, 3, 30), rng.standard_normal(30), rng.integers(0, 2, 30) > 0

    def build(*operands: Var) -> Sequence[Var]:
        def comparator(a: Var, b: Var, x: Var, y: Var, f: Var, g: Var) -> tuple[Var]:
            tied = ops.and_(ops.compare(a, b, Direction.EQ), ops.compare(x, y, Direction.GT))
            return (ops.or_(ops.compare(a, b, Direction.LT), tied),)

        return ops.sort(operands, 0, True, comparator)

    assert_lowered(build, [keys, ties, flags], lower_sort, load_program)


@pytest.mark.parametrize("few", [32, 2])
@pytest.mark.parametrize("k", [0, 1, 3, 20])
def test_top_k(k: int, few: int, monkeypatch: pytest.MonkeyPatch, load_program: LoadProgram):
    """By insertion and, where `FEW` is small, by sorting."""
    monkeypatch.setattr(sort, "FEW", few)
    x = np.random.default_rng(84).integers(0, 9, (3, 20)).astype(np.float64)
    x[1, 4:9] = np.nan
    assert_lowered(lambda x: ops.top_k(x, k), [x], lower_top_k, load_program)


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int32])
def test_top_k_of_other_types(dtype: type[np.generic]):
    x = np.random.default_rng(85).integers(0, 3, (2, 12)).astype(dtype)
    assert_lowered(lambda x: ops.top_k(x, 5), [x], lower_top_k)


def test_top_k_of_no_lines():
    assert_lowered(lambda x: ops.top_k(x, 2), [np.zeros((0, 3))], lower_top_k)
