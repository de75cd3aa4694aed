"""Gather: values against NumPy indexing and explicit loops, its rules against each other."""

from __future__ import annotations

import numpy as np
import pytest
from checking import check_op, evaluate

from tenfold_rt.errors import ArgumentError, DTypeError, ShapeError
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops import GatherDimensionNumbers

ROWS = GatherDimensionNumbers(offset_dims=(1,), collapsed_slice_dims=(0,), start_index_map=(0,), index_vector_dim=1)


def take_rows(x: Var, indices: Var) -> Var:
    return ops.gather(x, indices, ROWS, (1, x.sizes[1]))


def test_rows_are_taken_and_out_of_range_indices_clamped():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((5, 3))
    indices = np.array([[0], [4], [-7], [9], [2]], np.int32)
    check_op(take_rows, [x, indices], x[[0, 4, 0, 4, 2]], rng=rng)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.uint64])
def test_indices_of_every_integer_type_clamp(dtype: type[np.generic]):
    rng = np.random.default_rng(2)
    x = rng.standard_normal((3, 2))
    extreme = np.iinfo(dtype)
    indices = np.array([[extreme.max], [1], [extreme.min]], dtype)
    check_op(take_rows, [x, indices], x[[2, 1, 0]], rng=rng)


def test_an_axis_longer_than_the_index_type_counts_is_indexed():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((300, 1))
    check_op(take_rows, [x, np.array([[127], [-128]], np.int8)], x[[127, 0]], rng=rng)


def test_windows_start_where_index_vectors_say():
    rng = np.random.default_rng(4)
    x = rng.standard_normal((5, 6, 3))
    indices = rng.integers(-2, 8, (2, 2, 4)).astype(np.int32)
    numbers = GatherDimensionNumbers(
        offset_dims=(0, 3), collapsed_slice_dims=(1,), start_index_map=(1, 0), index_vector_dim=1
    )
    expected = np.zeros((2, 2, 4, 3))
    for i, j in np.ndindex(2, 4):
        column = min(max(indices[i, 0, j], 0), 5)
        row = min(max(indices[i, 1, j], 0), 3)
        expected[:, i, j, :] = x[row : row + 2, column, :]
    check_op(lambda x, i: ops.gather(x, i, numbers, (2, 1, 3)), [x, indices], expected, rng=rng)


def test_batching_dimensions_pair_operand_and_indices():
    rng = np.random.default_rng(5)
    x = rng.standard_normal((4, 3, 2))
    indices = rng.integers(0, 4, (3, 5, 2)).astype(np.int64)
    numbers = GatherDimensionNumbers(
        collapsed_slice_dims=(0,),
        operand_batching_dims=(1, 2),
        start_indices_batching_dims=(0, 2),
        start_index_map=(0,),
        index_vector_dim=3,
    )
    batch, column = np.arange(3)[:, None, None], np.arange(2)
    expected = x[indices, batch, column]
    check_op(lambda x, i: ops.gather(x, i, numbers, (1, 1, 1)), [x, indices], expected, rng=rng)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0)])
def test_no_indices_take_nothing(shape: tuple[int, ...]):
    rng = np.random.default_rng(6)
    numbers = GatherDimensionNumbers(collapsed_slice_dims=(0,), start_index_map=(0,), index_vector_dim=len(shape))
    x, indices = rng.standard_normal(4), np.zeros(shape, np.int32)
    check_op(lambda x, i: ops.gather(x, i, numbers, (1,)), [x, indices], np.zeros(shape), rng=rng)


def test_take_along_axis_is_that_of_numpy():
    rng = np.random.default_rng(7)
    x = rng.standard_normal((3, 5, 2))
    indices = rng.integers(0, 5, (3, 4, 2)).astype(np.int32)
    expected = np.take_along_axis(x, indices, 1)
    check_op(lambda x, i: ops.take_along_axis(x, i, 1), [x, indices], expected, rng=rng)


def test_index_vector_of_the_wrong_length_is_refused():
    with pytest.raises(ShapeError, match=r"index vectors hold 2 numbers .indices, axis 1."):
        evaluate(take_rows, np.zeros((3, 2)), np.zeros((4, 2), np.int32))


def test_float_indices_are_refused():
    with pytest.raises(DTypeError, match=r"indices are f64\[4, 1\]"):
        evaluate(take_rows, np.zeros((3, 2)), np.zeros((4, 1)))


def test_taking_from_an_empty_axis_is_refused():
    with pytest.raises(ShapeError, match=r"slice size 1 of 0 .operand, axis 0. does not fit"):
        evaluate(take_rows, np.zeros((0, 2)), np.zeros((4, 1), np.int32))


def test_an_axis_that_does_not_exist_is_refused():
    numbers = GatherDimensionNumbers(
        offset_dims=(1,), collapsed_slice_dims=(2,), start_index_map=(0,), index_vector_dim=1
    )
    with pytest.raises(ArgumentError, match="axis 2, but the rank is 2"):
        evaluate(lambda x, i: ops.gather(x, i, numbers, (1, 2)), np.zeros((3, 2)), np.zeros((4, 1), np.int32))
