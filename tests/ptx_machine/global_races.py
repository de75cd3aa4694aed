"""The shadow of global memory: who wrote and read each location in a launch, and which blocks know of which.

Warps of one block are ordered by the clocks of their wave.  Different blocks are ordered only by a fence and then a
synchronising store or atomic operation in the one, and a synchronising load or atomic operation of the same address in
the other.  Stores of the value that is there already are no race.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ptx_machine.errors import Race
from ptx_machine.memory import Allocation

if TYPE_CHECKING:
    from ptx_machine.launch import Launch
    from ptx_machine.wave import Wave

Array = NDArray[Any]
WARP_BITS = 24
WARP_MASK = (1 << WARP_BITS) - 1
SYNCHRONISING = 1 << 62


class Shadow:
    """For each location the last writer and two different readers, each as `time << 24 | warp + 1`."""

    def __init__(self, nbytes: int, grain: int) -> None:
        self.grain = grain
        locations = -(-max(nbytes, 16) // 16) * 16 // grain
        self.writer = np.zeros(locations, np.int64)
        self.readers = np.zeros((2, locations), np.int64)


class GlobalRaces:
    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self.warps = -(-launch.threads_per_block // 32)
        self.blocks = launch.grid[0] * launch.grid[1] * launch.grid[2]
        self.enabled = self.blocks * self.warps > 1
        self.time = 1
        self.known: dict[int, Array] = {}
        """For each block, up to which time it knows what each warp of the grid did."""
        self.released: dict[int, Array] = {}
        self.handed_on: dict[int, Array] = {}

    # ---- accesses

    def read(
        self, w: Wave, allocation: Allocation, positions: Any, addresses: Array, nbytes: int, synchronising: bool,
        constant: bool,
    ) -> None:  # fmt: skip
        """Check and note a read by the active threads at `positions`."""
        if synchronising:
            w.budget -= 100
            self._acquire(w, positions, addresses)
        if not self.enabled or allocation.constant:
            return
        shadow, locations = self._shadow(allocation, addresses, nbytes)
        warps, own = self._warps(w, positions)
        writer = shadow.writer[locations]
        if constant and writer.any():
            at = int(np.argmax(writer.any(axis=1)))
            w.fault(Race, "a load through the constant cache of memory that this launch writes", _at(w, positions, at))
        fine = self._ordered(w, warps, own, writer)
        if synchronising:
            fine |= writer >= SYNCHRONISING
        if not fine.all():
            self._report(w, positions, fine, writer, "reads global memory that {} wrote")
        if synchronising:
            return
        stamp = np.broadcast_to(((w.clocks.now << WARP_BITS) | (own + 1))[:, None], locations.shape)
        first, second = shadow.readers
        before = first[locations]
        first[locations] = stamp
        second[locations] = np.where((before ^ stamp) & WARP_MASK != 0, before, second[locations])
        lost = (first[locations] ^ stamp) & WARP_MASK != 0
        if lost.any():
            second[locations[lost]] = stamp[lost]

    def write(
        self, w: Wave, allocation: Allocation, positions: Any, addresses: Array, nbytes: int, same: Array,
        synchronising: bool,
    ) -> None:  # fmt: skip
        """Check and note a write; where `same`, the bytes are already there."""
        if synchronising:
            self._release(w, positions, addresses)
        if not self.enabled:
            return
        shadow, locations = self._shadow(allocation, addresses, nbytes)
        warps, own = self._warps(w, positions)
        writer = shadow.writer[locations]
        fine = self._ordered(w, warps, own, writer) | same[:, None]
        if synchronising:
            fine |= writer >= SYNCHRONISING
        if not fine.all():
            self._report(w, positions, fine, writer, "writes global memory that {} wrote")
        for readers in shadow.readers:
            reader = readers[locations]
            fine = self._ordered(w, warps, own, reader) | same[:, None]
            if not fine.all():
                self._report(w, positions, fine, reader, "writes global memory that {} read")
        stamp = (w.clocks.now << WARP_BITS) | (own + 1)
        shadow.writer[locations] = (stamp | (SYNCHRONISING if synchronising else 0))[:, None]

    def _shadow(self, allocation: Allocation, addresses: Array, nbytes: int) -> tuple[Shadow, Array]:
        grain = self.launch.kernel.global_grain
        if allocation.shadow is None:
            allocation.shadow = Shadow(allocation.nbytes, grain)
        first = (addresses - allocation.address) // grain
        return allocation.shadow, first[:, None] + np.arange(max(nbytes // grain, 1))

    def _warps(self, w: Wave, positions: Any) -> tuple[Array, Array]:
        """The warps of the active threads at `positions`: counted in the wave, and in the grid."""
        warps = w.warp[w.ix][positions]
        return warps, w.block_numbers[warps // self.warps] * self.warps + warps % self.warps

    def _ordered(self, w: Wave, warps: Array, own: Array, stamps: Array) -> Array:
        if not stamps.any():
            return np.ones(stamps.shape, np.bool_)
        warps, own = warps[:, None], own[:, None]
        other = (stamps & WARP_MASK) - 1
        times = (stamps & ~SYNCHRONISING) >> WARP_BITS
        fine = (stamps == 0) | (other == own)
        near = (other // self.warps == own // self.warps) & (w.clocks.known[warps, other % self.warps] >= times)
        fine |= near
        if self.known and not fine.all():
            for i, j in zip(*np.nonzero(~fine), strict=True):
                known = self.known.get(int(own[i, 0]) // self.warps)
                fine[i, j] = known is not None and known[other[i, j]] >= times[i, j]
        return fine

    def _report(self, w: Wave, positions: Any, fine: Array, stamps: Array, what: str) -> None:
        at = int(np.argmin(fine.all(axis=1)))
        other = int(stamps[at][np.argmin(fine[at])] & WARP_MASK) - 1
        who = f"warp {other % self.warps} of block number {other // self.warps}"
        w.fault(Race, what.format(who) + ", with no synchronisation between", _at(w, positions, at))

    # ---- what orders blocks

    def fence(self, w: Wave) -> None:
        """Let what the active warps know and did be handed on by their next synchronising stores."""
        if not self.launch.kernel.synchronises_blocks or not self.enabled:
            return
        for warp in np.unique(w.warp[w.ix]).tolist():
            block = int(w.block_numbers[warp // self.warps])
            vector = self._known(block).copy()
            own = w.clocks.release(warp)[: self.warps]
            vector[block * self.warps : (block + 1) * self.warps] = own
            self.released[block * self.warps + warp % self.warps] = vector

    def _known(self, block: int) -> Array:
        if block not in self.known:
            self.known[block] = np.zeros(self.blocks * self.warps, np.int64)
        return self.known[block]

    def _release(self, w: Wave, positions: Any, addresses: Array) -> None:
        if not self.released:
            return
        _, own = self._warps(w, positions)
        for address, warp in {*zip(addresses.tolist(), own.tolist(), strict=True)}:
            vector = self.released.get(warp)
            if vector is not None:
                before = self.handed_on.get(address)
                self.handed_on[address] = vector if before is None else np.maximum(before, vector)

    def _acquire(self, w: Wave, positions: Any, addresses: Array) -> None:
        if not self.handed_on:
            return
        _, own = self._warps(w, positions)
        for address, warp in {*zip(addresses.tolist(), own.tolist(), strict=True)}:
            vector = self.handed_on.get(address)
            if vector is not None:
                known = self._known(warp // self.warps)
                np.maximum(known, vector, out=known)

    def synchronise(self, w: Wave, allocation: Allocation, positions: Any, addresses: Array, nbytes: int) -> None:
        """Check and note an atomic operation, which both acquires and releases."""
        self._acquire(w, positions, addresses)
        same = np.zeros(addresses.size, np.bool_)
        self.write(w, allocation, positions, addresses, nbytes, same, synchronising=True)


def _at(w: Wave, positions: Any, at: int) -> int:
    return int(np.arange(w.count)[positions][at]) if w.count > 1 else 0
