"""The shared memory of the blocks of a wave, and the shadow that finds races in it.

For each location the shadow holds the last writer and when it wrote, and when each warp last read.  A location that an
asynchronous copy will write is `pending` until someone waited for the copy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ptx_machine.addresses import SHARED_START
from ptx_machine.errors import Misaligned, OutOfBounds, Race, Uninitialised
from ptx_machine.memory import WRITTEN, Bytes

if TYPE_CHECKING:
    from ptx_machine.wave import Wave

Array = NDArray[Any]
AGENT_BITS = 6
SYNCHRONISING = 1 << 62


class SharedMemory(Bytes):
    """`nbytes` for each of `blocks` blocks; `grain` is the size in bytes of the shadow's locations."""

    def __init__(self, blocks: int, nbytes: int, grain: int, tracked: bool) -> None:
        self.block_bytes = nbytes
        self.stride = -(-nbytes // 1024) * 1024
        super().__init__(blocks * self.stride)
        self.grain = grain
        self.tracked = tracked
        self.has_mbarriers = False
        locations = self.nbytes // grain if tracked else 0
        self.writer = np.zeros(locations, np.int64)
        self.pending = np.zeros(locations, np.int16)
        self.reserved = np.zeros(locations, np.bool_)
        self.reads: Array | None = None

    # ---- what threads do

    def load(self, w: Wave, addresses: Array, size: int, vector: int) -> Array:
        """The elements of `size` bytes at each active thread's address: shape (threads, vector)."""
        offsets = self.offsets(w, addresses, size * vector)
        index = _elements(offsets, size, vector)
        if self.tracked:
            self._check_read(w, offsets, size * vector)
        if not self.all_written:
            present = self.written[size][index] == WRITTEN[size]
            if not present.all():
                w.fault(Uninitialised, "shared memory that nobody wrote", int(np.argmin(present.all(axis=1))))
        return self.data[size][index]

    def store(self, w: Wave, addresses: Array, size: int, values: Array) -> None:
        """Write `values`, of shape (threads, vector), at each active thread's address."""
        vector = values.shape[1]
        offsets = self.offsets(w, addresses, size * vector)
        index = _elements(offsets, size, vector)
        if self.tracked:
            same = self.data[size][index] == values
            self._check_write(w, offsets, size * vector, same.all(axis=1))
        self.data[size][index] = values
        self.written[size][index] = WRITTEN[size]
        differs = (self.data[size][index] != values).any(axis=1)
        if differs.any():
            w.fault(Race, "two threads store different values to one place in shared memory", int(np.argmax(differs)))

    def offsets(self, w: Wave, addresses: Array, nbytes: int) -> Array:
        """Byte offsets in this array of an access of `nbytes`; checks bounds and alignment."""
        relative = addresses - SHARED_START
        if (relative & (nbytes - 1)).any():
            at = int(np.argmax(relative & (nbytes - 1) != 0))
            w.fault(Misaligned, f"shared address {int(addresses[at])} is no multiple of {nbytes}", at)
        if relative.size and (relative.min() < 0 or relative.max() + nbytes > self.block_bytes):
            at = int(np.argmax((relative < 0) | (relative + nbytes > self.block_bytes)))
            w.fault(OutOfBounds, f"byte {int(relative[at])} of {self.block_bytes} bytes of shared memory", at)
        return relative + w.block[w.ix] * self.stride

    def synchronise(self, w: Wave, offsets: Array, size: int) -> None:
        """Check an atomic operation: its cells must be written, and it does not race with other ones."""
        present = self.written[size][offsets // size] == WRITTEN[size]
        if not present.all():
            w.fault(Uninitialised, "shared memory that nobody wrote", int(np.argmin(present)))
        if not self.tracked:
            return
        locations = self.locations(offsets, size)
        warps = w.warp[w.ix]
        self.check_usable(w, locations)
        writer = self.writer[locations]
        fine = self._ordered(w, warps[:, None], writer) | (writer >= SYNCHRONISING)
        if not fine.all():
            self.report(w, fine, writer, "updates shared memory")
        self.check_readers(w, locations, warps, "updates shared memory")
        stamp = (w.clocks.now << AGENT_BITS) | (warps % w.clocks.warps)
        self.writer[locations] = (stamp | SYNCHRONISING)[:, None]

    # ---- the shadow

    def locations(self, offsets: Array, nbytes: int) -> Array:
        """The locations of an access of `nbytes` at each offset: shape (accesses, locations of one)."""
        first = offsets // self.grain
        return first[:, None] + np.arange(max(nbytes // self.grain, 1))

    def read_times(self, w: Wave) -> Array:
        if self.reads is None:
            self.reads = np.zeros((self.writer.size, w.clocks.readers), np.int32)
        return self.reads

    def _check_read(self, w: Wave, offsets: Array, nbytes: int) -> None:
        locations = self.locations(offsets, nbytes)
        warps = w.warp[w.ix]
        self.check_usable(w, locations)
        writer = self.writer[locations]
        fine = self._ordered(w, warps[:, None], writer)
        if not fine.all():
            self.report(w, fine, writer, "reads shared memory")
        self.read_times(w)[locations, (warps % w.clocks.warps)[:, None]] = w.clocks.now

    def _check_write(self, w: Wave, offsets: Array, nbytes: int, same: Array) -> None:
        locations = self.locations(offsets, nbytes)
        warps = w.warp[w.ix]
        self.check_usable(w, locations)
        writer = self.writer[locations]
        fine = self._ordered(w, warps[:, None], writer) | same[:, None]
        if not fine.all():
            self.report(w, fine, writer, "writes shared memory")
        self.check_readers(w, locations, warps, "writes shared memory")
        self.writer[locations] = (w.clocks.now << AGENT_BITS) | (warps % w.clocks.warps)[:, None]

    def check_usable(self, w: Wave, locations: Array) -> None:
        """Raise where an asynchronous copy is in flight, or an mbarrier lies."""
        if w.in_flight:
            pending = self.pending[locations] != 0
            if pending.any():
                at = int(np.argmax(pending.any(axis=1)))
                w.fault(Race, "shared memory that an asynchronous copy in flight writes", at)
        if self.has_mbarriers:
            taken = self.reserved[locations]
            if taken.any():
                w.fault(Race, "shared memory that holds an mbarrier", int(np.argmax(taken.any(axis=1))))

    # ---- what the asynchronous engines do

    def engine_offsets(self, w: Wave, addresses: Array, size: int) -> Array:
        """Byte offsets of elements in the memory of the active thread's block; checks bounds."""
        relative = addresses - SHARED_START
        if relative.min() < 0 or relative.max() + size > self.block_bytes:
            bad = relative[(relative < 0) | (relative + size > self.block_bytes)]
            w.fault(OutOfBounds, f"byte {int(bad[0])} of {self.block_bytes} bytes of shared memory", 0)
        return relative + int(w.block[w.indices[0]]) * self.stride

    def engine_locations(self, offsets: Array, size: int) -> Array:
        """The locations of elements that an engine accesses; it moves whole chunks of 16 bytes."""
        if size < self.grain:
            offsets = offsets[offsets % self.grain == 0]
        return self.locations(offsets, size).reshape(-1)

    def engine_load(self, w: Wave, addresses: Array, size: int, reader: int, known: Array, fenced: Array) -> Array:
        """Elements that an engine reads as the agent `reader`; `known` and `fenced` are those at the work's issue."""
        if (addresses % size).any():
            w.fault(Misaligned, f"an engine reads elements of {size} bytes at odd addresses", 0)
        offsets = self.engine_offsets(w, addresses.reshape(-1), size)
        if not (self.written[size][offsets // size] == WRITTEN[size]).all():
            w.fault(Uninitialised, "an engine reads shared memory that nobody wrote", 0)
        locations = self.engine_locations(offsets, size)
        self.check_usable(w, locations[:, None])
        stamps = self.writer[locations]
        agents, times = stamps & ((1 << AGENT_BITS) - 1), (stamps & ~SYNCHRONISING) >> AGENT_BITS
        late = times > known[agents]
        if late.any():
            who = self._who(w, agents, late)
            w.fault(Race, f"an engine reads shared memory that {who} wrote, with no synchronisation between", 0)
        hidden = (agents != w.clocks.engine) & (times > fenced[agents]) & (times > 0)
        if hidden.any():
            w.fault(Race, f"an engine reads what {self._who(w, agents, hidden)} wrote, with no fence.proxy.async", 0)
        self.read_times(w)[locations, reader] = w.clocks.now
        return self.data[size][offsets // size].reshape(addresses.shape)

    def _who(self, w: Wave, agents: Array, which: Array) -> str:
        agent = int(agents[np.argmax(which)])
        return "an asynchronous copy" if agent == w.clocks.engine else f"warp {agent}"

    # ---- mbarriers

    def begin_mbarriers(self, w: Wave, locations: Array) -> None:
        """Note that mbarriers lie at `locations` now, which the active threads initialise."""
        warps = w.warp[w.ix]
        self.check_overwrite(w, locations, warps, "an mbarrier is initialised over shared memory")
        self.writer[locations] = ((w.clocks.now << AGENT_BITS) | (warps % w.clocks.warps))[:, None]
        self.reserved[locations] = True
        self.has_mbarriers = True

    def end_mbarriers(self, locations: Array) -> None:
        self.reserved[locations] = False

    def check_mbarriers(self, w: Wave, locations: Array) -> None:
        """Raise where an mbarrier is used and its initialisation is not ordered before."""
        writer = self.writer[locations]
        fine = self._ordered(w, w.warp[w.ix][:, None], writer)
        if not fine.all():
            self.report(w, fine, writer, "uses an mbarrier")

    def check_fenced_mbarrier(self, w: Wave, locations: Array) -> None:
        """Raise where an engine would use an mbarrier whose initialisation was not made visible to it."""
        stamps = self.writer[locations].reshape(-1)
        agents, times = stamps & ((1 << AGENT_BITS) - 1), stamps >> AGENT_BITS
        if (times > w.clocks.fenced[int(w.block[w.indices[0]])][agents]).any():
            w.fault(Race, "an engine uses an mbarrier initialised with no fence to make that visible", 0)

    def check_overwrite(self, w: Wave, locations: Array, warps: Array, what: str) -> None:
        """Raise where overwriting is not ordered after the accesses before."""
        self.check_usable(w, locations)
        writer = self.writer[locations]
        fine = self._ordered(w, warps[:, None], writer)
        if not fine.all():
            self.report(w, fine, writer, what)
        self.check_readers(w, locations, warps, what)

    def check_readers(self, w: Wave, locations: Array, warps: Array, what: str) -> None:
        """Raise where a warp read a location, and this was not ordered before what `warps` do now."""
        if self.reads is None:
            return
        times = self.reads[locations]
        known = w.clocks.known[warps][:, None, : w.clocks.readers]
        fine = (times <= known) | (np.arange(w.clocks.readers) == (warps % w.clocks.warps)[:, None, None])
        if not fine.all():
            at = int(np.argmin(fine.all(axis=(1, 2))))
            other = int(np.argmin(fine[at].all(axis=0)))
            w.fault(Race, f"{what} that {_reader(w, other)} read, with no synchronisation between", at)

    def _ordered(self, w: Wave, warps: Array, writer: Array) -> Array:
        agents = writer & ((1 << AGENT_BITS) - 1)
        return w.clocks.ordered(warps, agents, (writer & ~SYNCHRONISING) >> AGENT_BITS)

    def report(self, w: Wave, fine: Array, writer: Array, what: str) -> None:
        """Raise for the first access whose location's writer is not ordered before it."""
        at = int(np.argmin(fine.all(axis=1)))
        agent = int(writer[at][np.argmin(fine[at])]) & ((1 << AGENT_BITS) - 1)
        who = "an asynchronous copy" if agent == w.clocks.engine else f"warp {agent}"
        w.fault(Race, f"{what} that {who} wrote, with no synchronisation between", at)


def _reader(w: Wave, agent: int) -> str:
    return f"warp {agent}" if agent < w.clocks.warps else f"a product of warp group {agent - w.clocks.warps}"


def _elements(offsets: Array, size: int, vector: int) -> Array:
    """Indices, in elements of `size` bytes, of `vector` of them at each offset."""
    first = offsets // size
    return first[:, None] if vector == 1 else first[:, None] + np.arange(vector)
