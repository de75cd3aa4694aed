"""Logic, shifts and bit fields: and or xor not cnot shl shr shf bfe bfi bfind brev clz popc prmt lop3 fns."""

from __future__ import annotations

import numpy as np

from ptx_machine.instructions.arithmetic import operation
from ptx_machine.instructions.table import builds
from ptx_machine.operands import Array, Assembler, Execute
from ptx_machine.scalars import B32, PRED, SCALARS, U32, Scalar

_LOGIC = {"and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor}


@builds("and", "or", "xor")
def build_logic(a: Assembler) -> Execute:
    scalar = a.scalar("b", "pred")
    a.end(3)
    return operation(a, scalar, [scalar] * 2, _LOGIC[a.name])


@builds("not", "cnot")
def build_not(a: Assembler) -> Execute:
    scalar = a.scalar("b", "pred") if a.name == "not" else a.scalar("b")
    a.end(2)
    if a.name == "not":
        return operation(a, scalar, [scalar], np.invert)
    return operation(a, scalar, [scalar], lambda x: x == 0)


@builds("shl", "shr")
def build_shift(a: Assembler) -> Execute:
    """Shifts by the width or more give zeros, or copies of the sign."""
    scalar = a.scalar("b") if a.name == "shl" else a.scalar("b", "u", "s")
    a.end(3)
    dtype, last = scalar.dtype, scalar.bits - 1

    def left(x: Array, count: Array) -> Array:
        return np.where(count > last, dtype.type(0), np.left_shift(x, np.minimum(count, last).astype(dtype)))

    def right(x: Array, count: Array) -> Array:
        shifted = np.right_shift(x, np.minimum(count, last).astype(dtype))
        return shifted if scalar.is_signed else np.where(count > last, dtype.type(0), shifted)

    if scalar.kind == "b":
        scalar = SCALARS[f"u{scalar.bits}"]
    return operation(a, scalar, [scalar, U32], left if a.name == "shl" else right)


@builds("shf")
def build_funnel_shift(a: Assembler) -> Execute:
    direction, mode = a.required("l", "r"), a.required("clamp", "wrap")
    a.required("b32")
    a.end(4)

    def compute(low: Array, high: Array, count: Array) -> Array:
        count = (count & np.uint32(31) if mode == "wrap" else np.minimum(count, np.uint32(32))).astype(np.uint64)
        both = np.uint64(high) << np.uint64(32) | np.uint64(low)
        if direction == "r":
            return (both >> count).astype(np.uint32)
        return ((both << count) >> np.uint64(32)).astype(np.uint32)

    return operation(a, U32, [U32] * 3, compute)


@builds("bfe")
def build_extract(a: Assembler) -> Execute:
    scalar = a.scalar("u32", "u64", "s32", "s64")
    a.end(4)
    width = scalar.bits

    def compute(x: Array, start: Array, length: Array) -> Array:
        start = np.minimum(start & np.uint32(255), width).astype(np.int64)
        length = np.minimum(length & np.uint32(255), width).astype(np.int64)
        left = np.maximum(width - start - length, 0)
        unsigned = np.asarray(x).astype(f"u{scalar.nbytes}")
        top = np.left_shift(unsigned, left.astype(unsigned.dtype)).view(scalar.dtype)
        kept = np.maximum(width - length, 0)
        if scalar.is_signed:
            short = np.minimum(kept, width - 1)
            kept = np.where(start + length > width, np.minimum(start, width - 1), short)
        else:
            kept = np.where(start + length > width, start, kept)
        moved = np.right_shift(top, np.minimum(kept, width - 1).astype(scalar.dtype))
        if not scalar.is_signed:
            moved = np.where(kept >= width, scalar.dtype.type(0), moved)
        return np.where(length == 0, scalar.dtype.type(0), moved)

    return operation(a, scalar, [scalar, U32, U32], compute)


@builds("bfi")
def build_insert(a: Assembler) -> Execute:
    scalar = a.scalar("b32", "b64")
    a.end(5)
    width, dtype = scalar.bits, scalar.dtype

    def compute(field: Array, base: Array, start: Array, length: Array) -> Array:
        start = np.minimum(start & np.uint32(255), 127).astype(np.uint64)
        length = np.minimum(length & np.uint32(255), width).astype(np.uint64)
        ones = np.where(length >= 64, ~np.uint64(0), np.left_shift(np.uint64(1), np.minimum(length, 63)) - np.uint64(1))
        mask = np.where(start >= width, np.uint64(0), np.left_shift(ones, np.minimum(start, 63)))
        moved = np.left_shift(np.uint64(field), np.minimum(start, 63)) & mask
        return (moved | (np.uint64(base) & ~mask)).astype(dtype)

    return operation(a, scalar, [scalar, scalar, U32, U32], compute)


@builds("bfind")
def build_find(a: Assembler) -> Execute:
    shift = a.flag("shiftamt")
    scalar = a.scalar("u32", "u64", "s32", "s64")
    a.end(2)

    def compute(x: Array) -> Array:
        value = ~x if scalar.is_signed else x
        value = np.where(x < 0, value, x).astype(f"u{scalar.nbytes}") if scalar.is_signed else np.asarray(x)
        zeros = leading_zeros(value, scalar)
        found = zeros if shift else np.uint32(scalar.bits - 1) - zeros
        return np.where(value == 0, np.uint32(0xFFFFFFFF), found)

    return operation(a, U32, [scalar], compute)


def leading_zeros(x: Array, scalar: Scalar) -> Array:
    """How many zeros stand above the highest one, as uint32."""
    value = np.atleast_1d(x).astype(np.uint64)
    length = np.zeros(value.shape, np.uint32)
    for step in (32, 16, 8, 4, 2, 1):
        high = value >> np.uint64(step) != 0
        length += np.where(high, np.uint32(step), np.uint32(0))
        value = np.where(high, value >> np.uint64(step), value)
    return np.uint32(scalar.bits) - length - (value != 0).astype(np.uint32)


@builds("clz", "popc")
def build_count(a: Assembler) -> Execute:
    scalar = a.scalar("b32", "b64")
    a.end(2)
    if a.name == "popc":
        return operation(a, U32, [scalar], lambda x: np.bitwise_count(x).astype(np.uint32))
    return operation(a, U32, [scalar], lambda x: leading_zeros(x, scalar))


@builds("brev")
def build_reverse(a: Assembler) -> Execute:
    scalar = a.scalar("b32", "b64")
    a.end(2)

    def compute(x: Array) -> Array:
        octets = np.ascontiguousarray(np.atleast_1d(x)).view(np.uint8).reshape(-1, scalar.nbytes)
        bits = np.unpackbits(octets, axis=1, bitorder="little")[:, ::-1]
        return np.packbits(bits, axis=1, bitorder="little").view(scalar.dtype).reshape(-1)

    return operation(a, scalar, [scalar], compute)


@builds("prmt")
def build_permute(a: Assembler) -> Execute:
    a.required("b32")
    a.end(4)

    def compute(low: Array, high: Array, selector: Array) -> Array:
        both = np.uint64(high) << np.uint64(32) | np.uint64(low)
        result = np.uint32(0)
        for i in range(4):
            nibble = selector >> np.uint32(4 * i) & np.uint32(15)
            octet = both >> np.uint64(8) * np.uint64(nibble & np.uint32(7)) & np.uint64(255)
            sign = np.where(octet >> np.uint64(7) != 0, np.uint64(255), np.uint64(0))
            octet = np.where(nibble & np.uint32(8) != 0, sign, octet)
            result = result | np.uint32(octet) << np.uint32(8 * i)
        return result

    return operation(a, U32, [U32] * 3, compute)


@builds("lop3")
def build_lop3(a: Assembler) -> Execute:
    a.required("b32")
    a.end(5)
    table = a.integer(4)

    def compute(x: Array, y: Array, z: Array) -> Array:
        result = np.uint32(0)
        for row in range(8):
            if table >> row & 1:
                term = x if row & 4 else ~x
                term = term & (y if row & 2 else ~y)
                result = result | term & (z if row & 1 else ~z)
        return result

    write = a.target(0, B32)
    x, y, z = (a.source(i, U32) for i in (1, 2, 3))
    return lambda w: write(w, compute(x(w), y(w), z(w)))


_CLASSES = {
    "finite": np.isfinite,
    "infinite": np.isinf,
    "number": lambda x: ~np.isnan(x),
    "notanumber": np.isnan,
}


@builds("testp")
def build_test(a: Assembler) -> Execute:
    which = a.required(*_CLASSES, "normal", "subnormal")
    scalar = a.scalar("f32", "f64")
    a.end(2)
    tiny = np.finfo(scalar.dtype).tiny
    if which == "normal":
        return operation(a, PRED, [scalar], lambda x: np.isfinite(x) & (np.abs(x) >= tiny))
    if which == "subnormal":
        return operation(a, PRED, [scalar], lambda x: (x != 0) & (np.abs(x) < tiny))
    return operation(a, PRED, [scalar], _CLASSES[which])
