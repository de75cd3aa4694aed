"""Placing buffers that live for a while each, so that they take little memory together.

To do so in the least memory is NP-hard.  The buffers are placed in the order of their first use, each at the lowest
offset that is free; where that takes more than lives at any moment, they are also placed from the largest to the
smallest (Y. Pisarchyk and J. Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020), and the better of
the two is taken.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tenfoldc.allocate.lifetimes import Lifetime
from tenfoldc.loops.ir import Buffer

_MOST_BY_SIZE = 1000
"""Buffers up to which they are also placed by size, which takes time with their square."""


class Demand(NamedTuple):
    """A buffer that needs `size` bytes during `life`."""

    buffer: Buffer
    size: int
    life: Lifetime


class Placement(NamedTuple):
    """Offsets, and where the last of the buffers ends."""

    offsets: Mapping[Buffer, int]
    end: int


def place(demands: Sequence[Demand]) -> Placement:
    """An offset for each buffer, such that those which live at one time lie apart."""
    in_time = sorted((d for d in demands if d.size), key=lambda demand: demand.life.first)
    first = _by_first_use(in_time)
    if first.end > live_bytes(demands) and len(in_time) <= _MOST_BY_SIZE:
        second = _by_size(in_time)
        first = second if second.end < first.end else first
    return Placement({demand.buffer: 0 for demand in demands} | dict(first.offsets), first.end)


def live_bytes(demands: Sequence[Demand]) -> int:
    """The most bytes that are in use at one moment: no placement takes less."""
    changes: dict[int, int] = {}
    for demand in demands:
        changes[demand.life.first] = changes.get(demand.life.first, 0) + demand.size
        changes[demand.life.last + 1] = changes.get(demand.life.last + 1, 0) - demand.size
    most = now = 0
    for moment in sorted(changes):
        now += changes[moment]
        most = max(most, now)
    return most


def _by_first_use(demands: Sequence[Demand]) -> Placement:
    offsets: dict[Buffer, int] = {}
    placed: list[tuple[int, int, Lifetime]] = []
    end = 0
    for buffer, size, life in demands:
        placed = [entry for entry in placed if entry[2].last >= life.first]
        offset = offsets[buffer] = _first_gap(placed, size)
        bisect.insort(placed, (offset, size, life))
        end = max(end, offset + size)
    return Placement(offsets, end)


def _by_size(demands: Sequence[Demand]) -> Placement:
    offsets: dict[Buffer, int] = {}
    placed: list[tuple[int, int, Lifetime]] = []
    end = 0
    for buffer, size, life in sorted(demands, key=lambda demand: -demand.size):
        offset = offsets[buffer] = _first_gap([entry for entry in placed if entry[2].meets(life)], size)
        bisect.insort(placed, (offset, size, life))
        end = max(end, offset + size)
    return Placement(offsets, end)


def _first_gap(placed: Sequence[tuple[int, int, Lifetime]], size: int) -> int:
    """The lowest offset at which `size` bytes fit between what is `placed`, sorted by offset."""
    offset = 0
    for start, taken, _ in placed:
        if start - offset >= size:
            break
        offset = max(offset, start + taken)
    return offset
