"""Arrays to compute with, and what products of matrices are held against: f64, within the error that sums may have."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

SEED = 20


def draw(element: Any, *shapes: tuple[int, ...]) -> list[NDArray[Any]]:
    """Normal numbers in these shapes."""
    numbers = np.random.default_rng(SEED)
    return [numbers.standard_normal(shape).astype(element.element.numpy) for shape in shapes]


def assert_product(found: NDArray[Any], a: NDArray[Any], b: NDArray[Any], *, rounded: float = 0.0) -> None:
    """`found` is a @ b, each sum with an error of one rounding for each term, and one of its own dtype at the end.

    `rounded`: the relative error of rounding that the factors may have had before.
    """
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    wanted, size = wide_a @ wide_b, np.abs(wide_a) @ np.abs(wide_b)
    half = found.dtype.itemsize == 2
    term = 2.0**-24 if half else 2.0 ** -(np.finfo(found.dtype).nmant + 1)
    own = float(ml_dtypes.finfo(found.dtype).eps) / 2
    allowed = size * (term * (a.shape[-1] + 2) + 2 * rounded) + np.abs(wanted) * own * 1.001
    error = np.abs(found.astype(np.float64) - wanted)
    assert found.shape == wanted.shape
    assert (error <= allowed).all(), f"off by up to {(error / np.maximum(size, 1e-300)).max():.3g} of the terms' size"
