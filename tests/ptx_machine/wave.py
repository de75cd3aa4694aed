"""Running a number of blocks together: every thread has a program counter, and those at the least one run first.

The threads that run together are `ix`, a slice of the wave or an array of indices; `count` of them.  They run on until
they branch apart, wait, or come to where other threads stand; then the next stretch is chosen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ptx_machine.asynchronous import AsynchronousWork
from ptx_machine.barriers import Barriers
from ptx_machine.clocks import Clocks
from ptx_machine.errors import BarrierDeadlock, MBarrierDeadlock, Place, PtxError
from ptx_machine.mbarriers import MBarriers
from ptx_machine.operands import EXITED, STOP
from ptx_machine.shared import SharedMemory
from ptx_machine.warpgroups import WarpGroups

if TYPE_CHECKING:
    from ptx_machine.code import Code
    from ptx_machine.launch import Launch

Array = NDArray[Any]
NEVER = 1 << 62
STRETCH = 4000
"""Control transfers after which threads that keep running stand back for the others."""


class Wave:
    """The blocks `blocks` (their linear numbers) of a launch, run together."""

    def __init__(self, launch: Launch, blocks: list[int]) -> None:
        self.launch = launch
        self.code: Code = launch.code
        self.memory = launch.memory
        self.schedule = launch.schedule
        self.variables = launch.variables
        self.parameters = launch.parameters
        self._geometry(blocks)
        self.pc = np.full(self.size, launch.kernel.entry, np.int64)
        self.parked = np.zeros(self.size, np.bool_)
        self.members = np.zeros(self.size, np.uint32)
        self.rank = np.zeros(self.size, np.int64)
        self.rank_used = False
        self.ix: Any = slice(0, self.size)
        self.count = self.size
        self.whole = True
        self.budget = 0
        self._slice = 0
        self.views = self._views()
        self.frames = {
            name: np.zeros((self.size, -(-n // 16) * 16), np.uint8) for name, n in launch.kernel.frames.items()
        }
        self.local = np.zeros((self.size, -(-launch.kernel.local_bytes // 16) * 16), np.uint8)
        self.clocks = Clocks(self.blocks, self.warps, launch.races.time)
        tracked = self.warps > 1 or launch.kernel.is_asynchronous
        self.shared = SharedMemory(self.blocks, launch.shared_bytes, launch.kernel.shared_grain, tracked)
        self.barriers = Barriers(self)
        self.mbarriers = MBarriers(self)
        self.work = AsynchronousWork(self)
        self.groups = WarpGroups(self)
        self.step_count = 0

    def _geometry(self, blocks: list[int]) -> None:
        grid, shape = self.launch.grid, self.launch.block
        self.blocks = len(blocks)
        self.block_numbers = np.array(blocks, np.int64)
        per_block = shape[0] * shape[1] * shape[2]
        self.threads_per_block = per_block
        self.warps = -(-per_block // 32)
        self.size = per_block * self.blocks
        thread = np.tile(np.arange(per_block), self.blocks)
        self.block = np.repeat(np.arange(self.blocks), per_block)
        number = np.repeat(self.block_numbers, per_block)
        self.lane = (thread % 32).astype(np.int64)
        self.warp = self.block * self.warps + thread // 32
        self.lane_bit = (np.uint32(1) << self.lane.astype(np.uint32)).astype(np.uint32)
        special = {
            "tid": (thread % shape[0], thread // shape[0] % shape[1], thread // shape[0] // shape[1]),
            "ctaid": (number % grid[0], number // grid[0] % grid[1], number // grid[0] // grid[1]),
            "ntid": shape,
            "nctaid": grid,
        }
        self.special: dict[str, Array] = {}
        for name, axes in special.items():
            for axis, value in zip("xyz", axes, strict=True):
                self.special[f"{name}.{axis}"] = self._each(value)
        below = self.lane_bit - np.uint32(1)
        for name, value in (("eq", self.lane_bit), ("lt", below), ("le", below | self.lane_bit)):
            self.special[f"lanemask_{name}"] = value
        self.special["lanemask_gt"], self.special["lanemask_ge"] = ~(below | self.lane_bit), ~below
        self.special["laneid"], self.special["warpid"] = self._each(self.lane), self._each(thread // 32)
        self.special["nwarpid"] = self._each(self.warps)
        self.special["WARP_SZ"] = self._each(32)
        self.special["dynamic_smem_size"] = self._each(self.launch.dynamic_bytes)
        self.special["total_smem_size"] = self._each(self.launch.shared_bytes)

    def _each(self, value: Any) -> Array:
        return np.broadcast_to(np.asarray(value), (self.size,)).astype(np.uint32)

    def _views(self) -> list[Any]:
        """The array of each view the kernel needs; registers start with arbitrary bits."""
        code = self.code
        registers: dict[str, Array] = {}
        views: list[Any] = [None] * len(code.views.numbers)
        for (name, dtype), number in code.views.numbers.items():
            if name not in self.launch.kernel.registers:
                continue
            if name not in registers:
                bits = code.views.registers[name].bits
                fill = 0xBADC0DE5BADC0DE5 ^ self.schedule.seed
                registers[name] = (
                    np.zeros(self.size, np.bool_)
                    if bits == 1
                    else np.full(self.size, fill & ((1 << bits) - 1), f"u{bits // 8}")
                )
            views[number] = registers[name].view(dtype)
        return views

    # ---- the active threads

    @property
    def indices(self) -> Array:
        """The indices in the wave of the active threads."""
        return np.arange(self.size)[self.ix] if isinstance(self.ix, slice) else self.ix

    def each(self, value: Any) -> Array:
        """`value` with one element for each active thread."""
        return np.broadcast_to(value, (self.count,))

    def focus(self, chosen: Array) -> None:
        """Make `chosen`, ascending indices, the active threads."""
        self.count = chosen.size
        first = int(chosen[0]) if chosen.size else 0
        contiguous = chosen.size > 0 and int(chosen[-1]) - first + 1 == chosen.size
        self.ix = slice(first, first + chosen.size) if contiguous else chosen
        self.whole = False

    def active_mask(self) -> Array:
        mask = np.zeros(self.size, np.bool_)
        mask[self.ix] = True
        return mask

    @property
    def in_flight(self) -> bool:
        """Whether any asynchronous copy has not been waited for."""
        return self.work.in_flight

    # ---- running

    def run(self) -> None:
        """Run all blocks to their end.

        Raises:
            PtxError: the program has a defect that showed.
        """
        with np.errstate(all="ignore"):
            try:
                while self._select():
                    self._advance()
                self._finish()
            except PtxError as error:
                if error.place is None:
                    error.place = self.place(None)
                raise

    def _select(self) -> bool:
        """Choose the threads to run next; False when all have exited."""
        self.step_count += 1
        if not self.schedule.is_plain:
            self._shuffle()
        away = self.parked | (self.pc == EXITED)
        key = np.where(away, NEVER, self.pc if not self.rank_used else self.pc + (self.rank << 32))
        least = int(key.min())
        if least == NEVER:
            return self._wake() and self._select()
        chosen = key == least
        number = int(np.count_nonzero(chosen))
        self.position = least & 0xFFFFFFFF
        if number == self.size:
            self.ix, self.count, self.whole, self.limit = slice(0, self.size), number, True, EXITED
            return True
        self.focus(np.flatnonzero(chosen))
        self.whole = number == self.size - int(np.count_nonzero(self.pc == EXITED))
        others = np.where(chosen | (key >> 32 != least >> 32), EXITED, key & 0xFFFFFFFF)
        self.limit = int(others.min())
        return True

    def _shuffle(self) -> None:
        """Now and then draw anew which warps run ahead, and land some asynchronous work."""
        self._slice -= 1
        if self._slice <= 0:
            self._slice = self.schedule.slice_length()
            ranks = np.array(self.schedule.warp_ranks(self.blocks * self.warps), np.int64)
            self.rank = ranks[self.warp]
            self.rank_used = True
        if self.work and self.schedule.lands_now():
            self.work.land_any()
        if self.groups and self.schedule.lands_now():
            self.groups.land_any()

    def _advance(self) -> None:
        """Run the chosen threads until they stop, branch apart or come to other threads."""
        steps, pc, limit = self.code.steps, self.position, self.limit
        self.budget = STRETCH
        while pc < limit:
            self.current = pc
            following = steps[pc](self)
            if following is None:
                pc += 1
                continue
            if following == STOP:
                return
            pc = following
            self.budget -= 1
            if self.budget <= 0:
                break
        self.pc[self.ix] = pc
        if self.budget <= 0:
            self._stand_back()

    def _stand_back(self) -> None:
        """Let other threads run before those that ran for a long while, such as those that spin."""
        self.launch.transfers += STRETCH
        if self.launch.transfers > self.schedule.step_limit:
            raise BarrierDeadlock(f"no end after {self.launch.transfers} control transfers")
        if self.whole:
            return
        self.rank_used = True
        self.rank[self.ix] += 1
        if int(self.rank.max()) > 1 << 20:
            self.rank -= self.rank.min()

    def _wake(self) -> bool:
        """When nothing can run: end, or let work land, or find who waits in vain."""
        waiting = self.parked
        if not waiting.any():
            return False
        if self.barriers.retry() or self.collectives_retry():
            return True
        if not self.work.land_for_waiters():
            self._deadlock()
        return True

    def collectives_retry(self) -> bool:
        """Run again the collectives that threads wait at, where the exit of other threads made them complete."""
        for pc in np.unique(self.pc[self.parked & (self.members != 0)]):
            self.focus(np.flatnonzero(self.parked & (self.pc == pc) & (self.members != 0)))
            ready = self._complete(int(pc))
            if ready.any():
                self.parked[self.indices[ready]] = False
                return True
        return False

    def _deadlock(self) -> NoReturn:
        first = int(np.argmax(self.parked))
        self.current = int(self.pc[first])
        waiting = int(np.count_nonzero(self.parked))
        self.ix, self.count = slice(first, first + 1), 1
        if any(self.mbarriers.sleeping(i) for i in np.flatnonzero(self.parked)):
            first = next(int(i) for i in np.flatnonzero(self.parked) if self.mbarriers.sleeping(i))
            self.ix = slice(first, first + 1)
            self.current = int(self.mbarriers.sleeping(first).pc)
            self.fault(MBarrierDeadlock, f"{waiting} threads wait in vain: {self.mbarriers.describe(first)}", 0)
        what = "collective instruction" if self.members[first] else "barrier"
        self.fault(BarrierDeadlock, f"{waiting} threads wait in vain at a {what}", 0)

    def _finish(self) -> None:
        self.launch.races.time = self.clocks.now + 1
        self.groups.check_finished()
        self.work.check_finished()
        self.mbarriers.check_finished()

    # ---- collectives

    def gather(self, pc: int, members: Any) -> Array | None:
        """Park the active threads at the collective `pc`; then focus on the warps whose members are all there.

        Returns the threads that go on, or None if all must wait.
        """
        self.pc[self.ix] = pc
        self.members[self.ix] = members
        self.parked[self.ix] = True
        self.focus(np.flatnonzero(self.parked & (self.pc == pc) & (self.members != 0)))
        ready = self._complete(pc)
        if not ready.any():
            return None
        chosen = self.indices[ready]
        self.parked[chosen] = False
        self.members[chosen] = 0
        self.focus(chosen)
        return chosen

    def _complete(self, pc: int) -> Array:
        """Of the active threads, those whose collective has all its members that did not exit."""
        warps = self.warp[self.ix]
        number = self.blocks * self.warps
        present = np.bincount(warps, weights=self.lane_bit[self.ix], minlength=number).astype(np.uint32)
        alive = np.bincount(self.warp, weights=np.where(self.pc == EXITED, 0, self.lane_bit), minlength=number).astype(
            np.uint32
        )
        span = self.code.collective_span.get(pc, 1)
        if span > 1:
            complete = (present == alive).reshape(-1, span).all(axis=1).repeat(span)
            return complete[warps]
        return (self.members[self.ix] & alive[warps] & ~present[warps]) == 0

    # ---- defects

    def place(self, position: int | None) -> Place:
        """The current instruction, and the active thread at `position`."""
        step = self.code.places[getattr(self, "current", self.launch.kernel.entry)]
        if position is None:
            return Place(step.function, step.line, step.source, None, None)
        at = int(self.indices[min(position, self.count - 1)])
        block = tuple(int(self.special[f"ctaid.{axis}"][at]) for axis in "xyz")
        thread = tuple(int(self.special[f"tid.{axis}"][at]) for axis in "xyz")
        return Place(step.function, step.line, step.source, block, thread)  # type: ignore[arg-type]

    def fault(self, kind: type[PtxError], message: str, position: int | None) -> NoReturn:
        """Raise a defect of the active thread at `position`."""
        raise kind(message, self.place(position))
