"""The steps of a plan's entry carried out on a device: places become addresses, and launches and copies are asked for
one after another.

Everything is asynchronous but what the host must look at: the flags of loops and choices, and the places on tapes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from tenfold_rt.cuda.device import Device, Kernel
from tenfold_rt.cuda.memory import Allocation
from tenfold_rt.cuda.plan import (
    Argument,
    Choose,
    Copy,
    HostAxis,
    Launch,
    Loop,
    Place,
    ReadTape,
    Region,
    Repeat,
    Step,
    TensorMap,
    WriteTape,
)

Bases: TypeAlias = "Mapping[tuple[Region, int], int]"
"""Where the regions of a call begin."""


@dataclass(slots=True)
class _Tape:
    """Elements one after another, in memory that grows by doubling."""

    memory: Allocation | None = None
    room: int = 0


@dataclass(slots=True)
class Execution:
    """One call: the device, the kernels, where its regions begin, and the tapes it has written so far.

    `descriptors` are the tensor maps that were encoded, for calls with the same addresses.
    """

    device: Device
    kernels: Mapping[str, Kernel]
    bases: Bases
    descriptors: dict[tuple[TensorMap, int], bytes]
    axes: dict[str, int] = field(default_factory=dict[str, int])
    tapes: dict[int, _Tape] = field(default_factory=dict[int, _Tape])

    def run(self, steps: Sequence[Step]) -> None:
        """Carry out `steps` in order."""
        for step in steps:
            match step:
                case Launch():
                    arguments = [self._argument(argument) for argument in step.arguments]
                    kernel = self.kernels[step.kernel]
                    self.device.launch(kernel, step.grid, step.threads, step.shared_bytes, arguments)
                case Copy():
                    self.device.copy(self._address(step.target), self._address(step.source), step.bytes)
                case Repeat():
                    self._repeat(step)
                case Loop():
                    self._loop(step)
                case Choose():
                    self.run(step.then if self._flag(step.flag) else step.otherwise)
                case WriteTape():
                    self._write(step)
                case ReadTape():
                    self._read(step)

    def _repeat(self, step: Repeat) -> None:
        for index in range(step.count):
            self.axes[step.axis] = index
            self.run(step.steps)

    def _loop(self, step: Loop) -> None:
        while self._flag(step.flag):
            self.run(step.body)

    def _write(self, step: WriteTape) -> None:
        """A tape is `room` elements long in memory; what is beyond what was written is never read."""
        number, tape = self._number(step.place), self.tapes.setdefault(step.tape, _Tape())
        if number >= tape.room:
            room = max(16, 2 * number)
            memory = Allocation(self.device, room * step.bytes)
            if tape.memory is not None:
                self.device.copy(memory.address, tape.memory.address, tape.room * step.bytes)
            tape.memory, tape.room = memory, room
        assert tape.memory is not None
        self.device.copy(tape.memory.address + number * step.bytes, self._address(step.source), step.bytes)

    def _read(self, step: ReadTape) -> None:
        number, tape = self._number(step.place), self.tapes[step.tape]
        assert tape.memory is not None
        self.device.copy(self._address(step.target), tape.memory.address + number * step.bytes, step.bytes)

    def _address(self, place: Place) -> int:
        return self.bases[place.region, place.number] + place.offset

    def _argument(self, argument: Argument) -> int | bytes:
        match argument:
            case Place():
                return self._address(argument)
            case HostAxis():
                return self.axes[argument.name]
            case TensorMap():
                address = self._address(argument.place)
                known = self.descriptors.get((argument, address))
                if known is None:
                    known = self.descriptors[argument, address] = self.device.tensor_map(argument, address)
                return known

    def _flag(self, place: Place) -> bool:
        return self._bytes(place, 1) != b"\0"

    def _number(self, place: Place) -> int:
        return int.from_bytes(self._bytes(place, 8), "little", signed=True)

    def _bytes(self, place: Place, size: int) -> bytes:
        """What is at a place once everything asked for so far is done."""
        found = bytearray(size)
        self.device.copy_out(memoryview(found), self._address(place))
        return bytes(found)
