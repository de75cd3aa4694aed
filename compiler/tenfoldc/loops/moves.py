"""Statements of the loop IR that move elements from one place in memory to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenfold_rt.frozen import frozen

if TYPE_CHECKING:
    from tenfoldc.loops.ir import Buffer, Expr


@frozen(eq=False)
class TransposeTile:
    """`target[target_first + i * target_stride + j] = source[source_first + j * source_stride + i]`.

    That for i < rows and j < columns.  Both buffers have one axis, one dtype, and different memory.
    """

    target: Buffer
    target_first: Expr
    target_stride: int
    source: Buffer
    source_first: Expr
    source_stride: int
    rows: Expr
    columns: Expr


@frozen(eq=False)
class StreamCopy:
    """`target[target_first + i] = source[i]` for i < count, written past the cache.

    Both buffers have one axis, one dtype, and different memory.
    """

    target: Buffer
    target_first: Expr
    source: Buffer
    count: Expr
