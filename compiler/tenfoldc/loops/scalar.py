"""Writing scalar expressions: one short function per primitive, with dtypes worked out and constants folded lightly.

Op records and lowering write their arithmetic with these; a back end implements the primitives.
"""

from __future__ import annotations

from collections.abc import Sequence

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfoldc.loops.ir import COMPARISONS, Apply, Call, Constant, Expr, Function, Primitive


def constant(value: bool | int | float, dtype: DType) -> Constant:
    return Constant(value, dtype)


def index(value: int) -> Constant:
    """An i64 constant, for index arithmetic."""
    return Constant(value, dtypes.i64)


def _i64(value: int) -> Constant:
    """A result of i64 arithmetic, which wraps around."""
    return Constant((value + 2**63) % 2**64 - 2**63, dtypes.i64)


def apply(primitive: Primitive, *operands: Expr) -> Apply:
    """`primitive` on operands of one dtype; comparisons give bool."""
    dtype = dtypes.bool_ if primitive in COMPARISONS else operands[0].dtype
    return Apply(primitive, operands, dtype)


def add(x: Expr, y: Expr) -> Expr:
    if isinstance(y, Constant) and y.dtype.is_integer:
        if y.value == 0:
            return x
        if isinstance(x, Constant) and x.dtype == dtypes.i64:
            return _i64(int(x.value) + int(y.value))
    if isinstance(x, Constant) and x.dtype.is_integer and x.value == 0:
        return y
    return apply(Primitive.ADD, x, y)


def sub(x: Expr, y: Expr) -> Expr:
    if isinstance(y, Constant) and y.dtype.is_integer:
        if y.value == 0:
            return x
        if isinstance(x, Constant) and x.dtype == dtypes.i64:
            return _i64(int(x.value) - int(y.value))
    return apply(Primitive.SUB, x, y)


def mul(x: Expr, y: Expr) -> Expr:
    if isinstance(y, Constant) and y.dtype.is_integer:
        if y.value == 1:
            return x
        if y.value == 0:
            return y
        if isinstance(x, Constant) and x.dtype == dtypes.i64:
            return _i64(int(x.value) * int(y.value))
    if isinstance(x, Constant) and x.dtype.is_integer and x.value in (0, 1):
        return x if x.value == 0 else y
    return apply(Primitive.MUL, x, y)


def row_major(index: Sequence[Expr], sizes: Sequence[int]) -> Expr:
    """The number of the element at `index` of an array of `sizes`, in row-major order."""
    position: Expr = Constant(0, dtypes.i64)
    for place, size in zip(index, sizes, strict=True):
        position = add(mul(position, Constant(size, dtypes.i64)), place)
    return position


def div(x: Expr, y: Expr) -> Expr:
    if isinstance(y, Constant) and y.dtype.is_integer and y.value == 1:
        return x
    return apply(Primitive.DIV, x, y)


def rem(x: Expr, y: Expr) -> Expr:
    return apply(Primitive.REM, x, y)


def fma(x: Expr, y: Expr, z: Expr) -> Expr:
    return apply(Primitive.FMA, x, y, z)


def product_error(x: Expr, y: Expr, product: Expr) -> Expr:
    """x * y - `product`, for a product that is x * y but for rounding."""
    return apply(Primitive.PRODUCT_ERROR, x, y, product)


def neg(x: Expr) -> Expr:
    return apply(Primitive.NEG, x)


def abs_(x: Expr) -> Expr:
    return apply(Primitive.ABS, x)


def maximum(x: Expr, y: Expr) -> Expr:
    if isinstance(x, Constant) and isinstance(y, Constant) and x.dtype == dtypes.i64:
        return Constant(max(int(x.value), int(y.value)), x.dtype)
    return apply(Primitive.MAX, x, y)


def minimum(x: Expr, y: Expr) -> Expr:
    if isinstance(x, Constant) and isinstance(y, Constant) and x.dtype == dtypes.i64:
        return Constant(min(int(x.value), int(y.value)), x.dtype)
    return apply(Primitive.MIN, x, y)


def select(condition: Expr, on_true: Expr, on_false: Expr) -> Expr:
    return Apply(Primitive.SELECT, (condition, on_true, on_false), on_true.dtype)


def convert(x: Expr, dtype: DType) -> Expr:
    return x if x.dtype == dtype else Apply(Primitive.CONVERT, (x,), dtype)


def bitcast(x: Expr, dtype: DType) -> Expr:
    return x if x.dtype == dtype else Apply(Primitive.BITCAST, (x,), dtype)


def logical_and(x: Expr, y: Expr) -> Expr:
    return apply(Primitive.AND, x, y)


def logical_or(x: Expr, y: Expr) -> Expr:
    return apply(Primitive.OR, x, y)


def less(x: Expr, y: Expr) -> Expr:
    return apply(Primitive.LT, x, y)


def less_equal(x: Expr, y: Expr) -> Expr:
    return apply(Primitive.LE, x, y)


def greater(x: Expr, y: Expr) -> Expr:
    return apply(Primitive.GT, x, y)


def greater_equal(x: Expr, y: Expr) -> Expr:
    return apply(Primitive.GE, x, y)


def equal(x: Expr, y: Expr) -> Expr:
    return apply(Primitive.EQ, x, y)


def call(function: Function, *operands: Expr) -> Call:
    return Call(function, operands)
