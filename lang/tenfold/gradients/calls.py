"""Calling a routine: recorded, or placed in the trace that is under way, and remembered where a gradient is wanted."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from typing import Any, TypeAlias, cast

import numpy as np

from tenfold.gradients.graph import Edge, Known, Node, modified
from tenfold.gradients.modes import is_grad_enabled
from tenfold.gradients.names import node_name
from tenfold.lazy.graph import GRAPH, Input
from tenfold.lazy.routines import Halves, Routine
from tenfold.tracing import TensorValue, current, is_remembering, is_tracing, require_trace, wrap
from tenfold.values import Kind, Storage, Value
from tenfold_rt import dtypes
from tenfold_rt.errors import GradientError
from tenfoldc import ops
from tenfoldc.ir.builder import Var, substitute
from tenfoldc.ir.core import Region, captured
from tenfoldc.ir.core import Value as IRValue

Operand: TypeAlias = "TensorValue | Value | bool | int | float"


def run(routine: Routine, inputs: Sequence[Input]) -> list[Value]:
    """The results of a routine: traced inside a trace, else recorded."""
    if not is_tracing():
        return GRAPH.record(routine, inputs)
    trace = current()
    arguments = [_in_trace(given) for given in inputs]
    return [Value.of_var(var, trace) for var in trace.builder.inline(routine.region, arguments)]


def _in_trace(given: Input) -> Var:
    if not isinstance(given, Value):
        return ops.constant(current().builder, np.asarray(given))
    if given.var is not None:
        require_trace(given)
        return current().builder.var(given.var.value)
    array = given.array
    assert array is not None
    return current().constant(array)


class _Changing(threading.local):
    tensor: TensorValue | None = None


_CHANGING = _Changing()


class changing:  # noqa: N801 - used as a function
    """What is called inside computes the value that `tensor` is about to have, so it may change after that."""

    __slots__ = ("_before", "_tensor")

    def __init__(self, tensor: TensorValue) -> None:
        self._tensor = tensor

    def __enter__(self) -> None:
        self._before, _CHANGING.tensor = _CHANGING.tensor, self._tensor

    def __exit__(self, *_: object) -> None:
        _CHANGING.tensor = self._before


def invoke(routine: Routine, operands: Sequence[Operand]) -> list[TensorValue]:
    """The results of a routine as tensors, which remember the call where an operand requires a gradient."""
    inputs: list[Input] = []
    edges: dict[int, Edge] = {}
    enabled, tracing, changed = is_grad_enabled(), is_tracing(), _CHANGING.tensor
    for place, operand in enumerate(operands):
        if isinstance(operand, TensorValue):
            ref = operand.ref
            value = operand.value if tracing else ref.value if type(ref) is Storage else ref.read()
            if operand is changed and value.is_shared():  # what is saved of it is its value before the change
                memory = value.memory
                assert memory is not None
                value = Value.of_array(memory.copy())
            inputs.append(value)
            if enabled and (edge := ref.edge) is not None:
                edges[place] = edge
        else:
            inputs.append(operand)
    halves = routine.halves(tuple(edges)) if edges else None
    if halves is None:
        return [TensorValue.of_value(value) for value in run(routine, inputs)]
    return _remembered(routine, halves, operands, inputs, edges)


def _remembered(
    routine: Routine, halves: Halves, operands: Sequence[Operand], inputs: list[Input], edges: dict[int, Edge]
) -> list[TensorValue]:
    if is_tracing():
        inputs = [given if place in edges else _constant(given) for place, given in enumerate(inputs)]
    values = run(halves.forward, inputs)
    saved = [inputs[place] for place in halves.inputs]
    saved += [values[place] for place in halves.outputs]
    node = CallNode(routine, halves, inputs, edges, saved)
    for place in halves.inputs:
        operand = operands[place]
        if isinstance(operand, TensorValue) and operand is not _CHANGING.tensor:
            node.watch(operand.ref.storage, place)
    results: list[TensorValue] = []
    for place, value in enumerate(values[: len(routine.kinds)]):
        edge = Edge(node, place) if place in halves.moving else None
        result = TensorValue.of_value(value, edge)
        if value.var is not None and edge is not None:
            current().edges[value.var.value] = edge
        if place in halves.outputs:
            node.watch(result.ref.storage, ~place)
        results.append(result)
    return results


def _constant(given: Input) -> Input:
    """An input that no gradient flows to, so that none does either where the whole trace is differentiated."""
    if not isinstance(given, Value) or given.var is None:
        return given
    trace = current()
    return Value.of_var(cut(trace.builder.var(given.var.value)), trace)


def cut(var: Var) -> Var:
    """A traced value whose derivative is zero.

    A float's bits pass through an integer, which has no derivative; compiled code does nothing for it.
    """
    if not var.dtype.is_float:
        return var
    return ops.bitcast_convert(ops.bitcast_convert(var, _BITS[var.dtype.bits]), var.dtype)


_BITS = {16: dtypes.i16, 32: dtypes.i32, 64: dtypes.i64}


def tensors_of(results: Sequence[Var]) -> list[TensorValue]:
    """All results used of the operation emitted last, a branch or a loop, as tensors; gradients flow through it."""
    trace = current()
    operation = trace.builder.operations[-1] if trace.builder.operations else None
    wanted = tuple(result.value for result in results)
    if operation is None or not (is_remembering() and is_grad_enabled() and set(wanted) <= set(operation.results)):
        return [wrap(result) for result in results]
    taken = captured(Region((), (operation,), wanted))
    if not any(value in trace.edges for value in taken):
        return [wrap(result) for result in results]
    trace.builder.operations.pop()
    replaced = {value: IRValue(value.type) for value in taken}
    parameters = tuple(replaced[value] for value in taken)
    copy = substitute(operation, replaced)
    region = Region(parameters, (copy,), tuple(replaced[value] for value in wanted))
    routine = Routine(operation.op.name, region, device=trace.device)
    operands = [
        TensorValue.of_value(Value.of_var(trace.builder.var(value), trace), trace.edges.get(value)) for value in taken
    ]
    return invoke(routine, operands)


def _value(given: Input) -> Value:
    assert isinstance(given, Value)
    return given


Source: TypeAlias = "Input | tuple[Value | None, Edge]"
"""Where an input came from: a value without gradient, a number, or an edge, with the value where it must be kept."""


def _source(given: Input, edge: Edge | None) -> Source:
    if edge is None:
        return given
    return (None if edge.node.recomputes else _value(given), edge)


class CallNode(Node):
    """The way back through a call of a routine."""

    __slots__ = ("_active", "_halves", "_routine", "_saved", "_sources", "_watched")
    recomputes = True

    def __init__(
        self, routine: Routine, halves: Halves, inputs: Sequence[Input], edges: dict[int, Edge], saved: Sequence[Input]
    ) -> None:
        super().__init__(edges.values())
        self._routine, self._active, self._halves = routine, tuple(edges), halves
        sources: list[Source] = list(inputs)
        for place, edge in edges.items():
            sources[place] = _source(inputs[place], edge)
        self._sources: Sequence[Source] | None = sources
        self._saved: Sequence[Input] | None = saved
        self._watched: list[tuple[weakref.ref[Storage], int, int]] = []

    @property
    def result_kinds(self) -> Sequence[Kind]:
        return self._routine.kinds

    def watch(self, storage: Storage, place: int) -> None:
        """Require that input `place`, or where that is negative result `~place`, is not changed before the way back."""
        self._watched.append((weakref.ref(storage), storage.version, place))

    def _described(self, place: int) -> str:
        """What is watched."""
        if place < 0:
            return f"which is output {~place} of {self.name()}"
        edge = self.edges[self._active.index(place)] if place in self._active else None
        return "a leaf or constant" if edge is None else f"which is output {edge.place} of {edge.node.name()}"

    def pull(self, cotangents: Sequence[Any], known: Known | None) -> Sequence[Any]:
        if self._saved is None or (known is not None and self._sources is None):
            raise self._released()
        for reference, version, place in self._watched:
            storage = reference()
            if storage is not None and storage.version != version:
                raise modified(storage, version, self._described(place))
        given: list[Operand] = []
        for place in self._halves.moving:
            cotangent = cotangents[place]
            given.append(filled(self._routine.kinds[place], 0) if cotangent is None else cotangent)
        if known is None:
            return invoke(self._halves.back, [*self._saved, *given])
        assert self._sources is not None
        inputs = [_again(source, known) for source in self._sources]
        return invoke(self._routine.pullback(self._active), [*inputs, *given])

    def unknown(self, known: Known) -> list[CallNode]:
        """The nodes whose results must be computed anew before this one's are."""
        if self._sources is None:
            raise self._released()
        edges = [source[1] for source in self._sources if isinstance(source, tuple) and source[0] is None]
        return [edge.node for edge in edges if edge not in known and isinstance(edge.node, CallNode)]

    def recompute(self, known: Known) -> None:
        """Add the results, computed anew from `known` ones."""
        if self._sources is None:
            raise self._released()
        results = run(self._routine, [_anew(source, known) for source in self._sources])
        known.update((Edge(self, number), result) for number, result in enumerate(results))

    def release(self) -> None:
        self._sources, self._watched = None, []
        if self._saved:
            self._saved = None

    def name(self) -> str:
        return self._routine.node

    def _released(self) -> GradientError:
        return GradientError(
            f"{self.name()}: backward through the graph a second time: what it kept was freed by the first",
            mend="give the first backward() or grad() retain_graph=True",
        )


def _anew(source: Source, known: Known) -> Input:
    """The value of an input, computed anew if need be."""
    if not isinstance(source, tuple):
        return source
    value, edge = source
    if value is not None:
        return value
    pending = [edge.node] if edge not in known else []
    while pending:
        node = cast("CallNode", pending[-1])
        unknown = node.unknown(known)
        if not unknown:
            node.recompute(known)
            pending.pop()
        pending += unknown
    return known[edge]


def _again(source: Source, known: Known) -> Operand:
    """An input with its edge, for a call that is remembered."""
    given = _anew(source, known)
    return TensorValue.of_value(_value(given), source[1]) if isinstance(source, tuple) else given


class Overwritten(Node):
    """The way back through a change in place that left nothing of a tensor: its gradient is zero."""

    __slots__ = ("_kind", "_name")

    def __init__(self, name: str, edge: Edge, kind: Kind) -> None:
        super().__init__((edge,))
        self._name, self._kind = name, kind

    @property
    def result_kinds(self) -> Sequence[Kind]:
        return (self._kind,)

    def pull(self, cotangents: Sequence[Any], known: Known | None) -> Sequence[Any]:
        return (filled(self._kind, 0),)

    def name(self) -> str:
        return node_name(self._name)


_FILLED: dict[tuple[Kind, float], Routine] = {}


def filled(kind: Kind, number: float) -> TensorValue:
    """A tensor of one number."""
    routine = _FILLED.get((kind, number))
    if routine is None:
        routine = _FILLED[kind, number] = Routine.of(
            "full", [], lambda builder, _: [ops.full(builder, kind.type, number)], kind.device
        )
    return TensorValue.of_value(run(routine, [])[0])
