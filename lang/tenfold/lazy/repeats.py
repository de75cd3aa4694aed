"""Finding the turn of a loop in what it has done."""

from __future__ import annotations

from collections.abc import Sequence


def shortest_period(items: Sequence[object]) -> int:
    """The least number of items, at most half of them, after which the last ones repeat themselves; 0 if none is.

    The last two thirds must repeat: what comes before may have been before the loop.
    """
    count = len(items)
    start = count // 3
    for period in range(1, (count - start) // 2 + 1):
        if all(items[place] == items[place - period] for place in range(start + period, count)):
            return period
    return 0
