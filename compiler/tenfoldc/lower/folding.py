"""One step of a reduction: the accumulators after one more element."""

from __future__ import annotations

from collections.abc import Sequence

from tenfold_rt.dtypes import DType
from tenfoldc.ir.core import Operation
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Apply, Constant, Expr, Primitive
from tenfoldc.lower.elements import Elements
from tenfoldc.ops.reducer import Reducer, recognise

_ANY_ORDER = {Reducer.SUM: Primitive.ADD, Reducer.PRODUCT: Primitive.MUL}


def is_float_sum(operation: Operation) -> bool:
    """Whether a reduction adds floating-point numbers."""
    is_float = operation.operands[0].type.dtype.is_float
    return is_float and recognise(operation.regions[0]) is Reducer.SUM


def neutral(dtype: DType) -> Constant:
    """The number that a float sum starts from: added to any number, -0 too, it leaves it as it is."""
    return scalar.constant(-0.0, dtype)


def accumulate(elements: Elements, operation: Operation, carried: Sequence[Expr], values: Sequence[Expr]) -> list[Expr]:
    """The accumulators `carried` of a reduction after the elements `values`.

    Float sums and products may be formed in any order, which lets a compiler use vectors.
    """
    if values[0].dtype.is_float:
        primitive = _ANY_ORDER.get(recognise(operation.regions[0]) or Reducer.MAX)
        if primitive is not None:
            return [Apply(primitive, (carried[0], values[0]), values[0].dtype, reassociate=True)]
    return list(elements.region(operation.regions[0], [*carried, *values]))
