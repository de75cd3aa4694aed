"""The barriers of a wave's blocks: threads wait at one until as many arrived as it expects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ptx_machine.clocks import Vector
from ptx_machine.errors import BarrierDeadlock
from ptx_machine.operands import EXITED, STOP

if TYPE_CHECKING:
    from ptx_machine.wave import Wave

Array = NDArray[Any]


class Barriers:
    """Which threads wait at which barrier (-1: none), and what arrived without waiting."""

    def __init__(self, w: Wave) -> None:
        self.w = w
        self.identifier = np.full(w.size, -1, np.int64)
        self.expected = np.zeros(w.size, np.int64)
        self.aligned = np.zeros(w.size, np.bool_)
        self.arrived: dict[tuple[int, int], list[tuple[int, Vector]]] = {}

    def wait(self, identifier: Array, expected: Array | None, aligned: bool) -> int:
        """Let the active threads wait; returns the next step if their barrier is complete at once."""
        w = self.w
        if w.whole and expected is None and not self.arrived and (identifier == identifier[0]).all():
            w.clocks.join_blocks()
            return w.current + 1
        w.pc[w.ix] = w.current
        w.parked[w.ix] = True
        self.identifier[w.ix] = identifier
        self.expected[w.ix] = 0 if expected is None else expected
        self.aligned[w.ix] = aligned
        for block, number in {*zip(w.block[w.ix].tolist(), identifier.tolist(), strict=True)}:
            self._try(block, number)
        return STOP

    def arrive(self, identifier: Array, expected: Array) -> int:
        """Count the active threads' warps as arrived; they go on."""
        w = self.w
        warps, first = np.unique(w.warp[w.ix], return_index=True)
        for warp, at in zip(warps.tolist(), first.tolist(), strict=True):
            key = (warp // w.warps, int(identifier[at]))
            self.arrived.setdefault(key, []).append((int(expected[at]), w.clocks.release(warp)))
        following = w.current + 1
        w.pc[w.ix] = following
        for block, number in {*zip(w.block[w.ix].tolist(), identifier.tolist(), strict=True)}:
            self._try(block, number)
        return STOP

    def retry(self) -> bool:
        """Complete what the exit of threads made complete."""
        waiting = np.flatnonzero(self.identifier >= 0)
        keys = {*zip(self.w.block[waiting].tolist(), self.identifier[waiting].tolist(), strict=True)}
        return sum(self._try(block, number) for block, number in sorted(keys)) > 0

    def _try(self, block: int, number: int) -> bool:
        """Complete the barrier if everyone it expects has come."""
        w = self.w
        start = block * w.threads_per_block
        span = slice(start, start + w.threads_per_block)
        here = start + np.flatnonzero(self.identifier[span] == number)
        if not here.size:
            return False
        arrivals = self.arrived.get((block, number), [])
        expected = {*self.expected[here].tolist(), *[count for count, _ in arrivals]}
        if len(expected) > 1:
            self._report(here, f"threads give different counts for barrier {number}: {sorted(expected)}")
        (count,) = expected
        if count == 0 and here.size < np.count_nonzero(w.pc[span] != EXITED):
            return False
        complete = self._complete_warps(here)
        if count and 32 * (len(complete) + len(arrivals)) < count:
            return False
        if len(complete) < len(np.unique(w.warp[here])):
            self._report(here, f"the threads of a warp reach the aligned barrier {number} at different instructions")
        if count and 32 * (len(complete) + len(arrivals)) > count:
            self._report(here, f"more threads than the expected {count} reach barrier {number}")
        self._join(here, arrivals)
        self.arrived.pop((block, number), None)
        w.pc[here] += 1
        w.parked[here] = False
        self.identifier[here] = -1
        return True

    def _complete_warps(self, here: Array) -> Array:
        """The warps all of whose living threads wait, at one instruction where the barrier is aligned."""
        w = self.w
        warps, counts = np.unique(w.warp[here], return_counts=True)
        alive = np.bincount(w.warp[w.pc != EXITED], minlength=w.blocks * w.warps)[warps]
        lowest, highest = np.full(w.blocks * w.warps, EXITED), np.zeros(w.blocks * w.warps, np.int64)
        np.minimum.at(lowest, w.warp[here], w.pc[here])
        np.maximum.at(highest, w.warp[here], w.pc[here])
        together = (lowest == highest)[warps] | ~self.aligned[here].any()
        return warps[(counts == alive) & together]

    def _join(self, here: Array, arrivals: list[tuple[int, Vector]]) -> None:
        warps = np.unique(self.w.warp[here])
        for _, vector in arrivals:
            self.w.clocks.acquire(int(warps[0]), vector)
        self.w.clocks.join(warps)

    def _report(self, here: Array, message: str) -> None:
        self.w.current = int(self.w.pc[here[0]])
        self.w.focus(here[:1])
        self.w.fault(BarrierDeadlock, message, 0)
