"""How a reduction becomes part of a cluster: as its rows, or as one more pass over rows that are there already."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import count

from tenfoldc.fuse.cluster import MAX_ROW_BYTES, Cluster
from tenfoldc.ir.core import Operation, Value
from tenfoldc.ir.groups import AxisMap
from tenfoldc.ops.reduction import reduced_axes


def result_map(cluster: Cluster, results: Sequence[Value]) -> AxisMap | None:
    """The one plain map by which `cluster` reads all of `results`; None where there is no such map."""
    maps = {cluster.only_map(value) for value in results}
    return maps.pop() if len(maps) == 1 else None


def fit(cluster: Cluster, operation: Operation, rows: AxisMap, numbers: count[int]) -> AxisMap | None:
    """Loop axes for the operand of a reduction whose result is read along `rows`; None where it does not fit.

    A cluster without reduced axes gains them: new ones where it runs over rows only, or those that `rows` leaves.
    """
    used = [axis for axis in rows if axis is not None]
    if len(set(used)) != len(used) or not cluster.has_room(0):
        return None
    sizes, reduced = operation.operands[0].type.sizes, reduced_axes(operation)
    inner = [size for axis, size in enumerate(sizes) if axis in reduced and size != 1]
    if not inner:
        return _seal(cluster, operation, rows)
    rest = [axis for axis in cluster.extents if axis not in used]
    if not rest and not cluster.reduced:
        return _extend(cluster, operation, rows, numbers)
    row_bytes = math.prod(inner) * operation.operands[0].type.dtype.itemsize
    if [cluster.extents[axis] for axis in rest] != inner:
        return None
    if row_bytes > MAX_ROW_BYTES and not _shares_pass(cluster, operation):
        return None
    if cluster.reduced and cluster.reduced != set(rest):
        return None
    cluster.reduced = set(rest)
    return _interleave(sizes, reduced, rows, rest)


def _shares_pass(cluster: Cluster, operation: Operation) -> bool:
    """Whether nothing that `cluster` computes for each element waits for the results of a reduction."""
    waiting = set(operation.results)
    for reader in reversed(cluster.operations):
        if waiting.isdisjoint(reader.operands):
            continue
        maps = [axes for result in reader.results for axes in cluster.maps(result)]
        opaque = any(len(cluster.maps(result)) != len(cluster.accesses.get(result, {})) for result in reader.results)
        if reader in cluster.operand_maps or opaque or any(not cluster.reduced.isdisjoint(axes) for axes in maps):
            return False
        waiting.update(reader.results)
    return bool(cluster.reduced)


def _seal(cluster: Cluster, operation: Operation, rows: AxisMap) -> AxisMap | None:
    """Make a reduction along axes of size 1 a cluster of its own: its single turn is no other reduction's."""
    if cluster.operations:
        return None
    cluster.sealed = True
    return _interleave(operation.operands[0].type.sizes, reduced_axes(operation), rows, ())


def _interleave(sizes: Sequence[int], reduced: frozenset[int], rows: AxisMap, inner: Sequence[int]) -> AxisMap:
    kept, folded = iter(rows), iter(inner)
    axes: list[int | None] = []
    for axis, size in enumerate(sizes):
        if axis in reduced:
            axes.append(None if size == 1 else next(folded))
        else:
            axes.append(next(kept))
    return tuple(axes)


def _extend(cluster: Cluster, operation: Operation, rows: AxisMap, numbers: count[int]) -> AxisMap:
    """Give a cluster that runs over the rows the reduced axes, all in the operand's memory order."""
    sizes, reduced = operation.operands[0].type.sizes, reduced_axes(operation)
    inner = [next(numbers) for axis, size in enumerate(sizes) if axis in reduced and size != 1]
    axes = _interleave(sizes, reduced, rows, inner)
    extents = {axis: size for axis, size in zip(axes, sizes, strict=True) if axis is not None}
    cluster.extents = extents
    cluster.reduced = set(inner)
    return axes
