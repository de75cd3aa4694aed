"""How a matrix product is cut up for registers and caches: a target and sizes in, tile and block sizes out.

The scheme is that of K. Goto and R. van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008):
a tile of mr x nr results stays in registers; a panel of the rhs, kc x nr, in the L1 cache; a block of the lhs,
mc x kc, in L2; a block of the rhs, kc x nc, in L3.
"""

from __future__ import annotations

from dataclasses import astuple

from tenfold_rt.dtypes import DType
from tenfold_rt.frozen import frozen
from tenfoldc.target import Target
from tenfoldc.tuning import Decisions

_L1_PANEL_BYTES = 16 * 1024
_L2_BLOCK_BYTES = 192 * 1024
_L3_BLOCK_BYTES = 4 * 1024 * 1024
IN_FLIGHT = 8
"""Multiply-adds of vectors that two units of four cycles' latency work on at a time: a tile of fewer accumulators takes
as long as one of so many."""
_PER_TILE = 0.5
"""What a tile's call, and the way of its sums to memory, cost for each turn of the depth, in such multiply-adds."""
_LOW_BLOCK = 8
"""Tiles above each other in a block from which it makes no difference to one thread how many there are."""
_TEAMS = (2, 4, 8)
"""Numbers of threads that blocks are to be shared out evenly to."""
_MOST_VECTORS = 3
"""Vectors per row of a tile that are worth trying."""


@frozen
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
    return _blocking(target, (m, n, k), dtype, _tile_vectors(target, n, lanes), _L1_PANEL_BYTES, _L2_BLOCK_BYTES)


def tuned_blocking(decisions: Decisions, name: str, target: Target, m: int, n: int, k: int, dtype: DType) -> Blocking:
    """As `blocking`, unless measurement has found better for the product that `name` and its sizes describe.

    Tried are tiles of other widths, panels for half and twice the L1 cache, and blocks for half and twice the L2.
    """
    lanes = target.vector_bytes // dtype.itemsize
    vectors = _tile_vectors(target, n, lanes)
    default = _blocking(target, (m, n, k), dtype, vectors, _L1_PANEL_BYTES, _L2_BLOCK_BYTES)
    widths = [w for w in range(1, min(_MOST_VECTORS, -(-n // lanes)) + 1) if w != vectors]
    caches = [
        (_L1_PANEL_BYTES // 2, _L2_BLOCK_BYTES),
        (_L1_PANEL_BYTES * 2, _L2_BLOCK_BYTES),
        (_L1_PANEL_BYTES, _L2_BLOCK_BYTES // 2),
        (_L1_PANEL_BYTES, _L2_BLOCK_BYTES * 2),
    ]
    others = [_blocking(target, (m, n, k), dtype, width, _L1_PANEL_BYTES, _L2_BLOCK_BYTES) for width in widths]
    others += [_blocking(target, (m, n, k), dtype, vectors, panel, block) for panel, block in caches]
    question = f"blocking of {name}, {dtype} {m}x{n} over {k}"
    return Blocking(*decisions.choose(question, astuple(default), [astuple(other) for other in others]))


def _blocking(
    target: Target, sizes: tuple[int, int, int], dtype: DType, vectors: int, panel_bytes: int, block_bytes: int
) -> Blocking:
    """A blocking with tiles of so many vectors a row, and caches that hold so much of a panel and of a block."""
    m, n, k = sizes
    nr = vectors * target.vector_bytes // dtype.itemsize
    mr = _tile_height(m, balanced(m, _tile_rows(target, vectors), 1), vectors)
    kc = balanced(k, panel_bytes // (nr * dtype.itemsize), 4)
    mc = _block_height(m, max(mr, block_bytes // (kc * dtype.itemsize) // mr * mr), mr)
    nc = balanced(n, max(nr, _L3_BLOCK_BYTES // (kc * dtype.itemsize) // nr * nr), nr)
    return Blocking(mr=mr, nr=nr, mc=mc, nc=nc, kc=kc)


def _tile_vectors(target: Target, n: int, lanes: int) -> int:
    """Vectors per row of the tile: two, save where one covers all columns."""
    return 1 if n <= lanes else 2


def _tile_rows(target: Target, vectors: int) -> int:
    """Rows such that accumulators, one row of the rhs, a factor and any product awaiting addition fit in registers."""
    rows = (target.vector_registers - vectors - (1 if target.has_fma else 5)) // vectors
    return rows if target.vector_registers == 32 else min(rows, 12)


def _tile_height(m: int, most: int, vectors: int) -> int:
    """The rows of a tile, at most `most`, with which `m` rows take the least time: a low last tile is a slow one."""

    def tile(rows: int) -> float:
        return max(rows * vectors, IN_FLIGHT) + _PER_TILE

    def time(rows: int) -> float:
        full, rest = divmod(m, rows)
        return full * tile(rows) + (tile(rest) if rest else 0.0)

    return min(range(most, 0, -1), key=time)


def _block_height(m: int, most: int, mr: int) -> int:
    """The rows of a block, a multiple of `mr`, at most `most`: a single block or else those that threads share evenly.

    Where there are rows enough, there are as many blocks as the largest team has threads, or more.
    """
    if m <= most:
        return balanced(m, most, mr)
    least = min(_LOW_BLOCK * mr, most)
    heights = [rows for rows in range(most, least - 1, -mr) if -(-m // rows) >= max(_TEAMS)]
    if not heights:
        return balanced(m, most, mr)
    return min(heights, key=lambda rows: sum(_last_to_end(m, rows, team) * team for team in _TEAMS))


def _last_to_end(m: int, block: int, team: int) -> int:
    """The rows of the thread of `team` that is the last to end, where each that is free takes the next block."""
    turns, others = divmod(m // block, team)
    return (turns + 1) * block if others else turns * block + m % block


def balanced(size: int, largest: int, multiple: int) -> int:
    """The block size, a multiple of `multiple`, that cuts `size` into the fewest blocks of nearly equal size."""
    blocks = -(-size // largest)
    return -(-size // (blocks * multiple)) * multiple
