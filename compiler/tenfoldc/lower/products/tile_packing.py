"""Packing for the matrix unit: blocks of an operand as words of two bf16 parts, laid out as `MultiplyStrip` reads them.

A word pairs the factors k and k + 16 of a step of the depth, so numbers are split into parts in vectors as they lie in
memory, without shuffles.  Where lines lie the other way round than tiles want them, words are first put side by side
as they are read, and transposed from there.  The magnitudes of what is packed are noted (`magnitudes.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tenfold_rt import dtypes
from tenfold_rt.frozen import frozen
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import (
    Axis,
    Buffer,
    Expr,
    For,
    Mode,
    Statement,
    Store,
    TransposeTile,
)
from tenfoldc.loops.matrix_unit import TILE_DEPTH, TILE_LINES, TILE_WORDS
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.loop_nest import turns
from tenfoldc.lower.products.magnitudes import note
from tenfoldc.lower.products.packing import Span, for_each_panel
from tenfoldc.lower.products.parts import split, word
from tenfoldc.lower.products.product import Operand, Product
from tenfoldc.lower.storage import flat

_PART = TILE_LINES * TILE_WORDS
"""Words of a part of a panel's step."""
_ZERO = scalar.index(0)


class TilePacking:
    """One operand of a product on its way into `panels`, whose place in them tells an lhs from an rhs."""

    def __init__(
        self, ctx: LoweringContext, product: Product, operand: Operand, panels: Buffer, noted: Buffer | None
    ) -> None:
        self.ctx = ctx
        self.product = product
        self.operand = operand
        self.panels = panels
        self.noted = noted
        self.parts = panels.shape[2]
        self.is_lhs = operand is product.lhs
        self.turned = self._turned_buffer()

    @property
    def private(self) -> list[Buffer]:
        """Memory that holds nothing from one panel to the next."""
        return [] if self.turned is None else [self.turned]

    def pack(self, batch: Expr, lines: Span, depth: Span, first_noted: Expr) -> list[Statement]:
        """Copy a block into the panels; what is noted of its first panel is at `first_noted`."""

        def panel(number: Expr, count: int) -> list[Statement]:
            noted = scalar.add(first_noted, number)
            first = scalar.add(lines.first, scalar.mul(number, scalar.index(TILE_LINES)))

            def step(turn: Expr, depth_count: int) -> list[Statement]:
                start = scalar.add(depth.first, scalar.mul(turn, scalar.index(TILE_DEPTH)))
                place = _Step(self, batch, number, turn, first, count, start, depth_count, noted)
                return place.statements()

            return for_each_panel(self.ctx, "step", depth, step, None)

        return for_each_panel(self.ctx, "panel", lines, panel, self.private)

    def _turned_buffer(self) -> Buffer | None:
        """Memory for the words of one step where they are read in the other order than they are packed in."""
        if self.is_lhs is not self.operand.lines_adjoin:
            return None
        shape = (TILE_WORDS, TILE_LINES) if self.operand.lines_adjoin else (TILE_LINES, TILE_WORDS)
        return self.ctx.scratch("turned", dtypes.u32, (self.parts, *shape))


@frozen
class _Step:
    """One step of the depth of one panel, of which `count` lines and `depth_count` factors of each are given."""

    packing: TilePacking
    batch: Expr
    panel: Expr
    turn: Expr
    first_line: Expr
    count: int
    first_factor: Expr
    depth_count: int
    noted: Expr

    def statements(self) -> list[Statement]:
        given = self._each_line() if not self.packing.operand.lines_adjoin else self._each_word()
        return [*given, *self._transposes()]

    def _each_line(self) -> list[Statement]:
        """Words one after the other along a line, as factors adjoin."""
        packing = self.packing

        def line(number: Expr) -> list[Statement]:
            statements: list[Statement] = []
            for first, length, has_lower, has_upper in self._word_ranges():
                lane = packing.ctx.axis("lane")
                at = scalar.add(scalar.index(first), lane)
                stored = self._words(number, at, at, has_lower, has_upper)
                statements.append(_vector(lane, length, stored))
            return statements

        def empty(number: Expr) -> list[Statement]:
            lane = packing.ctx.axis("lane")
            at = scalar.add(scalar.index(self.count), number)
            return [_vector(lane, TILE_WORDS, self._words(at, lane, lane, False, False))]

        return [*self._loop("line", self.count, line), *self._loop("line", TILE_LINES - self.count, empty)]

    def _each_word(self) -> list[Statement]:
        """Words of one number side by side, as lines adjoin."""
        statements: list[Statement] = []
        for first, length, has_lower, has_upper in self._word_ranges():

            def words(
                number: Expr, first: int = first, lower: bool = has_lower, upper: bool = has_upper
            ) -> list[Statement]:
                at = scalar.add(scalar.index(first), number)
                found: list[Statement] = []
                for start in range(0, TILE_LINES, TILE_WORDS):
                    given = max(0, min(TILE_WORDS, self.count - start))
                    for begin, size, is_given in ((0, given, True), (given, TILE_WORDS - given, False)):
                        if size:
                            lane = self.packing.ctx.axis("lane")
                            place = scalar.add(scalar.index(begin), lane)
                            line = scalar.add(scalar.index(start + begin), lane)
                            stored = self._words(line, at, place, lower and is_given, upper and is_given, start)
                            found.append(_vector(lane, size, stored))
                return found

            statements += self._loop("word", length, words)
        return statements

    def _word_ranges(self) -> list[tuple[int, int, bool, bool]]:
        """First word, words, and whether there are factors for the lower and the upper halves."""
        lower, upper = min(TILE_WORDS, self.depth_count), max(0, self.depth_count - TILE_WORDS)
        ranges = [(0, upper, True, True), (upper, lower - upper, True, False)]
        ranges.append((lower, TILE_WORDS - lower, False, False))
        return [found for found in ranges if found[1]]

    def _words(
        self, line: Expr, at: Expr, lane: Expr, has_lower: bool, has_upper: bool, half_start: int = 0
    ) -> list[Statement]:
        """Store the words number `at` of a line, all parts; `lane` counts from the vector's beginning."""
        packing, zero = self.packing, scalar.constant(0, dtypes.u32)
        factors = [self._factor(line, at, half) if given else None for half, given in ((0, has_lower), (1, has_upper))]
        bits = [[zero] * packing.parts if x is None else split(x, packing.parts) for x in factors]
        stored: list[Statement] = [
            Store(*self._place(part, line, at, lane, half_start), word(*pair))
            for part, pair in enumerate(zip(*bits, strict=True))
        ]
        given = [x for x in factors if x is not None]
        if packing.noted is None:
            return stored
        place = scalar.add(scalar.mul(self.noted, scalar.index(TILE_WORDS)), lane)
        return [*stored, *note(packing.noted, place, given)]

    def _factor(self, line: Expr, at: Expr, half: int) -> Expr:
        product, operand = self.packing.product, self.packing.operand
        start = scalar.add(self.first_factor, scalar.index(half * TILE_WORDS))
        position: Expr = _ZERO
        if product.positions > 1:
            position = scalar.div(start, scalar.index(product.channels))
            start = scalar.rem(start, scalar.index(product.channels))
        element = operand.read(self.batch, scalar.add(self.first_line, line), position, scalar.add(start, at))
        return scalar.convert(element, dtypes.f32)

    def _place(self, part: int, line: Expr, at: Expr, lane: Expr, half_start: int) -> tuple[Buffer, tuple[Expr, ...]]:
        packing, number = self.packing, scalar.index(part)
        if packing.turned is not None:
            return packing.turned, (number, at, line) if packing.operand.lines_adjoin else (number, line, at)
        step = (self.panel, self.turn, number)
        if packing.is_lhs:
            return packing.panels, (*step, line, at)
        return packing.panels, (*step, scalar.index(half_start // TILE_WORDS), at, lane)

    def _transposes(self) -> list[Statement]:
        """Transpose the words of a step from where they were put side by side."""
        packing, turned = self.packing, self.packing.turned
        if turned is None:
            return []
        panels = packing.panels
        step = scalar.add(scalar.mul(self.panel, scalar.index(panels.shape[1])), self.turn)
        base = scalar.mul(step, scalar.index(packing.parts * _PART))
        source_stride = turned.shape[-1]
        lines = TILE_LINES if packing.is_lhs else TILE_WORDS
        return [
            TransposeTile(
                target=flat(panels),
                target_first=scalar.add(base, scalar.index(part * _PART + first)),
                target_stride=TILE_WORDS,
                source=flat(turned),
                source_first=scalar.index(part * _PART + first),
                source_stride=source_stride,
                rows=scalar.index(lines),
                columns=scalar.index(TILE_WORDS),
            )
            for part in range(packing.parts)
            for first in range(0, _PART, lines * TILE_WORDS)
        ]

    def _loop(self, name: str, count: int, body: Callable[[Expr], list[Statement]]) -> list[Statement]:
        if count == 0:
            return []
        axis = self.packing.ctx.axis(name)
        return [turns(axis, scalar.index(count), body(axis), None)]


def _vector(lane: Axis, length: int, stored: Sequence[Statement]) -> For:
    """A loop over lanes, which are those of one vector where there are as many as a row of a tile has words."""
    mode = Mode.LANES if length == TILE_WORDS else Mode.VECTOR
    return For(lane, scalar.index(length), tuple(stored), mode=mode)
