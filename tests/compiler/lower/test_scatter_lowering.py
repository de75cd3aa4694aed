"""The lowering of scatter, executed on loop IR, against its reference."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from plain_context import LoadProgram, assert_lowered

from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.lower.scatter import lower_scatter
from tenfoldc.ops import ScatterAttributes, ScatterDimensionNumbers

ROWS = ScatterDimensionNumbers(
    update_window_dims=(1,), inserted_window_dims=(0,), scatter_dims_to_operand_dims=(0,), index_vector_dim=1
)
CORNERS = ScatterDimensionNumbers(update_window_dims=(0, 2), scatter_dims_to_operand_dims=(1, 0), index_vector_dim=0)
BATCHED = ScatterDimensionNumbers(
    update_window_dims=(2,),
    inserted_window_dims=(1,),
    input_batching_dims=(0,),
    scatter_indices_batching_dims=(1,),
    scatter_dims_to_operand_dims=(1,),
    index_vector_dim=2,
)


def scatter(numbers: ScatterDimensionNumbers, combine: Callable[[Var, Var], Var]) -> Callable[[Var, Var, Var], Var]:
    attributes = ScatterAttributes(numbers)
    return lambda x, indices, updates: ops.scatter_with(x, indices, updates, attributes, combine)


@pytest.mark.parametrize("combine", [ops.add, ops.subtract, lambda old, new: new])
def test_rows_meet_their_updates_in_order(combine: Callable[[Var, Var], Var], load_program: LoadProgram):
    rng = np.random.default_rng(71)
    x, updates = rng.standard_normal((5, 3)), rng.standard_normal((8, 3))
    indices = np.array([[3], [-1], [3], [0], [5], [3], [0], [4]], np.int32)
    assert_lowered(scatter(ROWS, combine), [x, indices, updates], lower_scatter, load_program)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.uint64])
def test_extreme_indices_are_dropped(dtype: type[np.generic]):
    rng = np.random.default_rng(72)
    limits = np.iinfo(dtype)
    x, updates = rng.standard_normal((3, 2)), rng.standard_normal((4, 2))
    indices = np.array([[limits.max], [1], [limits.min], [limits.max - 1]], dtype)
    assert_lowered(scatter(ROWS, ops.add), [x, indices, updates], lower_scatter)


def test_windows_are_clipped_on_every_side(load_program: LoadProgram):
    rng = np.random.default_rng(73)
    x, updates = rng.standard_normal((4, 5)), rng.standard_normal((2, 9, 3))
    indices = np.array([[-1, 1, 3, 4, -3, -2, 5, 2, 0], [2, -2, 3, 4, 0, -1, 1, 3, -9]], np.int64)
    assert_lowered(scatter(CORNERS, ops.add), [x, indices, updates], lower_scatter, load_program)


def test_batches_scatter_into_their_own_input(load_program: LoadProgram):
    rng = np.random.default_rng(74)
    x, updates = rng.standard_normal((3, 4, 2)), rng.standard_normal((5, 3, 2))
    indices = rng.integers(-1, 5, (5, 3)).astype(np.int32)
    assert_lowered(scatter(BATCHED, ops.add), [x, indices, updates], lower_scatter, load_program)


def test_inputs_that_exchange_values_are_read_before_they_are_written(load_program: LoadProgram):
    rng = np.random.default_rng(75)
    x, y = rng.standard_normal((2, 4))
    u, v = rng.standard_normal((2, 3))
    numbers = ScatterDimensionNumbers(inserted_window_dims=(0,), scatter_dims_to_operand_dims=(0,), index_vector_dim=1)

    def build(x: Var, y: Var, i: Var, u: Var, v: Var) -> tuple[Var, ...]:
        return ops.scatter([x, y], i, [u, v], lambda a, b, c, d: (ops.add(b, c), ops.multiply(a, d)), numbers)

    assert_lowered(build, [x, y, np.array([2, 2, 0], np.int32), u, v], lower_scatter, load_program)


@pytest.mark.parametrize(("rows", "updates"), [(0, 3), (4, 0), (1, 1)])
def test_few_or_no_rows(rows: int, updates: int):
    rng = np.random.default_rng(76)
    arrays = [rng.standard_normal((rows, 2)), np.zeros((updates, 1), np.int32), rng.standard_normal((updates, 2))]
    assert_lowered(scatter(ROWS, ops.add), arrays, lower_scatter)


def test_a_scalar_takes_every_update():
    numbers = ScatterDimensionNumbers(index_vector_dim=1)
    arrays = [np.array(1.0), np.zeros((3, 0), np.int32), np.array([2.0, 3.0, 4.0])]
    (result,) = assert_lowered(scatter(numbers, ops.subtract), arrays, lower_scatter)
    assert result == -8.0
