"""What a compiled function does beside computing its results from its arguments: its effects.

While a function is traced, `Recorder` takes note of the tensors from outside that it reads, which become inputs; of
those it changes in place and of the gradients it leaves, which become results; and of the Python values that it was
compiled for.  `Effects` is what remains of that for later calls.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, cast

from tenfold import tree as pytree
from tenfold.device import Device
from tenfold.gradients.calls import cut, invoke
from tenfold.gradients.modes import is_grad_enabled, set_grad_enabled
from tenfold.lazy.graph import GRAPH
from tenfold.lazy.groups import number_type
from tenfold.lazy.routines import Routine
from tenfold.memory import Memory, on_device
from tenfold.placement import moved, moved_value, require_usable
from tenfold.program import Traced
from tenfold.threads import threads
from tenfold.tracing import Number, Reference, TensorValue, Trace
from tenfold.values import OVERLAY, Edged, Storage, Value, rebound
from tenfold.views import whole
from tenfold_rt.frozen import frozen
from tenfoldc.ir.builder import Var

Source = Callable[[], Any]
"""Gives an input of a call: a reference to a tensor, or a number."""


@dataclass(eq=False, slots=True)
class _Taken:
    """A storage from outside: the value that it has when the trace begins, and a reference to all of it.

    Of several references it is one with an edge, so that gradients flow through calls.
    """

    value: Value
    ref: Reference

    def find(self) -> Reference:
        return self.ref

    def has_gradient(self) -> bool:
        """Whether gradients flow to it; outside the trace."""
        return cast("Edged", self.ref).outer_edge is not None


class Recorder:
    """Takes note of what one trace does to the tensors around it."""

    def __init__(self) -> None:
        self.remembers = False
        self.parameters: list[Var] = []
        self._sources: list[Source] = []
        self._guards: list[tuple[Source, Any]] = [(rebound, rebound()), (is_grad_enabled, is_grad_enabled())]
        self._taken: dict[Storage, _Taken] = {}
        self._made: list[weakref.ref[Storage]] = []
        self._gradients: dict[int, Any] = {}
        self._changed: set[int] = set()
        self._places: dict[Storage, Source] = {}

    @contextmanager
    def tracing(self) -> Generator[None]:
        """While this lasts, tensors from outside are what they are in the trace; then they are as before."""
        OVERLAY.begin()
        try:
            yield
        finally:
            OVERLAY.end()

    # What the trace tells.

    def take(self, ref: Reference, trace: Trace) -> None:
        """The storage of `ref`, which is from outside, becomes an input."""
        overlay, storage = OVERLAY.values, ref.storage
        assert overlay is not None
        taken = self._taken.get(storage)
        if taken is None:
            require_usable(storage.kind, trace)
            var = trace.builder.parameter(storage.kind.type)
            taken = self._taken[storage] = _Taken(Value.of_var(var, trace), whole(ref))
            self._add(var, self._places.get(storage, taken.find))
            overlay[storage] = taken.value
        if ref.edge is not None:
            self.remembers = True
            taken.ref = whole(ref) if taken.ref.edge is None else taken.ref
            if taken.value.var is not None and taken.ref.edge is not None:
                trace.edges[taken.value.var.value] = taken.ref.edge

    def made(self, storage: Storage) -> None:
        """A storage was made inside."""
        self._made.append(weakref.ref(storage))

    def gradient(self, tensor: Any, is_change: bool) -> None:
        """The gradient of a tensor was looked at, or is about to be changed."""
        if tensor.ref.edge is not None:
            self.remembers = True
        if tensor.ref.storage.trace is not None:
            return
        if id(tensor) not in self._gradients:
            present = tensor.get_gradient()
            self._gradients[id(tensor)] = tensor
            if not is_change:
                self.guard(lambda: tensor.get_gradient() is None, present is None)
            if present is not None and not is_change:
                self._places[present.ref.storage] = lambda: tensor.get_gradient().ref
        if is_change:
            self._changed.add(id(tensor))

    def guard(self, read: Source, value: Any) -> None:
        """The trace holds for calls at which `read` gives `value`."""
        self._guards.append((read, value))

    def number(self, read: Callable[[], float], trace: Trace) -> Number:
        """A number that calls read anew."""
        kind = type(read())
        var = trace.builder.parameter(number_type(kind()))
        self._add(var, read)
        return Number(var, kind)

    def _add(self, var: Var, source: Source) -> None:
        self.parameters.append(var)
        self._sources.append(source)

    # What it comes to.

    def result(self, leaf: Any, var: Var) -> Var:
        """A result of the program; one that no gradient flows to has none where the program is differentiated."""
        return var if isinstance(leaf, TensorValue) and leaf.ref.edge is not None else cut(var)

    def effects(self, results: Sequence[Any]) -> Effects:
        """The effects of the trace, which is over; `results` are the leaves of what the function returned."""
        overlay = OVERLAY.values
        assert overlay is not None
        changed = [
            Change(self._places.get(storage, taken.find), overlay[storage], _is_made_inside(storage))
            for storage, taken in self._taken.items()
            if overlay[storage] is not taken.value
        ]
        gradients = [(tensor, tensor.get_gradient()) for key, tensor in self._gradients.items() if key in self._changed]
        guards = [*self._guards, *((taken.has_gradient, taken.has_gradient()) for taken in self._taken.values())]
        known = {leaf.ref.storage for leaf in results if isinstance(leaf, TensorValue)}
        known |= {gradient.ref.storage for _, gradient in gradients if gradient is not None}
        escaped = [
            storage for storage in (each() for each in self._made) if storage is not None and storage not in known
        ]
        traced = [storage for storage in escaped if storage.value.is_traced]
        return Effects(
            tuple(self._sources),
            tuple(guards),
            tuple(changed),
            tuple(gradients),
            tuple(traced),
            any(each.has_gradient for each in changed)
            or any(isinstance(leaf, TensorValue) and leaf.ref.edge is not None for leaf in results),
        )


def _is_made_inside(storage: Storage) -> bool:
    """Whether the trace has given a storage from outside an edge, through which gradients flow."""
    return OVERLAY.edges.get(storage) is not None and storage.edge is not storage.outer_edge


@frozen
class Change:
    """A storage that a trace has changed, its value in the end, and whether gradients flow through that."""

    source: Source
    value: Value
    has_gradient: bool


@frozen
class Effects:
    """What calls of a compiled function read and change beside their arguments and results.

    `changed` says so of storages; `gradients` are tensors with the gradients that they have in the end;
    `escaped` are storages that the function made and that were kept.  `has_gradient`: gradients flow through results.
    """

    sources: tuple[Source, ...]
    guards: tuple[tuple[Source, Any], ...]
    changed: tuple[Change, ...]
    gradients: tuple[tuple[Any, Any], ...]
    escaped: tuple[Storage, ...]
    has_gradient: bool

    def __bool__(self) -> bool:
        return bool(self.sources or self.changed or self.gradients or self.escaped or self.has_gradient)

    def holds(self) -> bool:
        """Whether a call may use the program: the Python values that it was compiled for are the same."""
        return not self.escaped and all(read() == value for read, value in self.guards)

    def values(self) -> list[Value]:
        """The traced values that are results of the program beside those of the function."""
        gradients = [gradient.value for _, gradient in self.gradients if gradient is not None]
        return [*(change.value for change in self.changed), *gradients, *(storage.value for storage in self.escaped)]

    def call(self, routine: Routine, operands: Sequence[Any], count: int) -> list[TensorValue]:
        """Call the program, which has `count` results of its own, and do what it does to tensors around it."""
        GRAPH.run()  # so that the program runs alone, and is the same in every call
        given = [_operand(source()) for source in self.sources]
        remember = is_grad_enabled() and self.has_gradient and not self.gradients
        with set_grad_enabled(remember):
            results = invoke(routine, [*operands, *given])
        remaining = iter(results[count:])
        for change in self.changed:
            storage, result = change.source().storage, next(remaining)
            value = moved_value(result.value, storage.kind.device)
            storage.write(value, result.ref.edge if change.has_gradient else storage.edge)
        for tensor, gradient in self.gradients:
            tensor.set_gradient(None if gradient is None else next(remaining))
        for storage in self.escaped:
            storage.value, storage.trace = next(remaining).value, None
        del remaining, given
        GRAPH.run()
        return results[:count]


def _operand(source: Any) -> Any:
    return source if isinstance(source, (bool, int, float)) else TensorValue.of_reference(source)


class Effectful:
    """A compiled function with effects, one of which is that gradients flow through its results.

    Its calls are recorded and run.
    """

    def __init__(self, traced: Traced, threads: int | None) -> None:
        assert traced.effects is not None
        self._effects = traced.effects
        self._results = traced.results
        self._threads = threads
        self._routine = Routine(traced.function.name, traced.function.body, device=traced.device)

    def holds(self) -> bool:
        """Whether a call may use this program: what it was compiled for is still so."""
        return self._effects.holds()

    @property
    def device(self) -> Device:
        """Where it runs, and where its arguments and results are."""
        return self._routine.device

    def run(self, leaves: Sequence[Any], arrays: Sequence[Memory], *, as_tensors: bool) -> Any:
        """The results for the leaves of a call's arguments, which as `arrays` have the program's types.

        What is elsewhere is copied to the program's device.
        """
        operands = [
            moved(leaf, self.device) if isinstance(leaf, TensorValue) else Value.of_array(self._own(array))
            for leaf, array in zip(leaves, arrays, strict=True)
        ]
        count = self._results.leaves
        with nullcontext() if self._threads is None else threads(self._threads), GRAPH.lock:
            results = self._effects.call(self._routine, operands, count)
        given = results if as_tensors else [result.array for result in results]
        return pytree.unflatten(self._results, given)

    def _own(self, array: Memory) -> Memory:
        """A copy of an argument on the program's device."""
        given = on_device(array, self.device)
        return given.copy() if given is array else given
