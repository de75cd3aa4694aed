"""The table of instructions: for each mnemonic the function that builds the closure that runs it."""

from __future__ import annotations

from collections.abc import Callable

from ptx_machine.operands import Assembler, Execute

Builder = Callable[[Assembler], Execute]

PLAIN: dict[str, Builder] = {}
"""Instructions after which the next one follows."""

CONTROL: dict[str, Builder] = {}
"""Instructions that decide where to go on, or that may wait; their closures return a step or STOP."""


def builds(*names: str) -> Callable[[Builder], Builder]:
    """Enter the builder of plain instructions."""

    def enter(builder: Builder) -> Builder:
        PLAIN.update(dict.fromkeys(names, builder))
        return builder

    return enter


def builds_control(*names: str) -> Callable[[Builder], Builder]:
    """Enter the builder of instructions that transfer control or wait."""

    def enter(builder: Builder) -> Builder:
        CONTROL.update(dict.fromkeys(names, builder))
        return builder

    return enter
