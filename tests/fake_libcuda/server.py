"""The test's side of the fake driver: memory, modules and launches, asked for through a socket."""

# ruff: noqa: N802 - names of the driver's

from __future__ import annotations

import contextlib
import functools
import socket
import struct
import subprocess
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import ml_dtypes
import numpy as np
from ptx_machine import Memory, Module, PtxError, TensorMap

_SOURCE = Path(__file__).with_name("fake_libcuda.c")
_OUT_OF_MEMORY, _NO_BINARY, _NOT_FOUND, _LAUNCH_FAILED = 2, 209, 500, 719
_MOST_PARAMETERS = 256
_DTYPES = ("u1", "u2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", ml_dtypes.bfloat16)
_SWIZZLES = (0, 32, 64, 128)


@dataclass(frozen=True, slots=True)
class Launched:
    """A launch as the driver was asked for it."""

    kernel: str
    grid: int
    threads: int
    shared_bytes: int
    stream: int


@functools.cache
def _library(old: bool) -> bytes:
    """The driver; an old one lacks a function."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "libcuda.so.1")
        flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", *(["-DOLD"] if old else [])]
        subprocess.run(["cc", *flags, "-o", str(path), str(_SOURCE), "-lpthread"], check=True)
        return path.read_bytes()


class _ResultError(Exception):
    """A result that is not success."""

    def __init__(self, result: int) -> None:
        super().__init__(result)
        self.result = result


class FakeGpu:
    """One GPU with `total` bytes of memory for pools."""

    def __init__(self, directory: Path, *, version: int = 13000, total: int = 1 << 30, old: bool = False) -> None:
        self.directory, self.version, self.total, self.old = directory, version, total, old
        self.memory = Memory()
        self.failing: dict[str, int] = {}
        self.cubins: dict[bytes, str] = {}
        self.calls: list[tuple[str, tuple[int, ...]]] = []
        self.launches: list[Launched] = []
        self.errors: list[BaseException] = []
        self._files = (directory / "libcuda.so.1", directory / "gpu.socket")
        self._broken = 0
        self._lock = threading.Lock()
        self._blocks: dict[int, int] = {}
        self._modules: dict[int, Module] = {}
        self._kernels: list[tuple[Module, str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    # Its life.

    def __enter__(self) -> FakeGpu:
        self._files[0].write_bytes(_library(self.old))
        self._socket.bind(str(self._files[1]))
        self._socket.listen()
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for file in self._files:
            file.unlink()

    @property
    def environment(self) -> dict[str, str]:
        """What lets a program find the driver, and the driver this."""
        return {"LD_LIBRARY_PATH": str(self.directory), "FAKE_LIBCUDA_SOCKET": str(self._files[1])}

    def leaked(self) -> int:
        """How many blocks of pools were not given back."""
        return len(self._blocks)

    def called(self, name: str) -> int:
        """How often a function was called."""
        return sum(each == name for each, _ in self.calls)

    # Requests.

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rwb") as stream:
            while head := stream.read(12):
                length, count, size = struct.unpack("<III", head)
                name = stream.read(length).decode()
                numbers = struct.unpack(f"<{count}Q", stream.read(8 * count))
                result, answer = self._answer(name, numbers, stream.read(size))
                stream.write(struct.pack("<II", result, len(answer)) + answer)
                stream.flush()

    def _answer(self, name: str, numbers: tuple[int, ...], data: bytes) -> tuple[int, bytes]:
        with self._lock:
            self.calls.append((name, numbers))
            function: Callable[..., bytes | None] = getattr(self, f"_do_{name}")
            try:
                if name in self.failing:
                    raise _ResultError(self.failing[name])
                if self._broken and name not in ("cuGetErrorString", "cuInit", "cuDriverGetVersion"):
                    raise _ResultError(self._broken)
                return 0, function(*numbers, data) or b""
            except _ResultError as failure:
                return failure.result, b""
            except PtxError as error:
                self.errors.append(error)
                self._broken = _LAUNCH_FAILED
                return _LAUNCH_FAILED, b""
            except Exception as error:
                self.errors.append(error)
                return 999, b""

    def _do_cuInit(self, flags: int, _: bytes) -> None: ...

    def _do_cuDriverGetVersion(self, _0: int, _: bytes) -> bytes:
        return self.version.to_bytes(4, "little")

    def _do_cuDeviceGet(self, number: int, _: bytes) -> bytes:
        return number.to_bytes(4, "little")

    def _do_cuGetErrorString(self, code: int, _: bytes) -> bytes:
        return f"what {code} means".encode() + b"\0"

    def _do_cuDevicePrimaryCtxRetain(self, device: int, _: bytes) -> bytes:
        return _number(0xC0 + device)

    # Modules and launches.

    def _do_cuModuleLoadData(self, context: int, data: bytes) -> bytes:
        assert context
        if data.startswith(b"\x7fELF"):
            if data not in self.cubins:
                raise _ResultError(_NO_BINARY)
            data = self.cubins[data].encode()
        handle = 1 + len(self._modules)
        self._modules[handle] = Module(data.decode())
        return _number(handle)

    def _do_cuModuleUnload(self, module: int, _: bytes) -> None:
        del self._modules[module]

    def _do_cuModuleGetFunction(self, module: int, name: bytes) -> bytes:
        made = self._modules[module]
        if name.decode() not in made.kernels:
            raise _ResultError(_NOT_FOUND)
        sizes = made.parameter_sizes(name.decode())
        self._kernels.append((made, name.decode()))
        padded = [*sizes, *[0] * (_MOST_PARAMETERS - len(sizes))]
        return struct.pack(f"<QI{_MOST_PARAMETERS}I", len(self._kernels) - 1, len(sizes), *padded) + bytes(4)

    def _do_cuFuncSetAttribute(self, kernel: int, attribute: int, value: int, _: bytes) -> None: ...

    def _do_cuLaunchKernel(self, kernel: int, *rest: int | bytes) -> None:
        *numbers, stream, data = rest
        assert isinstance(data, bytes)
        gx, gy, gz, bx, by, bz, shared = (int(number) for number in numbers)
        module, name = self._kernels[kernel]
        self.launches.append(Launched(name, gx, bx, shared, int(stream)))
        arguments: list[int | float | bytes] = []
        at = 0
        for size in module.parameter_sizes(name):
            part = data[at : at + size]
            arguments.append(part if size > 8 else int.from_bytes(part, "little"))
            at += size
        module.launch(name, (gx, gy, gz), (bx, by, bz), arguments, self.memory, shared_bytes=shared)

    def _do_cuTensorMapEncodeTiled(self, *numbers: int | bytes) -> bytes:
        type_, rank, address, interleave, swizzle, promotion, fill, *sizes = (int(n) for n in numbers[:-1])
        assert (interleave, promotion, fill) == (0, 2, 0)
        cuts = (rank, 2 * rank - 1, 3 * rank - 1)
        shape, strides, box, steps = (tuple(part.tolist()) for part in np.split(np.array(sizes), cuts))
        dtype = np.dtype(_DTYPES[type_])
        return TensorMap(address, dtype, shape, strides, box, _SWIZZLES[swizzle], steps).pack()

    # Memory.

    def _do_cuMemPoolCreate(self, _0: int, properties: bytes) -> bytes:
        assert struct.unpack_from("<iiii", properties) == (1, 0, 1, 0)
        assert not any(properties[16:])
        return _number(0x900)

    def _do_cuMemPoolDestroy(self, pool: int, _: bytes) -> None:
        assert pool == 0x900

    def _do_cuMemPoolSetAttribute(self, pool: int, attribute: int, value: int, _: bytes) -> None:
        assert (pool, attribute, value) == (0x900, 4, 2**64 - 1)

    def _do_cuMemPoolTrimTo(self, pool: int, size: int, _: bytes) -> None:
        assert (pool, size) == (0x900, 0)

    def _do_cuMemAlloc(self, size: int, _: bytes) -> bytes:
        return _number(self.memory.allocate(size))

    def _do_cuMemFree(self, address: int, _: bytes) -> None:
        self.memory.free(address)

    def _do_cuMemAllocFromPoolAsync(self, size: int, pool: int, stream: int, _: bytes) -> bytes:
        assert size > 0
        assert pool == 0x900
        if size + sum(self._blocks.values()) > self.total:
            raise _ResultError(_OUT_OF_MEMORY)
        address = self.memory.allocate(size)
        self._blocks[address] = size
        return _number(address)

    def _do_cuMemFreeAsync(self, address: int, stream: int, _: bytes) -> None:
        del self._blocks[address]
        self.memory.free(address)

    def _do_cuMemcpyHtoD(self, to: int, data: bytes) -> None:
        self.memory.write(to, data)

    def _do_cuMemcpyHtoDAsync(self, to: int, stream: int, data: bytes) -> None:
        self.memory.write(to, data)

    def _do_cuMemcpyDtoHAsync(self, source: int, size: int, stream: int, _: bytes) -> bytes:
        return self.memory.read(source, size)

    def _do_cuMemcpyDtoDAsync(self, to: int, source: int, size: int, stream: int, _: bytes) -> None:
        self.memory.write(to, self.memory.read(source, size))

    def _do_cuStreamSynchronize(self, stream: int, _: bytes) -> None: ...


def _number(value: int) -> bytes:
    return value.to_bytes(8, "little")
