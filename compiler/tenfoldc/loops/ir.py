"""The loop IR: what a kernel does, element by element.  Its whole grammar:

    Program    = name, parameters: Buffer*, results: Buffer*, temporaries: Buffer*, constants, kernels: Kernel*,
                 tapes: Buffer*
    Kernel     = name, body: Statement*, scratch: Buffer*
    Statement  = For(axis, extent, body, carries, mode, private)   carries: values handed from turn to turn
               | While(carries, condition, body, turns)
               | If(condition, then, otherwise)
               | Store(buffer, index, value)
               | Prefetch(buffer, index)                     ask for memory that is soon to be read
               | MultiplyPanels(...)                         the register-tiled inner kernel of a contraction
               | RequestMatrixUnit(granted) | MultiplyStrip(...)  the same on the tiles of a matrix unit
               | TransposeTile(...)                          a tile of memory, transposed in registers
               | StreamCopy(...)                             a copy that leaves the cache alone
               | WriteTape(tape, place, source) | ReadTape(tape, place, target)
               | Launch(name, block, blocks, thread, threads, body, shared)     a kernel of a GPU
               | Combine(values, results, ...) | Barrier                        what the threads of a block do together
               | MultiplyTiles(...)                            tiles of a product, and what is done with each sum
               | MultiplyChain(...)                            products, folds of their rows, and products of these
    Expr       = Constant(value) | Axis | Local | Load(buffer, index)
               | Apply(primitive, operands) | Call(function, operands)
    Buffer     = name, dtype, shape                          dense, row-major
    Function   = name, parameters: Local*, body: Expr        a scalar function such as exp

Expressions are immutable and compared by identity: an expression used twice within one scope is computed once.
Every expression has a dtype; indices and extents are i64.  A bool is one bit in expressions, one byte in memory.
Loops run from 0 to extent - 1; an extent of 0 runs nothing.  Nothing here depends on a target.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum
from typing import Any, TypeAlias

from numpy.typing import NDArray

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfold_rt.frozen import frozen
from tenfoldc.loops.chains import ChainProduct as ChainProduct
from tenfoldc.loops.chains import ColumnPass as ColumnPass
from tenfoldc.loops.chains import MultiplyChain as MultiplyChain
from tenfoldc.loops.chains import RowFold as RowFold
from tenfoldc.loops.chains import RowSum as RowSum
from tenfoldc.loops.moves import StreamCopy as StreamCopy
from tenfoldc.loops.moves import TransposeTile as TransposeTile
from tenfoldc.loops.primitive import COMPARISONS as COMPARISONS
from tenfoldc.loops.primitive import Primitive as Primitive
from tenfoldc.loops.tiles import Tiling
from tenfoldc.tuning import Decision


@frozen(eq=False)
class Buffer:
    """Dense row-major memory.  `base`, where given, is the buffer whose memory this one views in another shape."""

    name: str
    dtype: DType
    shape: tuple[int, ...]
    base: Buffer | None = None

    @property
    def storage(self) -> Buffer:
        """The buffer that owns the memory."""
        return self if self.base is None else self.base.storage

    @property
    def nbytes(self) -> int:
        """What its elements take."""
        return math.prod(self.shape) * self.dtype.itemsize


@frozen(eq=False)
class Constant:
    """A scalar known at compile time."""

    value: bool | int | float
    dtype: DType


@frozen(eq=False)
class Axis:
    """The index of a loop."""

    name: str

    @property
    def dtype(self) -> DType:
        return dtypes.i64


@frozen(eq=False)
class Local:
    """A value bound by a loop's carry or by a function's parameter."""

    name: str
    dtype: DType


@frozen(eq=False)
class Load:
    """The element of `buffer` at `index`, which must lie inside."""

    buffer: Buffer
    index: tuple[Expr, ...]

    @property
    def dtype(self) -> DType:
        return self.buffer.dtype


@frozen(eq=False)
class Apply:
    """A primitive applied.  `reassociate` marks an accumulator's addition that may be done in any order."""

    primitive: Primitive
    operands: tuple[Expr, ...]
    dtype: DType
    reassociate: bool = False


@frozen(eq=False)
class Call:
    """A scalar function applied."""

    function: Function
    operands: tuple[Expr, ...]

    @property
    def dtype(self) -> DType:
        return self.function.body.dtype


Expr: TypeAlias = Constant | Axis | Local | Load | Apply | Call


@frozen(eq=False)
class Function:
    """A scalar function with one result; `name` is unique, as in `exp.f32`.

    A back end inlines it where it is called, or calls it: always where it has a `rare` case.
    """

    name: str
    parameters: tuple[Local, ...]
    body: Expr
    rare: RareCase | None = None


@frozen(eq=False)
class RareCase:
    """Where `condition` holds, the `result` is that of another function, which is seldom computed at all."""

    condition: Function
    result: Function


@frozen(eq=False)
class Carry:
    """A value handed from one turn of a loop to the next.

    `value` is `init` in the first turn and the previous turn's `next` after; `result` is its value after the loop.
    `next` may use what the body's scope computes.
    """

    value: Local
    init: Expr
    next: Expr
    result: Local


class Mode(Enum):
    """How a loop runs.

    The turns of a `PARALLEL` loop, which has no carries, may run in any order and at one time: none reads what
    another writes.  Lowering marks all such loops; scheduling leaves those marked that are worth sharing out, no
    two of them nested.  The turns of a `LANES` loop are those of one vector: none reads what another writes, and
    what two of them write to one place is the same.
    """

    SERIAL = "serial"
    VECTOR = "vector"
    LANES = "lanes"
    UNROLLED = "unrolled"
    PARALLEL = "parallel"


@frozen(eq=False)
class For:
    """`for axis in range(extent): body`.

    The `private` buffers of a parallel loop are scratch memory that holds nothing from one turn to the next, so that
    each thread may have its own.
    """

    axis: Axis
    extent: Expr
    body: tuple[Statement, ...]
    carries: tuple[Carry, ...] = ()
    mode: Mode = Mode.SERIAL
    private: tuple[Buffer, ...] = ()


@frozen(eq=False)
class While:
    """Repeat `body` while `condition`, which sees the carried values, holds.

    `turns`, where given, is how often that is.
    """

    carries: tuple[Carry, ...]
    condition: Expr
    body: tuple[Statement, ...]
    turns: int | None = None


@frozen(eq=False)
class If:
    """Run `then` or `otherwise`."""

    condition: Expr
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...] = ()


@frozen(eq=False)
class Store:
    """`buffer[index] = value`; `index` must lie inside."""

    buffer: Buffer
    index: tuple[Expr, ...]
    value: Expr


@frozen(eq=False)
class Prefetch:
    """Ask for the cache line of `buffer[index]`, which may lie outside: nothing is read, whatever is there."""

    buffer: Buffer
    index: tuple[Expr, ...]


@frozen(eq=False)
class MultiplyPanels:
    """`target[i, j] (+)= sum over k of lhs[lhs_panel, lhs_first + k, i] * rhs[rhs_panel, rhs_first + k, j]`.

    `lhs` has shape (panels, depth, mr) and `rhs` (panels, depth, nr), packed so that the inner loop reads both in
    order; `target` is two-dimensional and the tile begins at (`row`, `column`).  `depth` turns are taken from k = 0,
    for i < `rows` <= mr and j < `columns` <= nr, the part of the tile that lies inside `target`; panels are padded with
    zeros to their full width.  `accumulate` adds to what `target` holds, else it is overwritten.

    A two-dimensional `lhs` is read in place, as lhs[lhs_panel + i, lhs_first + k]; a two-dimensional `rhs` likewise,
    as rhs[rhs_first + k, rhs_panel + j].  Its rows are on the way copied to `packed`, of shape (1, depth, nr), where
    that is given: packed[0, k, j], with zeros for j >= columns.
    """

    target: Buffer
    row: Expr
    column: Expr
    lhs: Buffer
    lhs_panel: Expr
    rhs: Buffer
    rhs_panel: Expr
    depth: Expr
    rows: int
    columns: int
    accumulate: bool
    lhs_first: Expr = Constant(0, dtypes.i64)
    rhs_first: Expr = Constant(0, dtypes.i64)
    packed: Buffer | None = None


@frozen(eq=False)
class RequestMatrixUnit:
    """`granted[0]` becomes whether this process may use the matrix unit, which only the running machine can say."""

    granted: Buffer


@frozen(eq=False)
class MultiplyStrip:
    """`target[row + i, column + j] (+)= sum over k of x[i, k] * y[k, j]` for i < `rows`, j < `columns` <= 32.

    `target` is a matrix of f32.  A factor is the sum of parts that are bf16, the largest first; of the products of two
    parts those are added that can matter in f32 (`part_products`).  Part p of x[i, k] and of y[k, j] lies in a word at

        lhs[lhs_panel + i / 32, k / 32, p, i % 32, k % 16]    of shape (panels, steps, parts, 32, 16)
        rhs[rhs_panel, k / 32, p, j / 16, k % 16, j % 16]     of shape (panels, steps, parts, 2, 16, 16)

    in the word's lower half for k % 32 < 16, else in its upper half; what lies beyond rows, columns and depth is zero.
    Sums of `steps` steps of the depth begin at zero, and only then are added to what `target` holds if `accumulate`.
    """

    target: Buffer
    row: Expr
    column: Expr
    lhs: Buffer
    lhs_panel: Expr
    rhs: Buffer
    rhs_panel: Expr
    steps: Expr
    rows: Expr
    columns: int
    accumulate: bool


TAPE_WORDS = 3
"""What is known of a tape, in words of i64: the address of its elements, how many bytes there is room for, and whether
memory has run out."""


@frozen(eq=False)
class WriteTape:
    """Element `place` of `tape` becomes a copy of `source`, whole; it is at most one behind the last element.

    A tape is a buffer of the program's `tapes`: no memory for elements, but what is known of memory that grows.
    """

    tape: Buffer
    place: Expr
    source: Buffer


@frozen(eq=False)
class ReadTape:
    """`target`, whole, becomes a copy of element `place` of `tape`, which has been written."""

    tape: Buffer
    place: Expr
    target: Buffer


@frozen(eq=False)
class Launch:
    """On a GPU, `body` for each `block` < `blocks` and each of its threads, `thread` < `threads`.

    Blocks run in any order and at one time: none reads what another writes.  The threads of one block run at one time
    too; what one writes, to memory or to the `shared` buffers that each block has its own of, another reads only
    after a `Barrier`.  Loops and branches around a `Barrier` or a `Combine` take the same turns in all threads of a
    block.  Each thread has its own part of the `private` buffers, the first axis of which is as long as all blocks
    have threads: what views of them, without that axis, name.
    """

    name: str
    block: Axis
    blocks: Expr
    thread: Axis
    threads: int
    body: tuple[Statement, ...]
    shared: tuple[Buffer, ...] = ()
    private: tuple[Buffer, ...] = ()


@frozen(eq=False)
class Combine:
    """Inside a launch, one value for the `values` of `threads` neighbouring threads, known to all as `results`.

    Neighbours are `stride` threads apart, in groups of `threads` times `stride`; both are powers of two.  Two values,
    of the lower threads `lhs` and of the higher ones `rhs`, combine to `combined`; which with which depends on the
    number of threads alone.
    """

    values: tuple[Expr, ...]
    results: tuple[Local, ...]
    lhs: tuple[Local, ...]
    rhs: tuple[Local, ...]
    combined: tuple[Expr, ...]
    threads: int
    stride: int = 1


@frozen(eq=False)
class Barrier:
    """Inside a launch, all threads of the block wait for each other, and see what each has written."""


@frozen(eq=False)
class TileFactor:
    """One factor of products in tiles: its `element` in terms of a line (a row or a column), a position and a channel.

    Where `inside` is false, the factor is 0.  Each `vector` elements, along the channels where `along_depth`, else
    along the lines, are neighbours in memory, the first aligned to all of them.  `vector` divides how many there are.
    """

    line: Axis
    position: Axis
    channel: Axis
    element: Expr
    inside: Expr | None = None
    vector: int = 1
    along_depth: bool = True


@frozen(eq=False)
class MultiplyTiles:
    """Inside a launch, a tile of a product of matrices: `body` for each of its rows and columns, and their `value`.

    `value` is the sum over depths k of lhs(row, k) * rhs(column, k), k being position * `channels` + channel.  Of the
    slices of the tiling's depth, `slices` from `first_slice` on are taken.  Depths beyond all, and lines beyond `rows`
    and `columns`, do not count.  Block b takes the tiles number b, b + the launch's blocks, ... below `tiles`; where
    one begins may be in terms of its number `tile`.  `memory` is shared, of bytes, and holds nothing before or after.
    Each `vector` columns are done by one thread.
    """

    tiling: Tiling
    block: Axis
    thread: Axis
    tile: Axis
    tiles: int
    first_row: Expr
    first_column: Expr
    first_slice: Expr
    slices: int
    rows: int
    columns: int
    positions: int
    channels: int
    lhs: TileFactor
    rhs: TileFactor
    memory: Buffer
    row: Axis
    column: Axis
    value: Local
    vector: int
    body: tuple[Statement, ...]


Statement: TypeAlias = (
    For
    | While
    | If
    | Store
    | Prefetch
    | MultiplyPanels
    | RequestMatrixUnit
    | MultiplyStrip
    | TransposeTile
    | StreamCopy
    | WriteTape
    | ReadTape
    | Launch
    | Combine
    | Barrier
    | MultiplyTiles
    | MultiplyChain
)


@frozen(eq=False)
class Kernel:
    """One fused loop nest.  `scratch` buffers live only while it runs; `location` is the user's line.

    `decisions` are what measurement could have decided otherwise.
    """

    name: str
    body: tuple[Statement, ...]
    scratch: tuple[Buffer, ...] = ()
    location: str = ""
    decisions: tuple[Decision, ...] = ()


@frozen(eq=False)
class Program:
    """One entry as kernels in order.  `constants` gives the contents of read-only buffers.

    `donated` pairs (parameter, result) indices whose memory may be one and the same when called.  `tapes` are records
    of `TAPE_WORDS` words each.
    """

    name: str
    parameters: tuple[Buffer, ...]
    results: tuple[Buffer, ...]
    temporaries: tuple[Buffer, ...]
    constants: Mapping[Buffer, NDArray[Any]]
    kernels: tuple[Kernel, ...]
    donated: tuple[tuple[int, int], ...] = ()
    tapes: tuple[Buffer, ...] = ()


@frozen(eq=False)
class Allocation:
    """Where temporaries and scratch live: byte offsets in one workspace, 64-byte aligned.

    The last `private_bytes` of it are what each thread needs of its own; a workspace for n threads has n such parts,
    one after the other.
    """

    offsets: Mapping[Buffer, int]
    workspace_bytes: int
    private_bytes: int = 0
