"""Which values take over the memory of a value that they replace, and which are another's memory in another shape.

A `dynamic_update_slice` changes a small part of a tensor and a `while` carries its operands from turn to turn: where
nothing reads the old tensor any more, the result is written over it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set

from tenfoldc.ir.core import Operation, Region, Value, captured
from tenfoldc.ir.groups import Group, GroupKind
from tenfoldc.ops.control import WHILE
from tenfoldc.ops.loops import is_tape
from tenfoldc.ops.movement import DYNAMIC_UPDATE_SLICE


class Sharing:
    """What is known of memory before the groups of one region are lowered.

    `source[v]` is the value whose memory v has: v is its view, or its successor in place.
    """

    def __init__(self, region: Region, groups: Sequence[Group], mutable: Set[Value]) -> None:
        self.source: dict[Value, Value] = {}
        self.written = {v for group in groups for v in group.results if group.kind is not GroupKind.VIEW}
        self._region = region
        self._groups = groups
        self._last_reader: dict[Value, int] = {}
        for group in groups:
            if group.kind is GroupKind.VIEW:
                (operation,) = group.operations
                self.source[operation.results[0]] = operation.operands[0]
            elif group.anchor is not None and group.anchor.op is WHILE:
                self.source |= dict(unchanged(group.anchor))
        self._note_readers()
        for place, group in enumerate(groups):
            self._share(place, group, mutable)

    def root(self, value: Value) -> Value:
        """The value whose memory `value` has in the end."""
        while value in self.source:
            value = self.source[value]
        return value

    def _note_readers(self) -> None:
        for place, group in enumerate(self._groups):
            for value in read_by(group):
                self._last_reader[self.root(value)] = place
        for value in self._region.results:
            self._last_reader[self.root(value)] = len(self._groups)

    def _share(self, place: int, group: Group, mutable: Set[Value]) -> None:
        """Let the results of an anchor replace its operands where these are read here for the last time."""
        anchor = group.anchor
        if anchor is None or anchor.op not in (DYNAMIC_UPDATE_SLICE, WHILE):
            return
        pairs = zip(anchor.operands, anchor.results, strict=False)
        for operand, result in pairs:
            root = self.root(operand)
            if is_tape(operand.type):
                continue
            if result in self.source or root not in self.written | mutable:
                continue
            if self._last_reader.get(root) != place or self._readings(group, root) != 1:
                continue
            self.source[result] = operand
            self._last_reader[root] = max(self._last_reader.get(result, place), place)

    def _readings(self, group: Group, root: Value) -> int:
        """How often `group` names the memory of `root`."""
        named = [operand for operation in group.operations for operand in operation.operands]
        for operation in group.operations:
            named.extend(value for region in operation.regions for value in captured(region))
        return sum(self.root(value) is root for value in named)


def unchanged(loop: Operation) -> Iterable[tuple[Value, Value]]:
    """Pairs of result and operand of a `while` whose body hands that part of the carry on as it is."""
    body = loop.regions[1]
    for result, operand, parameter, following in zip(
        loop.results, loop.operands, body.parameters, body.results, strict=True
    ):
        if parameter is following:
            yield result, operand


def read_by(group: Group) -> list[Value]:
    """The values that a group takes from memory."""
    computed = {result for operation in group.operations for result in operation.results}
    read: dict[Value, None] = {}
    for operation in group.operations:
        read |= dict.fromkeys(operand for operand in operation.operands if operand not in computed)
        for region in operation.regions:
            read |= dict.fromkeys(captured(region))
    return list(read)
