"""Elements of a rank: those of a stable sort, whatever is equal or undefined, and computed without one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import tenfold as tn

SIZES = (1, 12, 13, 40)


def drawn(dtype: str, *shape: int) -> NDArray[Any]:
    """Elements of which several are equal, among them both zeros, infinities, and the least and greatest integers."""
    rng = np.random.default_rng(sum(shape))
    x = rng.integers(0 if dtype[0] in "ub" else -4, 5, shape).astype(dtype)
    if dtype.startswith("f"):
        x = np.where(rng.random(shape) < 0.2, rng.choice([-0.0, 0.0, np.inf, -np.inf, 1e-40, -1e-40], shape), x)
    elif dtype != "bool":
        limits = np.iinfo(dtype)
        x = np.where(rng.random(shape) < 0.2, rng.choice(np.array([limits.min, limits.max], dtype), shape), x)
    return x.astype(dtype)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "i4", "i8", "u1", "u8", "bool"])
def test_the_kth_value_is_that_of_a_stable_sort(dtype: str) -> None:
    for size in SIZES:
        x = drawn(dtype, 3, size)
        order = np.argsort(x, axis=1, kind="stable")
        for k in sorted({1, size // 2 + 1, size}):
            values, places = tn.kthvalue(x, k, 1)
            np.testing.assert_array_equal(np.asarray(places), order[:, k - 1])
            np.testing.assert_array_equal(np.asarray(values), np.take_along_axis(x, order[:, k - 1 : k], 1)[:, 0])


@pytest.mark.parametrize("size", SIZES)
def test_a_nan_is_the_median_or_left_out(size: int) -> None:
    x = drawn("f4", 3, size)
    x[1, size // 2] = x[1, 0] = np.nan
    x[2] = np.nan
    values, places = tn.median(x, 1)
    np.testing.assert_array_equal(np.isnan(np.asarray(values)), [False, True, True])
    assert np.asarray(places)[1] == 0
    wanted = [np.sort(row[~np.isnan(row)])[(np.sum(~np.isnan(row)) - 1) // 2] for row in x[: 2 if size > 2 else 1]]
    np.testing.assert_array_equal(np.asarray(tn.nanmedian(x, 1)[0])[: len(wanted)], wanted)
    assert np.isnan(np.asarray(tn.nanmedian(x, 1)[0])[2])


def test_any_axis_is_chosen_along() -> None:
    x = drawn("f8", 30, 2, 3)
    np.testing.assert_array_equal(np.asarray(tn.median(x, 0)[0]), np.sort(x, axis=0)[14])
    assert float(tn.median(x)) == np.sort(x, axis=None)[89]


def test_the_gradient_goes_to_the_element_that_is_chosen() -> None:
    x = np.random.default_rng(5).random((2, 40))
    wanted = np.zeros_like(x)
    np.put_along_axis(wanted, np.argsort(x, axis=1)[:, 19:20], 1, 1)
    np.testing.assert_array_equal(tn.grad(lambda x: tn.sum(tn.median(x, 1)[0]))(x), wanted)


def test_long_axes_are_not_sorted_nor_indexed_where_values_are_wanted() -> None:
    x = np.zeros((4, 100), np.float32)
    text = tn.compile(lambda x: tn.median(x, 1)[0]).lower(x).text("loops")
    assert "sort" not in text
    assert "reduce_window" not in text
    assert "reduce_window" in tn.compile(lambda x: tn.median(x, 1)[1]).lower(x).text("loops")
