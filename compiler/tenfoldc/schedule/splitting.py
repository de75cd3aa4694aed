"""Loops whose turns differ from a certain one on: one loop before it and one after, each without the choice.

    for i in 2000: z[i] = select(i < 1000, x[min(i, 999)], y[max(0, i - 1000)])
    →   for i in 1000: z[i] = x[i]
        for i in 1000: z[1000 + i] = y[i]

So read concatenations, paddings and rotations that are computed along with what uses them.  Vectors would otherwise
read every part for every element, each at an index of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import replace
from itertools import pairwise

from tenfold_rt import dtypes
from tenfoldc.loops import scalar
from tenfoldc.loops.index_algebra import IndexAlgebra
from tenfoldc.loops.ir import Apply, Axis, Call, Constant, Expr, For, Load, Primitive, Statement, Store
from tenfoldc.loops.rewriting import BufferReplacer, with_inner
from tenfoldc.loops.traversal import all_expressions, all_roots, dependents, operands_of

_MOST_PARTS = 4
_ORDERS = frozenset({Primitive.LT, Primitive.LE, Primitive.GT, Primitive.GE})


def split_at_choices(statements: Iterable[Statement]) -> tuple[Statement, ...]:
    """`statements` with the innermost loops that do nothing but store cut where a choice by index changes."""
    return tuple(new for statement in statements for new in _statement(statement))


def _statement(statement: Statement) -> tuple[Statement, ...]:
    match statement:
        case For() if statement.body and all(isinstance(inner, Store) for inner in statement.body):
            return _loop(statement)
        case _:
            return (with_inner(statement, split_at_choices),)


def _loop(loop: For) -> tuple[Statement, ...]:
    if loop.carries or not isinstance(loop.extent, Constant):
        return (loop,)
    extent = int(loop.extent.value)
    changes = sorted({place for place in _changes(loop) if 0 < place < extent})
    if not 0 < len(changes) < _MOST_PARTS:
        return (loop,)
    return tuple(_part(loop, start, end) for start, end in pairwise([0, *changes, extent]))


def _changes(loop: For) -> Iterator[int]:
    """The turns from which on the condition of a choice holds that did not hold before, or no longer holds."""
    algebra = IndexAlgebra()
    algebra.declare(loop.axis, None)
    for choice in all_expressions([loop]):
        if not isinstance(choice, Apply) or choice.primitive is not Primitive.SELECT:
            continue
        for condition in _conjuncts(choice.operands[0]):
            place = _change(condition, loop.axis, algebra)
            if place is not None:
                yield place


def _conjuncts(condition: Expr) -> Iterator[Apply]:
    if isinstance(condition, Apply) and condition.primitive is Primitive.AND:
        for operand in condition.operands:
            yield from _conjuncts(operand)
    elif isinstance(condition, Apply):
        yield condition


def _change(condition: Apply, axis: Axis, algebra: IndexAlgebra) -> int | None:
    """The turn from which a comparison of `axis` with a number has another outcome; None for other conditions."""
    if condition.primitive not in _ORDERS or condition.operands[0].dtype != dtypes.i64:
        return None
    left, right = map(algebra.form, condition.operands)
    terms = {atom: left.coefficient(atom) - right.coefficient(atom) for atom, _ in (*left.terms, *right.terms)}
    step = terms.pop(axis, 0)
    if abs(step) != 1 or any(terms.values()):
        return None
    zero = (right.constant - left.constant) * step  # where both sides are equal
    is_after = (condition.primitive in (Primitive.GT, Primitive.LE)) == (step > 0)
    return zero + 1 if is_after else zero


def _part(loop: For, start: int, end: int) -> For:
    """The turns of `loop` from `start` to before `end`."""
    axis = Axis(loop.axis.name)
    algebra = IndexAlgebra()
    algebra.declare(axis, end - start)
    placed = BufferReplacer({}, {loop.axis: scalar.add(axis, scalar.index(start))}).statements(loop.body)
    deciding = _Deciding(algebra, dependents(all_roots(placed), {axis}))
    body: list[Statement] = []
    for store in placed:
        assert isinstance(store, Store)
        index = tuple(map(deciding.index, store.index))
        body.append(Store(store.buffer, index, deciding.expression(store.value)))
    return replace(loop, axis=axis, extent=scalar.index(end - start), body=tuple(body))


class _Deciding:
    """The rewriting of expressions without the choices that the ranges of indices decide.

    What does not depend on the axis stays the same object: it may have been computed before the loop, and from memory
    that has changed since.
    """

    def __init__(self, algebra: IndexAlgebra, varying: Set[Expr]) -> None:
        self._algebra = algebra
        self._varying = varying
        self._known: dict[Expr, Expr] = {}

    def expression(self, root: Expr) -> Expr:
        """`root` rewritten; shared parts stay shared."""
        pending = [root]
        while pending:
            expression = pending[-1]
            needed = self._needed(expression)
            missing = [operand for operand in needed if operand not in self._known]
            pending.extend(missing)
            if not missing:
                pending.pop()
                self._known.setdefault(expression, self._rebuilt(expression, needed))
        return self._known[root]

    def index(self, position: Expr) -> Expr:
        """A position in memory, rewritten in the simplest way."""
        rewritten = self.expression(position)
        return self._algebra.simplify(rewritten) if position in self._varying else rewritten

    def _verdict(self, expression: Expr) -> bool | None:
        is_choice = isinstance(expression, Apply) and expression.primitive is Primitive.SELECT
        return self._algebra.decide(operands_of(expression)[0]) if is_choice else None

    def _needed(self, expression: Expr) -> Sequence[Expr]:
        """What of its operands `expression` still needs."""
        if expression not in self._varying:
            return ()
        verdict = self._verdict(expression)
        if verdict is not None:
            return operands_of(expression)[1:2] if verdict else operands_of(expression)[2:]
        return operands_of(expression)

    def _rebuilt(self, expression: Expr, needed: Sequence[Expr]) -> Expr:
        match expression:
            case Load() if needed:
                return Load(expression.buffer, tuple(map(self.index, expression.index)))
            case Apply() | Call() if needed:
                operands = tuple(self._known[operand] for operand in needed)
                return (
                    operands[0] if len(operands) < len(expression.operands) else replace(expression, operands=operands)
                )
            case _:
                return expression
