"""A loop as one over blocks of its turns: how many, where each begins, and how long it is."""

from __future__ import annotations

from tenfold_rt.frozen import frozen
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Axis, Constant, Expr, For


@frozen
class Blocks:
    """`count` blocks of a loop's turns: block `number` begins with turn `first` and has `length` turns."""

    number: Axis
    count: Expr
    first: Expr
    length: Expr


def blocks_of(loop: For, size: int, name: str) -> Blocks:
    """The turns of `loop` in blocks of `size`, the last of which may be shorter; `name` ends that of their axis."""
    number = Axis(f"{loop.axis.name}_{name}")
    first = scalar.mul(number, scalar.index(size))
    length: Expr = scalar.index(size)
    if isinstance(loop.extent, Constant):
        count, rest = divmod(int(loop.extent.value), size)
        if rest:
            length = scalar.minimum(length, scalar.sub(loop.extent, first))
        return Blocks(number, scalar.index(count + (rest > 0)), first, length)
    length = scalar.minimum(length, scalar.sub(loop.extent, first))
    rounded_up = scalar.add(loop.extent, scalar.index(size - 1))
    return Blocks(number, scalar.div(rounded_up, scalar.index(size)), first, length)
