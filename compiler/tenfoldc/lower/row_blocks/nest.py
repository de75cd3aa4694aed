"""A nest as a stage: its rows are those of the block, its columns those that are live."""

from __future__ import annotations

from collections.abc import Sequence

from tenfoldc.ir.core import Operation
from tenfoldc.ir.groups import Stage
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Axis, Expr, Statement
from tenfoldc.lower.elements import Elements
from tenfoldc.lower.loop_nest import turns
from tenfoldc.lower.nest import Nest, Stretch, around
from tenfoldc.lower.passes import find_passes
from tenfoldc.lower.row_blocks.block import Block
from tenfoldc.lower.space import Space


class BlockNest(Nest):
    """The loops of a nest over the rows of one block."""

    def __init__(self, block: Block, stage: Stage) -> None:
        super().__init__(stage.group, block.storage, Space.of(stage.group), find_passes(stage.group))
        self.algebra = block.algebra
        self.elements = Elements(block.storage, block.algebra, stage.group.operations)
        self._block = block
        self._along = stage.axes[0]

    def axis(self, loop: int | None, extent: int, prefix: str = "i") -> Axis:
        """A new index."""
        return self._block.axis(prefix, extent)

    def build(self) -> list[Statement]:
        """The statements of the nest for all rows of the block."""
        block, blocks = self._block, self._block.blocks
        row = block.axis("row", block.size)
        at: dict[int, Expr] = {}
        inner: list[tuple[Axis, Expr]] = []
        for loop in self.space.rows:
            along = self._axis_of(loop)
            if along == blocks.row:
                at[loop] = scalar.add(block.first, row)
            elif along is not None and along != blocks.column:
                at[loop] = block.at[along]
            else:
                axis = self.axis(loop, self.space.extent(loop))
                inner.append((axis, self._extent(loop)))
                at[loop] = axis
        body = around(inner, self._row(at))
        block.scratch.extend(self.scratch)
        return [turns(row, block.rows(1).lines, body, self.scratch)]

    def stretch(self, loop: int) -> Stretch:
        """The turns of a folded loop; those along the columns end where the columns do."""
        return Stretch(scalar.index(0), self.space.extent(loop), self._extent(loop))

    def part_size(self, number: int, folded: Sequence[Operation]) -> int | None:
        """No size: threads share blocks."""
        return None

    def _axis_of(self, loop: int) -> int | None:
        ((axis, _),) = self.space.loops[loop]
        return self._along[axis]

    def _extent(self, loop: int) -> Expr:
        if self._axis_of(loop) == self._block.blocks.column:
            return self._block.live
        return scalar.index(self.space.extent(loop))
