"""The allocation stage: every temporary and all scratch memory get a place in one workspace."""

from __future__ import annotations

from tenfold_rt.errors import ShapeError
from tenfoldc.allocate.lifetimes import lifetimes
from tenfoldc.allocate.placement import Demand, place
from tenfoldc.ir.types import ADDRESSABLE_BYTES
from tenfoldc.loops.ir import Allocation, Buffer, Kernel, Program
from tenfoldc.loops.traversal import parallel_loops

_ALIGNMENT = 64


def allocate(program: Program) -> Allocation:
    """Place buffers so that those which are in use at one time lie apart.

    Offsets are multiples of 64 bytes.  Buffers that are never in use at one time may share memory.  What is private
    to the turns of parallel loops lies at the end.  `ShapeError` where no memory can hold them.
    """
    placement = place(demands(program))
    offsets = dict.fromkeys((*program.temporaries, *(b for k in program.kernels for b in k.scratch)), 0)
    offsets |= placement.offsets
    workspace = placement.end
    for tape in program.tapes:
        offsets[tape] = workspace
        workspace += aligned_bytes(tape)
    private_bytes = 0
    for buffers in map(private_buffers, program.kernels):
        offset = workspace
        for buffer in buffers:
            offsets[buffer] = offset
            offset += aligned_bytes(buffer)
        private_bytes = max(private_bytes, offset - workspace)
    workspace += private_bytes
    if workspace >= ADDRESSABLE_BYTES:
        raise ShapeError(f"{program.name}: its intermediate tensors take {workspace} bytes, more than any memory")
    return Allocation(offsets, workspace, private_bytes)


def demands(program: Program) -> list[Demand]:
    """What is to be placed: each buffer that is used and no thread's own, with its size and its lifetime."""
    private = {buffer for kernel in program.kernels for buffer in private_buffers(kernel)}
    owned = {*program.temporaries, *(buffer for kernel in program.kernels for buffer in kernel.scratch)} - private
    return [
        Demand(buffer, aligned_bytes(buffer), life) for buffer, life in lifetimes(program).items() if buffer in owned
    ]


def private_buffers(kernel: Kernel) -> list[Buffer]:
    """The scratch memory that each thread which works on `kernel` needs of its own."""
    return list(dict.fromkeys(buffer for loop in parallel_loops(kernel.body) for buffer in loop.private))


def aligned_bytes(buffer: Buffer) -> int:
    """The bytes of a buffer up to where the next may begin."""
    return -(-buffer.nbytes // _ALIGNMENT) * _ALIGNMENT
