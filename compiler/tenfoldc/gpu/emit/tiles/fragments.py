"""What the threads of a warp hold of its part of a tile, and the instructions that multiply.

The registers of a warp hold sums in chunks, rows of its part one after the other; `pieces` says where in a chunk each
of a thread's registers belongs.  Which thread holds what of a tensor-core instruction's operands is told in NVIDIA's
"Parallel Thread Execution ISA", section "Matrix fragments for mma".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeAlias

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.frozen import frozen
from tenfoldc.emit.function_text import FunctionText
from tenfoldc.emit.scalar_types import overload, register_type
from tenfoldc.gpu.emit.tiles.words import Words
from tenfoldc.gpu.tile_memory import SliceLayout
from tenfoldc.loops.tiles import WARP, Multiplier, Tiling

Offset: TypeAlias = tuple[str, int]
"""A place: a value and a number to add."""


@frozen
class Slice:
    """A slice in shared memory: where it begins, and how it lies."""

    base: str
    layout: SliceLayout


@frozen
class Piece:
    """Neighbouring columns of one row of a chunk that a thread has in these registers."""

    row: Offset
    column: Offset
    registers: tuple[int, ...]


class Sums(Protocol):
    """The sums of a warp, in chunks of some rows."""

    chunks: int
    chunk_rows: int

    def pieces(self, chunk: int) -> Iterator[Piece]:
        """Where the sums of a chunk belong."""
        ...


class Fragments(Sums, Protocol):
    """The sums of a warp, and how they grow."""

    row_lanes: int
    """Neighbouring threads that have all columns of the same rows."""
    count: int
    """Registers of a thread that hold sums."""
    depth: int
    """How deep one step is."""

    def multiply(self, lhs: Slice, rhs: Slice, depth: int, sums: Sequence[str]) -> list[str]:
        """The sums after one more step, at `depth` of the slices."""
        ...


class ThreadFragments:
    """Multiply-adds of single threads: each has some rows, and some columns, a vector of 16 bytes at a time.

    Threads are 4 by 8; the vectors of neighbours adjoin, so that a warp reads without conflicts.
    """

    depth = 1
    row_lanes = 8

    def __init__(self, text: FunctionText, tiling: Tiling, dtype: DType, warp: tuple[str, str], lane: str) -> None:
        self.text, self.words, self.dtype = text, Words(text), dtype
        self.lanes = 16 // dtype.itemsize
        self.row_groups = tiling.part_rows // (4 * self.lanes)
        self.column_groups = tiling.part_columns // (8 * self.lanes)
        self.chunks, self.chunk_rows = self.row_groups, 4 * self.lanes
        self.count = self.row_groups * self.column_groups * self.lanes**2
        words = self.words
        self.own_row = words.scaled(words.quotient(lane, 8), self.lanes)
        self.own_column = words.scaled(words.remainder(lane, 8), self.lanes)
        self.row = words.add(words.scaled(warp[0], tiling.part_rows), self.own_row)
        self.column = words.add(words.scaled(warp[1], tiling.part_columns), self.own_column)

    def multiply(self, lhs: Slice, rhs: Slice, depth: int, sums: Sequence[str]) -> list[str]:
        rows = self._factors(lhs, self.row, self.row_groups, 4 * self.lanes, depth)
        columns = self._factors(rhs, self.column, self.column_groups, 8 * self.lanes, depth)
        kind, name = register_type(self.dtype), overload(self.dtype)
        found: list[str] = []
        for i, x in enumerate(rows):
            for j, y in enumerate(columns):
                added = sums[i * len(columns) + j]
                found.append(self.text.fresh(f"call {kind} @llvm.fma.{name}({kind} {x}, {kind} {y}, {kind} {added})"))
        return found

    def _factors(self, factor: Slice, line: str, groups: int, apart: int, depth: int) -> list[str]:
        kind, found = register_type(self.dtype), list[str]()
        for group in range(groups):
            address = self.words.element(factor.layout, factor.base, (line, group * apart), ("0", depth))
            vector = self.text.fresh(f"load <{self.lanes} x {kind}>, ptr addrspace(3) {address}, align 16")
            found += [
                self.text.fresh(f"extractelement <{self.lanes} x {kind}> {vector}, i32 {lane}")
                for lane in range(self.lanes)
            ]
        return found

    def pieces(self, chunk: int) -> Iterator[Piece]:
        columns = self.column_groups * self.lanes
        for row in range(self.lanes):
            for group in range(self.column_groups):
                first = (chunk * self.lanes + row) * columns + group * self.lanes
                place = (self.own_column, group * 8 * self.lanes)
                yield Piece((self.own_row, row), place, tuple(range(first, first + self.lanes)))


@frozen
class _Shape:
    """A tensor-core instruction: its sizes, how many registers of each factor and of the sums a thread holds."""

    name: str
    rows: int
    columns: int
    depth: int
    lhs: int
    rhs: int
    sums: int
    factor: str
    """The type of a register of a factor."""


_SHAPES = {
    Multiplier.BF16: _Shape("m16n8k16.row.col.bf16", 16, 8, 16, 4, 2, 4, "i32"),
    Multiplier.F16: _Shape("m16n8k16.row.col.f32.f32", 16, 8, 16, 4, 2, 4, "<2 x half>"),
    Multiplier.TF32: _Shape("m16n8k8.row.col.tf32", 16, 8, 8, 4, 2, 4, "i32"),
    Multiplier.F64: _Shape("m8n8k4.row.col.f64", 8, 8, 4, 1, 1, 2, "double"),
}


class WarpFragments:
    """Tensor-core instructions of whole warps (`mma.sync`).

    In a group of four threads each has two neighbouring columns of a row of the sums; the eight groups have rows.
    """

    row_lanes = 4

    def __init__(self, text: FunctionText, tiling: Tiling, warp: tuple[str, str], lane: str) -> None:
        self.text, self.words = text, Words(text)
        self.multiplier = tiling.multiplier
        self.shape = shape = _SHAPES[tiling.multiplier]
        self.is_half = tiling.multiplier in (Multiplier.BF16, Multiplier.F16)
        self.depth, self.chunk_rows = shape.depth, shape.rows
        self.row_tiles, self.column_tiles = tiling.part_rows // shape.rows, tiling.part_columns // shape.columns
        self.chunks = self.row_tiles
        self.count = self.row_tiles * self.column_tiles * shape.sums
        self.lane = lane
        self.group, self.place = self.words.quotient(lane, 4), self.words.remainder(lane, 4)
        self.row = self.words.scaled(warp[0], tiling.part_rows)
        self.column = self.words.scaled(warp[1], tiling.part_columns)
        self.kind = "double" if tiling.multiplier is Multiplier.F64 else "float"

    def multiply(self, lhs: Slice, rhs: Slice, depth: int, sums: Sequence[str]) -> list[str]:
        if self.is_half:
            rows = [self._half_rows(lhs, tile * 16, depth) for tile in range(self.row_tiles)]
        else:
            rows = [
                self._scattered(lhs, self.row, tile * self.shape.rows, depth, self.shape.lhs)
                for tile in range(self.row_tiles)
            ]
        return self.multiply_held(rows, rhs, depth, sums)

    def multiply_held(self, rows: Sequence[Sequence[str]], rhs: Slice, depth: int, sums: Sequence[str]) -> list[str]:
        """The same with the lhs in registers: those that an instruction takes of each tile of rows."""
        shape, text = self.shape, self.text
        if self.is_half:
            columns = [c for tile in range(0, self.column_tiles, 2) for c in self._half_columns(rhs, tile * 8, depth)]
        else:
            columns = [
                self._scattered(rhs, self.column, tile * shape.columns, depth, shape.rhs)
                for tile in range(self.column_tiles)
            ]
        found: list[str] = []
        kind = "{" + ", ".join([self.kind] * shape.sums) + "}"
        for x in rows:
            for y in columns:
                added = sums[len(found) : len(found) + shape.sums]
                factors = [f"{shape.factor} {register}" for register in (*x, *y)]
                operands = ", ".join([*factors, *(f"{self.kind} {value}" for value in added)])
                total = text.fresh(f"call {kind} @llvm.nvvm.mma.{shape.name}({operands})")
                found += [text.fresh(f"extractvalue {kind} {total}, {number}") for number in range(shape.sums)]
        return found

    def held(self, values: Sequence[str], depth: int) -> list[list[str]]:
        """What `multiply_held` takes at `depth` where the lhs is `values`, f32 that lie as the sums of a product.

        Two of its tiles of columns, side by side, are one step of 16 bits deep.
        """
        found: list[list[str]] = []
        for row_tile in range(self.row_tiles):
            first = (row_tile * (len(values) // self.row_tiles)) + depth // 8 * self.shape.sums
            found.append([self._packed(values[first + 2 * number : first + 2 * number + 2]) for number in range(4)])
        return found

    def _packed(self, pair: Sequence[str]) -> str:
        """Two f32 as 16 bits each."""
        half = "half" if self.multiplier is Multiplier.F16 else "bfloat"
        vector = self.text.fresh(f"insertelement <2 x float> poison, float {pair[0]}, i32 0")
        vector = self.text.fresh(f"insertelement <2 x float> {vector}, float {pair[1]}, i32 1")
        rounded = self.text.fresh(f"fptrunc <2 x float> {vector} to <2 x {half}>")
        return rounded if half == "half" else self.text.fresh(f"bitcast <2 x bfloat> {rounded} to i32")

    def _half_rows(self, factor: Slice, first: int, depth: int) -> list[str]:
        """16 rows, 16 deep: four matrices of 8x8, the upper and lower rows of the first half of the depth, then of the
        second."""
        words = self.words
        eighth, within = words.quotient(self.lane, 8), words.remainder(self.lane, 8)
        upper, later = words.remainder(eighth, 2), words.quotient(eighth, 2)
        return self._matrices(factor, self.row, first, depth, upper, later, within)

    def _half_columns(self, factor: Slice, first: int, depth: int) -> list[list[str]]:
        """16 columns, 16 deep, as the operands of two instructions."""
        words = self.words
        eighth, within = words.quotient(self.lane, 8), words.remainder(self.lane, 8)
        later, upper = words.remainder(eighth, 2), words.quotient(eighth, 2)
        registers = self._matrices(factor, self.column, first, depth, upper, later, within)
        return [registers[:2], registers[2:]]

    def _matrices(
        self, factor: Slice, lines: str, first: int, depth: int, upper: str, later: str, within: str
    ) -> list[str]:
        """Four matrices of 8x8; each thread gives the address of eight neighbours in memory."""
        words, adjoin = self.words, factor.layout.lines_adjoin
        line = words.add(lines, words.scaled(upper, 8), "0" if adjoin else within)
        step = words.add(words.scaled(later, 8), within if adjoin else "0")
        address = words.element(factor.layout, factor.base, (line, first), (step, depth))
        kind = "{i32, i32, i32, i32}"
        name = "llvm.nvvm.ldmatrix.sync.aligned.m8n8.x4" + (".trans" if adjoin else "") + ".b16.p3"
        loaded = self.text.fresh(f"call {kind} @{name}(ptr addrspace(3) {address})")
        registers = [self.text.fresh(f"extractvalue {kind} {loaded}, {number}") for number in range(4)]
        if self.multiplier is Multiplier.F16:
            return [self.text.fresh(f"bitcast i32 {register} to <2 x half>") for register in registers]
        return registers

    def _scattered(self, factor: Slice, lines: str, first: int, depth: int, count: int) -> list[str]:
        """Registers that hold one element each: lines by group, then 8 further, then the same 4 deeper."""
        found: list[str] = []
        eights = 2 if count == 4 else 1
        for number in range(count):
            line = (self.words.add(lines, self.group), first + number % eights * 8)
            address = self.words.element(factor.layout, factor.base, line, (self.place, depth + number // eights * 4))
            dtype = factor.layout.dtype
            value = self.text.fresh(f"load {register_type(dtype)}, ptr addrspace(3) {address}, align {dtype.itemsize}")
            if dtype == dtypes.f32:
                value = self.text.fresh(f"call i32 @llvm.nvvm.f2tf32.rna(float {value})")
            found.append(value)
        return found

    def pieces(self, chunk: int) -> Iterator[Piece]:
        for tile in range(self.column_tiles):
            first = (chunk * self.column_tiles + tile) * self.shape.sums
            column = (self.words.scaled(self.place, 2), tile * 8)
            for half in range(self.shape.rows // 8):
                yield Piece((self.group, half * 8), column, (first + 2 * half, first + 2 * half + 1))


def fragments(text: FunctionText, tiling: Tiling, dtype: DType, warp: tuple[str, str], lane: str) -> Fragments:
    """The sums of `dtype` of the warp whose row and column among the block's warps are `warp`."""
    if tiling.multiplier is Multiplier.FMA:
        return ThreadFragments(text, tiling, dtype, warp, lane)
    return WarpFragments(text, tiling, warp, lane)


def lanes_of(words: Words, thread: str) -> tuple[str, str]:
    """A thread's warp, and its number in it."""
    return words.quotient(thread, WARP), words.remainder(thread, WARP)
