"""Index arithmetic in 32 bits, and addresses of shared memory: instructions written with constants folded.

A tile's own places are small numbers, for which a GPU has instructions of 32 bits and none of 64.
"""

from __future__ import annotations

from collections.abc import Sequence

from tenfoldc.emit.function_text import FunctionText
from tenfoldc.gpu.tile_memory import SliceLayout


class Words:
    """Writes i32 arithmetic into a function; a value is a name or a decimal literal."""

    def __init__(self, text: FunctionText) -> None:
        self.text = text

    def add(self, *values: str | int) -> str:
        """The sum of `values`."""
        known = sum(int(value) for value in values if _is_known(value))
        total = ""
        for value in values:
            if not _is_known(value):
                total = str(value) if not total else self.text.pure(f"add nuw nsw i32 {total}, {value}")
        if not total:
            return str(known)
        return total if known == 0 else self.text.pure(f"add nuw nsw i32 {total}, {known}")

    def scaled(self, value: str, factor: int) -> str:
        """`value` * `factor`."""
        if _is_known(value):
            return str(int(value) * factor)
        return value if factor == 1 else self.text.pure(f"mul nuw nsw i32 {value}, {factor}")

    def quotient(self, value: str, divisor: int) -> str:
        """`value` / `divisor`, rounded down."""
        if _is_known(value):
            return str(int(value) // divisor)
        return value if divisor == 1 else self.text.pure(f"udiv i32 {value}, {divisor}")

    def remainder(self, value: str, divisor: int) -> str:
        """What `value` leaves when divided by `divisor`."""
        if _is_known(value):
            return str(int(value) % divisor)
        return "0" if divisor == 1 else self.text.pure(f"urem i32 {value}, {divisor}")

    def least(self, value: str, bound: int) -> str:
        """The lesser of `value` and `bound`."""
        return self.text.pure(f"call i32 @llvm.umin.i32(i32 {value}, i32 {bound})")

    def is_below(self, value: str, bound: int | str) -> str:
        """Whether `value` < `bound`, as a bit."""
        return self.text.pure(f"icmp ult i32 {value}, {bound}")

    def wide(self, value: str) -> str:
        """`value` as an i64."""
        return value if _is_known(value) else self.text.pure(f"zext i32 {value} to i64")

    def narrow(self, value: str) -> str:
        """The i64 `value`, which is small, as an i32."""
        return value if _is_known(value) else self.text.pure(f"trunc i64 {value} to i32")

    def all_of(self, conditions: Sequence[str]) -> str | None:
        """The conjunction of bits; None of none."""
        total: str | None = None
        for condition in conditions:
            total = condition if total is None else self.text.pure(f"and i1 {total}, {condition}")
        return total

    def shared(self, base: str, offset: str | int, constant: int = 0) -> str:
        """The address of byte `offset` + `constant` from `base` in shared memory."""
        for step in (str(offset), str(constant)):
            if step != "0":
                base = self.text.pure(f"getelementptr i8, ptr addrspace(3) {base}, i32 {step}")
        return base

    def element(self, layout: SliceLayout, base: str, line: tuple[str, int], depth: tuple[str, int]) -> str:
        """The address of an element of the slice at `base`; its line and depth are sums of a value and a number."""
        inner, outer = (line, depth) if layout.lines_adjoin else (depth, line)
        size = layout.dtype.itemsize
        varying = self.add(self.scaled(outer[0], layout.pitch * size), self.scaled(inner[0], size))
        return self.shared(base, varying, (outer[1] * layout.pitch + inner[1]) * size)


def _is_known(value: str | int) -> bool:
    return isinstance(value, int) or value.lstrip("-").isdecimal()
