"""A strip of a product on the matrix unit: some panels of rows by one panel of columns.

Of each panel of rows, two tiles of rows by two of columns are summed up while the depth runs, and leave through a ring
of two slots in memory:

    for each panel of rows:
        first step of the depth     stores the right and lower sums of the panel before, and begins its own at zero
        steps between               hand rows of the panel before from its slot to the target
        last step                   stores the first sums

So neither the stores nor the additions to the target wait for the unit, and it hardly waits for them.
"""

from __future__ import annotations

import math

from tenfold_rt.frozen import frozen
from tenfoldc.emit.accesses import strip_terms
from tenfoldc.emit.expressions import ExpressionText
from tenfoldc.emit.function_text import FunctionText
from tenfoldc.emit.module_text import ModuleText
from tenfoldc.emit.tile_emulation import TILE_BYTES
from tenfoldc.emit.tile_unit import GRANTED, TILE_MEMORY, TileOperations
from tenfoldc.loops.ir import MultiplyStrip, RequestMatrixUnit
from tenfoldc.loops.matrix_unit import TILE_LINES, part_products

_SLOT = 4 * TILE_BYTES
_PANEL_STEP = 2 * TILE_BYTES
"""Bytes of one part of a panel for one step of the depth."""
_LANES = 16
_VECTOR = f"<{_LANES} x float>"
_ROWS_A_STEP = 2
"""Rows that a step of the depth hands on: sixteen steps do for a panel."""
_PRODUCTS_WITHOUT_STORE = 12
"""Products of four tiles after which a store, if there was none meanwhile, takes the unit some hundred cycles more."""


@frozen
class _Strip:
    """All that a strip's function depends on."""

    lhs_parts: int
    rhs_parts: int
    columns: int

    @property
    def name(self) -> str:
        return f"tiles.{self.lhs_parts}x{self.rhs_parts}.{self.columns}"


def request_matrix_unit(caller: ExpressionText, statement: RequestMatrixUnit) -> None:
    """Write the question whether tiles may be used; an emulation always may."""
    granted = caller.place(statement.granted, ())
    text, value = caller.text, "1"
    if not caller.module.target.emulates_tiles:
        value = text.fresh(f"trunc i32 {text.fresh(f'call i32 {GRANTED}()')} to i8")
    text.effect(f"store i8 {value}, ptr {granted}, align 1")


def multiply_strip(caller: ExpressionText, statement: MultiplyStrip, prefix: str) -> None:
    """Write the call that computes one strip; the function it calls is written at its first use."""
    lhs, rhs, target = statement.lhs, statement.rhs, statement.target
    strip = _Strip(lhs.shape[2], rhs.shape[2], statement.columns)
    addresses = [f"ptr {caller.place(buffer, terms)}" for buffer, terms in strip_terms(statement)]
    strides = [f"i64 {target.shape[-1]}", f"i64 {math.prod(lhs.shape[1:]) * lhs.dtype.itemsize}"]
    sizes = [caller.typed(statement.rows), caller.typed(statement.steps)]
    accumulate = "i1 true" if statement.accumulate else "i1 false"
    module = caller.module
    symbol = module.once(strip, f"{prefix}.{strip.name}", lambda name: _define(module, strip, name), is_tile=True)
    caller.text.effect(f"call fastcc void {symbol}({', '.join([*addresses, *strides, *sizes, accumulate])})")


def _define(module: ModuleText, strip: _Strip, symbol: str) -> str:
    """The function `symbol(lhs, rhs, target, target_stride, lhs_stride, rows, steps, accumulate)`.

    The stride of the target counts elements, that of the panels of the lhs bytes.
    """
    text = _StripText(module, strip)
    text.write()
    parameters = (
        "ptr noalias readonly %lhs, ptr noalias readonly %rhs, ptr noalias %target, "
        "i64 %target_stride, i64 %lhs_stride, i64 %rows, i64 %steps, i1 %accumulate"
    )
    attributes = f"noinline {module.function_attributes}"
    return f"define internal fastcc void {symbol}({parameters}) {attributes} {{\n{text.text}\n}}"


class _StripText:
    """Writes one strip's function.  Sums are tiles 0 and 1, 2 and 3 below; 4 and 5 are of the lhs, 6 and 7 the rhs."""

    def __init__(self, module: ModuleText, strip: _Strip) -> None:
        self.text = FunctionText()
        self.strip = strip
        self.products = part_products(strip.lhs_parts, strip.rhs_parts)
        self.halves = range(-(-strip.columns // _LANES))
        self.tiles = TileOperations(module, self.text, "%tiles")
        self.flush = _flush_function(module, strip.columns)

    def write(self) -> None:
        """Write all of the body."""
        text = self.text
        text.effect(f"%tiles = alloca [{TILE_MEMORY} x i8], align 64")
        text.effect(f"%ring = alloca [{2 * _SLOT + TILE_BYTES} x i8], align 64")
        text.effect(f"%ring.second = getelementptr i8, ptr %ring, i64 {_SLOT}")
        text.effect(f"%unused = getelementptr i8, ptr %ring, i64 {2 * _SLOT}")
        text.effect("%last = add i64 %steps, -1")
        self.tiles.configure()
        for half in self.halves:
            self.tiles.zero(2 + half)
        self._panels()
        self._store(2, "%slot")
        self._rest("0", "%slot", "%out", "%height", "ended")
        self.tiles.release()
        text.effect("ret void")

    def _panels(self) -> None:
        """The loop over panels of rows, after which the last one still is to leave its slot."""
        text = self.text
        text.branch("panel")
        text.start("panel")
        for line in (
            "%x = phi ptr [ %lhs, %entry ], [ %x.next, %panel.done ]",
            "%out = phi ptr [ %target, %entry ], [ %out.next, %panel.done ]",
            "%out.before = phi ptr [ %target, %entry ], [ %out, %panel.done ]",
            "%slot = phi ptr [ %ring, %entry ], [ %slot.before, %panel.done ]",
            "%slot.before = phi ptr [ %ring.second, %entry ], [ %slot, %panel.done ]",
            "%left = phi i64 [ %rows, %entry ], [ %left.next, %panel.done ]",
            "%height.before = phi i64 [ 0, %entry ], [ %height, %panel.done ]",
            f"%height = call i64 @llvm.umin.i64(i64 %left, i64 {TILE_LINES})",
        ):
            text.effect(line)
        self._step("%x", "%rhs", is_first=True)
        done = self._steps_between()
        text.start("last.step")
        self._step(self._at("%x", "%last", self.strip.lhs_parts), self._at("%rhs", "%last", self.strip.rhs_parts), True)
        text.branch("summed")
        text.start("only.step")
        self._store(0, "%slot")
        text.branch("summed")
        text.start("summed")
        self._rest(done, "%slot.before", "%out.before", "%height.before", "panel.done")
        text.effect("%x.next = getelementptr i8, ptr %x, i64 %lhs_stride")
        text.effect(f"%panel.elements = mul i64 %target_stride, {TILE_LINES}")
        text.effect("%out.next = getelementptr float, ptr %out, i64 %panel.elements")
        text.effect(f"%left.next = add i64 %left, -{TILE_LINES}")
        text.effect(f"%more = icmp sgt i64 %left, {TILE_LINES}")
        text.branch_if("%more", "panel", "panels.done")
        text.start("panels.done")

    def _steps_between(self) -> str:
        """The steps that are neither first nor last; gives how many rows of the panel before they can hand on."""
        text = self.text
        before = text.block
        text.branch("step.head")
        text.start("step.head")
        k, row, phis = text.name(), text.name(), (text.reserve(), text.reserve())
        text.branch_if(text.fresh(f"icmp slt i64 {k}, %last"), "step", "steps.done")
        text.start("step")
        self._step(self._at("%x", k, self.strip.lhs_parts), self._at("%rhs", k, self.strip.rhs_parts))
        self._keep_storing(k)
        following = row
        for _ in range(_ROWS_A_STEP):
            self._flush_if_inside(following)
            following = text.fresh(f"add i64 {following}, 1")
        k_next = text.fresh(f"add i64 {k}, 1")
        for line, name, start, after in ((phis[0], k, "1", k_next), (phis[1], row, "0", following)):
            text.fill(line, f"{name} = phi i64 [ {start}, %{before} ], [ {after}, %{text.block} ]")
        text.branch("step.head")
        text.start("steps.done")
        text.branch_if(text.fresh("icmp sgt i64 %steps, 1"), "last.step", "only.step")
        return row

    def _step(self, x: str, y: str, is_last: bool = False, *, is_first: bool = False) -> None:
        """All products of one step of the depth, whose panels are at `x` and `y`."""
        known: tuple[int | None, int | None] = (None, None)
        for number, (left, right) in enumerate(self.products):
            self._load(x, y, (left, right), known)
            known = left, right
            for row in range(2):
                if is_first and number == 0:
                    if row == 1:
                        self._store(2, "%slot.before")
                    for half in self.halves:
                        self.tiles.zero(2 * row + half)
                for half in self.halves:
                    self.tiles.multiply(2 * row + half, 4 + row, 6 + half)
                if is_last and row == 0 and number == len(self.products) - 1:
                    self._store(0, "%slot")

    def _load(self, x: str, y: str, parts: tuple[int, int], known: tuple[int | None, int | None]) -> None:
        """Load the tiles of `parts` that are not `known` to be there, in the order in which they are needed."""
        streams = len(self.products) == 1
        if parts[0] != known[0]:
            self.tiles.load(4, self._offset(x, parts[0] * _PANEL_STEP), once=streams)
        if parts[1] != known[1]:
            for half in self.halves:
                self.tiles.load(6 + half, self._offset(y, parts[1] * _PANEL_STEP + half * TILE_BYTES))
        if parts[0] != known[0]:
            self.tiles.load(5, self._offset(x, parts[0] * _PANEL_STEP + TILE_BYTES), once=streams)

    def _store(self, first: int, slot: str) -> None:
        for half in self.halves:
            self.tiles.store(first + half, self._offset(slot, (first + half) * TILE_BYTES))

    def _keep_storing(self, k: str) -> None:
        """A store to nowhere, every few steps, where steps take so long that the unit would forget how."""
        text, period = self.text, _PRODUCTS_WITHOUT_STORE // len(self.products)
        if len(self.products) == 1:
            return
        mask = (1 << (period.bit_length() - 1)) - 1
        now, after = text.label("store"), text.label("stored")
        text.branch_if(text.fresh(f"icmp eq i64 {text.fresh(f'and i64 {k}, {mask}')}, 0"), now, after)
        text.start(now)
        self.tiles.store(4, "%unused")
        text.branch(after)
        text.start(after)

    def _flush_if_inside(self, row: str) -> None:
        text = self.text
        inside, after = text.label("flush"), text.label("flushed")
        text.branch_if(text.fresh(f"icmp ult i64 {row}, %height.before"), inside, after)
        text.start(inside)
        self._flush("%slot.before", "%out.before", row)
        text.branch(after)
        text.start(after)

    def _rest(self, start: str, slot: str, out: str, height: str, done: str) -> None:
        """Hand on the rows from `start` on of the panel in `slot`; ends in the block `done`."""
        text = self.text
        head, body, before = text.label("rest"), text.label("row"), text.block
        text.branch(head)
        text.start(head)
        row, phi = text.name(), text.reserve()
        text.branch_if(text.fresh(f"icmp ult i64 {row}, {height}"), body, done)
        text.start(body)
        self._flush(slot, out, row)
        following = text.fresh(f"add i64 {row}, 1")
        text.fill(phi, f"{row} = phi i64 [ {start}, %{before} ], [ {following}, %{text.block} ]")
        text.branch(head)
        text.start(done)

    def _flush(self, slot: str, out: str, row: str) -> None:
        arguments = f"ptr {slot}, ptr {out}, i64 {row}, i64 %target_stride, i1 %accumulate"
        self.text.effect(f"call void {self.flush}({arguments})")

    def _at(self, panel: str, k: str, parts: int) -> str:
        offset = self.text.fresh(f"mul i64 {k}, {parts * _PANEL_STEP}")
        return self.text.fresh(f"getelementptr i8, ptr {panel}, i64 {offset}")

    def _offset(self, pointer: str, count: int) -> str:
        return self.text.fresh(f"getelementptr i8, ptr {pointer}, i64 {count}") if count else pointer


def _flush_function(module: ModuleText, columns: int) -> str:
    """The function that hands one row of a slot to the target, or adds it to what the target holds."""

    def write(symbol: str) -> str:
        parameters = "ptr %slot, ptr %out, i64 %row, i64 %stride, i1 %accumulate"
        attributes = f"alwaysinline {module.function_attributes}"
        return f"define internal void {symbol}({parameters}) {attributes} {{\n{_flush_text(columns)}\n}}"

    return module.once(("tile.flush", columns), f"tenfold.tile.flush.{columns}", write)


def _flush_text(columns: int) -> FunctionText:
    text = FunctionText()
    lower, inside = text.fresh(f"and i64 %row, {_LANES}"), text.fresh(f"and i64 %row, {_LANES - 1}")
    bytes_in = [text.fresh(f"shl i64 {lower}, 7"), text.fresh(f"shl i64 {inside}, 6")]
    source = text.fresh(f"getelementptr i8, ptr %slot, i64 {text.fresh(f'add i64 {bytes_in[0]}, {bytes_in[1]}')}")
    target = text.fresh(f"getelementptr float, ptr %out, i64 {text.fresh('mul i64 %row, %stride')}")
    pieces: list[tuple[str, str, int]] = []
    for first in range(0, columns, _LANES):
        place = text.fresh(f"getelementptr i8, ptr {source}, i64 {first // _LANES * TILE_BYTES}")
        sums = text.fresh(f"load {_VECTOR}, ptr {place}, align 64")
        pieces.append((sums, text.fresh(f"getelementptr float, ptr {target}, i64 {first}"), columns - first))
    text.branch_if("%accumulate", "adding", "setting")
    text.start("adding")
    for sums, place, lanes in pieces:
        _write(text, text.fresh(f"fadd {_VECTOR} {_read(text, place, lanes)}, {sums}"), place, lanes)
    text.effect("ret void")
    text.start("setting")
    for piece in pieces:
        _write(text, *piece)
    text.effect("ret void")
    return text


def _read(text: FunctionText, place: str, lanes: int) -> str:
    """The first `lanes` of a vector at `place`."""
    if lanes >= _LANES:
        return text.fresh(f"load {_VECTOR}, ptr {place}, align 4")
    given = f"ptr align 4 {place}, {_mask(lanes)}, {_VECTOR} zeroinitializer"
    return text.fresh(f"call {_VECTOR} @llvm.masked.load.v{_LANES}f32.p0({given})")


def _write(text: FunctionText, value: str, place: str, lanes: int) -> None:
    """Store the first `lanes` of a vector at `place`."""
    if lanes >= _LANES:
        text.effect(f"store {_VECTOR} {value}, ptr {place}, align 4")
    else:
        given = f"{_VECTOR} {value}, ptr align 4 {place}, {_mask(lanes)}"
        text.effect(f"call void @llvm.masked.store.v{_LANES}f32.p0({given})")


def _mask(lanes: int) -> str:
    return f"<{_LANES} x i1> <{', '.join(f'i1 {int(lane < lanes)}' for lane in range(_LANES))}>"
