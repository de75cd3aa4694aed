"""An rhs that few rows are multiplied with is packed by the first tile of each panel, on the way."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import tenfold as tn


@tn.compile
def product(x: Any, w: Any) -> Any:
    return x @ w


def loops(rows: int, columns: int, depth: int) -> str:
    return product.lower(np.ones((rows, depth), np.float32), np.ones((depth, columns), np.float32)).text("loops")


@pytest.mark.parametrize("rows", [13, 32, 100])
@pytest.mark.parametrize("columns", [16, 37, 300])
@pytest.mark.parametrize("depth", [31, 600])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_are_right(rows: int, columns: int, depth: int, dtype: str, rng: np.random.Generator) -> None:
    x, w = (rng.integers(-4, 5, shape).astype(dtype) for shape in ((rows, depth), (depth, columns)))
    np.testing.assert_array_equal(np.asarray(product(x, w)), x @ w)


def test_no_pass_over_the_rhs_comes_first_and_one_panel_is_all_the_memory_it_needs() -> None:
    text = loops(32, 512, 784)
    assert ", packing rhs_panels" in text
    assert re.search(r"scratch rhs_panels\d*: f32\[1, \d+, 16\]", text)
    assert not re.search(r"rhs_panels\d*\[.*\] = w", text)


def test_an_rhs_that_many_rows_are_multiplied_with_is_packed_first() -> None:
    """Blocks of rows are computed side by side, and all of them read the panels."""
    assert ", packing" not in loops(1000, 512, 784)


def test_the_next_panel_of_a_large_rhs_is_asked_for_by_the_tiles_that_do_not_pack() -> None:
    assert "prefetch matrix[" in loops(32, 512, 784)
    assert "prefetch" not in loops(32, 128, 256)
