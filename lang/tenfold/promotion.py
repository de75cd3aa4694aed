"""Type promotion: the element type of a result whose operands have different ones.

The rules are PyTorch's (torch.result_type).  Operands fall into three classes: tensors with at least one axis,
rank-0 tensors, and Python numbers.  A class decides unless a later one is of a higher family (bool, then integers,
then floats): an i32 tensor plus the number 2 is i32, plus 2.5 is f32; an f32 tensor times a rank-0 f64 is f32.
Within a class: floats win over integers at their own width, the wider wins, and an unsigned with a signed integer
gives the narrowest signed type that holds both.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tenfold.default_dtype import default_float
from tenfold.tracing import Number, TensorLike, TensorValue, array_from, default_dtype, here, is_scalar, lift
from tenfold.values import array_kind
from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.errors import DTypeError
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.types import TensorType

_SIGNED_BY_BITS = {8: dtypes.i8, 16: dtypes.i16, 32: dtypes.i32, 64: dtypes.i64}


def promote_types(x: DType, y: DType) -> DType:
    """The element type that holds values of both, for operands of one class."""
    low, high = sorted((x, y), key=lambda dtype: (family(dtype), dtype.bits))
    if family(low) != family(high) or low.is_unsigned == high.is_unsigned:
        if {low, high} == {dtypes.f16, dtypes.bf16}:
            return dtypes.f32
        return high
    unsigned, signed = (low, high) if low.is_unsigned else (high, low)
    if signed.bits > unsigned.bits:
        return signed
    if unsigned.bits == 64:
        raise DTypeError(f"no integer type holds both {x} and {y}", where=here(), mend="convert one of them")
    return _SIGNED_BY_BITS[2 * unsigned.bits]


def family(dtype: DType) -> int:
    """Bool, integers, floats, complex numbers, in that order."""
    if dtype.is_bool:
        return 0
    if dtype.is_integer:
        return 1
    return 2 if dtype.is_float else 3


def result_type(*operands: TensorLike) -> DType:
    """The element type of a computation on `operands`."""
    by_class: dict[int, DType] = {}
    for operand in operands:
        rank_class, dtype = _classify(operand)
        known = by_class.get(rank_class)
        by_class[rank_class] = dtype if known is None else promote_types(known, dtype)
    ordered = [by_class[rank_class] for rank_class in sorted(by_class)]
    result = ordered[0]
    for lower in ordered[1:]:
        if family(lower) > family(result):
            result = lower
    return result


def _classify(operand: TensorLike) -> tuple[int, DType]:
    """0 for a tensor with axes, 1 for one of rank 0, 2 for a Python number; and the element type."""
    if is_scalar(operand):
        assert isinstance(operand, (bool, int, float, Number))
        return 2, default_dtype(operand)
    type_ = type_of(operand)
    return (0 if type_.rank else 1), type_.dtype


def type_of(operand: TensorLike) -> TensorType:
    """Element type and shape of anything that counts as a tensor."""
    if isinstance(operand, TensorValue):
        return operand.tensor_type
    return array_kind(np.asarray(array_from(operand))).type


def promoted(*operands: TensorLike) -> tuple[Var, ...]:
    """`operands` in the innermost trace, converted to their common element type."""
    return as_dtype(operands, result_type(*operands)) if operands else ()


def promoted_floating(*operands: TensorLike) -> tuple[Var, ...]:
    """`promoted`, integers and bools becoming floats."""
    return as_dtype(operands, floating_dtype(result_type(*operands)))


def as_dtype(operands: Iterable[TensorLike], dtype: DType) -> tuple[Var, ...]:
    """`operands` in the innermost trace, converted to `dtype`."""
    return tuple(convert(lift(operand, dtype), dtype) for operand in operands)


def convert(x: Var, dtype: DType) -> Var:
    """`x` with elements of `dtype`; itself where it has them."""
    return x if x.dtype is dtype else ops.convert(x, dtype)


def floating_dtype(dtype: DType) -> DType:
    """`dtype` where it is a float or complex, else the default float type."""
    return dtype if dtype.is_float or dtype.is_complex else default_float()


def accumulator_dtype(dtype: DType) -> DType:
    """The element type that sums and products of `dtype` have: i64 for integers and bools, as PyTorch's."""
    return dtypes.i64 if dtype.is_integer or dtype.is_bool else dtype
