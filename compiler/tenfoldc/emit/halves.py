"""Conversion between floats of 16 bits and f32 as LLVM instructions; in registers a 16-bit float is its bits, an i16.

A bf16 is the upper half of an f32: it widens by a shift, and is rounded by integer arithmetic.  An f16 takes the
processor's instructions where it has them, else integer arithmetic too.  Nothing here becomes a call to a library, and
all of it is straight-line code, which vectorises.
"""

from __future__ import annotations

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfoldc.emit.function_text import FunctionText
from tenfoldc.target import Target

_QUIET = 0x400000
"""The bit of an f32 NaN that makes it quiet."""


def widened(text: FunctionText, target: Target, dtype: DType, bits: str) -> str:
    """The f32 that equals the 16-bit float `bits` of `dtype`."""
    if dtype == dtypes.bf16:
        wide = text.pure(f"zext i16 {bits} to i32")
        return text.pure(f"bitcast i32 {text.pure(f'shl i32 {wide}, 16')} to float")
    if target.has_f16:
        return text.pure(f"fpext half {text.pure(f'bitcast i16 {bits} to half')} to float")
    return _widened_f16(text, bits)


def narrowed(text: FunctionText, target: Target, dtype: DType, x: str) -> str:
    """The bits of the float `x` rounded to nearest even in `dtype`; a NaN stays one."""
    if dtype == dtypes.bf16:
        return _narrowed_bf16(text, x)
    if target.has_f16:
        return text.pure(f"bitcast half {text.pure(f'fptrunc float {x} to half')} to i16")
    return _narrowed_f16(text, x)


def rounded_to_odd(text: FunctionText, x: str) -> str:
    """The double `x` as a float whose last bit is set where it is inexact, so that it can be rounded again."""
    single = text.pure(f"fptrunc double {x} to float")
    back = text.pure(f"fpext float {single} to double")
    magnitudes = [text.pure(f"call double @llvm.fabs.f64(double {value})") for value in (back, x)]
    is_away = text.pure(f"fcmp ogt double {magnitudes[0]}, {magnitudes[1]}")
    bits = text.pure(f"bitcast float {single} to i32")
    truncated = text.pure(f"sub i32 {bits}, {text.pure(f'zext i1 {is_away} to i32')}")
    odd = text.pure(f"or i32 {truncated}, 1")
    is_inexact = text.pure(f"fcmp one double {back}, {x}")
    return text.pure(f"bitcast i32 {text.pure(f'select i1 {is_inexact}, i32 {odd}, i32 {bits}')} to float")


def _narrowed_bf16(text: FunctionText, x: str) -> str:
    """The upper half after adding just less than half of its last place, or half where that place is odd."""
    bits = text.pure(f"bitcast float {x} to i32")
    last = text.pure(f"and i32 {text.pure(f'lshr i32 {bits}, 16')}, 1")
    nearest = text.pure(f"add i32 {text.pure(f'add i32 {bits}, 32767')}, {last}")
    is_nan = text.pure(f"fcmp uno float {x}, {x}")
    quiet = text.pure(f"or i32 {bits}, {_QUIET}")
    chosen = text.pure(f"select i1 {is_nan}, i32 {quiet}, i32 {nearest}")
    return text.pure(f"trunc i32 {text.pure(f'lshr i32 {chosen}, 16')} to i16")


def _widened_f16(text: FunctionText, bits: str) -> str:
    """Exponent and mantissa in place as they are make a number 2^112 too small, also where it is subnormal."""
    wide = text.pure(f"zext i16 {bits} to i32")
    magnitude = text.pure(f"shl i32 {text.pure(f'and i32 {wide}, 32767')}, 13")
    small = text.pure(f"bitcast i32 {magnitude} to float")
    scaled = text.pure(f"bitcast float {text.pure(f'fmul float {small}, 0x46F0000000000000')} to i32")
    is_special = text.pure(f"icmp uge i32 {magnitude}, {0x1F << 23}")
    special = text.pure(f"or i32 {magnitude}, {0xFF << 23}")
    chosen = text.pure(f"select i1 {is_special}, i32 {special}, i32 {scaled}")
    sign = text.pure(f"shl i32 {text.pure(f'and i32 {wide}, 32768')}, 16")
    return text.pure(f"bitcast i32 {text.pure(f'or i32 {chosen}, {sign}')} to float")


def _narrowed_f16(text: FunctionText, x: str) -> str:
    """Normal numbers are rounded as integers; subnormal ones by an addition to 0.5, whose last place is theirs."""
    bits = text.pure(f"bitcast float {x} to i32")
    magnitude = text.pure(f"and i32 {bits}, {0x7FFFFFFF}")
    last = text.pure(f"and i32 {text.pure(f'lshr i32 {magnitude}, 13')}, 1")
    rebased = text.pure(f"sub i32 {magnitude}, {(112 << 23) - 0xFFF}")
    normal = text.pure(f"lshr i32 {text.pure(f'add i32 {rebased}, {last}')}, 13")
    size = text.pure(f"bitcast i32 {magnitude} to float")
    shifted = text.pure(f"bitcast float {text.pure(f'fadd float {size}, 0.5')} to i32")
    subnormal = text.pure(f"sub i32 {shifted}, {0x3F000000}")
    is_subnormal = text.pure(f"icmp ult i32 {magnitude}, {0x38800000}")
    finite = text.pure(f"select i1 {is_subnormal}, i32 {subnormal}, i32 {normal}")
    overflows = text.pure(f"icmp uge i32 {magnitude}, {0x47800000}")
    bounded = text.pure(f"select i1 {overflows}, i32 {0x7C00}, i32 {finite}")
    payload = text.pure(f"and i32 {text.pure(f'lshr i32 {magnitude}, 13')}, {0x3FF}")
    is_nan = text.pure(f"fcmp uno float {x}, {x}")
    chosen = text.pure(f"select i1 {is_nan}, i32 {text.pure(f'or i32 {payload}, {0x7E00}')}, i32 {bounded}")
    sign = text.pure(f"and i32 {text.pure(f'lshr i32 {bits}, 16')}, 32768")
    return text.pure(f"trunc i32 {text.pure(f'or i32 {chosen}, {sign}')} to i16")
