"""Conditions over traced values: `and`, `or`, `not`, chained comparisons, and what decides a branch."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from tenfold.control.regions import predicate
from tenfold.functions import arithmetic
from tenfold.tracing import TensorValue, lift, wrap
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ops import Direction


def is_traced(value: Any) -> bool:
    """Whether `value` is a tensor that only the compiled code knows."""
    return isinstance(value, TensorValue) and value.memory is None


def condition(value: Any) -> Var:
    """What decides a branch, as a bool scalar: as in Python, a number counts as whether it is not zero.

    `ShapeError` for a tensor with axes.
    """
    var = lift(value)
    if var.rank == 0 and not var.dtype.is_bool:
        return ops.compare(var, ops.zeros_like(var), Direction.NE)
    return predicate("a condition", wrap(var))


def and_(first: Any, *others: Callable[[], Any]) -> Any:
    """`first and others[0]() and …`; traced, the others are computed in any case."""
    value = first
    for number, other in enumerate(others):
        if is_traced(value):
            return arithmetic.logical_and(wrap(condition(value)), _truth(and_(other(), *others[number + 1 :])))
        if not value:
            return value
        value = other()
    return value


def or_(first: Any, *others: Callable[[], Any]) -> Any:
    """`first or others[0]() or …`, as `and_`."""
    value = first
    for number, other in enumerate(others):
        if is_traced(value):
            return arithmetic.logical_or(wrap(condition(value)), _truth(or_(other(), *others[number + 1 :])))
        if value:
            return value
        value = other()
    return value


def _truth(value: Any) -> Any:
    return wrap(condition(value)) if is_traced(value) else bool(value)


def not_(value: Any) -> Any:
    """`not value`."""
    return arithmetic.logical_not(wrap(condition(value))) if is_traced(value) else not value


def compare(left: Any, *steps: Callable[..., Any]) -> Any:
    """`left < middle < right`, given as functions of nothing for the operands and of two operands to compare them."""
    value, *rest = steps
    right = value()
    holds = rest[0](left, right)
    if len(rest) == 1:
        return holds
    return and_(holds, functools.partial(compare, right, *rest[1:]))
