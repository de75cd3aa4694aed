"""The inner kernel of a contraction: a tile of the result held in vector registers while k runs.

Each turn of k loads one row of the rhs panel as vectors and multiplies it by every element of the lhs
panel's column (an outer product), as in BLIS (F. Van Zee and R. van de Geijn, "BLIS: A Framework for
Rapidly Instantiating BLAS Functionality", 2015).  One function is written per tile shape and memory
layout.  Strides that a tile's inner loop has in registers at no cost are arguments, so that programs have few tiles.
"""

from __future__ import annotations

import math
import re

from tenfold_rt.dtypes import DType
from tenfold_rt.errors import UnsupportedError
from tenfold_rt.frozen import frozen
from tenfoldc.emit.accesses import panel_terms
from tenfoldc.emit.expressions import ExpressionText
from tenfoldc.emit.function_text import FunctionText
from tenfoldc.emit.module_text import ModuleText
from tenfoldc.emit.scalar_types import overload, register_type, vector_type
from tenfoldc.loops.ir import Constant, MultiplyPanels
from tenfoldc.target import Target

_UNROLL = 4
"""Turns of k per turn of the loop: enough to hide the loop's own instructions."""

_SMALL_DEPTH = 16
"""Turns of k up to which a tile's function is written for the strides of its operands."""

_BOUND_BY_LATENCY = 8
"""Accumulators up to which the additions, each of which waits for the one before it, hide those anyway."""

_ROWS_AHEAD = 4
"""Turns of k ahead of which rows of an rhs in place are fetched: rows that lie a power of two apart share a set of the
first cache, and those on their way must leave the other operands some of its eight ways."""


@frozen
class _Tile:
    """All that a tile's function depends on.  Strides count elements; that of the target's rows is an argument.

    Where the depth is small, what a call spends on those is much of it, and they are known.
    """

    dtype: DType
    rows: int
    columns: int
    lhs_width: int | None
    """Elements of a column of the lhs panel; of an lhs in place the columns lie side by side, and how far apart the
    rows are is an argument."""
    rhs_depth_stride: int
    rhs_padded: bool
    packed_width: int | None
    """Elements of a row of the panel that the rhs is copied to, if it is."""
    known: tuple[tuple[str, int], ...]
    """Arguments that always have one value."""

    @property
    def lhs_depth_stride(self) -> int:
        return 1 if self.lhs_width is None else self.lhs_width

    @property
    def name(self) -> str:
        return f"multiply.{self.dtype.name}.{self.rows}x{self.columns}"


def multiply_panels(caller: ExpressionText, statement: MultiplyPanels, prefix: str) -> None:
    """Write the call that computes one tile; the function it calls is written at its first use."""
    dtype = statement.target.dtype
    if not dtype.is_float:
        raise UnsupportedError(f"panels of {dtype.name} are not multiplied in registers; use plain loops")
    lhs, rhs, target = statement.lhs, statement.rhs, statement.target
    lhs_packed, rhs_packed = len(lhs.shape) == 3, len(rhs.shape) == 3
    strides = {"%target_stride": target.shape[-1]}
    if not lhs_packed:
        strides["%lhs_stride"] = lhs.shape[-1]
    depth = statement.depth
    is_small = isinstance(depth, Constant) and depth.value <= _SMALL_DEPTH
    tile = _Tile(
        dtype=dtype,
        rows=statement.rows,
        columns=statement.columns,
        lhs_width=lhs.shape[-1] if lhs_packed else None,
        rhs_depth_stride=rhs.shape[-1],
        rhs_padded=rhs_packed and rhs.shape[-1] % (caller.module.target.vector_bytes // dtype.itemsize) == 0,
        packed_width=None if statement.packed is None else statement.packed.shape[-1],
        known=tuple(strides.items()) if is_small else (),
    )
    addresses = [f"ptr {caller.place(buffer, terms)}" for buffer, terms in panel_terms(statement)]
    if statement.packed is not None:
        addresses.append(f"ptr {caller.pointers[statement.packed.storage]}")
    given = ", ".join([*addresses, *(f"i64 {stride}" for stride in strides.values()), caller.typed(depth)])
    module = caller.module
    symbol = module.once(tile, f"{prefix}.{tile.name}", lambda name: _define(module, tile, name), is_tile=True)
    accumulate = "true" if statement.accumulate else "false"
    caller.text.effect(f"call fastcc void {symbol}({given}, i1 {accumulate})")


def _define(module: ModuleText, tile: _Tile, symbol: str) -> str:
    """The function `symbol(lhs, rhs, target, [packed,] target_stride, [lhs_stride,] depth, accumulate)`.

    The pointers are to the first elements it touches.
    """
    kernel = _MicroKernel(module.target, tile)
    kernel.write()
    pointers = "ptr noalias readonly %lhs, ptr noalias readonly %rhs, ptr noalias %target"
    if tile.packed_width is not None:
        pointers += ", ptr noalias %packed"
    strides = "i64 %target_stride" if tile.lhs_width is not None else "i64 %target_stride, i64 %lhs_stride"
    parameters = f"{pointers}, {strides}, i64 %depth, i1 %accumulate"
    attributes = f"noinline {module.function_attributes}"
    body = str(kernel.text)
    for argument, value in tile.known:
        body = re.sub(rf"{argument}\b", str(value), body)
    return f"define internal fastcc void {symbol}({parameters}) {attributes} {{\n{body}\n}}"


class _MicroKernel:
    """Writes one tile's function."""

    def __init__(self, target: Target, tile: _Tile) -> None:
        self.text = FunctionText()
        self.tile = tile
        self.target = target
        self.kind = register_type(tile.dtype)
        lanes = target.vector_bytes // tile.dtype.itemsize
        self.widths = _vector_widths(tile.columns, lanes, tile.rhs_padded)
        """Lanes of the vectors that cover the columns; the last may reach beyond them."""

    def write(self) -> None:
        """Write all of the body."""
        text, tile = self.text, self.tile
        rows = [self._strided("%target", "%target_stride", row) for row in range(tile.rows)]
        for row in rows:
            text.effect(f"call void @llvm.prefetch.p0(ptr {row}, i32 1, i32 3, i32 1)")
        accumulators = tile.rows * len(self.widths)
        self.pointers = ["%lhs", "%rhs"] if tile.packed_width is None else ["%lhs", "%rhs", "%packed"]
        state, done = [*self.pointers, *["zeroinitializer"] * accumulators], "0"
        if accumulators > _BOUND_BY_LATENCY:
            done = text.pure(f"and i64 %depth, {-_UNROLL}")
            state = self._loop("0", done, _UNROLL, state)
        state = self._loop(done, "%depth", 1, state)
        adding, setting = text.label("adding"), text.label("setting")
        text.branch_if("%accumulate", adding, setting)
        for label, accumulate in ((adding, True), (setting, False)):
            text.start(label)
            with text.scope():
                for row, address in enumerate(rows):
                    sums = state[len(self.pointers) + row * len(self.widths) :][: len(self.widths)]
                    self._finish_row(address, sums, accumulate)
            text.effect("ret void")

    def _loop(self, start: str, end: str, turns: int, state: list[str]) -> list[str]:
        """Run k from `start` to `end` by `turns`.  The state is pointers and the accumulators."""
        text = self.text
        kinds = ["ptr"] * len(self.pointers) + [self._vector(width) for width in self.widths] * self.tile.rows
        head, body, done = text.label("head"), text.label("body"), text.label("done")
        before = text.block
        text.branch(head)
        text.start(head)
        k, k_line = text.name(), text.reserve()
        names = [text.name() for _ in state]
        lines = [text.reserve() for _ in state]
        text.branch_if(text.fresh(f"icmp ult i64 {k}, {end}"), body, done)
        text.start(body)
        with text.scope():
            following = self._steps(turns, names)
            next_k = text.fresh(f"add nuw nsw i64 {k}, {turns}")
        text.branch(head)
        text.fill(k_line, f"{k} = phi i64 [ {start}, %{before} ], [ {next_k}, %{body} ]")
        for kind, name, line, init, last in zip(kinds, names, lines, state, following, strict=True):
            text.fill(line, f"{name} = phi {kind} [ {init}, %{before} ], [ {last}, %{body} ]")
        text.start(done)
        return names

    def _steps(self, turns: int, state: list[str]) -> list[str]:
        pointers, accumulators = state[: len(self.pointers)], state[len(self.pointers) :]
        lhs, rhs, *packed = pointers
        tile = self.tile
        for turn in range(turns):
            row = [
                self._load_rhs(rhs, turn * tile.rhs_depth_stride + sum(self.widths[:number]), number)
                for number in range(len(self.widths))
            ]
            if packed:
                self._pack_row(row, rhs, packed[0], turn)
            for i in range(tile.rows):
                address = self._lhs(lhs, i, turn)
                scalar = self.text.fresh(f"load {self.kind}, ptr {address}, align {tile.dtype.itemsize}")
                for number, width in enumerate(self.widths):
                    place = i * len(self.widths) + number
                    factor = self._broadcast(scalar, width)
                    accumulators[place] = self._multiply_add(factor, row[number], accumulators[place], width)
        return [
            self._offset(lhs, turns * tile.lhs_depth_stride),
            self._offset(rhs, turns * tile.rhs_depth_stride),
            *(self._offset(pointer, turns * (tile.packed_width or 0)) for pointer in packed),
            *accumulators,
        ]

    def _lhs(self, panel: str, row: int, turn: int) -> str:
        """The address of an element of the lhs panel that begins at `panel`."""
        width = self.tile.lhs_width
        if width is not None:
            return self._offset(panel, row + turn * width)
        return self._offset(self._strided(panel, "%lhs_stride", row), turn)

    def _pack_row(self, row: list[str], rhs: str, packed: str, turn: int) -> None:
        """Store a row of the rhs for later tiles; rows far apart are fetched ahead, as no prefetcher follows them."""
        tile = self.tile
        ahead = (turn + _ROWS_AHEAD) * tile.rhs_depth_stride
        for element in (ahead, ahead + tile.columns - 1):
            self.text.effect(
                f"call void @llvm.prefetch.p0(ptr {self._offset(rhs, element, 'getelementptr')}, i32 0, i32 3, i32 1)"
            )
        for number, (width, vector) in enumerate(zip(self.widths, row, strict=True)):
            place = self._offset(packed, turn * (tile.packed_width or 0) + sum(self.widths[:number]))
            self.text.effect(f"store {self._vector(width)} {vector}, ptr {place}, align {tile.dtype.itemsize}")

    def _load_rhs(self, pointer: str, offset: int, number: int) -> str:
        """One vector of the rhs row; lanes beyond the columns are padding, or are not read."""
        width = self.widths[number]
        inside = min(width, self.tile.columns - sum(self.widths[:number]))
        kind, itemsize = self._vector(width), self.tile.dtype.itemsize
        address = self._offset(pointer, offset)
        if inside == width or self.tile.rhs_padded:
            packed_alignment = math.gcd(64, self.tile.rhs_depth_stride * itemsize, sum(self.widths[:number]) * itemsize)
            alignment = packed_alignment if self.tile.rhs_padded else itemsize
            return self.text.fresh(f"load {kind}, ptr {address}, align {max(alignment, itemsize)}")
        mask = ", ".join(f"i1 {int(lane < inside)}" for lane in range(width))
        suffix = f"v{width}{overload(self.tile.dtype)}.p0"
        arguments = f"ptr align {itemsize} {address}, <{width} x i1> <{mask}>, {kind} zeroinitializer"
        return self.text.fresh(f"call {kind} @llvm.masked.load.{suffix}({arguments})")

    def _broadcast(self, scalar: str, width: int) -> str:
        if width == 1:
            return scalar
        kind = self._vector(width)
        first = self.text.pure(f"insertelement {kind} poison, {self.kind} {scalar}, i64 0")
        return self.text.pure(f"shufflevector {kind} {first}, {kind} poison, <{width} x i32> zeroinitializer")

    def _multiply_add(self, x: str, y: str, accumulator: str, width: int) -> str:
        kind = self._vector(width)
        if self.target.has_fma:
            name = overload(self.tile.dtype) if width == 1 else f"v{width}{overload(self.tile.dtype)}"
            return self.text.fresh(f"call {kind} @llvm.fma.{name}({kind} {x}, {kind} {y}, {kind} {accumulator})")
        return self.text.fresh(f"fadd {kind} {accumulator}, {self.text.fresh(f'fmul {kind} {x}, {y}')}")

    def _finish_row(self, address: str, accumulators: list[str], accumulate: bool) -> None:
        """Store one row of the tile; a ragged vector leaves in pieces of 2^n lanes."""
        column = 0
        for width, accumulator in zip(self.widths, accumulators, strict=True):
            lane, end = 0, min(width, self.tile.columns - column)
            while lane < end:
                piece = 1 << ((end - lane).bit_length() - 1)
                value = self._piece(accumulator, width, lane, piece)
                self._finish_piece(self._offset(address, column + lane), value, piece, accumulate)
                lane += piece
            column += width

    def _piece(self, accumulator: str, width: int, lane: int, lanes: int) -> str:
        """The `lanes` lanes from `lane` on of a vector of `width`."""
        whole = self._vector(width)
        if lanes == width:
            return accumulator
        if lanes == 1:
            return self.text.fresh(f"extractelement {whole} {accumulator}, i64 {lane}")
        mask = ", ".join(f"i32 {lane + number}" for number in range(lanes))
        return self.text.fresh(f"shufflevector {whole} {accumulator}, {whole} poison, <{lanes} x i32> <{mask}>")

    def _finish_piece(self, address: str, value: str, lanes: int, accumulate: bool) -> None:
        kind, itemsize = self._vector(lanes), self.tile.dtype.itemsize
        if accumulate:
            held = self.text.fresh(f"load {kind}, ptr {address}, align {itemsize}")
            value = self.text.fresh(f"fadd {kind} {held}, {value}")
        self.text.effect(f"store {kind} {value}, ptr {address}, align {itemsize}")

    def _offset(self, pointer: str, elements: int, instruction: str = "getelementptr inbounds") -> str:
        if elements == 0:
            return pointer
        return self.text.pure(f"{instruction} {self.kind}, ptr {pointer}, i64 {elements}")

    def _strided(self, pointer: str, stride: str, number: int) -> str:
        """The address of what lies `number` strides after `pointer`."""
        if number == 0:
            return pointer
        elements = stride if number == 1 else self.text.pure(f"mul i64 {stride}, {number}")
        return self.text.pure(f"getelementptr inbounds {self.kind}, ptr {pointer}, i64 {elements}")

    def _vector(self, width: int) -> str:
        return vector_type(self.tile.dtype, width)


def _vector_widths(columns: int, lanes: int, padded: bool) -> list[int]:
    """Lanes of the vectors that cover `columns`: full ones, then the narrowest that covers the rest."""
    widths = [lanes] * (columns // lanes)
    rest = columns % lanes
    if rest:
        widths.append(1 << (rest - 1).bit_length() if padded else lanes)
    return widths
