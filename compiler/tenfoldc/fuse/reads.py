"""How an operation reads its operands and what one element of its result costs, found by asking its element rule.

The rule is run once on symbolic indices.  Where an operand is read at an index that merely selects, permutes or
drops axes, that map is recorded; any other way of reading is opaque.  So fusion needs no table of ops.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tenfold_rt.dtypes import DType
from tenfold_rt.frozen import frozen
from tenfoldc.ir.core import Operation
from tenfoldc.ir.groups import AxisMap
from tenfoldc.ir.op import Kind
from tenfoldc.loops.index_algebra import IndexAlgebra
from tenfoldc.loops.ir import Apply, Axis, Call, Constant, Expr, Function, Load, Local, Primitive
from tenfoldc.ops.creation import CONSTANT
from tenfoldc.ops.movement import CONCATENATE
from tenfoldc.ops.reduction import REDUCE, is_unit_reduction, reduced_axes

_SLOW = frozenset({Primitive.DIV, Primitive.REM, Primitive.SQRT})
_SLOW_WEIGHT = 4
_CALL_WEIGHT = 8
_FEW_PARTS = 2


class Read(NamedTuple):
    """One read of an operand; `axes` maps its axes to the result's, None where the read is opaque."""

    operand: int
    axes: AxisMap | None


@frozen
class Reads:
    """What one element of an operation's result takes: reads of operands, and `weight` scalar operations.

    `view` says that the result is its operand's memory in another shape.
    """

    reads: tuple[Read, ...]
    weight: int
    view: bool


class ReadsOf:
    """Asks element rules, remembering the answers for elementwise ops."""

    def __init__(self) -> None:
        self._algebra = IndexAlgebra()
        self._axes: list[dict[int, Axis]] = []
        self._elementwise: dict[tuple[object, ...], Reads] = {}
        self._functions: dict[Function, int] = {}

    def __call__(self, operation: Operation) -> Reads:
        """The reads of an operation that `has_elements`."""
        if operation.op is CONSTANT:
            return Reads((), 0, False)
        if operation.op is REDUCE:
            return _unit_reads(operation)
        if operation.op.kind is not Kind.ELEMENTWISE:
            return self._ask(operation)
        types = tuple((value.type.dtype, value.type.rank) for value in (*operation.operands, *operation.results))
        key = (operation.op, operation.attributes, _unit_axes(operation), types)
        known = self._elementwise.get(key)
        if known is None:
            known = self._elementwise[key] = self._ask(operation)
        return known

    def _index(self, sizes: Sequence[int]) -> tuple[Expr, ...]:
        """One axis per size, the same whenever the size is the same."""
        while len(self._axes) < len(sizes):
            self._axes.append({})
        index: list[Expr] = []
        for number, (known, size) in enumerate(zip(self._axes, sizes, strict=False)):
            if size not in known:
                known[size] = self._algebra.declare(Axis(f"i{number}"), size)
            index.append(self._algebra.simplify(known[size]))
        return tuple(index)

    def _ask(self, operation: Operation) -> Reads:
        assert operation.op.element is not None
        (result,) = operation.results
        types = [operand.type for operand in operation.operands]
        index = self._index(result.type.sizes)
        asked: dict[tuple[int, tuple[Expr, ...]], Local] = {}

        def read(operand: int, at: Sequence[Expr]) -> Expr:
            key = (operand, self._algebra.simplify_all(at))
            return asked.setdefault(key, _marker(types[operand].dtype))

        element = operation.op.element(operation.attributes, types, result.type, index, read)
        reads: list[Read] = []
        for operand, at in asked:
            reads.append(Read(operand, _axis_map(at, types[operand].sizes, index, result.type.sizes)))
        view = False
        if len(asked) == 1 and element in asked.values() and result.type.size == types[0].size:
            ((operand, at),) = asked
            here = self._algebra.offset(index, result.type.sizes)
            view = operand == 0 and self._algebra.offset(at, types[0].sizes) == here
        return Reads(tuple(reads), self.weight_of(element), view)

    def weight_of(self, root: Expr) -> int:
        """Scalar operations in an expression, index arithmetic left out."""
        seen: set[Expr] = set()
        pending, total = [root], 0
        while pending:
            expression = pending.pop()
            if expression in seen or isinstance(expression, Load | Axis | Constant | Local):
                continue
            seen.add(expression)
            pending.extend(expression.operands)
            if isinstance(expression, Call):
                total += _CALL_WEIGHT + self._weight_of_function(expression.function)
            else:
                total += _weight(expression)
        return total

    def _weight_of_function(self, function: Function) -> int:
        if function not in self._functions:
            self._functions[function] = self.weight_of(function.body)
        return self._functions[function]


def has_elements(operation: Operation) -> bool:
    """Whether an element of the only result depends on few elements of operands: a rule gives it.

    So it is also where a reduction runs along axes of size 1 only.  A concatenation of many parts is left out: which
    of them an element is from would have to be asked for each element.
    """
    if len(operation.results) != 1 or (operation.op is CONCATENATE and len(operation.operands) > _FEW_PARTS):
        return False
    return operation.op.element is not None or is_unit_reduction(operation)


def _unit_reads(operation: Operation) -> Reads:
    """A reduction along axes of size 1 combines each element with the initial value."""
    kept = iter(range(operation.results[0].type.rank))
    folded = reduced_axes(operation)
    axes = tuple(None if axis in folded else next(kept) for axis in range(operation.operands[0].type.rank))
    sizes = operation.operands[0].type.sizes
    plain = tuple(None if size == 1 else axis for axis, size in zip(axes, sizes, strict=True))
    return Reads((Read(0, plain), Read(1, ())), 1, False)


def _marker(dtype: DType) -> Local:
    return Local("operand", dtype)


def _weight(expression: Apply) -> int:
    return _SLOW_WEIGHT if expression.primitive in _SLOW else 1


def _unit_axes(operation: Operation) -> tuple[bool, ...]:
    return tuple(size == 1 for size in operation.results[0].type.shape)


def _axis_map(
    at: Sequence[Expr], sizes: Sequence[int], index: Sequence[Expr], extents: Sequence[int]
) -> AxisMap | None:
    """`at` as a map onto the axes of `index`, None where it is more than that, or reaches but a part of an operand."""
    axes: list[int | None] = []
    for position, size in zip(at, sizes, strict=True):
        if size == 1:
            axes.append(None)
            continue
        axis = next((number for number, own in enumerate(index) if own is position and isinstance(own, Axis)), None)
        if axis is None or extents[axis] != size:
            return None
        axes.append(axis)
    return tuple(axes)
