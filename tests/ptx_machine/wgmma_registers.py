"""Which instructions touch the registers of warp-group products; their steps are guarded, and only theirs."""

from __future__ import annotations

from collections.abc import Iterator

from ptx_machine.operands import Execute
from ptx_machine.syntax import Address, Arguments, Function, Instruction, Negated, Operand, Pair, Register, Vector

_WITHOUT_RESULT = {
    "st",
    "red",
    "cp",
    "prefetch",
    "bar",
    "barrier",
    "bra",
    "brx",
    "call",
    "ret",
    "stmatrix",
    "nanosleep",
}


def registers_of(operand: Operand | None) -> Iterator[str]:
    """The names of the registers in an operand."""
    match operand:
        case Register(name):
            yield name
        case Negated(register):
            yield register.name
        case Pair(first, second):
            yield from registers_of(first)
            yield from registers_of(second)
        case Vector(items) | Arguments(items):
            for item in items:
                yield from registers_of(item)
        case Address(base, _, coordinates):
            yield from registers_of(base)
            yield from registers_of(coordinates)
        case _:
            pass


def product_registers(function: Function) -> set[str]:
    """The accumulators and fragments of all warp-group products of a function."""
    found: set[str] = set()
    for instruction in function.instructions:
        if instruction.parts[:2] == ("wgmma", "mma_async"):
            for operand in instruction.operands[:2]:
                if isinstance(operand, Vector):
                    found |= set(registers_of(operand))
    return found


def guard_registers(steps: list[Execute], function: Function, starts: list[int]) -> None:
    """Let the steps of a function that touch registers of products check them first."""
    guarded = product_registers(function)
    if not guarded:
        return
    for instruction, at in zip(function.instructions, starts, strict=True):
        if instruction.parts[0] == "wgmma":
            continue
        reads, writes = _uses(instruction, guarded)
        if reads or writes:
            steps[at] = _guarded(steps[at], reads, writes)


def _uses(instruction: Instruction, guarded: set[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    operands = list(instruction.operands)
    writes: set[str] = set()
    if instruction.parts[0] not in _WITHOUT_RESULT and operands and not isinstance(operands[0], Address):
        writes = set(registers_of(operands.pop(0)))
    reads = {name for operand in operands for name in registers_of(operand)}
    return tuple(sorted(reads & guarded)), tuple(sorted(writes & guarded))


def _guarded(step: Execute, reads: tuple[str, ...], writes: tuple[str, ...]) -> Execute:
    def execute(w):
        w.groups.check_use(reads, writes)
        return step(w)

    return execute
