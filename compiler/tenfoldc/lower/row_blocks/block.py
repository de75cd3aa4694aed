"""The block that a row-block kernel is at: its place in the space, its memory, and what its stages share.

Values that exist a block at a time have a window each, the rows of the block; two that are never needed at one time
share memory.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from tenfold_rt.dtypes import DType
from tenfoldc.ir.core import Operation, Value
from tenfoldc.ir.groups import Group, RowBlocks
from tenfoldc.loops import scalar
from tenfoldc.loops.index_algebra import IndexAlgebra
from tenfoldc.loops.ir import Axis, Buffer, Expr
from tenfoldc.lower.anchor import AnchorContext
from tenfoldc.lower.products.packing import Span, span
from tenfoldc.lower.products.product import delinearise
from tenfoldc.lower.storage import Storage, Window
from tenfoldc.tuning import Decisions

_BLOCK_BYTES = 192 * 1024
"""What the rows of a block may take, of all values together, so that they stay in the L2 cache."""

_FEWEST_TILES, _MOST_TILES = 2, 8
"""Rows of a block, in register tiles: enough to read a panel of the fixed operand several times, and few enough that
a mask leaves out much of a block's columns."""

_TRIED_TILES = (1, 2, 3, 4, 6, 8, 12, 16)

_LINE_BYTES = 64
_SET_BYTES = 1024
"""Rows that begin a multiple of this apart compete for few places of a cache."""


class Block:
    """One block of `RowBlocks`, of `size` rows, and the counters and scratch memory of the kernel around it."""

    def __init__(self, blocks: RowBlocks, written: Collection[Value], storage: Storage, size: int) -> None:
        self.blocks = blocks
        self.storage = storage
        self.algebra = IndexAlgebra()
        self.scratch: list[Buffer] = []
        self._names = 0
        outer, rows = blocks.extents[: blocks.row], blocks.extents[blocks.row]
        self._slots = _slots(blocks, written)
        self.size = size
        self.count = -(-rows // self.size)
        self.outer = self.axis("outer", math.prod(outer))
        self.number = self.axis("block", self.count)
        self.first = self.algebra.simplify(scalar.mul(self.number, scalar.index(self.size)))
        self.at: dict[int, Expr] = dict(enumerate(delinearise(self.algebra.simplify(self.outer), outer)))
        """The place of the block's first row along the outer axes and the row axis."""
        self.at[blocks.row] = self.first
        self.live: Expr = scalar.index(self.columns)
        """Columns from which on no row of the block has anything but what the mask puts there."""
        self.windows: Mapping[Value, tuple[Buffer, Window]] = self._windows()

    @property
    def columns(self) -> int:
        return self.blocks.extents[self.blocks.column]

    def rows(self, width: int) -> Span:
        """The rows of the block in panels of `width`, counted from 0."""
        lines = span(self.blocks.extents[self.blocks.row], self.size, width, self.algebra.simplify(self.number))
        return Span(scalar.index(0), lines.lines, lines.full, width, lines.tail, lines.has_tail)

    def axis(self, name: str, extent: int | None = None) -> Axis:
        """A loop index with a name of its own."""
        self._names += 1
        return self.algebra.declare(Axis(f"{name}{self._names}"), extent)

    def new_scratch(self, name: str, dtype: DType, shape: Sequence[int]) -> Buffer:
        """Memory for the duration of the kernel."""
        buffer = Buffer(f"{name}{len(self.scratch)}", dtype, tuple(shape))
        self.scratch.append(buffer)
        return buffer

    def _windows(self) -> dict[Value, tuple[Buffer, Window]]:
        windows: dict[Value, tuple[Buffer, Window]] = {}
        buffers: dict[tuple[DType, tuple[int, ...], int], Buffer] = {}
        for value, slot in self._slots.items():
            axes = _kept_axes(self.blocks, value)
            place = self.blocks.places[value]
            shape = [self._extent(value, axis) for axis in axes]
            key = (value.type.dtype, tuple(shape), slot)
            if key not in buffers:
                buffers[key] = self.new_scratch("rows", value.type.dtype, shape)
            origins = tuple(self.first if place[axis] == self.blocks.row else scalar.index(0) for axis in axes)
            # Values with one buffer have the same window, save that they may order their axes otherwise.
            own = Buffer(buffers[key].name, value.type.dtype, tuple(shape), base=buffers[key])
            windows[value] = own, Window(axes, origins)
        return windows

    def _extent(self, value: Value, axis: int) -> int:
        place = self.blocks.places[value][axis]
        if place == self.blocks.row:
            return self.size
        size = value.type.sizes[axis]
        return padded(size, value.type.dtype) if place == self.blocks.column else size


class StageContext(AnchorContext):
    """The surroundings of a contraction that is a stage."""

    def __init__(self, block: Block, group: Group, anchor: Operation) -> None:
        super().__init__(group, anchor, block.storage, block.algebra)
        self._block = block

    def axis(self, name: str, extent: int | None = None) -> Axis:
        """A loop index with a name not used before in this kernel."""
        return self._block.axis(name, extent)

    def scratch(self, name: str, dtype: DType, shape: Sequence[int]) -> Buffer:
        """Memory that lives while the kernel runs."""
        return self._block.new_scratch(name, dtype, shape)


def padded(size: int, dtype: DType) -> int:
    """The length of a row in memory of its own: whole cache lines, and not a multiple of what caches divide by."""
    line = _LINE_BYTES // dtype.itemsize
    length = -(-size // line) * line
    return length + line if length * dtype.itemsize % _SET_BYTES == 0 else length


def _kept_axes(blocks: RowBlocks, value: Value) -> tuple[int, ...]:
    """The axes of a value within a block: rows, then columns, then what else there is."""
    place = blocks.places[value]
    rest = [axis for axis, own in enumerate(place) if own is None and value.type.sizes[axis] != 1]
    columns = [axis for axis, own in enumerate(place) if own == blocks.column]
    return (place.index(blocks.row), *columns, *rest)


def _slots(blocks: RowBlocks, written: Collection[Value]) -> dict[Value, int]:
    """For each value that exists a block at a time a number; those of one shape with one number share memory."""
    last: dict[Value, int] = {}
    for number, stage in enumerate(blocks.stages):
        for operation in stage.group.operations:
            last.update((value, number) for value in operation.operands)
    slots: dict[Value, int] = {}
    for number, stage in enumerate(blocks.stages):
        for value in stage.group.results:
            if value in written or blocks.row not in blocks.places[value]:
                continue
            taken = {slots[other] for other in slots if last.get(other, 0) >= number}
            slots[value] = next(slot for slot in range(len(slots) + 1) if slot not in taken)
    return slots


def rows_per_block(blocks: RowBlocks, written: Collection[Value], multiple: int, decisions: Decisions) -> int:
    """As many rows as the caches hold, in blocks of nearly equal size, unless measurement has found better."""
    width: dict[int, int] = {}
    for value, slot in _slots(blocks, written).items():
        row = blocks.places[value].index(blocks.row)
        outer = math.prod(blocks.extents[: blocks.row])
        size = value.type.size // (value.type.sizes[row] * outer) * value.type.dtype.itemsize
        width[slot] = max(width.get(slot, 0), size)
    rows = blocks.extents[blocks.row]
    fitting = _BLOCK_BYTES // max(1, sum(width.values())) // multiple
    largest = max(_FEWEST_TILES, min(fitting, _MOST_TILES)) * multiple
    sizes = [_balanced(rows, tiles * multiple, multiple) for tiles in _TRIED_TILES]
    roles = ", ".join(stage.role.name.lower() for stage in blocks.stages)
    question = f"row blocks of {blocks.extents}, {sum(width.values())} bytes a row: {roles}"
    return decisions.choose(question, (_balanced(rows, largest, multiple),), [(size,) for size in sizes])[0]


def _balanced(rows: int, largest: int, multiple: int) -> int:
    """A multiple that cuts `rows` into the fewest blocks of at most `largest`, nearly equal."""
    count = -(-rows // largest)
    return -(-rows // (count * multiple)) * multiple
