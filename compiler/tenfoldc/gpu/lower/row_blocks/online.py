"""Sums of exponentials whose greatest exponent is not known yet: the online form of a softmax.

    e = exp(x - max(x)), summed, or multiplied by something and summed    →    exp(x - m), m the greatest x so far

When m grows, what was added up before is multiplied by exp(m before - m).  So one pass over a row does what would else
be two, or, with the product that follows, three (Milakov and Gimelshein, "Online normalizer calculation for softmax").
What divides the exponentials, a sum that is complete only after the last column, divides their products instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable

from tenfold_rt import dtypes
from tenfold_rt.frozen import frozen
from tenfoldc.gpu.lower.row_blocks.elements import Fold
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Apply, Call, Constant, Expr, Local, Primitive
from tenfoldc.loops.math import exp
from tenfoldc.loops.rewriting import BufferReplacer
from tenfoldc.loops.traversal import expressions
from tenfoldc.ops.reducer import Reducer, recognise

Finish = Callable[[Expr], Expr]


@frozen
class Online:
    """`numerator` is to be added up: `finish` of its sum is that of the element.

    It is in terms of what the fold `leader` is so far; `factor(before, now)` brings sums up to date.
    """

    leader: Fold
    numerator: Callable[[Expr], Expr]
    factor: Callable[[Expr, Expr], Expr]
    finish: Finish


@frozen
class _Split:
    """An element as `finish` of a numerator, in which the exponential `power` occurs once, as a factor."""

    numerator: Expr
    power: Call
    finish: Finish
    is_plain: bool


def online(element: Expr, folds: Iterable[Fold], wide: Collection[Expr]) -> Online | None:
    """The online form of sums of `element`; None where it has none.

    `wide` are the expressions that vary along a row: the column's index and the values of products.
    """
    split = _Splitting({fold.result for fold in folds}, frozenset(wide)).split(element)
    if split is None:
        return None
    (difference,) = split.power.operands
    assert isinstance(difference, Apply)
    x, shift = difference.operands
    for leader in folds:
        is_greatest = leader.element is x and recognise(leader.operation.regions[0]) is Reducer.MAX
        is_alone = _is_shift(shift, leader.result) and _folded_in(split.numerator, folds) == {leader.result}
        if is_greatest and is_alone:
            return _online(leader, shift, split)
    return None


def _online(leader: Fold, shift: Expr, split: _Split) -> Online:
    zero = scalar.constant(0, dtypes.f32)

    def at(value: Expr, now: Expr) -> Expr:
        return BufferReplacer({}, {leader.result: now}).expression(value)

    def is_nothing(value: Expr) -> Expr:
        return scalar.equal(value, scalar.constant(-math.inf, dtypes.f32))

    def finite(now: Expr) -> Expr:
        return scalar.select(is_nothing(now), zero, at(shift, now))

    def numerator(now: Expr) -> Expr:
        return BufferReplacer({}, {shift: finite(now)}).expression(split.numerator)

    def factor(before: Expr, now: Expr) -> Expr:
        """0 where all was minus infinity before: its sums are 0, and the quotient of exponentials may be infinite."""
        return scalar.select(is_nothing(before), zero, exp(scalar.sub(finite(before), finite(now))))

    return Online(leader, numerator, factor, split.finish)


def _is_shift(shift: Expr, greatest: Local) -> bool:
    """Whether `shift` is the greatest x itself, or 0 where that is infinite."""
    if shift is greatest:
        return True
    if not isinstance(shift, Apply) or shift.primitive is not Primitive.SELECT:
        return False
    condition, on_true, on_false = shift.operands
    is_zero = isinstance(on_true, Constant) and on_true.value == 0
    leaves = {each for each in expressions((condition,)) if not isinstance(each, Apply | Constant)}
    return is_zero and on_false is greatest and leaves == {greatest} and _tests_infinity(condition)


def _tests_infinity(condition: Expr) -> bool:
    constants = [each.value for each in expressions((condition,)) if isinstance(each, Constant)]
    is_equality = isinstance(condition, Apply) and condition.primitive is Primitive.EQ
    return is_equality and all(isinstance(value, float) and math.isinf(value) for value in constants)


def _folded_in(root: Expr, folds: Iterable[Fold]) -> set[Expr]:
    used = set(expressions((root,)))
    return {fold.result for fold in folds if fold.result in used}


class _Splitting:
    """Finds the exponential that an element is proportional to."""

    def __init__(self, folded: Collection[Expr], wide: frozenset[Expr]) -> None:
        self._folded, self._wide = frozenset(folded), wide

    def split(self, element: Expr) -> _Split | None:
        match element:
            case Call() if element.function is exp.definition(dtypes.f32):
                (operand,) = element.operands
                is_shifted = isinstance(operand, Apply) and operand.primitive is Primitive.SUB
                return _Split(element, element, lambda total: total, True) if is_shifted else None
            case Apply(Primitive.CONVERT, (Apply(Primitive.CONVERT, (source,)) as rounded,)):
                widens = element.dtype == source.dtype == dtypes.f32 and rounded.dtype.is_half
                return self.split(source) if widens else None
            case Apply(Primitive.DIV, (over, divisor)) if not self._varies(divisor):
                return self._finished(over, lambda total: scalar.apply(Primitive.DIV, total, divisor))
            case Apply(Primitive.MUL, (x, y)):
                return self._product(x, y) or self._product(y, x)
            case Apply(Primitive.SELECT, (condition, on_true, Constant() as other)) if other.value == 0:
                return self._inside(on_true, lambda x: scalar.select(condition, x, other), condition)
            case _:
                return None

    def _product(self, x: Expr, y: Expr) -> _Split | None:
        if not self._varies(y):
            return self._finished(x, lambda total: scalar.mul(total, y))
        return self._inside(x, lambda inner: scalar.mul(inner, y), y)

    def _finished(self, inner: Expr, last: Finish) -> _Split | None:
        """`last` of `inner`, done with the sum instead."""
        found = self.split(inner)
        if found is None:
            return None
        finish = found.finish
        return _Split(found.numerator, found.power, lambda total: last(finish(total)), False)

    def _inside(self, inner: Expr, around: Finish, beside: Expr) -> _Split | None:
        """`around` of `inner`, done with each element; `beside` must not wait for any fold."""
        found = self.split(inner)
        if found is None or not self._folded.isdisjoint(expressions((beside,))):
            return None
        return _Split(around(found.numerator), found.power, found.finish, False)

    def _varies(self, expression: Expr) -> bool:
        return not self._wide.isdisjoint(expressions((expression,)))
