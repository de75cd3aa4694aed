"""The order in which clusters run: each after those whose results it reads, otherwise as in the program."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

from tenfoldc.fuse.cluster import Cluster
from tenfoldc.ir.core import Operation


def in_order(clusters: Sequence[Cluster], position: Mapping[Operation, int]) -> list[Cluster]:
    """`clusters` sorted topologically; among those that are ready, the one that begins earliest comes first."""
    writers = {value: cluster for cluster in clusters for value in cluster.results}
    following: dict[Cluster, list[Cluster]] = {cluster: [] for cluster in clusters}
    waits: dict[Cluster, int] = {}
    for cluster in clusters:
        sources = {writers[value] for value in cluster.accesses if value in writers} - {cluster}
        waits[cluster] = len(sources)
        for source in sources:
            following[source].append(cluster)
    place = {cluster: max(position[operation] for operation in cluster.operations) for cluster in clusters}
    ready = [(place[cluster], number, cluster) for number, cluster in enumerate(clusters) if not waits[cluster]]
    heapq.heapify(ready)
    number_of = {cluster: number for number, cluster in enumerate(clusters)}
    ordered: list[Cluster] = []
    while ready:
        _, _, cluster = heapq.heappop(ready)
        ordered.append(cluster)
        for consumer in following[cluster]:
            waits[consumer] -= 1
            if not waits[consumer]:
                heapq.heappush(ready, (place[consumer], number_of[consumer], consumer))
    assert len(ordered) == len(clusters), "clusters need each other in a circle"
    return ordered
