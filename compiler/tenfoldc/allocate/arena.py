"""The allocation stage: every temporary and all scratch memory get a place in one workspace."""

from __future__ import annotations

import bisect
import math

from tenfold_rt.errors import ShapeError
from tenfoldc.allocate.lifetimes import Lifetime, lifetimes
from tenfoldc.ir.types import ADDRESSABLE_BYTES
from tenfoldc.loops.ir import Allocation, Buffer, Program

_ALIGNMENT = 64


def allocate(program: Program) -> Allocation:
    """Place buffers, in the order of their first use, at the lowest offset that is free while they live.

    Offsets are multiples of 64 bytes.  Buffers that are never in use at one time may share memory.  `ShapeError`
    where no memory can hold them.
    """
    owned = {*program.temporaries, *(buffer for kernel in program.kernels for buffer in kernel.scratch)}
    lives = {buffer: life for buffer, life in lifetimes(program).items() if buffer in owned}
    offsets = dict.fromkeys((*program.temporaries, *(b for k in program.kernels for b in k.scratch)), 0)
    placed: list[tuple[int, int, Lifetime]] = []
    workspace = 0
    for buffer, life in sorted(lives.items(), key=lambda item: item[1].first):
        size = _aligned_bytes(buffer)
        placed = [entry for entry in placed if entry[2].last >= life.first]
        offset = _first_gap(placed, size)
        offsets[buffer] = offset
        if size:
            bisect.insort(placed, (offset, size, life))
        workspace = max(workspace, offset + size)
    if workspace >= ADDRESSABLE_BYTES:
        raise ShapeError(f"{program.name}: its intermediate tensors take {workspace} bytes, more than any memory")
    return Allocation(offsets, workspace)


def _first_gap(placed: list[tuple[int, int, Lifetime]], size: int) -> int:
    """The lowest offset at which `size` bytes fit between what is `placed`, sorted by offset."""
    offset = 0
    for start, taken, _ in placed:
        if start - offset >= size:
            break
        offset = max(offset, start + taken)
    return offset


def _aligned_bytes(buffer: Buffer) -> int:
    size = math.prod(buffer.shape) * buffer.dtype.itemsize
    return -(-size // _ALIGNMENT) * _ALIGNMENT
