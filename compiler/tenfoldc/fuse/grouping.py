"""The fusion stage: a function in, a `Plan` out.

Operations are placed from the last to the first, so that all readers of a value are placed before it.  A value is
computed where it is read if that repeats little work; otherwise it is written to memory, by a cluster of its own or
as one more result of a cluster that computes it anyway.  A reduction joins the cluster that uses it where both run
over the same rows: so softmax, layer norm and their gradients become one kernel each.  A contraction takes the
elementwise operations that follow it into its writes.  Clusters never come to need each other in a circle: whenever
one gains results that another reads, it is checked that the other does not come first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from itertools import count

from tenfoldc.fuse.cluster import Cluster
from tenfoldc.fuse.ordering import in_order
from tenfoldc.fuse.reads import Reads, ReadsOf, has_elements
from tenfoldc.fuse.reductions import fit, result_map
from tenfoldc.fuse.row_blocks import merge_row_blocks
from tenfoldc.ir.core import Function, Operation, Region, Value, captured
from tenfoldc.ir.groups import AxisMap, Group, GroupKind, Plan
from tenfoldc.ir.op import Kind
from tenfoldc.ops.creation import CONSTANT, ConstantAttributes, splat_value
from tenfoldc.ops.movement import DYNAMIC_UPDATE_SLICE
from tenfoldc.ops.window import ReduceWindowAttributes, running_axis

_CHEAP = 7
"""Scalar operations up to which a value is rather computed again than written to memory and read back."""

_REPETITION = 1.25
"""How often an element of an expensive value may be computed on average."""

_PROLOGUE_WEIGHT = {Kind.CONTRACTION: 4, Kind.WINDOW: 3}
_ANY_PROLOGUE_WEIGHT = 16

_UPDATE_SHARE = 4
"""How many times larger than its update a tensor is that is rather updated in place than computed anew."""


def fuse(function: Function, *, row_blocks: bool = True) -> Plan:
    """Partition the operations of `function`, and of all regions inside, into groups.

    `row_blocks` says whether groups that share their rows are run one after the other for some rows at a time.
    """
    return _fuse_region(function.body, ReadsOf(), frozenset(), row_blocks)


def _fuse_region(region: Region, reads_of: ReadsOf, carried: Set[Value], row_blocks: bool) -> Plan:
    """`carried` are values that a loop hands from turn to turn."""
    nested: dict[Region, Plan] = {}
    for operation in region.operations:
        if operation.op.kind is Kind.CONTROL:
            for inner in operation.regions:
                plan = _fuse_region(inner, reads_of, frozenset(inner.parameters), row_blocks)
                nested[inner] = plan
                nested |= plan.nested
    groups = _Fusion(region, reads_of, carried).run()
    return Plan(merge_row_blocks(region, groups, reads_of) if row_blocks else groups, nested)


class _Fusion:
    """The fusion of one region."""

    def __init__(self, region: Region, reads_of: ReadsOf, carried: Set[Value]) -> None:
        self.region = region
        self.carried = carried
        self.definitions = {result: operation for operation in region.operations for result in operation.results}
        self.reads: dict[Operation, Reads] = {}
        self.weights: dict[Value, int] = {}
        """What an element costs, everything that it is computed from included save what will be in memory."""
        self.readers: dict[Value, dict[Cluster, None]] = {}
        self.needed = set(region.results)
        """Values that must be in memory."""
        self.clusters: list[Cluster] = []
        self.axis_numbers = count()
        self._weigh(reads_of)

    def _weigh(self, reads_of: ReadsOf) -> None:
        """Work out `weights`; an expensive value with several uses is taken to be in memory for its readers."""
        uses: dict[Value, int] = {}
        in_memory: set[Value] = set()
        for operation in self.region.operations:
            for operand in dict.fromkeys(operation.operands):
                uses[operand] = uses.get(operand, 0) + 1
        for operation in self.region.operations:
            if not has_elements(operation):
                continue
            reads = self.reads[operation] = reads_of(operation)
            (result,) = operation.results
            weight = reads.weight
            for read in reads.reads:
                operand = operation.operands[read.operand]
                weight += 1 if operand in in_memory else self.weights.get(operand, 1)
            if operation.op is CONSTANT:
                attributes = operation.attributes
                assert isinstance(attributes, ConstantAttributes)
                weight = int(splat_value(attributes.value) is None)
            self.weights[result] = min(weight, 10_000)
            if weight > _CHEAP and uses.get(result, 0) > 1:
                in_memory.add(result)

    def run(self) -> tuple[Group, ...]:
        for operation in reversed(self.region.operations):
            used = [value for value in operation.results if value in self.readers or value in self.needed]
            if not used or operation.op is CONSTANT:
                continue
            if operation in self.reads and not self._updates_in_place(operation):
                self._place_element(operation)
            elif operation.op.kind is Kind.REDUCTION:
                self._place_reduction(operation, used)
            else:
                self._place_anchor(operation, used)
        for parameter in self.region.parameters:
            self._merge_readers(parameter)
        position = {operation: place for place, operation in enumerate(self.region.operations)}
        clusters = [cluster for cluster in self.clusters if cluster.merged_into is None]
        costly = {value for value, weight in self.weights.items() if weight > _CHEAP}
        writers = {value: cluster for cluster in clusters for value in cluster.results}
        ordered = in_order(
            clusters,
            lambda cluster: (writers[value] for value in cluster.accesses if value in writers),
            lambda cluster: cluster.operations,
            position,
        )
        return tuple(cluster.group(position, costly) for cluster in ordered)

    # Elementwise operations, movements and creations

    def _place_element(self, operation: Operation) -> None:
        (value,) = operation.results
        self._merge_readers(value)
        clusters = self._clusters_of([value])
        if value not in self.needed and self._inlines(operation, clusters):
            for cluster in clusters:
                self._add(cluster, operation)
            return
        for cluster in clusters:
            if self._joins(operation, cluster, clusters):
                self._add(cluster, operation)
                self._write(cluster, [value], clusters)
                return
        if self._is_view(operation):
            cluster = self._new_cluster(GroupKind.VIEW)
            cluster.operations[operation] = None
            self.needed.add(operation.operands[0])
            self._read(cluster, operation.operands[0], operation)
        else:
            cluster = self._new_nest(value)
            self._add(cluster, operation)
        self._write(cluster, [value], clusters)

    def _inlines(self, operation: Operation, clusters: Sequence[Cluster]) -> bool:
        """Whether `operation` is best computed wherever its result is read."""
        (value,) = operation.results
        own, total = self.reads[operation].weight, self.weights[value]
        for cluster in clusters:
            if value in cluster.prologue:
                assert cluster.anchor is not None
                if total > _prologue_weight(cluster.anchor):
                    return False
            copies = len(cluster.accesses[value])
            if not cluster.has_room(own * copies):
                return False
        if total <= _CHEAP and (total - 1) * len(clusters) <= 2 * _CHEAP:
            return True
        if len(clusters) == 1 and value.type.size <= 1:
            return True
        return sum(cluster.evaluations(value) for cluster in clusters) <= _REPETITION * value.type.size

    def _joins(self, operation: Operation, cluster: Cluster, readers: Sequence[Cluster]) -> bool:
        """Whether `cluster` can write the result of `operation` while computing it."""
        (value,) = operation.results
        axes = cluster.only_map(value)
        if axes is None or cluster.kind is GroupKind.VIEW or value in cluster.prologue:
            return False
        if cluster.kind is GroupKind.OPERATION and list(cluster.extents) != [a for a in axes if a is not None]:
            return False
        fits = cluster.covers(axes) and cluster.has_room(self.reads[operation].weight)
        return fits and not any(other.reaches(cluster) for other in readers if other is not cluster)

    def _is_view(self, operation: Operation) -> bool:
        if not self.reads[operation].view:
            return False
        source = self.definitions.get(operation.operands[0])
        return source is None or source.op is not CONSTANT

    def _updates_in_place(self, operation: Operation) -> bool:
        """Whether only a small part of a large tensor changes, or a part of what a loop carries."""
        if operation.op is not DYNAMIC_UPDATE_SLICE:
            return False
        whole, update = operation.operands[:2]
        return whole in self.carried or update.type.size * _UPDATE_SHARE <= whole.type.size

    def _merge_readers(self, value: Value) -> None:
        """Make one cluster of those that run over the same axes and read `value` along them."""
        clusters = self._clusters_of([value])
        for position, first in enumerate(clusters):
            if first.merged_into is not None or first.kind is not GroupKind.NEST:
                continue
            for second in clusters[position + 1 :]:
                if second.merged_into is None and second.kind is GroupKind.NEST:
                    self._merge(first, second, value)
                    if first.merged_into is not None:
                        break

    def _merge(self, first: Cluster, second: Cluster, value: Value) -> None:
        """Merge two nests if they run over the same axes, their sizes allow it and neither needs the other."""
        if len(second.extents) > len(first.extents) or (second.reduced and not first.reduced):
            first, second = second, first
        renamed = _renaming(first, second, value)
        if renamed is None or second.sealed or not first.has_room(second.weight, len(second.operations)):
            return
        if first.reaches(second) or second.reaches(first):
            return
        first.absorb(second, renamed)

    # Reductions

    def _place_reduction(self, operation: Operation, used: Sequence[Value]) -> None:
        clusters = self._clusters_of(used)
        for cluster in clusters:
            if cluster.kind is not GroupKind.NEST:
                continue
            rows = result_map(cluster, [value for value in used if value in cluster.accesses])
            if rows is None or any(other.reaches(cluster) for other in clusters if other is not cluster):
                continue
            axes = fit(cluster, operation, rows, self.axis_numbers)
            if axes is not None:
                self._reduce_in(cluster, operation, axes, rows)
                self._merge_readers(used[0])
                readers = self._clusters_of(used)
                if len(readers) > 1 or not self.needed.isdisjoint(used):
                    self._write(cluster.find(), used, readers)
                return
        cluster = self._new_nest(used[0])
        rows = tuple(self._axes_of(cluster, used[0]))
        axes = fit(cluster, operation, rows, self.axis_numbers)
        assert axes is not None
        self._reduce_in(cluster, operation, axes, rows)
        self._write(cluster, used, clusters)

    def _reduce_in(self, cluster: Cluster, operation: Operation, axes: AxisMap, rows: AxisMap) -> None:
        cluster.operations[operation] = None
        cluster.operand_maps[operation] = axes
        for result in operation.results:
            cluster.read(result, rows)
        inputs = len(operation.operands) // 2
        for number, operand in enumerate(operation.operands):
            self._read(cluster, operand, axes if number < inputs else ())

    # Everything else

    def _place_anchor(self, operation: Operation, used: Sequence[Value]) -> None:
        clusters = self._clusters_of(used)
        cluster = self._epilogue_for(operation, clusters)
        if cluster is None:
            cluster = self._new_cluster(GroupKind.OPERATION, operation)
            self._write(cluster, operation.results, clusters)
        elif len(clusters) > 1 or used[0] in self.needed:
            self._write(cluster, used, clusters)
        cluster.operations[operation] = None
        if operation.op.kind is Kind.CONTROL:
            self.needed.update(operation.operands)
        for operand in dict.fromkeys(operation.operands):
            cluster.prologue.add(operand)
            self._read(cluster, operand, operation, 0 if operation.op.kind is Kind.CONTROL else operand.type.size)
        if operation.op.kind is Kind.CONTROL:
            for value in dict.fromkeys(value for region in operation.regions for value in captured(region)):
                self.needed.add(value)
                self._read(cluster, value, operation)
        elif operation.op is DYNAMIC_UPDATE_SLICE:
            self.needed.add(operation.operands[0])

    def _epilogue_for(self, operation: Operation, clusters: Sequence[Cluster]) -> Cluster | None:
        """A nest of elementwise operations that follows a contraction or a cumulative reduction, made part of it."""
        if operation.op.kind is not Kind.CONTRACTION and not _is_cumulative(operation):
            return None
        value, *others = operation.results
        if others:
            return None
        for cluster in clusters:
            axes = cluster.only_map(value)
            if cluster.kind is not GroupKind.NEST or axes is None or cluster.reduced or cluster.sealed:
                continue
            if list(cluster.extents) != [axis for axis in axes if axis is not None]:
                continue
            if any(result.type.sizes != value.type.sizes for result in cluster.results):
                continue
            if any(other.reaches(cluster) for other in clusters if other is not cluster):
                continue
            cluster.kind, cluster.anchor = GroupKind.OPERATION, operation
            return cluster
        return None

    # Clusters

    def _clusters_of(self, values: Iterable[Value]) -> list[Cluster]:
        """The clusters that read any of `values`, each once."""
        found = dict.fromkeys(cluster.find() for value in values for cluster in self.readers.get(value, ()))
        return list(found)

    def _new_cluster(self, kind: GroupKind, anchor: Operation | None = None) -> Cluster:
        cluster = Cluster(kind, anchor)
        self.clusters.append(cluster)
        return cluster

    def _new_nest(self, value: Value) -> Cluster:
        """A nest over the axes of `value`, which it computes."""
        cluster = self._new_cluster(GroupKind.NEST)
        axes: list[int | None] = []
        for size in value.type.sizes:
            axes.append(None if size == 1 else next(self.axis_numbers))
            if axes[-1] is not None:
                cluster.extents[axes[-1]] = size
        cluster.read(value, tuple(axes))
        return cluster

    def _axes_of(self, cluster: Cluster, value: Value) -> AxisMap:
        axes = cluster.only_map(value)
        assert axes is not None
        return axes

    def _add(self, cluster: Cluster, operation: Operation) -> None:
        reads = self.reads[operation]
        cluster.add(operation, reads.weight, reads.reads)
        for read in reads.reads:
            self.readers.setdefault(operation.operands[read.operand], {})[cluster] = None

    def _read(self, cluster: Cluster, value: Value, access: AxisMap | Operation, turns: int = 0) -> None:
        cluster.read(value, access, turns)
        self.readers.setdefault(value, {})[cluster] = None

    def _write(self, cluster: Cluster, values: Iterable[Value], readers: Iterable[Cluster]) -> None:
        """Let `cluster` write `values` to memory for `readers`."""
        cluster.results |= dict.fromkeys(values)
        cluster.consumers |= {reader for reader in readers if reader is not cluster}


def _is_cumulative(operation: Operation) -> bool:
    """Whether an operation is a cumulative reduction, which takes each element once, and writes each result once."""
    attributes = operation.attributes
    return isinstance(attributes, ReduceWindowAttributes) and bool(
        running_axis(attributes, operation.operands[0].type.shape)
    )


def _prologue_weight(anchor: Operation) -> int:
    """Scalar operations up to which a producer is merged into the reads of `anchor`: few where it reads repeatedly."""
    return (
        _ANY_PROLOGUE_WEIGHT if _is_cumulative(anchor) else _PROLOGUE_WEIGHT.get(anchor.op.kind, _ANY_PROLOGUE_WEIGHT)
    )


def _renaming(first: Cluster, second: Cluster, value: Value) -> dict[int, int] | None:
    """The axes of `second` as axes of `first`, by how both read `value`; None where they run over different axes."""
    axes, other_axes = first.only_map(value), second.only_map(value)
    if axes is None or other_axes is None or not first.covers(axes):
        return None
    pairs = zip(other_axes, axes, strict=True)
    renamed = {theirs: own for theirs, own in pairs if theirs is not None and own is not None}
    if set(renamed) != set(second.extents) or len(set(renamed.values())) != len(renamed):
        return None
    if [renamed[axis] for axis in second.extents] != [axis for axis in first.extents if axis in renamed.values()]:
        return None
    reduced = {renamed[axis] for axis in second.reduced}
    if second.reduced and reduced != first.reduced:
        return None
    return renamed
