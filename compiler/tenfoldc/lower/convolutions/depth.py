"""How the depth of a convolution's product, all taps of all channels, is cut into blocks and walked."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from tenfold_rt.frozen import frozen
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Constant, Expr, For, Mode, Statement
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.products.packing import block_size
from tenfoldc.lower.products.product import delinearise

_UNROLLED = 32
"""Statements up to which the turns of loops over taps are written out: enough for one of each tap of most windows."""
_INNER = 64
"""Turns of the inner part, which is walked by a loop per axis; the outer part's index is computed per turn."""


@frozen
class DepthBlock:
    """A block: some turns of the outer part, and of the inner part all or, from `first_inner` on, `inner`."""

    first_outer: Expr
    outer: Expr
    first_inner: Expr
    inner: Expr
    depth: Expr


class Depth:
    """The depth `sizes` (channels, then taps along each axis), in blocks of at most about `kc`.

    It is an outer and an inner part; a block holds whole turns of the outer part, or less than one.
    """

    def __init__(self, ctx: LoweringContext, sizes: Sequence[int], kc: int) -> None:
        self.ctx = ctx
        split = len(sizes) - 1
        while split > 1 and math.prod(sizes[split - 1 :]) <= _INNER:
            split -= 1
        self.outer_sizes, self.inner_sizes = tuple(sizes[:split]), tuple(sizes[split:])
        outer, self.inner = math.prod(self.outer_sizes), math.prod(self.inner_sizes)
        self.outer = outer
        together = max(1, kc // self.inner)
        self.together = -(-outer // -(-outer // together))
        self.pieces = max(1, -(-self.inner // max(kc, _INNER))) if self.together == 1 else 1
        self.piece = -(-self.inner // self.pieces)
        self.kc = self.together * self.piece
        self.blocks = -(-outer // self.together) * self.pieces

    def block(self, number: Expr) -> DepthBlock:
        """Block `number`."""
        if self.pieces == 1:
            outer = block_size(self.outer, self.together, number)
            first = scalar.mul(number, scalar.index(self.together))
            depth = scalar.mul(outer, scalar.index(self.inner))
            return DepthBlock(first, outer, scalar.index(0), scalar.index(self.inner), depth)
        outer, piece = delinearise(number, [self.outer, self.pieces])
        inner = block_size(self.inner, self.piece, piece)
        return DepthBlock(outer, scalar.index(1), scalar.mul(piece, scalar.index(self.piece)), inner, inner)

    def walk(
        self, block: DepthBlock, body: Callable[[Expr, Expr, Sequence[Expr]], Sequence[Statement]]
    ) -> list[Statement]:
        """`body(turn, channel, taps)` for all of a block, in order; `turn` counts from the block's beginning."""
        turn = self.ctx.axis("outer", self.together)
        outer = delinearise(scalar.add(block.first_outer, turn), self.outer_sizes)
        first = scalar.mul(turn, scalar.index(self.inner))
        if isinstance(block.outer, Constant) and block.outer.value == 1:
            outer = delinearise(block.first_outer, self.outer_sizes)
            return list(self._inner(block, scalar.index(0), outer, body))
        return [For(turn, block.outer, tuple(self._inner(block, first, outer, body)))]

    def _inner(
        self,
        block: DepthBlock,
        first: Expr,
        outer: Sequence[Expr],
        body: Callable[[Expr, Expr, Sequence[Expr]], Sequence[Statement]],
    ) -> Sequence[Statement]:
        if self.pieces > 1:
            tap = self.ctx.axis("tap", self.piece)
            taps = (*outer, scalar.add(block.first_inner, tap))
            return [For(tap, block.inner, tuple(body(scalar.add(first, tap), taps[0], taps[1:])))]
        axes = [self.ctx.axis("tap", size) if size > 1 else scalar.index(0) for size in self.inner_sizes]
        place = scalar.row_major(axes, self.inner_sizes)
        taps = (*outer, *axes)
        statements = tuple(body(scalar.add(first, place), taps[0], taps[1:]))
        written_out = len(statements)
        for axis, size in zip(reversed(axes), reversed(self.inner_sizes), strict=True):
            if not isinstance(axis, Constant):
                written_out *= size
                mode = Mode.UNROLLED if written_out <= _UNROLLED else Mode.SERIAL
                statements = (For(axis, scalar.index(size), statements, mode=mode),)
        return statements
