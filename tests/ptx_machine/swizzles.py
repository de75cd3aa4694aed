"""How shared addresses are permuted so that neither rows nor columns of a tile collide in the banks.

The engines exchange chunks of 16 bytes: within a span of 128, 64 or 32 bytes, bits 4 and up of an address are combined
with its bits 7 and up by exclusive or.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_MASKS = {0: 0, 32: 1, 64: 3, 128: 7}


def swizzled(addresses: NDArray[Any], span: int) -> NDArray[Any]:
    """The addresses that the bytes at `addresses` go to with a swizzle of `span` bytes (0: none)."""
    return addresses ^ ((addresses >> 7 & _MASKS[span]) << 4)


def matrix_addresses(descriptor: int, rows: int, depth: int, itemsize: int, transposed: bool) -> NDArray[np.int64]:
    """The shared address of each element (row, k) of a matrix that a wgmma descriptor describes.

    Rows lie along k, or, where `transposed`, columns along the other dimension.  The layouts are those of the PTX ISA's
    section on asynchronous warp-group matrices.
    """
    start, leading, stride = ((descriptor >> shift & 0x3FFF) << 4 for shift in (0, 16, 32))
    span = {0: 0, 1: 128, 2: 64, 3: 32}[descriptor >> 62 & 3]
    row, k = np.arange(rows, dtype=np.int64)[:, None], np.arange(depth, dtype=np.int64)[None]
    if not transposed:
        column = k * itemsize
        if span == 0:
            return start + (row >> 3) * stride + (row & 7) * 16 + (column >> 4) * leading + (column & 15)
        return swizzled(start + (row >> 3) * stride + (row & 7) * span + column, span)
    if span == 0:
        chunk = 16 // itemsize
        return start + row // chunk * stride + (k >> 3) * leading + (k & 7) * 16 + row % chunk * itemsize
    width = span // itemsize
    return swizzled(start + row // width * leading + (k >> 3) * stride + (k & 7) * span + row % width * itemsize, span)
