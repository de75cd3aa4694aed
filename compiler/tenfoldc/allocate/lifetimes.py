"""From when to when each buffer is in use.

Time is counted in statements; the statements of a `While` or an `If` count each, those of a counted loop together.
A buffer that is used both inside a `While` and outside of it is in use during all its turns; one that is used only
inside holds nothing from one turn to the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tenfoldc.loops.ir import Buffer, If, Load, Program, Statement, While
from tenfoldc.loops.traversal import expressions, loaded, roots_of, stored


class Lifetime(NamedTuple):
    """The first and the last moment of use."""

    first: int
    last: int

    def meets(self, other: Lifetime) -> bool:
        """Whether both are in use at one moment."""
        return self.first <= other.last and other.first <= self.last


class _Use(NamedTuple):
    """A moment of use, and the `While` loops around it, outermost first."""

    moment: int
    loops: tuple[int, ...]


def lifetimes(program: Program) -> dict[Buffer, Lifetime]:
    """The lifetime of every buffer that owns memory and is used."""
    clock = _Clock()
    for kernel in program.kernels:
        clock.run(kernel.body, ())
    return {buffer: clock.lifetime(first, last) for buffer, (first, last) in clock.uses.items()}


class _Clock:
    """Walks a program, noting for each buffer its first and its last use."""

    def __init__(self) -> None:
        self.uses: dict[Buffer, tuple[_Use, _Use]] = {}
        self._now = 0
        self._spans: list[Lifetime] = []

    def run(self, statements: Sequence[Statement], loops: tuple[int, ...]) -> None:
        for statement in statements:
            self._now += 1
            match statement:
                case While():
                    inner = (*loops, len(self._spans))
                    self._spans.append(Lifetime(self._now, self._now))
                    self._use(_loads_of(statement), inner)
                    self.run(statement.body, inner)
                    self._now += 1
                    self._spans[inner[-1]] = Lifetime(self._spans[inner[-1]].first, self._now)
                case If():
                    self._use(_loads_of(statement), loops)
                    self.run(statement.then, loops)
                    self.run(statement.otherwise, loops)
                case _:
                    self._use([*loaded((statement,)), *stored((statement,))], loops)

    def lifetime(self, first: _Use, last: _Use) -> Lifetime:
        """From `first` to `last`, widened to the whole of every loop that holds only one of them."""
        shared = 0
        while shared < min(len(first.loops), len(last.loops)) and first.loops[shared] == last.loops[shared]:
            shared += 1
        begin, end = first.moment, last.moment
        if len(first.loops) > shared:
            begin = self._spans[first.loops[shared]].first
        if len(last.loops) > shared:
            end = self._spans[last.loops[shared]].last
        return Lifetime(begin, end)

    def _use(self, buffers: Iterable[Buffer], loops: tuple[int, ...]) -> None:
        use = _Use(self._now, loops)
        for buffer in buffers:
            first, _ = self.uses.get(buffer.storage, (use, use))
            self.uses[buffer.storage] = (first, use)


def _loads_of(statement: Statement) -> list[Buffer]:
    return [e.buffer for e in expressions(roots_of(statement)) if isinstance(e, Load)]
