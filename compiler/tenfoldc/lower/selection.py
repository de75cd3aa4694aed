"""Sums of which a comparison with the index lets one term through: that term, found without a loop.

    sum over i of (x[i] if i == k else 0)   →   x[k] if 0 <= k < n else 0

So a loss picks the logit of each label from a row, and a product with a one-hot vector its entry.
"""

from __future__ import annotations

from collections.abc import Sequence

from tenfold_rt import dtypes
from tenfoldc.loops import scalar
from tenfoldc.loops.index_algebra import IndexAlgebra
from tenfoldc.loops.ir import Apply, Axis, Constant, Expr, Primitive
from tenfoldc.loops.rewriting import BufferReplacer
from tenfoldc.loops.traversal import expressions


def only_term(element: Expr, axis: Axis, extent: int, algebra: IndexAlgebra) -> Expr | None:
    """The sum of `element` along `axis`, where at most one turn adds anything but 0; None where that is not known."""
    if not (isinstance(element, Apply) and element.primitive is Primitive.SELECT and extent):
        return None
    condition, value, otherwise = element.operands
    if not (isinstance(otherwise, Constant) and otherwise.value == 0):
        return None
    rest: list[Expr] = []
    place: Expr | None = None
    for test in _conjunction(condition):
        found = _place(test, axis, algebra) if place is None else None
        if found is None:
            rest.append(test)
        else:
            place = found
    if place is None:
        return None
    inside = scalar.minimum(scalar.maximum(place, scalar.index(0)), scalar.index(extent - 1))
    replacer = BufferReplacer({}, {axis: inside})
    tests: list[Expr] = [scalar.equal(place, inside), *map(replacer.expression, rest)]
    chosen = tests[0]
    for test in tests[1:]:
        chosen = scalar.logical_and(chosen, test)
    return scalar.select(chosen, replacer.expression(value), otherwise)


def _conjunction(condition: Expr) -> Sequence[Expr]:
    """The tests that `condition` is the conjunction of, conversions there and back left out."""
    match condition:
        case Apply(Primitive.AND, (left, right)):
            return [*_conjunction(left), *_conjunction(right)]
        case Apply(Primitive.NE, (Apply(Primitive.CONVERT, (inner,)), Constant(value))) if inner.dtype.is_bool:
            return [condition] if value else _conjunction(inner)
        case _:
            return [condition]


def _place(test: Expr, axis: Axis, algebra: IndexAlgebra) -> Expr | None:
    """The only value of `axis` for which an equation of indices holds."""
    if not (isinstance(test, Apply) and test.primitive is Primitive.EQ):
        return None
    left, right = (_widened(operand) for operand in test.operands)
    if left is None or right is None:
        return None
    if right is axis:
        left, right = right, left
    if left is not axis or any(expression is axis for expression in expressions((right,))):
        return None
    return algebra.simplify(right)


def _widened(index: Expr) -> Expr | None:
    """An index as i64, conversions to and from smaller integers left out where nothing is lost: the axis is small."""
    if isinstance(index, Apply) and index.primitive is Primitive.CONVERT and isinstance(index.operands[0], Axis):
        return index.operands[0] if index.dtype.is_integer and index.dtype.bits >= 32 else None
    if not index.dtype.is_integer or (index.dtype.is_unsigned and index.dtype.bits == 64):
        return None
    return index if isinstance(index, Axis) else scalar.convert(index, dtypes.i64)
