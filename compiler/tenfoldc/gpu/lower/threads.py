"""How a nest is shared out between the threads of a GPU: how many threads fold a row, and what each of them takes.

A thread takes cells, each `vector` elements that are neighbours in memory and move at once, 16 bytes.  Of a row, its
cells lie `threads` cells apart, so that neighbouring threads touch neighbouring memory:

    cell k of thread t of a row of n elements: elements (k * threads + t) * vector ... + vector - 1
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tenfold_rt.frozen import frozen
from tenfoldc.loops.ir import Buffer, Statement
from tenfoldc.loops.traversal import loaded, stored

BLOCK = 256
"""Threads of a block where nothing asks for more."""

MOST_THREADS = 1024
WARP = 32
ACCESS_BYTES = 16
"""The widest access of a thread."""

SHARED_BYTES = 48 << 10
"""Shared memory that a block has without asking for more."""

_SHARED_ALIGNMENT = 1024

_CELL_ELEMENTS = 8
"""Elements of a row that a thread should have at least."""

_MOST_ELEMENTS = 32
"""Elements of a row that a thread keeps in registers at most, where each is a value or two."""

_KEEPING_THREADS = 512
"""Threads of a team that keeps its row: they have 128 registers each, twice as many as those of the largest block."""

_MANY_OPERATIONS = 12
"""Operations from which an element is taken to be more than a value or two."""

FULL = 264
"""Blocks from which a GPU is full: two for each of 132 multiprocessors."""

_PART_ELEMENTS = 8192
"""Elements that a block folds at least before more blocks share a row."""


@frozen
class Team:
    """The threads of a block: `threads` fold one row, `rows` such teams are one block.

    `stride` is how far apart the threads of a team are: 1 where they are neighbours, `rows` where rows are neighbours
    in memory.  A thread has `cells` cells of `vector` elements of its row; where it `is_looped`, these are too many for
    registers, and passed over in a loop, once for each pass.
    """

    threads: int
    rows: int
    stride: int
    cells: int
    vector: int
    is_looped: bool

    @property
    def size(self) -> int:
        """The threads of a block."""
        return self.threads * self.rows


def along_rows(length: int, vector: int, operations: int) -> Team:
    """The team for rows of `length` elements that are neighbours in memory, read `vector` at a time."""
    vectors = -(-length // vector)
    wanted = power_of_two(-(-length // max(_CELL_ELEMENTS, vector)))
    threads = min(_KEEPING_THREADS, wanted)
    is_looped = _is_looped(-(-vectors // threads) * vector, operations)
    if is_looped:
        threads = min(MOST_THREADS, wanted)
    return Team(threads, max(1, BLOCK // threads), 1, -(-vectors // threads), vector, is_looped)


def across_rows(length: int, rows: int, operations: int) -> Team:
    """The team for rows of `length` elements, `rows` of which are neighbours in memory."""
    columns = min(WARP, power_of_two(rows))
    threads = min(_KEEPING_THREADS // columns, power_of_two(-(-length // _CELL_ELEMENTS)))
    cells = -(-length // threads)
    return Team(threads, columns, columns, cells, 1, _is_looped(cells, operations))


def _is_looped(elements: int, operations: int) -> bool:
    return elements > (_MOST_ELEMENTS if operations < _MANY_OPERATIONS else _MOST_ELEMENTS // 2)


def parts_of(length: int, blocks: int, team: Team) -> int:
    """How many blocks share a row of `length` elements where there are `blocks` of them; 1: none do."""
    if blocks >= FULL:
        return 1
    return max(1, min(FULL // max(blocks, 1), length * team.rows // _PART_ELEMENTS, MOST_THREADS))


def vector_width(statements: Sequence[Statement]) -> int:
    """How many elements make 16 bytes, of the widest that `statements` read or write."""
    sizes = [buffer.dtype.itemsize for buffer in (*loaded(statements), *stored(statements))]
    return ACCESS_BYTES // max(sizes, default=ACCESS_BYTES)


def divided(extent: int, vector: int) -> int:
    """The greatest number of elements, at most `vector`, that an extent is made up of without a rest."""
    return math.gcd(extent, vector)


def shared_size(buffer: Buffer) -> int:
    """The bytes that a buffer takes of shared memory."""
    return -(-buffer.nbytes // _SHARED_ALIGNMENT) * _SHARED_ALIGNMENT


def power_of_two(least: int) -> int:
    """The least power of two that is at least `least`."""
    return 1 << max(0, least - 1).bit_length()
