"""Lowering of `top_k`.

The best few of a line are kept in order while it is read.  A block of the line is first compared, in vectors, with the
least of those that are kept: hardly any block of a long line has an element that beats it, and only the elements of one
that has are looked at one by one and inserted.  Where there is only a line or two, parts of it are read at one time,
and the best of all parts are a short line of their own.  Where k is large, the largest are selected
(`tenfoldc.lower.largest`) and sorted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias, cast

from tenfold_rt import dtypes
from tenfoldc.ir.core import Operation
from tenfoldc.ir.types import TensorType
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Buffer, Carry, Expr, If, Local, Primitive, Statement
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.largest import LargestMemory, keep_largest
from tenfoldc.lower.loop_nest import bind, loop, nest
from tenfoldc.lower.sort import AS_WIDE, LONG, LineMemory, insert, load_all, sort_line, store_all
from tenfoldc.ops.sort import TopKAttributes

Read: TypeAlias = Callable[[tuple[Expr, ...], Expr], Sequence[Expr]]
"""The element at a place of the line at an index, and its own index along that line."""

Write: TypeAlias = Callable[[tuple[Expr, ...], Sequence[Expr]], Sequence[Statement]]
"""What is done with an element of the best of all lines and with its index."""

INSERTED = {False: 3, True: 6}
"""Up to so many of the largest for each bit of a line's length are found by insertion, of a `LONG` line more: then it
costs no more than sorting, not even in an ascending line, each element of which is inserted before all others."""

MOST_SELECTED = 2
"""The largest are selected before they are sorted where a line has at least so many times more elements."""

BLOCK_BYTES = 256
"""What is compared at once with the least of the best: some vectors, as straight code."""

PART = 1 << 15
"""Elements of a part of a line at least; the first few of each part are all inserted."""

PARTS = 8
"""Parts that lines are read in at most, where there are fewer lines than this."""


def lower_top_k(operation: Operation, context: LoweringContext) -> Sequence[Statement]:
    """Statements for `top_k`."""
    taken = cast(TopKAttributes, operation.attributes).k
    operand = operation.operands[0].type
    if taken == 0 or operand.size == 0:
        return ()
    *lines, size = operand.sizes

    def scratch(name: str, *shape: int) -> list[Buffer]:
        return [context.scratch(name, dtype, shape) for dtype in (operand.dtype, dtypes.i32)]

    def read(line: tuple[Expr, ...], place: Expr) -> Sequence[Expr]:
        return [context.read(0, (*line, place)), scalar.convert(place, dtypes.i32)]

    def write(index: tuple[Expr, ...], values: Sequence[Expr]) -> Sequence[Statement]:
        return [*context.write(index, values[0], 0), *context.write(index, values[1], 1)]

    if taken > INSERTED[size > LONG] * size.bit_length():
        return _sort_lines(context, operand, taken, read, write)
    best, parts = scratch("best", taken), _parts(math.prod(lines), size)
    if parts == 1:
        return _best_of_lines(context, best, lines, lambda _: scalar.index(size), read, write)
    part, candidates = scalar.index(-(-size // parts)), scratch("candidates", *lines, parts * taken)

    def part_length(index: tuple[Expr, ...]) -> Expr:
        rest = scalar.sub(scalar.index(size), scalar.mul(index[-1], part))
        return part if size % parts == 0 else scalar.minimum(part, rest)

    def read_part(index: tuple[Expr, ...], place: Expr) -> Sequence[Expr]:
        return read(index[:-1], scalar.add(scalar.mul(index[-1], part), place))

    def keep(index: tuple[Expr, ...], values: Sequence[Expr]) -> Sequence[Statement]:
        *line, number, place = index
        return store_all(candidates, (*line, scalar.add(scalar.mul(number, scalar.index(taken)), place)), values)

    def read_candidate(line: tuple[Expr, ...], place: Expr) -> Sequence[Expr]:
        return load_all(candidates, *line, place)

    found = _best_of_lines(context, best, [*lines, parts], part_length, read_part, keep)
    count = scalar.index(parts * taken)
    return [*found, *_best_of_lines(context, best, lines, lambda _: count, read_candidate, write)]


def _parts(lines: int, size: int) -> int:
    """How many parts each line is read in; each has more elements than are inserted."""
    return 1 if lines >= PARTS else max(1, min(PARTS, size // PART))


def _sort_lines(
    context: LoweringContext, operand: TensorType, taken: int, read: Read, write: Write
) -> Sequence[Statement]:
    """Sort each line, or the largest of its elements where most are not taken, and write the first `taken`."""
    *lines, size = operand.sizes
    largest = LargestMemory.of(context, size, taken, operand.dtype) if taken * MOST_SELECTED <= size else None
    memory = LineMemory.of(context, taken if largest else size, [operand.dtype, dtypes.i32])

    def line(index: tuple[Expr, ...]) -> Sequence[Statement]:
        def read_element(place: Expr) -> Sequence[Expr]:
            return load_all(largest.kept, place) if largest else read(index, place)

        def write_sorted(place: Expr, values: Sequence[Expr]) -> Sequence[Statement]:
            return write((*index, place), values)

        kept = keep_largest(context, largest, lambda place: read(index, place)) if largest else ()
        return [*kept, *sort_line(context, memory, read_element, is_greater, write_sorted, taken)]

    return nest(context, lines, line, private=[*memory.all, *(largest.all if largest else ())])


def _best_of_lines(
    context: LoweringContext,
    best: Sequence[Buffer],
    lines: Sequence[int],
    length: Callable[[tuple[Expr, ...]], Expr],
    read: Read,
    write: Write,
) -> Sequence[Statement]:
    """Find in each line as many of the largest as the buffers `best` hold, and write them."""
    (taken,) = best[0].shape

    def line(index: tuple[Expr, ...]) -> Sequence[Statement]:
        kept = _keep_best(context, best, length(index), lambda place: read(index, place))
        return [*kept, *nest(context, [taken], lambda place: write((*index, *place), load_all(best, *place)))]

    return nest(context, lines, line, private=best)


def _keep_best(
    context: LoweringContext, best: Sequence[Buffer], length: Expr, read: Callable[[Expr], Sequence[Expr]]
) -> Sequence[Statement]:
    """Insert the first elements of a line in order, until `best` is full, then those that beat the least so far."""
    (taken,) = best[0].shape
    zero, last = scalar.index(0), scalar.index(taken - 1)
    block = BLOCK_BYTES // best[0].dtype.itemsize

    def begin(index: tuple[Expr, ...]) -> Sequence[Statement]:
        (place,) = index
        return [*store_all(best, index, read(place)), *insert(best, (), zero, place, load_all(best, place), is_greater)]

    def go_on(place: Expr) -> Sequence[Statement]:
        bound, element = bind(context, read(place))
        insertion = insert(best, (), zero, last, element, is_greater)
        return [*bound, If(is_greater(element, load_all(best, last)), tuple(insertion))]

    def place_of(number: Expr) -> Expr:
        return scalar.add(scalar.index(taken), scalar.mul(number, scalar.index(block)))

    number, within, rest = context.axis("block"), context.axis("within", block), context.axis("rest")
    first, blocks = place_of(number), scalar.div(scalar.sub(length, scalar.index(taken)), scalar.index(block))
    test, is_any = _any_greater(context, best, block, lambda place: read(scalar.add(first, place)))
    looked_at = If(is_any, loop(within, scalar.index(block), go_on(scalar.add(first, within))))
    return [
        *nest(context, [taken], begin),
        *loop(number, blocks, [*test, looked_at]),
        *loop(rest, scalar.sub(length, place_of(blocks)), go_on(scalar.add(place_of(blocks), rest))),
    ]


def _any_greater(
    context: LoweringContext, best: Sequence[Buffer], block: int, read: Callable[[Expr], Sequence[Expr]]
) -> tuple[Sequence[Statement], Expr]:
    """Whether any of `block` elements beats the least of the best: statements that find out, and the answer.

    It is folded as a number as wide as the elements, so that vectors of both have the same lanes.
    """
    width = AS_WIDE[best[0].dtype.itemsize]
    bound, least = bind(context, load_all(best, scalar.index(best[0].shape[0] - 1)))
    lane = context.axis("lane", block)
    answer, found = Local("any", width), Local("found", width)
    greater = scalar.convert(is_greater(read(lane), least), width)
    none = scalar.constant(0, width)
    fold = loop(
        lane, scalar.index(block), (), [Carry(answer, none, scalar.apply(Primitive.OR, answer, greater), found)]
    )
    return [*bound, *fold], scalar.apply(Primitive.NE, found, none)


def is_greater(left: Sequence[Expr], right: Sequence[Expr]) -> Expr:
    """Whether one value stands before another in descending order, a NaN before every number."""
    x, y = left[0], right[0]
    if x.dtype.is_bool:
        return scalar.logical_and(x, scalar.apply(Primitive.NOT, y))
    greater = scalar.greater(x, y)
    if not x.dtype.is_float:
        return greater
    only_x_is_nan = scalar.logical_and(scalar.apply(Primitive.NE, x, x), scalar.equal(y, y))
    return scalar.logical_or(greater, only_x_is_nan)
