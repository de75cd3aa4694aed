"""Which columns of a block matter: all up to where a mask leaves nothing that would change what readers compute.

A mask is a choice by index, such as `select(column <= row, score, -inf)`.  Beyond the last column that any row of the
block keeps, the choice is known, and often so is all that follows from it: exp(-inf - m) is 0, 0 / s is 0.  Where every
sum then adds 0, every maximum compares with -inf and every product multiplies by 0, those columns need not be computed.
What a row makes of its other columns is taken to be a number; where it is NaN, it is so without them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from tenfold_rt import dtypes
from tenfoldc.ir.core import Value
from tenfoldc.ir.groups import AxisMap, Role, Stage
from tenfoldc.loops import scalar
from tenfoldc.loops.evaluate import evaluate
from tenfoldc.loops.index_algebra import Affine, IndexAlgebra
from tenfoldc.loops.ir import Apply, Axis, Buffer, Call, Constant, Expr, Load, Local, Primitive
from tenfoldc.loops.traversal import expressions
from tenfoldc.lower.elements import Elements
from tenfoldc.lower.row_blocks.block import Block
from tenfoldc.ops.reducer import neutral_value, recognise

Number: TypeAlias = bool | int | float

LIVE_MULTIPLE = 32
"""Columns are left out in whole panels."""


def live_columns(block: Block, written: Collection[Value]) -> Expr:
    """From which column on nothing matters to the rows of `block`; the number of all columns where all matter."""
    everything = scalar.index(block.columns)
    wide = [value for value, place in block.blocks.places.items() if block.blocks.is_wide(place)]
    if not set(written).isdisjoint(wide):
        return everything
    search = _Search(block)
    bound = search.bound()
    if bound is None:
        return everything
    last = search.greatest(bound)
    panels = scalar.div(scalar.add(last, scalar.index(LIVE_MULTIPLE)), scalar.index(LIVE_MULTIPLE))
    count = scalar.mul(scalar.maximum(panels, scalar.index(1)), scalar.index(LIVE_MULTIPLE))
    return scalar.minimum(count, everything)


def live_rows(block: Block, written: Collection[Value], column: Expr) -> Expr:
    """Up to which row nothing matters to any column from `column` on; 0 where that is not known.

    `block` stands for any block of rows.
    """
    wide = [value for value, place in block.blocks.places.items() if block.blocks.is_wide(place)]
    search = _Search(block)
    bound = search.bound() if set(written).isdisjoint(wide) else None
    row = scalar.add(block.first, search.row)
    ahead = None if bound is None else block.algebra.form(scalar.sub(block.algebra.expression(bound), row))
    if ahead is None or ahead.terms:
        return scalar.index(0)
    return scalar.maximum(scalar.sub(column, scalar.index(ahead.constant)), scalar.index(0))


class _Search:
    """The elements that all stages compute and read at one row and column."""

    def __init__(self, block: Block) -> None:
        self.block = block
        self.algebra = block.algebra
        self.row = block.axis("row", block.size)
        self.column = block.axis("column", block.columns)
        self.at = {**block.at, block.blocks.column: self.column}
        self.at[block.blocks.row] = scalar.add(block.first, self.row)
        self.written: dict[Buffer, Expr] = {}
        self.demands: list[tuple[Expr, Number]] = []
        """Elements, and what they must be to have no effect."""
        for stage in block.blocks.stages:
            if stage.role is Role.NEST:
                self._nest(stage)
            else:
                self._contraction(stage)

    def bound(self) -> Affine | None:
        """A last column, as a function of the row, beyond which no element has an effect."""
        roots = [*self.written.values(), *(element for element, _ in self.demands)]
        bounds = (_decided_beyond(e, self.column, self.algebra) for e in expressions(roots))
        for bound in dict.fromkeys(found[0] for found in bounds if found is not None):
            beyond = _Beyond(bound, self.column, self.algebra, self.written)
            if all(beyond.value(element) == wanted for element, wanted in self.demands):
                return bound
        return None

    def greatest(self, bound: Affine) -> Expr:
        """The greatest value of `bound` in the block."""
        slope = bound.coefficient(self.row)
        rest = Affine(tuple(term for term in bound.terms if term[0] is not self.row), bound.constant)
        last = slope * (self.block.size - 1) if slope > 0 else 0
        return self.algebra.simplify(scalar.add(self.algebra.expression(rest), scalar.index(last)))

    def _nest(self, stage: Stage) -> None:
        group, (loops,) = stage.group, stage.axes
        elements = Elements(self.block.storage, self.algebra, group.operations)
        at = {loop: self._position(axis, group.extents[loop]) for loop, axis in enumerate(loops)}

        def index(axes: AxisMap) -> list[Expr]:
            return [scalar.index(0) if loop is None else at[loop] for loop in axes]

        for operation in group.operand_maps:
            for result in operation.results:
                elements.let(result, index(group.maps[result][0]), Local("reduced", result.type.dtype))
        for operation, axes in group.operand_maps.items():
            if self.block.blocks.column not in (None if a is None else loops[a] for a in axes):
                continue
            reducer = recognise(operation.regions[0])
            for value in operation.operands[: len(operation.results)]:
                neutral = math.nan if reducer is None else neutral_value(reducer, value.type.dtype)
                self.demands.append((elements.read(value, index(axes)), neutral))
        for value in group.results:
            self._write(elements, value, index(group.maps[value][0]))

    def _contraction(self, stage: Stage) -> None:
        group, anchor = stage.group, stage.group.anchor
        assert anchor is not None
        elements = Elements(self.block.storage, self.algebra, [o for o in group.operations if o is not anchor])
        *factors, result = stage.axes
        if stage.role is Role.SPREAD:
            (product,) = anchor.results
            elements.let(product, self._index(result), Local("product", product.type.dtype))
            for value in group.results:
                self._write(elements, value, self._index(self.block.blocks.places[value]))
            return
        for operand, axes in zip(anchor.operands, factors, strict=True):
            if self.block.blocks.is_wide(axes):
                self.demands.append((elements.read(operand, self._index(axes)), 0))

    def _position(self, axis: int | None, extent: int) -> Expr:
        """The place along an axis of the space; anywhere along any other."""
        return self.block.axis("any", extent) if axis is None else self.at[axis]

    def _index(self, axes: AxisMap) -> list[Expr]:
        """The index of a value with an element per row and column, whose other axes have size 1."""
        return [scalar.index(0) if axis is None else self.at[axis] for axis in axes]

    def _write(self, elements: Elements, value: Value, index: list[Expr]) -> None:
        if value in self.block.windows:
            self.written[self.block.windows[value][0]] = elements.read(value, index)


class _Beyond:
    """What elements are where the column is beyond `bound`."""

    def __init__(self, bound: Affine, column: Axis, algebra: IndexAlgebra, written: Mapping[Buffer, Expr]) -> None:
        self._bound = bound
        self._column = column
        self._algebra = algebra
        self._written = written
        self._known: dict[Expr, Number | None] = {}

    def value(self, expression: Expr) -> Number | None:
        """The value of `expression`, None where that is not known."""
        if expression not in self._known:
            self._known[expression] = self._find(expression)
        return self._known[expression]

    def _find(self, expression: Expr) -> Number | None:
        match expression:
            case Constant():
                return expression.value
            case Load() if expression.buffer in self._written:
                return self.value(self._written[expression.buffer])
            case Apply():
                decided = _decided_beyond(expression, self._column, self._algebra)
                if decided is not None and decided[0] == self._bound:
                    return decided[1]
                return self._apply(expression)
            case Call():
                return _computed(expression, [self.value(operand) for operand in expression.operands])
            case _:
                return None

    def _apply(self, expression: Apply) -> Number | None:
        if expression.primitive is Primitive.SELECT:
            condition, on_true, on_false = expression.operands
            chosen = self.value(condition)
            return None if chosen is None else self.value(on_true if chosen else on_false)
        operands = [self.value(operand) for operand in expression.operands]
        first, second = operands[0], operands[1] if len(operands) > 1 else None
        match expression.primitive:
            case Primitive.AND if expression.dtype.is_bool and False in operands:
                return False
            case Primitive.OR if expression.dtype.is_bool and True in operands:
                return True
            case Primitive.MUL if 0 in operands:
                return 0.0 if expression.dtype.is_float else 0
            case Primitive.DIV if first == 0 and expression.dtype.is_float:
                return 0.0
            case Primitive.SUB if first == -math.inf and second is None:
                return -math.inf
            case Primitive.ADD if -math.inf in operands and None in operands:
                return -math.inf
            case _:
                return _computed(expression, operands)


def _computed(expression: Apply | Call, operands: Sequence[Number | None]) -> Number | None:
    """`expression` where all of its operands are known."""
    constants = [
        Constant(value, operand.dtype)
        for value, operand in zip(operands, expression.operands, strict=True)
        if value is not None
    ]
    if len(constants) < len(expression.operands):
        return None
    return evaluate(replace(expression, operands=tuple(constants)), {}).item()


def _decided_beyond(expression: Expr, column: Axis, algebra: IndexAlgebra) -> tuple[Affine, bool] | None:
    """A bound on `column` beyond which a comparison of indices is decided, and how; None for any other expression."""
    if not isinstance(expression, Apply) or expression.primitive not in _ORDERS:
        return None
    sides = [_as_index(operand, algebra) for operand in expression.operands]
    if sides[0] is None or sides[1] is None:
        return None
    swapped, strict = _ORDERS[expression.primitive]
    low, high = (sides[1], sides[0]) if swapped else (sides[0], sides[1])
    # The comparison says: slack >= 0.
    slack = scalar.sub(scalar.sub(high, low), scalar.index(int(strict)))
    slope = algebra.form(slack).coefficient(column)
    if slope == -1:
        return algebra.form(scalar.add(slack, column)), False
    if slope == 1:
        return algebra.form(scalar.sub(scalar.sub(column, slack), scalar.index(1))), True
    return None


_ORDERS = {
    Primitive.LE: (False, False),
    Primitive.LT: (False, True),
    Primitive.GE: (True, False),
    Primitive.GT: (True, True),
}
"""For each order, whether its operands change places to read as "at most", and whether it is strict."""


def _as_index(expression: Expr, algebra: IndexAlgebra) -> Expr | None:
    """An integer as an index, which is never wrapped; None where it may be, or is no sum of indices."""
    if expression.dtype == dtypes.i64 or isinstance(expression, Constant):
        whole = expression.dtype.is_integer
        index = scalar.index(int(expression.value)) if isinstance(expression, Constant) else expression
        return index if whole else None
    if not isinstance(expression, Apply) or not expression.dtype.is_integer:
        return None
    operands = [_as_index(operand, algebra) for operand in expression.operands]
    known = [operand for operand in operands if operand is not None]
    if len(known) < len(operands) or expression.primitive not in (Primitive.CONVERT, Primitive.ADD, Primitive.SUB):
        return None
    index = known[0] if expression.primitive is Primitive.CONVERT else scalar.apply(expression.primitive, *known)
    low, high = algebra.range_of(algebra.form(index))
    limits = np.iinfo(expression.dtype.numpy.name)
    return index if limits.min <= low and high <= limits.max else None
