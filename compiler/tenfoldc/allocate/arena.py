"""The allocation stage: every temporary and all scratch memory get a place in one workspace."""

from __future__ import annotations

import bisect
import math

from tenfold_rt.errors import ShapeError
from tenfoldc.allocate.lifetimes import Lifetime, lifetimes
from tenfoldc.ir.types import ADDRESSABLE_BYTES
from tenfoldc.loops.ir import Allocation, Buffer, Kernel, Program
from tenfoldc.loops.traversal import parallel_loops

_ALIGNMENT = 64


def allocate(program: Program) -> Allocation:
    """Place buffers, in the order of their first use, at the lowest offset that is free while they live.

    Offsets are multiples of 64 bytes.  Buffers that are never in use at one time may share memory.  What is private
    to the turns of parallel loops lies at the end.  `ShapeError` where no memory can hold them.
    """
    private = [_private(kernel) for kernel in program.kernels]
    apart = {buffer for buffers in private for buffer in buffers}
    owned = {*program.temporaries, *(buffer for kernel in program.kernels for buffer in kernel.scratch)} - apart
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
    for tape in program.tapes:
        offsets[tape] = workspace
        workspace += _aligned_bytes(tape)
    private_bytes = 0
    for buffers in private:
        offset = workspace
        for buffer in buffers:
            offsets[buffer] = offset
            offset += _aligned_bytes(buffer)
        private_bytes = max(private_bytes, offset - workspace)
    workspace += private_bytes
    if workspace >= ADDRESSABLE_BYTES:
        raise ShapeError(f"{program.name}: its intermediate tensors take {workspace} bytes, more than any memory")
    return Allocation(offsets, workspace, private_bytes)


def _private(kernel: Kernel) -> list[Buffer]:
    """The scratch memory that each thread which works on `kernel` needs of its own."""
    return list(dict.fromkeys(buffer for loop in parallel_loops(kernel.body) for buffer in loop.private))


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
