"""Boolean masks as indices have the sizes of the axes that they stand for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tenfold as tn

X = np.arange(6).reshape(2, 3)


@pytest.mark.parametrize("kind", [np.array, tn.tensor])
@pytest.mark.parametrize(
    ("index", "axis"),
    [
        (lambda mask: mask([True]), 0),
        (lambda mask: mask([False, False, False]), 0),
        (lambda mask: mask([[True, False]]), 0),
        (lambda mask: mask([[True, False], [True, False]]), 1),
        (lambda mask: (slice(None), mask([True, False])), 1),
        (lambda mask: (..., mask([True, False])), 1),
    ],
)
def test_a_mask_of_another_size_is_refused(kind: Callable[[Any], Any], index: Callable[[Any], Any], axis: int) -> None:
    x = tn.tensor(X)
    with pytest.raises(IndexError, match=f"^indexing: a mask has size . for axis {axis} of size {X.shape[axis]}, at"):
        x[index(kind)]
    with pytest.raises(IndexError, match=r"^indexing: .*mask"):
        x[index(kind)] = 1


@pytest.mark.parametrize("kind", [np.array, tn.tensor])
def test_a_mask_takes_the_axes_that_it_has(kind: Callable[[Any], Any]) -> None:
    x = tn.tensor(X)
    assert x[kind(X > 2)].tolist() == [3, 4, 5]
    assert x[kind([True, False])].tolist() == [[0, 1, 2]]
    assert x[:, kind([True, False, True])].tolist() == [[0, 2], [3, 5]]
    assert x[None, kind([False, True])].tolist() == [[[3, 4, 5]]]
    assert tn.zeros(0, 3)[kind(np.zeros(0, bool))].shape == (0, 3)


@pytest.mark.parametrize(
    "taken",
    [
        lambda x, none: x[none],
        lambda x, none: tn.index_select(x, 0, none),
        lambda x, none: tn.nn.functional.embedding(none, x),
        lambda x, none: x.T[:, none].T,
        lambda x, none: tn.compile(lambda x, none: x[none])(x, none),
    ],
)
def test_nothing_can_be_taken_of_nothing(taken: Callable[[tn.Tensor, tn.Tensor], tn.Tensor]) -> None:
    x = tn.zeros(0, 3, requires_grad=True)
    found = taken(x, tn.zeros(0, dtype=tn.int64))
    found.sum().backward()
    assert found.shape == x.grad.shape == (0, 3)
