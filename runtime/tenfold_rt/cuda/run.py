"""A plan on a device: its entries as Python callables from tensors in the device's memory to such tensors.

A `LoadedPlan` stands where a loaded library of the CPU's stands: `entry(name)` gives a function of positional arguments
that gives one tensor or a tuple of them, and `NotImplemented` for arguments that do not fit.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

import numpy as np

from tenfold_rt.cuda.alignment import ALIGNMENT
from tenfold_rt.cuda.device import Device
from tenfold_rt.cuda.graphs import Recordings
from tenfold_rt.cuda.memory import Allocation, Array, DeviceArray
from tenfold_rt.cuda.plan import Plan, PlanEntry, Region, TensorMap
from tenfold_rt.cuda.steps import Execution
from tenfold_rt.cuda.walking import work_count
from tenfold_rt.errors import ArtifactError
from tenfold_rt.load import EntryFunction
from tenfold_rt.manifest import Buffer

_FEWEST, _MOST = 2, 4096
"""How many launches and copies a call has that is worth recording."""

_DESCRIPTORS = 256
"""Tensor maps that a plan remembers."""

Given: TypeAlias = "DeviceArray | Array | bool | int | float"
"""An argument: a tensor in the device's memory, or for a parameter of rank 0 a number or an array of NumPy's."""


class LoadedPlan:
    """A plan whose kernels are loaded on a device, when first called."""

    def __init__(self, plan: Plan, device: Device) -> None:
        self.plan, self.device = plan, device
        self.lock = threading.RLock()
        self._entries = {entry.name: _Function(self, entry) for entry in plan.entries}
        self._kernels: Any = None
        self._constants: Allocation | None = None
        self.descriptors: dict[tuple[TensorMap, int], bytes] = {}

    def entry(
        self, name: str, otherwise: Callable[..., object] | None = None, threads: int | None = None
    ) -> EntryFunction:
        """The function `name`, which calls `otherwise`, where given, with arguments that do not fit.

        `threads` is what libraries for the CPU take, and has no meaning here.
        """
        function = self._entries.get(name)
        if function is None:
            raise ArtifactError(f"the plan has no entry {name!r}; it has {', '.join(self._entries) or 'nothing'}")
        if otherwise is None:
            return function
        return _Fallback(function, otherwise)

    @property
    def kernels(self) -> Any:
        """The kernels by name."""
        if self._kernels is None:
            self._kernels = self.device.load(self.plan)
        return self._kernels

    @property
    def constants(self) -> int:
        """Where the plan's constants are on the device; 0 where it has none."""
        if self._constants is None and self.plan.constants:
            memory = Allocation(self.device, len(self.plan.constants))
            self.device.copy_in(memory.address, memoryview(self.plan.constants))
            self._constants = memory
        return 0 if self._constants is None else self._constants.address


class _Fallback:
    """A function that leaves arguments which do not fit to another."""

    def __init__(self, function: _Function, otherwise: Callable[..., object]) -> None:
        self._function, self._otherwise = function, otherwise

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        returned = NotImplemented if named else self._function(*arguments)
        return self._otherwise(*arguments, **named) if returned is NotImplemented else returned


class _Function:
    """One entry of a loaded plan."""

    def __init__(self, plan: LoadedPlan, entry: PlanEntry) -> None:
        self._plan, self._entry = plan, entry
        self._donated = {result: parameter for parameter, result in entry.donated}
        count = work_count(entry.steps)
        is_recordable = count is not None and _FEWEST <= count <= _MOST and not entry.tapes
        self._recordings = Recordings(plan.device) if is_recordable else None

    def __call__(self, *arguments: Any) -> Any:
        """The results; those of donated parameters are in the parameters' own memory, where nobody else reads that."""
        entry = self._entry
        fits = len(arguments) == len(entry.parameters) and all(
            _fits(given, buffer, self._plan.device) for given, buffer in zip(arguments, entry.parameters, strict=True)
        )
        if not fits:
            return NotImplemented
        with self._plan.lock:
            results = self._run(self._placed(arguments))
        return results[0] if len(results) == 1 else tuple(results)

    def _placed(self, arguments: Sequence[Given]) -> list[DeviceArray]:
        """The arguments in the device's memory, from multiples of the alignment on, donated ones in memory to write to.

        Numbers are copied there together.
        """
        device, parameters = self._plan.device, self._entry.parameters
        numbers = [place for place, given in enumerate(arguments) if not isinstance(given, DeviceArray)]
        placed: list[Any] = list(arguments)
        if numbers:
            block = bytearray(ALIGNMENT * len(numbers))
            memory = Allocation(device, len(block))
            for slot, place in enumerate(numbers):
                dtype = parameters[place].dtype
                value = np.asarray(arguments[place], dtype.numpy).tobytes()
                block[ALIGNMENT * slot : ALIGNMENT * slot + len(value)] = value
                placed[place] = DeviceArray(device, dtype, (), memory, memory.address + ALIGNMENT * slot)
            device.copy_in(memory.address, memoryview(block))
        given = cast("list[DeviceArray]", placed)
        for place in self._donated.values():
            others = (other for number, other in enumerate(given) if number != place)
            if not given[place].is_writable or any(map(given[place].overlaps, others)):
                given[place] = given[place].copy()
        return [each.copy() if each.address % ALIGNMENT else each for each in given]

    def _run(self, arguments: Sequence[DeviceArray]) -> list[DeviceArray]:
        entry, plan = self._entry, self._plan
        results = [
            arguments[self._donated[number]] if number in self._donated else _empty(plan.device, buffer)
            for number, buffer in enumerate(entry.results)
        ]
        workspace = Allocation(plan.device, entry.workspace_bytes) if entry.workspace_bytes else None
        bases = {(Region.PARAMETER, number): each.address for number, each in enumerate(arguments)}
        bases |= {(Region.RESULT, number): each.address for number, each in enumerate(results)}
        bases[Region.CONSTANTS, 0] = plan.constants
        bases[Region.WORKSPACE, 0] = 0 if workspace is None else workspace.address
        if len(plan.descriptors) > _DESCRIPTORS:
            plan.descriptors.clear()
        execution = Execution(plan.device, plan.kernels, bases, plan.descriptors)
        if self._recordings is None:
            execution.run(entry.steps)
        else:
            self._recordings.run(tuple(bases.values()), lambda: execution.run(entry.steps))
        return results


def _empty(device: Device, buffer: Buffer) -> DeviceArray:
    return DeviceArray.empty(device, buffer.dtype, _sizes(buffer))


def _sizes(buffer: Buffer) -> tuple[int, ...]:
    return cast("tuple[int, ...]", buffer.shape)


def _fits(given: object, buffer: Buffer, device: Device) -> bool:
    """Whether an argument can be that of a parameter as it is."""
    if isinstance(given, DeviceArray):
        return given.dtype is buffer.dtype and given.shape == buffer.shape and given.device is device
    if isinstance(given, (np.ndarray, np.generic)):
        array = cast("Array", given)
        return not buffer.shape and not array.shape and array.dtype == buffer.dtype.numpy
    return not buffer.shape and isinstance(given, (bool, int, float))
