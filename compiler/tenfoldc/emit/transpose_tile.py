"""Transposing a tile of memory in vector registers.

A register's 16-byte lanes each hold m elements.  Lane l of register q is loaded from row q + l * m of the source, so
that what remains is to transpose m by m elements within each lane, all lanes at once: log2(m) rounds, each of which
interleaves the low and the high halves of registers q and q + m/2.  That is one instruction a register and round for
any size of element (unpack on x86, zip on Arm), and no instruction crosses lanes but the loads.  Where a side of the
tile is no multiple of a block's, the last block overlaps the one before; smaller tiles are moved element by element.
"""

from __future__ import annotations

from tenfold_rt.frozen import frozen
from tenfoldc.emit.expressions import ExpressionText
from tenfoldc.emit.function_text import FunctionText
from tenfoldc.emit.module_text import ModuleText
from tenfoldc.loops.ir import TransposeTile

_LANE_BYTES = 16


@frozen
class _Tile:
    """All that a tile's function depends on.  Strides count elements, which are `itemsize` bytes of any type."""

    itemsize: int
    source_stride: int
    target_stride: int


def transpose_tile(caller: ExpressionText, statement: TransposeTile) -> None:
    """Write the call that transposes one tile; the function it calls is written at its first use."""
    tile = _Tile(statement.source.dtype.itemsize, statement.source_stride, statement.target_stride)
    source = caller.address(statement.source, (statement.source_first,))
    target = caller.address(statement.target, (statement.target_first,))
    sizes = f"{caller.typed(statement.rows)}, {caller.typed(statement.columns)}"
    name = f"transpose.{8 * tile.itemsize}.{tile.source_stride}.{tile.target_stride}"
    symbol = caller.module.once(tile, name, lambda symbol: _define(caller.module, tile, symbol), is_tile=True)
    caller.text.effect(f"call fastcc void {symbol}(ptr {source}, ptr {target}, {sizes})")


def _define(module: ModuleText, tile: _Tile, symbol: str) -> str:
    """The function `symbol(source, target, rows, columns)`; its pointers are to the first elements it touches."""
    rows = _LANE_BYTES // tile.itemsize
    columns = module.target.vector_bytes // tile.itemsize
    parameters = "ptr noalias readonly %source, ptr noalias writeonly %target, i64 %rows, i64 %columns"
    attributes = f"noinline {module.function_attributes}"
    return f"""\
define internal fastcc void {symbol}({parameters}) {attributes} {{
entry:
  %few.rows = icmp ult i64 %rows, {rows}
  %few.columns = icmp ult i64 %columns, {columns}
  %no.block = or i1 %few.rows, %few.columns
  br i1 %no.block, label %column.test, label %blocks
blocks:
  %last.row = sub nuw nsw i64 %rows, {rows}
  %last.column = sub nuw nsw i64 %columns, {columns}
  br label %strip
strip:
  %j = phi i64 [ 0, %blocks ], [ %j.next, %strip.done ]
  br label %block
block:
  %i = phi i64 [ 0, %strip ], [ %i.next, %block ]
{_block(tile, rows, columns)}
  %i.above = add nuw nsw i64 %i, {rows}
  %i.next = call i64 @llvm.umin.i64(i64 %i.above, i64 %last.row)
  %i.more = icmp ult i64 %i, %last.row
  br i1 %i.more, label %block, label %strip.done
strip.done:
  %j.above = add nuw nsw i64 %j, {columns}
  %j.next = call i64 @llvm.umin.i64(i64 %j.above, i64 %last.column)
  %j.more = icmp ult i64 %j, %last.column
  br i1 %j.more, label %strip, label %done
column.test:
  %c = phi i64 [ 0, %entry ], [ %c.next, %column.done ]
  %c.more = icmp ult i64 %c, %columns
  br i1 %c.more, label %row.test, label %done
row.test:
  %r = phi i64 [ 0, %column.test ], [ %r.next, %row ]
  %r.more = icmp ult i64 %r, %rows
  br i1 %r.more, label %row, label %column.done
row:
{_element(tile)}
  %r.next = add nuw nsw i64 %r, 1
  br label %row.test
column.done:
  %c.next = add nuw nsw i64 %c, 1
  br label %column.test
done:
  ret void
}}"""


def _element(tile: _Tile) -> str:
    kind = f"i{8 * tile.itemsize}"
    return f"""\
  %from.line = mul nuw nsw i64 %c, {tile.source_stride}
  %from = add nuw nsw i64 %from.line, %r
  %from.at = getelementptr inbounds {kind}, ptr %source, i64 %from
  %element = load {kind}, ptr %from.at, align {tile.itemsize}
  %to.line = mul nuw nsw i64 %r, {tile.target_stride}
  %to = add nuw nsw i64 %to.line, %c
  %to.at = getelementptr inbounds {kind}, ptr %target, i64 %to
  store {kind} %element, ptr %to.at, align {tile.itemsize}"""


def _block(tile: _Tile, rows: int, columns: int) -> str:
    """A block of `rows` by `columns` elements of the target, at row %i and column %j."""
    text = FunctionText()
    text.lines.clear()
    kind = f"i{8 * tile.itemsize}"
    line = text.pure(f"mul nuw nsw i64 %j, {tile.source_stride}")
    first = text.pure(f"add nuw nsw i64 {line}, %i")
    source = text.pure(f"getelementptr inbounds {kind}, ptr %source, i64 {first}")
    registers: list[str] = []
    for row in range(rows):
        parts: list[str] = []
        for start in range(row, columns, rows):
            at = text.pure(f"getelementptr inbounds {kind}, ptr {source}, i64 {start * tile.source_stride}")
            parts.append(text.fresh(f"load <{rows} x {kind}>, ptr {at}, align {tile.itemsize}"))
        registers.append(_joined(text, kind, parts, rows))
    half = rows // 2
    for _ in range(half.bit_length()):
        pairs = [(registers[row], registers[row + half]) for row in range(half)]
        registers = [
            _interleaved(text, kind, pair, rows, columns, second) for pair in pairs for second in (False, True)
        ]
    line = text.pure(f"mul nuw nsw i64 %i, {tile.target_stride}")
    first = text.pure(f"add nuw nsw i64 {line}, %j")
    target = text.pure(f"getelementptr inbounds {kind}, ptr %target, i64 {first}")
    for row, register in enumerate(registers):
        at = text.pure(f"getelementptr inbounds {kind}, ptr {target}, i64 {row * tile.target_stride}")
        text.effect(f"store <{columns} x {kind}> {register}, ptr {at}, align {tile.itemsize}")
    return str(text)


def _joined(text: FunctionText, kind: str, parts: list[str], size: int) -> str:
    """Vectors of `size` elements, a power of two of them, one after the other in one vector."""
    while len(parts) > 1:
        pairs = zip(parts[::2], parts[1::2], strict=True)
        parts = [_shuffled(text, kind, size, pair, range(2 * size)) for pair in pairs]
        size *= 2
    return parts[0]


def _interleaved(text: FunctionText, kind: str, pair: tuple[str, str], lane: int, size: int, second: bool) -> str:
    """The low halves, or the `second`, of each lane of two vectors, element by element in turn."""
    half = range(lane // 2, lane) if second else range(lane // 2)
    indices = [start + element + other for start in range(0, size, lane) for element in half for other in (0, size)]
    return _shuffled(text, kind, size, pair, indices)


def _shuffled(text: FunctionText, kind: str, size: int, pair: tuple[str, str], indices: list[int] | range) -> str:
    vector = f"<{size} x {kind}>"
    mask = ", ".join(f"i32 {index}" for index in indices)
    return text.pure(f"shufflevector {vector} {pair[0]}, {vector} {pair[1]}, <{len(indices)} x i32> <{mask}>")
