"""What a lowering rule is given: operands to read, results to write, scratch memory, and scalar regions.

A rule turns one operation of its kind into statements.  Operands that the fusion stage merged into the kernel are
computed where they are read; a rule need not know which those are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from tenfold_rt.dtypes import DType
from tenfoldc.ir.core import Operation
from tenfoldc.loops.ir import Axis, Buffer, Expr, Statement


class LoweringContext(Protocol):
    """One operation's surroundings while it is lowered."""

    def read(self, operand: int, index: Sequence[Expr]) -> Expr:
        """The element of an operand at `index`, which must lie inside; fused producers are computed here."""
        ...

    def buffer(self, operand: int) -> Buffer:
        """The operand's memory.  Only for operands that the op's kind needs whole: these are never fused away."""
        ...

    def result(self, number: int = 0) -> Buffer:
        """The memory of a result, which the rule must fill completely."""
        ...

    def write(self, index: Sequence[Expr], value: Expr, number: int = 0) -> Sequence[Statement]:
        """Store the element of a result, with fused consumers applied on the way."""
        ...

    @property
    def has_epilogue(self) -> bool:
        """Whether consumers are fused: then what is accumulated in `result` must also go through `write`.

        `result` may be used as scratch for partial sums until then; each element is written exactly once, at the end.
        """
        ...

    def region(self, number: int, arguments: Sequence[Expr]) -> tuple[Expr, ...]:
        """The results of one of the operation's scalar regions (a reducer, a comparator) on scalar arguments."""
        ...

    def axis(self, name: str, extent: int | None = None) -> Axis:
        """A loop index with a name not used before in this kernel; a known `extent` makes for simpler indices."""
        ...

    def scratch(self, name: str, dtype: DType, shape: Sequence[int]) -> Buffer:
        """Memory that lives while the kernel runs."""
        ...

    def pays_ahead(self, element: Expr, size: int) -> bool:
        """Whether `size` bytes of elements such as `element` are better made while compiling, from constants alone.

        Statements that do so before all others of the kernel then leave it (`tenfoldc.lower.ahead`).
        """
        ...


LoweringRule: TypeAlias = Callable[[Operation, LoweringContext], Sequence[Statement]]
