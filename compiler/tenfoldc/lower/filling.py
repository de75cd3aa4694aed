"""Scratch memory that a sequence of statements fills from memory that does not change: what could be done earlier."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Set

from tenfold_rt.frozen import frozen
from tenfoldc.loops.ir import Buffer, Statement
from tenfoldc.loops.traversal import loaded, owners, stored


@frozen(eq=False)
class _Accesses:
    """A statement with the memory that it reads and writes."""

    statement: Statement
    reads: Set[Buffer]
    writes: Set[Buffer]


def fills_from(
    given: Set[Buffer],
    statements: Sequence[Statement],
    scratch: Iterable[Buffer],
    may_move: Callable[[Statement], bool] = lambda _: True,
) -> list[Statement]:
    """The statements that fill `scratch` memory from `given` memory, and from such scratch, alone.

    Each `may_move`, writes nothing else, and what it fills is read by none of the others before all of it is written.
    """
    accesses = [_Accesses(s, owners(loaded((s,))), owners(stored((s,)))) for s in statements]
    filled = {buffer for buffer in scratch if any(buffer in each.writes and each.reads for each in accesses)}
    before = -1
    while before != len(filled):
        before = len(filled)
        for each in accesses:
            is_pure = each.writes <= filled and each.reads <= filled | given
            if each.writes & filled and not (is_pure and may_move(each.statement)):
                filled -= each.writes
        filled = {buffer for buffer in filled if _is_complete_when_read(buffer, accesses, filled)}
    return [each.statement for each in accesses if each.writes & filled]


def _is_complete_when_read(buffer: Buffer, accesses: Sequence[_Accesses], filled: Set[Buffer]) -> bool:
    """Whether nothing that stays reads `buffer` before all of it has been written."""
    last = max(place for place, each in enumerate(accesses) if buffer in each.writes)
    stays = [each for each in accesses[:last] if not each.writes & filled]
    return not any(buffer in each.reads for each in stays)
