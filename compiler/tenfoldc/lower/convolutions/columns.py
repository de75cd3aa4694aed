"""Packing the columns of a convolution's product: rows of staged input copied into the panels of the inner kernel."""

from __future__ import annotations

from collections.abc import Sequence

from tenfold_rt.frozen import frozen
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Buffer, Expr, For, If, Load, Mode, Prefetch, Statement, Store
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.convolutions.depth import Depth, DepthBlock
from tenfoldc.lower.convolutions.staging import Layout


@frozen
class Columns:
    """The input's part in a product: element (channel, taps, column) lies at

        origin + channel * plane + layout.of_taps(taps) + layout.of_output(column)

    of `memory`, which is flat.  Where `may_overrun`, what lies after the last column may be read too.
    """

    ctx: LoweringContext
    layout: Layout
    memory: Buffer
    width: int
    total: int
    may_overrun: bool

    @property
    def is_one_run(self) -> bool:
        """Whether no panel reaches beyond the run of columns that it begins in."""
        return self.layout.run() == self.total or self.layout.run() % self.width == 0

    def panel_rows(self, depth: int) -> int:
        """Rows of a panel's memory: pieces of a row are stored in full width, the last of them beyond the row."""
        return depth if self.is_one_run else depth + 1

    def pack(
        self, depth: Depth, block: DepthBlock, origin: Expr, first: Expr, count: int, panels: Buffer, panel: Expr
    ) -> list[Statement]:
        """Copy `count` columns from number `first` on into `panel` of `panels`."""
        run, one_piece = self.layout.run(), [(self.layout.of_output(first), scalar.index(0))]
        if self.is_one_run:
            return self._copy(depth, block, origin, one_piece, count, panels, panel)
        pieces = self._copy(depth, block, origin, self._pieces(first), count, panels, panel)
        if run < self.width:
            return pieces
        whole = self._copy(depth, block, origin, one_piece, count, panels, panel)
        place = scalar.rem(first, scalar.index(run))
        return [If(scalar.less_equal(place, scalar.index(run - self.width)), tuple(whole), tuple(pieces))]

    def ask(self, block: DepthBlock, origin: Expr, column: Expr, first_turn: Expr, turns: int) -> Statement:
        """Ask for some turns of a column of an input under a single tap; it may lie beyond the last one."""
        turn = self.ctx.axis("ahead", turns)
        channel = scalar.add(block.first_outer, scalar.add(first_turn, turn))
        row = scalar.add(origin, scalar.mul(channel, scalar.index(self.layout.plane)))
        asked = Prefetch(self.memory, (scalar.add(row, self.layout.of_output(column)),))
        return For(turn, scalar.index(turns), (asked,))

    def _pieces(self, first: Expr) -> list[tuple[Expr, Expr]]:
        """Where each run that a panel may meet lies in memory, and its first lane; beyond the panel if not met."""
        run, rows = self.layout.run(), self.total // self.layout.run()
        row, place = scalar.div(first, scalar.index(run)), scalar.rem(first, scalar.index(run))
        pieces: list[tuple[Expr, Expr]] = [(self.layout.of_output(first), scalar.index(0))]
        for number in range(1, (self.width - 2) // run + 2):
            following = scalar.minimum(scalar.add(row, scalar.index(number)), scalar.index(rows - 1))
            lane = scalar.minimum(scalar.sub(scalar.index(number * run), place), scalar.index(self.width))
            pieces.append((self.layout.of_output(scalar.mul(following, scalar.index(run))), lane))
        return pieces

    def _copy(
        self,
        depth: Depth,
        block: DepthBlock,
        origin: Expr,
        pieces: Sequence[tuple[Expr, Expr]],
        count: int,
        panels: Buffer,
        panel: Expr,
    ) -> list[Statement]:
        """Copy pieces in ascending order: what one writes beyond its run, the next one overwrites."""
        flat = Buffer("panel_rows", panels.dtype, (panels.shape[0] * panels.shape[1] * self.width,), base=panels)
        start = scalar.mul(panel, scalar.index(panels.shape[1] * self.width))
        plane = scalar.index(self.layout.plane)
        lanes = min(self.width, -(-self.layout.run() // 4) * 4) if len(pieces) > 1 else self.width
        if not self.may_overrun:
            lanes = count

        def row(turn: Expr, channel: Expr, taps: Sequence[Expr]) -> list[Statement]:
            source = scalar.add(origin, scalar.add(scalar.mul(channel, plane), self.layout.of_taps(taps)))
            target = scalar.add(start, scalar.mul(turn, scalar.index(self.width)))
            copied: list[Statement] = []
            for place, first_lane in pieces:
                lane = self.ctx.axis("lane", lanes)
                element = Load(self.memory, (scalar.add(scalar.add(source, place), lane),))
                copy = Store(flat, (scalar.add(scalar.add(target, first_lane), lane),), element)
                copied.append(For(lane, scalar.index(lanes), (copy,), mode=Mode.VECTOR))
            if lanes == count < self.width:
                rest = self.ctx.axis("lane", self.width - count)
                at = scalar.add(target, scalar.add(scalar.index(count), rest))
                clear = Store(flat, (at,), scalar.constant(0, panels.dtype))
                copied.append(For(rest, scalar.index(self.width - count), (clear,), mode=Mode.VECTOR))
            return copied

        return depth.walk(block, row)
