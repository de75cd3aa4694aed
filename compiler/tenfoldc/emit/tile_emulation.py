"""The operations of a matrix unit on tiles that lie in memory, by plain instructions: the same bits, and slow.

With it programs for AMX run, and can be looked at and tested, on any machine.  A product is that of `TDPBF16PS` in
Intel's manual: of the pairs of a row, sums of the lower and of the upper factors apart, in order, by fused
multiply-adds that begin at zero; then both, and what the tile held, added up.  Subnormal factors and results are zero.
"""

from __future__ import annotations

from collections.abc import Sequence

from tenfoldc.emit.module_text import ModuleText

TILE_BYTES = 1024
"""Of a tile: 16 rows of 64 bytes."""


def emulated(module: ModuleText, operation: str, tiles: Sequence[int]) -> str:
    """The body of an operation of `tenfoldc.emit.tile_unit`, on the `tiles` with these numbers."""
    places = [f"  %t{n} = getelementptr i8, ptr %tiles, i64 {TILE_BYTES * tile}\n" for n, tile in enumerate(tiles)]
    match operation:
        case "configure" | "release":
            return ""
        case "zero":
            return f"{places[0]}  call void @llvm.memset.p0.i64(ptr %t0, i8 0, i64 {TILE_BYTES}, i1 false)"
        case "load" | "stream":
            return f"{places[0]}  call void @llvm.memcpy.p0.p0.i64(ptr %t0, ptr %place, i64 {TILE_BYTES}, i1 false)"
        case "store":
            return f"{places[0]}  call void @llvm.memcpy.p0.p0.i64(ptr %place, ptr %t0, i64 {TILE_BYTES}, i1 false)"
        case _:
            flushed = module.once(
                "tile.flushed", "tenfold.tile.flushed", lambda symbol: _written(module, _FLUSH, symbol)
            )
            multiply = _MULTIPLY.replace("FLUSHED", flushed)
            product = module.once(
                "tile.product", "tenfold.tile.product", lambda symbol: _written(module, multiply, symbol)
            )
            return f"{''.join(places)}  call void {product}(ptr %t0, ptr %t1, ptr %t2)"


def _written(module: ModuleText, text: str, symbol: str) -> str:
    return text.replace("SYMBOL", symbol).replace("ATTRIBUTES", module.function_attributes)


_FLUSH = """\
define internal <16 x float> SYMBOL(<16 x float> %x) alwaysinline ATTRIBUTES {
  %bits = bitcast <16 x float> %x to <16 x i32>
  %exponents = and <16 x i32> %bits, splat (i32 2139095040)
  %are.small = icmp eq <16 x i32> %exponents, zeroinitializer
  %zeros = and <16 x i32> %bits, splat (i32 -2147483648)
  %kept = select <16 x i1> %are.small, <16 x i32> %zeros, <16 x i32> %bits
  %flushed = bitcast <16 x i32> %kept to <16 x float>
  ret <16 x float> %flushed
}"""

_MULTIPLY = """\
define internal void SYMBOL(ptr %total, ptr %lhs, ptr %rhs) noinline ATTRIBUTES {
entry:
  br label %row
row:
  %m = phi i64 [ 0, %entry ], [ %m.next, %row.done ]
  br label %pair
pair:
  %k = phi i64 [ 0, %row ], [ %k.next, %pair ]
  %low = phi <16 x float> [ zeroinitializer, %row ], [ %low.next, %pair ]
  %high = phi <16 x float> [ zeroinitializer, %row ], [ %high.next, %pair ]
  %x.row = mul i64 %m, 16
  %x.place = add i64 %x.row, %k
  %x.at = getelementptr i32, ptr %lhs, i64 %x.place
  %x.word = load i32, ptr %x.at, align 4
  %x.first = insertelement <16 x i32> poison, i32 %x.word, i64 0
  %x = shufflevector <16 x i32> %x.first, <16 x i32> poison, <16 x i32> zeroinitializer
  %y.at = getelementptr <16 x i32>, ptr %rhs, i64 %k
  %y = load <16 x i32>, ptr %y.at, align 4
  %x.low.bits = shl <16 x i32> %x, splat (i32 16)
  %y.low.bits = shl <16 x i32> %y, splat (i32 16)
  %x.high.bits = and <16 x i32> %x, splat (i32 -65536)
  %y.high.bits = and <16 x i32> %y, splat (i32 -65536)
  %x.low.raw = bitcast <16 x i32> %x.low.bits to <16 x float>
  %y.low.raw = bitcast <16 x i32> %y.low.bits to <16 x float>
  %x.high.raw = bitcast <16 x i32> %x.high.bits to <16 x float>
  %y.high.raw = bitcast <16 x i32> %y.high.bits to <16 x float>
  %x.low = call <16 x float> FLUSHED(<16 x float> %x.low.raw)
  %y.low = call <16 x float> FLUSHED(<16 x float> %y.low.raw)
  %x.high = call <16 x float> FLUSHED(<16 x float> %x.high.raw)
  %y.high = call <16 x float> FLUSHED(<16 x float> %y.high.raw)
  %low.sum = call <16 x float> @llvm.fma.v16f32(<16 x float> %x.low, <16 x float> %y.low, <16 x float> %low)
  %high.sum = call <16 x float> @llvm.fma.v16f32(<16 x float> %x.high, <16 x float> %y.high, <16 x float> %high)
  %low.next = call <16 x float> FLUSHED(<16 x float> %low.sum)
  %high.next = call <16 x float> FLUSHED(<16 x float> %high.sum)
  %k.next = add i64 %k, 1
  %k.more = icmp ult i64 %k.next, 16
  br i1 %k.more, label %pair, label %row.done
row.done:
  %sum = fadd <16 x float> %low.next, %high.next
  %product = call <16 x float> FLUSHED(<16 x float> %sum)
  %total.at = getelementptr <16 x float>, ptr %total, i64 %m
  %before.raw = load <16 x float>, ptr %total.at, align 4
  %before = call <16 x float> FLUSHED(<16 x float> %before.raw)
  %after.raw = fadd <16 x float> %before, %product
  %after = call <16 x float> FLUSHED(<16 x float> %after.raw)
  store <16 x float> %after, ptr %total.at, align 4
  %m.next = add i64 %m, 1
  %m.more = icmp ult i64 %m.next, 16
  br i1 %m.more, label %row, label %done
done:
  ret void
}"""
