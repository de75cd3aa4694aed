"""What threads do to global memory: find the allocations, check them, and read or write their elements."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ptx_machine.errors import Misaligned, OutOfBounds, Race, Uninitialised
from ptx_machine.memory import WRITTEN, Allocation

if TYPE_CHECKING:
    from ptx_machine.wave import Wave

Array = NDArray[Any]


def check_alignment(w: Wave, addresses: Array, nbytes: int) -> None:
    if (addresses & (nbytes - 1)).any():
        at = int(np.argmax(addresses & (nbytes - 1) != 0))
        w.fault(Misaligned, f"address {int(addresses[at]):#x} is no multiple of {nbytes}", at)


def pieces(w: Wave, addresses: Array, nbytes: int) -> Iterator[tuple[Allocation, Any]]:
    """The allocations that hold the `nbytes` at each address, each with the positions it holds."""
    if not addresses.size:
        return
    low, high = int(addresses.min()), int(addresses.max())
    allocation = w.memory.find(low)
    if allocation is not None and high + nbytes <= allocation.end:
        yield allocation, slice(None)
        return
    rest = np.ones(addresses.size, np.bool_)
    while rest.any():
        first = int(np.argmax(rest))
        allocation = w.memory.find(int(addresses[first]))
        if allocation is None or int(addresses[first]) + nbytes > allocation.end:
            where = w.memory.describe(int(addresses[first]) + (nbytes - 1 if allocation else 0))
            w.fault(OutOfBounds, f"an access of {nbytes} bytes at {int(addresses[first]):#x}: {where}", first)
        inside = rest & (addresses >= allocation.address) & (addresses + nbytes <= allocation.end)
        rest &= ~inside
        yield allocation, np.flatnonzero(inside)


def element_index(offsets: Array, size: int, vector: int) -> Array:
    """Indices, in elements of `size` bytes, of `vector` of them at each offset."""
    first = offsets // size
    return first[:, None] if vector == 1 else first[:, None] + np.arange(vector)


def check_written(w: Wave, allocation: Allocation, addresses: Array, positions: Any, size: int, vector: int) -> None:
    """Raise where nobody has written any byte of a word at `addresses`, those of the threads at `positions`.

    Of a word that holds several narrow elements some may be behind the last, and are read for nothing.
    """
    if allocation.all_written:
        return
    present = allocation.written[size][element_index(addresses - allocation.address, size, vector)] != 0
    if not present.all():
        bad = int(np.argmin(present.all(axis=1)))
        message = f"global memory that nobody wrote, {int(addresses[bad]) - allocation.address} bytes into "
        message += f"the {allocation.nbytes} at {allocation.address:#x}"
        w.fault(Uninitialised, message, int(np.arange(w.count)[positions][bad]) if w.count > 1 else 0)


def load(
    w: Wave,
    addresses: Array,
    size: int,
    vector: int,
    synchronising: bool = False,
    constant: bool = False,
    aligned: bool = False,
) -> Array:
    """The `vector` elements of `size` bytes at each address.

    `synchronising` accesses (volatile, relaxed, acquire) do not race with each other; `constant` ones claim that
    nothing writes the memory while the kernel runs.  `aligned`: that they are was checked.
    """
    if not aligned:
        check_alignment(w, addresses, size * vector)
    result = np.empty((addresses.size, vector), f"u{size}")
    for allocation, positions in pieces(w, addresses, size * vector):
        index = element_index(addresses[positions] - allocation.address, size, vector)
        check_written(w, allocation, addresses[positions], positions, size, vector)
        w.launch.races.read(w, allocation, positions, addresses[positions], size * vector, synchronising, constant)
        result[positions] = allocation.data[size][index]
    return result


def store(w: Wave, addresses: Array, size: int, values: Array, synchronising: bool = False) -> None:
    """Write `values`, of shape (threads, vector), at each address."""
    vector = values.shape[1]
    check_alignment(w, addresses, size * vector)
    for allocation, positions in pieces(w, addresses, size * vector):
        if allocation.constant:
            w.fault(OutOfBounds, "a store to constant memory", int(np.arange(addresses.size)[positions][0]))
        index = element_index(addresses[positions] - allocation.address, size, vector)
        data, new = allocation.data[size], values[positions]
        same = (data[index] == new).all(axis=1) & (allocation.written[size][index] == WRITTEN[size]).all(axis=1)
        w.launch.races.write(w, allocation, positions, addresses[positions], size * vector, same, synchronising)
        data[index] = new
        allocation.written[size][index] = WRITTEN[size]
        differs = (data[index] != new).any(axis=1)
        if differs.any():
            at = int(np.arange(addresses.size)[positions][np.argmax(differs)])
            w.fault(Race, "two threads store different values to one place in global memory", at)
