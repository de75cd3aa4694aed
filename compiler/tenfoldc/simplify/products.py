"""Products that are better computed as one: small ones that share an operand, and sums of shallow ones.

    dot(a[0:32], w), dot(a[32:64], w)   →   parts of dot(a, w)
    dot(a, b) + dot(c, d) + ...         →   dot(a and c joined, b and d joined) + ...

The steps of an unrolled recurrence, and its gradient, are full of both.  Each product packs its operands anew, and
each term of a sum passes through memory; one product packs once, and adds up in registers.  Elements are sums of the
same terms; in which order they are added is not the program's to say, as within one product.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace

from tenfold_rt.frozen import frozen
from tenfoldc import ops
from tenfoldc.ir.builder import Builder, Var, substitute
from tenfoldc.ir.core import Operation, Region, Value, captured
from tenfoldc.ir.op import Kind
from tenfoldc.ops.contraction import DOT_GENERAL, DotGeneralAttributes
from tenfoldc.simplify.matching import is_static
from tenfoldc.simplify.neighbours import Part, follow_each_other, joined, part_of

_FEW_LINES = 256
"""Lines of an operand up to which packing the other one shows in the time of a product."""

_SHALLOW = 256
"""Depth up to which the memory traffic of the result shows in the time of a product."""


def with_merged_products(region: Region) -> Region:
    """A region that computes the same; `region` itself where there is nothing to merge."""
    return _Merging(region).region()


@frozen
class _Sum:
    """A sum that is written anew: lists of products, each to become one, and other terms."""

    joined: Sequence[Sequence[Operation]]
    others: Sequence[Value]


class _Merging:
    """The merging within one region; regions of control flow inside it are merged for themselves."""

    def __init__(self, source: Region) -> None:
        self.source = source
        self.producers = {result: operation for operation in source.operations for result in operation.results}
        self.uses: dict[Value, int] = {}
        for operation in source.operations:
            for value in (*operation.operands, *(v for inner in operation.regions for v in captured(inner))):
                self.uses[value] = self.uses.get(value, 0) + 1
        for value in source.results:
            self.uses[value] = self.uses.get(value, 0) + 2
        self.families = self._families()
        self.merged = {member for family in self.families.values() for member in family}
        self.rank: dict[Value, int] = {}
        self.sums = self._sums()
        self.builder = Builder()
        self.replaced: dict[Value, Value] = {}

    def region(self) -> Region:
        nested = {
            inner: with_merged_products(inner)
            for operation in self.source.operations
            if operation.op.kind is Kind.CONTROL
            for inner in operation.regions
        }
        if not self.families and not self.sums and all(inner is merged for inner, merged in nested.items()):
            return self.source
        for operation in self.source.operations:
            self._write(replace(operation, regions=tuple(nested.get(inner, inner) for inner in operation.regions)))
        results = tuple(self.replaced.get(value, value) for value in self.source.results)
        return Region(self.source.parameters, tuple(self.builder.operations), results)

    def _write(self, operation: Operation) -> None:
        """Append what stands for one operation of the region."""
        self.builder.location = operation.location
        result = operation.results[0] if operation.results else None
        if result in self.replaced:
            return
        if result in self.families:
            self._write_family(self.families[result])
        elif result in self.sums:
            self.replaced[result] = self._sum(self.sums[result])
        else:
            outside = (*operation.operands, *(v for inner in operation.regions for v in captured(inner)))
            if any(value in self.replaced for value in outside):
                operation = substitute(operation, self.replaced)
            self.builder.operations.append(operation)

    def _var(self, value: Value) -> Var:
        return Var(self.replaced.get(value, value), self.builder)

    # Products of parts of one array with one other operand

    def _families(self) -> dict[Value, list[Operation]]:
        """Products to be made one, in the order of their parts, by the result of the first in the program."""
        found: dict[Hashable, list[tuple[Part, Operation]]] = {}
        for operation in self.source.operations:
            for side in (0, 1) if operation.op is DOT_GENERAL else ():
                lines, axis = operation.operands[side], _free_axis(operation, side)
                part = None if axis is None else part_of(lines, axis, self.producers)
                if part is not None and lines.type.sizes[axis or 0] <= _FEW_LINES:
                    key = (side, operation.operands[1 - side], operation.attributes, part.key)
                    found.setdefault(key, []).append((part, operation))
        families: dict[Value, list[Operation]] = {}
        taken: set[Operation] = set()
        for members in found.values():
            first = members[0][1]
            members.sort(key=lambda member: member[0].start)
            family = [operation for _, operation in members]
            adjoin = follow_each_other([part for part, _ in members])
            if len(family) > 1 and adjoin and taken.isdisjoint(family):
                taken.update(family)
                families[first.results[0]] = family
        return families

    def _write_family(self, family: Sequence[Operation]) -> None:
        side = 0 if family[0].operands[1] is family[1].operands[1] else 1
        axis = _free_axis(family[0], side)
        assert axis is not None
        parts = [part_of(member.operands[side], axis, self.producers) for member in family]
        assert follow_each_other(parts)
        first = replace(parts[0], source=self._var(parts[0].source).value)
        operands = [self._var(value) for value in family[0].operands]
        operands[side] = joined([first, *parts[1:]], axis, self.builder)
        (product,) = self.builder.emit(DOT_GENERAL, operands, family[0].attributes)
        along, start = _result_axis(family[0], side), 0
        for member in family:
            starts, limits = [0] * product.rank, list(product.sizes)
            starts[along], limits[along] = start, start + member.results[0].type.sizes[along]
            start = limits[along]
            self.replaced[member.results[0]] = ops.slice_(product, starts, limits).value

    # Sums of products

    def _sums(self) -> dict[Value, _Sum]:
        """By its result, each sum of which several terms are products to be made one."""
        inner: set[Value] = set()
        found: dict[Value, tuple[list[list[Operation]], list[Value]]] = {}
        for operation in reversed(self.source.operations):
            if operation.op is not ops.ADD or operation.results[0] in inner:
                continue
            products: dict[Hashable, list[Operation]] = {}
            others: list[Value] = []
            for term in self._terms(operation, inner):
                product = self._product(term)
                if product is None:
                    others.append(term)
                else:
                    products.setdefault(_kind(product), []).append(product)
            joined = [group for group in products.values() if self._pays(group)]
            others += [product.results[0] for group in products.values() if group not in joined for product in group]
            if joined:
                found[operation.results[0]] = (joined, others)
        for order_by_parts in (True, False):
            for joined, _ in found.values():
                for group in joined:
                    self._order(group, order_by_parts)
        return {result: _Sum(*parts) for result, parts in found.items()}

    def _terms(self, root: Operation, inner: set[Value]) -> list[Value]:
        """What is added up at `root`, first to last; sums that nothing else reads are taken apart into `inner`."""
        terms: list[Value] = []
        pending = list(reversed(root.operands))
        while pending:
            value = pending.pop()
            producer = self.producers.get(value)
            if producer is not None and producer.op is ops.ADD and self.uses[value] == 1:
                inner.add(value)
                pending.extend(reversed(producer.operands))
            else:
                terms.append(value)
        return terms

    def _product(self, term: Value) -> Operation | None:
        """The product that `term` is, where it can be joined with others."""
        producer = self.producers.get(term)
        if producer is None or producer.op is not DOT_GENERAL or producer in self.merged or self.uses[term] > 1:
            return None
        if not term.type.dtype.is_float or not all(is_static(v.type) for v in producer.operands):
            return None
        axes = _contracted(producer)
        return producer if axes is not None and producer.operands[0].type.sizes[axes[0]] <= _SHALLOW else None

    def _pays(self, group: Sequence[Operation]) -> bool:
        """Whether copying operands side by side moves less than the results of all the products would."""
        if len(group) < 2:
            return False
        copied = 0
        for side in (0, 1):
            parts = [self._part(product, side) for product in group]
            if any(part is None for part in parts):
                copied += sum(product.operands[side].type.size for product in group)
        return copied <= sum(product.results[0].type.size for product in group)

    def _part(self, product: Operation, side: int) -> Part | None:
        axes = _contracted(product)
        return None if axes is None else part_of(product.operands[side], axes[side], self.producers)

    def _order(self, group: list[Operation], by_parts: bool) -> None:
        """Put products in the order in which an operand's parts follow each other in memory.

        The other operands get a rank from it, so that where they are joined for another sum it is in the same order.
        """
        for side in (0, 1):
            parts = {product: self._part(product, side) for product in group}
            starts = {product: part.start for product, part in parts.items() if part is not None}
            if by_parts and len(starts) == len(group):
                group.sort(key=starts.__getitem__)
                self.rank.update((product.operands[1 - side], place) for place, product in enumerate(group))
                return
            if not by_parts and all(product.operands[side] in self.rank for product in group):
                group.sort(key=lambda product: self.rank[product.operands[side]])
                return

    def _sum(self, sum_: _Sum) -> Value:
        terms = [self._var(value) for value in sum_.others]
        for group in sum_.joined:
            axes = _contracted(group[0])
            assert axes is not None
            operands = [
                ops.concatenate([self._var(product.operands[side]) for product in group], axes[side]) for side in (0, 1)
            ]
            terms.extend(self.builder.emit(DOT_GENERAL, operands, group[0].attributes))
        total = terms[0]
        for term in terms[1:]:
            total = ops.add(total, term)
        return total.value


def _numbers(operation: Operation) -> DotGeneralAttributes:
    assert isinstance(operation.attributes, DotGeneralAttributes)
    return operation.attributes


def _free_axis(operation: Operation, side: int) -> int | None:
    """The first axis of an operand that the result keeps and that is no batch's."""
    numbers, rank = _numbers(operation).dot_dimension_numbers, operation.operands[side].type.rank
    free = numbers.rhs_free(rank) if side else numbers.lhs_free(rank)
    return free[0] if free and is_static(operation.operands[side].type) else None


def _result_axis(operation: Operation, side: int) -> int:
    """Where the result has that axis."""
    numbers, rank = _numbers(operation).dot_dimension_numbers, operation.operands[0].type.rank
    return len(numbers.lhs_batching_dimensions) + (len(numbers.lhs_free(rank)) if side else 0)


def _contracted(operation: Operation) -> tuple[int, int] | None:
    """The first pair of axes that are summed along."""
    numbers = _numbers(operation).dot_dimension_numbers
    pairs = zip(numbers.lhs_contracting_dimensions, numbers.rhs_contracting_dimensions, strict=True)
    return next(pairs, None)


def _kind(product: Operation) -> Hashable:
    """Equal for products whose operands can be joined."""
    axes = _contracted(product)
    assert axes is not None
    shapes = tuple(
        tuple(size for number, size in enumerate(operand.type.sizes) if number != axis)
        for operand, axis in zip(product.operands, axes, strict=True)
    )
    return (product.attributes, product.results[0].type, shapes)
