"""The calls that are recorded and not yet run, and how they are run: all at once, as one compiled program.

A group of calls that has the shape of an earlier one (the same routines, connected in the same way, with the same
results still wanted) is run by the program that was compiled for that.  Results that nobody refers to any more are not
computed.  Memory of a tensor that is changed in place is given to the program to write to, where nobody else has it.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from tenfold.lazy.groups import Group, Operand, compile_group
from tenfold.lazy.repeats import shortest_period
from tenfold.lazy.routines import Routine
from tenfold.program import FORK_LOCKS
from tenfold.tracing import require_trace
from tenfold.values import Kind, Value

Input: TypeAlias = "Value | bool | int | float"

LIMIT = 192
"""Calls after which the recorded ones are run even though no value was asked for."""

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
    """Calls that have not run, each with where its inputs come from, and references to their results.

    `known` are the inputs of the group that the calls make, of `kinds`; `places` says where a value is among them.
    """

    __slots__ = ("calls", "is_urgent", "kinds", "known", "places", "results")

    def __init__(self) -> None:
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
            if not given.is_shared():
                self.places[id(given)] = number
            elif (array := given.known) is not None and array.nbytes <= _SMALL:
                given = Value.of_array(array.copy())
            else:
                self.is_urgent = True
            self.kinds.append(given.kind)
        else:
            self.kinds.append(type(given))
        self.known.append(given)
        return number

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
        array = value.known
        return array is not None and array.flags.writeable and sys.getrefcount(array) <= _ARRAY_REFERENCES


_VALUE_REFERENCES = 3
"""References to a value: the recording's, a variable, and the one that counts."""

_ARRAY_REFERENCES = 3
"""References to an array: its value's, a variable, and the one that counts."""


class Graph:
    """What is recorded; one for all threads, which take turns."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.counters = Counters()
        self._recording = Recording()
        self._groups: dict[Hashable, Group] = {}
        self._limit = LIMIT

    def record(self, routine: Routine, inputs: Sequence[Input]) -> list[Value]:
        """Record a call; its results, whose arrays are computed when they are asked for."""
        with self.lock:
            recording = self._recording
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
                self.run()
            elif number + 1 >= self._limit:
                self._run_part()
            return results

    def run(self) -> None:
        """Run all that is recorded."""
        with self.lock:
            recording = self._recording
            if recording.calls:
                self._recording, self._limit = Recording(), LIMIT
                self._execute(recording)

    def finish(self, recording: Recording) -> None:
        """Run a recording; once more where that failed."""
        with self.lock:
            if recording is self._recording:
                self.run()
            else:
                self._execute(recording)

    def _run_part(self) -> None:
        """Run what a loop that asks for no value has recorded, and go on in steps that hold whole turns of it."""
        period = shortest_period([routine.serial for routine, _ in self._recording.calls])
        self.run()
        if period:
            self._limit = LIMIT // period * period

    def _execute(self, recording: Recording) -> None:
        wanted = [result for reference in recording.results if (result := reference()) is not None]
        if not wanted:
            return
        outputs = tuple([result.place for result in wanted])
        donations = recording.donations(wanted)
        kinds = tuple(recording.kinds)
        key = (tuple(recording.calls), outputs, kinds, donations)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = compile_group(recording.calls, kinds, outputs, donations)
            self.counters.compiled += 1
        self.counters.groups += 1
        arrays = group.run([given.known if isinstance(given, Value) else given for given in recording.known])
        recording.results = []
        for result, array in zip(wanted, arrays, strict=True):
            result.settle(array)


GRAPH = Graph()


def run() -> None:
    """Run what is recorded, on all threads, though nobody has looked at a value."""
    GRAPH.run()


def counters() -> Counters:
    """How often calls were recorded, run and compiled in this process, so far."""
    return replace(GRAPH.counters)


FORK_LOCKS.insert(0, GRAPH.lock)
