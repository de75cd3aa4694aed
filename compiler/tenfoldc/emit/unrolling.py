"""Which loops gain nothing by being unrolled: copies of much code cost LLVM's time, and the processor's cache."""

from __future__ import annotations

from collections.abc import Iterable

from tenfoldc.emit.short_copies import short_copy
from tenfoldc.loops.ir import Constant, For, If, Mode, Statement, Store, While
from tenfoldc.loops.traversal import walk_statements

_LONG_LOOP = 128
"""Turns from which a loop stays one, whatever LLVM makes of it; copies of it then gain nothing."""
_MANY_STORES = 16
"""Stores of a turn beside which the loop's own few instructions do not count."""


def stays_loop(loop: For) -> bool:
    """Whether `loop` is not to be unrolled; a vector loop may be, of which a turn of LLVM's is several of its own."""
    if any(map(_is_long, walk_statements(loop.body))):
        return True
    return loop.mode is Mode.SERIAL and _stores(loop.body) >= _MANY_STORES


def _is_long(statement: Statement) -> bool:
    if not isinstance(statement, For):
        return isinstance(statement, While)
    return not isinstance(statement.extent, Constant) or statement.extent.value >= _LONG_LOOP


def _stores(statements: Iterable[Statement]) -> int:
    """About how many stores `statements` come to, in which no loop is long."""
    total = 0
    for statement in statements:
        match statement:
            case Store():
                total += 1
            case If():
                total += _stores(statement.then) + _stores(statement.otherwise)
            case For(extent=Constant() as extent):
                copy = short_copy(statement)
                total += len(copy.pieces) if copy is not None else int(extent.value) * _stores(statement.body)
            case _:
                pass
    return total
