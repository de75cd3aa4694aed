"""The order in which kernels run: each after those whose results it reads, otherwise as in the program."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from tenfoldc.ir.core import Operation

T = TypeVar("T")


def in_order(
    nodes: Sequence[T],
    sources: Callable[[T], Iterable[T]],
    operations: Callable[[T], Iterable[Operation]],
    position: Mapping[Operation, int],
) -> list[T]:
    """`nodes` sorted topologically; among those that are ready, the one whose last operation comes first.

    Sources that are not among `nodes`, and a node that is its own source, are left out of account.
    """
    following: dict[T, list[T]] = {node: [] for node in nodes}
    waits: dict[T, int] = {}
    for node in nodes:
        needed = {source for source in sources(node) if source in following} - {node}
        waits[node] = len(needed)
        for source in needed:
            following[source].append(node)
    place = {node: max(position[operation] for operation in operations(node)) for node in nodes}
    number_of = {node: number for number, node in enumerate(nodes)}
    ready = [(place[node], number_of[node], node) for node in nodes if not waits[node]]
    heapq.heapify(ready)
    ordered: list[T] = []
    while ready:
        _, _, node = heapq.heappop(ready)
        ordered.append(node)
        for consumer in following[node]:
            waits[consumer] -= 1
            if not waits[consumer]:
                heapq.heappush(ready, (place[consumer], number_of[consumer], consumer))
    assert len(ordered) == len(nodes), "kernels need each other in a circle"
    return ordered
