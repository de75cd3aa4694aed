"""Chains of products, a statement of the loop IR for launches: products that are folded and multiplied again.

MultiplyChain = passes: ColumnPass*, what is done with each row
ColumnPass    = products: ChainProduct*, folds: RowFold*, sums: RowSum*
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenfold_rt.frozen import frozen
from tenfoldc.loops.tiles import Tiling

if TYPE_CHECKING:
    from tenfoldc.loops.ir import Axis, Buffer, Constant, Expr, Local, Statement, TileFactor


@frozen(eq=False)
class ChainProduct:
    """`value`, for a row and a column: the sum over `channels` of lhs(row, channel) * rhs(column, channel)."""

    lhs: TileFactor
    rhs: TileFactor
    channels: int
    value: Local


@frozen(eq=False)
class RowFold:
    """A value for each row that is folded along the columns, some columns at a time.

    Of each stretch of columns, the `element`s of a row are combined to `part`: two of them, `lhs` and `rhs`, to
    `combined`, and `neutral` changes none.  What was folded before them is `value`, at first `init`; `next` is the same
    with them.  It is known as `current` to what is folded and added up of these columns after it, and as `result` after
    the last.
    """

    element: Expr
    neutral: Constant
    lhs: Local
    rhs: Local
    combined: Expr
    part: Local
    value: Local
    init: Expr
    next: Expr
    current: Local
    result: Local


@frozen(eq=False)
class RowSum:
    """For each row and feature, the sum over columns of `elements` * rhs(feature, column); then `body` with `value`.

    An element is the sum of `elements`, each of which is rounded to what is multiplied.
    Where there is a `factor`, what was added up before a stretch of columns is multiplied by it, a value for each row.
    `finished` is what `value` is, in terms of the `total` and of folds.  Each `vector` features are done by one thread.
    """

    elements: tuple[Expr, ...]
    factor: Expr | None
    rhs: TileFactor
    features: int
    total: Local
    finished: Expr
    feature: Axis
    value: Local
    vector: int
    body: tuple[Statement, ...]


@frozen(eq=False)
class ColumnPass:
    """What is done in one pass over the columns: products, in terms of which elements are folded and added up."""

    products: tuple[ChainProduct, ...]
    folds: tuple[RowFold, ...]
    sums: tuple[RowSum, ...]


@frozen(eq=False)
class MultiplyChain:
    """Inside a launch, some rows of products that are folded and multiplied again, without going through memory.

    A block takes as many rows as the `tiling` has, from `first_row` on; `passes` go over stretches of columns, as many
    as the tiling has, those from number `first` on and below `end`.  What is in terms of `row` and `column` is computed
    in registers; lines beyond `rows` and `columns` do not count.  After the last pass, `body` is done for each row.
    Folds are known to all passes after theirs.  `memory` is shared, of bytes, and holds nothing before or after.
    """

    tiling: Tiling
    thread: Axis
    first_row: Expr
    first: Expr
    end: Expr
    rows: int
    columns: int
    row: Axis
    column: Axis
    passes: tuple[ColumnPass, ...]
    body: tuple[Statement, ...]
    memory: Buffer

    @property
    def products(self) -> tuple[ChainProduct, ...]:
        """The products of all passes, each once."""
        return tuple(dict.fromkeys(product for each in self.passes for product in each.products))

    @property
    def folds(self) -> tuple[RowFold, ...]:
        """The folds of all passes."""
        return tuple(fold for each in self.passes for fold in each.folds)

    @property
    def sums(self) -> tuple[RowSum, ...]:
        """The sums of all passes."""
        return tuple(row_sum for each in self.passes for row_sum in each.sums)

    @property
    def factors(self) -> tuple[TileFactor, ...]:
        """All that is multiplied and lies in memory."""
        pairs = (factor for product in self.products for factor in (product.lhs, product.rhs))
        return (*pairs, *(row_sum.rhs for row_sum in self.sums))
