"""A module like `cuda.bindings.driver` over memory of this process: what the driver would do, so far as a test can see.

Functions give a tuple that begins with a result code.  Kernels are Python functions of their arguments' pointers;
`failing` holds codes that functions give instead of doing their work, and `calls` the names of those called.
"""

# ruff: noqa: N802, N815 - names of the driver's

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any


class _Names:
    """An enumeration of the driver's, each of whose members is its own name."""

    def __getattr__(self, name: str) -> str:
        return name


class _Number:
    def __init__(self, value: int) -> None:
        self.value = value


class _Descriptor:
    """A tensor map: 128 bytes that begin with the address."""

    def __init__(self, address: int) -> None:
        self._memory = ctypes.create_string_buffer(address.to_bytes(8, "little"), 128)

    def getPtr(self) -> int:
        return ctypes.addressof(self._memory)


class FakeDriver:
    """One device.  `kernels` are functions of an array of pointers to arguments."""

    def __init__(self, kernels: dict[str, Callable[..., None]] | None = None, *, total: int = 1 << 20) -> None:
        self.kernels = kernels or {}
        self.failing: dict[str, int] = {}
        self.calls: list[str] = []
        self.version, self.capability, self.count, self.total = 13000, (9, 0), 1, total
        self.memory: dict[int, Any] = {}
        self.used = self.kept = 0
        self.encoded: list[tuple[Any, ...]] = []
        self._recorded: list[Callable[[], None]] | None = None
        self.CUdevice_attribute = self.CUmemPool_attribute = self.CUfunction_attribute = _Names()
        self.CUstreamCaptureMode = self.CUtensorMapDataType = self.CUtensorMapSwizzle = _Names()
        self.CUtensorMapInterleave = self.CUtensorMapL2promotion = self.CUtensorMapFloatOOBfill = _Names()
        self.cuuint64_t = self.cuuint32_t = _Number
        self.CUstream = self.CUresult = int

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("cu"):
            raise AttributeError(name)
        function = getattr(self, f"do_{name}", lambda *_: 0)

        def call(*arguments: Any) -> tuple[Any, ...]:
            self.calls.append(name)
            code = self.failing.get(name)
            if code is not None:
                return (code, *[0] * 2) if name == "cuMemGetInfo" else (code, 0)
            given = function(*arguments)
            return (0, *given) if isinstance(given, tuple) else (0, given)

        return call

    def do_cuDriverGetVersion(self) -> int:
        return self.version

    def do_cuDeviceGetCount(self) -> int:
        return self.count

    def do_cuDeviceGetName(self, size: int, device: int) -> bytes:
        return b"Fake GPU".ljust(size, b"\0")

    def do_cuDeviceTotalMem(self, device: int) -> int:
        return self.total

    def do_cuDeviceGetAttribute(self, attribute: str, device: int) -> int:
        known = {
            "CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR": self.capability[0],
            "CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR": self.capability[1],
            "CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED": 1,
            "CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT": 132,
            "CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN": 232448,
        }
        return known[attribute]

    def do_cuGetErrorString(self, code: int) -> bytes:
        return f"what {code} means".encode()

    def do_cuStreamCreate(self, flags: int) -> int:
        return 77

    def do_cuMemGetInfo(self) -> tuple[int, int]:
        return self.total - self.used - self.kept, self.total

    def do_cuMemPoolGetAttribute(self, pool: int, attribute: str) -> int:
        return self.used + self.kept

    def do_cuMemPoolTrimTo(self, pool: int, size: int) -> None:
        self.kept = size

    def cuMemAllocAsync(self, size: int, stream: int) -> tuple[int, int]:
        self.calls.append("cuMemAllocAsync")
        if "cuMemAllocAsync" in self.failing:
            return self.failing["cuMemAllocAsync"], 0
        if self.used + self.kept + size > self.total:
            return 2, 0
        block = ctypes.create_string_buffer(size + 256)
        address = -(-ctypes.addressof(block) // 256) * 256
        self.memory[address] = (block, size)
        self.used += size
        return 0, address

    def do_cuMemFreeAsync(self, address: int, stream: int) -> None:
        assert self._recorded is None
        size = self.memory.pop(address)[1]
        self.used -= size
        self.kept += size

    def do_cuMemHostAlloc(self, size: int, flags: int) -> int:
        block = ctypes.create_string_buffer(size)
        self.memory[ctypes.addressof(block)] = (block, size)
        return ctypes.addressof(block)

    def _move(self, target: int, source: int, size: int, stream: int) -> None:
        self._do(lambda: ctypes.memmove(target, source, size))

    do_cuMemcpyHtoDAsync = do_cuMemcpyDtoHAsync = do_cuMemcpyDtoDAsync = _move

    def do_cuMemsetD8Async(self, target: int, value: int, size: int, stream: int) -> None:
        self._do(lambda: ctypes.memset(target, value, size))

    def do_cuModuleGetFunction(self, module: int, name: bytes) -> str:
        return name.decode()

    def do_cuLaunchKernel(self, kernel: str, *rest: Any) -> None:
        *shape, _, arguments, _ = rest
        pointers = ctypes.cast(arguments, ctypes.POINTER(ctypes.c_void_p))
        function: Any = self.kernels[kernel]
        values = [ctypes.string_at(pointers[n] or 0, size) for n, size in enumerate(function.sizes)]
        self._do(lambda: function(shape, *values))

    def do_cuStreamBeginCapture(self, stream: int, mode: str) -> None:
        self._recorded = []

    def do_cuStreamEndCapture(self, stream: int) -> Sequence[Callable[[], None]]:
        recorded, self._recorded = self._recorded, None
        assert recorded is not None
        return _Graph(recorded)

    def do_cuGraphInstantiate(self, graph: Any, flags: int) -> Any:
        return graph

    def do_cuGraphLaunch(self, graph: Any, stream: int) -> None:
        for operation in graph.operations:
            operation()

    def do_cuTensorMapEncodeTiled(self, *arguments: Any) -> _Descriptor:
        self.encoded.append(arguments)
        return _Descriptor(arguments[2])

    def _do(self, operation: Callable[[], Any]) -> None:
        if self._recorded is None:
            operation()
        else:
            self._recorded.append(operation)


class _Graph:
    def __init__(self, operations: Sequence[Callable[[], None]]) -> None:
        self.operations = operations


def kernel(*sizes: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A kernel whose arguments have these numbers of bytes: a function of the launch's shape and of their bytes."""

    def marked(function: Callable[..., None]) -> Callable[..., None]:
        function.sizes = sizes  # type: ignore[attr-defined]
        return function

    return marked
