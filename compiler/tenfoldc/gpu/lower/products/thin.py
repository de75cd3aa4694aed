"""Products of a matrix with a few vectors: what takes time is to read the matrix, once, with all threads.

A team of threads folds each row.  Where a row's elements adjoin in memory, the threads of a team are neighbours, and
each takes some elements that adjoin; where the rows do, neighbours belong to different rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tenfold_rt.frozen import frozen
from tenfoldc.gpu.lower.products.factors import Lines, half_behind, is_nearer
from tenfoldc.gpu.lower.products.shared_sums import SharedSums
from tenfoldc.gpu.lower.products.tilings import multiprocessors
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Axis, Carry, Combine, Expr, For, If, Launch, Load, Local, Statement
from tenfoldc.loops.tiles import WARP
from tenfoldc.loops.traversal import expressions
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.products.product import Product
from tenfoldc.target import Target

MOST_VECTORS = 4
"""Vectors up to which a product is thin."""

_BLOCK = 256
_ACCESS_BYTES = 16
_FEWEST_TURNS = 4
"""Turns of each thread below which no more threads share a row."""

_BLOCKS_EACH = 4
"""Blocks for each multiprocessor, so that enough is being read at one time."""


@frozen
class _Team:
    """`threads` threads fold a row, `rows` teams are a block; the threads of a team are `stride` apart.

    `parts` blocks share a row.  A thread takes `vector` adjoining elements in each of its `turns`.
    """

    threads: int
    rows: int
    stride: int
    vector: int
    parts: int
    turns: int


def lower_thin(ctx: LoweringContext, product: Product, target: Target) -> Sequence[Statement]:
    """The launches of a product with few columns, no size of which is 0."""
    team = _team(ctx, product, target)
    if team.parts == 1:
        return [_launch(ctx, product, team, None)]
    sums = SharedSums(ctx, product, team.parts)
    return [_launch(ctx, product, team, sums), *sums.add_up()]


def _team(ctx: LoweringContext, product: Product, target: Target) -> _Team:
    batch = ctx.axis("batch", product.batch)
    axes = [ctx.axis("line", product.rows), ctx.axis("position", product.positions)]
    places = Lines(axes[0], axes[1], ctx.axis("channel", product.channels), product.rows, 1, product.channels)
    element = product.lhs.read(batch, places.line, places.position, places.channel)
    load = next((each for each in expressions((element,)) if isinstance(each, Load)), None)
    lines_adjoin = load is not None and is_nearer(load, places.line, places.channel, places.extents)
    itemsize = (half_behind(element) or product.dtype).itemsize
    vector = 1 if lines_adjoin else math.gcd(product.channels, _ACCESS_BYTES // itemsize)
    each = -(-product.depth // vector)
    wanted = 1 << max(0, (each // _FEWEST_TURNS).bit_length() - 1)
    threads = min(wanted, _BLOCK // WARP) if lines_adjoin else max(WARP, min(wanted, _BLOCK))
    rows = _BLOCK // threads
    blocks = product.batch * -(-product.rows // rows)
    turns = -(-each // threads)
    parts = max(1, min(_BLOCKS_EACH * multiprocessors(target) // blocks, turns // _FEWEST_TURNS))
    turns = -(-turns // parts)
    parts = -(-each // (threads * turns))
    return _Team(threads, rows, rows if lines_adjoin else 1, vector, parts, turns)


def _launch(ctx: LoweringContext, product: Product, team: _Team, sums: SharedSums | None) -> Launch:
    """The folding of all rows; parts of their sums are left in `sums`, where blocks share them."""
    row_blocks = -(-product.rows // team.rows)
    blocks = team.parts * row_blocks * product.batch
    block, thread = ctx.axis("block", blocks), ctx.axis("thread", _BLOCK)
    own, place = (scalar.index(size) for size in (team.rows, team.threads))
    if team.stride == 1:
        inside, number = scalar.div(thread, place), scalar.rem(thread, place)
    else:
        inside, number = scalar.rem(thread, own), scalar.div(thread, own)
    part, rest = _divided(block, team.parts)
    row_block, batch = _divided(rest, row_blocks)
    row = scalar.add(scalar.mul(row_block, own), inside)
    last = scalar.index(product.rows - 1)
    line = scalar.minimum(row, last) if product.rows % team.rows else row
    folding, totals = _fold(ctx, product, team, batch, line, scalar.add(scalar.mul(part, place), number))
    results, combine = _combined(product, team, totals)
    writes: list[Statement] = []
    for column, value in enumerate(results):
        j = scalar.index(column)
        written = product.write(batch, row, j, value) if sums is None else sums.keep(part, batch, row, j, value)
        writes.extend(written)
    condition = scalar.equal(number, scalar.index(0))
    if product.rows % team.rows:
        condition = scalar.logical_and(condition, scalar.less_equal(row, last))
    body = (folding, *combine, If(condition, tuple(writes)))
    return Launch("rows", block, scalar.index(blocks), thread, _BLOCK, body)


def _fold(
    ctx: LoweringContext, product: Product, team: _Team, batch: Expr, line: Expr, first: Expr
) -> tuple[Statement, list[Expr]]:
    """One thread's sums, one for each column; `first` is its number among all that share the row."""
    dtype, apart = product.dtype, team.threads * team.parts
    turn = ctx.axis("turn", team.turns)
    group = scalar.add(scalar.mul(turn, scalar.index(apart)), first)
    overruns = team.turns * apart * team.vector != product.depth
    groups = product.depth // team.vector
    clamped = scalar.minimum(group, scalar.index(groups - 1)) if overruns else group
    sums = [Local("sum", dtype) for _ in range(product.columns)]
    following: list[Expr] = list(sums)
    for lane in range(team.vector):
        depth = scalar.add(scalar.mul(clamped, scalar.index(team.vector)), scalar.index(lane))
        position, channel = _position(product, depth)
        x = scalar.convert(product.lhs.read(batch, line, position, channel), dtype)
        for column in range(product.columns):
            y = scalar.convert(product.rhs.read(batch, scalar.index(column), position, channel), dtype)
            total = following[column]
            following[column] = scalar.fma(x, y, total) if dtype.is_float else scalar.add(total, scalar.mul(x, y))
    if overruns:
        inside = scalar.less(group, scalar.index(groups))
        following = [scalar.select(inside, new, old) for new, old in zip(following, sums, strict=True)]
    totals = [Local("total", dtype) for _ in sums]
    zero = scalar.constant(0, dtype)
    carries = tuple(Carry(value, zero, new, total) for value, new, total in zip(sums, following, totals, strict=True))
    return For(turn, scalar.index(team.turns), (), carries), list(totals)


def _position(product: Product, depth: Expr) -> tuple[Expr, Expr]:
    if product.positions == 1:
        return scalar.index(0), depth
    channels = scalar.index(product.channels)
    return scalar.div(depth, channels), scalar.rem(depth, channels)


def _combined(product: Product, team: _Team, totals: Sequence[Expr]) -> tuple[list[Expr], list[Statement]]:
    """The sums of all threads of a team."""
    if team.threads == 1:
        return list(totals), []
    dtype = product.dtype
    lhs, rhs, results = (tuple(Local(name, dtype) for _ in totals) for name in ("lower", "higher", "row_sum"))
    combined = tuple(scalar.add(x, y) for x, y in zip(lhs, rhs, strict=True))
    combine = Combine(tuple(totals), results, lhs, rhs, combined, team.threads, team.stride)
    return list(results), [combine]


def _divided(number: Axis | Expr, size: int) -> tuple[Expr, Expr]:
    """What `number` leaves when divided by `size`, and the quotient."""
    if size == 1:
        return scalar.index(0), number
    return scalar.rem(number, scalar.index(size)), scalar.div(number, scalar.index(size))
