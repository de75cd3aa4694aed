"""Work of a loop's turns that is the same in all of them is done once, before the loop.

    while c: pack w into p; multiply x, p   →   pack w into p; while c: multiply x, p

It is what fills scratch memory from a program's parameters alone, which keep their values: the panels of a recurrence's
weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set

from tenfoldc.loops.ir import Buffer, Statement
from tenfoldc.loops.traversal import loaded, owners, stored


def without_invariant(
    turn: Sequence[Statement], scratch: Iterable[Buffer], parameters: Iterable[Buffer]
) -> tuple[list[Statement], list[Statement]]:
    """What comes before a loop, and what is left of its `turn`, whose kernels use `scratch` memory."""
    accesses = [_Accesses(statement) for statement in turn]
    given = set(parameters)
    filled = {buffer for buffer in scratch if any(buffer in each.writes and each.reads for each in accesses)}
    before = -1
    while before != len(filled):
        before = len(filled)
        for each in accesses:
            if each.writes & filled and not (each.writes <= filled and each.reads <= filled | given):
                filled -= each.writes
        filled = {buffer for buffer in filled if _is_complete_when_read(buffer, accesses, filled)}
    ahead = [each.statement for each in accesses if each.writes & filled]
    return ahead, [each.statement for each in accesses if not each.writes & filled]


class _Accesses:
    """A statement with the memory that it reads and writes."""

    def __init__(self, statement: Statement) -> None:
        self.statement = statement
        self.reads = owners(loaded((statement,)))
        self.writes = owners(stored((statement,)))


def _is_complete_when_read(buffer: Buffer, accesses: Sequence[_Accesses], filled: Set[Buffer]) -> bool:
    """Whether nothing that stays in the loop reads `buffer` before all of it has been written."""
    last = max(place for place, each in enumerate(accesses) if buffer in each.writes)
    stays = [each for each in accesses[:last] if not each.writes & filled]
    return not any(buffer in each.reads for each in stays)
