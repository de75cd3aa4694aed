"""One walk over a program, each operation after its operands: rules, folding and sharing, one operation at a time.

What a rule writes is rewritten like everything else, so a chain of redundant operations falls in a single walk.
Regions of control flow are walked within it; the scalar bodies of reductions, sorts and the like stay as they are,
so that they are still recognised.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any

from tenfoldc.ir.builder import Builder, Var, substitute
from tenfoldc.ir.core import NO_ATTRIBUTES, Attributes, Operation, Region, Value, captured
from tenfoldc.ir.op import Kind, Op
from tenfoldc.ops.control import CASE, IF, WHILE
from tenfoldc.simplify import control
from tenfoldc.simplify.arithmetic import ARITHMETIC
from tenfoldc.simplify.folding import folded
from tenfoldc.simplify.matching import Match, Rule, constant_array, splat_element
from tenfoldc.simplify.movement import MOVEMENT
from tenfoldc.simplify.reduction import REDUCTION, empty_result
from tenfoldc.simplify.rounding import ROUNDING
from tenfoldc.simplify.sharing import key

TABLES = (ARITHMETIC, MOVEMENT, REDUCTION, ROUNDING)
RULES: dict[Op[Any], list[Rule]] = {
    op: [rule for table in TABLES for rule in table.rules.get(op, ())] for table in TABLES for op in table.rules
}


def rewritten(region: Region) -> Region:
    """A region that computes the same bits as `region`, a function's body, with fewer or simpler operations."""
    return Rewriting().whole(region)


class Rewriting(Builder):
    """A builder that appends an operation only where no rule, constant or earlier operation gives its results.

    `outer` builds the region around this one: its operations are visible here.
    """

    def __init__(self, outer: Rewriting | None = None) -> None:
        super().__init__()
        self.outer = outer
        self.replaced: dict[Value, Value] = {} if outer is None else outer.replaced
        self.producers: dict[Value, Operation] = {} if outer is None else outer.producers
        self.known: dict[Hashable, tuple[Value, ...]] = {}

    def emit(
        self,
        op: Op[Any],
        operands: Sequence[Var],
        attributes: Attributes = NO_ATTRIBUTES,
        regions: Sequence[Region] = (),
    ) -> tuple[Var, ...]:
        """The results of an operation that a rule writes."""
        values = tuple(operand.value for operand in operands)
        types = op.infer([value.type for value in values], attributes, regions)
        results = tuple(Value(type_) for type_ in types)
        operation = Operation(op, values, results, attributes, tuple(regions), self.location)
        return tuple(Var(value, self) for value in self._add(operation))

    def nested(self, region: Region) -> Region:
        """`region`, which sees what this builder appended, rewritten."""
        return Rewriting(self).whole(region)

    def whole(self, region: Region) -> Region:
        """`region` rewritten; this builder holds nothing else."""
        self._walk(region.operations)
        return Region(region.parameters, tuple(self.operations), self._current(region.results))

    def _current(self, values: Sequence[Value]) -> tuple[Value, ...]:
        """What stands for `values` by now."""
        return tuple(self.replaced.get(value, value) for value in values)

    def _walk(self, operations: Sequence[Operation]) -> None:
        for operation in operations:
            self.location = operation.location
            if operation.op is WHILE:
                results = self._while(operation)
            elif operation.op in (IF, CASE):
                results = self._branches(operation)
            else:
                results = self._add(self._with_current(operation))
            self.replaced.update(zip(operation.results, results, strict=True))

    def _with_current(self, operation: Operation) -> Operation:
        """`operation` on what stands for its operands and for what its regions capture."""
        outside = (value for region in operation.regions for value in captured(region))
        if any(self.replaced.get(value, value) is not value for value in outside):
            return substitute(operation, self.replaced)
        return _on(operation, self._current(operation.operands))

    def _add(self, operation: Operation) -> tuple[Value, ...]:
        """The results of `operation`, which is appended only if need be."""
        if len(operation.results) == 1:
            var = self._simpler(operation)
            if var is not None:
                return (var.value,)
        return self._shared(operation)

    def _simpler(self, operation: Operation) -> Var | None:
        """The value that replaces the only result of `operation`."""
        for rule in RULES.get(operation.op, ()):
            var = rule(Match(operation, operation.attributes, self, self.producers))
            if var is not None:
                return var
        return empty_result(operation, self) or folded(operation, self.producers, self)

    def _shared(self, operation: Operation) -> tuple[Value, ...]:
        """The results of an equal operation, or else of `operation`, appended."""
        if self.outer is not None:
            operation = _on(operation, tuple(self._here(operand) for operand in operation.operands))
        name = key(operation)
        return self._find(name, operation.op.kind) or self._append(operation, name)

    def _here(self, value: Value) -> Value:
        """`value`, or where it is one repeated number from around this region, the same number made within it."""
        if splat_element(value, self.producers) is None or self.producers[value].operands:
            return value
        producer = self.producers[value]
        name = key(producer)
        if name not in self.known:
            self._append(replace(producer, results=(Value(value.type),)), name)
        return self.known[name][0]

    def _find(self, name: Hashable, kind: Kind) -> tuple[Value, ...] | None:
        """The results of an equal operation: in this region, or around it if that spares work in this one."""
        level = self
        while level is not None:
            if name in level.known:
                return level.known[name]
            level = level.outer if kind not in (Kind.CREATION, Kind.MOVEMENT) else None
        return None

    def _append(self, operation: Operation, name: Hashable) -> tuple[Value, ...]:
        self.operations.append(operation)
        self.producers.update(dict.fromkeys(operation.results, operation))
        self.known[name] = operation.results
        return operation.results

    def _branches(self, operation: Operation) -> tuple[Value, ...]:
        """An `if` or `case`: the branch that a constant chooses, else all, without results on which they agree."""
        operands = self._current(operation.operands)
        selector = constant_array(operands[0], self.producers)
        chosen = operation.regions[0] if len(operation.regions) == 1 else None
        if selector is not None:
            chosen = control.chosen_branch(operation, selector)
        if chosen is not None:
            self._walk(chosen.operations)
            return self._current(chosen.results)
        branches = [self.nested(region) for region in operation.regions]
        first, *others = (branch.results for branch in branches)
        kept = [place for place, value in enumerate(first) if any(value is not other[place] for other in others)]
        results = list(first)
        if kept:
            regions = tuple(replace(branch, results=control.at(branch.results, kept)) for branch in branches)
            narrow = replace(operation, operands=operands, regions=regions, results=control.at(operation.results, kept))
            control.put(results, kept, self._shared(narrow))
        return tuple(results)

    def _while(self, operation: Operation) -> tuple[Value, ...]:
        """A loop without the carries that no turn changes; its operands where no turn is taken.

        Walking the body may show more such carries; it is then walked again without them.
        """
        operands = self._current(operation.operands)
        condition, body = operation.regions
        kept = list(range(len(operands)))
        while True:
            changing = control.changing_carries(body)
            for place, number in enumerate(kept):
                if place not in changing:
                    self.replaced[condition.parameters[place]] = operands[number]
                    self.replaced[body.parameters[place]] = operands[number]
            kept = [kept[place] for place in sorted(changing)]
            condition, body = control.narrowed_loop(condition, body, sorted(changing))
            condition, body = self.nested(condition), self.nested(body)
            if len(control.changing_carries(body)) == len(kept):
                break
        results = list(operands)
        turns = constant_array(condition.results[0], self.producers)
        if kept and (turns is None or bool(turns)):
            narrow = replace(
                operation,
                operands=control.at(operands, kept),
                regions=(condition, body),
                results=control.at(operation.results, kept),
            )
            control.put(results, kept, self._shared(narrow))
        return tuple(results)


def _on(operation: Operation, operands: tuple[Value, ...]) -> Operation:
    """`operation` itself, or where its operands are others a copy on `operands`."""
    return operation if operands == operation.operands else replace(operation, operands=operands)
