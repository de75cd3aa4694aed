"""A product of matrices as plain loops: for integers, and for shapes too thin for a register tile."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Apply, Buffer, Carry, Expr, For, Load, Local, Mode, Primitive, Statement, Store
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.loop_nest import turns
from tenfoldc.lower.products.product import Product

_UNROLL = 4
"""Terms added per visit of a row of sums."""
_FEWEST_COLUMNS = 4
"""Rows of fewer columns than this are not worth a vector."""


def lower_direct(ctx: LoweringContext, product: Product) -> list[Statement]:
    """The statements of `product`, of any dtype and any sizes."""
    b, i = ctx.axis("b"), ctx.axis("i")
    private: tuple[Buffer, ...] = ()
    if product.rhs.lines_adjoin and product.columns >= _FEWEST_COLUMNS:
        if product.place is None:
            private = (ctx.scratch("sums", product.dtype, (1, product.columns)),)
        row = _row_of_sums(ctx, product, b, i, private)
    else:
        row = _row_of_dots(ctx, product, b, i)
    rows = turns(i, scalar.index(product.rows), row, private)
    return [turns(b, scalar.index(product.batch), (rows,), private)]


def _row_of_sums(
    ctx: LoweringContext, product: Product, b: Expr, i: Expr, scratch: Sequence[Buffer]
) -> list[Statement]:
    """One row of the result, to which each lhs element times a row of the rhs is added; the row is a vector.

    It is held in `scratch`, where there is some, until it is complete.
    """
    columns = scalar.index(product.columns)
    if product.place is None:
        matrix, row, first = scratch[0], scalar.index(0), scalar.index(0)
    else:
        matrix, first = product.place.matrix, product.place.column(b)
        row = scalar.add(product.place.row(b), i)

    def each_column(body: Callable[[tuple[Expr, Expr], Expr], Sequence[Statement]]) -> Statement:
        j = ctx.axis("j")
        return For(j, columns, tuple(body((row, scalar.add(first, j)), j)), mode=Mode.VECTOR)

    def add_terms(position: Expr, channels: Sequence[Expr]) -> Statement:
        factors = [scalar.convert(product.lhs.read(b, i, position, c), product.dtype) for c in channels]

        def update(index: tuple[Expr, Expr], j: Expr) -> Sequence[Statement]:
            total: Expr = Load(matrix, index)
            for factor, c in zip(factors, channels, strict=True):
                element = scalar.convert(product.rhs.read(b, j, position, c), product.dtype)
                total = _multiply_add(factor, element, total)
            return [Store(matrix, index, total)]

        return each_column(update)

    zero = scalar.constant(0, product.dtype)
    statements = [each_column(lambda index, j: [Store(matrix, index, zero)])]
    if product.depth:
        statements.append(_each_term(ctx, product, add_terms))
    if product.place is None:
        statements.append(each_column(lambda index, j: product.write(b, i, j, Load(matrix, index))))
    return statements


def _each_term(
    ctx: LoweringContext, product: Product, add_terms: Callable[[Expr, Sequence[Expr]], Statement]
) -> Statement:
    """`add_terms(position, channels)` for all of the depth, `_UNROLL` channels at a time."""
    position = ctx.axis("position")
    groups, rest = divmod(product.channels, _UNROLL)
    body: list[Statement] = []
    if groups:
        group = ctx.axis("group")
        first = scalar.mul(group, scalar.index(_UNROLL))
        channels = [scalar.add(first, scalar.index(offset)) for offset in range(_UNROLL)]
        body.append(For(group, scalar.index(groups), (add_terms(position, channels),)))
    if rest:
        last = [scalar.index(groups * _UNROLL + offset) for offset in range(rest)]
        body.append(add_terms(position, last))
    return For(position, scalar.index(product.positions), tuple(body))


def _row_of_dots(ctx: LoweringContext, product: Product, b: Expr, i: Expr) -> list[Statement]:
    """One row of the result, each element the sum of its terms."""
    j = ctx.axis("j")
    dtype = product.dtype
    zero = scalar.constant(0, dtype)
    if product.depth == 0:
        return [turns(j, scalar.index(product.columns), product.write(b, i, j, zero))]
    position, channel = ctx.axis("position"), ctx.axis("channel")
    factors = [
        scalar.convert(operand.read(b, line, position, channel), dtype)
        for operand, line in ((product.lhs, i), (product.rhs, j))
    ]
    outer, inner = (Local("sum", dtype), Local("total", dtype)), (Local("term_sum", dtype), Local("terms", dtype))
    added = Apply(Primitive.ADD, (inner[0], scalar.mul(*factors)), dtype, reassociate=dtype.is_float)
    terms = For(
        channel, scalar.index(product.channels), (), (Carry(inner[0], outer[0], added, inner[1]),), mode=Mode.VECTOR
    )
    total = For(position, scalar.index(product.positions), (terms,), (Carry(outer[0], zero, inner[1], outer[1]),))
    return [turns(j, scalar.index(product.columns), (total, *product.write(b, i, j, outer[1])))]


def _multiply_add(x: Expr, y: Expr, total: Expr) -> Expr:
    return scalar.fma(x, y, total) if x.dtype.is_float else scalar.add(total, scalar.mul(x, y))
