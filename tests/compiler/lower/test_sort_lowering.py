"""The lowering of sort, executed on loop IR, against its reference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from plain_context import LoadProgram, PlainContext, assert_lowered

from tenfold_rt import dtypes
from tenfoldc import ops
from tenfoldc.ir.builder import Builder, Var
from tenfoldc.ir.types import TensorType
from tenfoldc.loops.ir import For, If, Mode, While
from tenfoldc.loops.traversal import walk_statements
from tenfoldc.lower import sort
from tenfoldc.lower.sort import lower_sort
from tenfoldc.ops import Direction


@pytest.mark.parametrize("size", [0, 1, 2, 7, 8, 9, 16, 17, 31, 32, 33, 41])
@pytest.mark.parametrize("descending", [False, True])
def test_lines_of_any_length(size: int, descending: bool):
    x = np.random.default_rng(81).integers(0, 9, (2, size)).astype(np.float64)
    x[:, ::5] = np.nan
    assert_lowered(lambda x: ops.sort_with_indices(x, 1, descending), [x], lower_sort)


@pytest.mark.parametrize("size", [33, 47, 64, 129])
@pytest.mark.parametrize("blocks", [2, 16])
def test_lines_in_blocks(size: int, blocks: int, monkeypatch: pytest.MonkeyPatch):
    """Blocks of 16 elements or more, in one to four rounds, the last block of any length; equal elements keep order."""
    monkeypatch.setattr(sort, "LONG", 32)
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


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int16, np.float32, np.int64])
def test_counts_are_as_wide_as_elements(dtype: type, load_program: LoadProgram):
    x = np.random.default_rng(87).integers(0, 4, (2, 35)).astype(dtype)
    assert_lowered(lambda x: ops.sort_with_indices(x, 1), [x], lower_sort, load_program)


def test_runs_are_sorted_without_branches():
    builder = Builder()
    ops.sort_values(builder.parameter(TensorType(dtypes.f32, (3, 32))), 1)
    operation = builder.operations[-1]
    statements = list(walk_statements(lower_sort(operation, PlainContext(operation))))
    assert not any(isinstance(statement, While | If) for statement in statements)
    assert any(
        isinstance(statement, For) and statement.mode is Mode.LANES and statement.carries for statement in statements
    )
