"""A group of recorded calls as one compiled program."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import starmap
from typing import Any, TypeAlias, cast

from tenfold.device import Device
from tenfold.lazy.routines import Routine
from tenfold.memory import Memory, is_writable
from tenfold.program import compiled_for, dense_memory
from tenfold.values import Kind
from tenfold_rt import dtypes
from tenfold_rt.errors import ArtifactError
from tenfold_rt.frozen import frozen
from tenfold_rt.load import EntryFunction
from tenfoldc.ir.builder import Builder, Var
from tenfoldc.ir.core import Function, Module
from tenfoldc.ir.types import TensorType

Operand: TypeAlias = "int | tuple[int, int]"
"""Where an input of a call comes from: the number of an input of the group, or a call's number and a result's place."""

_NUMBERS = {bool: TensorType(dtypes.bool_), int: TensorType(dtypes.i64), float: TensorType(dtypes.f64)}
"""How a group takes Python numbers."""


def number_type(number: bool | float) -> TensorType:
    """The type in which a group takes a Python number."""
    return _NUMBERS[type(number)]


@frozen
class Group:
    """A compiled group; `donated` numbers the inputs whose memory it may write to."""

    entry: EntryFunction
    donated: tuple[int, ...]

    def run(self, inputs: Sequence[Any], results: list[Memory]) -> None:
        """Append the results for `inputs`, memory and numbers, to `results`.

        Nothing comes between computing and appending: a Ctrl-C that arrives meanwhile is raised thereafter.  Memory
        that was donated has been written to by then, so that the group cannot run again.
        """
        returned: list[Any] = []
        try:
            returned.extend(starmap(self.entry, (inputs,)))
            if returned[-1] is NotImplemented:
                returned.extend(starmap(self.entry, (self._prepared(inputs),)))
            if returned[-1] is NotImplemented:
                raise ArtifactError("the compiled code of recorded calls refused its arguments")
        finally:
            if returned and returned[-1] is not NotImplemented:
                last: Any = returned[-1]
                results.extend(cast("tuple[Memory, ...]", last) if type(last) is tuple else [last])

    def _prepared(self, inputs: Sequence[Any]) -> list[Memory]:
        """Dense memory; what is donated is copied where it may not be written to."""
        dense = [dense_memory(given, "input") for given in inputs]
        for number in self.donated:
            if dense[number] is inputs[number] and not is_writable(dense[number]):
                dense[number] = dense[number].copy()
        return dense


def compile_group(
    calls: Sequence[tuple[Routine, Sequence[Operand]]],
    kinds: Sequence[Kind | type],
    outputs: Sequence[tuple[int, int]],
    donations: Sequence[tuple[int, int]],
    device: Device,
) -> Group:
    """Compile `calls` for `device`, each of a routine with operands; inputs of the group are of `kinds`.

    It gives the results `outputs`, each (call, place); `donations` are pairs of an input and an output.
    """
    builder = Builder()
    types = [kind.type if isinstance(kind, Kind) else _NUMBERS[kind] for kind in kinds]
    inputs = [builder.parameter(type_) for type_ in types]
    results: list[tuple[Var, ...]] = []
    for routine, row in calls:
        operands = [inputs[each] if isinstance(each, int) else results[each[0]][each[1]] for each in row]
        results.append(builder.inline(routine.region, operands))
    given = [results[call][place] for call, place in outputs]
    function = Function(
        "recorded",
        builder.region(inputs, given),
        parameter_names=tuple(f"x{number}" for number in range(len(inputs))),
        result_names=tuple(f"result{number}" for number in range(len(given))),
        donated=tuple(donations),
    )
    library = compiled_for(Module({"recorded": function}, entries=("recorded",)), device)
    return Group(library.entry("recorded"), tuple(number for number, _ in donations))
