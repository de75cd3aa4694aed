"""Sums of a product that several blocks share: each leaves its part in memory, and a second launch adds those up."""

from __future__ import annotations

from collections.abc import Sequence

from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Buffer, Carry, Expr, For, Load, Local, Statement, Store
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.loop_nest import nest
from tenfoldc.lower.products.product import Product


class SharedSums:
    """The parts of all sums of a product."""

    def __init__(self, ctx: LoweringContext, product: Product, parts: int) -> None:
        self._ctx, self._product, self._parts = ctx, product, parts
        shape = (parts, product.batch, product.rows, product.columns)
        self._memory: Buffer = ctx.scratch("parts", product.dtype, shape)

    def keep(self, part: Expr, b: Expr, i: Expr, j: Expr, value: Expr) -> list[Statement]:
        """Leave one part of a sum."""
        return [Store(self._memory, (part, b, i, j), value)]

    def add_up(self) -> Sequence[Statement]:
        """Hand on the sums of all parts, added in order."""
        product = self._product

        def total(index: tuple[Expr, ...]) -> Sequence[Statement]:
            part = self._ctx.axis("part", self._parts)
            carried, result = Local("sum", product.dtype), Local("total", product.dtype)
            following = scalar.add(carried, Load(self._memory, (part, *index)))
            carry = Carry(carried, scalar.constant(0, product.dtype), following, result)
            b, i, j = index
            added = For(part, scalar.index(self._parts), (), (carry,))
            return [added, *product.write(b, i, j, result)]

        return nest(self._ctx, (product.batch, product.rows, product.columns), total, private=())
