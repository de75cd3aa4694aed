"""mbarriers: objects in shared memory that count the arrivals of threads and the bytes of asynchronous copies.

A phase is complete when nothing that it expects is pending; then the next phase begins.  Threads that ask for a phase
in vain sleep until it is complete, for that they would only ask again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ptx_machine.clocks import Vector
from ptx_machine.errors import MBarrierMisuse

if TYPE_CHECKING:
    from ptx_machine.wave import Wave

MAXIMAL_COUNT = (1 << 20) - 1


@dataclass(slots=True)
class MBarrier:
    """`pending` arrivals of `expected` are missing, and `bytes_` bytes; `phase` phases are complete."""

    expected: int
    pending: int
    step: int
    vector: Vector
    completed: Vector
    phase: int = 0
    bytes_: int = 0
    sleepers: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Sleep:
    """A thread that asked for a phase at the step `pc`."""

    key: tuple[int, int]
    parity: int
    pc: int


class MBarriers:
    """The mbarriers of a wave's blocks, by block and shared address."""

    def __init__(self, w: Wave) -> None:
        self.w = w
        self.objects: dict[tuple[int, int], MBarrier] = {}
        self.asleep: dict[int, Sleep] = {}

    def sleeping(self, thread: int) -> Sleep | None:
        return self.asleep.get(thread)

    def describe(self, thread: int) -> str:
        sleep = self.asleep[thread]
        barrier = self.objects[sleep.key]
        return (
            f"the mbarrier at {sleep.key[1]} lacks {barrier.pending} of {barrier.expected} arrivals and "
            f"{barrier.bytes_} bytes in phase {barrier.phase}"
        )

    def initialise(self, position: int, address: int, count: int) -> None:
        """mbarrier.init by the active thread at `position`."""
        w = self.w
        thread = int(w.indices[position])
        key = (int(w.block[thread]), address)
        if key in self.objects:
            w.fault(MBarrierMisuse, f"the mbarrier at {address} is initialised twice, and not invalidated", position)
        if not 1 <= count <= MAXIMAL_COUNT:
            w.fault(MBarrierMisuse, f"an mbarrier for {count} arrivals", position)
        zero = np.zeros(w.clocks.readers + 1, np.int64)
        self.objects[key] = MBarrier(count, count, w.current, zero, zero.copy())

    def invalidate(self, position: int, address: int) -> None:
        key, barrier = self.find(position, address)
        if barrier.sleepers:
            self.w.fault(MBarrierMisuse, "an mbarrier is invalidated while threads wait", position)
        del self.objects[key]

    def find(self, position: int, address: int) -> tuple[tuple[int, int], MBarrier]:
        """The mbarrier that the active thread at `position` means."""
        key = (int(self.w.block[self.w.indices[position]]), address)
        if key not in self.objects:
            self.w.fault(MBarrierMisuse, f"no mbarrier was initialised at {address}", position)
        return key, self.objects[key]

    def arrive(self, position: int, address: int, count: int, nbytes: int, releases: bool = True) -> int:
        """Count `count` arrivals after `nbytes` more are expected; returns the state that a test asks for."""
        w = self.w
        key, barrier = self.find(position, address)
        barrier.bytes_ += nbytes
        if barrier.bytes_ > MAXIMAL_COUNT:
            w.fault(MBarrierMisuse, f"the mbarrier expects {barrier.bytes_} bytes", position)
        if count > barrier.pending:
            message = f"{count} arrivals at the mbarrier at {address}, which expects {barrier.pending} more"
            w.fault(MBarrierMisuse, message + f" of {barrier.expected} in phase {barrier.phase}", position)
        state = barrier.phase
        if releases and count:
            vector = w.clocks.release(int(w.warp[w.indices[position]]))
            np.maximum(barrier.vector, vector, out=barrier.vector)
        barrier.pending -= count
        self._complete(key, barrier)
        return state

    def complete_bytes(self, key: tuple[int, int], nbytes: int, time: int) -> None:
        """A copy of the asynchronous engine at `time` has moved `nbytes`."""
        barrier = self.objects.get(key)
        if barrier is None:
            self.w.fault(MBarrierMisuse, f"a copy completes at {key[1]}, where no mbarrier is", 0)
        barrier.bytes_ -= nbytes
        barrier.vector[self.w.clocks.engine] = max(int(barrier.vector[self.w.clocks.engine]), time)
        self._complete(key, barrier)

    def _complete(self, key: tuple[int, int], barrier: MBarrier) -> None:
        if barrier.pending or barrier.bytes_:
            if not barrier.pending and barrier.bytes_ < 0:
                self.w.fault(
                    MBarrierMisuse, f"{-barrier.bytes_} more bytes than expected at the mbarrier at {key[1]}", 0
                )
            return
        barrier.phase += 1
        barrier.pending = barrier.expected
        barrier.completed = np.maximum(barrier.completed, barrier.vector)
        barrier.vector = np.zeros_like(barrier.vector)
        for thread in barrier.sleepers:
            self.asleep.pop(thread)
            self.w.parked[thread] = False
        barrier.sleepers = []

    def test(self, position: int, address: int, parity: int) -> bool:
        """Whether the phase of this parity is complete; if so, its arrivals come before what the thread does next."""
        _, barrier = self.find(position, address)
        if barrier.phase & 1 == parity & 1:
            return False
        w = self.w
        w.clocks.acquire(int(w.warp[w.indices[position]]), barrier.completed)
        return True

    def sleep(self, position: int, address: int, parity: int) -> None:
        """Let a thread that asked in vain run again only when the phase is complete."""
        w = self.w
        thread = int(w.indices[position])
        key, barrier = self.find(position, address)
        barrier.sleepers.append(thread)
        self.asleep[thread] = Sleep(key, parity, w.current)
        w.parked[thread] = True

    def check_finished(self) -> None:
        """Raise if a phase still expects bytes when all threads have exited."""
        for (_, address), barrier in self.objects.items():
            if barrier.bytes_:
                self.w.current = barrier.step
                message = f"the kernel ends while the mbarrier at {address} expects {barrier.bytes_} bytes"
                self.w.fault(MBarrierMisuse, message, None)
