"""Integer and float arithmetic: add sub mul mad fma div rem abs neg min max sad, and the approximate functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ptx_machine import numerics
from ptx_machine.instructions.table import builds
from ptx_machine.operands import Array, Assembler, Execute
from ptx_machine.scalars import SCALARS, Scalar

Compute = Callable[..., Any]


def operation(a: Assembler, result: Scalar, operands: list[Scalar], compute: Compute) -> Execute:
    """Operand 0 = `compute` of the others, which are read as `operands`."""
    write = a.target(0, result)
    reads = [a.source(i + 1, scalar) for i, scalar in enumerate(operands)]
    if len(reads) == 1:
        (x,) = reads
        return lambda w: write(w, compute(x(w)))
    if len(reads) == 2:
        x, y = reads
        return lambda w: write(w, compute(x(w), y(w)))
    return lambda w: write(w, compute(*[read(w) for read in reads]))


def flushed(compute: Compute, ftz: bool, scalar: Scalar, saturate: bool = False) -> Compute:
    """`compute` with subnormal float32 operands and results flushed to zero, and the result clamped to [0, 1]."""

    def with_flush(*operands: Array) -> Array:
        return numerics.flush(compute(*[numerics.flush(x) for x in operands]))

    inner = with_flush if ftz and scalar.bits == 32 else compute
    if not saturate:
        return inner
    return lambda *operands: numerics.saturate_unit(np.atleast_1d(inner(*operands)))


_BINARY: dict[str, Compute] = {"add": np.add, "sub": np.subtract, "mul": np.multiply}


@builds("add", "sub", "mul")
def build_add_sub_mul(a: Assembler) -> Execute:
    if a.name == "mul" and a.peek() in ("lo", "hi", "wide"):
        return _integer_product(a)
    a.optional("rn")
    ftz, sat = a.flag("ftz"), a.flag("sat")
    scalar = a.scalar("f", "bf") if a.name == "mul" else a.scalar("f", "bf", "u", "s")
    a.end(3)
    if not scalar.is_float and sat:
        if scalar.name != "s32" or ftz:
            raise a.unknown("only s32 saturates")
        compute = _BINARY[a.name]
        bounds = np.iinfo(np.int32)
        return operation(
            a, scalar, [scalar] * 2, lambda x, y: np.clip(compute(np.int64(x), np.int64(y)), bounds.min, bounds.max)
        )
    return operation(a, scalar, [scalar] * 2, flushed(_BINARY[a.name], ftz, scalar, sat))


def _integer_product(a: Assembler) -> Execute:
    part = a.required("lo", "hi", "wide")
    scalar = a.scalar("u", "s")
    a.end(3)
    if part == "lo":
        return operation(a, scalar, [scalar] * 2, np.multiply)
    if part == "hi":
        return operation(a, scalar, [scalar] * 2, lambda x, y: numerics.high_product(x, y, scalar))
    wide = _wide(a, scalar)
    return operation(a, wide, [scalar] * 2, lambda x, y: np.multiply(x, y, dtype=wide.dtype))


def _wide(a: Assembler, scalar: Scalar) -> Scalar:
    if scalar.bits not in (16, 32):
        raise a.unknown(f"wide of {scalar.name}")
    return SCALARS[f"{scalar.kind}{2 * scalar.bits}"]


@builds("mad")
def build_mad(a: Assembler) -> Execute:
    if a.peek() not in ("lo", "hi", "wide"):
        return build_fma(a)
    part = a.required("lo", "hi", "wide")
    scalar = a.scalar("u", "s")
    a.end(4)
    if part == "wide":
        wide = _wide(a, scalar)
        return operation(
            a, wide, [scalar, scalar, wide], lambda x, y, z: np.add(np.multiply(x, y, dtype=wide.dtype), z)
        )
    if part == "hi":
        return operation(a, scalar, [scalar] * 3, lambda x, y, z: numerics.high_product(x, y, scalar) + z)
    return operation(a, scalar, [scalar] * 3, lambda x, y, z: x * y + z)


@builds("fma")
def build_fma(a: Assembler) -> Execute:
    a.required("rn")
    ftz, sat, relu = a.flag("ftz"), a.flag("sat"), a.flag("relu")
    scalar = a.scalar("f", "bf")
    a.end(4)
    if scalar.name == "f32":
        compute: Compute = numerics.fma32
    else:

        def compute(x: Array, y: Array, z: Array) -> Array:
            x, y, z = np.broadcast_arrays(x, y, z)
            return np.asarray(numerics.fma(scalar, x.astype(float), y.astype(float), z.astype(float))).reshape(x.shape)

    compute = flushed(compute, ftz, scalar, sat)
    if relu:
        inner = compute
        compute = lambda x, y, z: numerics.greatest(inner(x, y, z), scalar.dtype.type(0), False)  # noqa: E731
    return operation(a, scalar, [scalar] * 3, compute)


@builds("div")
def build_div(a: Assembler) -> Execute:
    mode = a.optional("rn", "full", "approx")
    ftz = a.flag("ftz")
    scalar = a.scalar("f32", "f64", "u", "s")
    a.end(3)
    if not scalar.is_float:
        if mode or ftz:
            raise a.unknown("integers divide without a modifier")
        return operation(a, scalar, [scalar] * 2, numerics.truncated_quotient)
    if mode is None:
        raise a.unknown("a float division names its rounding")
    return operation(a, scalar, [scalar] * 2, flushed(np.divide, ftz, scalar))


@builds("rem")
def build_rem(a: Assembler) -> Execute:
    scalar = a.scalar("u", "s")
    a.end(3)
    return operation(a, scalar, [scalar] * 2, numerics.truncated_remainder)


@builds("abs", "neg")
def build_abs_neg(a: Assembler) -> Execute:
    ftz = a.flag("ftz")
    scalar = a.scalar("s", "f", "bf")
    a.end(2)
    compute: Compute = np.abs if a.name == "abs" else np.negative
    return operation(a, scalar, [scalar], flushed(compute, ftz, scalar))


@builds("min", "max")
def build_min_max(a: Assembler) -> Execute:
    ftz, nan = a.flag("ftz"), a.flag("NaN")
    scalar = a.scalar("u", "s", "f", "bf")
    a.end((3, 4) if scalar.is_float else 3)
    if not scalar.is_float:
        if nan or ftz:
            raise a.unknown("integers have no NaN")
        return operation(a, scalar, [scalar] * 2, np.minimum if a.name == "min" else np.maximum)
    extremum = numerics.least if a.name == "min" else numerics.greatest
    if a.operand_count == 4:
        compute: Compute = lambda x, y, z: extremum(extremum(x, y, nan), z, nan)  # noqa: E731
        return operation(a, scalar, [scalar] * 3, flushed(compute, ftz, scalar))
    return operation(a, scalar, [scalar] * 2, flushed(lambda x, y: extremum(x, y, nan), ftz, scalar))


@builds("sad")
def build_sad(a: Assembler) -> Execute:
    scalar = a.scalar("u", "s")
    a.end(4)
    return operation(a, scalar, [scalar] * 3, lambda x, y, z: np.where(x > y, x - y, y - x) + z)


@builds("copysign")
def build_copysign(a: Assembler) -> Execute:
    scalar = a.scalar("f32", "f64")
    a.end(3)
    return operation(a, scalar, [scalar] * 2, lambda sign, magnitude: np.copysign(magnitude, sign))


def _reciprocal_root(x: Array) -> Array:
    return 1 / np.sqrt(x)


_FUNCTIONS: dict[str, Compute] = {
    "ex2": np.exp2,
    "lg2": np.log2,
    "rcp": np.reciprocal,
    "sqrt": np.sqrt,
    "rsqrt": _reciprocal_root,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
}


@builds("ex2", "lg2", "sin", "cos", "tanh", "rsqrt")
def build_approximate(a: Assembler) -> Execute:
    """The functions that only exist approximately; here their results are correctly rounded."""
    a.required("approx")
    ftz = a.flag("ftz")
    scalar = a.scalar(*(("f32", "f16", "bf16") if a.name in ("ex2", "tanh") else ("f32", "f64")))
    if scalar.bits == 64 and (a.name != "rsqrt"):
        raise a.unknown("f64")
    a.end(2)
    return operation(a, scalar, [scalar], flushed(_rounded(_FUNCTIONS[a.name], scalar), ftz, scalar))


def _rounded(function: Compute, scalar: Scalar) -> Compute:
    """`function` computed in float64 and rounded once."""

    def compute(x: Array) -> Array:
        wide = np.atleast_1d(function(np.asarray(x).astype(np.float64)))
        return numerics.round_float(wide, scalar, "rn").reshape(np.shape(x) or (1,))

    return compute


@builds("rcp", "sqrt")
def build_rcp_sqrt(a: Assembler) -> Execute:
    mode = a.required("rn", "approx")
    ftz = a.flag("ftz")
    scalar = a.scalar("f32", "f64")
    if scalar.bits == 64 and mode == "approx" and not (a.name == "rcp" and ftz):
        raise a.unknown("approx of f64")
    a.end(2)
    function = _FUNCTIONS[a.name]
    return operation(a, scalar, [scalar], flushed(function, ftz, scalar))
