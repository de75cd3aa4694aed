"""Elementwise work whose loads or stores run across memory, in tiles that pass through shared memory.

A block has a tile of two loops.  What is read with unit stride along one of them is brought into shared memory by
threads side by side along that one, and taken from there by threads side by side along the other; what is written so
goes the opposite way.  So every access to memory is by neighbouring threads to neighbouring elements:

    y[i, j] = x[j, i] + z[i, j]   →   tile[j, i] = x[j, i]; barrier; y[i, j] = tile[j, i] + z[i, j]

Rows of the tile are one element longer than is used, so that threads of a warp never meet in one bank.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from tenfold_rt.dtypes import DType
from tenfold_rt.frozen import frozen
from tenfoldc.gpu.lower.grid import Grid, both
from tenfoldc.gpu.lower.threads import BLOCK, SHARED_BYTES, power_of_two, shared_size
from tenfoldc.loops import scalar
from tenfoldc.loops.index_algebra import IndexAlgebra
from tenfoldc.loops.ir import Axis, Barrier, Buffer, Expr, For, If, Launch, Load, Mode, Statement, Store
from tenfoldc.loops.rewriting import BufferReplacer
from tenfoldc.loops.traversal import all_expressions, expressions

_SIDE = 32
_SIDE_OF_SMALL = 64
"""Elements along a side of a tile, and of one whose elements have at most 2 bytes: then as well a row fills sectors."""


_At: TypeAlias = Mapping[Expr, Expr]
"""What the indices of the loops are."""

_Place: TypeAlias = tuple[Expr, Expr]
"""A place in a staged tile: columns first."""


@frozen
class TileSide:
    """A loop of the nest: its index and how far it runs."""

    axis: Axis
    extent: int


def tiles(
    stores: Sequence[Statement], outer: TileSide, first: TileSide, second: TileSide, algebra: IndexAlgebra
) -> Launch:
    """The launch that does `stores` at all indices of three loops, in tiles of the last two.

    Threads compute side by side along that of the two along which more accesses run, so that fewer are staged.
    """
    choices = [_Tiles(stores, outer, *sides, algebra) for sides in ((first, second), (second, first))]
    return min(choices, key=lambda choice: len(choice.across)).launch()


class _Tiles:
    """Tiles in which threads compute side by side along `inner`."""

    def __init__(
        self, stores: Sequence[Statement], outer: TileSide, slow: TileSide, inner: TileSide, algebra: IndexAlgebra
    ) -> None:
        self.stores, self.slow, self.inner, self.outer = stores, slow, inner, outer
        self._algebra = algebra
        accesses = [*stores, *all_expressions(stores)]
        self.across = [a for a in accesses if isinstance(a, Load | Store) and self._is_across(a)]
        self.height, self.width = self._sides()

    def launch(self) -> Launch:
        size = self.height * self.width
        down, along = -(-self.slow.extent // self.height), -(-self.inner.extent // self.width)
        self.grid = Grid(self._axis, self.outer.extent * down * along, min(BLOCK, size))
        self.turns = size // self.grid.threads
        block = self.grid.block
        self.first_column = scalar.mul(scalar.rem(block, scalar.index(along)), scalar.index(self.width))
        rest = scalar.div(block, scalar.index(along))
        self.first_row = scalar.mul(scalar.rem(rest, scalar.index(down)), scalar.index(self.height))
        self.outer_index = scalar.div(rest, scalar.index(down))
        staged = [(access, self._memory(access)) for access in self.across[: self._room()]]
        loads = {access: memory for access, memory in staged if isinstance(access, Load)}
        writes = {access: memory for access, memory in staged if isinstance(access, Store)}

        def fetched(at: _At, place: _Place) -> list[Statement]:
            here = BufferReplacer({}, at)
            return [Store(memory, place, here.expression(load)) for load, memory in loads.items()]

        def computed(at: _At, place: _Place) -> list[Statement]:
            here = BufferReplacer({}, {**at, **{load: Load(memory, place) for load, memory in loads.items()}})
            kept = [Store(memory, place, here.expression(store.value)) for store, memory in writes.items()]
            return [*here.statements(store for store in self.stores if store not in writes), *kept]

        def delivered(at: _At, place: _Place) -> list[Statement]:
            here = BufferReplacer({}, at)
            return [
                Store(store.buffer, tuple(map(here.expression, store.index)), Load(memory, place))
                for store, memory in writes.items()
            ]

        body: list[Statement] = [self._each(computed, along_inner=True)]
        if loads:
            body = [self._each(fetched, along_inner=False), Barrier(), *body]
        if writes:
            body += [Barrier(), self._each(delivered, along_inner=False)]
        return self.grid.launch("tiles", body)

    def _each(self, content: Callable[[_At, _Place], list[Statement]], *, along_inner: bool) -> Statement:
        """`content` for all elements of a tile, threads side by side along one of the two loops."""
        turn = self._axis("turn", self.turns)
        number = scalar.add(scalar.mul(turn, scalar.index(self.grid.threads)), self.grid.thread)
        side = scalar.index(self.width if along_inner else self.height)
        row, column = scalar.div(number, side), scalar.rem(number, side)
        if not along_inner:
            row, column = column, row
        place, sides = (column, row), ((self.slow, self.first_row, row), (self.inner, self.first_column, column))
        at: dict[Expr, Expr] = {self.outer.axis: self.outer_index}
        conditions: list[Expr] = []
        for loop, first, within in sides:
            at[loop.axis] = scalar.add(first, within)
            if loop.extent % (self.height if loop is self.slow else self.width):
                conditions.append(scalar.less(at[loop.axis], scalar.index(loop.extent)))
        body = content(at, place)
        guarded = [If(both(conditions), tuple(body))] if conditions else body
        return For(turn, scalar.index(self.turns), tuple(guarded), mode=Mode.UNROLLED)

    def _axis(self, name: str, extent: int) -> Axis:
        return self._algebra.declare(Axis(name), extent)

    def _is_across(self, access: Load | Store) -> bool:
        """Whether an access runs along the slow loop, and across the inner one."""
        form = self._algebra.offset(access.index, access.buffer.shape)
        if form.coefficient(self.slow.axis) != 1 or form.coefficient(self.inner.axis) <= 1:
            return False
        own = (self.slow.axis, self.inner.axis)
        rest = (atom for atom, _ in form.terms if atom not in own)
        return not any(expression in own for expression in expressions(rest))

    def _sides(self) -> tuple[int, int]:
        """Rows and columns of a tile, powers of two; where one loop is short, the other has more."""
        itemsize = max((_dtype(access).itemsize for access in self.across), default=4)
        side = _SIDE_OF_SMALL if itemsize <= 2 else _SIDE
        height = min(side, power_of_two(self.slow.extent))
        width = min(side * side // height, power_of_two(self.inner.extent))
        return min(side * side // width, power_of_two(self.slow.extent)), width

    def _room(self) -> int:
        """How many accesses shared memory has room for."""
        shape = (self.width, self.height + 1)
        sizes = [shared_size(Buffer("tile", _dtype(access), shape)) for access in self.across]
        return max(count for count in range(len(sizes) + 1) if sum(sizes[:count]) <= SHARED_BYTES)

    def _memory(self, access: Load | Store) -> Buffer:
        return self.grid.shared("tile", _dtype(access), (self.width, self.height + 1))


def _dtype(access: Load | Store) -> DType:
    return access.buffer.dtype
