"""Plans carried out by the interpreter of PTX: launches one after the other, on memory of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ptx_machine import Memory, Module, Schedule, TensorMap

from tenfold_rt import dtypes
from tenfold_rt.cuda import plan as plans
from tenfold_rt.cuda.plan import Argument, Launch, Place, Plan, Region
from tenfold_rt.manifest import Buffer

_LEAST = 16


def run_plan(plan: Plan, arrays: Sequence[NDArray[Any]], seed: int = 0) -> list[NDArray[Any]]:
    """The results of a plan's first entry, whose steps are launches; each launch takes the schedule of `seed`."""
    (entry, *_) = plan.entries
    memory = Memory()
    regions = {(Region.PARAMETER, number): _given(memory, array) for number, array in enumerate(arrays)}
    for number, buffer in enumerate(entry.results):
        regions[Region.RESULT, number] = memory.allocate(max(_bytes(buffer), _LEAST))
    regions[Region.WORKSPACE, 0] = memory.allocate(max(entry.workspace_bytes, _LEAST))
    regions[Region.CONSTANTS, 0] = _given(memory, np.frombuffer(plan.constants or bytes(_LEAST), np.uint8))
    module = Module(plan.ptx)
    for step in entry.steps:
        assert isinstance(step, Launch)
        arguments = [_argument(argument, regions) for argument in step.arguments]
        sizes = (step.grid, 1, 1), (step.threads, 1, 1)
        module.launch(step.kernel, *sizes, arguments, memory, step.shared_bytes, Schedule(seed))
    return [
        np.frombuffer(memory.read(regions[Region.RESULT, number], _bytes(buffer)), buffer.dtype.numpy).reshape(
            buffer.shape
        )
        for number, buffer in enumerate(entry.results)
    ]


def _given(memory: Memory, array: NDArray[Any]) -> int:
    address = memory.allocate(max(array.nbytes, _LEAST))
    memory.write(address, np.ascontiguousarray(array).tobytes())
    return address


def _bytes(buffer: Buffer) -> int:
    return math.prod(buffer.shape) * buffer.dtype.itemsize


def _argument(argument: Argument, regions: Mapping[tuple[Region, int], int]) -> int | bytes:
    match argument:
        case Place():
            return regions[argument.region, argument.number] + argument.offset
        case plans.TensorMap():
            address = regions[argument.place.region, argument.place.number] + argument.place.offset
            dtype = np.dtype(dtypes.BY_NAME[argument.dtype].numpy)
            sizes = (argument.shape, argument.strides, argument.box)
            return TensorMap(address, dtype, *sizes, argument.swizzle).pack()
        case _:
            raise AssertionError(f"{argument} is no argument of a launch outside a loop")
