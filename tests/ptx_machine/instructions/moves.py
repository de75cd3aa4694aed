"""Moves, selections, comparisons and conversions: mov cvta selp setp set cvt isspacep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ptx_machine import numerics
from ptx_machine.addresses import WINDOWS
from ptx_machine.instructions.arithmetic import operation
from ptx_machine.instructions.table import builds
from ptx_machine.operands import Array, Assembler, Execute
from ptx_machine.scalars import BITS, F32, PRED, SCALARS, U64, Scalar
from ptx_machine.syntax import Negated, Register, Vector


@builds("mov")
def build_mov(a: Assembler) -> Execute:
    scalar = a.scalar()
    a.end(2)
    if isinstance(a.operand(1), Vector):
        return _pack(a, scalar)
    if isinstance(a.operand(0), Vector):
        return _unpack(a, scalar)
    return operation(a, scalar, [scalar], lambda x: x)


def _parts(a: Assembler, count: int, scalar: Scalar) -> Scalar:
    if scalar.bits % count or scalar.bits // count not in BITS:
        raise a.unknown(f"{count} parts of {scalar.name}")
    return SCALARS[f"u{scalar.bits // count}"]


def _pack(a: Assembler, scalar: Scalar) -> Execute:
    part = _parts(a, len(a.items(1)), scalar)
    reads = a.sources(1, part)
    write = a.target(0, scalar)

    def execute(w: Any) -> None:
        columns = np.empty((w.count, len(reads)), part.dtype)
        for i, read in enumerate(reads):
            columns[:, i] = read(w)
        write(w, columns.view(scalar.dtype)[:, 0])

    return execute


def _unpack(a: Assembler, scalar: Scalar) -> Execute:
    part = _parts(a, len(a.items(0)), scalar)
    writes = a.targets(0, part)
    read = a.source(1, scalar)

    def execute(w: Any) -> None:
        columns = np.array(np.broadcast_to(read(w), (w.count,))).view(part.dtype).reshape(w.count, len(writes))
        for i, write in enumerate(writes):
            write(w, columns[:, i])

    return execute


@builds("cvta")
def build_cvta(a: Assembler) -> Execute:
    """From a state space to generic addresses, or back."""
    back = a.flag("to")
    space = a.required("shared", "shared::cta", "global", "local", "const", "param")
    scalar = a.scalar("u64")
    a.end(2)
    window = np.uint64(WINDOWS.get(space.partition("::")[0], 0))
    if back:
        return operation(a, scalar, [scalar], lambda x: x - window)
    return operation(a, scalar, [scalar], lambda x: x + window)


@builds("isspacep")
def build_isspacep(a: Assembler) -> Execute:
    space = a.required("shared", "shared::cta", "local", "param", "global").partition("::")[0]
    a.end(2)
    return operation(a, PRED, [U64], lambda x: _space_of(x) == WINDOWS.get(space, 0))


def _space_of(address: Array) -> Array:
    """The window that a generic address lies in, 0 for global memory."""
    return address >> np.uint64(56) << np.uint64(56)


@builds("selp")
def build_selp(a: Assembler) -> Execute:
    scalar = a.scalar("b", "u", "s", "f")
    a.end(4)
    write, x, y, p = a.target(0, scalar), a.source(1, scalar), a.source(2, scalar), a.source(3, PRED)
    return lambda w: write(w, np.where(p(w), x(w), y(w)))


@builds("slct")
def build_slct(a: Assembler) -> Execute:
    ftz = a.flag("ftz")
    scalar, test = a.scalar("b", "u", "s", "f"), a.scalar("s32", "f32")
    a.end(4)
    if ftz:
        raise a.unknown("ftz")
    return operation(a, scalar, [scalar, scalar, test], lambda x, y, c: np.where(c >= 0, x, y))


Compare = Callable[[Any, Any], Any]
_ORDERED: dict[str, Compare] = {
    "eq": np.equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "ne": lambda x, y: (x != y) & ~(np.isnan(x) | np.isnan(y)),
    "num": lambda x, y: ~(np.isnan(x) | np.isnan(y)),
}
_UNORDERED: dict[str, Compare] = {
    "equ": lambda x, y: (x == y) | np.isnan(x) | np.isnan(y),
    "neu": np.not_equal,
    "ltu": lambda x, y: ~(x >= y),
    "leu": lambda x, y: ~(x > y),
    "gtu": lambda x, y: ~(x <= y),
    "geu": lambda x, y: ~(x < y),
    "nan": lambda x, y: np.isnan(x) | np.isnan(y),
}
_INTEGER: dict[str, Compare] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "lo": np.less,
    "ls": np.less_equal,
    "hi": np.greater,
    "hs": np.greater_equal,
}
_COMBINE = {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor}


def _comparison(a: Assembler) -> tuple[str, str | None, bool]:
    name = a.required(*_ORDERED, *_UNORDERED, *_INTEGER)
    return name, a.optional("and", "or", "xor"), a.flag("ftz")


def _comparer(a: Assembler, name: str, scalar: Scalar, ftz: bool) -> Compare:
    table = {**_ORDERED, **_UNORDERED} if scalar.is_float else _INTEGER
    if name not in table or (scalar.kind == "b" and name not in ("eq", "ne")):
        raise a.unknown(f"comparison {name} of {scalar.name}")
    if name in ("lo", "ls", "hi", "hs") and scalar.kind != "u":
        raise a.unknown(f"comparison {name} of {scalar.name}")
    compare = table[name]
    if ftz and scalar.bits == 32:
        return lambda x, y: compare(numerics.flush(x), numerics.flush(y))
    return compare


@builds("setp")
def build_setp(a: Assembler) -> Execute:
    name, combine, ftz = _comparison(a)
    scalar = a.scalar("b", "u", "s", "f", "bf")
    a.end(4 if combine else 3)
    compare = _comparer(a, name, scalar, ftz)
    first, second = a.pair(0)
    if scalar.packed:
        if combine or second is None:
            raise a.unknown("a packed comparison gives two predicates")
        lower, upper, x, y = a.write(first, PRED), a.write(second, PRED), a.source(1, scalar), a.source(2, scalar)

        def execute(w: Any) -> None:
            both = compare(x(w), y(w))
            lower(w, both[:, 0])
            upper(w, both[:, 1])

        return execute
    write, x, y = a.write(first, PRED), a.source(1, scalar), a.source(2, scalar)
    if combine is None and second is None:
        return lambda w: write(w, compare(x(w), y(w)))
    join = _COMBINE[combine] if combine else (lambda result, other: result)
    other = a.source(3, PRED) if combine else (lambda w: True)
    write_second = a.write(second, PRED) if second is not None else None

    def execute_combined(w: Any) -> None:
        result, extra = compare(x(w), y(w)), other(w)
        write(w, join(result, extra))
        if write_second is not None:
            write_second(w, join(~np.asarray(result), extra))

    return execute_combined


@builds("set")
def build_set(a: Assembler) -> Execute:
    name, combine, ftz = _comparison(a)
    result, scalar = a.scalar("u32", "s32", "f32"), a.scalar("b", "u", "s", "f")
    a.end(4 if combine else 3)
    compare = _comparer(a, name, scalar, ftz)
    true = np.float32(1) if result is F32 else result.dtype.type(-1 if result.is_signed else 0xFFFFFFFF)
    zero = result.dtype.type(0)
    if combine is None:
        return operation(a, result, [scalar] * 2, lambda x, y: np.where(compare(x, y), true, zero))
    if not isinstance(a.operand(3), Register | Negated):
        raise a.unknown("a predicate combines")
    join = _COMBINE[combine]
    return operation(a, result, [scalar, scalar, PRED], lambda x, y, p: np.where(join(compare(x, y), p), true, zero))


@builds("cvt")
def build_cvt(a: Assembler) -> Execute:
    mode = a.optional("rn", "rz", "rm", "rp", "rna", *numerics.ROUND_TO_INTEGER)
    relu, ftz, sat = a.flag("relu"), a.flag("ftz"), a.flag("sat")
    if a.peek() == "tf32":
        return _to_tf32(a, mode)
    target, source = a.scalar("u", "s", "f", "bf", "b"), a.scalar("u", "s", "f", "bf", "b")
    if target.kind == "b" or source.kind == "b":
        raise a.unknown("cvt of untyped bits")
    if target.packed:
        return _to_packed(a, mode, relu, sat, target, source)
    a.end(2)
    if source.packed or (relu and target.bits != 16):
        raise a.unknown("cvt of these types")
    compute = conversion(a, target, source, mode, sat)
    if ftz:
        inner = compute
        flush = numerics.flush
        if source.name == "f32":
            compute = lambda x: inner(flush(np.atleast_1d(x)))  # noqa: E731
        elif target.name == "f32":
            compute = lambda x: flush(inner(x))  # noqa: E731
        if source.name == target.name == "f32":
            compute = lambda x: flush(inner(flush(np.atleast_1d(x))))  # noqa: E731
    if relu:
        unclamped = compute
        compute = lambda x: numerics.greatest(unclamped(x), target.dtype.type(0), True)  # noqa: E731
    return operation(a, target, [source], compute)


def conversion(a: Assembler, target: Scalar, source: Scalar, mode: str | None, sat: bool) -> Callable[[Array], Array]:
    """The function that converts arrays; raises where the rounding does not fit the types."""
    to_integer = mode in numerics.ROUND_TO_INTEGER
    if not source.is_float and not target.is_float:
        if mode:
            raise a.unknown("integers do not round")
        return (lambda x: _clamp(x, source, target)) if sat else (lambda x: np.asarray(x).astype(target.dtype))
    if source.is_float and not target.is_float:
        if not to_integer:
            raise a.unknown("a conversion to an integer names its rounding")
        return lambda x: numerics.float_to_integer(x, source, target, mode or "rzi")
    between_halves = target.bits == source.bits == 16 and target.kind != source.kind
    narrowing = not source.is_float or target.bits < source.bits or between_halves
    rounds = mode is not None and not to_integer
    if narrowing != rounds:
        raise a.unknown(f"rounding {mode} from {source.name} to {target.name}")
    if not source.is_float:
        convert: Callable[[Array], Array] = lambda x: numerics.integer_to_float(x, target, mode or "rn")  # noqa: E731
    elif to_integer:
        whole = numerics.ROUND_TO_INTEGER[mode or "rni"]
        convert = lambda x: whole(np.atleast_1d(x).astype(np.float64)).astype(target.dtype)  # noqa: E731
    elif narrowing:
        convert = lambda x: numerics.round_float(np.atleast_1d(x).astype(np.float64), target, mode or "rn")  # noqa: E731
    else:
        convert = lambda x: np.atleast_1d(x).astype(target.dtype)  # noqa: E731
    return (lambda x: numerics.saturate_unit(convert(x))) if sat else convert


def _clamp(x: Array, source: Scalar, target: Scalar) -> Array:
    """An integer clamped to the range of another type."""
    (low, high), (least, greatest) = numerics.integer_range(target), numerics.integer_range(source)
    x = np.maximum(x, source.dtype.type(max(low, least)))
    return np.minimum(x, source.dtype.type(min(high, greatest))).astype(target.dtype)


def _to_tf32(a: Assembler, mode: str | None) -> Execute:
    a.sequence("tf32", "f32")
    a.end(2)
    if mode not in ("rn", "rz", "rna"):
        raise a.unknown(f"rounding {mode} to tf32")
    return operation(a, SCALARS["b32"], [F32], lambda x: numerics.round_tf32(x, mode).view(np.uint32))


def _to_packed(a: Assembler, mode: str | None, relu: bool, sat: bool, target: Scalar, source: Scalar) -> Execute:
    """Two float32 to the upper and the lower half of a register."""
    if source is not F32 or mode not in ("rn", "rz") or sat or not target.is_float:
        raise a.unknown("cvt of these types")
    a.end(3)
    single = SCALARS[target.name.removesuffix("x2")]
    write, upper, lower = a.target(0, target), a.source(1, F32), a.source(2, F32)

    def convert(w: Any, read: Any) -> Array:
        value = numerics.round_float(np.broadcast_to(read(w), (w.count,)).astype(np.float64), single, mode)
        return numerics.greatest(value, single.dtype.type(0), True) if relu else value

    return lambda w: write(w, np.stack([convert(w, lower), convert(w, upper)], axis=1))
