"""What a library that was compiled to be profiled has counted: how often each kernel was called, and for how long."""

from __future__ import annotations

import ctypes

from tenfold_rt.c_names import library_names
from tenfold_rt.frozen import frozen
from tenfold_rt.load import Library
from tenfold_rt.manifest import Kernel


@frozen
class KernelTime:
    """A kernel of `entry`, how often it was called since the library was loaded, and the seconds that took."""

    entry: str
    kernel: Kernel
    calls: int
    seconds: float


def kernel_times(library: Library) -> list[KernelTime]:
    """The kernels of all entries in order; none for a library that was not compiled to be profiled."""
    entries = library.manifest.entries
    name = library_names(library.manifest).times
    if name is None:
        return []
    places = (ctypes.c_void_p * len(entries)).in_dll(library.handle, name)
    found: list[KernelTime] = []
    for entry, place in zip(entries, places, strict=True):
        counted = (ctypes.c_int64 * (2 * len(entry.kernels))).from_address(int(place or 0))
        for number, kernel in enumerate(entry.kernels):
            calls, nanoseconds = counted[2 * number], counted[2 * number + 1]
            found.append(KernelTime(entry.name, kernel, calls, nanoseconds / 1e9))
    return found
