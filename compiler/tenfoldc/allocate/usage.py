"""How much memory a program takes, and how much of that no placement could save."""

from __future__ import annotations

from collections.abc import Iterable

from tenfold_rt.frozen import frozen
from tenfoldc.allocate.arena import aligned_bytes, demands
from tenfoldc.allocate.placement import live_bytes
from tenfoldc.loops.ir import Allocation, Buffer, Program


@frozen
class Usage:
    """Bytes of one entry.  Results that are donated take their parameter's memory and are not counted.

    The `workspace` is for one thread, each other one takes `per_thread` more; `live` is the least that any placement
    of the same buffers needs: the most that is in use at one moment.
    """

    entry: str
    parameters: int
    results: int
    constants: int
    workspace: int
    per_thread: int
    live: int

    @property
    def peak(self) -> int:
        """All that a call on one thread has in memory at once."""
        return self.parameters + self.results + self.constants + self.workspace


def usage(program: Program, allocation: Allocation) -> Usage:
    """The memory of `program` as `allocation` places it."""
    donated = {result for _, result in program.donated}
    fresh = [buffer for number, buffer in enumerate(program.results) if number not in donated]
    return Usage(
        program.name,
        _bytes(program.parameters),
        _bytes(fresh),
        _bytes(program.constants),
        allocation.workspace_bytes,
        allocation.private_bytes,
        live_bytes(demands(program)) + sum(map(aligned_bytes, program.tapes)) + allocation.private_bytes,
    )


def _bytes(buffers: Iterable[Buffer]) -> int:
    return sum(buffer.nbytes for buffer in buffers)
