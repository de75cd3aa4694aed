"""The calls that are recorded and not yet run, and how they are run: all of a device at once, as one compiled program.

A group of calls that has the shape of an earlier one (the same routines, connected in the same way, with the same
results still wanted) is run by the program that was compiled for that.  Results that nobody refers to any more are not
computed.  Memory of a tensor that is changed in place is given to the program to write to, where nobody else has it.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from tenfold.device import CPU, Device
from tenfold.lazy.groups import Group, Operand, compile_group
from tenfold.lazy.repeats import shortest_period
from tenfold.lazy.routines import Routine
from tenfold.lazy.tables import Table
from tenfold.memory import Memory, is_writable
from tenfold.program import FORK_LOCKS
from tenfold.python_numbers import LongIntegerError, is_operand, shown
from tenfold.tracing import here, require_trace
from tenfold.values import Kind, Value
from tenfold_rt.errors import PlacementError

Input: TypeAlias = "Value | bool | int | float"

LIMIT = 192
"""Calls after which the recorded ones are run even though no value was asked for."""

GROUPS = 2048
"""Compiled groups that are remembered."""

"""Integers are handed to programs as i64."""

_SMALL = 1 << 20
"""Bytes of memory that others may write to which are copied when a call reads them; with more the call runs at once."""


@dataclass
class Counters:
    """How often things happened in this process."""

    calls: int = 0
    """Calls that were recorded."""
    groups: int = 0
    """Groups of calls that were run."""
    compiled: int = 0
    """Groups that were compiled, or loaded from the disk cache, because there had been none of their shape."""


class Recording:
    """Calls on `device` that have not run, each with where its inputs come from, and references to their results.

    `known` are the inputs of the group that the calls make, of `kinds`; `places` says where a value is among them.
    With `limit` calls it is run.
    """

    __slots__ = ("calls", "device", "is_urgent", "kinds", "known", "limit", "places", "results")

    def __init__(self, device: Device, limit: int = LIMIT) -> None:
        self.device = device
        self.limit = limit
        self.calls: list[tuple[Routine, tuple[Operand, ...]]] = []
        self.results: list[weakref.ref[Value]] = []
        self.known: list[Input] = []
        self.kinds: list[Kind | type] = []
        self.places: dict[int, int] = {}
        self.is_urgent = False

    def force(self) -> None:
        """Run the calls, if they have not run."""
        GRAPH.finish(self)

    def take(self, given: Input) -> int:
        """The number of an input that no call of this recording computes."""
        number = len(self.known)
        if isinstance(given, Value):
            if given.trace is not None:
                require_trace(given)
            if given.recording is not None:
                given.recording.force()
            if given.kind.device is not self.device and (given.kind.device is not CPU or given.kind.type.rank):
                raise misplaced(given.kind.device, self.device)
            if not given.is_shared():
                self.places[id(given)] = number
            elif (memory := given.known) is not None and memory.nbytes <= _SMALL:
                given = Value.of_array(memory.copy())
            else:
                self.is_urgent = True
            self.kinds.append(given.kind)
        else:
            self.kinds.append(type(given))
        self.known.append(given)
        return number

    def hold(self, given: Input) -> int:
        """The number of an input that another recording has taken."""
        number = self.places.get(id(given)) if isinstance(given, Value) else None
        if number is None:
            number = len(self.known)
            if isinstance(given, Value):
                self.places[id(given)] = number
            self.kinds.append(given.kind if isinstance(given, Value) else type(given))
            self.known.append(given)
        return number

    def wanted(self) -> list[Value]:
        """The results that somebody has."""
        return [result for reference in self.results if (result := reference()) is not None]

    def donations(self, wanted: Sequence[Value]) -> tuple[tuple[int, int], ...]:
        """Pairs (input, output): the output takes the input's place in a tensor, and nobody else has its memory."""
        pairs: list[tuple[int, int]] = []
        taken: set[int] = set()
        for number, result in enumerate(wanted):
            where = self.places.get(result.replaces) if result.replaces else None
            # The number that `replaces` holds may be that of another value by now, where the one it was has gone.
            if where is None or where in taken or not self._is_ours(where):
                continue
            if self.kinds[where] is result.kind:
                pairs.append((where, number))
                taken.add(where)
        return tuple(pairs)

    def _is_ours(self, where: int) -> bool:
        """Whether only this recording refers to an input, and only it to its array."""
        value = self.known[where]
        assert isinstance(value, Value)
        if value.foreign or value.root is not None or sys.getrefcount(value) > _VALUE_REFERENCES:
            return False
        memory = value.known
        return memory is not None and is_writable(memory) and sys.getrefcount(memory) <= _MEMORY_REFERENCES


_VALUE_REFERENCES = 3
"""References to a value: the recording's, a variable, and the one that counts."""

_MEMORY_REFERENCES = 3
"""References to memory: its value's, a variable, and the one that counts."""


def misplaced(found: Device, wanted: Device) -> PlacementError:
    """The error for tensors on two devices in one call."""
    return PlacementError(
        f"expected all tensors to be on the same device, but found at least two devices, {wanted} and {found}",
        where=here(),
        mend="move them with x.to(device)",
    )


class Graph:
    """What is recorded; one for all threads, which take turns."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.counters = Counters()
        self._recording = Recording(CPU)
        self._elsewhere: dict[Device, Recording] = {}
        self._groups: Table[Group] = Table(GROUPS)

    def record(self, routine: Routine, inputs: Sequence[Input]) -> list[Value]:
        """Record a call; its results, whose arrays are computed when they are asked for."""
        with self.lock:
            recording = self._recording if routine.device is CPU else self._recording_on(routine.device)
            row: list[Operand] = []
            for given in inputs:
                if isinstance(given, Value):
                    if given.recording is recording:
                        row.append(given.place)
                        continue
                    known = recording.places.get(id(given))
                    if known is not None:
                        row.append(known)
                        continue
                    if given.error is not None:
                        return _failed(routine, given.error)
                elif type(given) is int and not is_operand(given):
                    raise LongIntegerError(f"{shown(given)} does not fit i64", mend="give a tensor, or a float")
                row.append(recording.take(given))
            number = len(recording.calls)
            results: list[Value] = []
            for place, kind in enumerate(routine.kinds):
                result = Value(kind)
                result.recording, result.place = recording, (number, place)
                results.append(result)
            recording.calls.append((routine, tuple(row)))
            recording.results += map(weakref.ref, results)
            self.counters.calls += 1
            if recording.is_urgent:
                self._run(recording)
            elif number + 1 >= recording.limit:
                self._run_part(recording)
            return results

    def run(self) -> None:
        """Run all that is recorded."""
        with self.lock:
            for recording in (self._recording, *self._elsewhere.values()):
                if recording.calls:
                    self._run(recording)

    def finish(self, recording: Recording) -> None:
        """Run a recording, if it has not run; once more where that was interrupted."""
        with self.lock:
            if recording is self._recording or recording is self._elsewhere.get(recording.device):
                self._run(recording)
            else:
                self._execute(recording)

    def _recording_on(self, device: Device) -> Recording:
        """What is recorded for a device other than the CPU."""
        found = self._elsewhere.get(device)
        return self._elsewhere.setdefault(device, Recording(device)) if found is None else found

    def _run(self, recording: Recording, limit: int = LIMIT) -> None:
        """Run what is recorded for a device; what follows is run after `limit` calls."""
        fresh = Recording(recording.device, limit)
        if recording.device is CPU:
            self._recording = fresh
        else:
            self._elsewhere[recording.device] = fresh
        self._execute(recording)

    def _run_part(self, recording: Recording) -> None:
        """Run what a loop that asks for no value has recorded, and go on in steps that hold whole turns of it."""
        period = shortest_period([routine.serial for routine, _ in recording.calls])
        self._run(recording, LIMIT // period * period if period else LIMIT)

    def _execute(self, recording: Recording) -> None:
        """Run a recording; where that fails, in halves, so that only what fails by itself has no results."""
        try:
            self._execute_whole(recording)
        except Exception as error:
            values = {value.place: value for value in recording.wanted()}
            count = len(recording.calls)
            if count == 1:
                for value in values.values():
                    value.fail(error)
                return
            middle = count // 2
            for _, row in recording.calls[middle:]:
                for operand in row:
                    if isinstance(operand, tuple) and operand[0] < middle and operand not in values:
                        values[operand] = Value(recording.calls[operand[0]][0].kinds[operand[1]])
            for numbers in (range(middle), range(middle, count)):
                self._execute(_part(recording, numbers, values))

    def _execute_whole(self, recording: Recording) -> None:
        wanted = recording.wanted()
        if not wanted:
            return
        outputs = tuple([result.place for result in wanted])
        donations = recording.donations(wanted)
        kinds = tuple(recording.kinds)
        key = (tuple(recording.calls), outputs, kinds, donations)
        group = self._groups.get(key)
        if group is None:
            made = compile_group(recording.calls, kinds, outputs, donations, recording.device)
            group = self._groups.add(key, made)
            self.counters.compiled += 1
        self.counters.groups += 1
        found: list[Memory] = []
        try:
            group.run([given.known if isinstance(given, Value) else given for given in recording.known], found)
        finally:
            if found:
                recording.results = []
            for result, memory in zip(wanted, found, strict=bool(found)):
                result.settle(memory)


def _failed(routine: Routine, error: Exception) -> list[Value]:
    """The results of a call of which an input is missing because of `error`."""
    results = [Value(kind) for kind in routine.kinds]
    for result in results:
        result.fail(error)
    return results


def _part(recording: Recording, numbers: Iterable[int], values: Mapping[tuple[int, int], Value]) -> Recording:
    """Calls of a recording as one of their own; those that take what has failed fail.

    `values` are the results that somebody has or that later calls take, by their places in `recording`.
    """
    part = Recording(recording.device)
    failed: dict[int, Exception] = {}
    places: dict[int, int] = {}
    for number in numbers:
        routine, row = recording.calls[number]
        own = {place: values[number, place] for place in range(len(routine.kinds)) if (number, place) in values}
        operands: list[Operand] = []
        error: Exception | None = None
        for operand in row:
            if isinstance(operand, tuple) and operand[0] in places:
                operands.append((places[operand[0]], operand[1]))
                continue
            given = recording.known[operand] if isinstance(operand, int) else values.get(operand)
            if isinstance(operand, tuple) and operand[0] in failed:
                error = failed[operand[0]]
            elif isinstance(given, Value) and given.error is not None:
                error = given.error
            elif given is not None:
                operands.append(part.hold(given))
        if error is not None:
            failed[number] = error
            for value in own.values():
                value.fail(error)
            continue
        places[number] = len(part.calls)
        part.calls.append((routine, tuple(operands)))
        for place, value in own.items():
            value.recording, value.place = part, (places[number], place)
            part.results.append(weakref.ref(value))
    return part


GRAPH = Graph()


def run() -> None:
    """Run what is recorded, on all threads, though nobody has looked at a value."""
    GRAPH.run()


def counters() -> Counters:
    """How often calls were recorded, run and compiled in this process, so far."""
    return replace(GRAPH.counters)


FORK_LOCKS.insert(0, GRAPH.lock)
