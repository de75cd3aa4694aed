"""A slice of a factor from memory, or computed, to shared memory, by all threads of a block.

What lies in memory as it is to lie in shared memory is copied there asynchronously, past the registers (`cp.async`);
what lies outside the matrix becomes zeros on the way.  Other elements are computed or loaded in one step and stored in
another, so that the multiplication of an earlier slice lies between.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tenfold_rt.frozen import frozen
from tenfoldc.emit.expressions import ExpressionText
from tenfoldc.emit.scalar_types import literal, memory_type, register_type
from tenfoldc.gpu.emit.tiles.words import Words
from tenfoldc.gpu.tile_memory import SliceLayout
from tenfoldc.loops.ir import Load, TileFactor
from tenfoldc.loops.tiles import Tiling

_COPIED_BYTES = (4, 8, 16)
"""What one asynchronous copy moves."""


class Depths(Protocol):
    """The depths of a product, `positions` * `channels`, of which a block takes `slices` slices of its tiling's."""

    @property
    def tiling(self) -> Tiling: ...

    @property
    def positions(self) -> int: ...

    @property
    def channels(self) -> int: ...

    @property
    def slices(self) -> int: ...


@frozen
class _Group:
    """Neighbouring elements that one thread brings: the first one's line in the tile, and its depth in the slice."""

    line: str
    depth: str
    exists: str | None
    """Whether there is such a group, where there are not as many as all threads would bring."""


class Filling:
    """Writes how slices of one factor come to shared memory.  `first_line` is an i32, `thread` too."""

    def __init__(
        self,
        writer: ExpressionText,
        statement: Depths,
        factor: TileFactor,
        layout: SliceLayout,
        *,
        total_lines: int,
        first_line: str,
        thread: str,
    ) -> None:
        self.writer, self.text, self.words = writer, writer.text, Words(writer.text)
        self.statement, self.factor, self.layout = statement, factor, layout
        self.total_lines, self.first_line = total_lines, first_line
        self.total_depth = statement.positions * statement.channels
        runs_agree = layout.lines_adjoin != factor.along_depth
        self.width = factor.vector if runs_agree else 1
        size = self.width * layout.dtype.itemsize
        element = factor.element
        self.is_copied = isinstance(element, Load) and element.dtype == layout.dtype and size in _COPIED_BYTES
        self.groups = self._groups(thread)

    def _groups(self, thread: str) -> list[_Group]:
        tiling, layout, words = self.statement.tiling, self.layout, self.words
        inner = (layout.depth if self.factor.along_depth else layout.lines) // self.width
        count = layout.lines * layout.depth // self.width
        found: list[_Group] = []
        for first in range(0, count, tiling.threads):
            number = words.add(thread, first)
            exists = words.is_below(number, count) if first + tiling.threads > count else None
            if exists is not None:
                number = words.least(number, count - 1)
            outside, inside = words.quotient(number, inner), words.scaled(words.remainder(number, inner), self.width)
            line, depth = (outside, inside) if self.factor.along_depth else (inside, outside)
            found.append(_Group(line, depth, exists))
        return found

    @property
    def registers(self) -> list[str]:
        """The types of what `start` gives."""
        if self.is_copied:
            return []
        return [register_type(self.layout.dtype)] * (len(self.groups) * self.width)

    def start(self, number: str, base: str) -> list[str]:
        """Begin to bring slice `number` to `base`; gives what `finish` stores there."""
        found: list[str] = []
        for group in self.groups:
            with self.text.scope():
                if self.is_copied:
                    self._copy(group, number, base)
                else:
                    found += self._elements(group, number)
        return found

    def finish(self, registers: Sequence[str], base: str) -> None:
        """Store what `start` gave."""
        if self.is_copied:
            return
        for number, group in enumerate(self.groups):
            values = registers[number * self.width : (number + 1) * self.width]
            if group.exists is None:
                self._store(group, values, base)
                continue
            then, done = self.text.label("fill"), self.text.label("filled")
            self.text.branch_if(group.exists, then, done)
            self.text.start(then)
            with self.text.scope():
                self._store(group, values, base)
            self.text.branch(done)
            self.text.start(done)

    def _target(self, group: _Group, base: str) -> str:
        return self.words.element(self.layout, base, (group.line, 0), (group.depth, 0))

    def _store(self, group: _Group, values: Sequence[str], base: str) -> None:
        kind, size = memory_type(self.layout.dtype), self.layout.dtype.itemsize * self.width
        value = values[0]
        if self.width > 1:
            kind = f"<{self.width} x {kind}>"
            value = "poison"
            for lane, element in enumerate(values):
                value = self.text.pure(
                    f"insertelement {kind} {value}, {memory_type(self.layout.dtype)} {element}, i32 {lane}"
                )
        address = self._target(group, base)
        self.text.effect(f"store {kind} {value}, ptr addrspace(3) {address}, align {min(size, 16)}")

    def _bind(self, group: _Group, number: str, lane: int) -> list[str]:
        """Let the factor's axes be the place of one element of a group; gives the conditions that it counts."""
        words, statement, factor = self.words, self.statement, self.factor
        conditions: list[str] = []
        lines_at_once, depths_at_once = (1, self.width) if factor.along_depth else (self.width, 1)
        line = words.add(self.first_line, group.line)
        if self.total_lines % self.layout.lines:
            conditions.append(words.is_below(line, self.total_lines))
            line = words.least(line, self.total_lines - lines_at_once)
        depth = words.add(words.scaled(number, self.layout.depth), group.depth)
        if self.total_depth % self.layout.depth or self._overruns:
            conditions.append(words.is_below(depth, self.total_depth))
            depth = words.least(depth, self.total_depth - depths_at_once)
        line, depth = (line, words.add(depth, lane)) if factor.along_depth else (words.add(line, lane), depth)
        position = "0" if statement.positions == 1 else words.quotient(depth, statement.channels)
        channel = depth if statement.positions == 1 else words.remainder(depth, statement.channels)
        for axis, place in ((factor.line, line), (factor.position, position), (factor.channel, channel)):
            self.text.bind(axis, words.wide(place))
        if factor.inside is not None:
            conditions.append(self.writer.value(factor.inside))
        return conditions

    @property
    def _overruns(self) -> bool:
        """Whether the last block of several that share a sum may be given more slices than are left."""
        statement = self.statement
        return -(-self.total_depth // statement.tiling.depth) % statement.slices != 0

    def _copy(self, group: _Group, number: str, base: str) -> None:
        element = self.factor.element
        assert isinstance(element, Load)
        size = self.width * self.layout.dtype.itemsize
        condition = self.words.all_of(self._bind(group, number, 0))
        source = self.writer.address(element.buffer, element.index)
        cache = "cg" if size == 16 else "ca"
        operands = f"ptr addrspace(3) {self._target(group, base)}, ptr {source}"
        suffix = ""
        if condition is not None:
            operands += f", i32 {self.text.pure(f'select i1 {condition}, i32 {size}, i32 0')}"
            suffix = ".s"
        copy = f"call void @llvm.nvvm.cp.async.{cache}.shared.global.{size}{suffix}({operands})"
        if group.exists is None:
            self.text.effect(copy)
            return
        then, done = self.text.label("copy"), self.text.label("copied")
        self.text.branch_if(group.exists, then, done)
        self.text.start(then)
        self.text.effect(copy)
        self.text.branch(done)
        self.text.start(done)

    def _elements(self, group: _Group, number: str) -> list[str]:
        found: list[str] = []
        kind, zero = register_type(self.layout.dtype), literal(0, self.layout.dtype)
        for lane in range(self.width):
            with self.text.scope():
                condition = self.words.all_of(self._bind(group, number, lane))
                value = self.writer.value(self.factor.element)
                if condition is not None:
                    value = self.text.pure(f"select i1 {condition}, {kind} {value}, {kind} {zero}")
                found.append(value)
        return found
