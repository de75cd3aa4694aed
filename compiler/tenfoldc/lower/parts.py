"""How long reductions are cut, by their sizes alone: into parts that threads share, and sums into blocks of blocks.

A sum of n numbers one after the other has an error that grows with n; cut into blocks, it grows with the number of
terms on the way from an element to the total: those of its block, of the block of blocks, and so on (a cascade, as
in P. Blanchard, N. Higham and T. Mary, "A Class of Fast and Accurate Summation Algorithms", 2020).
"""

from __future__ import annotations

SUM_BLOCK = 1024
"""Elements summed one after the other, in the lanes of several vectors, before the sum is added to a total."""

ROW_BLOCK = 128
"""Rows added one after the other, column by column, before the sums are added to totals.

A block costs one more addition per column, and blocks are few: with the square root of the usual number of rows, both
chains of additions are short.
"""

_FAN = 16
"""Blocks that make a block of the next level."""

_PART = 1 << 15
"""Elements that a part should have at least."""

_MOST_PARTS = 64
ENOUGH_ROWS = 8
"""Rows from which threads have enough to share without parts."""


def row_block_size(extent: int) -> int:
    """How many rows the blocks of a long sum of rows have: a divisor of `extent` if there is one of about that size."""
    return _divisor(extent, ROW_BLOCK)


def block_sizes(extent: int) -> list[int]:
    """The lengths of blocks, of blocks of blocks and so on, ascending; none for a sum that is short."""
    if extent <= 2 * SUM_BLOCK:
        return []
    sizes = [_divisor(extent, SUM_BLOCK)]
    while (count := -(-extent // sizes[-1])) > 2 * _FAN:
        sizes.append(sizes[-1] * _divisor(count, _FAN))
    return sizes


def part_size(turns: int, outermost: int) -> int | None:
    """How many turns of the `outermost` loop make a part of a reduction over `turns` elements; None: all of them."""
    count = min(_MOST_PARTS, turns // _PART, outermost)
    if count < 4:
        return None
    size = -(-outermost // count)
    return -(-size // SUM_BLOCK) * SUM_BLOCK if outermost == turns else size


def _divisor(extent: int, least: int) -> int:
    """The first number from `least` to its double that divides `extent`; `least` where there is none."""
    return next((size for size in range(least, 2 * least) if extent % size == 0), least)
