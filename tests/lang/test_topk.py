"""`topk` and `kthvalue`: the head of a stable sort, found without sorting."""

from __future__ import annotations

import numpy as np
import pytest

import tenfold as tn


@pytest.mark.parametrize("dtype", ["bool", "i1", "u1", "i4", "i8", "f4", "f8"])
@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("dim", [0, 1])
def test_topk_is_the_head_of_a_stable_sort(dtype: str, largest: bool, dim: int):
    x = np.random.default_rng(7).integers(0, 60, (90, 110)).astype(dtype)
    values, indices = tn.topk(tn.tensor(x), 4, dim, largest)
    sorted_values, order = tn.sort(tn.tensor(x), dim, descending=largest)
    at = (slice(4),) if dim == 0 else (slice(None), slice(4))
    np.testing.assert_array_equal(indices.numpy(), order.numpy()[at])
    np.testing.assert_array_equal(values.numpy(), sorted_values.numpy()[at])
    assert indices.numpy().dtype == np.int64


@pytest.mark.parametrize("number", [1, 4, 10])
def test_kthvalue_counts_nan_last(number: int):
    x = np.array([3, np.nan, -0.0, 0.0, np.inf, -np.inf, 3, 1, np.nan, -1], np.float32)
    order = np.argsort(x, kind="stable")
    value, index = tn.kthvalue(tn.tensor(x), number)
    assert index.numpy() == order[number - 1]
    np.testing.assert_array_equal(value.numpy(), x[order[number - 1]])


@tn.compile
def _three_kinds(x: tn.Tensor) -> tuple[tn.Tensor, ...]:
    return tn.topk(x, 3)[1], tn.topk(x, 3, largest=False)[0], tn.kthvalue(x, 3)[0]


def test_none_of_them_sorts():
    text = _three_kinds.lower(tn.f32[50]).text()
    assert "stablehlo.sort" not in text
    assert text.count("chlo.top_k") == 3
