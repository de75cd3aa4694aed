"""Collation of samples into batches, as PyTorch has it where that is installed."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np
import pytest

import tenfold as tn
from tenfold.utils.data import default_collate, default_convert


class Pair(NamedTuple):
    x: Any
    y: Any


SAMPLES: list[list[Any]] = [
    [1, 2],
    [True, False],
    [1.5, 2.5],
    [np.float32(1), np.float32(2)],
    [np.arange(3), np.arange(3) + 1],
    [np.zeros((0, 2)), np.zeros((0, 2))],
    ["a", "b"],
    [b"a", b"b"],
    [(1, "a"), (2, "b")],
    [[1, 2.5], [3, 4.5]],
    [Pair(1, np.ones(2)), Pair(2, np.zeros(2))],
    [{"x": 1, "y": {"z": np.ones(1)}}, {"x": 2, "y": {"z": np.ones(1)}}],
    [OrderedDict(a=(1, 2)), OrderedDict(a=(3, 4))],
]


def described(value: Any) -> Any:
    """What a batch is made of, the same for our tensors and PyTorch's."""
    if hasattr(value, "numpy"):
        return "tensor", value.numpy().dtype.name, value.numpy().tolist(), value.numpy().shape
    if isinstance(value, dict):
        return type(value), {key: described(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value), [described(item) for item in value]
    return value


@pytest.mark.parametrize("samples", SAMPLES)
def test_batches_are_pytorchs(samples: list[Any]) -> None:
    theirs = pytest.importorskip("torch.utils.data")
    assert described(default_collate(samples)) == described(theirs.default_collate(samples))
    assert described(default_convert(samples)) == described(theirs.default_convert(samples))


def test_tensors_are_stacked() -> None:
    batch = default_collate([(tn.tensor([1, 2]), tn.tensor(1.5)), (tn.tensor([3, 4]), tn.tensor(2.5))])
    assert [part.tolist() for part in batch] == [[[1, 2], [3, 4]], [1.5, 2.5]]
    assert batch[0].dtype == tn.int64


def test_a_batch_is_a_copy() -> None:
    samples = [np.zeros(2), np.zeros(2)]
    batch = default_collate(samples)
    samples[0][:] = 1
    assert batch.tolist() == [[0, 0], [0, 0]]


def test_traced_tensors_are_stacked() -> None:
    both = tn.compile(lambda x, y: default_collate([x, y]))(np.float32(1), np.float32(2))
    np.testing.assert_array_equal(both, [1, 2])


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([np.zeros(2), np.zeros(3)], r"stack expects each tensor to be equal size, but got \[2\] at entry 0 and \[3\]"),
        ([[1, 2], [3]], "each element in list of batch should be of equal size"),
        ([None, None], "not NoneType"),
        ([object()], "not object"),
        ([np.array("x")], "arrays of <U1"),
    ],
)
def test_samples_that_do_not_fit_are_refused(samples: list[Any], message: str) -> None:
    with pytest.raises((RuntimeError, TypeError), match=message) as caught:
        default_collate(samples)
    assert isinstance(caught.value, tn.TenfoldError)
