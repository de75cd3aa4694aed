"""The text of one LLVM function as it is written: instructions, blocks, scopes, and value numbering.

Instructions without side effects are numbered by their text: writing one twice within a scope, or again
in a scope inside it, gives the first one's name.  A scope is a stretch of code that dominates whatever is
written until it closes; what was computed inside is forgotten when it does.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tenfoldc.loops.ir import Expr


@dataclass(slots=True)
class _Scope:
    """What has been computed: names of expressions (by identity) and of instructions (by text)."""

    expressions: dict[Expr, str] = field(default_factory=dict[Expr, str])
    instructions: dict[str, str] = field(default_factory=dict[str, str])


class FunctionText:
    """A function body under construction.  Values are numbered in order, so the text is deterministic."""

    def __init__(self) -> None:
        self.lines: list[str] = ["entry:"]
        self.block = "entry"
        self.quotients: dict[str, tuple[str, int]] = {}
        """Names that are a truncated quotient, with dividend and constant divisor."""
        self.remainders: dict[str, tuple[str, int]] = {}
        """Names that are a truncated remainder, with dividend and constant divisor."""
        self.attributes = ""
        """What the function has beside the attributes of every function."""
        self._blocks: list[str] = []
        self._scopes: list[_Scope] = [_Scope()]
        self._values = 0
        self._labels = 0

    def name(self) -> str:
        """A value name not used before."""
        self._values += 1
        return f"%v{self._values - 1}"

    def effect(self, line: str) -> None:
        """Write an instruction that has a side effect and no result."""
        self.lines.append("  " + line)

    def fresh(self, instruction: str) -> str:
        """Write an instruction whose result may differ each time (a load); its name."""
        name = self.name()
        self.lines.append(f"  {name} = {instruction}")
        return name

    def pure(self, instruction: str) -> str:
        """The name of an instruction without side effects, written unless it is already in scope."""
        for scope in reversed(self._scopes):
            known = scope.instructions.get(instruction)
            if known is not None:
                return known
        name = self._scopes[-1].instructions[instruction] = self.fresh(instruction)
        return name

    def words(self, count: int) -> str:
        """A pointer to memory of the function's own, `count` words of eight bytes."""
        name = self.name()
        self._blocks.append(f"  {name} = alloca [{count} x i64], align 8")
        return name

    def label(self, hint: str) -> str:
        """A block label not used before."""
        self._labels += 1
        return f"{hint}{self._labels - 1}"

    def branch(self, label: str) -> None:
        """End the block by going to `label`."""
        self.effect(f"br label %{label}")

    def branch_if(self, condition: str, then: str, otherwise: str, metadata: str = "") -> None:
        """End the block by going to `then` where the bit `condition` is set, else to `otherwise`."""
        self.effect(f"br i1 {condition}, label %{then}, label %{otherwise}{metadata}")

    def start(self, label: str) -> None:
        """Begin the block `label`."""
        self.lines.append(f"{label}:")
        self.block = label

    def reserve(self) -> int:
        """Room for a line that is known later (a phi); give it to `fill`."""
        self.lines.append("")
        return len(self.lines) - 1

    def fill(self, reserved: int, line: str) -> None:
        """Write the line that `reserve` left room for."""
        self.lines[reserved] = "  " + line

    @contextmanager
    def scope(self) -> Generator[None]:
        """What is computed inside is not visible after."""
        self._scopes.append(_Scope())
        yield
        self._scopes.pop()

    def find(self, expression: Expr) -> str | None:
        """The name of an expression that is in scope."""
        for scope in reversed(self._scopes):
            known = scope.expressions.get(expression)
            if known is not None:
                return known
        return None

    def bind(self, expression: Expr, name: str) -> None:
        """Let `name` be the value of `expression` within the current scope."""
        self._scopes[-1].expressions[expression] = name

    def __str__(self) -> str:
        entry, *lines = self.lines
        return "\n".join([entry, *self._blocks, *lines])
