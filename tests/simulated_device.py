"""A device that runs what the compiler ships: memory and kernels of the interpreter of PTX.

A defect that the interpreter finds in a kernel is the error of the next call that waits, as on a real device.
`schedule` says in which order warps and blocks run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ptx_machine import Memory, Module, Schedule
from ptx_machine import TensorMap as Descriptor
from stand_in_device import StandInDevice

from tenfold_rt import dtypes
from tenfold_rt.cuda.alignment import ALIGNMENT
from tenfold_rt.cuda.plan import Plan, TensorMap


class SimulatedDevice(StandInDevice):
    """Device `index`, whose kernels are those of the plans that it is given."""

    def __init__(self, *, index: int = 0, capability: tuple[int, int] = (9, 0), total: int = 1 << 30) -> None:
        super().__init__(index=index, capability=capability, total=total)
        self.memory = Memory()
        self.schedule = 0

    def allocate(self, size: int) -> int:
        """Memory up to a multiple of 16 bytes: a kernel may read that far, for nothing."""
        address = super().allocate(-(-size // ALIGNMENT) * ALIGNMENT)
        self.memory.write(address + size, bytes(-size % ALIGNMENT))
        return address

    def load(self, plan: Plan) -> Mapping[str, Any]:
        module = Module(plan.ptx)
        return {name: (name, module) for name in module.kernels}

    def launch(self, kernel: Any, grid: int, threads: int, shared_bytes: int, arguments: Sequence[int | bytes]) -> None:
        name, module = kernel
        sizes, given = ((grid, 1, 1), (threads, 1, 1)), list(arguments)

        def run() -> None:
            module.launch(name, *sizes, given, self.memory, shared_bytes, Schedule(self.schedule))

        self._do(name, run)

    def tensor_map(self, tensor_map: TensorMap, address: int) -> bytes:
        dtype = np.dtype(dtypes.BY_NAME[tensor_map.dtype].numpy)
        shape, strides, box = tensor_map.shape, tensor_map.strides, tensor_map.box
        return Descriptor(address, dtype, shape, strides, box, tensor_map.swizzle).pack()
