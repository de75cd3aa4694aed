"""Computing scalar expressions with NumPy, so that functions and element rules can be tested without a back end.

`evaluate(expr, values)` gives the value of an expression over arrays bound to its locals and axes.  Every primitive
does exactly what `tenfoldc.loops.ir` says of it, fused multiplication included.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tenfold_rt.dtypes import DType
from tenfoldc.loops.ir import Apply, Axis, Call, Constant, Expr, Function, Load, Local, Primitive
from tenfoldc.loops.rounding import rounded_to_odd

Array: TypeAlias = NDArray[Any]
Bindings: TypeAlias = Mapping[Local | Axis | Load, Array]


def evaluate(expr: Expr, values: Bindings) -> Array:
    """`expr` with its locals and axes bound to arrays of one shape; `KeyError` for one that is not bound.

    Loads have no memory to read here: one that is not bound raises `TypeError`.
    """
    with np.errstate(all="ignore"):
        return _evaluate(expr, values)


def _evaluate(root: Expr, values: Bindings) -> Array:
    done: dict[Expr, Array] = {}
    pending = [root]
    while pending:
        expr = pending[-1]
        missing = [operand for operand in _operands(expr) if operand not in done]
        if missing:
            pending.extend(missing)
            continue
        pending.pop()
        if expr not in done:
            done[expr] = _step(expr, [done[operand] for operand in _operands(expr)], values)
    return done[root]


def _operands(expr: Expr) -> Sequence[Expr]:
    return expr.operands if isinstance(expr, Apply | Call) else ()


def _step(expr: Expr, operands: list[Array], values: Bindings) -> Array:
    match expr:
        case Constant():
            return np.asarray(expr.value, expr.dtype.numpy)
        case Local() | Axis():
            return values[expr]
        case Apply():
            return np.asarray(_apply(expr, operands)).astype(expr.dtype.numpy, copy=False)
        case Call():
            return _call(expr.function, operands)
        case Load():
            if expr in values:
                return values[expr]
            raise TypeError(f"a load from {expr.buffer.name} cannot be evaluated")


def _call(function: Function, operands: list[Array]) -> Array:
    value = _evaluate(function.body, dict(zip(function.parameters, operands, strict=True)))
    if function.rare is None:
        return value
    is_rare = _call(function.rare.condition, operands)
    return np.where(is_rare, _call(function.rare.result, operands), value)


def _apply(expr: Apply, operands: list[Array]) -> Array:
    primitive = expr.primitive
    if primitive is Primitive.CONVERT:
        return _convert(operands[0], expr.dtype)
    if primitive is Primitive.BITCAST:
        return operands[0].view(expr.dtype.numpy)
    return _RULES[primitive](*operands)


def _convert(x: Array, dtype: DType) -> Array:
    numpy = dtype.numpy
    if dtype.is_bool:
        return x != 0
    if dtype.is_half and x.dtype == np.float64:
        return rounded_to_odd(x).astype(numpy)
    if x.dtype.kind != "f" or not dtype.is_integer:
        return x.astype(numpy)
    bound = 2.0 ** (dtype.bits - dtype.is_signed)
    largest, smallest = int(bound) - 1, -int(bound) if dtype.is_signed else 0
    overflows, underflows = x >= bound, x <= smallest
    inside = np.where(overflows | underflows | np.isnan(x), 0, x).astype(numpy)
    return np.where(overflows, np.array(largest, numpy), np.where(underflows, np.array(smallest, numpy), inside))


def _divide(x: Array, y: Array) -> Array:
    if x.dtype.kind == "f":
        return x / y
    quotient = x // y
    return quotient + ((quotient * y != x) & ((x < 0) != (y < 0))).astype(x.dtype)


def _maximum(x: Array, y: Array) -> Array:
    larger = np.maximum(x, y)
    return larger if x.dtype.kind != "f" else np.where((x == 0) & (y == 0), x + y, larger)


def _minimum(x: Array, y: Array) -> Array:
    smaller = np.minimum(x, y)
    return smaller if x.dtype.kind != "f" else np.where((x == 0) & (y == 0), -(-x - y), smaller)


def _fused_multiply_add(x: Array, y: Array, z: Array) -> Array:
    """x*y + z rounded once, through a sum of two terms rounded to odd (Boldo and Melquiond, 2008)."""
    if x.dtype == np.float32:
        wide = [value.astype(np.float64) for value in (x, y, z)]
        return _add_to_odd(wide[0] * wide[1], wide[2]).astype(np.float32)
    product, product_error = _two_product(x, y)
    low, low_error = _two_sum(z, product_error)
    high, high_error = _two_sum(product, low)
    exact = high + _add_to_odd(high_error, low_error)
    exact = np.where(exact == 0, x * y + z, exact)
    return np.where(_splits(x) & _splits(y) & np.isfinite(exact), exact, _fused_beyond_splitting(x, y, z))


def _product_error(x: Array, y: Array, product: Array) -> Array:
    return _fused_multiply_add(x, y, -product)


def _splits(x: Array) -> Array:
    """Where products with `x` have an error that is itself a normal double."""
    magnitude = np.abs(x)
    return (magnitude == 0) | ((magnitude > 2.0**-450) & (magnitude < 2.0**450))


def _fused_beyond_splitting(x: Array, y: Array, z: Array) -> Array:
    wide = np.multiply(x, y, dtype=np.longdouble) + z
    return wide.astype(np.float64)


def _two_sum(x: Array, y: Array) -> tuple[Array, Array]:
    total = x + y
    rest = total - x
    return total, (x - (total - rest)) + (y - rest)


def _two_product(x: Array, y: Array) -> tuple[Array, Array]:
    (x_high, x_low), (y_high, y_low) = _split(x), _split(y)
    product = x * y
    return product, ((x_high * y_high - product) + x_high * y_low + x_low * y_high) + x_low * y_low


def _split(x: Array) -> tuple[Array, Array]:
    scaled = x * 134217729.0
    high = scaled - (scaled - x)
    return high, x - high


def _add_to_odd(x: Array, y: Array) -> Array:
    """x + y as a double whose last bit is set wherever the sum is inexact."""
    total, error = _two_sum(x, y)
    bits = np.asarray(total).view(np.int64)
    inexact = (error != 0) & np.isfinite(total) & (bits & 1 == 0)
    away = (error > 0) == (total > 0)
    return np.where(inexact, np.where(away, bits + 1, bits - 1), bits).view(np.float64)


def _population_count(x: Array) -> Array:
    return _bits(x).sum(-1).astype(x.dtype)


def _count_leading_zeros(x: Array) -> Array:
    bits = _bits(x)
    width = 8 * x.dtype.itemsize
    highest: Array = np.maximum.reduce(bits * np.arange(1, width + 1), axis=-1)
    return (width - highest).astype(x.dtype)


def _bits(x: Array) -> NDArray[np.int64]:
    """The bits of each element along a new last axis, lowest first."""
    unsigned: Array = x.view(np.dtype(f"u{x.dtype.itemsize}"))
    positions = np.arange(8 * x.dtype.itemsize, dtype=np.uint64)
    return ((unsigned.astype(np.uint64)[..., np.newaxis] >> positions) & np.uint64(1)).astype(np.int64)


_RULES: dict[Primitive, Callable[..., Array]] = {
    Primitive.ADD: np.add,
    Primitive.SUB: np.subtract,
    Primitive.MUL: np.multiply,
    Primitive.DIV: _divide,
    Primitive.REM: np.fmod,
    Primitive.FMA: _fused_multiply_add,
    Primitive.PRODUCT_ERROR: _product_error,
    Primitive.NEG: np.negative,
    Primitive.ABS: np.abs,
    Primitive.MAX: _maximum,
    Primitive.MIN: _minimum,
    Primitive.SQRT: np.sqrt,
    Primitive.FLOOR: np.floor,
    Primitive.CEIL: np.ceil,
    Primitive.TRUNC: np.trunc,
    Primitive.ROUND_EVEN: np.rint,
    Primitive.COPYSIGN: np.copysign,
    Primitive.AND: np.bitwise_and,
    Primitive.OR: np.bitwise_or,
    Primitive.XOR: np.bitwise_xor,
    Primitive.NOT: np.invert,
    Primitive.SHL: np.left_shift,
    Primitive.SHR: np.right_shift,
    Primitive.EQ: np.equal,
    Primitive.NE: np.not_equal,
    Primitive.LT: np.less,
    Primitive.LE: np.less_equal,
    Primitive.GT: np.greater,
    Primitive.GE: np.greater_equal,
    Primitive.SELECT: np.where,
    Primitive.POPCOUNT: _population_count,
    Primitive.COUNT_LEADING_ZEROS: _count_leading_zeros,
}
