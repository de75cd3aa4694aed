"""The tensor IR: immutable SSA with regions, the meaning of each op being StableHLO's.

    Module    = functions by name
    Function  = name, body: Region, names and donation of its parameters
    Region    = parameters, operations, results        one block; a region may use values from outside
    Operation = op record, operands, attributes, regions, results, location
    Value     = type

Values are compared by identity; each is defined once, by an operation or as a region's parameter.  The records
that give ops their meaning are in `tenfoldc.ops`; an operation holds its record, so no stage looks one up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any

from tenfold_rt.frozen import frozen
from tenfoldc.ir.types import FunctionType, TensorType

if TYPE_CHECKING:
    from tenfoldc.ir.op import Op


@frozen
class Location:
    """A place in the user's source."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@frozen
class Attributes:
    """Base of the frozen dataclasses that hold an op's attributes; fields are named as StableHLO names them."""


NO_ATTRIBUTES = Attributes()


@frozen(eq=False)
class Value:
    """A tensor that the program computes or is given."""

    type: TensorType


@frozen(eq=False)
class Operation:
    """One application of an op.  `attributes` is an instance of `op.attributes`."""

    op: Op[Any]
    operands: tuple[Value, ...]
    results: tuple[Value, ...]
    attributes: Attributes = NO_ATTRIBUTES
    regions: tuple[Region, ...] = ()
    location: Location | None = None


@frozen(eq=False)
class Region:
    """A block of operations: what a function, a loop body or a reducer computes."""

    parameters: tuple[Value, ...]
    operations: tuple[Operation, ...]
    results: tuple[Value, ...]

    @property
    def type(self) -> FunctionType:
        return FunctionType(tuple(p.type for p in self.parameters), tuple(r.type for r in self.results))


class DeferredRegions:
    """Regions that are made when they are first asked for: they may hold the very operation that they belong to."""

    def __init__(self, make: Callable[[], tuple[Region, ...]]) -> None:
        self._make = make
        self._made: tuple[Region, ...] | None = None

    def regions(self) -> tuple[Region, ...]:
        if self._made is None:
            self._made = self._make()
        return self._made


@frozen
class Function:
    """A named region.  `donated` lists (parameter, result) pairs: the result may reuse the parameter's memory."""

    name: str
    body: Region
    parameter_names: tuple[str, ...] = ()
    result_names: tuple[str, ...] = ()
    donated: tuple[tuple[int, int], ...] = ()
    doc: str = ""

    @property
    def type(self) -> FunctionType:
        return self.body.type


@frozen
class Module:
    """Functions by name.  `entries` are those that a caller may call; the others are called by them."""

    functions: Mapping[str, Function]
    entries: tuple[str, ...] = field(default=("main",))

    def __getitem__(self, name: str) -> Function:
        return self.functions[name]


def walk(region: Region) -> Iterator[Operation]:
    """Every operation of `region`, those of nested regions included, outer before inner."""
    for operation in region.operations:
        yield operation
        for inner in operation.regions:
            yield from walk(inner)


def captured(region: Region) -> list[Value]:
    """The values that `region` takes from outside, in the order of their first use."""
    defined = set(region.parameters)
    used: dict[Value, None] = {}
    for operation in walk(region):
        defined.update(operation.results)
        for inner in operation.regions:
            defined.update(inner.parameters)
            used |= dict.fromkeys(inner.results)
        used |= dict.fromkeys(operation.operands)
    used |= dict.fromkeys(region.results)
    return [value for value in used if value not in defined]
