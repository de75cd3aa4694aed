"""Loops whose turns are independent, one after the other, as one loop: threads then meet once instead of twice.

    parallel p in 16: x[p] = ...       →   parallel p in 16:
    parallel q in 16: y[q] = ...             x[p] = ...
                                             y[p] = ...

So it is done to loops that have as many turns, have nothing to do with each other, and are too small to be shared each
by itself where threads may sleep; loops over single elements stay as they are, so that they become vectors.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tenfoldc.loops.aliasing import DonatedMemory
from tenfoldc.loops.ir import Constant, For, Mode, Program, Statement
from tenfoldc.loops.rewriting import BufferReplacer, with_inner
from tenfoldc.loops.traversal import stored, touched
from tenfoldc.schedule.cost import Costs
from tenfoldc.schedule.parallel import ASLEEP, runs_long


class Merging:
    """The merging of one program's loops."""

    def __init__(self, program: Program) -> None:
        self._costs = Costs()
        self._memory = DonatedMemory(program)

    def block(self, statements: Iterable[Statement]) -> tuple[Statement, ...]:
        """`statements` with neighbouring small parallel loops made one."""
        merged: list[Statement] = []
        for statement in map(self._inside, statements):
            last = merged[-1] if merged else None
            if isinstance(last, For) and isinstance(statement, For) and self._may_merge(last, statement):
                merged[-1] = _merged(last, statement)
            else:
                merged.append(statement)
        return tuple(merged)

    def _inside(self, statement: Statement) -> Statement:
        """A statement whose own statements, where it is no loop to be shared itself, have been merged."""
        is_whole = isinstance(statement, For) and statement.mode is not Mode.SERIAL
        return statement if is_whole else with_inner(statement, self.block)

    def _may_merge(self, first: For, second: For) -> bool:
        loops = first, second
        extents = [loop.extent.value for loop in loops if isinstance(loop.extent, Constant)]
        if len(extents) < len(loops) or extents[0] != extents[1]:
            return False
        if any(loop.mode is not Mode.PARALLEL or not runs_long(loop) for loop in loops):
            return False
        if any(self._costs.of((loop,)) >= ASLEEP for loop in loops):
            return False
        return self._leaves_alone(first, second) and self._leaves_alone(second, first)

    def _leaves_alone(self, one: For, other: For) -> bool:
        """Whether nothing that `one` writes is memory that `other` reads or writes."""
        return self._memory.owners(stored((one,))).isdisjoint(self._memory.owners(touched((other,))))


def _merged(first: For, second: For) -> For:
    body = BufferReplacer({}, {second.axis: first.axis}).statements(second.body)
    private = tuple(dict.fromkeys((*first.private, *second.private)))
    return replace(first, body=(*first.body, *body), private=private)
