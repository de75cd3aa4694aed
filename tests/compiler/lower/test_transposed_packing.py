"""An rhs whose rows are columns in memory is packed through registers, a tile at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tenfold as tn


@tn.compile
def product(x: Any, w: Any) -> Any:
    """Of a part of `w` that neither begins nor ends where `w` does."""
    return x @ w[2:-1, 1:-1].T


@pytest.mark.parametrize("rows", [5, 40])
@pytest.mark.parametrize("depth", [1, 7, 37, 300])
@pytest.mark.parametrize("columns", [8, 16, 23, 64])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_are_right(rows: int, depth: int, columns: int, dtype: str, rng: np.random.Generator) -> None:
    x, w = (rng.integers(-4, 5, shape).astype(dtype) for shape in ((rows, depth), (columns + 3, depth + 2)))
    np.testing.assert_array_equal(np.asarray(product(x, w)), x @ w[2:-1, 1:-1].T)


def test_whole_panels_are_transposed_in_registers() -> None:
    x, w = np.ones((40, 100), np.float32), np.ones((67, 102), np.float32)
    text = product.lower(x, w).text("loops")
    assert text.count("= transpose w") == 1
    assert "vector channel" not in text
