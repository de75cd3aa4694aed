"""One step of a reduction: the accumulators after one more element."""

from __future__ import annotations

from collections.abc import Sequence

from tenfold_rt.dtypes import DType
from tenfoldc.ir.core import Operation
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Apply, Constant, Expr, Primitive
from tenfoldc.lower.elements import Elements
from tenfoldc.ops.reducer import Reducer, neutral_value, recognise

_ANY_ORDER = {Reducer.SUM: Primitive.ADD, Reducer.PRODUCT: Primitive.MUL}


def is_float_sum(operation: Operation) -> bool:
    """Whether a reduction adds floating-point numbers."""
    is_float = operation.operands[0].type.dtype.is_float
    return is_float and recognise(operation.regions[0]) is Reducer.SUM


def zero(dtype: DType) -> Constant:
    """The number that a float sum starts from: added to any number, -0 too, it leaves it as it is."""
    return scalar.constant(-0.0, dtype)


def has_neutral(operation: Operation) -> bool:
    """Whether a reduction may start anew in the middle: it combines one tensor in a way that has a neutral number."""
    return len(operation.results) == 1 and recognise(operation.regions[0]) is not None


def neutral(operation: Operation) -> Constant:
    """The number that the reduction of one tensor starts from so that nothing is combined twice."""
    dtype, reducer = operation.operands[0].type.dtype, recognise(operation.regions[0])
    assert reducer is not None
    return zero(dtype) if is_float_sum(operation) else scalar.constant(neutral_value(reducer, dtype), dtype)


def accumulate(elements: Elements, operation: Operation, carried: Sequence[Expr], values: Sequence[Expr]) -> list[Expr]:
    """The accumulators `carried` of a reduction after the elements `values`.

    Float sums and products may be formed in any order, which lets a compiler use vectors.
    """
    if values[0].dtype.is_float:
        primitive = _ANY_ORDER.get(recognise(operation.regions[0]) or Reducer.MAX)
        if primitive is not None:
            return [Apply(primitive, (carried[0], values[0]), values[0].dtype, reassociate=True)]
    return list(elements.region(operation.regions[0], [*carried, *values]))


def in_pairs(elements: Elements, operation: Operation, terms: Sequence[Expr]) -> Expr:
    """All `terms` of the reduction of one tensor combined, neighbours first."""
    while len(terms) > 1:
        pairs = zip(terms[::2], terms[1::2], strict=False)
        combined = [accumulate(elements, operation, [x], [y])[0] for x, y in pairs]
        terms = [*combined, *terms[len(terms) - len(terms) % 2 :]]
    return terms[0]
