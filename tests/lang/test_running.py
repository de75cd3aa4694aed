"""Running extremes: values, which of equal elements is named, NaN, gradients, and that they take one pass each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import tenfold as tn


def expected(x: NDArray[Any], sign: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Element by element along the last axis of a matrix."""
    values, places = x.copy(), np.zeros(x.shape, np.int64)
    for row in range(x.shape[0]):
        best = 0
        for place in range(x.shape[1]):
            element, held = x[row, place], x[row, best]
            if np.isnan(element) or (not np.isnan(held) and sign * element >= sign * held):
                best = place
            values[row, place], places[row, place] = x[row, best], best
    return values, places


@pytest.mark.parametrize("size", [1, 9, 64, 100, 1100])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_the_last_of_equal_elements_is_named(size: int, dtype: type) -> None:
    rng = np.random.default_rng(size)
    x = np.sort(rng.integers(-3, 9, (2, size)), axis=1).astype(dtype)
    x[1] = rng.permutation(x[1])
    if dtype is not np.int32:
        x[0, size // 2] = x[0, -1] = np.nan
    for function, sign in ((tn.cummax, 1), (tn.cummin, -1)):
        for dim, given in ((1, x), (0, x.T)):
            found = [np.asarray(part) for part in function(given, dim)]
            for part, wanted in zip(found, expected(x, sign), strict=True):
                np.testing.assert_array_equal(part if dim else part.T, wanted)


def test_the_gradient_goes_to_the_element_that_is_named() -> None:
    x = np.array([[2.0, 1, 3, 3, 0]])
    np.testing.assert_array_equal(tn.grad(lambda x: tn.sum(tn.cummax(x, 1)[0]))(x), [[2, 0, 1, 2, 0]])


def test_values_and_indices_are_a_pass_each_that_nothing_goes_between() -> None:
    text = tn.compile(lambda x: tuple(tn.cummax(x, 1))).lower(np.zeros((8, 200), np.float32)).text("loops")
    assert text.count("kernel k") == 2
    assert "temporary" not in text
