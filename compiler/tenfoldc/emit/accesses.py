"""Where in memory a kernel reads and writes: buffers, and offsets in them as sums of index times stride.

    x[i + 3, j] of x[8, 16]   →   x, i * 16 + j * 1 + 48

The constant that all offsets in a buffer have in common goes into the pointer that the kernel is given.  So kernels
that do the same to different rows of a tensor, as the steps of an unrolled loop do, are one and the same code.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from tenfoldc.loops.ir import (
    Apply,
    Axis,
    Buffer,
    Constant,
    Expr,
    Load,
    MultiplyPanels,
    MultiplyStrip,
    Prefetch,
    Primitive,
    ReadTape,
    RequestMatrixUnit,
    Statement,
    Store,
    StreamCopy,
    TransposeTile,
    WriteTape,
)
from tenfoldc.loops.traversal import all_expressions, walk_statements

Terms: TypeAlias = Sequence[tuple[Expr, int]]
"""An offset in elements: the sum of index times stride."""

_DEPTH = 6
"""Operations that are looked through to see that an index is not negative."""

_GROWING = frozenset({Primitive.ADD, Primitive.MUL, Primitive.DIV, Primitive.REM, Primitive.MIN, Primitive.MAX})


def element_terms(buffer: Buffer, index: Sequence[Expr]) -> Terms:
    """The offset of one element."""
    strides = [math.prod(buffer.shape[axis + 1 :]) for axis in range(len(buffer.shape))]
    return [(i, stride) for i, stride, size in zip(index, strides, buffer.shape, strict=True) if size != 1]


def panel_terms(statement: MultiplyPanels) -> list[tuple[Buffer, Terms]]:
    """The first elements that a product of panels touches, of lhs, rhs and target."""
    lhs, rhs, target = statement.lhs, statement.rhs, statement.target
    lhs_depth = lhs.shape[-1] if len(lhs.shape) == 3 else 1
    rhs_panel = math.prod(rhs.shape[1:]) if len(rhs.shape) == 3 else 1
    return [
        (lhs, [(statement.lhs_panel, math.prod(lhs.shape[1:])), (statement.lhs_first, lhs_depth)]),
        (rhs, [(statement.rhs_panel, rhs_panel), (statement.rhs_first, rhs.shape[-1])]),
        (target, [(statement.row, target.shape[-1]), (statement.column, 1)]),
    ]


def strip_terms(statement: MultiplyStrip) -> list[tuple[Buffer, Terms]]:
    """The first elements that a strip of tiles touches, of lhs, rhs and target."""
    lhs, rhs, target = statement.lhs, statement.rhs, statement.target
    return [
        (lhs, [(statement.lhs_panel, math.prod(lhs.shape[1:]))]),
        (rhs, [(statement.rhs_panel, math.prod(rhs.shape[1:]))]),
        (target, [(statement.row, target.shape[-1]), (statement.column, 1)]),
    ]


def split_constant(terms: Terms) -> tuple[Terms, int]:
    """The terms of an offset without a constant, and that."""
    rest: list[tuple[Expr, int]] = []
    known = 0
    for index, stride in terms:
        varying, constant = _split_index(index)
        known += constant * stride
        if varying is not None:
            rest.append((varying, stride))
    return rest, known


def varying_index(index: Expr) -> Expr | None:
    """What of an index is computed to find an element: all but a constant that is added."""
    return _split_index(index)[0]


def origins(statements: Sequence[Statement]) -> dict[Buffer, int]:
    """The buffers that own the memory `statements` touch, in order of first use, and the least offsets there.

    That is the least of the constants of offsets, and at least 0.
    """
    found: dict[Buffer, int] = {}
    for buffer, terms in _accesses(statements):
        storage = buffer.storage
        least = found.get(storage)
        if least != 0:
            known = split_constant(terms)[1]
            found[storage] = max(0, known) if least is None else max(0, min(least, known))
    return found


def _split_index(index: Expr) -> tuple[Expr | None, int]:
    """What varies of an index, and what is added to it; neither is negative unless the index is as it was."""
    if isinstance(index, Constant):
        return None, int(index.value)
    varying, constant = index, 0
    while isinstance(varying, Apply) and varying.primitive is Primitive.ADD:
        x, y = varying.operands
        if isinstance(x, Constant):
            x, y = y, x
        if not isinstance(y, Constant) or y.value < 0 or not _is_natural(x, _DEPTH):
            break
        varying, constant = x, constant + int(y.value)
    return varying, constant


def _is_natural(expression: Expr, depth: int) -> bool:
    """Whether an index is seen not to be negative."""
    match expression:
        case Axis():
            return True
        case Constant():
            return expression.value >= 0
        case Apply() if expression.primitive in _GROWING and depth:
            return all(_is_natural(operand, depth - 1) for operand in expression.operands)
        case _:
            return False


def _accesses(statements: Sequence[Statement]) -> Iterator[tuple[Buffer, Terms]]:
    """What statements read or write."""
    for statement in walk_statements(statements):
        match statement:
            case Store() | Prefetch():
                yield statement.buffer, element_terms(statement.buffer, statement.index)
            case MultiplyPanels():
                yield from panel_terms(statement)
                yield from () if statement.packed is None else ((statement.packed, ()),)
            case RequestMatrixUnit():
                yield statement.granted, ()
            case MultiplyStrip():
                yield from strip_terms(statement)
            case TransposeTile():
                yield statement.source, ((statement.source_first, 1),)
                yield statement.target, ((statement.target_first, 1),)
            case StreamCopy():
                yield statement.source, ()
                yield statement.target, ((statement.target_first, 1),)
            case WriteTape(tape=tape, source=moved) | ReadTape(tape=tape, target=moved):
                yield from ((tape, ()), (moved, ()))
            case _:
                pass
    for expression in all_expressions(statements):
        if isinstance(expression, Load):
            yield expression.buffer, element_terms(expression.buffer, expression.index)
