"""Atomic operations on global and shared memory: atom and red.  Colliding threads take their turns in thread order."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ptx_machine import global_memory
from ptx_machine.addresses import WINDOWS
from ptx_machine.instructions.table import builds
from ptx_machine.operands import Array, Assembler, Execute
from ptx_machine.scalars import Scalar

if TYPE_CHECKING:
    from ptx_machine.wave import Wave

_ORDERINGS = ("relaxed", "acquire", "release", "acq_rel")
_OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": lambda old, x: old + x,
    "min": np.minimum,
    "max": np.maximum,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "exch": lambda old, x: x,
    "cas": lambda old, x, y: np.where(old == x, y, old),
    "inc": lambda old, x: np.where(old >= x, old.dtype.type(0), old + old.dtype.type(1)),
    "dec": lambda old, x: np.where((old == 0) | (old > x), x, old - old.dtype.type(1)),
}


@builds("atom", "red")
def build_atomic(a: Assembler) -> Execute:
    ordering = a.optional(*_ORDERINGS)
    scope = a.optional("cta", "cluster", "gpu", "sys")
    space = (a.optional("global", "shared", "shared::cta") or "generic").partition("::")[0]
    names = [each for each in _OPERATIONS if a.name == "atom" or each not in ("exch", "cas")]
    name = a.required(*names)
    noftz = a.flag("noftz")
    scalar = a.scalar("u", "s", "b", "f", "bf")
    _check_type(a, name, scalar, noftz)
    first = 1 if a.name == "atom" else 0
    count = 2 if name == "cas" else 1
    a.end(first + 1 + count)
    write = a.target(0, scalar) if first else None
    address = a.address(first)
    reads = [a.source(first + 1 + i, scalar) for i in range(count)]
    operation = _OPERATIONS[name]
    fences = ordering in ("release", "acq_rel") and scope != "cta"

    def execute(w: Wave) -> None:
        addresses = w.each(address(w))
        if fences:
            w.launch.races.fence(w)
        w.budget -= 50
        operands = [w.each(read(w)) for read in reads]
        old = np.empty(w.count, scalar.dtype)
        for cells, index, positions in _cells(w, addresses, space, scalar):
            _apply(cells, index, [x[positions] for x in operands], operation, old, positions)
        if write is not None:
            write(w, old)

    return execute


def _check_type(a: Assembler, name: str, scalar: Scalar, noftz: bool) -> None:
    if (scalar.is_float and name != "add") or (scalar.bits < 32 and not (name == "cas" or noftz)):
        raise a.unknown(f"{name} of {scalar.name}")
    if name in ("add", "min", "max", "inc", "dec") and scalar.kind == "b":
        raise a.unknown(f"{name} of {scalar.name}")
    if name in ("and", "or", "xor", "exch", "cas") and scalar.kind != "b":
        raise a.unknown(f"{name} of {scalar.name}")


def _cells(w: Wave, addresses: Array, space: str, scalar: Scalar) -> Any:
    """The arrays that hold the cells, the index of each thread's cell, and the threads' positions."""
    size = scalar.nbytes
    if space == "generic":
        space = "shared" if addresses.size and int(addresses[0]) >> 56 == WINDOWS["shared"] >> 56 else "global"
        addresses = addresses - WINDOWS["shared"] if space == "shared" else addresses
    if space == "shared":
        offsets = w.shared.offsets(w, addresses, size)
        w.shared.synchronise(w, offsets, size)
        yield w.shared.data[size].view(scalar.dtype), offsets // size, slice(None)
        return
    global_memory.check_alignment(w, addresses, size)
    for allocation, positions in global_memory.pieces(w, addresses, size):
        there = addresses[positions]
        global_memory.check_written(w, allocation, there, positions, size, 1)
        w.launch.races.synchronise(w, allocation, positions, there, size)
        yield allocation.data[size].view(scalar.dtype), (there - allocation.address) // size, positions


def _apply(cells: Array, index: Array, operands: list[Array], operation: Any, old: Array, positions: Any) -> None:
    """Apply the operation for each thread; where threads share a cell, one after the other."""
    left = np.arange(index.size)
    before = np.empty(index.size, cells.dtype)
    while left.size:
        _, first = np.unique(index[left], return_index=True)
        turn = left[np.sort(first)]
        before[turn] = cells[index[turn]]
        cells[index[turn]] = operation(before[turn], *[x[turn] for x in operands])
        left = np.setdiff1d(left, turn, assume_unique=True)
    old[positions] = before
