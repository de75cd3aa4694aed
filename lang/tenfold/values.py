"""What tensors hold: an immutable `Value`, in a `Storage` that a tensor and its views share and rebind.

A value is memory of some device, a `Var` of a trace, or a result of calls that are recorded and not yet run; asking for
its memory runs them.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from tenfold.device import CPU, Device
from tenfold.memory import (
    Array,
    Memory,
    device_of,
    is_dense,
    is_writable,
    on_host,
    overwrite,
    require_writable,
    type_of,
)
from tenfold_rt.cuda.memory import DeviceArray
from tenfoldc.ir.builder import Var
from tenfoldc.ir.types import TensorType

if TYPE_CHECKING:
    from tenfold.gradients.graph import Edge
    from tenfold.tracing import Trace

__all__ = ["OVERLAY", "Array", "Edged", "Kind", "Memory", "Recording", "Storage", "Value"]

_KINDS: dict[TensorType, Kind] = {}
_KINDS_ELSEWHERE: dict[tuple[TensorType, Device], Kind] = {}


class Kind:
    """A tensor type and a device, of which there is one object, so that keys of calls compare and hash at once."""

    __slots__ = ("device", "type")

    def __init__(self, type_: TensorType, device: Device) -> None:
        self.type, self.device = type_, device

    @staticmethod
    def of(type_: TensorType, device: Device = CPU) -> Kind:
        """The kind of `type_` on `device`, the one object of a usable device."""
        if device is not CPU:
            found = _KINDS_ELSEWHERE.get((type_, device))
            return found or _KINDS_ELSEWHERE.setdefault((type_, device), Kind(type_, device))
        kind = _KINDS.get(type_)
        if kind is None:
            kind = _KINDS.setdefault(type_, Kind(type_, device))
        return kind


_ARRAY_KINDS: dict[tuple[Any, tuple[int, ...]], Kind] = {}


def array_kind(array: Memory) -> Kind:
    """The kind of an array, or of a tensor in a GPU's memory."""
    if isinstance(array, DeviceArray):
        return Kind.of(type_of(array), device_of(array))
    key = (array.dtype, array.shape)
    kind = _ARRAY_KINDS.get(key)
    if kind is None:
        kind = _ARRAY_KINDS[key] = Kind.of(type_of(array))
    return kind


class Recording(Protocol):
    """Recorded calls, whose results are known when `force` returns."""

    def force(self) -> None: ...


class Value:
    """An immutable tensor.

    `recording` holds the calls that have not run which give it, as result `place`: (call, result).  `root` is the value
    whose memory this one lies in.  `foreign` memory may be written by others at any time; `lent` memory while
    an array that was given away lives.
    """

    __slots__ = (
        "__weakref__",
        "_memory",
        "error",
        "foreign",
        "holders",
        "kind",
        "lendings",
        "lent",
        "place",
        "recording",
        "replaces",
        "root",
        "trace",
        "var",
    )

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._memory: Memory | None = None
        self.var: Var | None = None
        self.trace: Trace | None = None
        self.recording: Recording | None = None
        self.place: tuple[int, int] = (0, 0)
        self.error: Exception | None = None
        """Why there is no array: what the call that should have given it raised."""
        self.root: Value | None = None
        self.foreign = False
        self.lent = False
        self.lendings = 0
        self.holders = 0
        """How many storages were made with this value."""
        self.replaces = 0
        """The `id` of the value whose place in a storage this one takes."""

    @staticmethod
    def of_array(array: Memory, *, foreign: bool = False, root: Value | None = None) -> Value:
        """A value over the memory of `array`, which may be a GPU's."""
        value = Value(array_kind(array))
        value._memory = array
        value.foreign = foreign
        value.root = root
        return value

    @staticmethod
    def of_var(var: Var, trace: Trace) -> Value:
        """A traced value."""
        value = Value(Kind.of(var.type, trace.device))
        value.var, value.trace = var, trace
        return value

    @property
    def type(self) -> TensorType:
        return self.kind.type

    @property
    def device(self) -> Device:
        return self.kind.device

    @property
    def memory(self) -> Memory | None:
        """The memory, with the elements computed if need be; None while traced."""
        if self._memory is None:
            recording = self.recording  # another thread may run it meanwhile
            if recording is not None:
                recording.force()
            if self.error is not None:
                raise self.error
        return self._memory

    @property
    def array(self) -> Array | None:
        """The elements as an array, which is a copy where the memory is a GPU's; None while traced."""
        memory = self.memory
        return None if memory is None else on_host(memory)

    @property
    def known(self) -> Memory | None:
        """The memory if it is known already."""
        return self._memory

    def settle(self, memory: Memory) -> None:
        """Take note of what a recorded call computed."""
        self._memory, self.recording = memory, None

    def fail(self, error: Exception) -> None:
        """Take note that the recorded call raised `error`, which asking for the array raises too."""
        self.error, self.recording = error, None

    @property
    def is_traced(self) -> bool:
        return self.var is not None

    def is_shared(self) -> bool:
        """Whether somebody else may write to the memory of the array."""
        root = self if self.root is None else self.root
        if root.foreign:
            return True
        if root.lent and root._memory is not None and sys.getrefcount(root._memory) <= _OWN_REFERENCES:
            root.lent = False
        return root.lent

    def lend(self) -> None:
        """Take note that an array over this memory is given away."""
        root = self if self.root is None else self.root
        root.lent = True
        root.lendings += 1

    def stamp(self) -> int | None:
        """A number that stays the same as long as nobody else can have written to the memory; None if one may now."""
        return None if self.is_shared() else (self if self.root is None else self.root).lendings


_OWN_REFERENCES = 2
"""References to an array that nobody else has: the value's, and the one that is counting."""


class _Overlay(threading.local):
    """What tensors from outside are in the trace that is under way in a thread; outside it they stay as they were.

    `values` are those of storages that the trace has taken, `edges` those that it has set, and `gradients` those that
    it has left in tensors, by their `id`s.
    """

    values: dict[Storage, Value] | None = None
    edges: dict[Edged, Edge | None]
    gradients: dict[int, Any]

    def begin(self) -> None:
        """A trace begins that takes tensors from outside."""
        self.values, self.edges, self.gradients = {}, {}, {}

    def end(self) -> None:
        """The trace is over."""
        self.values = None
        self.edges, self.gradients = {}, {}


OVERLAY = _Overlay()


_REBOUND = [0]


def rebound() -> int:
    """How often a tensor was made to refer to another storage, in this process."""
    return _REBOUND[0]


def note_rebound() -> None:
    """Take note that a tensor was made to refer to another storage."""
    _REBOUND[0] += 1


class Edged:
    """A reference with an edge of its own, which a trace that takes it from outside may change for itself."""

    __slots__ = ("outer_edge",)
    outer_edge: Edge | None

    @property
    def storage(self) -> Storage:
        raise NotImplementedError

    @property
    def edge(self) -> Edge | None:
        """The edge; in a trace, what it is there."""
        return self.outer_edge if OVERLAY.values is None else OVERLAY.edges.get(self, self.outer_edge)

    @edge.setter
    def edge(self, edge: Edge | None) -> None:
        if OVERLAY.values is None or self.storage.trace is not None:
            self.outer_edge = edge
        else:
            OVERLAY.edges[self] = edge


class Storage(Edged):
    """What a tensor and the views of it share: their present value, how often it was changed, and how it was computed.

    `edge` leads to the call that gave the value, where a gradient may be asked for.  `trace` is the trace in which the
    storage was made.
    """

    __slots__ = ("__weakref__", "trace", "value", "version")

    def __init__(self, value: Value, edge: Edge | None = None) -> None:
        self.value = value
        value.holders += 1
        self.outer_edge = edge
        self.version = 0
        self.trace = value.trace

    @property
    def storage(self) -> Storage:
        return self

    @property
    def kind(self) -> Kind:
        return self.value.kind

    def read(self) -> Value:
        """The present value; in a trace, what it is there."""
        overlay = OVERLAY.values
        return self.value if overlay is None else overlay.get(self, self.value)

    def write(self, value: Value, edge: Edge | None) -> None:
        """Let the storage have another value, of the same type; where others share its memory, in that memory.

        `ArgumentError` where that may not be written to.
        """
        if OVERLAY.values is not None and self in OVERLAY.values:
            OVERLAY.values[self], self.edge = value, edge
            return
        if self.value.is_shared() and not value.is_traced:
            self._overwrite(value)
            self.edge = edge
        else:
            value.replaces = id(self.value)
            self.value, self.edge = value, edge
        self.version += 1

    def has_own_memory(self) -> bool:
        """Whether the value is an array over memory that no other storage has, outside a trace."""
        value = self.value
        if OVERLAY.values is not None or value.is_traced or value.root is not None or value.holders > 1:
            return False
        memory = value.memory
        return memory is not None and is_dense(memory) and is_writable(memory)

    def write_part(self, part: Callable[[Memory], Memory], value: Value) -> None:
        """Write the elements of `value` to a part of the memory, of which `has_own_memory` says that it may be done."""
        elements = value.memory  # runs what is recorded, also what reads the memory as it is now
        memory = self.value.memory
        assert elements is not None
        assert memory is not None
        overwrite(part(memory), elements)
        if not self.value.is_shared():
            self.value = Value.of_array(memory)
            self.value.holders = 1
        self.version += 1

    def _overwrite(self, value: Value) -> None:
        memory, elements = self.value.memory, value.memory
        assert memory is not None
        assert elements is not None
        require_writable(memory)
        overwrite(memory, elements)

    def lend(self) -> None:
        """Take note that an array over this memory is given away."""
        memory = self.value.memory
        if self.value.holders > 1 and memory is not None and not self.value.is_shared():
            self.value = Value.of_array(memory.copy())  # what others have of it stays as it is
            self.value.holders += 1
        self.value.lend()
