"""Contractions as one thread for each element of the result: of any dtype and any sizes."""

from __future__ import annotations

from collections.abc import Sequence

from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Carry, Expr, For, Local, Statement
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.loop_nest import nest
from tenfoldc.lower.products.product import Product


def lower_plain(ctx: LoweringContext, product: Product) -> Sequence[Statement]:
    """One thread for each element."""

    def element(index: tuple[Expr, ...]) -> Sequence[Statement]:
        b, i, j = index
        statements, total = _sum(ctx, product, b, i, j)
        return [*statements, *product.write(b, i, j, total)]

    return nest(ctx, [product.batch, product.rows, product.columns], element, private=())


def _sum(ctx: LoweringContext, product: Product, b: Expr, i: Expr, j: Expr) -> tuple[list[Statement], Expr]:
    """The sum of an element's terms."""
    dtype = product.dtype
    zero = scalar.constant(0, dtype)
    if not product.depth:
        return [], zero
    position, channel = ctx.axis("position", product.positions), ctx.axis("channel", product.channels)
    factors = [
        scalar.convert(operand.read(b, line, position, channel), dtype)
        for operand, line in ((product.lhs, i), (product.rhs, j))
    ]
    outer, inner = (Local("sum", dtype), Local("total", dtype)), (Local("term_sum", dtype), Local("terms", dtype))
    is_float = dtype.is_float
    lhs, rhs = factors
    added = scalar.fma(lhs, rhs, inner[0]) if is_float else scalar.add(inner[0], scalar.mul(lhs, rhs))
    terms = For(channel, scalar.index(product.channels), (), (Carry(inner[0], outer[0], added, inner[1]),))
    total = For(position, scalar.index(product.positions), (terms,), (Carry(outer[0], zero, inner[1], outer[1]),))
    return [total], outer[1]
