"""Tables of what was made for calls of some kind: bounded, so that programs whose shapes vary do not grow for ever."""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Table(Generic[T]):
    """What was made for each of the keys that were used last; half of it is forgotten when there are `limit`."""

    __slots__ = ("_entries", "_limit", "_uses")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._uses = 0
        self._entries: dict[Hashable, tuple[T, list[int]]] = {}

    def get(self, key: Hashable) -> T | None:
        """What was made for `key`; None where nothing is known."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._uses += 1
        entry[1][0] = self._uses
        return entry[0]

    def add(self, key: Hashable, made: T) -> T:
        """Keep `made`, and give it."""
        if len(self._entries) >= self._limit:
            recent = heapq.nlargest(self._limit // 2, list(self._entries.items()), key=lambda item: item[1][1][0])
            self._entries = dict(recent)
        self._uses += 1
        self._entries[key] = (made, [self._uses])
        return made

    def clear(self) -> None:
        """Forget everything."""
        self._entries = {}

    def __len__(self) -> int:
        return len(self._entries)
