"""Sums of products along the turns of a scan, each made one product after it.

    total = total + dot(a, b) in each turn   →   total + dot(all a, all b), also contracted along the turns

That is how reverse mode adds up the gradient of weights that each turn uses.  In the loop, each turn would read and
write the whole sum for a product that is shallow.  After it, the sum stays in registers; for that, operands that the
scan does not read from stacks anyway are stacked, as long as that takes less memory traffic than the sum did, and no
more memory than the scan's stacks do.  Elements are sums of the same terms, in another order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from tenfold_rt.frozen import frozen
from tenfoldc import ops
from tenfoldc.ir.builder import Builder
from tenfoldc.ir.core import Operation, Region, Value, captured
from tenfoldc.ops.arithmetic import ADD
from tenfoldc.ops.contraction import DOT_GENERAL, DotDimensionNumbers, DotGeneralAttributes
from tenfoldc.ops.loops import ScanAttributes
from tenfoldc.ops.movement import RESHAPE, TRANSPOSE


def with_sums_after_scans(region: Region) -> Region:
    """`region` with each sum of products of a scan, of a known number of turns, computed after it if that is better."""
    operations: list[Operation] = []
    changed = False
    for operation in region.operations:
        inner = tuple(map(with_sums_after_scans, operation.regions))
        if any(new is not old for new, old in zip(inner, operation.regions, strict=True)):
            operation, changed = replace(operation, regions=inner), True
        written = _Scan(operation).written() if _is_counted(operation) else None
        operations += written or (operation,)
        changed = changed or written is not None
    return replace(region, operations=tuple(operations)) if changed else region


def _is_counted(operation: Operation) -> bool:
    return isinstance(operation.attributes, ScanAttributes) and bool(operation.attributes.turns)


@frozen
class _Product:
    """A product in the body, and the movements, in order, that make it a term of the sum."""

    dot: Operation
    movements: tuple[Operation, ...]


@frozen
class _Sum:
    """What is added to one carry: products to be taken after the loop, and other terms."""

    products: tuple[_Product, ...]
    others: tuple[Value, ...]


class _Scan:
    """One scan, and the sums that are taken out of it."""

    def __init__(self, operation: Operation) -> None:
        assert isinstance(operation.attributes, ScanAttributes)
        self.operation = operation
        self.attributes = operation.attributes
        (self.body,) = operation.regions
        self.carries = self.attributes.carries
        self.producers = {result: inner for inner in self.body.operations for result in inner.results}
        self.uses = Counter(_used(self.body))
        elements = self.body.parameters[self.carries :]
        self.stacks = dict(zip(elements, operation.operands[self.attributes.first_stack :], strict=True))
        """The stack of each value of the body that has one, among them those that the scan makes."""
        self.stacks |= zip(self.body.results[self.carries :], operation.results[self.carries :], strict=True)
        self.room = sum(value.type.size for value in self.stacks)
        self.extra: dict[Value, Value] = {}
        self.sums = {place: found for place in range(self.carries) if (found := self._sum(place)) is not None}

    def written(self) -> Sequence[Operation] | None:
        """The scan without the sums, and then these; None where there is nothing to take out."""
        if not self.sums:
            return None
        last = {place: Value(self.operation.results[place].type) for place in self.sums if self.sums[place].others}
        builder = Builder()
        builder.location = self.operation.location
        for place, found in self.sums.items():
            begin = self.operation.operands[self.attributes.first_carry + place]
            self._finish(builder, found, last.get(place, begin), self.operation.results[place])
        return (self._narrowed(last), *builder.operations)

    # Finding

    def _sum(self, place: int) -> _Sum | None:
        """What is added up in the carry at `place`, if products among it are better taken after the loop."""
        parameter, result = self.body.parameters[place], self.body.results[place]
        terms = list(self._terms(result)) if self.uses[parameter] == 1 and self.uses[result] == 1 else []
        if parameter not in terms:
            return None
        terms.remove(parameter)
        found = {term: self._product(term) for term in terms}
        products = tuple(product for product in found.values() if product is not None and self._takes(product))
        if not products:
            return None
        return _Sum(products, tuple(term for term in terms if found[term] not in products))

    def _terms(self, value: Value) -> Iterable[Value]:
        """The terms of the sum that nothing but `value` is made of."""
        producer = self.producers.get(value)
        if producer is None or producer.op is not ADD or self.uses[value] != 1:
            yield value
            return
        for operand in producer.operands:
            yield from self._terms(operand)

    def _product(self, term: Value) -> _Product | None:
        movements: list[Operation] = []
        while self.uses[term] == 1 and (producer := self.producers.get(term)) is not None:
            if producer.op is DOT_GENERAL:
                return _Product(producer, tuple(reversed(movements)))
            if producer.op not in (TRANSPOSE, RESHAPE):
                return None
            movements.append(producer)
            term = producer.operands[0]
        return None

    def _takes(self, product: _Product) -> bool:
        """Whether `product` is better taken after the loop; the stacks that it needs are then made."""
        operands = set(product.dot.operands)
        if any(value not in self.producers and value not in self.body.parameters for value in operands):
            return False
        missing = [value for value in operands if value not in self.stacks]
        size = sum(value.type.size for value in missing)
        if size > min(self.room, product.dot.results[0].type.size):
            return False
        self.room -= size
        for value in missing:
            stack = Value(value.type.with_shape((self.attributes.length, *value.type.shape)))
            self.stacks[value] = self.extra[value] = stack
        return True

    # Writing

    def _narrowed(self, last: dict[int, Value]) -> Operation:
        """The scan without the sums, but for their other terms, whose totals are `last`; it makes the extra stacks."""
        kept = [place for place in range(self.carries) if place not in self.sums or place in last]
        rest = Builder()
        totals: dict[int, Value] = {}
        for place in last:
            total = rest.var(self.body.parameters[place])
            for term in self.sums[place].others:
                total = ops.add(total, rest.var(term))
            totals[place] = total.value
        sums = {self.body.results[place] for place in self.sums}
        inner = [each for each in self.body.operations if sums.isdisjoint(each.results)]
        carried = (totals.get(place, self.body.results[place]) for place in kept)
        body = Region(
            (*(self.body.parameters[place] for place in kept), *self.body.parameters[self.carries :]),
            (*_without_parameters_of(inner, self.body, self.sums), *rest.operations),
            (*carried, *self.body.results[self.carries :], *self.extra),
        )
        first = self.attributes.first_carry
        begin = (self.operation.operands[first + place] for place in kept)
        results = (
            *(last.get(place, self.operation.results[place]) for place in kept),
            *self.operation.results[self.carries :],
            *self.extra.values(),
        )
        attributes = replace(self.attributes, carries=len(kept), types=tuple(value.type for value in results))
        stacks = self.operation.operands[self.attributes.first_stack :]
        operands = (*self.operation.operands[:first], *begin, *stacks)
        return replace(self.operation, operands=operands, results=results, attributes=attributes, regions=(body,))

    def _finish(self, builder: Builder, found: _Sum, begin: Value, result: Value) -> None:
        """Compute the sum after the scan."""
        total = builder.var(begin)
        for product in found.products:
            lhs, rhs = (builder.var(self.stacks[operand]) for operand in product.dot.operands)
            (term,) = builder.emit(DOT_GENERAL, [lhs, rhs], _along_turns(product.dot))
            for movement in product.movements:
                (term,) = builder.emit(movement.op, [term], movement.attributes)
            total = ops.add(total, term)
        builder.operations[-1] = replace(builder.operations[-1], results=(result,))


def _used(region: Region) -> Iterable[Value]:
    for operation in region.operations:
        yield from operation.operands
        for inner in operation.regions:
            yield from captured(inner)
    yield from region.results


def _without_parameters_of(operations: Sequence[Operation], body: Region, places: Iterable[int]) -> list[Operation]:
    """`operations` but those that need the parameters of `body` at `places`: inner sums, which nothing reads."""
    gone = {body.parameters[place] for place in places}
    kept: list[Operation] = []
    for operation in operations:
        if gone.isdisjoint(operation.operands):
            kept.append(operation)
        else:
            gone.update(operation.results)
    return kept


def _along_turns(dot: Operation) -> DotGeneralAttributes:
    """The product of stacked operands, contracted along axis 0 besides."""
    assert isinstance(dot.attributes, DotGeneralAttributes)
    numbers = dot.attributes.dot_dimension_numbers
    stacked = DotDimensionNumbers(
        _moved(numbers.lhs_batching_dimensions),
        _moved(numbers.rhs_batching_dimensions),
        (0, *_moved(numbers.lhs_contracting_dimensions)),
        (0, *_moved(numbers.rhs_contracting_dimensions)),
    )
    return replace(dot.attributes, dot_dimension_numbers=stacked)


def _moved(axes: Sequence[int]) -> tuple[int, ...]:
    return tuple(axis + 1 for axis in axes)
