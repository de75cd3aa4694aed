# ruff: noqa: N818 (defects of PTX programs are named for what they are)
"""What can be wrong with a program: a class for each kind of defect, which names PTX line, kernel, block and thread."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Where a defect showed: an instruction of a kernel, and the thread that ran it."""

    kernel: str
    line: int
    source: str
    block: tuple[int, int, int] | None
    thread: tuple[int, int, int] | None

    def __str__(self) -> str:
        who = "" if self.thread is None else f", block {self.block}, thread {self.thread}"
        return f"line {self.line} of {self.kernel}{who}: {self.source}"


class PtxError(Exception):
    """A defect of a PTX program, with its `place` as soon as that is known."""

    def __init__(self, message: str, place: Place | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.place = place

    def __str__(self) -> str:
        return self.message if self.place is None else f"{self.message}\n  at {self.place}"


class UnknownInstruction(PtxError):
    """An instruction, a modifier or a directive that the interpreter does not know."""


class OutOfBounds(PtxError):
    """An access outside every allocation, or outside a block's shared memory."""


class Misaligned(PtxError):
    """An address that is no multiple of what its access needs."""


class Uninitialised(PtxError):
    """A read of bytes that nobody wrote, or of a lane that takes no part in a shuffle."""


class Race(PtxError):
    """Two accesses to one place, at least one a write, that no synchronisation orders."""


class BarrierDeadlock(PtxError):
    """Threads wait at a barrier or at a collective instruction for others that never come."""


class MBarrierMisuse(PtxError):
    """An mbarrier used before its initialisation, arrived at too often, or left with bytes outstanding."""


class MBarrierDeadlock(MBarrierMisuse, BarrierDeadlock):
    """Threads wait for a phase of an mbarrier that nothing can complete any more."""


class Trap(PtxError):
    """The program ran a `trap` instruction."""
