"""Places in sorted sequences: every length, both sides, equal elements, NaN, in one pass over what is sought."""

from __future__ import annotations

import numpy as np
import pytest

import tenfold as tn


@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "u1"])
def test_places_are_numpys(dtype: str, right: bool) -> None:
    rng = np.random.default_rng(7)
    for length in (0, 1, 2, 3, 4, 7, 8, 9, 31, 100):
        rows = np.sort(rng.integers(0, 60, length)).astype(dtype)
        sought = np.append(np.arange(62), [0, 200]).astype(dtype)
        if dtype[0] == "f":
            sought[3:6] = -np.inf, np.inf, np.nan
        found = np.asarray(tn.searchsorted(rows, sought.reshape(2, -1), right=right))
        side = "right" if right else "left"
        expected = np.searchsorted(rows, sought, side)
        expected[np.isnan(sought)] = length  # a NaN goes to the end, past others
        np.testing.assert_array_equal(found.ravel(), expected)


def test_each_row_has_a_sequence_of_its_own() -> None:
    rng = np.random.default_rng(8)
    rows, sought = np.sort(rng.random((3, 50)), axis=1), rng.random((3, 20))
    expected = [np.searchsorted(row, values) for row, values in zip(rows, sought, strict=True)]
    np.testing.assert_array_equal(np.asarray(tn.searchsorted(rows, sought)), expected)


def test_what_is_sought_is_read_once() -> None:
    lowered = tn.compile(lambda x, y: tn.searchsorted(x, y)).lower(np.zeros(1000, "f4"), np.zeros(300, "f4"))
    text = lowered.text("loops")
    assert text.count("kernel k") == 1
    assert "while" not in text
