"""Copies between the CPU's memory and a GPU's through memory that the GPU reaches by itself (pinned), in pieces.

There are two buffers: while the GPU copies one, the CPU copies the other.
"""

from __future__ import annotations

import ctypes

from tenfold_rt.cuda.driver import Driver

_PIECE = 4 << 20
"""Bytes of a buffer."""

_SMALL = 64 << 10
"""Bytes up to which the driver takes a copy of what it is given and does not wait for the GPU."""

_WITHOUT_TIMING = 2


class _Buffer:
    """Pinned memory, and the event after which the GPU does not use it any more."""

    def __init__(self, driver: Driver) -> None:
        self.address = int(driver.call("cuMemHostAlloc", _PIECE, 0))
        self.event = driver.call("cuEventCreate", _WITHOUT_TIMING)
        self.memory = (ctypes.c_ubyte * _PIECE).from_address(self.address)


class Staging:
    """The two buffers of a device; its context is the calling thread's."""

    def __init__(self, driver: Driver, stream: object) -> None:
        self._driver, self._stream = driver, stream
        self._buffers: list[_Buffer] = []

    def copy_in(self, target: int, source: memoryview) -> None:
        """Copy bytes to the device; the source may be changed once this returns."""
        driver = self._driver
        if len(source) <= _SMALL:
            given = (ctypes.c_ubyte * len(source)).from_buffer_copy(source)
            driver.call("cuMemcpyHtoDAsync", target, ctypes.addressof(given), len(source), self._stream)
            return
        for number, start in enumerate(range(0, len(source), _PIECE)):
            buffer = self._buffer(number)
            piece = source[start : start + _PIECE]
            driver.call("cuEventSynchronize", buffer.event)
            memoryview(buffer.memory).cast("B")[: len(piece)] = piece
            driver.call("cuMemcpyHtoDAsync", target + start, buffer.address, len(piece), self._stream)
            driver.call("cuEventRecord", buffer.event, self._stream)

    def copy_out(self, target: memoryview, source: int) -> None:
        """Copy bytes from the device, and wait for them."""
        starts = range(0, len(target), _PIECE)
        for number, start in enumerate(starts):
            buffer = self._buffer(number)
            size = min(_PIECE, len(target) - start)
            self._driver.call("cuMemcpyDtoHAsync", buffer.address, source + start, size, self._stream)
            self._driver.call("cuEventRecord", buffer.event, self._stream)
            if number:
                self._take(target, number - 1)
        self._take(target, len(starts) - 1)

    def _take(self, target: memoryview, number: int) -> None:
        """Wait for a piece and put it in its place."""
        buffer = self._buffer(number)
        self._driver.call("cuEventSynchronize", buffer.event)
        piece = target[number * _PIECE : (number + 1) * _PIECE]
        piece[:] = memoryview(buffer.memory).cast("B")[: len(piece)]

    def _buffer(self, number: int) -> _Buffer:
        if not self._buffers:
            self._buffers = [_Buffer(self._driver), _Buffer(self._driver)]
        return self._buffers[number % 2]
