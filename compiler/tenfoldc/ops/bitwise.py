"""Elementwise logic and bit manipulation of integers and bools.

A shift by the width or more, or by a negative count, moves every bit out: the result is 0, or all sign bits
where the shift is arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfoldc.ir.builder import Var
from tenfoldc.ir.op import Array
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Constant, Expr, Primitive
from tenfoldc.ops.elementwise import BOOLEANS, INTEGERS, binary, unary


def _primitive(primitive: Primitive) -> Callable[..., Expr]:
    return lambda *operands: scalar.apply(primitive, *operands)


def _sibling(dtype: DType, *, signed: bool) -> DType:
    """The integer type of the same width with the given signedness."""
    return dtypes.BY_NAME[f"{'i' if signed else 'u'}{dtype.bits}"]


def _shift_scalar(x: Expr, y: Expr, primitive: Primitive, *, signed: bool) -> Expr:
    """Shift `x` as a number of the given signedness by a count that may be of any size."""
    dtype, count = x.dtype, scalar.bitcast(y, _sibling(y.dtype, signed=False))
    inside = scalar.less(count, Constant(dtype.bits, count.dtype))
    last = Constant(dtype.bits - 1 if signed else 0, count.dtype)
    work = scalar.bitcast(x, _sibling(dtype, signed=signed))
    by = scalar.bitcast(scalar.select(inside, count, last), work.dtype)
    shifted = scalar.bitcast(scalar.apply(primitive, work, by), dtype)
    return shifted if signed else scalar.select(inside, shifted, Constant(0, dtype))


def _shift_reference(x: Array, y: Array, shift: Callable[[Array, Array], Array], *, signed: bool) -> Array:
    width = 8 * x.dtype.itemsize
    count: Array = y.view(_numpy_sibling(y, signed=False))
    inside = count < width
    work: Array = x.view(_numpy_sibling(x, signed=signed))
    by = np.where(inside, count, width - 1 if signed else 0).astype(work.dtype)
    shifted = np.asarray(shift(work, by)).view(x.dtype)
    return shifted if signed else np.where(inside, shifted, np.zeros_like(x))


def _numpy_sibling(x: Array, *, signed: bool) -> np.dtype[np.generic]:
    name = f"{'i' if signed else 'u'}{8 * x.dtype.itemsize}"
    return dtypes.BY_NAME[name].numpy


def _bits(x: Array) -> Array:
    """The bits of each element along a new last axis, lowest first, as i64."""
    unsigned: Array = x.view(_numpy_sibling(x, signed=False)).astype(np.uint64)[..., np.newaxis]
    positions = np.arange(8 * x.dtype.itemsize, dtype=np.uint64)
    return ((unsigned >> positions) & np.uint64(1)).astype(np.int64)


def _count_leading_zeros_reference(x: Array) -> Array:
    bits: Array = _bits(x)
    width = 8 * x.dtype.itemsize
    highest: Array = np.maximum.reduce(bits * np.arange(1, width + 1), axis=-1)
    return (width - highest).astype(x.dtype)


AND = binary("and", np.bitwise_and, _primitive(Primitive.AND), BOOLEANS + INTEGERS)
OR = binary("or", np.bitwise_or, _primitive(Primitive.OR), BOOLEANS + INTEGERS)
XOR = binary("xor", np.bitwise_xor, _primitive(Primitive.XOR), BOOLEANS + INTEGERS)
NOT = unary("not", np.invert, _primitive(Primitive.NOT), BOOLEANS + INTEGERS)
POPCNT = unary("popcnt", lambda x: _bits(x).sum(-1).astype(x.dtype), _primitive(Primitive.POPCOUNT), INTEGERS)
COUNT_LEADING_ZEROS = unary(
    "count_leading_zeros", _count_leading_zeros_reference, _primitive(Primitive.COUNT_LEADING_ZEROS), INTEGERS
)
SHIFT_LEFT = binary(
    "shift_left",
    lambda x, y: _shift_reference(x, y, np.left_shift, signed=False),
    lambda x, y: _shift_scalar(x, y, Primitive.SHL, signed=False),
    INTEGERS,
)
SHIFT_RIGHT_ARITHMETIC = binary(
    "shift_right_arithmetic",
    lambda x, y: _shift_reference(x, y, np.right_shift, signed=True),
    lambda x, y: _shift_scalar(x, y, Primitive.SHR, signed=True),
    INTEGERS,
)
SHIFT_RIGHT_LOGICAL = binary(
    "shift_right_logical",
    lambda x, y: _shift_reference(x, y, np.right_shift, signed=False),
    lambda x, y: _shift_scalar(x, y, Primitive.SHR, signed=False),
    INTEGERS,
)


def and_(x: Var, y: Var) -> Var:
    """Bitwise, or logical of bools."""
    return AND.apply_one(x, y)


def or_(x: Var, y: Var) -> Var:
    """Bitwise, or logical of bools."""
    return OR.apply_one(x, y)


def xor(x: Var, y: Var) -> Var:
    """Bitwise, or logical of bools."""
    return XOR.apply_one(x, y)


def not_(x: Var) -> Var:
    """Bitwise, or logical of bools."""
    return NOT.apply_one(x)


def popcnt(x: Var) -> Var:
    """The number of bits that are set."""
    return POPCNT.apply_one(x)


def count_leading_zeros(x: Var) -> Var:
    """The number of bits above the highest that is set; the width for 0."""
    return COUNT_LEADING_ZEROS.apply_one(x)


def shift_left(x: Var, y: Var) -> Var:
    """x * 2^y, wrapping."""
    return SHIFT_LEFT.apply_one(x, y)


def shift_right_arithmetic(x: Var, y: Var) -> Var:
    """The bits of x moved down by y places, its top bit repeated."""
    return SHIFT_RIGHT_ARITHMETIC.apply_one(x, y)


def shift_right_logical(x: Var, y: Var) -> Var:
    """The bits of x moved down by y places, zeros above."""
    return SHIFT_RIGHT_LOGICAL.apply_one(x, y)
