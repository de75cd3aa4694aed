"""A GPU through NVIDIA's driver.

All work is done on one stream, so that memory may be given back and taken again without waiting.  A device on which a
kernel failed refuses all further work of the process, as the driver does: every later call says what happened first.
"""

from __future__ import annotations

import ctypes
import gc
import os
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tenfold_rt.cuda import encoding
from tenfold_rt.cuda.device import Captured, Kernel, MemoryStats, Properties
from tenfold_rt.cuda.driver import OUT_OF_MEMORY, STICKY, Driver, DriverError, driver_version
from tenfold_rt.cuda.plan import Launch, Plan, TensorMap
from tenfold_rt.cuda.staging import Staging
from tenfold_rt.cuda.walking import all_steps
from tenfold_rt.errors import DeviceError, DeviceMemoryError

OLDEST_GPU = (8, 0)
"""The compute capability that kernels need at least."""

_NON_BLOCKING = 1
_STATIC_SHARED = 48 << 10
"""Bytes of shared memory up to which a kernel need not ask."""


class DriverDevice:
    """GPU number `index` of those that the driver lists, in the process's primary context.

    `DeviceError` where there is none of that number, or where it is too old.
    """

    def __init__(self, driver: Driver, index: int) -> None:
        self._driver, self._index = driver, index
        self._device = driver.call("cuDeviceGet", index)
        self._properties = _properties(driver, self._device)
        if self._properties.compute_capability < OLDEST_GPU:
            raise DeviceError(
                "{} has compute capability {}.{}, and {}.{} is needed".format(
                    self._properties.name, *self._properties.compute_capability, *OLDEST_GPU
                ),
                mend="use the cpu",
            )
        if not _attribute(driver, self._device, "MEMORY_POOLS_SUPPORTED"):
            raise DeviceError(f"{self._properties.name} gives no memory in the order of a stream", mend="use the cpu")
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._broken: DeviceError | None = None
        self._context = driver.call("cuDevicePrimaryCtxRetain", self._device)
        self._sizes: dict[int, int] = {}
        self._current = self._peak = 0
        self._is_capturing = False
        self._postponed: list[int] = []
        with self._using():
            self._stream = driver.call("cuStreamCreate", _NON_BLOCKING)
            self._event = driver.call("cuEventCreate", 2)
            self._pool = driver.call("cuDeviceGetDefaultMemPool", self._device)
            keep_all = driver.cuuint64_t(2**64 - 1)
            threshold = driver.CUmemPool_attribute.CU_MEMPOOL_ATTR_RELEASE_THRESHOLD
            driver.call("cuMemPoolSetAttribute", self._pool, threshold, keep_all)
            self._staging = Staging(driver, self._stream)

    @property
    def index(self) -> int:
        """Which of the driver's devices this is."""
        return self._index

    @property
    def properties(self) -> Properties:
        """What it is."""
        return self._properties

    @property
    def stream(self) -> int:
        """The stream's handle."""
        return int(self._stream)

    @contextmanager
    def _using(self) -> Generator[None]:
        """Let the calling thread use the device, alone; errors say which device it was, and are remembered."""
        if os.getpid() != self._process:
            raise DeviceError(
                f"cuda:{self._index} was in use when this process was forked, and cannot be used in it",
                mend="use the GPU in the parent alone, or start processes with the method 'spawn'",
            )
        with self._lock:
            if self._broken is not None:
                raise DeviceError(
                    f"cuda:{self._index} cannot be used any more in this process: {self._broken.what}",
                    mend="begin a new process",
                ) from self._broken
            try:
                self._driver.call("cuCtxSetCurrent", self._context)
                yield
            except DriverError as error:
                named = DeviceError(f"cuda:{self._index}: {error.what}", mend=error.mend)
                if error.code in STICKY:
                    self._broken = named
                raise named from error

    # Memory.

    def allocate(self, size: int) -> int:
        """The address of `size` bytes; what is kept in the pool is let go of before memory is said to be short."""
        with self._using():
            address = self._allocated(size)
            if address is None:
                gc.collect()
                self.trim()
                address = self._allocated(size)
            if address is None:
                stats = self.memory_stats()
                raise DeviceMemoryError(
                    f"cuda:{self._index} is out of memory: {_amount(size)} were asked for, {_amount(stats.free)} of "
                    f"{_amount(stats.total)} are free, and tensors and programs here have {_amount(stats.current)}",
                    mend="use smaller batches, or let go of tensors",
                )
            self._sizes[address] = size
            self._current += size
            self._peak = max(self._peak, self._current)
            return address

    def _allocated(self, size: int) -> int | None:
        try:
            return int(self._driver.call("cuMemAllocAsync", size, self._stream))
        except DriverError as error:
            if error.code == OUT_OF_MEMORY:
                return None
            raise

    def free(self, address: int) -> None:
        """Give memory back in the order of the stream; after a capture, if one is under way."""
        if os.getpid() != self._process:
            return
        with self._lock:
            self._current -= self._sizes.pop(address, 0)
            if self._is_capturing:
                self._postponed.append(address)
            elif self._broken is None:
                try:
                    self._driver.call("cuCtxSetCurrent", self._context)
                    self._driver.call("cuMemFreeAsync", address, self._stream)
                except DeviceError:  # what has failed will be told by the next call that can tell
                    return

    def copy_in(self, target: int, source: memoryview) -> None:
        """Copy to the device through pinned memory."""
        with self._using():
            self._staging.copy_in(target, source)

    def copy_out(self, target: memoryview, source: int) -> None:
        """Copy from the device through pinned memory."""
        with self._using():
            self._staging.copy_out(target, source)

    def copy(self, target: int, source: int, size: int) -> None:
        """Copy within the device's memory."""
        with self._using():
            self._driver.call("cuMemcpyDtoDAsync", target, source, size, self._stream)

    def fill(self, target: int, value: int, size: int) -> None:
        """Let `size` bytes be `value`."""
        with self._using():
            self._driver.call("cuMemsetD8Async", target, value, size, self._stream)

    def memory_stats(self) -> MemoryStats:
        """How much memory is in use."""
        with self._using():
            free, total = self._driver.call("cuMemGetInfo")
            reserved = self._driver.CUmemPool_attribute.CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT
            kept = int(self._driver.call("cuMemPoolGetAttribute", self._pool, reserved))
            return MemoryStats(self._current, self._peak, kept, int(free), int(total))

    def trim(self) -> None:
        """Let go of what the pool keeps."""
        with self._using():
            self._driver.call("cuStreamSynchronize", self._stream)
            self._driver.call("cuMemPoolTrimTo", self._pool, 0)

    def reset_peak(self) -> None:
        """Let the peak be what is allocated now."""
        self._peak = self._current

    # Kernels.

    def load(self, plan: Plan) -> Mapping[str, Kernel]:
        """The kernels of a plan, which the driver translates for this GPU."""
        text = ctypes.create_string_buffer(plan.ptx.encode())
        with self._using():
            module = self._driver.call("cuModuleLoadData", ctypes.addressof(text))
            kernels: dict[str, Kernel] = {}
            for launch in (step for entry in plan.entries for step in all_steps(entry.steps)):
                if isinstance(launch, Launch) and launch.kernel not in kernels:
                    name = launch.kernel.encode()
                    kernels[launch.kernel] = self._driver.call("cuModuleGetFunction", module, name)
                if isinstance(launch, Launch) and launch.shared_bytes > _STATIC_SHARED:
                    self._let_share(kernels[launch.kernel])
            return kernels

    def _let_share(self, kernel: Kernel) -> None:
        """Let a kernel have as much dynamic shared memory as there is."""
        attributes = self._driver.CUfunction_attribute
        static = self._driver.call("cuFuncGetAttribute", attributes.CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, kernel)
        most = _attribute(self._driver, self._device, "MAX_SHARED_MEMORY_PER_BLOCK_OPTIN") - int(static)
        wanted = attributes.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        self._driver.call("cuFuncSetAttribute", kernel, wanted, most)

    def launch(
        self, kernel: Kernel, grid: int, threads: int, shared_bytes: int, arguments: Sequence[int | bytes]
    ) -> None:
        """Start a kernel; the driver copies the arguments before it returns."""
        packed = encoding.PackedArguments(arguments)
        shape = (grid, 1, 1, threads, 1, 1, shared_bytes)
        with self._using():
            self._driver.call("cuLaunchKernel", kernel, *shape, self._stream, packed.address, 0)

    def tensor_map(self, tensor_map: TensorMap, address: int) -> bytes:
        """The descriptor that the driver makes."""
        with self._using():
            return encoding.tensor_map(self._driver, tensor_map, address)

    # Order.

    def capture(self, work: Callable[[], None]) -> Captured | None:
        """`work` as a CUDA graph; None where the driver makes none of it."""
        driver = self._driver
        with self._using():
            mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
            driver.call("cuStreamBeginCapture", self._stream, mode)
            self._is_capturing = True
            try:
                work()
            finally:
                self._is_capturing = False
                graph = self._captured()
                postponed, self._postponed = self._postponed, []
                for address in postponed:
                    driver.call("cuMemFreeAsync", address, self._stream)
            return None if graph is None else _Graph(self, graph)

    def _captured(self) -> Any:
        """The graph of the capture that ends, ready to be launched; None where there is none."""
        try:
            graph = self._driver.call("cuStreamEndCapture", self._stream)
            try:
                return self._driver.call("cuGraphInstantiate", graph, 0)
            finally:
                self._driver.call("cuGraphDestroy", graph)
        except DriverError as error:
            if error.code in STICKY:
                raise
            return None

    def replay(self, graph: Any) -> None:
        """Start what a graph recorded."""
        with self._using():
            self._driver.call("cuGraphLaunch", graph, self._stream)

    def forget(self, graph: Any) -> None:
        """Let go of a graph, whose launches may be under way.  Raises nothing."""
        if os.getpid() == self._process and self._broken is None:
            with self._lock:
                try:
                    self._driver.call("cuCtxSetCurrent", self._context)
                    self._driver.call("cuGraphExecDestroy", graph)
                except DeviceError:  # what has failed will be told by the next call that can tell
                    return

    def synchronize(self) -> None:
        """Wait for all work."""
        with self._using():
            self._driver.call("cuStreamSynchronize", self._stream)

    def wait_for(self, stream: int) -> None:
        """Let this stream wait for another."""
        with self._using():
            self._driver.call("cuEventRecord", self._event, self._driver.CUstream(stream))
            self._driver.call("cuStreamWaitEvent", self._stream, self._event, 0)

    def let_wait(self, stream: int) -> None:
        """Let another stream wait for this one."""
        with self._using():
            self._driver.call("cuEventRecord", self._event, self._stream)
            self._driver.call("cuStreamWaitEvent", self._driver.CUstream(stream), self._event, 0)


class _Graph:
    """A graph of one device."""

    def __init__(self, device: DriverDevice, graph: Any) -> None:
        self._device, self._graph = device, graph

    def replay(self) -> None:
        """Start it."""
        self._device.replay(self._graph)

    def __del__(self) -> None:
        self._device.forget(self._graph)


def _attribute(driver: Driver, device: Any, name: str) -> int:
    attribute = getattr(driver.CUdevice_attribute, f"CU_DEVICE_ATTRIBUTE_{name}")
    return int(driver.call("cuDeviceGetAttribute", attribute, device))


def _properties(driver: Driver, device: Any) -> Properties:
    name: bytes = driver.call("cuDeviceGetName", 256, device)
    major, minor = (_attribute(driver, device, f"COMPUTE_CAPABILITY_{part}") for part in ("MAJOR", "MINOR"))
    return Properties(
        name.split(b"\0")[0].decode(),
        (major, minor),
        _attribute(driver, device, "MULTIPROCESSOR_COUNT"),
        int(driver.call("cuDeviceTotalMem", device)),
        driver_version(driver),
    )


def _amount(size: int) -> str:
    """A number of bytes as people say it."""
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} bytes"
