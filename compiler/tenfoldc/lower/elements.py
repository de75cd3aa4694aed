"""Pulling: the expression for one element of a value, computed from whatever is in memory.

Element rules are composed from the value that is wanted down to loads; index expressions are brought into normal
form on the way, so that an element asked for twice at one index is one expression.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tenfoldc.ir.core import Operation, Region, Value
from tenfoldc.ir.op import Kind
from tenfoldc.loops import scalar
from tenfoldc.loops.index_algebra import Affine, IndexAlgebra
from tenfoldc.loops.ir import Apply, Buffer, Expr, Load, Primitive, Store
from tenfoldc.lower.storage import Storage
from tenfoldc.ops.reduction import is_unit_reduction, reduced_axes


class Elements:
    """Elements of values inside one kernel.  `known` may be given entries: values that are not to be computed."""

    def __init__(self, storage: Storage, algebra: IndexAlgebra, operations: Iterable[Operation]) -> None:
        self.storage = storage
        self.algebra = algebra
        self.known: dict[tuple[Value, tuple[Expr, ...]], Expr] = {}
        self._operations = {result: operation for operation in operations for result in operation.results}

    def read(self, value: Value, index: Sequence[Expr]) -> Expr:
        """The element of `value` at `index`, which must lie inside."""
        key = (value, self.algebra.simplify_all(index))
        element = self.known.get(key)
        if element is None:
            element = self.known[key] = self._element(value, key[1])
        return element

    def let(self, value: Value, index: Sequence[Expr], element: Expr) -> None:
        """From now on, the element of `value` at `index` is `element`."""
        self.known[value, self.algebra.simplify_all(index)] = element

    def load(self, buffer: Buffer, index: Sequence[Expr]) -> Load:
        """A load at `index`, through one axis where that makes the index simpler."""
        return Load(*self._place(buffer, index))

    def store(self, buffer: Buffer, index: Sequence[Expr], value: Expr) -> Store:
        """A store at `index`, through one axis where that makes the index simpler."""
        return Store(*self._place(buffer, index), value)

    def region(self, region: Region, arguments: Sequence[Expr]) -> tuple[Expr, ...]:
        """The results of a scalar region, such as a reducer, on scalar arguments."""
        scalars = dict(zip(region.parameters, arguments, strict=True))

        def read(value: Value) -> Expr:
            return scalars[value] if value in scalars else self.read(value, ())

        self.storage.define_constants(region.operations)
        for operation in region.operations:
            rule = operation.op.element
            if rule is None:
                raise ValueError(f"{operation.op} inside a scalar region")
            operands, types = operation.operands, [operand.type for operand in operation.operands]
            (result,) = operation.results
            scalars[result] = rule(
                operation.attributes, types, result.type, (), lambda number, _, of=operands: read(of[number])
            )
        return tuple(read(result) for result in region.results)

    def _element(self, value: Value, index: tuple[Expr, ...]) -> Expr:
        splat = self.storage.splat(value)
        if splat is not None:
            return splat
        operation = self._operations.get(value)
        if operation is None or self.storage.is_constant(value):
            return self.load(self.storage.buffer(value), index)
        if operation.op.element is None and is_unit_reduction(operation):
            return self._unit_reduction(operation, index)
        if operation.op.element is None:
            return self.load(self.storage.buffer(value), index)
        operands = operation.operands
        element = operation.op.element(
            operation.attributes,
            [operand.type for operand in operands],
            value.type,
            index,
            lambda number, at: self.read(operands[number], at),
        )
        return element if operation.op.kind is Kind.ELEMENTWISE else self._decided(element)

    def _unit_reduction(self, operation: Operation, index: tuple[Expr, ...]) -> Expr:
        """The initial value combined with the one element along axes of size 1."""
        rest, folded = iter(index), reduced_axes(operation)
        source = [scalar.index(0) if axis in folded else next(rest) for axis in range(operation.operands[0].type.rank)]
        element, init = self.read(operation.operands[0], source), self.read(operation.operands[1], ())
        return self.region(operation.regions[0], [init, element])[0]

    def _decided(self, element: Expr) -> Expr:
        """`element` without the choices that its range decides, such as between the parts of a concatenation."""
        choices: list[Apply] = []
        while isinstance(element, Apply) and element.primitive is Primitive.SELECT:
            condition, on_true, on_false = element.operands
            verdict = self.algebra.decide(condition)
            if verdict is True:
                element = on_true
                break
            if verdict is None:
                choices.append(element)
            element = on_false
        for choice in reversed(choices):
            condition, on_true, on_false = choice.operands
            element = (
                choice if element is on_false else Apply(choice.primitive, (condition, on_true, element), choice.dtype)
            )
        return element

    def _place(self, buffer: Buffer, index: Sequence[Expr]) -> tuple[Buffer, tuple[Expr, ...]]:
        window = self.storage.windows.get(buffer)
        plain = self.algebra.simplify_all(index if window is None else window.index(index))
        if any(_divides(self.algebra.form(position)) for position in plain):
            offset = self.algebra.offset(plain, buffer.shape)
            if not _divides(offset):
                return self.storage.flat(buffer), (self.algebra.expression(offset),)
        return buffer, plain


def _divides(form: Affine) -> bool:
    return any(isinstance(atom, Apply) and atom.primitive in (Primitive.DIV, Primitive.REM) for atom, _ in form.terms)
