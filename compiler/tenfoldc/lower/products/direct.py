"""A product of matrices as plain loops: for integers, and for shapes too thin for a register tile."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tenfold_rt.frozen import frozen
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Apply, Axis, Buffer, Carry, Expr, For, Load, Local, Mode, Primitive, Statement, Store
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.loop_nest import turns
from tenfoldc.lower.products.product import Product

_UNROLL = 4
"""Terms added per visit of a row of sums."""
FEWEST_COLUMNS = 4
"""Rows of fewer columns than this are not worth a vector."""
_FEWEST_ROWS = 8
"""Rows from which it pays to put columns, which they all read, where their elements adjoin."""
_DEPTH = 512
"""Terms that are added one after the other: their errors add up."""
_DOT_DEPTH = 4096
"""Terms of dots, which vectors add several at a time."""


def lower_direct(ctx: LoweringContext, product: Product) -> list[Statement]:
    """The statements of `product`, of any dtype and any sizes."""
    b, i = ctx.axis("b"), ctx.axis("i")
    private: tuple[Buffer, ...] = ()
    lines: Buffer | None = None
    first: list[Statement] = []
    if product.rhs.lines_adjoin and product.columns >= FEWEST_COLUMNS:
        private = _sums(ctx, product)
        row = _row_of_sums(ctx, product, b, i, private)
    else:
        if product.rhs.lines_adjoin and product.positions == 1 and product.rows >= _FEWEST_ROWS:
            lines = ctx.scratch("lines", product.dtype, (product.columns, product.channels))
            first = _lines(ctx, product, b, lines)
        row = _row_of_dots(ctx, product, b, i, lines)
    rows = turns(i, scalar.index(product.rows), row, private)
    shared = private if lines is None else (*private, lines)
    return [turns(b, scalar.index(product.batch), (*first, rows), shared)]


def _sums(ctx: LoweringContext, product: Product) -> tuple[Buffer, ...]:
    """Memory for the sums of a block of the depth, where there are several, and for a row until it is complete."""
    shape = (1, product.columns)
    block = (ctx.scratch("block", product.dtype, shape),) if _is_cut(product) else ()
    return block if product.place is not None else (*block, ctx.scratch("sums", product.dtype, shape))


def _is_cut(product: Product) -> bool:
    return product.dtype.is_float and product.channels > _DEPTH


def _row_of_sums(
    ctx: LoweringContext, product: Product, b: Expr, i: Expr, scratch: Sequence[Buffer]
) -> list[Statement]:
    """One row of the result, to which each lhs element times a row of the rhs is added; the row is a vector.

    The sums of a great depth are those of blocks, so that errors do not add up over all of it.
    """
    columns, zero = scalar.index(product.columns), scalar.constant(0, product.dtype)
    if product.place is None:
        total = _Row(scratch[-1], scalar.index(0), scalar.index(0))
    else:
        row = scalar.add(product.place.row(b), i)
        total = _Row(product.place.matrix, row, product.place.column(b))

    def each_column(body: Callable[[Expr], Sequence[Statement]]) -> Statement:
        j = ctx.axis("j")
        return For(j, columns, tuple(body(j)), mode=Mode.VECTOR)

    def add_terms(target: _Row, position: Expr, channels: Sequence[Expr]) -> Statement:
        factors = [scalar.convert(product.lhs.read(b, i, position, c), product.dtype) for c in channels]

        def update(j: Expr) -> Sequence[Statement]:
            value: Expr = target.load(j)
            for factor, c in zip(factors, channels, strict=True):
                element = scalar.convert(product.rhs.read(b, j, position, c), product.dtype)
                value = _multiply_add(factor, element, value)
            return [target.store(j, value)]

        return each_column(update)

    def add_block(position: Expr, first: Expr, depth: int) -> list[Statement]:
        if not _is_cut(product):
            return _each_term(ctx, first, depth, lambda channels: add_terms(total, position, channels))
        block = _Row(scratch[0], scalar.index(0), scalar.index(0))
        terms = _each_term(ctx, first, depth, lambda channels: add_terms(block, position, channels))
        added = each_column(lambda j: [total.store(j, scalar.add(total.load(j), block.load(j)))])
        return [each_column(lambda j: [block.store(j, zero)]), *terms, added]

    statements = [each_column(lambda j: [total.store(j, zero)])]
    if product.depth:
        statements.append(_each_block(ctx, product, add_block))
    if product.place is None:
        statements.append(each_column(lambda j: product.write(b, i, j, total.load(j))))
    return statements


@frozen
class _Row:
    """A part of a row of a matrix."""

    matrix: Buffer
    row: Expr
    first: Expr

    def load(self, j: Expr) -> Expr:
        return Load(self.matrix, (self.row, scalar.add(self.first, j)))

    def store(self, j: Expr, value: Expr) -> Statement:
        return Store(self.matrix, (self.row, scalar.add(self.first, j)), value)


def _each_block(
    ctx: LoweringContext, product: Product, add_block: Callable[[Expr, Expr, int], list[Statement]]
) -> Statement:
    """`add_block(position, first channel, depth)` for all of the depth, which is cut where `_is_cut`."""
    position = ctx.axis("position")
    depth = _DEPTH if _is_cut(product) else product.channels
    whole, rest = divmod(product.channels, depth)
    body: list[Statement] = []
    if whole:
        block = ctx.axis("block")
        statements = add_block(position, scalar.mul(block, scalar.index(depth)), depth)
        body += [For(block, scalar.index(whole), tuple(statements))]
    if rest:
        body += add_block(position, scalar.index(whole * depth), rest)
    return For(position, scalar.index(product.positions), tuple(body))


def _each_term(
    ctx: LoweringContext, first: Expr, depth: int, add_terms: Callable[[Sequence[Expr]], Statement]
) -> list[Statement]:
    """`add_terms(channels)` for `depth` channels from `first` on, `_UNROLL` at a time."""
    groups, rest = divmod(depth, _UNROLL)
    body: list[Statement] = []
    if groups:
        group = ctx.axis("group")
        start = scalar.add(first, scalar.mul(group, scalar.index(_UNROLL)))
        channels = [scalar.add(start, scalar.index(offset)) for offset in range(_UNROLL)]
        body.append(For(group, scalar.index(groups), (add_terms(channels),)))
    if rest:
        body.append(add_terms([scalar.add(first, scalar.index(groups * _UNROLL + offset)) for offset in range(rest)]))
    return body


def _lines(ctx: LoweringContext, product: Product, b: Expr, lines: Buffer) -> list[Statement]:
    """Put the columns of the rhs into `lines`, one after the other."""
    channel, zero = ctx.axis("channel"), scalar.index(0)
    columns = [scalar.index(column) for column in range(product.columns)]
    elements = [scalar.convert(product.rhs.read(b, column, zero, channel), product.dtype) for column in columns]
    stores = [Store(lines, (column, channel), e) for column, e in zip(columns, elements, strict=True)]
    return [turns(channel, scalar.index(product.channels), stores)]


def _row_of_dots(
    ctx: LoweringContext, product: Product, b: Expr, i: Expr, lines: Buffer | None = None
) -> list[Statement]:
    """One row of the result, each element the sum of its terms.

    The elements of a row of a few are summed side by side, so that the lhs is read once.  The columns of the rhs are
    read from `lines` where they have been put there.
    """
    if product.columns < FEWEST_COLUMNS:
        columns = [scalar.index(column) for column in range(product.columns)]
        return _dots(ctx, product, b, i, columns, lines)
    j = ctx.axis("j")
    return [turns(j, scalar.index(product.columns), _dots(ctx, product, b, i, [j], lines))]


def _dots(
    ctx: LoweringContext, product: Product, b: Expr, i: Expr, columns: Sequence[Expr], lines: Buffer | None
) -> list[Statement]:
    """The elements of a row in these columns."""
    dtype = product.dtype
    zero = scalar.constant(0, dtype)
    if product.depth == 0:
        return [statement for j in columns for statement in product.write(b, i, j, zero)]

    def terms(position: Expr, first: Expr, depth: int, begin: Sequence[Expr]) -> tuple[Statement, list[Expr]]:
        """Add products of `depth` channels to what sums `begin` with; vectors do it in any order."""
        axis = ctx.axis("channel")
        channel = scalar.add(first, axis)
        factor = scalar.convert(product.lhs.read(b, i, position, channel), dtype)
        carries: list[Carry] = []
        for j, start in zip(columns, begin, strict=True):
            other = product.rhs.read(b, j, position, channel) if lines is None else Load(lines, (j, channel))
            value = Local("term_sum", dtype)
            operands = (value, scalar.mul(factor, scalar.convert(other, dtype)))
            added = Apply(Primitive.ADD, operands, dtype, reassociate=dtype.is_float)
            carries.append(Carry(value, start, added, Local("terms", dtype)))
        return For(axis, scalar.index(depth), (), tuple(carries), Mode.VECTOR), [carry.result for carry in carries]

    def of_position(position: Expr, totals: Sequence[Expr]) -> tuple[list[Statement], list[Expr]]:
        whole, rest = divmod(product.channels, _DOT_DEPTH) if dtype.is_float else (0, product.channels)
        if whole == 0 or product.channels == _DOT_DEPTH:
            statement, sums = terms(position, scalar.index(0), product.channels, totals)
            return [statement], sums
        zeros, axis = [zero for _ in columns], ctx.axis("block")
        block, sums = terms(position, scalar.mul(axis, scalar.index(_DOT_DEPTH)), _DOT_DEPTH, zeros)
        blocks, totals = _totals(axis, whole, totals, lambda values: ([block], _added(values, sums)))
        if rest == 0:
            return [blocks], totals
        last, sums = terms(position, scalar.index(whole * _DOT_DEPTH), rest, zeros)
        return [blocks, last], _added(totals, sums)

    position = ctx.axis("position")
    zeros: list[Expr] = [zero for _ in columns]
    everything, totals = _totals(position, product.positions, zeros, lambda values: of_position(position, values))
    stores = [product.write(b, i, j, total) for j, total in zip(columns, totals, strict=True)]
    return [everything, *(statement for each in stores for statement in each)]


def _added(values: Sequence[Expr], others: Sequence[Expr]) -> list[Expr]:
    return list(map(scalar.add, values, others))


def _totals(
    axis: Axis,
    turns: int,
    begin: Sequence[Expr],
    turn: Callable[[Sequence[Expr]], tuple[Sequence[Statement], Sequence[Expr]]],
) -> tuple[Statement, list[Expr]]:
    """A loop, and what the values that its turns hand on end with; `turn` is what they do with those they are given."""
    values = [Local("sum", start.dtype) for start in begin]
    body, following = turn(values)
    triples = zip(values, begin, following, strict=True)
    carries = [Carry(value, start, after, Local("total", value.dtype)) for value, start, after in triples]
    return For(axis, scalar.index(turns), tuple(body), tuple(carries)), [carry.result for carry in carries]


def _multiply_add(x: Expr, y: Expr, total: Expr) -> Expr:
    return scalar.fma(x, y, total) if x.dtype.is_float else scalar.add(total, scalar.mul(x, y))
