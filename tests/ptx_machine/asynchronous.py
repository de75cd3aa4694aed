"""Work that goes on beside the threads: copies into and out of shared memory, and warp-group products.

Each piece of work lands once: at its issue, where something waits for it, or in between, as the schedule says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ptx_machine import global_memory
from ptx_machine.errors import MBarrierMisuse, Race
from ptx_machine.memory import WRITTEN
from ptx_machine.shared import AGENT_BITS

if TYPE_CHECKING:
    from ptx_machine.wave import Wave

Array = NDArray[Any]


@dataclass(slots=True, eq=False)
class Piece:
    """Asynchronous work that has not landed; `step` is the instruction that issued it, `what` says what it is."""

    land: Callable[[], None]
    step: int
    thread: int
    what: str


@dataclass(slots=True)
class ThreadCopy:
    """A cp.async of some threads: for each the group it belongs to, where it writes, and whether it still must land."""

    threads: Array
    groups: Array
    offsets: Array
    data: Array
    landed: Array
    waited: Array
    step: int


@dataclass(slots=True)
class BulkStore:
    """A bulk copy from shared to global memory, which first reads and then writes."""

    thread: int
    group: int
    reading: Piece
    writing: Piece
    landed: bool = False
    waited: bool = False


class AsynchronousWork:
    def __init__(self, w: Wave) -> None:
        self.w = w
        self.pieces: list[Piece] = []
        self.copies: list[ThreadCopy] = []
        self.committed = np.zeros(w.size, np.int64)
        self.bulk_writes = 0
        self.stores: list[BulkStore] = []
        self.committed_bulk = np.zeros(w.size, np.int64)

    def __bool__(self) -> bool:
        return bool(self.pieces or self.copies)

    @property
    def in_flight(self) -> bool:
        """Whether some location of shared memory is pending."""
        return bool(self.copies) or self.bulk_writes > 0

    # ---- pieces

    def issue(self, land: Callable[[], None], thread: int, what: str) -> Piece:
        """Take up a piece of work, which lands now or later."""
        piece = Piece(land, self.w.current, thread, what)
        self.pieces.append(piece)
        if self.w.schedule.lands_now():
            self.finish(piece)
        return piece

    def finish(self, piece: Piece) -> None:
        """Let a piece land, if it has not."""
        if piece in self.pieces:
            self.pieces.remove(piece)
            before = self.w.ix, self.w.count, self.w.whole, getattr(self.w, "current", 0)
            self.w.current = piece.step
            self.w.ix, self.w.count, self.w.whole = slice(piece.thread, piece.thread + 1), 1, False
            piece.land()
            self.w.ix, self.w.count, self.w.whole, self.w.current = before

    def land_any(self) -> None:
        """Let one piece land that the schedule chooses."""
        if self.pieces:
            self.finish(self.schedule_choice())

    def schedule_choice(self) -> Piece:
        return self.pieces[self.w.schedule.random.randrange(len(self.pieces))]

    def land_for_waiters(self) -> bool:
        """Let a piece land because nothing else can go on; False if there is none."""
        if not self.pieces:
            return False
        self.finish(self.pieces[0] if self.w.schedule.is_plain else self.schedule_choice())
        return True

    # ---- copies that threads wait for

    def copy(self, offsets: Array, data: Array) -> None:
        """cp.async: write `data`, of shape (threads, bytes), to shared memory at `offsets` some time."""
        w = self.w
        locations = self._begin(offsets, data.shape[1])
        w.shared.pending[locations] += 1
        size = w.count
        copy = ThreadCopy(
            w.indices, self.committed[w.ix].copy(), offsets, data, np.zeros(size, bool), np.zeros(size, bool), w.current
        )
        self.copies.append(copy)
        if w.schedule.lands_now():
            self._land(copy, np.ones(size, bool))

    def _begin(self, offsets: Array, nbytes: int) -> Array:
        """Check that the active threads may overwrite shared memory; returns the locations."""
        w = self.w
        locations = w.shared.locations(offsets, nbytes)
        w.shared.check_overwrite(w, locations, w.warp[w.ix], "an asynchronous copy overwrites shared memory")
        return locations

    def _land(self, copy: ThreadCopy, which: Array) -> None:
        which = which & ~copy.landed
        where = copy.offsets[which][:, None] + np.arange(copy.data.shape[1])
        self.w.shared.data[1][where] = copy.data[which]
        self.w.shared.written[1][where] = 1
        copy.landed |= which

    def commit(self) -> None:
        """cp.async.commit_group of the active threads."""
        self.committed[self.w.ix] += 1

    def wait(self, groups: int | None) -> None:
        """Wait until at most the `groups` latest groups of each active thread are in flight; None: wait for all."""
        w = self.w
        active = w.active_mask()
        last = self.committed - groups if groups is not None else self.committed + 1
        for copy in self.copies:
            done = active[copy.threads] & (copy.groups < last[copy.threads]) & ~copy.waited
            if not done.any():
                continue
            self._land(copy, done)
            copy.waited |= done
            locations = w.shared.locations(copy.offsets[done], copy.data.shape[1])
            w.shared.pending[locations] -= 1
            warps = w.warp[copy.threads[done]] % w.clocks.warps
            w.shared.writer[locations] = ((w.clocks.now << AGENT_BITS) | warps)[:, None]
        self.copies = [copy for copy in self.copies if not copy.waited.all()]

    # ---- bulk copies, each of the one thread that is active

    def bulk_load(self, addresses: Array, data: Array, barrier: int) -> None:
        """Write `data` to shared memory some time, and then tell the mbarrier."""
        w, shared = self.w, self.w.shared
        size = data.dtype.itemsize
        thread = int(w.indices[0])
        key, _ = w.mbarriers.find(0, barrier)
        mbarrier = shared.locations(shared.offsets(w, np.array([barrier]), 8), 8)
        shared.check_mbarriers(w, mbarrier)
        shared.check_fenced_mbarrier(w, mbarrier)
        offsets = shared.engine_offsets(w, addresses, size)
        locations = shared.engine_locations(offsets, size)
        shared.check_overwrite(w, locations[:, None], w.warp[w.ix], "an asynchronous copy overwrites shared memory")
        shared.pending[locations] += 1
        self.bulk_writes += 1

        def land() -> None:
            shared.data[size][offsets // size] = data
            shared.written[size][offsets // size] = WRITTEN[size]
            shared.pending[locations] -= 1
            self.bulk_writes -= 1
            time = w.clocks.engine_time()
            shared.writer[locations] = (time << AGENT_BITS) | w.clocks.engine
            w.mbarriers.complete_bytes(key, data.nbytes, time)

        self.issue(land, thread, "a bulk copy to shared memory")

    def bulk_store(self, addresses: Array, targets: Array, inside: Array, size: int) -> None:
        """Copy elements from shared memory to global memory at `targets` some time, those that are `inside`."""
        w = self.w
        warps = w.warp[w.ix]
        thread = int(w.indices[0])
        known, fenced = w.clocks.known_to_all(warps), w.clocks.fenced[int(w.block[thread])].copy()
        data: list[Array] = []

        def read() -> None:
            data.append(w.shared.engine_load(w, addresses, size, int(warps[0]) % w.clocks.warps, known, fenced))

        def land() -> None:
            if inside.any():
                global_memory.store(w, targets[inside], size, data[0][inside][:, None])

        piece = self.issue(read, thread, "a bulk copy from shared memory")
        writing = Piece(land, w.current, thread, "a bulk copy to global memory")
        self.stores.append(BulkStore(thread, int(self.committed_bulk[thread]), piece, writing))
        if w.schedule.is_plain:
            self._land_store(self.stores[-1])

    def _land_store(self, store: BulkStore) -> None:
        self.finish(store.reading)
        if not store.landed:
            store.landed = True
            self.pieces.append(store.writing)
            self.finish(store.writing)

    def commit_bulk(self) -> None:
        """cp.async.bulk.commit_group of the active threads."""
        self.committed_bulk[self.w.ix] += 1

    def wait_bulk(self, groups: int, reads_only: bool) -> None:
        """Wait until at most the `groups` latest groups of stores of each active thread are in flight."""
        last = self.committed_bulk - groups
        active = self.w.active_mask()
        for store in [*self.stores]:
            if active[store.thread] and store.group < last[store.thread]:
                self.finish(store.reading)
                store.waited = True
                if not reads_only:
                    self._land_store(store)
                    self.stores.remove(store)

    # ---- the end

    def check_finished(self) -> None:
        """Raise if work is in flight when all threads have exited."""
        w = self.w
        for copy in self.copies:
            w.current = copy.step
            w.focus(copy.threads[~copy.waited][:1])
            w.fault(Race, "the kernel ends with an asynchronous copy that nobody waited for", 0)
        for store in [*self.stores]:
            if not store.waited:
                w.current = store.writing.step
                w.focus(np.array([store.thread]))
                w.fault(Race, "the kernel ends with a bulk store that nobody waited for", 0)
            self._land_store(store)
        for piece in self.pieces:
            w.current = piece.step
            w.focus(np.array([piece.thread]))
            w.fault(MBarrierMisuse, f"the kernel ends with {piece.what} in flight", 0)
