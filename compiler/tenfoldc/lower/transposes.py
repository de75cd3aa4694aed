"""Tiles of a nest whose loads or stores run across the rows of memory: staged, so that all of them run along.

Two loops of the nest run in tiles.  What is read with unit stride along the outer of the two is transposed into scratch
memory, a tile at a time, and read from there; what is written so is written to scratch memory and transposed from
there.  Whatever is computed between is then plain vector code, and each cache line is touched once a tile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tenfold_rt.dtypes import DType
from tenfold_rt.frozen import frozen
from tenfoldc.loops import scalar
from tenfoldc.loops.index_algebra import Affine, IndexAlgebra
from tenfoldc.loops.ir import Axis, Buffer, Expr, Load, Statement, Store, TransposeTile
from tenfoldc.loops.rewriting import BufferReplacer
from tenfoldc.loops.traversal import all_expressions, expressions
from tenfoldc.lower.loop_nest import turns

_RUN_BYTES = 256
"""How much is read in one piece along a tile's rows: some cache lines, which the processor fetches ahead."""

_COLUMNS = 64


@frozen
class TileLoop:
    """One of the two loops inside a tile: its extent there, which may be cut short, and the most that can be."""

    axis: Axis
    length: Expr
    most: int


@frozen
class Staging:
    """What staging needs of a nest: its algebra, memory of the kernel's own, and views of buffers with one axis."""

    algebra: IndexAlgebra
    scratch: Callable[[DType, int], Buffer]
    flat: Callable[[Buffer], Buffer]


def tile_sides(itemsize: int) -> tuple[int, int]:
    """Rows and columns of a tile of elements of at most `itemsize` bytes: they take half of a first-level cache."""
    return min(_RUN_BYTES // itemsize, _COLUMNS), _COLUMNS


def tile(stores: Sequence[Statement], first: TileLoop, second: TileLoop, staging: Staging) -> list[Statement]:
    """The statements of one tile, which store `stores` at each turn of two loops.

    The inner of them is the one along which more accesses run, so that fewer are staged.
    """
    stages = _Stage(first, second, staging), _Stage(second, first, staging)
    stage = min(stages, key=lambda choice: choice.accesses_across(stores))
    before: list[Statement] = []
    staged: dict[Expr, Expr] = {}
    for load in all_expressions(stores):
        across = stage.across(load.buffer, load.index) if isinstance(load, Load) else None
        if isinstance(load, Load) and across is not None:
            memory = stage.memory(load.dtype)
            before.append(stage.gathered(memory, load.buffer, *across))
            staged[load] = Load(memory, (stage.place,))
    inside: list[Statement] = []
    after: list[Statement] = []
    replacer = BufferReplacer({}, staged)
    for store in stores:
        assert isinstance(store, Store)
        across = stage.across(store.buffer, store.index)
        if across is None:
            inside.extend(replacer.statements((store,)))
            continue
        memory = stage.memory(store.buffer.dtype)
        inside.append(Store(memory, (stage.place,), replacer.expression(store.value)))
        after.append(stage.scattered(store.buffer, *across, memory))
    return [*before, stage.loops(inside), *after]


class _Stage:
    """One tile's memory and how it is filled and emptied."""

    def __init__(self, row: TileLoop, column: TileLoop, staging: Staging) -> None:
        self.row, self.column, self.staging = row, column, staging
        self.pitch = column.most
        self.place = scalar.add(scalar.mul(row.axis, scalar.index(self.pitch)), column.axis)

    def memory(self, dtype: DType) -> Buffer:
        return self.staging.scratch(dtype, self.row.most * self.pitch)

    def loops(self, body: Sequence[Statement]) -> Statement:
        inner = turns(self.column.axis, self.column.length, body, None)
        return turns(self.row.axis, self.row.length, (inner,), None)

    def accesses_across(self, stores: Sequence[Statement]) -> int:
        """How many loads and stores must be staged."""
        accesses = [*stores, *all_expressions(stores)]
        found = (self.across(a.buffer, a.index) for a in accesses if isinstance(a, Load | Store))
        return sum(across is not None for across in found)

    def across(self, buffer: Buffer, index: Sequence[Expr]) -> tuple[Expr, int] | None:
        """Where an access that runs along `row` and across `column` begins in a tile, and its stride; else None."""
        algebra, axes = self.staging.algebra, (self.row.axis, self.column.axis)
        form = algebra.offset(index, buffer.shape)
        stride = form.coefficient(self.column.axis)
        if form.coefficient(self.row.axis) != 1 or stride <= 1:
            return None
        rest = tuple((atom, coefficient) for atom, coefficient in form.terms if atom not in axes)
        if any(axis in axes for axis in expressions(atom for atom, _ in rest)):
            return None
        return algebra.expression(Affine(rest, form.constant)), stride

    def gathered(self, memory: Buffer, source: Buffer, first: Expr, stride: int) -> TransposeTile:
        flat, zero = self.staging.flat(source), scalar.index(0)
        return TransposeTile(memory, zero, self.pitch, flat, first, stride, self.row.length, self.column.length)

    def scattered(self, target: Buffer, first: Expr, stride: int, memory: Buffer) -> TransposeTile:
        flat, zero = self.staging.flat(target), scalar.index(0)
        return TransposeTile(flat, first, stride, memory, zero, self.pitch, self.column.length, self.row.length)
