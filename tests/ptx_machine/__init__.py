"""An interpreter for PTX, in NumPy, that finds the defects a GPU would pass over in silence.

    memory = Memory()
    x = memory.allocate(4096)
    memory.write(x, array)
    module = Module(ptx_text)
    module.launch("kernel", grid=(8, 1, 1), block=(128, 1, 1), arguments=[x, 1024], memory=memory)
    result = memory.read(x, 4096)

It checks bounds, alignment, reads of memory nobody wrote, barriers, races in shared and in global memory, asynchronous
copies, mbarriers and warp-group products; each defect raises a subclass of `PtxError` that names the line, the kernel,
the block and the thread.  An instruction or a modifier that it does not know raises when the module is made.
"""

from ptx_machine.errors import (
    BarrierDeadlock,
    MBarrierDeadlock,
    MBarrierMisuse,
    Misaligned,
    OutOfBounds,
    Place,
    PtxError,
    Race,
    Trap,
    Uninitialised,
    UnknownInstruction,
)
from ptx_machine.memory import Memory
from ptx_machine.module import Module
from ptx_machine.schedules import Schedule
from ptx_machine.tensor_map import TensorMap

__all__ = [
    "BarrierDeadlock",
    "MBarrierDeadlock",
    "MBarrierMisuse",
    "Memory",
    "Misaligned",
    "Module",
    "OutOfBounds",
    "Place",
    "PtxError",
    "Race",
    "Schedule",
    "TensorMap",
    "Trap",
    "Uninitialised",
    "UnknownInstruction",
]
