"""Rounding doubles to 16 bits once, by way of f32: to odd first, which keeps what the second rounding must know.

(Boldo and Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using rounding to odd", 2008.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def rounded_to_odd(x: NDArray[np.float64]) -> NDArray[np.float32]:
    """`x` in f32, its last bit set where it is inexact."""
    single = x.astype(np.float32)
    bits: NDArray[Any] = np.asarray(single).view(np.int32)
    is_away, is_inexact = np.abs(single) > np.abs(x), np.isfinite(x) & (single != x)
    return np.where(is_inexact, (bits - is_away) | 1, bits).view(np.float32)
