"""Nests: groups of elementwise operations and reductions become loops.

Without reductions a nest is its loops around the stores of its results.  With reductions, each row is passed over
as often as one reduction waits for another.  Where the innermost axis in memory is folded away, a pass carries one
accumulator per reduction; where it is kept, `tenfoldc.lower.columns` runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tenfold_rt.dtypes import DType
from tenfold_rt.frozen import frozen
from tenfoldc.ir.core import Operation, Value
from tenfoldc.ir.groups import AxisMap, Group
from tenfoldc.loops import scalar
from tenfoldc.loops.index_algebra import IndexAlgebra
from tenfoldc.loops.ir import Axis, Buffer, Carry, Constant, Expr, For, Local, Statement
from tenfoldc.lower.elements import Elements
from tenfoldc.lower.folding import accumulate, has_neutral, is_float_sum, neutral, zero
from tenfoldc.lower.loop_nest import turns
from tenfoldc.lower.parts import ENOUGH_ROWS, SUM_BLOCK, block_sizes, part_size
from tenfoldc.lower.passes import Passes, full_map
from tenfoldc.lower.selection import only_term
from tenfoldc.lower.space import Space
from tenfoldc.lower.storage import Storage
from tenfoldc.lower.transposes import Staging, TileLoop, tile, tile_sides
from tenfoldc.ops.reducer import Reducer, recognise

_MANY_OPERATIONS = 24
"""Group sizes from which values are computed in order, so that pulling one never runs deep."""


@frozen
class FoldLoop:
    """A loop of a pass.  `partial`: sums inside start anew in each turn and are added to the total after it."""

    axis: Axis
    extent: Expr
    partial: bool = False


class Stretch(NamedTuple):
    """Some turns of a loop: from which, how many at most, how many here."""

    start: Expr
    bound: int
    length: Expr


class Nest:
    """One attempt at the loops of a group, in a given space."""

    def __init__(self, group: Group, storage: Storage, space: Space, passes: Passes) -> None:
        self.group = group
        self.storage = storage
        self.space = space
        self.passes = passes
        self.algebra = IndexAlgebra()
        self.elements = Elements(storage, self.algebra, group.operations)
        self.loop_of: dict[Axis, int] = {}
        self.scratch: list[Buffer] = []
        self.kept: dict[Value, Buffer] = {}
        self._axes = 0

    def axis(self, loop: int | None, extent: int, prefix: str = "i") -> Axis:
        """A new index; it counts as `loop`'s where it takes unit steps along it."""
        axis = self.algebra.declare(Axis(f"{prefix}{self._axes}"), extent)
        self._axes += 1
        if loop is not None:
            self.loop_of[axis] = loop
        return axis

    def new_scratch(self, name: str, like: Value, shape: Sequence[int]) -> Buffer:
        """Memory for the duration of the kernel."""
        return self._scratch(name, like.type.dtype, shape)

    def _scratch(self, name: str, dtype: DType, shape: Sequence[int]) -> Buffer:
        buffer = Buffer(f"{name}{len(self.scratch)}", dtype, tuple(shape))
        self.scratch.append(buffer)
        return buffer

    def index(self, axes: AxisMap, at: Mapping[int, Expr]) -> tuple[Expr, ...]:
        """The index of a value over `axes` where group axis a stands at `at[a]`."""
        return tuple(scalar.index(0) if axis is None else at[axis] for axis in axes)

    def positions(self, at: Mapping[int, Expr]) -> dict[int, Expr]:
        return self.space.positions(at, self.algebra)

    def warm(self, at: Mapping[int, Expr], level: int, number: int | None) -> None:
        """Compute in program order what pass `number`, or the row after it, will ask for."""
        if len(self.group.operations) <= _MANY_OPERATIONS:
            return
        for operation in self.group.operations:
            for value in operation.results:
                if self.passes.level[value] > level or operation in self.group.operand_maps:
                    continue
                if number is not None and number not in self.passes.used_in.get(value, ()):
                    continue
                for axes in self.group.maps.get(value, ()):
                    if all(axis is None or axis in at for axis in axes):
                        self.elements.read(value, self.index(axes, at))

    def store_results(self, values: Sequence[Value], at: Mapping[int, Expr]) -> list[Statement]:
        """Stores of one element of each of `values`."""
        stores: list[Statement] = []
        for value in values:
            index = self.index(self.group.maps[value][0], at)
            element = self.elements.read(value, index)
            stores.append(self.elements.store(self.storage.result(value), index, element))
        return stores

    def build(self) -> list[Statement]:
        """The statements of the nest."""
        if self.space.tiled is not None:
            return self._tiles()
        at: dict[int, Expr] = {}
        loops: list[tuple[Axis, int]] = []
        for loop in self.space.rows:
            axis = self.axis(loop, self.space.extent(loop))
            loops.append((axis, self.space.extent(loop)))
            at[loop] = axis
        body = self._row(at)
        return around([(axis, scalar.index(extent)) for axis, extent in loops], body, private=self.scratch)

    def _row(self, at: Mapping[int, Expr]) -> list[Statement]:
        """All passes over one row."""
        here = self.positions(at)
        self.warm(here, 0, None)
        body = self.store_results(self.passes.rows.get(0, []), here)
        for number in range(1, self.passes.count + 1):
            body.extend(self._pass(number, at, here))
            self.warm(here, number, None)
            body.extend(self.store_results(self.passes.rows.get(number, []), here))
        return body

    def _tiles(self) -> list[Statement]:
        """A nest without reductions, two of whose loops run in tiles."""
        assert self.space.tiled is not None
        at: dict[int, Expr] = {}
        outer: list[tuple[Axis, Expr]] = []
        inner: list[TileLoop] = []
        sides = tile_sides(max(value.type.dtype.itemsize for value in self.group.results))
        for loop in self.space.rows:
            extent = self.space.extent(loop)
            if loop not in self.space.tiled:
                axis = self.axis(loop, extent)
                outer.append((axis, scalar.index(extent)))
                at[loop] = axis
                continue
            side = sides[len(inner)]
            axis, index, turns, length = self.blocks(loop, extent, side)
            outer.append((axis[0], turns))
            inner.append(TileLoop(axis[1], length, min(side, extent)))
            at[loop] = index
        here = self.positions(at)
        self.warm(here, 0, None)
        stores = self.store_results(self.passes.rows.get(0, []), here)
        staging = Staging(self.algebra, lambda dtype, size: self._scratch("tile", dtype, (size,)), self.storage.flat)
        return around(outer, tile(stores, inner[0], inner[1], staging), private=self.scratch)

    def blocks(self, loop: int, extent: int, size: int) -> tuple[tuple[Axis, Axis], Expr, Expr, Expr]:
        """A loop as blocks of `size`, the last of which may be shorter.

        Gives both axes, the index that they make, the number of blocks and the length of the current one.
        """
        block, start, length = self.cut(extent, min(size, extent), "b")
        within = self.axis(loop, min(size, extent))
        return (block, within), scalar.add(start, within), scalar.index(-(-extent // size)), length

    def cut(self, extent: int, size: int, name: str) -> tuple[Axis, Expr, Expr]:
        """An index over the pieces of `extent` of `size` each, where the current one starts, and its length."""
        count = -(-extent // size)
        piece = self.axis(None, count, name)
        start = scalar.mul(piece, scalar.index(size))
        length: Expr = scalar.index(size)
        if extent % size:
            length = scalar.minimum(length, scalar.sub(scalar.index(extent), start))
        return piece, start, length

    def _pass(self, number: int, row: Mapping[int, Expr], here: Mapping[int, Expr]) -> list[Statement]:
        """One pass over a row: its reductions carried through the loops, its results stored."""
        folded = self.passes.reductions.get(number, [])
        terms = {op: term for op in folded if (term := self._only_term(number, op, row)) is not None}
        for operation, term in terms.items():
            init = self.elements.read(inits_of(operation)[0], ())
            (total,) = accumulate(self.elements, operation, [init], [term])
            self.elements.let(operation.results[0], self.index(self.group.maps[operation.results[0]][0], here), total)
        folded = [operation for operation in folded if operation not in terms]
        if terms and not folded and not self.passes.elements.get(number) and not self.passes.kept.get(number):
            return []
        inits = [self.elements.read(init, ()) for operation in folded for init in inits_of(operation)]
        size = self.part_size(number, folded)
        if size is None:
            statements, finals = self._fold_row(number, row, folded, inits)
        else:
            statements, finals = self._fold_parts(number, row, folded, inits, size)
        results = [result for operation in folded for result in operation.results]
        for result, final in zip(results, finals, strict=True):
            self.elements.let(result, self.index(self.group.maps[result][0], here), final)
        return statements

    def _only_term(self, number: int, operation: Operation, row: Mapping[int, Expr]) -> Expr | None:
        """The one element of a row that a sum adds up, where a comparison with the index lets no other through."""
        if len(self.space.folded) != 1 or recognise(operation.regions[0]) is not Reducer.SUM:
            return None
        (loop,) = self.space.folded
        _, extent, length = self.stretch(loop)
        if not isinstance(length, Constant):
            return None
        axis = self.algebra.declare(Axis("only"), extent)
        self.loop_of[axis] = loop
        at = self.positions({**row, loop: axis})
        self.bind_kept(at, [axis])
        self.warm(at, number - 1, number)
        element = self.elements.read(operation.operands[0], self.index(self.group.operand_maps[operation], at))
        return only_term(element, axis, extent, self.algebra)

    def _fold_row(
        self,
        number: int,
        row: Mapping[int, Expr],
        folded: Sequence[Operation],
        inits: Sequence[Expr],
        first: Stretch | None = None,
    ) -> tuple[list[Statement], list[Expr]]:
        """The loops of a pass and what `folded` give from `inits`; `first`: only these turns of the outermost."""
        loops, inside = self._fold_loops(folded, first)
        at = self.positions({**row, **inside})
        cell = [inside[loop] for loop in self.space.folded]
        self.bind_kept(at, cell)
        self.warm(at, number - 1, number)
        stores = self.store_results(self.passes.elements.get(number, []), at)
        extents = [self.space.extent(loop) for loop in self.space.folded]
        stores.extend(self.keep(self.passes.kept.get(number, []), at, cell, extents))

        def content(carried: Sequence[Expr]) -> tuple[list[Statement], list[Expr]]:
            following: list[Expr] = []
            for operation in folded:
                count = len(operation.results)
                own = carried[len(following) : len(following) + count]
                following.extend(self.fold_element(operation, own, at))
            return stores, following

        sums = [is_float_sum(operation) for operation in folded for _ in operation.results]
        return _fold(loops, inits, sums, content)

    def part_size(self, number: int, folded: Sequence[Operation]) -> int | None:
        """The turns of the outermost loop that make a part of pass `number`, where threads are to share the pass."""
        rows = math.prod(self.space.extent(loop) for loop in self.space.rows)
        if not folded or rows >= ENOUGH_ROWS or self.passes.kept.get(number) or not all(map(has_neutral, folded)):
            return None
        extents = [self.space.extent(loop) for loop in self.space.folded]
        return part_size(math.prod(extents), extents[0])

    def _fold_parts(
        self, number: int, row: Mapping[int, Expr], folded: Sequence[Operation], inits: Sequence[Expr], size: int
    ) -> tuple[list[Statement], list[Expr]]:
        """A pass in parts of `size` turns of its outermost loop, combined in order."""
        extent = self.space.extent(self.space.folded[0])
        count = -(-extent // size)
        part, start, length = self.cut(extent, size, "p")
        starts = [neutral(operation) for operation in folded]
        statements, finals = self._fold_row(number, row, folded, starts, Stretch(start, size, length))
        results = [operation.results[0] for operation in folded]
        parts = [self.new_scratch("part", result, [count]) for result in results]
        stores = [self.elements.store(p, [part], final) for p, final in zip(parts, finals, strict=True)]
        place = self.axis(None, count, "p")

        def content(carried: Sequence[Expr]) -> tuple[list[Statement], list[Expr]]:
            own = zip(folded, carried, parts, strict=True)
            return [], [accumulate(self.elements, op, [c], [self.elements.load(p, [place])])[0] for op, c, p in own]

        sums = [is_float_sum(operation) for operation in folded]
        combined, totals = _fold([FoldLoop(place, scalar.index(count))], inits, sums, content)
        return [turns(part, scalar.index(count), [*statements, *stores]), *combined], totals

    def fold_element(self, operation: Operation, carried: Sequence[Expr], at: Mapping[int, Expr]) -> list[Expr]:
        """The accumulators of a reduction after one more element."""
        index = self.index(self.group.operand_maps[operation], at)
        inputs = operation.operands[: len(operation.results)]
        return accumulate(self.elements, operation, carried, [self.elements.read(x, index) for x in inputs])

    def _fold_loops(self, folded: Sequence[Operation], first: Stretch | None) -> tuple[list[FoldLoop], dict[int, Expr]]:
        """The loops of a pass, with long sums cut into blocks, and the index of each loop of the space."""
        has_sum = any(is_float_sum(operation) for operation in folded)
        loops: list[FoldLoop] = []
        inside: dict[int, Expr] = {}
        for number, loop in enumerate(self.space.folded):
            stretch = first if first is not None and number == 0 else self.stretch(loop)
            inner = loop != self.space.folded[-1] and self.space.extent(self.space.folded[-1]) >= SUM_BLOCK // 16
            own, inside[loop] = self._stretch_loops(loop, stretch, has_sum, inner)
            loops.extend(own)
        return loops, inside

    def stretch(self, loop: int) -> Stretch:
        """The turns that a folded loop takes."""
        extent = self.space.extent(loop)
        return Stretch(scalar.index(0), extent, scalar.index(extent))

    def _stretch_loops(self, loop: int, stretch: Stretch, has_sum: bool, inner: bool) -> tuple[list[FoldLoop], Expr]:
        """A stretch of a loop as loops over blocks and blocks of blocks, where there are sums, and the index in all."""
        loops: list[FoldLoop] = []
        start, bound, length = stretch
        for size in reversed(block_sizes(bound) if has_sum else []):
            count = -(-bound // size)
            block = self.axis(None, count, "b")
            begin = scalar.mul(block, scalar.index(size))
            if isinstance(length, Constant):
                loops.append(FoldLoop(block, scalar.index(count), partial=True))
            else:
                rounded = scalar.add(length, scalar.index(size - 1))
                loops.append(FoldLoop(block, scalar.div(rounded, scalar.index(size)), partial=True))
            if isinstance(length, Constant) and bound % size == 0:
                length = scalar.index(size)
            else:
                length = scalar.minimum(scalar.index(size), scalar.sub(length, begin))
            start, bound = scalar.add(start, begin), size
        axis = self.axis(loop, bound)
        loops.append(FoldLoop(axis, length, partial=has_sum and inner))
        return loops, scalar.add(start, axis)

    def keep(
        self, values: Sequence[Value], at: Mapping[int, Expr], cell: Sequence[Expr], extents: Sequence[int]
    ) -> list[Statement]:
        """Leave `values` for later passes: results in their own memory, others at `cell` of scratch memory."""
        stores: list[Statement] = []
        for value in values:
            if value in self.group.results:
                self.kept[value] = self.storage.result(value)
            elif value not in self.kept:
                self.kept[value] = self.new_scratch("row", value, extents)
            if value not in self.group.results:
                element = self.elements.read(value, self._kept_index(value, at))
                stores.append(self.elements.store(self.kept[value], cell, element))
        return stores

    def _kept_index(self, value: Value, at: Mapping[int, Expr]) -> tuple[Expr, ...]:
        axes = full_map(self.group, value)
        assert axes is not None
        return self.index(axes, at)

    def bind_kept(self, at: Mapping[int, Expr], inside: Sequence[Expr]) -> None:
        """Read what earlier passes kept: results at their own index, other values at `inside` of their scratch."""
        for value, buffer in self.kept.items():
            index = self._kept_index(value, at)
            self.elements.let(
                value, index, self.elements.load(buffer, index if value in self.group.results else inside)
            )


def around(
    loops: Sequence[tuple[Axis, Expr]], body: Sequence[Statement], private: Sequence[Buffer] | None = None
) -> list[Statement]:
    """`body` inside `loops`, given by axis and extent, outermost first; for `private` see `turns`."""
    statements = tuple(body)
    for axis, extent in reversed(loops):
        statements = (turns(axis, extent, statements, private),)
    return list(statements)


def inits_of(operation: Operation) -> tuple[Value, ...]:
    """The initial values of a reduction."""
    return operation.operands[len(operation.results) :]


def _fold(
    loops: Sequence[FoldLoop],
    values: Sequence[Expr],
    sums: Sequence[bool],
    content: Callable[[Sequence[Expr]], tuple[list[Statement], list[Expr]]],
) -> tuple[list[Statement], list[Expr]]:
    """Carry `values` through `loops` around `content`; gives the statements and the final values."""
    if not loops:
        return content(values)
    loop = loops[0]
    carried = [Local("sum", value.dtype) for value in values]
    starts = [
        zero(value.dtype) if is_sum and loop.partial else local
        for value, is_sum, local in zip(values, sums, carried, strict=True)
    ]
    statements, following = _fold(loops[1:], starts, sums, content)
    if loop.partial:
        following = [
            scalar.add(local, value) if is_sum else value
            for local, value, is_sum in zip(carried, following, sums, strict=True)
        ]
    results = [Local("total", value.dtype) for value in values]
    carries = tuple(map(Carry, carried, values, following, results))
    return [For(loop.axis, loop.extent, tuple(statements), carries)], list(results)
