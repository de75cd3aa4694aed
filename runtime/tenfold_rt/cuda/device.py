"""What a GPU does for the runtime, as a protocol: memory, copies and kernels, in the order in which they are asked for.

Work is asynchronous: a method that starts something returns at once, and an error that happens meanwhile is raised by
the next method that waits.  `driver_device` has the implementation over the driver; anything that keeps to the
protocol can stand in for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from tenfold_rt.frozen import frozen

if TYPE_CHECKING:
    from tenfold_rt.cuda.plan import Plan, TensorMap

Kernel: TypeAlias = Any
"""A kernel that was loaded, as the device knows it."""


@frozen
class Properties:
    """What a device is: its name, compute capability such as (9, 0), multiprocessors, memory, and its driver.

    `driver` is the newest version of CUDA that the driver knows, such as (13, 0).
    """

    name: str
    compute_capability: tuple[int, int]
    multiprocessors: int
    total_memory: int
    driver: tuple[int, int]


@frozen
class MemoryStats:
    """Bytes: what this process has allocated now, had at most, and has kept in its pool; what is free of the device."""

    current: int
    peak: int
    reserved: int
    free: int
    total: int


class Captured(Protocol):
    """Work that was recorded, to be done again with the same addresses."""

    def replay(self) -> None:
        """Do it once more."""
        ...


class Device(Protocol):
    """One GPU.  Addresses are numbers; `DeviceError` where the device refuses, `DeviceMemoryError` for want of memory.

    Work of all threads is done in the order in which it was asked for.
    """

    @property
    def index(self) -> int:
        """Which of the devices this is, counted from 0."""
        ...

    @property
    def properties(self) -> Properties:
        """What it is."""
        ...

    @property
    def stream(self) -> int:
        """The handle of the stream on which all work is done, as DLPack passes it on."""
        ...

    def allocate(self, size: int) -> int:
        """The address of `size` bytes, from a multiple of 256 on."""
        ...

    def free(self, address: int) -> None:
        """Give memory back, once the work asked for so far is done.  Raises nothing."""
        ...

    def copy_in(self, target: int, source: memoryview) -> None:
        """Copy the bytes of `source`, which may be changed once this returns, to the device."""
        ...

    def copy_out(self, target: memoryview, source: int) -> None:
        """Copy from the device to all of `target`; waits for the work asked for so far."""
        ...

    def copy(self, target: int, source: int, size: int) -> None:
        """Copy within the device's memory."""
        ...

    def fill(self, target: int, value: int, size: int) -> None:
        """Let `size` bytes be `value`."""
        ...

    def load(self, plan: Plan) -> Mapping[str, Kernel]:
        """The kernels of a plan by their names."""
        ...

    def launch(
        self, kernel: Kernel, grid: int, threads: int, shared_bytes: int, arguments: Sequence[int | bytes]
    ) -> None:
        """Start a kernel.  An argument is 8 bytes, given as a number, or bytes as they are."""
        ...

    def tensor_map(self, tensor_map: TensorMap, address: int) -> bytes:
        """The 128 bytes that describe a tensor at `address` to the copy engine."""
        ...

    def capture(self, work: Callable[[], None]) -> Captured | None:
        """What `work` asks for (launches, copies, fills), recorded and not done; None where that cannot be."""
        ...

    def synchronize(self) -> None:
        """Wait until all work is done; raises the error of what failed meanwhile."""
        ...

    def wait_for(self, stream: int) -> None:
        """Let the work that follows wait for what another library has asked for on a stream of its own."""
        ...

    def let_wait(self, stream: int) -> None:
        """Let what another library asks for next on a stream of its own wait for the work asked for so far."""
        ...

    def memory_stats(self) -> MemoryStats:
        """How much memory is in use."""
        ...

    def trim(self) -> None:
        """Give the memory back to the system that is kept and that nothing uses."""
        ...

    def reset_peak(self) -> None:
        """Let the peak be what is allocated now."""
        ...
