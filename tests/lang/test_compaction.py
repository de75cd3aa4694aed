"""Functions whose result has a size that depends on values: NumPy's values, and a clear error inside a trace."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tenfold as tn
from tenfold_rt.errors import ArgumentError, DTypeError, ShapeError, TraceError

X = np.array([[0, 3, 0], [5, 0, 3]])


def test_nonzero_gives_rows_of_indices() -> None:
    np.testing.assert_array_equal(tn.nonzero(X), np.argwhere(X))
    np.testing.assert_array_equal(tn.argwhere(np.array(7)), np.zeros((1, 0)))
    assert tuple(np.shape(tn.nonzero(np.zeros((0, 2))))) == (0, 2)


def test_nonzero_gives_a_vector_for_each_axis() -> None:
    for ours, theirs in zip(tn.where(X), np.nonzero(X), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_masked_select_broadcasts() -> None:
    mask = np.array([True, False, True])
    np.testing.assert_array_equal(tn.masked_select(X, mask), np.broadcast_to(X, X.shape)[:, mask].ravel())
    with pytest.raises(DTypeError, match="not of bools"):
        tn.masked_select(X, X)


def test_unique_with_groups_and_counts() -> None:
    ours = tn.unique(X, return_inverse=True, return_counts=True)
    values, inverse, counts = np.unique(X, return_inverse=True, return_counts=True)
    for found, wanted in zip(ours, (values, inverse.reshape(X.shape), counts), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_unique_consecutive_keeps_later_runs() -> None:
    values, counts = tn.unique_consecutive(np.array([1, 1, 2, 1]), return_counts=True)
    np.testing.assert_array_equal(values, [1, 2, 1])
    np.testing.assert_array_equal(counts, [2, 1, 1])


def test_bincount() -> None:
    places = np.array([1, 4, 1])
    np.testing.assert_array_equal(tn.bincount(places, minlength=6), np.bincount(places, minlength=6))
    weights = np.array([0.5, 2, 1])
    np.testing.assert_array_equal(tn.bincount(places, weights), np.bincount(places, weights))
    with pytest.raises(ArgumentError, match="negative"):
        tn.bincount(np.array([-1]))


def test_repeats_for_each_position() -> None:
    repeats = np.array([2, 0, 1])
    np.testing.assert_array_equal(tn.repeat_interleave(X, repeats, 1), np.repeat(X, repeats, 1))
    np.testing.assert_array_equal(tn.repeat_interleave(repeats), [0, 0, 2])
    with pytest.raises(ShapeError, match="for an axis of size 2"):
        tn.repeat_interleave(X, repeats, 0)


@pytest.mark.parametrize("function", [tn.nonzero, tn.unique, tn.where, lambda x: tn.masked_select(x, x > 0)])
def test_a_trace_refuses_them(function: Any) -> None:
    with pytest.raises(TraceError, match="the size of whose result depends on values"):
        tn.compile(function)(X)


def test_a_known_size_serves_a_trace() -> None:
    compiled = tn.compile(lambda x, n: tn.repeat_interleave(x, n, 0, output_size=3))
    np.testing.assert_array_equal(compiled(X, np.array([1, 2])), np.repeat(X, [1, 2], 0))
