"""Views: tensors that share the memory of another, so that a change of one is a change of both.

Values are immutable, so a view computes its value from its parent's present one, and a change of a view puts the new
elements into the parent.  Where the storage's memory is known, the view's value is over the same memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tenfold.device import CPU
from tenfold.gradients.calls import invoke
from tenfold.gradients.modes import is_grad_enabled, set_grad_enabled
from tenfold.layouts import Layout, layout_through, of_first_parameter, put_through
from tenfold.lazy.routines import Routine
from tenfold.lazy.tables import Table
from tenfold.memory import Memory, is_dense, memory_part, strides_of
from tenfold.tracing import Reference, TensorValue
from tenfold.values import Edged, Kind, Storage, Value

if TYPE_CHECKING:
    from tenfold.gradients.graph import Edge


class View:
    """A reference to part of a storage, or to all of it in another shape: result `place` of `routine` of `parent`.

    `is_remembered` says whether gradients flow through it.
    """

    __slots__ = ("_found", "is_remembered", "kind", "layout", "parent", "place", "routine")

    def __init__(self, parent: Reference, routine: Routine, place: int, layout: Layout, is_remembered: bool) -> None:
        self.parent, self.routine, self.place = parent, routine, place
        self.kind: Kind = routine.kinds[place]
        self.layout = layout
        self.is_remembered = is_remembered
        self._found: _Found | None = None

    @property
    def storage(self) -> Storage:
        return self.parent.storage

    @property
    def edge(self) -> Edge | None:
        return self._present().edge

    def read(self) -> Value:
        """The present value."""
        return self._present().value

    def _present(self) -> _Found:
        base, source = self._of_parent()
        found = self._found
        if found is None or found.base is not base or found.source is not source or not found.is_usable():
            found = self._found = _Found(base, base.stamp(), source, *self._computed(source is not None))
        elif not found.is_current():
            found = self._found = found._replace(stamp=base.stamp(), value=self._computed(False)[0])
        return found

    def _of_parent(self) -> tuple[Value, Edge | None]:
        if isinstance(self.parent, View):
            above = self.parent._present()
            return above.value, above.edge if self.is_remembered else None
        return self.parent.read(), self.parent.edge if self.is_remembered else None

    def _computed(self, has_gradient: bool) -> tuple[Value, Edge | None]:
        if self.layout.is_dense and not has_gradient:
            part = self.shared()
            if part is not None:
                root = self.storage.read()
                return Value.of_array(part, root=root if root.root is None else root.root), None
        with set_grad_enabled(has_gradient):
            ref = invoke(self.routine, [TensorValue.of_reference(self.parent)])[self.place].ref
        return ref.read(), ref.edge

    def shared(self) -> Memory | None:
        """The elements over the storage's own memory; None where that is not known yet, or a GPU's with gaps."""
        memory = self.storage.read().known
        return None if memory is None else memory_part(memory, self.layout)

    def _is_writable(self) -> bool:
        """Whether elements can be written to the storage's memory: what else is there need not be computed anew."""
        is_repeated = any(
            size > 1 and not step for size, step in zip(self.kind.type.sizes, self.layout.strides, strict=True)
        )
        has_place = self.layout.is_dense or self.storage.kind.device is CPU
        return has_place and not is_repeated and self.storage.has_own_memory()

    def write(self, value: Value, edge: Edge | None) -> None:
        """Put another value in place of this one, in all tensors that share its memory."""
        if edge is None and self._of_parent()[1] is None and self._is_writable():
            self.storage.write_part(self._part, value)
            return
        routine = put_routine(self.routine, self.place)
        with set_grad_enabled(self.is_remembered and is_grad_enabled()):
            (whole,) = invoke(routine, [TensorValue.of_reference(self.parent), TensorValue.of_value(value, edge)])
            edge = whole.ref.edge if is_grad_enabled() else self.parent.edge
        self.parent.write(whole.ref.read(), edge)
        self._found = None

    def _part(self, whole: Memory) -> Memory:
        """The view's part of the storage's memory, which has no gaps or is the CPU's."""
        part = memory_part(whole, self.layout)
        assert part is not None
        return part


class _Found(NamedTuple):
    """The value of a view, and its edge, found when its parent had the value `base` and the edge `source`."""

    base: Value
    stamp: int | None
    source: Edge | None
    value: Value
    edge: Edge | None

    def is_usable(self) -> bool:
        """Whether this is no result of a trace that has ended."""
        return self.value.trace is None or self.value.trace.is_under_way

    def is_current(self) -> bool:
        """Whether the elements are those of `base` still; a copy is not once others may have written to the memory."""
        return self.value.root is not None or (self.stamp is not None and self.stamp == self.base.stamp())


class Alias(Edged):
    """A reference to all of what another refers to, with an edge of its own: what a detached tensor has."""

    __slots__ = ("parent",)

    def __init__(self, parent: Reference) -> None:
        self.parent = parent
        self.outer_edge = None

    @property
    def storage(self) -> Storage:
        return self.parent.storage

    @property
    def kind(self) -> Kind:
        return self.parent.kind

    def read(self) -> Value:
        """The present value."""
        return self.parent.read()

    def shared(self) -> Memory | None:
        """The elements over the storage's own memory; None where that is not known yet, or a GPU's with gaps."""
        return self.parent.shared() if isinstance(self.parent, (View, Alias)) else self.storage.read().known

    def write(self, value: Value, edge: Edge | None) -> None:
        """Put another value in place of this one; how it was computed concerns this reference alone."""
        self.parent.write(value, self.parent.edge)
        self.edge = edge


def whole(ref: Reference) -> Reference:
    """A reference to all of the storage that `ref` refers to, with the edge that its views have."""
    while isinstance(ref, View):
        ref = ref.parent
    return ref if isinstance(ref, Alias) and ref.parent is ref.storage else ref.storage


_PUTS: Table[Routine] = Table(4096)


def put_routine(routine: Routine, place: int) -> Routine:
    """The routine that puts elements in place of a result of `routine`, a view."""
    key = routine.serial, place
    known = _PUTS.get(key)
    if known is None:
        known = _PUTS.add(key, Routine("copy_slices", put_through(routine.region, place), device=routine.device))
    return known


_ALONE: Table[Routine] = Table(4096)


def _alone(routine: Routine, place: int) -> tuple[Routine, int]:
    """A routine of the first parameter of `routine`, and where among its results result `place` of that is."""
    region = routine.region
    if len(region.parameters) == 1:
        return routine, place
    key = routine.serial, place
    known = _ALONE.get(key)
    if known is None:
        known = _ALONE.add(key, Routine(routine.name, of_first_parameter(region, place), routine.node, routine.device))
    return known, 0


def layout_of(ref: Reference) -> Layout:
    """Where the elements of a tensor lie."""
    if isinstance(ref, View):
        return ref.layout
    if isinstance(ref, Alias):
        return layout_of(ref.parent)
    storage = ref.storage
    known = storage.read().known
    sizes = ref.kind.type.sizes
    return Layout.dense(sizes) if known is None or is_dense(known) else Layout(sizes, strides_of(known))


def views_of(tensor: TensorValue, routine: Routine) -> list[TensorValue | None]:
    """The results of `routine` of `tensor` that are views of it; None for the others."""
    ref = tensor.ref
    layout = layout_of(ref)
    found: list[TensorValue | None] = []
    for place in range(len(routine.kinds)):
        through = layout_through(routine.region, place, layout)
        view = None if through is None else View(ref, *_alone(routine, place), through, is_grad_enabled())
        found.append(None if view is None else TensorValue.of_reference(view))
    return found
