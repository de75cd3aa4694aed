"""Building tensor IR: a `Builder` collects operations, a `Var` is a value together with its builder.

Programs are built by functions over `Var`s (`tenfoldc.ops`); nothing global says where an operation goes.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tenfold_rt.dtypes import DType
from tenfold_rt.errors import TenfoldError
from tenfold_rt.frozen import frozen
from tenfoldc.ir.core import NO_ATTRIBUTES, Attributes, Location, Operation, Region, Value
from tenfoldc.ir.types import Dim, TensorType

if TYPE_CHECKING:
    from tenfoldc.ir.op import Op


@frozen(eq=False)
class Var:
    """A value of a program under construction."""

    value: Value
    builder: Builder

    @property
    def type(self) -> TensorType:
        return self.value.type

    @property
    def dtype(self) -> DType:
        return self.value.type.dtype

    @property
    def shape(self) -> tuple[Dim, ...]:
        return self.value.type.shape

    @property
    def sizes(self) -> tuple[int, ...]:
        """The shape as integers; `ValueError` where a size is symbolic."""
        return self.value.type.sizes

    @property
    def rank(self) -> int:
        return self.value.type.rank


class Builder:
    """Collects the operations of one region.

    Every operation is stamped with `location`; where that is None, `locate` is asked (tracing asks the stack).
    """

    def __init__(self, locate: Callable[[], Location | None] | None = None) -> None:
        self.operations: list[Operation] = []
        self.location: Location | None = None
        self.locate = locate

    def var(self, value: Value) -> Var:
        """`value`, which must be visible in this region, as an operand for more operations."""
        return Var(value, self)

    def parameter(self, type: TensorType) -> Var:  # noqa: A002 - the field's name
        """A new value to become a parameter of the region."""
        return Var(Value(type), self)

    def emit(
        self,
        op: Op[Any],
        operands: Sequence[Var],
        attributes: Attributes = NO_ATTRIBUTES,
        regions: Sequence[Region] = (),
    ) -> tuple[Var, ...]:
        """Append an operation and return its results.  Type errors gain the user's file and line."""
        location = self.location
        if location is None and self.locate is not None:
            location = self.locate()
        values = tuple(operand.value for operand in operands)
        try:
            types = op.infer([value.type for value in values], attributes, regions)
        except TenfoldError as error:
            raise error.at(location) from None
        results = tuple(Value(type_) for type_ in types)
        self.operations.append(Operation(op, values, results, attributes, tuple(regions), location))
        return tuple(Var(result, self) for result in results)

    def inline(self, region: Region, arguments: Sequence[Var]) -> tuple[Var, ...]:
        """Repeat the operations of `region` here with its parameters replaced; returns its results."""
        pairs = zip(region.parameters, arguments, strict=True)
        replaced = {parameter: argument.value for parameter, argument in pairs}
        for operation in region.operations:
            with self.at(operation.location):
                self.operations.append(substitute(operation, replaced))
        return tuple(Var(replaced.get(result, result), self) for result in region.results)

    @contextmanager
    def at(self, location: Location | None) -> Generator[None]:
        """Stamp `location` on what is emitted inside, and on errors."""
        saved, self.location = self.location, location if location is not None else self.location
        try:
            yield
        except TenfoldError as error:
            raise error.at(location) from None
        finally:
            self.location = saved

    def region(self, parameters: Sequence[Var], results: Sequence[Var]) -> Region:
        """What was built, as a region."""
        return Region(tuple(p.value for p in parameters), tuple(self.operations), tuple(r.value for r in results))


def build_region(
    types: Sequence[TensorType], body: Callable[..., Sequence[Var]], *, like: Builder | None = None
) -> Region:
    """A region with parameters of `types`, computed by `body(*parameters)`.

    `like` is the builder of the surrounding region: its location is kept, and `body` may use its values through
    `inner.var(outer.value)`.
    """
    builder = Builder(None if like is None else like.locate)
    if like is not None:
        builder.location = like.location
    parameters = [builder.parameter(type_) for type_ in types]
    return builder.region(parameters, tuple(body(*parameters)))


def substitute(operation: Operation, replaced: dict[Value, Value]) -> Operation:
    """A copy of `operation` with fresh results and with operands replaced, also in its regions.

    `replaced` gains an entry for every value that is defined anew, in regions too, so that a sequence of operations
    can be copied in order.
    """
    results = tuple(Value(result.type) for result in operation.results)
    copy = Operation(
        operation.op,
        tuple(replaced.get(operand, operand) for operand in operation.operands),
        results,
        operation.attributes,
        tuple(_substitute_region(region, replaced) for region in operation.regions),
        operation.location,
    )
    replaced.update(zip(operation.results, results, strict=True))
    return copy


def copied(region: Region, replaced: dict[Value, Value] | None = None) -> Region:
    """`region` with values of its own; those from around it stay, save for what `replaced` has, as for `substitute`."""
    return _substitute_region(region, {} if replaced is None else replaced)


def _substitute_region(region: Region, replaced: dict[Value, Value]) -> Region:
    parameters = tuple(Value(parameter.type) for parameter in region.parameters)
    replaced.update(zip(region.parameters, parameters, strict=True))
    operations = tuple(substitute(operation, replaced) for operation in region.operations)
    return Region(parameters, operations, tuple(replaced.get(result, result) for result in region.results))
