"""Whole programs run by the loop interpreter: arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from loop_interpreter import Cells, run
from numpy.typing import NDArray

from tenfoldc.loops.ir import Buffer, Program

Array = NDArray[Any]


def run_program(program: Program, arguments: Sequence[Array], *, share_donated: bool = False) -> list[Array]:
    """The results of `program`; with `share_donated`, each donated parameter and its result are one memory."""
    memory: dict[Buffer, Cells] = {}
    for buffer, argument in zip(program.parameters, arguments, strict=True):
        assert argument.shape == buffer.shape
        memory[buffer] = Cells.holding(np.array(argument))
    for buffer in (*program.results, *program.temporaries):
        memory[buffer] = Cells.empty(buffer)
    if share_donated:
        for parameter, result in program.donated:
            memory[program.results[result]] = memory[program.parameters[parameter]]
    for buffer, array in program.constants.items():
        memory[buffer] = Cells.holding(np.array(array))
    for kernel in program.kernels:
        memory |= {buffer: Cells.empty(buffer) for buffer in kernel.scratch}
        run(kernel.body, memory)
    for buffer in program.results:
        assert memory[buffer].written.all(), f"{buffer.name} is not filled"
    return [memory[buffer].values.reshape(buffer.shape) for buffer in program.results]
