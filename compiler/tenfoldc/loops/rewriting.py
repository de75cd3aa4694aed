"""Rewriting loop IR: the same statements with other buffers or other indices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from typing import TypeAlias, cast

from tenfoldc.loops.ir import (
    Apply,
    Axis,
    Barrier,
    Buffer,
    Call,
    Carry,
    ChainProduct,
    ColumnPass,
    Combine,
    Constant,
    Expr,
    For,
    If,
    Launch,
    Load,
    Local,
    MultiplyChain,
    MultiplyPanels,
    MultiplyStrip,
    MultiplyTiles,
    Prefetch,
    ReadTape,
    RequestMatrixUnit,
    RowFold,
    RowSum,
    Statement,
    Store,
    StreamCopy,
    TileFactor,
    TransposeTile,
    While,
    WriteTape,
)
from tenfoldc.loops.traversal import operands_of

_Leaf: TypeAlias = (
    Prefetch | WriteTape | ReadTape | RequestMatrixUnit | MultiplyPanels | MultiplyStrip | TransposeTile | StreamCopy
)


def with_inner(statement: Statement, rewritten: Callable[[tuple[Statement, ...]], tuple[Statement, ...]]) -> Statement:
    """A loop or a condition with the statements in it `rewritten`, and other statements as they are."""
    match statement:
        case For() | While():
            return replace(statement, body=rewritten(statement.body))
        case If():
            return replace(statement, then=rewritten(statement.then), otherwise=rewritten(statement.otherwise))
        case _:
            return statement


class BufferReplacer:
    """Replaces buffers, and views of them, wherever statements name them; what does not change stays as it is.

    Expressions, such as an axis, are replaced by what `known` gives for them.
    """

    def __init__(self, replaced: Mapping[Buffer, Buffer], known: Mapping[Expr, Expr] | None = None) -> None:
        self._buffers = dict(replaced)
        self._expressions: dict[Expr, Expr] = {} if known is None else {**known}

    def buffer(self, buffer: Buffer) -> Buffer:
        """`buffer`, or what stands for it now."""
        known = self._buffers.get(buffer)
        if known is None:
            base = None if buffer.base is None else self.buffer(buffer.base)
            known = buffer if base is buffer.base else replace(buffer, base=base)
            self._buffers[buffer] = known
        return known

    def statements(self, statements: Iterable[Statement]) -> tuple[Statement, ...]:
        return tuple(self._statement(statement) for statement in statements)

    def expression(self, root: Expr) -> Expr:
        """`root` rewritten; shared parts stay shared."""
        pending = [root]
        while pending:
            expression = pending[-1]
            if expression in self._expressions:
                pending.pop()
                continue
            missing = [operand for operand in operands_of(expression) if operand not in self._expressions]
            if missing:
                pending.extend(missing)
            else:
                self._expressions[pending.pop()] = self._rebuilt(expression)
        return self._expressions[root]

    def _axis(self, axis: Axis) -> Axis:
        """`axis`, or another that stands for it."""
        known = self._expressions.get(axis)
        return known if isinstance(known, Axis) else axis

    def _rebuilt(self, expression: Expr) -> Expr:
        operands = tuple(self._expressions[operand] for operand in operands_of(expression))
        same = all(new is old for new, old in zip(operands, operands_of(expression), strict=True))
        match expression:
            case Load():
                buffer = self.buffer(expression.buffer)
                return expression if same and buffer is expression.buffer else Load(buffer, operands)
            case Apply() | Call():
                return expression if same else replace(expression, operands=operands)
            case _:
                return expression

    def _carries(self, carries: Iterable[Carry]) -> tuple[Carry, ...]:
        return tuple(replace(c, init=self.expression(c.init), next=self.expression(c.next)) for c in carries)

    def _factor(self, factor: TileFactor) -> TileFactor:
        inside = None if factor.inside is None else self.expression(factor.inside)
        return replace(factor, element=self.expression(factor.element), inside=inside)

    def _column_pass(self, each: ColumnPass, products: Mapping[ChainProduct, ChainProduct]) -> ColumnPass:
        own = tuple(products[product] for product in each.products)
        return ColumnPass(own, tuple(map(self._fold, each.folds)), tuple(map(self._row_sum, each.sums)))

    def _fold(self, fold: RowFold) -> RowFold:
        element, combined = self.expression(fold.element), self.expression(fold.combined)
        init, following = self.expression(fold.init), self.expression(fold.next)
        return replace(fold, element=element, combined=combined, init=init, next=following)

    def _row_sum(self, row_sum: RowSum) -> RowSum:
        return replace(
            row_sum,
            elements=tuple(map(self.expression, row_sum.elements)),
            factor=None if row_sum.factor is None else self.expression(row_sum.factor),
            rhs=self._factor(row_sum.rhs),
            finished=self.expression(row_sum.finished),
            body=self.statements(row_sum.body),
        )

    def _chain(self, chain: MultiplyChain) -> MultiplyChain:
        products = {p: replace(p, lhs=self._factor(p.lhs), rhs=self._factor(p.rhs)) for p in chain.products}
        return replace(
            chain,
            thread=self._axis(chain.thread),
            first_row=self.expression(chain.first_row),
            first=self.expression(chain.first),
            end=self.expression(chain.end),
            passes=tuple(self._column_pass(each, products) for each in chain.passes),
            body=self.statements(chain.body),
            memory=self.buffer(chain.memory),
        )

    def _statement(self, statement: Statement) -> Statement:
        match statement:
            case For():
                extent, body = self.expression(statement.extent), self.statements(statement.body)
                private = tuple(map(self.buffer, statement.private))
                carries = self._carries(statement.carries)
                return replace(statement, extent=extent, body=body, carries=carries, private=private)
            case While():
                condition, body = self.expression(statement.condition), self.statements(statement.body)
                return replace(statement, carries=self._carries(statement.carries), condition=condition, body=body)
            case If():
                then, otherwise = self.statements(statement.then), self.statements(statement.otherwise)
                return If(self.expression(statement.condition), then, otherwise)
            case Store():
                index = tuple(self.expression(position) for position in statement.index)
                return Store(self.buffer(statement.buffer), index, self.expression(statement.value))
            case Launch():
                blocks, body = self.expression(statement.blocks), self.statements(statement.body)
                own = (tuple(map(self.buffer, buffers)) for buffers in (statement.shared, statement.private))
                return Launch(statement.name, statement.block, blocks, statement.thread, statement.threads, body, *own)
            case Combine():
                values, combined = map(self.expression, statement.values), map(self.expression, statement.combined)
                return replace(statement, values=tuple(values), combined=tuple(combined))
            case Barrier():
                return statement
            case MultiplyTiles():
                return replace(
                    statement,
                    block=self._axis(statement.block),
                    thread=self._axis(statement.thread),
                    first_row=self.expression(statement.first_row),
                    first_column=self.expression(statement.first_column),
                    first_slice=self.expression(statement.first_slice),
                    lhs=self._factor(statement.lhs),
                    rhs=self._factor(statement.rhs),
                    memory=self.buffer(statement.memory),
                    body=self.statements(statement.body),
                )
            case MultiplyChain():
                return self._chain(statement)
            case (
                Prefetch()
                | WriteTape()
                | ReadTape()
                | RequestMatrixUnit()
                | MultiplyPanels()
                | MultiplyStrip()
                | TransposeTile()
                | StreamCopy()
            ):
                return self._field_by_field(statement)

    def _field_by_field(self, statement: _Leaf) -> _Leaf:
        """A statement without statements inside, whose fields each say by their values what is to be rewritten."""
        return replace(
            statement, **{each.name: self._field(getattr(statement, each.name)) for each in fields(statement)}
        )

    def _field(self, value: object) -> object:
        match value:
            case Buffer():
                return self.buffer(value)
            case Constant() | Axis() | Local() | Load() | Apply() | Call():
                return self.expression(value)
            case tuple():
                return tuple(map(self._field, cast(tuple[object, ...], value)))
            case _:
                return value
