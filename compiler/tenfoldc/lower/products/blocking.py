"""How a matrix product is cut up for registers and caches: a target and sizes in, tile and block sizes out.

The scheme is that of K. Goto and R. van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008):
a tile of mr x nr results stays in registers; a panel of the rhs, kc x nr, in the L1 cache; a block of the lhs,
mc x kc, in L2; a block of the rhs, kc x nc, in L3.
"""

from __future__ import annotations

from dataclasses import dataclass

from tenfold_rt.dtypes import DType
from tenfoldc.target import Target

_L1_PANEL_BYTES = 16 * 1024
_L2_BLOCK_BYTES = 192 * 1024
_L3_BLOCK_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Blocking:
    """Sizes of the register tile (mr, nr) and of the cache blocks (mc a multiple of mr, nc of nr)."""

    mr: int
    nr: int
    mc: int
    nc: int
    kc: int


def blocking(target: Target, m: int, n: int, k: int, dtype: DType) -> Blocking:
    """How to cut an m x k by k x n product of floats; all sizes are at least 1.

    Blocks are balanced: a size just above a multiple of the largest block is not cut into a large and a tiny one.
    """
    lanes = target.vector_bytes // dtype.itemsize
    vectors = _tile_vectors(target, n, lanes)
    nr = vectors * lanes
    mr = balanced(m, _tile_rows(target, vectors), 1)
    kc = balanced(k, _L1_PANEL_BYTES // (nr * dtype.itemsize), 4)
    mc = balanced(m, max(mr, _L2_BLOCK_BYTES // (kc * dtype.itemsize) // mr * mr), mr)
    nc = balanced(n, max(nr, _L3_BLOCK_BYTES // (kc * dtype.itemsize) // nr * nr), nr)
    return Blocking(mr=mr, nr=nr, mc=mc, nc=nc, kc=kc)


def _tile_vectors(target: Target, n: int, lanes: int) -> int:
    """Vectors per row of the tile: two, save where one covers all columns."""
    return 1 if n <= lanes else 2


def _tile_rows(target: Target, vectors: int) -> int:
    """Rows such that accumulators, one row of the rhs, a factor and any product awaiting addition fit in registers."""
    rows = (target.vector_registers - vectors - (1 if target.has_fma else 5)) // vectors
    return rows if target.vector_registers == 32 else min(rows, 12)


def balanced(size: int, largest: int, multiple: int) -> int:
    """The block size, a multiple of `multiple`, that cuts `size` into the fewest blocks of nearly equal size."""
    blocks = -(-size // largest)
    return -(-size // (blocks * multiple)) * multiple
