"""A launch while it is written: its indices, its shared memory, and indices that stand for what threads compute."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tenfold_rt.dtypes import DType
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Axis, Buffer, Expr, For, If, Launch, Primitive, Statement
from tenfoldc.loops.rewriting import BufferReplacer


class Grid:
    """`blocks` blocks of `threads` threads each; `axis(name, extent)` makes an index."""

    def __init__(self, axis: Callable[[str, int], Axis], blocks: int, threads: int) -> None:
        self.blocks, self.threads = blocks, threads
        self.block, self.thread = axis("block", blocks), axis("thread", threads)
        self._axis = axis
        self._shared: list[Buffer] = []
        self._known: dict[Expr, Expr] = {}

    @property
    def number(self) -> Expr:
        """The number of a thread among those of all blocks."""
        return scalar.add(scalar.mul(self.block, scalar.index(self.threads)), self.thread)

    def known(self, name: str, extent: int, value: Expr) -> Axis:
        """An index that is known to lie below `extent` and stands for `value`, wherever it is used."""
        axis = self._axis(name, extent)
        self._known[axis] = BufferReplacer({}, self._known).expression(value)
        return axis

    def shared(self, name: str, dtype: DType, shape: Sequence[int]) -> Buffer:
        """Memory that the threads of a block share."""
        buffer = Buffer(f"{name}{len(self._shared)}", dtype, tuple(shape))
        self._shared.append(buffer)
        return buffer

    def shared_out(self, name: str, extent: int, body: Callable[[Axis], Sequence[Statement]]) -> Statement:
        """`body` for every index below `extent`, a block's threads taking turns."""
        count = -(-extent // self.threads)
        turn = self._axis("turn", count)
        number = scalar.add(scalar.mul(turn, scalar.index(self.threads)), self.thread)
        statements = tuple(body(self.known(name, extent, number)))
        if extent % self.threads:
            statements = (If(scalar.less(number, scalar.index(extent)), statements),)
        return For(turn, scalar.index(count), statements)

    def launch(self, name: str, body: Sequence[Statement]) -> Launch:
        """The launch of `body`, in which indices are what they stand for."""
        statements = BufferReplacer({}, self._known).statements(body)
        blocks = scalar.index(self.blocks)
        return Launch(name, self.block, blocks, self.thread, self.threads, statements, tuple(self._shared))


def both(conditions: Sequence[Expr]) -> Expr:
    """All of `conditions`."""
    result: Expr = scalar.constant(True, scalar.equal(scalar.index(0), scalar.index(0)).dtype)
    for number, condition in enumerate(conditions):
        result = condition if number == 0 else scalar.logical_and(result, condition)
    return result


def shift_left(value: Expr, count: Expr) -> Expr:
    return scalar.apply(Primitive.SHL, value, count)


def shift_right(value: Expr, count: Expr) -> Expr:
    return scalar.apply(Primitive.SHR, value, count)


def logical_not(value: Expr) -> Expr:
    return scalar.apply(Primitive.NOT, value)
