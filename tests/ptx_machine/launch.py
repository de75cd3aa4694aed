"""One launch of a kernel: its parameters as bytes, the module's variables in memory, and wave after wave of blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptx_machine.code import Code, Kernel
from ptx_machine.errors import PtxError
from ptx_machine.global_races import GlobalRaces
from ptx_machine.memory import Memory
from ptx_machine.schedules import Schedule
from ptx_machine.wave import Wave

WAVE_THREADS = 16384
WAVE_SHARED_BYTES = 4 << 20
"""How many threads, and how much shared memory, run together at most."""

MAXIMAL_SHARED_BYTES = 227 * 1024


class Launch:
    """What the waves of a launch share."""

    def __init__(
        self,
        code: Code,
        kernel: Kernel,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        parameters: NDArray[np.uint8],
        memory: Memory,
        variables: dict[str, int],
        dynamic_bytes: int,
        schedule: Schedule,
    ) -> None:
        self.code, self.kernel, self.grid, self.block = code, kernel, grid, block
        self.parameters, self.memory, self.variables = parameters, memory, variables
        self.dynamic_bytes = dynamic_bytes
        self.shared_bytes = kernel.static_shared_bytes + dynamic_bytes
        self.schedule = schedule
        self.transfers = 0
        self.threads_per_block = math.prod(block)
        if not 1 <= self.threads_per_block <= 1024:
            raise PtxError(f"a block of {self.threads_per_block} threads")
        if self.shared_bytes > MAXIMAL_SHARED_BYTES:
            raise PtxError(f"{self.shared_bytes} bytes of shared memory for a block")
        self.races = GlobalRaces(self)

    def run(self) -> None:
        """Run all blocks, as many together as fit."""
        order = self.schedule.block_order(math.prod(self.grid))
        together = max(1, WAVE_THREADS // self.threads_per_block)
        if self.shared_bytes:
            together = min(together, max(1, WAVE_SHARED_BYTES // self.shared_bytes))
        for allocation in self.memory:
            allocation.note_if_all_written()
            allocation.shadow = None
        try:
            for start in range(0, len(order), together):
                Wave(self, sorted(order[start : start + together])).run()
        finally:
            for allocation in self.memory:
                allocation.shadow = None


def parameter_bytes(kernel: Kernel, arguments: Sequence[int | float | bytes]) -> NDArray[np.uint8]:
    """The arguments as the kernel's parameter space holds them."""
    if len(arguments) != len(kernel.parameters):
        raise PtxError(f"{kernel.name} takes {len(kernel.parameters)} arguments, not {len(arguments)}")
    data = np.zeros(-(-max(kernel.parameter_bytes, 16) // 16) * 16, np.uint8)
    for parameter, offset, argument in zip(kernel.parameters, kernel.parameter_offsets, arguments, strict=True):
        data[offset : offset + parameter.nbytes] = np.frombuffer(_encode(parameter.nbytes, argument), np.uint8)
    return data


def _encode(nbytes: int, argument: Any) -> bytes:
    if isinstance(argument, bytes | bytearray):
        if len(argument) != nbytes:
            raise PtxError(f"{len(argument)} bytes for a parameter of {nbytes}")
        return bytes(argument)
    if isinstance(argument, float | np.floating):
        return np.array([argument], f"f{nbytes}").tobytes()
    return (int(argument) & ((1 << (8 * nbytes)) - 1)).to_bytes(nbytes, "little")
