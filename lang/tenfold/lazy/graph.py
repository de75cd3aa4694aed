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
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, cast

from tenfold.lazy.groups import Group, Operand, compile_group
from tenfold.lazy.repeats import shortest_period
from tenfold.lazy.routines import Routine
from tenfold.program import FORK_LOCKS
from tenfold.values import Kind, Value

Input: TypeAlias = "Value | bool | int | float"

LIMIT = 192
"""Calls after which the recorded ones are run even though no value was asked for."""

_SMALL = 1 << 20
"""Bytes of memory that others may write to which are copied when a call reads them; with more the call runs at once."""


class RecordedCall:
    """A call of a routine that has not run: its inputs, each a value, a number or (call, place), and its results."""

    __slots__ = ("inputs", "number", "results", "routine")

    def __init__(self, routine: Routine, inputs: list[Any], results: list[weakref.ref[Value]]) -> None:
        self.routine = routine
        self.inputs = inputs
        self.results = results
        self.number = 0

    def force(self) -> None:
        """Run what is recorded."""
        GRAPH.run()


@dataclass
class Counters:
    """How often things happened in this process."""

    calls: int = 0
    """Calls that were recorded."""
    groups: int = 0
    """Groups of calls that were run."""
    compiled: int = 0
    """Groups that were compiled, or loaded from the disk cache, because there had been none of their shape."""


@dataclass
class _Plan:
    """A group of calls as a program needs it: `rows` of operands, the inputs `known`, and the results `wanted`."""

    rows: list[tuple[Operand, ...]] = field(default_factory=list[tuple[Operand, ...]])
    known: list[Input] = field(default_factory=list["Input"])
    uses: list[int] = field(default_factory=list[int])
    places: dict[int, int] = field(default_factory=dict[int, int])
    wanted: list[Value] = field(default_factory=list[Value])
    outputs: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    @staticmethod
    def of(calls: Sequence[RecordedCall]) -> _Plan:
        plan = _Plan()
        for number, call in enumerate(calls):
            call.number = number
            plan.rows.append(tuple([plan.operand(given) for given in call.inputs]))
        for number, call in enumerate(calls):
            for place, reference in enumerate(call.results):
                result = reference()
                if result is not None:
                    plan.wanted.append(result)
                    plan.outputs.append((number, place))
        return plan

    def operand(self, given: Any) -> Operand:
        """Where an input comes from: a result of a call, or the number of a known input."""
        if type(given) is tuple:
            producer, place = cast("tuple[RecordedCall, int]", given)
            return (producer.number, place)
        if not isinstance(given, Value):
            self.known.append(given)
            self.uses.append(1)
            return len(self.known) - 1
        where = self.places.get(id(given))
        if where is None:
            where = self.places[id(given)] = len(self.known)
            self.known.append(given)
            self.uses.append(0)
        self.uses[where] += 1
        return where

    def kinds(self) -> tuple[Kind | type, ...]:
        """The types of the known inputs."""
        return tuple([given.kind if isinstance(given, Value) else type(given) for given in self.known])

    def donations(self) -> tuple[tuple[int, int], ...]:
        """Pairs (input, output): the output takes the input's place in a tensor, and nobody else has its memory."""
        pairs: list[tuple[int, int]] = []
        taken: set[int] = set()
        for number, result in enumerate(self.wanted):
            where = self.places.get(result.replaces) if result.replaces else None
            # The number that `replaces` holds may be that of another value by now, where the one it was has gone.
            if where is None or where in taken or not self._is_ours(where):
                continue
            if cast("Value", self.known[where]).kind is result.kind:
                pairs.append((where, number))
                taken.add(where)
        return tuple(pairs)

    def _is_ours(self, where: int) -> bool:
        """Whether only the recorded calls refer to an input, and only it to its array."""
        value = self.known[where]
        assert isinstance(value, Value)
        if value.foreign or value.root is not None or sys.getrefcount(value) > self.uses[where] + _VALUE_REFERENCES:
            return False
        array = value.known
        return array is not None and array.flags.writeable and sys.getrefcount(array) <= _ARRAY_REFERENCES


_VALUE_REFERENCES = 3
"""References to a value besides those of recorded calls: the list of inputs, a variable, and the one that counts."""

_ARRAY_REFERENCES = 3
"""References to an array: its value's, a variable, and the one that counts."""


class Graph:
    """What is recorded; one for all threads, which take turns."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.counters = Counters()
        self._calls: list[RecordedCall] = []
        self._groups: dict[Hashable, Group] = {}
        self._limit = LIMIT

    def record(self, routine: Routine, inputs: Sequence[Input]) -> list[Value]:
        """Record a call; its results, whose arrays are computed when they are asked for."""
        with self.lock:
            taken: list[Any] = []
            at_once = False
            for given in inputs:
                if not isinstance(given, Value):
                    taken.append(given)
                elif given.call is not None:
                    taken.append((given.call, given.place))
                elif not given.is_shared():
                    taken.append(given)
                else:
                    array = given.known
                    assert array is not None
                    is_small = array.nbytes <= _SMALL
                    taken.append(Value.of_array(array.copy()) if is_small else given)
                    at_once = at_once or not is_small
            results = [Value(kind) for kind in routine.kinds]
            call = RecordedCall(routine, taken, [weakref.ref(result) for result in results])
            for place, result in enumerate(results):
                result.call, result.place = call, place
            self._calls.append(call)
            self.counters.calls += 1
            if at_once:
                self.run()
            elif len(self._calls) >= self._limit:
                self._run_part()
            return results

    def run(self) -> None:
        """Run all that is recorded."""
        with self.lock:
            calls, self._calls = self._calls, []
            self._limit = LIMIT
            try:
                self._execute(calls)
            except BaseException:
                self._calls = calls + self._calls
                raise

    def _run_part(self) -> None:
        """Run what a loop that asks for no value has recorded, and go on in steps that hold whole turns of it."""
        period = shortest_period([call.routine.serial for call in self._calls])
        self.run()
        if period:
            self._limit = LIMIT // period * period

    def _execute(self, calls: list[RecordedCall]) -> None:
        plan = _Plan.of(calls)
        if not plan.wanted:
            return
        donations = plan.donations()
        serials = tuple([call.routine.serial for call in calls])
        key = (serials, tuple(plan.rows), tuple(plan.outputs), plan.kinds(), donations)
        group = self._groups.get(key)
        if group is None:
            routines = [call.routine for call in calls]
            group = self._groups[key] = compile_group(routines, plan.rows, plan.kinds(), plan.outputs, donations)
            self.counters.compiled += 1
        self.counters.groups += 1
        arrays = group.run([given.known if isinstance(given, Value) else given for given in plan.known])
        for result, array in zip(plan.wanted, arrays, strict=True):
            result.settle(array)


GRAPH = Graph()


def run() -> None:
    """Run what is recorded, on all threads, though nobody has looked at a value."""
    GRAPH.run()


def counters() -> Counters:
    """How often calls were recorded, run and compiled in this process, so far."""
    return replace(GRAPH.counters)


FORK_LOCKS.insert(0, GRAPH.lock)
