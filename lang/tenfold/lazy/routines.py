"""Routines: what a recorded call runs, a region of tensor IR that depends on nothing around it.

A routine knows its derivative: `halves` takes it apart into a forward region, which also gives what the way back needs,
and the way back; `pullback` is the way back from the inputs alone, which can be differentiated again.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tenfold.device import CPU, Device
from tenfold.gradients.names import node_name
from tenfold.values import Kind
from tenfold_rt.frozen import frozen
from tenfoldc import ops
from tenfoldc.ir.builder import Builder, Var, substitute
from tenfoldc.ir.core import Operation, Region, Value, captured
from tenfoldc.ir.types import TensorType
from tenfoldc.transform import vjp
from tenfoldc.transform.activity import dependent, has_tangent
from tenfoldc.transform.residuals import residuals

_SERIALS = itertools.count()


@dataclass(eq=False)
class Routine:
    """A region, the device that it runs on, and the kinds of its results.

    `node` names what remembers a call, and `serial` is its own.
    """

    name: str
    region: Region
    node: str = ""
    device: Device = CPU
    kinds: tuple[Kind, ...] = ()
    serial: int = field(default_factory=lambda: next(_SERIALS))
    _halves: dict[tuple[int, ...], Halves | None] = field(default_factory=dict[tuple[int, ...], "Halves | None"])
    _pullbacks: dict[tuple[int, ...], Routine] = field(default_factory=dict[tuple[int, ...], "Routine"])
    _moving: dict[tuple[int, ...], tuple[int, ...]] = field(default_factory=dict[tuple[int, ...], tuple[int, ...]])

    def __post_init__(self) -> None:
        self.node = self.node or node_name(self.name)
        self.kinds = tuple(Kind.of(result.type, self.device) for result in self.region.results)

    @staticmethod
    def of(
        name: str,
        types: Sequence[TensorType],
        body: Callable[[Builder, Sequence[Var]], Sequence[Var]],
        device: Device = CPU,
    ) -> Routine:
        """What `body` emits from parameters of `types`, on `device`."""
        builder = Builder()
        parameters = [builder.parameter(type_) for type_ in types]
        return Routine(name, builder.region(parameters, body(builder, parameters)), device=device)

    def moving(self, active: tuple[int, ...]) -> tuple[int, ...]:
        """The results that have a gradient with regard to the inputs `active`."""
        known = self._moving.get(active)
        if known is None:
            sources = [self.region.parameters[place] for place in active]
            reached = dependent(self.region, sources, has_tangent)
            known = tuple(place for place, result in enumerate(self.region.results) if result in reached)
            self._moving[active] = known
        return known

    def halves(self, active: tuple[int, ...]) -> Halves | None:
        """The two halves of reverse mode with regard to the inputs `active`; None where no result has a gradient."""
        if active not in self._halves:
            self._halves[active] = _halves(self, active) if self.moving(active) else None
        return self._halves[active]

    def pullback(self, active: tuple[int, ...]) -> Routine:
        """From all inputs and the cotangents of the moving results to those of the inputs `active`."""
        known = self._pullbacks.get(active)
        if known is None:
            known = self._pullbacks[active] = _pullback(self, active)
        return known


@frozen
class Halves:
    """Forward and back.

    `forward` gives the routine's results and then other values that the way back needs.  `back` takes what is saved
    (`inputs` of the routine, then the results of `forward` numbered `outputs`) and the cotangents of the results
    `moving`; it gives the cotangents of the active inputs.
    """

    forward: Routine
    back: Routine
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    moving: tuple[int, ...]


def _halves(routine: Routine, active: tuple[int, ...]) -> Halves:
    moving = routine.moving(active)
    builder, back = Builder(), Builder()
    parameters = [builder.parameter(parameter.type) for parameter in routine.region.parameters]
    results, pull = vjp(builder, routine.region, parameters, active)
    seeds = {place: back.parameter(results[place].type) for place in moving}
    found = pull([seeds.get(place) for place in range(len(results))], back)
    gradients = _filled(found, [parameters[place] for place in active], back)
    forward = builder.region(parameters, results)
    back.operations[:] = _needed(back.operations, gradients)
    need = residuals(forward, back, {seed.value for seed in seeds.values()})
    numbers = {parameter.value: place for place, parameter in enumerate(parameters)}
    inputs = tuple(numbers[value] for value in need.kept if value in numbers)
    given = dict.fromkeys(forward.results)
    extra = [value for value in need.kept if value not in numbers and value not in given]
    outputs = (*forward.results, *extra)
    taken = tuple(place for place, value in enumerate(outputs) if value in need.kept and value not in numbers)
    saved = [*(forward.parameters[place] for place in inputs), *(outputs[place] for place in taken)]
    ahead = Routine(routine.name, Region(forward.parameters, forward.operations, outputs), device=routine.device)
    way_back = _closed(saved, need.again, back, list(seeds.values()), gradients)
    return Halves(ahead, Routine(f"{routine.name}_backward", way_back, device=routine.device), inputs, taken, moving)


def _needed(operations: Sequence[Operation], results: Sequence[Var]) -> list[Operation]:
    """The operations that `results` depend on: rules also give cotangents that nobody asked for."""
    wanted = {result.value for result in results}
    needed: list[Operation] = []
    for operation in reversed(operations):
        if not wanted.isdisjoint(operation.results):
            needed.append(operation)
            wanted.update(operation.operands, *(captured(region) for region in operation.regions))
    return needed[::-1]


def _closed(
    saved: Sequence[Value], again: Sequence[Operation], back: Builder, seeds: Sequence[Var], gradients: Sequence[Var]
) -> Region:
    """The way back as a region of its own: parameters for the values `saved`, then the seeds."""
    replaced = {value: Value(value.type) for value in saved}
    parameters = (*(replaced[value] for value in saved), *(seed.value for seed in seeds))
    operations = tuple(substitute(operation, replaced) for operation in (*again, *back.operations))
    return Region(parameters, operations, tuple(replaced.get(each.value, each.value) for each in gradients))


def _pullback(routine: Routine, active: tuple[int, ...]) -> Routine:
    builder = Builder()
    parameters = [builder.parameter(parameter.type) for parameter in routine.region.parameters]
    results, pull = vjp(builder, routine.region, parameters, active)
    seeds = {place: builder.parameter(results[place].type) for place in routine.moving(active)}
    found = pull([seeds.get(place) for place in range(len(results))])
    gradients = _filled(found, [parameters[place] for place in active], builder)
    region = builder.region([*parameters, *seeds.values()], gradients)
    return Routine(f"{routine.name}_backward", region, device=routine.device)


def _filled(cotangents: Sequence[Var | None], inputs: Sequence[Var], builder: Builder) -> list[Var]:
    """`cotangents`, those that are None as zeros like the inputs."""
    return [
        ops.full(builder, given.type, 0) if cotangent is None else cotangent
        for cotangent, given in zip(cotangents, inputs, strict=True)
    ]
