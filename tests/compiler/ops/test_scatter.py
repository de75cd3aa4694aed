"""Scatter: values against explicit loops, its rules against each other for every body that has derivatives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from checking import apply_once, check_batching, check_op, distinct, evaluate
from numpy.typing import NDArray

from tenfold_rt.errors import ShapeError, UnsupportedError
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops import ScatterAttributes, ScatterDimensionNumbers

ROWS = ScatterDimensionNumbers(
    update_window_dims=(1,), inserted_window_dims=(0,), scatter_dims_to_operand_dims=(0,), index_vector_dim=1
)


def scatter_rows(
    combine: Callable[[Var, Var], Var], unique: bool = False, numbers: ScatterDimensionNumbers = ROWS
) -> Callable[[Var, Var, Var], Var]:
    attributes = ScatterAttributes(numbers, unique_indices=unique)
    return lambda x, indices, updates: ops.scatter_with(x, indices, updates, attributes, combine)


def replace(old: Var, new: Var) -> Var:
    return new


def rows_case(indices: list[int], seed: int) -> tuple[np.random.Generator, list[NDArray[np.generic]]]:
    rng = np.random.default_rng(seed)
    values = distinct(rng, (5 + len(indices), 2))
    return rng, [values[:5], np.array(indices, np.int32)[:, None], values[5:]]


COMBINATIONS = {
    "add": (ops.add, np.add),
    "multiply": (ops.multiply, np.multiply),
    "maximum": (ops.maximum, np.maximum),
    "minimum": (ops.minimum, np.minimum),
    "replace": (replace, lambda old, new: new),
}


@pytest.mark.parametrize("name", COMBINATIONS)
def test_unique_updates_meet_their_rows_and_others_are_dropped(name: str):
    rng, (x, indices, updates) = rows_case([3, -1, 0, 5, 4], 11)
    record, combine = COMBINATIONS[name]
    expected = x.copy()
    for row, update in zip(indices[:, 0], updates, strict=True):
        if 0 <= row < 5:
            expected[row] = combine(expected[row], update)
    check_op(scatter_rows(record, unique=True), [x, indices, updates], expected, rng=rng)


@pytest.mark.parametrize("name", ["add", "maximum", "minimum", "replace"])
def test_repeated_updates_combine_in_order(name: str):
    rng, (x, indices, updates) = rows_case([1, 3, 1, 1, 3, 7], 12)
    record, combine = COMBINATIONS[name]
    expected = x.copy()
    for row, update in zip(indices[:, 0], updates, strict=True):
        if row < 5:
            expected[row] = combine(expected[row], update)
    check_op(scatter_rows(record), [x, indices, updates], expected, rng=rng)


def test_windows_that_lie_partly_outside_keep_what_is_inside():
    rng = np.random.default_rng(13)
    x, updates = rng.standard_normal((4, 5)), rng.standard_normal((3, 2, 3))
    indices = np.array([[-1, 1, 3], [2, -2, 4]], np.int64)
    numbers = ScatterDimensionNumbers(
        update_window_dims=(1, 2), scatter_dims_to_operand_dims=(0, 1), index_vector_dim=0
    )
    expected = x.copy()
    for k, i, j in np.ndindex(3, 2, 3):
        row, column = indices[0, k] + i, indices[1, k] + j
        if 0 <= row < 4 and 0 <= column < 5:
            expected[row, column] += updates[k, i, j]
    check_op(scatter_rows(ops.add, numbers=numbers), [x, indices, updates], expected, rng=rng)


def test_of_overlapping_windows_the_last_wins():
    rng = np.random.default_rng(14)
    x, updates = rng.standard_normal(6), rng.standard_normal((3, 3))
    indices = np.array([2, 0, 1], np.int32)
    numbers = ScatterDimensionNumbers(update_window_dims=(1,), scatter_dims_to_operand_dims=(0,), index_vector_dim=1)
    expected = x.copy()
    for start, update in zip(indices, updates, strict=True):
        expected[start : start + 3] = update
    check_op(scatter_rows(replace, numbers=numbers), [x, indices, updates], expected, rng=rng)


def test_batching_dimensions_pair_inputs_and_indices():
    rng = np.random.default_rng(15)
    x, updates = rng.standard_normal((3, 4, 2)), rng.standard_normal((3, 6, 2))
    indices = rng.integers(-1, 5, (3, 6)).astype(np.int32)
    numbers = ScatterDimensionNumbers(
        update_window_dims=(2,),
        inserted_window_dims=(1,),
        input_batching_dims=(0,),
        scatter_indices_batching_dims=(0,),
        scatter_dims_to_operand_dims=(1,),
        index_vector_dim=2,
    )
    expected = x.copy()
    for b, k in np.ndindex(3, 6):
        if 0 <= indices[b, k] < 4:
            expected[b, indices[b, k]] += updates[b, k]
    check_op(scatter_rows(ops.add, numbers=numbers), [x, indices, updates], expected, rng=rng)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.uint64])
def test_extreme_indices_are_dropped(dtype: type[np.generic]):
    rng = np.random.default_rng(16)
    limits = np.iinfo(dtype)
    x, updates = rng.standard_normal((3, 2)), rng.standard_normal((3, 2))
    indices = np.array([[limits.max], [1], [limits.min or limits.max - 1]], dtype)
    expected = x.copy()
    expected[1] += updates[1]
    check_op(scatter_rows(ops.add), [x, indices, updates], expected, rng=rng)


def test_an_empty_input_drops_everything():
    rng = np.random.default_rng(17)
    arrays = [np.zeros((0, 2)), np.zeros((3, 1), np.int32), rng.standard_normal((3, 2))]
    check_op(scatter_rows(ops.add), arrays, np.zeros((0, 2)), rng=rng)


def test_no_updates_leave_the_input():
    rng = np.random.default_rng(18)
    x = rng.standard_normal((3, 2))
    check_op(scatter_rows(replace), [x, np.zeros((0, 1), np.int32), np.zeros((0, 2))], x, rng=rng)


def test_several_inputs_are_combined_together():
    rng = np.random.default_rng(19)
    x, y = rng.standard_normal((2, 4))
    u, v = rng.standard_normal((2, 3))
    indices = np.array([2, 2, 0], np.int32)
    numbers = ScatterDimensionNumbers(inserted_window_dims=(0,), scatter_dims_to_operand_dims=(0,), index_vector_dim=1)

    def build(x: Var, y: Var, i: Var, u: Var, v: Var) -> tuple[Var, ...]:
        body = lambda a, b, c, d: (ops.add(a, d), ops.multiply(b, c))  # noqa: E731
        return ops.scatter([x, y], i, [u, v], body, numbers)

    first, second = x.copy(), y.copy()
    for k, i in enumerate(indices):
        first[i], second[i] = first[i] + v[k], second[i] * u[k]
    arrays = [x, y, indices, u, v]
    actual = evaluate(build, *arrays)
    np.testing.assert_allclose(actual[0], first)
    np.testing.assert_allclose(actual[1], second)
    check_batching(apply_once(build, arrays), rng)


def test_multiplying_by_updates_that_may_repeat_has_no_derivative():
    rng, arrays = rows_case([1, 3], 20)
    with pytest.raises(UnsupportedError, match="multiply by its updates needs unique indices"):
        check_op(scatter_rows(ops.multiply), arrays, rng=rng)


def test_an_unknown_body_is_named():
    rng, arrays = rows_case([1, 3], 21)
    with pytest.raises(UnsupportedError, match="no derivative for the body of subtract"):
        check_op(scatter_rows(ops.subtract), arrays, rng=rng)


def test_updates_of_another_length_are_refused():
    with pytest.raises(ShapeError, match=r"updates f64\[3, 2\] hold \(3\) windows, the indices \(2\) vectors"):
        evaluate(scatter_rows(ops.add), np.zeros((5, 2)), np.zeros((2, 1), np.int32), np.zeros((3, 2)))


def test_a_window_larger_than_the_input_is_refused():
    with pytest.raises(ShapeError, match=r"window size 3 .updates, axis 1. exceeds 2 .input, axis 1."):
        evaluate(scatter_rows(ops.add), np.zeros((5, 2)), np.zeros((2, 1), np.int32), np.zeros((2, 3)))
