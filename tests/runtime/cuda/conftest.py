"""Kernels for hand-made plans, as functions on a stand-in device's memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from stand_in_device import StandInDevice


def add(memory: Any, grid: int, threads: int, target: int, x: int, y: int) -> None:
    """f32: target = x + y, an element a thread."""
    size = 4 * grid * threads
    values = np.frombuffer(memory.read(x, size), np.float32) + np.frombuffer(memory.read(y, size), np.float32)
    memory.write(target, values.tobytes())


def add_axis(memory: Any, grid: int, threads: int, target: int, axis: int) -> None:
    """i64: target += axis, of one element."""
    value = np.frombuffer(memory.read(target, 8), np.int64) + axis
    memory.write(target, value.tobytes())


def is_below(memory: Any, grid: int, threads: int, flag: int, x: int, limit: int) -> None:
    """The byte at flag: whether the i64 at x is less than that at limit."""
    left, right = (int.from_bytes(memory.read(each, 8), "little", signed=True) for each in (x, limit))
    memory.write(flag, bytes([left < right]))


def trap(memory: Any, grid: int, threads: int, *_: int) -> None:
    """Fail."""
    raise ValueError("trap")


def describe(memory: Any, grid: int, threads: int, target: int, descriptor: bytes) -> None:
    """The first 8 bytes of a tensor map."""
    memory.write(target, descriptor[:8])


@pytest.fixture
def device() -> StandInDevice:
    kernels = {"add": add, "add_axis": add_axis, "is_below": is_below, "trap": trap, "describe": describe}
    return StandInDevice(kernels)
