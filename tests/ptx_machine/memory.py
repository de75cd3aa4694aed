"""A device's memory: allocations with gaps between them, at addresses that are never used twice.

Every byte knows whether it was written.  Views of the bytes as wider elements are cached, so that a vector of
addresses in one allocation is read with a single index operation.
"""

from __future__ import annotations

import bisect
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptx_machine.errors import OutOfBounds, Uninitialised

FIRST_ADDRESS = 1 << 40
ALIGNMENT = 256
GAP = 1 << 16
"""Unmapped bytes after an allocation, at least."""

WRITTEN = {1: np.uint8(1), 2: np.uint16(0x0101), 4: np.uint32(0x01010101), 8: np.uint64(0x0101010101010101)}
_ELEMENTS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


class Bytes:
    """A run of bytes, whether each was written, and both as elements of 1, 2, 4 or 8 bytes."""

    def __init__(self, nbytes: int) -> None:
        padded = -(-nbytes // 16) * 16
        self.nbytes = nbytes
        self.data: dict[int, NDArray[Any]] = _elements(padded)
        self.written: dict[int, NDArray[Any]] = _elements(padded)
        self.all_written = nbytes == 0

    def note_if_all_written(self) -> None:
        """Stop asking byte by byte once everything was written."""
        self.all_written = bool(self.written[1][: self.nbytes].all())


def _elements(nbytes: int) -> dict[int, NDArray[Any]]:
    data = np.zeros(nbytes, np.uint8)
    return {size: data.view(dtype) for size, dtype in _ELEMENTS.items()}


class Allocation(Bytes):
    """The bytes at `address`; constant ones cannot be written by a program."""

    def __init__(self, address: int, nbytes: int, constant: bool = False) -> None:
        super().__init__(nbytes)
        self.address = address
        self.end = address + nbytes
        self.constant = constant
        self.shadow: Any = None
        """Who accessed which bytes in the launch that is running, kept by `global_races`."""


class Memory:
    """The address space of one device."""

    def __init__(self) -> None:
        self._next = FIRST_ADDRESS
        self._starts: list[int] = []
        self._allocations: list[Allocation] = []
        self._freed: list[tuple[int, int]] = []

    def allocate(self, nbytes: int, constant: bool = False) -> int:
        """The address, a multiple of 256, of `nbytes` fresh bytes; reading one before it is written raises."""
        if nbytes < 0:
            raise ValueError(f"cannot allocate {nbytes} bytes")
        address = self._next
        self._next += -(-(nbytes + max(GAP, nbytes // 4)) // ALIGNMENT) * ALIGNMENT
        self._starts.append(address)
        self._allocations.append(Allocation(address, nbytes, constant))
        return address

    def free(self, address: int) -> None:
        """Unmap the allocation that starts at `address`; its addresses stay unmapped.

        Raises:
            OutOfBounds: no allocation starts there.
        """
        at = bisect.bisect_left(self._starts, address)
        if at == len(self._starts) or self._starts[at] != address:
            raise OutOfBounds(f"no allocation to free at {address:#x}")
        self._freed.append((address, self._allocations[at].end))
        del self._starts[at], self._allocations[at]

    def write(self, address: int, data: bytes | bytearray | memoryview | NDArray[Any]) -> None:
        """Copy the bytes of `data` (an array's in row-major order) to `address`.

        Raises:
            OutOfBounds: they do not lie in one allocation.
        """
        flat = np.frombuffer(data.tobytes() if isinstance(data, np.ndarray) else bytes(data), np.uint8)
        allocation, offset = self._range(address, flat.size)
        allocation.data[1][offset : offset + flat.size] = flat
        allocation.written[1][offset : offset + flat.size] = 1
        if flat.size == allocation.nbytes:
            allocation.all_written = True

    def read(self, address: int, nbytes: int) -> bytes:
        """The `nbytes` bytes at `address`.

        Raises:
            OutOfBounds: they do not lie in one allocation.
            Uninitialised: one of them was never written.
        """
        allocation, offset = self._range(address, nbytes)
        missing = np.flatnonzero(allocation.written[1][offset : offset + nbytes] == 0)
        if missing.size:
            raise Uninitialised(f"{missing.size} of {nbytes} bytes at {address:#x} were never written, "
                                f"the first at byte {missing[0]}")  # fmt: skip
        return allocation.data[1][offset : offset + nbytes].tobytes()

    def find(self, address: int) -> Allocation | None:
        """The allocation that `address` lies in, if any."""
        at = bisect.bisect_right(self._starts, address) - 1
        if at >= 0 and address < self._allocations[at].end:
            return self._allocations[at]
        return None

    def describe(self, address: int) -> str:
        """In words, where an address outside every allocation lies."""
        for start, end in self._freed:
            if start <= address < end:
                return f"{address:#x} lies in freed memory ({end - start} bytes at {start:#x})"
        at = bisect.bisect_right(self._starts, address) - 1
        if at < 0:
            return f"{address:#x} lies in no allocation"
        before = self._allocations[at]
        return f"{address:#x} lies {address - before.end} bytes after the {before.nbytes} bytes at {before.address:#x}"

    def __iter__(self) -> Any:
        return iter(self._allocations)

    def _range(self, address: int, nbytes: int) -> tuple[Allocation, int]:
        at = bisect.bisect_right(self._starts, address) - 1
        if at >= 0:
            allocation = self._allocations[at]
            if address + nbytes <= allocation.end:
                return allocation, address - allocation.address
        raise OutOfBounds(f"{nbytes} bytes at {address:#x}: " + self.describe(address + max(nbytes - 1, 0)))
