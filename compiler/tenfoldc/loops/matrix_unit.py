"""The tiles of a matrix unit such as AMX: their sizes, and which products of parts of factors are added up in them."""

from __future__ import annotations

TILE_LINES = 32
"""Rows, or columns, of a panel for the matrix unit: two tiles of sixteen."""

TILE_WORDS = 16
"""Words of 32 bits, each a pair of factors of 16, in a row of a tile."""

TILE_DEPTH = 2 * TILE_WORDS
"""Factors that a tile holds of each line: the depth of one step."""


def part_products(lhs_parts: int, rhs_parts: int) -> list[tuple[int, int]]:
    """The pairs of parts whose products are added, the smallest first, so that neighbours share a part.

    Part p is at most 2^-8 of part p - 1: of three and three the products left out are below 2^-24 of the whole.
    """
    pairs: list[tuple[int, int]] = []
    for right in reversed(range(rhs_parts)):
        left = [part for part in range(lhs_parts) if part + right < 3]
        pairs += [(part, right) for part in (left if right else [*left[1:], left[0]])]
    return pairs
