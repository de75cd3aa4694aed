"""Lowering of `sort`.

A line along the sorted axis is copied into scratch memory, sorted there, and written out.  `sort` is a stable merge
sort from the bottom up: runs of `RUN` by counting, then merges from one half of the scratch memory into the other,
those of a long line block by block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias, cast

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.frozen import frozen
from tenfoldc.ir.core import Operation
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Apply, Buffer, Carry, Expr, For, Load, Local, Mode, Primitive, Statement, Store, While
from tenfoldc.lower.context import LoweringContext
from tenfoldc.lower.loop_nest import bind, loop, nest
from tenfoldc.ops.sort import SortAttributes

Before: TypeAlias = Callable[[Sequence[Expr], Sequence[Expr]], Expr]
"""Whether the elements at one place, one per operand, come before those at another."""

RUN = 16
"""Runs of this length are sorted by counting, before they are merged."""

LONGEST_RUN = 32
"""Lines up to this length are one run."""

LANE_BYTES = 32
"""What is compared at once: a vector of AVX2's."""

AS_WIDE = {dtype.itemsize: dtype for dtype in (dtypes.i8, dtypes.i16, dtypes.i32, dtypes.i64)}
"""Integers by the bytes that they take."""

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


@frozen
class LineMemory:
    """Scratch memory of a line: two copies of the `elements` of each operand, and for a run of it `ranks` and `places`.

    Copies have room for whole runs, beyond the line filled with its last element.
    """

    size: int
    elements: tuple[Buffer, ...]
    ranks: Buffer
    places: Buffer

    @staticmethod
    def of(context: LoweringContext, size: int, element_types: Sequence[DType]) -> LineMemory:
        """Memory for lines of `size` elements of these types."""
        numbers = AS_WIDE[element_types[0].itemsize]
        lanes, room = _padded(_run(size), numbers), _padded(size, numbers)
        elements = tuple(context.scratch("line", dtype, (2, room)) for dtype in element_types)
        # As wide as the elements, so that vectors of all have the same lanes.
        ranks, places = (
            context.scratch(name, AS_WIDE[element_types[0].itemsize], (lanes,)) for name in ("ranks", "places")
        )
        return LineMemory(size, elements, ranks, places)

    @property
    def all(self) -> tuple[Buffer, ...]:
        """All buffers, which are private to what sorts a line."""
        return (*self.elements, self.ranks, self.places)


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


def _sort_runs(context: LoweringContext, line: LineMemory, before: Before) -> Sequence[Statement]:
    """Sort each run of the first half into the second: an element's place is how many others come before it.

    That is counted in vectors and without branches, of which insertion would have one for each element that it moves.
    """
    length = _run(line.size)
    whole, rest = divmod(line.size, length)

    def run(index: tuple[Expr, ...]) -> Sequence[Statement]:
        return _sort_run(context, line, scalar.mul(index[0], scalar.index(length)), length, before)

    runs = [*_number(context, line, length), *nest(context, [whole], run, "run", private=[line.ranks])]
    if rest == 0:
        return runs
    last = _sort_run(context, line, scalar.index(whole * length), rest, before)
    return [*runs, *_number(context, line, rest), *last]


def _number(context: LoweringContext, line: LineMemory, length: int) -> Sequence[Statement]:
    """The places of a run of `length`; what lies beyond has one less than any."""

    def place(index: tuple[Expr, ...]) -> Sequence[Statement]:
        number = scalar.select(scalar.less(index[0], scalar.index(length)), index[0], scalar.index(-1))
        return [Store(line.places, index, scalar.convert(number, line.places.dtype))]

    return nest(context, line.places.shape, place)


def _sort_run(
    context: LoweringContext, line: LineMemory, first: Expr, length: int, before: Before
) -> Sequence[Statement]:
    """Compare each element with all after it: one of the two comes before the other, of equals the first.

    What lies beyond the run does not count, as it has no place after any.
    """
    ranks, places = line.ranks, line.places
    turn, zero, one = context.axis("turn", length), scalar.index(0), scalar.index(1)
    keys = load_all(line.elements, zero, scalar.add(first, turn))
    bound, (place, *key) = bind(context, [Load(places, (turn,)), *keys])
    clears: list[Statement] = []
    compares: list[Statement] = []
    later: Expr = scalar.constant(0, ranks.dtype)
    for begin in range(0, _padded(length, ranks.dtype), LANE_BYTES // ranks.dtype.itemsize):
        lanes = LANE_BYTES // ranks.dtype.itemsize
        begun, lane = context.axis("begun", lanes), context.axis("other", lanes)
        cleared = Store(ranks, (scalar.add(scalar.index(begin), begun),), scalar.constant(0, ranks.dtype))
        clears.append(For(begun, scalar.index(lanes), (cleared,), mode=Mode.LANES))
        other = scalar.add(scalar.index(begin), lane)
        is_after = scalar.greater(Load(places, (other,)), place)
        compared = load_all(line.elements, zero, scalar.add(first, other))
        precedes = scalar.convert(scalar.logical_and(is_after, before(compared, key)), ranks.dtype)
        follows = scalar.sub(scalar.convert(is_after, ranks.dtype), precedes)
        noted = Store(ranks, (other,), scalar.add(Load(ranks, (other,)), follows))
        count, counted = Local("count", ranks.dtype), Local("later", ranks.dtype)
        carry = Carry(count, later, Apply(Primitive.ADD, (count, precedes), ranks.dtype), counted)
        compares.append(For(lane, scalar.index(lanes), (noted,), (carry,), Mode.LANES))
        later = counted
    rank = scalar.convert(scalar.add(Load(ranks, (turn,)), later), dtypes.i64)
    body = [*bound, *compares, *store_all(line.elements, (one, scalar.add(first, rank)), key)]
    return [*clears, *loop(turn, scalar.index(length), body)]


def _padded(length: int, dtype: DType) -> int:
    lanes = LANE_BYTES // dtype.itemsize
    return -(-length // lanes) * lanes


def _run(size: int) -> int:
    """The length of the runs that a line is first cut into."""
    return size if size <= LONGEST_RUN else RUN


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
    if _run(size) == size:
        return (), scalar.index(1)
    block = _block(size)
    half = (1 + _rounds(block)) % 2

    def sort_block(index: tuple[Expr, ...]) -> Sequence[Statement]:
        first = scalar.mul(index[0], scalar.index(block))
        end = scalar.minimum(scalar.add(first, scalar.index(block)), scalar.index(size))
        width, width_carry = _carry("width", scalar.index(RUN))
        source, source_carry = _carry("source", scalar.index(1))
        pair, stride = context.axis("pair"), scalar.mul(width, scalar.index(2))
        low = scalar.add(first, scalar.mul(pair, stride))
        pairs = scalar.div(scalar.add(scalar.sub(end, first), scalar.sub(stride, scalar.index(1))), stride)
        merge = _merge_pair(context, buffers, source, _bounds(low, width, end), size, before)
        carries = (width_carry(stride), source_carry(scalar.sub(scalar.index(1), source)))
        return (While(carries, scalar.less(width, scalar.index(block)), loop(pair, pairs, merge)),)

    statements = list(nest(context, [-(-size // block)], sort_block, "block", private=()))
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
        return size
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
    line: LineMemory,
    read: Callable[[Expr], Sequence[Expr]],
    before: Before,
    write: Callable[[Expr, Sequence[Expr]], Sequence[Statement]],
    taken: int,
) -> Sequence[Statement]:
    """Sort the line that `read` gives and `write` the first `taken` elements."""
    zero, elements = scalar.index(0), line.elements
    filled = nest(context, [line.size], lambda index: store_all(elements, (zero, *index), read(index[0])), private=())
    beyond, last = elements[0].shape[1] - line.size, scalar.index(line.size - 1)

    def pad(index: tuple[Expr, ...]) -> Sequence[Statement]:
        place = scalar.add(scalar.index(line.size), index[0])
        return store_all(elements, (zero, place), load_all(elements, zero, last))

    merged, half = _merge_runs(context, elements, line.size, before)
    written = nest(context, [taken], lambda index: write(index[0], load_all(elements, half, *index)), private=())
    return [*filled, *nest(context, [beyond], pad), *_sort_runs(context, line, before), *merged, *written]


# sort


def lower_sort(operation: Operation, context: LoweringContext) -> Sequence[Statement]:
    """Statements for `sort`, of any number of operands by any comparator; equal elements keep their order."""
    sizes = operation.operands[0].type.sizes
    axis = cast(SortAttributes, operation.attributes).axis(len(sizes))
    if 0 in sizes:
        return ()
    memory = LineMemory.of(context, sizes[axis], [operand.type.dtype for operand in operation.operands])

    def before(left: Sequence[Expr], right: Sequence[Expr]) -> Expr:
        return context.region(0, [value for pair in zip(left, right, strict=True) for value in pair])[0]

    def line(outer: tuple[Expr, ...]) -> Sequence[Statement]:
        def index(place: Expr) -> tuple[Expr, ...]:
            return (*outer[:axis], place, *outer[axis:])

        def read(place: Expr) -> Sequence[Expr]:
            return [context.read(number, index(place)) for number in range(len(memory.elements))]

        def write(place: Expr, values: Sequence[Expr]) -> Sequence[Statement]:
            return [
                statement
                for number, value in enumerate(values)
                for statement in context.write(index(place), value, number)
            ]

        return sort_line(context, memory, read, before, write, sizes[axis])

    return nest(context, [size for number, size in enumerate(sizes) if number != axis], line, private=memory.all)
