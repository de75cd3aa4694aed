"""The scalar operations of the loop IR."""

from __future__ import annotations

from enum import Enum


class Primitive(Enum):
    """Scalar operations that every back end implements.  Arithmetic on integers wraps.

    `DIV` and `REM` of integers truncate toward zero and need a divisor that is neither 0 nor overflows: op
    records guard them; of floats there is no `REM`.  Shifts need a count below the width; `SHR` repeats the sign
    bit of signed integers.  `MAX` and `MIN` of floats give NaN if either operand is NaN and order -0 below +0.
    `EQ` to `GE` give bool and are false on NaN, save `NE`, which is true.
    `CONVERT` rounds to nearest even into a float, truncates toward zero and saturates from float to integer
    (NaN gives 0), wraps between integers, and gives x != 0 into bool.  `FMA` is a*b + c, rounded once where the
    target can.  `PRODUCT_ERROR` of floats is a*b - c for a c that is a*b but for rounding: exact on every target.
    Floats of 16 bits have no arithmetic: `CONVERT` brings them to f32, and brings f32 and f64 to them; else they are
    loaded, stored, selected and bitcast.
    """

    ADD = "add"
    SUB = "sub"
    MUL = "mul"
    DIV = "div"
    REM = "rem"
    FMA = "fma"
    PRODUCT_ERROR = "product_error"
    NEG = "neg"
    ABS = "abs"
    MAX = "max"
    MIN = "min"
    SQRT = "sqrt"
    FLOOR = "floor"
    CEIL = "ceil"
    TRUNC = "trunc"
    ROUND_EVEN = "round_even"
    COPYSIGN = "copysign"
    AND = "and"
    OR = "or"
    XOR = "xor"
    NOT = "not"
    SHL = "shl"
    SHR = "shr"
    EQ = "eq"
    NE = "ne"
    LT = "lt"
    LE = "le"
    GT = "gt"
    GE = "ge"
    SELECT = "select"
    CONVERT = "convert"
    BITCAST = "bitcast"
    POPCOUNT = "popcount"
    COUNT_LEADING_ZEROS = "count_leading_zeros"


COMPARISONS = frozenset({Primitive.EQ, Primitive.NE, Primitive.LT, Primitive.LE, Primitive.GT, Primitive.GE})
