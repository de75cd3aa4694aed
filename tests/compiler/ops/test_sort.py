"""Sort and top_k: values against NumPy, any comparator, rules against each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from checking import check_op, distinct, evaluate

from tenfold_rt.errors import ArgumentError, DTypeError
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops import Direction


@pytest.mark.parametrize("size", [0, 1, 2, 3, 13, 64])
@pytest.mark.parametrize("descending", [False, True])
def test_values_are_sorted(size: int, descending: bool):
    rng = np.random.default_rng(51)
    x = distinct(rng, (3, size, 2))
    expected = np.sort(x, 1)[:, ::-1] if descending else np.sort(x, 1)
    check_op(lambda x: ops.sort_values(x, 1, descending), [x], expected, rng=rng)


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.uint32, np.float32])
def test_equal_elements_keep_their_order(dtype: type[np.generic]):
    rng = np.random.default_rng(52)
    x = rng.integers(0, 4, (5, 37)).astype(dtype)
    (indices,) = evaluate(lambda x: ops.argsort(x, 1), x)
    assert indices.dtype == np.int32
    np.testing.assert_array_equal(indices, np.argsort(x, 1, kind="stable"))


def test_descending_order_keeps_equal_elements_in_order_too():
    x = np.array([2, 3, 2, 3, 1, 3])
    (indices,) = evaluate(lambda x: ops.argsort(x, 0, True), x)
    np.testing.assert_array_equal(indices, [1, 3, 5, 0, 2, 4])


def test_nan_is_greater_than_every_number():
    x = np.array([np.nan, 1.0, np.inf, np.nan, -np.inf, -0.0, 0.0])
    (ascending,) = evaluate(lambda x: ops.argsort(x, 0), x)
    (descending,) = evaluate(lambda x: ops.argsort(x, 0, True), x)
    np.testing.assert_array_equal(ascending, [4, 5, 6, 1, 2, 0, 3])
    np.testing.assert_array_equal(descending, [0, 3, 2, 1, 5, 6, 4])


def test_operands_follow_a_comparator_over_both():
    rng = np.random.default_rng(53)
    keys, values = rng.integers(0, 3, 20), distinct(rng, (20,))

    def build(keys: Var, values: Var) -> Sequence[Var]:
        def comparator(a: Var, b: Var, x: Var, y: Var) -> tuple[Var]:
            tied = ops.and_(ops.compare(a, b, Direction.EQ), ops.compare(x, y, Direction.GT))
            return (ops.or_(ops.compare(a, b, Direction.LT), tied),)

        return ops.sort([keys, values], -1, False, comparator)

    order = np.lexsort((-values, keys))
    check_op(build, [keys, values], [keys[order], values[order]], rng=rng)


def test_sorting_positions_along_gives_derivatives():
    rng = np.random.default_rng(54)
    x = distinct(rng, (4, 6))
    order = np.argsort(x, 0)
    expected = [np.take_along_axis(x, order, 0), order.astype(np.int32)]
    check_op(lambda x: ops.sort_with_indices(x, 0), [x], expected, rng=rng)


@pytest.mark.parametrize("k", [0, 1, 3, 8])
def test_top_k_takes_the_largest(k: int):
    rng = np.random.default_rng(55)
    x = distinct(rng, (3, 8))
    order = np.argsort(-x, 1)[:, :k]
    expected = [np.take_along_axis(x, order, 1), order.astype(np.int32)]
    check_op(lambda x: ops.top_k(x, k), [x], expected, rng=rng)


def test_top_k_prefers_nan_and_lower_indices():
    values, indices = evaluate(lambda x: ops.top_k(x, 4), np.array([1.0, 5.0, np.nan, 5.0, 5.0]))
    np.testing.assert_array_equal(values, [np.nan, 5, 5, 5])
    np.testing.assert_array_equal(indices, [2, 1, 3, 4])


def test_bottom_k_takes_the_smallest():
    x = distinct(np.random.default_rng(56), (3, 8))
    values, indices = evaluate(lambda x: ops.bottom_k(x, 3), x)
    order = np.argsort(x, 1)[:, :3]
    np.testing.assert_array_equal(values, np.take_along_axis(x, order, 1))
    np.testing.assert_array_equal(indices, order)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_bottom_k_is_the_head_of_a_stable_sort(dtype: type[np.floating]):
    """NaN of either sign last, zeros of either sign equal, infinities and the least numbers in their places."""
    least = np.finfo(dtype).smallest_subnormal
    odd = [np.nan, 0.0, -0.0, np.inf, -np.inf, -np.nan, least, -least, 1.0, -1.0, -0.0, 0.0, np.inf, np.nan]
    x = np.array(odd, dtype)
    values, indices = evaluate(lambda x: ops.bottom_k(x, len(odd)), x)
    np.testing.assert_array_equal(indices, np.argsort(x, kind="stable"))
    assert values.tobytes() == x[indices].tobytes()


@pytest.mark.parametrize("dtype", ["bool", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_bottom_k_of_integers(dtype: str):
    x = np.array([3, 0, 1, 0, -1, 127, -128], np.int64).astype(dtype)
    np.testing.assert_array_equal(evaluate(lambda x: ops.bottom_k(x, 7), x)[1], np.argsort(x, kind="stable"))


def test_more_than_there_are_is_refused():
    with pytest.raises(ArgumentError, match=r"top_k: 4 elements of 3 .operand, axis 0."):
        evaluate(lambda x: ops.top_k(x, 4), np.zeros(3))


def test_a_comparator_that_gives_a_number_is_refused():
    with pytest.raises(DTypeError, match=r"must take \(f64\[\], f64\[\]\) and give one bool scalar"):
        evaluate(lambda x: ops.sort([x], 0, True, lambda a, b: (ops.add(a, b),)), np.zeros(3))


def test_an_axis_that_does_not_exist_is_refused():
    with pytest.raises(ArgumentError, match=r"axis 2 is not one of f64\[3\]"):
        evaluate(lambda x: ops.sort_values(x, 2), np.zeros(3))
