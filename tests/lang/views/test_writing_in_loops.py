"""Loops that write to one place after another compile a program for the first places alone."""

from __future__ import annotations

import numpy as np
import pytest

import tenfold as tn
from tenfold.tensor import Tensor


def filled(count: int) -> Tensor:
    out = tn.zeros(count)
    for place in range(count):
        out[place] = tn.tensor(float(place)) * 2
    return out


def test_writing_to_each_place_compiles_no_program_for_each() -> None:
    filled(2)
    before = tn.lazy.counters().compiled
    out = filled(12)
    assert tn.lazy.counters().compiled - before <= 1
    assert out.tolist() == [2.0 * place for place in range(12)]


def test_a_write_changes_neither_copies_nor_what_was_computed_before() -> None:
    x = tn.tensor([1.0, 2.0, 3.0])
    copy, double = x.clone(), x * 2
    x[1] = 9
    assert (copy.tolist(), double.tolist(), x.tolist()) == ([1, 2, 3], [2, 4, 6], [1, 9, 3])


def test_a_write_is_seen_by_views_and_by_arrays_of_the_memory() -> None:
    x = tn.zeros(2, 3)
    rows, column, array = x.unbind(), x[:, 1], x.numpy()
    x[1, 1] = 5
    assert rows[1].tolist() == [0, 5, 0]
    assert column.tolist() == [0, 5]
    np.testing.assert_array_equal(array, [[0, 0, 0], [0, 5, 0]])


def test_what_the_way_back_needs_must_not_be_written_to() -> None:
    x, w = tn.ones(3), tn.ones(3, requires_grad=True)
    y = (x * w).sum()
    x[0] = 7
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()
