"""Row blocks: contractions and the row-wise work between them become one kernel, run block of rows by block of rows.

    scores = q k^T;  weights = softmax(scores);  result = weights v    →    for some rows at a time: all three

What stands between two contractions often has far more elements than what they read and write, and a row of it
depends on nothing but a row of the operands.  Groups of a plan that share their rows so are merged here: what they hand
to each other then exists for one block of rows at a time, and never goes to memory.  A chain begins with a nest that
reduces rows of a contraction's result; it takes every following group that works on the same rows: another nest, a
contraction along the columns, or one along the rows, which adds up block by block.  Elements that a later chain needs
as well are computed again there rather than kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from tenfoldc.fuse.block_axes import BlockAxes, Fitted, read_by, seed_axes
from tenfoldc.fuse.ordering import in_order
from tenfoldc.fuse.reads import ReadsOf
from tenfoldc.ir.core import Region, Value
from tenfoldc.ir.groups import AxisMap, Group, GroupKind, Role, RowBlocks, Stage


def merge_row_blocks(region: Region, groups: Sequence[Group], reads_of: ReadsOf) -> tuple[Group, ...]:
    """`groups` of `region` with chains of them merged, in an order in which they can run."""
    merging = _Merging(region, groups, reads_of)
    for nest in groups:
        if nest.kind is GroupKind.NEST and nest in merging.groups:
            merging.try_chain(nest)
    return tuple(merging.groups)


class _Merging:
    """The groups of a region while chains are merged."""

    def __init__(self, region: Region, groups: Sequence[Group], reads_of: ReadsOf) -> None:
        self.groups = list(groups)
        self._results = set(region.results)
        self._reads_of = reads_of
        self._original = _writers(groups)
        self._position = {operation: place for place, operation in enumerate(region.operations)}

    def try_chain(self, nest: Group) -> None:
        """Merge the chain that begins with `nest`, if there is one."""
        writers = _writers(self.groups)
        seed = seed_axes(nest, writers, self._reads_of)
        if seed is None:
            return
        axes, loops = seed
        chain = _Chain(axes, self.groups, writers)
        if not chain.take_nest(nest, loops) or not chain.recompute(self._original):
            return
        chain.grow()
        if chain.sums_up() and chain.recompute(self._original) and chain.is_convex():
            self._merge(chain)

    def _merge(self, chain: _Chain) -> None:
        stages = tuple(chain.stages[group] for group in self._ordered(list(chain.stages)))
        operations = {operation for stage in stages for operation in stage.group.operations}
        merged = Group(
            GroupKind.ROW_BLOCKS,
            tuple(sorted(operations, key=self._position.__getitem__)),
            tuple(dict.fromkeys(value for stage in stages for value in stage.group.results)),
            blocks=RowBlocks(chain.axes.extents, stages, chain.axes.places),
        )
        rest = [group for group in self.groups if group not in chain.stages]
        self.groups = self._ordered(_without_unread([*rest, merged], self._results))

    def _ordered(self, groups: Sequence[Group]) -> list[Group]:
        writers = _writers(groups)
        return in_order(groups, lambda g: _sources(g, writers), lambda g: g.operations, self._position)


class _Chain:
    """Groups that work on the same rows, while they are found."""

    def __init__(self, axes: BlockAxes, groups: Sequence[Group], writers: Mapping[Value, Group]) -> None:
        self.axes = axes
        self.stages: dict[Group, Stage] = {}
        self._groups = groups
        self._writers = writers
        self._outside: set[Group] = set()
        """Groups that need the chain and are no part of it; what needs them cannot be part of it either."""
        self._waiting: set[Group] = set()
        """Of these, contractions that are part of it as soon as a nest reads their results per row and column."""

    def take_nest(self, nest: Group, loops: Mapping[int, int] | None = None) -> bool:
        """Make `nest` a stage, with the contractions that give it elements per row and column.

        `loops` are the axes of the space that its loops are, where what it reads does not tell.
        """
        loops = self.axes.loops_of(nest) if loops is None else loops
        if loops is None:
            return False
        producers: list[Fitted] = []
        for value in read_by(nest):
            producer = self._writers.get(value)
            if producer is None or producer in self.stages:
                continue
            free = producer not in self._outside or producer in self._waiting
            spread = self.axes.spread(producer, value, nest, loops) if free else None
            if spread is not None:
                producers.append(spread)
            elif producer in self._outside:
                return False
        fitted = self.axes.nest(nest, loops, [places for _, places in producers])
        if fitted is None:
            return False
        for each in (*producers, fitted):
            self._add(each)
        return True

    def grow(self) -> None:
        """Take the groups that read what stages compute, in the order of the plan."""
        for group in self._groups:
            if group in self.stages:
                continue
            sources = set(_sources(group, self._writers))
            reads_stage = any(value in self.axes.places for value in read_by(group))
            if not reads_stage and sources.isdisjoint(self._outside):
                continue
            if any(source in self.stages and self.stages[source].role is Role.ACCUMULATE for source in sources):
                self._outside.add(group)
            elif group.kind is GroupKind.NEST:
                if not self.take_nest(group):
                    self._outside.add(group)
            else:
                self._take_contraction(group, sources)

    def sums_up(self) -> bool:
        """Whether a contraction reads elements per row and column."""
        return any(stage.role in (Role.GATHER, Role.ACCUMULATE) for stage in self.stages.values())

    def _take_contraction(self, group: Group, sources: set[Group]) -> None:
        ready = not sources & self._outside
        fitted = self.axes.contraction(group) if ready else None
        if fitted is not None:
            self._add(fitted)
            return
        self._outside.add(group)
        if ready:
            self._waiting.add(group)

    def _add(self, fitted: Fitted) -> None:
        stage, places = fitted
        self.stages[stage.group] = stage
        self.axes.places.update(places)
        self._outside.discard(stage.group)

    def recompute(self, original: Mapping[Value, Group]) -> bool:
        """Compute here, too, what stages read per row and column; False where that cannot be."""
        while True:
            missing = next(self._wide_reads(original), None)
            if missing is None:
                return True
            value, place = missing
            group = original[value]
            fitted = self.axes.recomputed(group, value, place)
            if fitted is None or group in self._outside:
                return False
            self._add(fitted)

    def _wide_reads(self, original: Mapping[Value, Group]) -> Iterator[tuple[Value, AxisMap]]:
        """Values per row and column that no stage computes, and their axes."""
        for stage in self.stages.values():
            for value in read_by(stage.group):
                if value in original and value not in self.axes.places:
                    place = self.axes.place_of_read(stage, value)
                    if place is not None and self.axes.is_wide(place):
                        yield value, place

    def is_convex(self) -> bool:
        """Whether no group outside stands between two stages."""
        needing: set[Group] = set()
        for group in self._groups:
            sources = set(_sources(group, self._writers))
            if group in self.stages and sources & needing:
                return False
            if group not in self.stages and sources & (needing | set(self.stages)):
                needing.add(group)
        return True


def _writers(groups: Iterable[Group]) -> dict[Value, Group]:
    return {value: group for group in groups for value in group.results}


def _sources(group: Group, writers: Mapping[Value, Group]) -> Iterator[Group]:
    """The groups whose results `group` reads."""
    return (writers[value] for value in read_by(group) if value in writers)


def _without_unread(groups: Sequence[Group], results: set[Value]) -> list[Group]:
    """`groups` without results that are neither read nor among `results`, and without those that have no other."""
    while True:
        wanted = results.union(*(read_by(group) for group in groups))
        kept = [group for group in (_restricted(group, wanted) for group in groups) if group.results]
        if sum(len(group.results) for group in kept) == sum(len(group.results) for group in groups):
            return kept
        groups = kept


def _restricted(group: Group, wanted: set[Value]) -> Group:
    """`group` without results that are not `wanted`; a contraction keeps its own."""
    results = tuple(value for value in group.results if value in wanted)
    if group.blocks is None:
        may_drop = group.kind is GroupKind.NEST and len(results) < len(group.results)
        return replace(group, results=results) if may_drop else group
    stages = group.blocks.stages
    needed = wanted.union(*(read_by(stage.group) for stage in stages))
    kept = tuple(replace(stage, group=_restricted(stage.group, needed)) for stage in stages)
    kept = tuple(stage for stage in kept if not needed.isdisjoint(stage.group.results))
    operations = {operation for stage in kept for operation in stage.group.operations}
    own = tuple(operation for operation in group.operations if operation in operations)
    return replace(group, operations=own, results=results, blocks=replace(group.blocks, stages=kept))
