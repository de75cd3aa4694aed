"""A device that is none: memory of this process, and kernels that are Python functions.

It keeps to the protocol of `tenfold_rt.cuda.device`: what fails in a kernel is raised by the next call that waits, and
then by every call.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tenfold_rt.cuda.device import MemoryStats, Properties
from tenfold_rt.cuda.plan import Plan, TensorMap
from tenfold_rt.errors import DeviceError, DeviceMemoryError

FIRST = 1 << 20


class PlainMemory:
    """Allocations at multiples of 256; an address is used again once it was given back."""

    def __init__(self) -> None:
        self._next = FIRST
        self._starts: list[int] = []
        self._blocks: list[bytearray] = []
        self._free: dict[int, list[int]] = {}

    def allocate(self, size: int) -> int:
        free = self._free.get(size, [])
        address = free.pop() if free else self._next
        self._next = max(self._next, address + (-(-size // 256) + 1) * 256)
        at = bisect.bisect_left(self._starts, address)
        self._starts.insert(at, address)
        self._blocks.insert(at, bytearray(b"\xee" * size))
        return address

    def free(self, address: int) -> None:
        at = self._starts.index(address)
        self._free.setdefault(len(self._blocks[at]), []).append(address)
        del self._starts[at], self._blocks[at]

    def read(self, address: int, size: int) -> bytes:
        block, offset = self._find(address, size)
        return bytes(block[offset : offset + size])

    def write(self, address: int, data: bytes | memoryview) -> None:
        block, offset = self._find(address, len(data))
        block[offset : offset + len(data)] = data

    def _find(self, address: int, size: int) -> tuple[bytearray, int]:
        at = bisect.bisect_right(self._starts, address) - 1
        if at < 0 or address + size > self._starts[at] + len(self._blocks[at]):
            raise IndexError(f"{size} bytes at {address:#x} lie in no allocation")
        return self._blocks[at], address - self._starts[at]


class _Recorded:
    """Operations that were captured."""

    def __init__(self, operations: Sequence[Callable[[], None]]) -> None:
        self._operations = operations

    def replay(self) -> None:
        for operation in self._operations:
            operation()


class StandInDevice:
    """Device `index`, whose kernels are `kernels`: functions of the memory, the grid, the threads and the arguments.

    `log` names what was asked for: launches by their kernels, and `capture`, `replay`, `copy`, `synchronize`.
    """

    def __init__(
        self,
        kernels: Mapping[str, Callable[..., None]] | None = None,
        *,
        index: int = 0,
        capability: tuple[int, int] = (9, 0),
        total: int = 1 << 30,
    ) -> None:
        self.index = index
        self.stream = 1000 + index
        self.memory: Any = PlainMemory()
        self.log: list[str] = []
        self.waits: list[tuple[str, int]] = []
        self.can_capture = True
        self._python = dict(kernels or {})
        self._capability, self._total = capability, total
        self._sizes: dict[int, int] = {}
        self._current = self._peak = 0
        self._captured: list[Callable[[], None]] | None = None
        self._failure: DeviceError | None = None
        self._was_told = False

    @property
    def properties(self) -> Properties:
        return Properties("Stand-in", self._capability, 1, self._total, (13, 0))

    def allocate(self, size: int) -> int:
        self._refuse()
        if self._current + size > self._total:
            raise DeviceMemoryError(
                f"cuda:{self.index} is out of memory: {size} bytes were asked for, {self._total - self._current} bytes "
                f"of {self._total} bytes are free"
            )
        address = self.memory.allocate(size)
        self._sizes[address] = size
        self._current += size
        self._peak = max(self._peak, self._current)
        return address

    def free(self, address: int) -> None:
        self._current -= self._sizes.pop(address)
        self.memory.free(address)

    def copy_in(self, target: int, source: memoryview) -> None:
        self._refuse()
        assert self._captured is None
        self.memory.write(target, bytes(source))

    def copy_out(self, target: memoryview, source: int) -> None:
        self.synchronize()
        target[:] = self.memory.read(source, len(target))

    def copy(self, target: int, source: int, size: int) -> None:
        self._do("copy", lambda: self.memory.write(target, self.memory.read(source, size)))

    def fill(self, target: int, value: int, size: int) -> None:
        self._do("fill", lambda: self.memory.write(target, bytes([value]) * size))

    def load(self, plan: Plan) -> Mapping[str, Any]:
        return {name: (name, kernel) for name, kernel in self._python.items()}

    def launch(self, kernel: Any, grid: int, threads: int, shared_bytes: int, arguments: Sequence[int | bytes]) -> None:
        name, function = kernel
        self._do(name, lambda: function(self.memory, grid, threads, *arguments))

    def tensor_map(self, tensor_map: TensorMap, address: int) -> bytes:
        return address.to_bytes(8, "little") + repr(tensor_map.shape).encode().ljust(120, b"\0")

    def capture(self, work: Callable[[], None]) -> _Recorded | None:
        self._refuse()
        if not self.can_capture:
            return None
        self.log.append("capture")
        self._captured = []
        try:
            work()
            return _Recorded([lambda: self.log.append("replay"), *self._captured])
        finally:
            self._captured = None

    def synchronize(self) -> None:
        self.log.append("synchronize")
        self._refuse(waits=True)

    def wait_for(self, stream: int) -> None:
        self.waits.append(("wait_for", stream))

    def let_wait(self, stream: int) -> None:
        self.waits.append(("let_wait", stream))

    def memory_stats(self) -> MemoryStats:
        return MemoryStats(self._current, self._peak, self._current, self._total - self._current, self._total)

    def trim(self) -> None:
        self.log.append("trim")

    def reset_peak(self) -> None:
        self._peak = self._current

    def _do(self, name: str, operation: Callable[[], None]) -> None:
        """Do an operation, or record it; what it raises is told later."""
        self._refuse()

        def guarded() -> None:
            try:
                if self._failure is None:
                    operation()
            except Exception as error:
                self._failure = DeviceError(f"cuda:{self.index}: a kernel failed: {error}")

        self.log.append(name)
        if self._captured is None:
            guarded()
        else:
            self._captured.append(guarded)

    def _refuse(self, *, waits: bool = False) -> None:
        if self._failure is None or not (waits or self._was_told):
            return
        if self._was_told:
            raise DeviceError(
                f"cuda:{self.index} cannot be used any more in this process: {self._failure.what}"
            ) from self._failure
        self._was_told = True
        raise self._failure
