"""Lowering of `sort`.

A line along the sorted axis is copied into scratch memory, sorted there, and written out.  `sort` is a stable merge
sort from the bottom up: runs of `RUN` by insertion, then merges from one half of the scratch memory into the other,
those of a long line block by block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias, cast

from tenfold_rt import dtypes
from tenfoldc.ir.core import Operation
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Buffer, Carry, Expr, Load, Local, Primitive, Statement, Store, While
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.loop_nest import loop, nest
from tenfoldc.ops.sort import SortAttributes

Before: TypeAlias = Callable[[Sequence[Expr], Sequence[Expr]], Expr]
"""Whether the elements at one place, one per operand, come before those at another."""

RUN = 8
"""Runs of this length are sorted by insertion."""

LONG = 1 << 14
"""Lines up to this length are sorted by one thread."""

MOST_BLOCKS = 16
"""Blocks that a line is cut into at most; their merges are loops of their own."""


def _carry(name: str, init: Expr) -> tuple[Local, Callable[[Expr], Carry]]:
    """A name for a carried value, and the carry once its next value is known."""
    local = Local(name, init.dtype)
    return local, lambda following: Carry(local, init, following, Local(name, init.dtype))


def load_all(buffers: Sequence[Buffer], *index: Expr) -> list[Expr]:
    """The elements of all `buffers` at one index."""
    return [Load(buffer, index) for buffer in buffers]


def store_all(buffers: Sequence[Buffer], index: tuple[Expr, ...], values: Sequence[Expr]) -> list[Statement]:
    """Put one value into each of `buffers`, at one index."""
    return [Store(buffer, index, value) for buffer, value in zip(buffers, values, strict=True)]


# One line


def insert(
    buffers: Sequence[Buffer],
    half: tuple[Expr, ...],
    first: Expr,
    place: Expr,
    key: Sequence[Expr],
    before: Before,
) -> list[Statement]:
    """Move the elements from `first` to before `place` that `key` precedes up by one; put `key` in the gap."""
    gap, gap_carry = _carry("gap", place)
    keys = [_carry("key", value) for value in key]
    held = [local for local, _ in keys]
    # The condition is computed whole, so what it reads must exist even where the gap is at `first`.
    below = scalar.maximum(scalar.sub(gap, scalar.index(1)), first)
    previous = load_all(buffers, *half, below)
    condition = scalar.logical_and(scalar.greater(gap, first), before(held, previous))
    carries = [gap_carry(scalar.sub(gap, scalar.index(1))), *(carry(local) for local, carry in keys)]
    shift = While(tuple(carries), condition, tuple(store_all(buffers, (*half, gap), previous)))
    place_found, *key_found = (carry.result for carry in carries)
    return [shift, *store_all(buffers, (*half, place_found), key_found)]


def _sort_runs(context: LoweringContext, buffers: Sequence[Buffer], size: int, before: Before) -> Sequence[Statement]:
    """Sort each run of `RUN` elements of the first half."""

    def run(index: tuple[Expr, ...]) -> Sequence[Statement]:
        first = scalar.mul(index[0], scalar.index(RUN))
        length = scalar.minimum(scalar.sub(scalar.index(size), first), scalar.index(RUN))
        turn = context.axis("turn")
        place = scalar.add(first, turn)
        half = (scalar.index(0),)
        return loop(turn, length, insert(buffers, half, first, place, load_all(buffers, *half, place), before))

    return nest(context, [-(-size // RUN)], run, private=())


def _merge_pair(
    context: LoweringContext,
    buffers: Sequence[Buffer],
    source: Expr,
    bounds: tuple[Expr, Expr, Expr],
    size: int,
    before: Before,
) -> Sequence[Statement]:
    """Merge the sorted runs [low, middle) and [middle, high) of half `source` into the other half, from both ends.

    The ends do not wait for each other, so a processor works on both at once; an odd element in the middle is
    written twice.  What is taken from the left run is counted, and follows for the right.  There are no branches, which
    random data would mispredict every other time: counts grow by 0 or 1, and of two elements the place is chosen,
    not the element, because LLVM makes a choice of floats a branch.
    """
    (low, _, high), one = bounds, scalar.index(1)
    turn, target = context.axis("turn"), scalar.sub(one, source)
    first, carry_first, left = _take_first(buffers, source, bounds, turn, size, before)
    last, carry_last, kept = _take_last(buffers, source, bounds, turn, before)
    stores = [
        *store_all(buffers, (target, scalar.add(low, turn)), first),
        *store_all(buffers, (target, scalar.sub(scalar.sub(high, one), turn)), last),
    ]
    half = scalar.div(scalar.add(scalar.sub(high, low), one), scalar.index(2))
    return loop(turn, half, stores, [carry_first(left), carry_last(kept)])


_Taken: TypeAlias = tuple[list[Expr], Callable[[Expr], Carry], Expr]
"""The elements that are next, the carry that counts, and the count after them."""


def _take_first(
    buffers: Sequence[Buffer],
    source: Expr,
    bounds: tuple[Expr, Expr, Expr],
    turn: Expr,
    size: int,
    before: Before,
) -> _Taken:
    """The `turn`th of the merged elements; `left` is the first of the left run that is not yet taken."""
    (low, middle, high), last = bounds, scalar.index(size - 1)
    left, carry = _carry("left", low)
    right = scalar.sub(scalar.add(scalar.add(low, middle), turn), left)
    left_place, right_place = scalar.minimum(left, last), scalar.minimum(right, last)
    on_left, on_right = (load_all(buffers, source, place) for place in (left_place, right_place))
    takes_right = scalar.logical_and(
        scalar.less(right, high), scalar.logical_or(scalar.greater_equal(left, middle), before(on_right, on_left))
    )
    takes_left = scalar.convert(scalar.apply(Primitive.NOT, takes_right), dtypes.i64)
    taken = load_all(buffers, source, _chosen(takes_right, right_place, left_place))
    return taken, carry, scalar.add(left, takes_left)


def _take_last(
    buffers: Sequence[Buffer], source: Expr, bounds: tuple[Expr, Expr, Expr], turn: Expr, before: Before
) -> _Taken:
    """The `turn`th of the merged elements from the end; `left` is the first of the left run that is taken."""
    (low, middle, high), zero, one = bounds, scalar.index(0), scalar.index(1)
    left, carry = _carry("left_end", middle)
    right = scalar.sub(scalar.sub(scalar.add(middle, high), turn), left)
    left_place, right_place = (scalar.maximum(scalar.sub(end, one), zero) for end in (left, right))
    on_left, on_right = (load_all(buffers, source, place) for place in (left_place, right_place))
    takes_left = scalar.logical_and(
        scalar.greater(left, low), scalar.logical_or(scalar.less_equal(right, middle), before(on_right, on_left))
    )
    taken = load_all(buffers, source, _chosen(takes_left, left_place, right_place))
    return taken, carry, scalar.sub(left, scalar.convert(takes_left, dtypes.i64))


def _chosen(condition: Expr, on_true: Expr, on_false: Expr) -> Expr:
    """One of two places, by arithmetic: of a `select` of places LLVM makes one of the elements there."""
    step = scalar.mul(scalar.convert(condition, dtypes.i64), scalar.sub(on_true, on_false))
    return scalar.add(on_false, step)


def _merge_runs(
    context: LoweringContext, buffers: Sequence[Buffer], size: int, before: Before
) -> tuple[Sequence[Statement], Expr]:
    """Merge sorted runs until one is left; also gives the half that it is in.

    A long line is sorted in blocks that fit into a cache, each by one thread, before the blocks are merged.
    """
    block = _block(size)
    half = _rounds(block) % 2

    def sort_block(index: tuple[Expr, ...]) -> Sequence[Statement]:
        first = scalar.mul(index[0], scalar.index(block))
        end = scalar.minimum(scalar.add(first, scalar.index(block)), scalar.index(size))
        width, width_carry = _carry("width", scalar.index(RUN))
        source, source_carry = _carry("source", scalar.index(0))
        pair, stride = context.axis("pair"), scalar.mul(width, scalar.index(2))
        low = scalar.add(first, scalar.mul(pair, stride))
        pairs = scalar.div(scalar.add(scalar.sub(end, first), scalar.sub(stride, scalar.index(1))), stride)
        merge = _merge_pair(context, buffers, source, _bounds(low, width, end), size, before)
        carries = (width_carry(stride), source_carry(scalar.sub(scalar.index(1), source)))
        return (While(carries, scalar.less(width, scalar.index(block)), loop(pair, pairs, merge)),)

    statements = list(nest(context, [-(-size // block)], sort_block, "block", private=()) if block > RUN else ())
    end = scalar.index(size)
    while block < size:
        width, source = scalar.index(block), scalar.index(half)

        def merge_pair(index: tuple[Expr, ...], width: Expr = width, source: Expr = source) -> Sequence[Statement]:
            low = scalar.mul(index[0], scalar.mul(width, scalar.index(2)))
            return _merge_pair(context, buffers, source, _bounds(low, width, end), size, before)

        block, half = 2 * block, 1 - half
        statements += nest(context, [-(-size // block)], merge_pair, "pair", private=())
    return statements, scalar.index(half)


def _block(size: int) -> int:
    """How many elements of a line are sorted before anything else: all, or runs that have doubled in length."""
    if size <= LONG:
        return max(size, RUN)
    block = RUN
    while block < max(LONG // 2, size // MOST_BLOCKS):
        block *= 2
    return block


def _rounds(length: int) -> int:
    """In how many rounds of merges runs become this long."""
    return (-(-length // RUN) - 1).bit_length()


def _bounds(low: Expr, width: Expr, end: Expr) -> tuple[Expr, Expr, Expr]:
    """Where the first run of a pair begins, where the second does, and where that ends."""
    middle = scalar.minimum(scalar.add(low, width), end)
    return low, middle, scalar.minimum(scalar.add(middle, width), end)


def sort_line(
    context: LoweringContext,
    buffers: Sequence[Buffer],
    size: int,
    read: Callable[[Expr], Sequence[Expr]],
    before: Before,
    write: Callable[[Expr, Sequence[Expr]], Sequence[Statement]],
    taken: int,
) -> Sequence[Statement]:
    """Sort the line of `size` elements that `read` gives and `write` the first `taken`."""
    zero = scalar.index(0)
    filled = nest(context, [size], lambda index: store_all(buffers, (zero, *index), read(index[0])), private=())
    merged, half = _merge_runs(context, buffers, size, before)
    written = nest(context, [taken], lambda index: write(index[0], load_all(buffers, half, *index)), private=())
    return [*filled, *_sort_runs(context, buffers, size, before), *merged, *written]


# sort


def lower_sort(operation: Operation, context: LoweringContext) -> Sequence[Statement]:
    """Statements for `sort`, of any number of operands by any comparator; equal elements keep their order."""
    sizes = operation.operands[0].type.sizes
    axis = cast(SortAttributes, operation.attributes).axis(len(sizes))
    buffers = [context.scratch("line", operand.type.dtype, (2, sizes[axis])) for operand in operation.operands]

    def before(left: Sequence[Expr], right: Sequence[Expr]) -> Expr:
        return context.region(0, [value for pair in zip(left, right, strict=True) for value in pair])[0]

    def line(outer: tuple[Expr, ...]) -> Sequence[Statement]:
        def index(place: Expr) -> tuple[Expr, ...]:
            return (*outer[:axis], place, *outer[axis:])

        def read(place: Expr) -> Sequence[Expr]:
            return [context.read(number, index(place)) for number in range(len(buffers))]

        def write(place: Expr, values: Sequence[Expr]) -> Sequence[Statement]:
            return [
                statement
                for number, value in enumerate(values)
                for statement in context.write(index(place), value, number)
            ]

        return sort_line(context, buffers, sizes[axis], read, before, write, sizes[axis])

    if 0 in sizes:
        return ()
    return nest(context, [size for number, size in enumerate(sizes) if number != axis], line, private=buffers)
