"""The syntax tree of a PTX file: variables, functions, and instructions with their operands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Register:
    """A register, by the name that is unique in its function; `bits` is 1 for a predicate."""

    name: str
    bits: int


@dataclass(frozen=True, slots=True)
class Special:
    """A special register such as `%tid.x`."""

    name: str


@dataclass(frozen=True, slots=True)
class Immediate:
    """A literal: an integer, a decimal float, or the bits of a float (`0f...` is 32 bits wide, `0d...` 64)."""

    value: int | float
    float_bits: int = 0


@dataclass(frozen=True, slots=True)
class Symbol:
    """The name of a variable, a parameter, a function or a label."""

    name: str


@dataclass(frozen=True, slots=True)
class Sink:
    """`_`: a result nobody wants."""


@dataclass(frozen=True, slots=True)
class Negated:
    """`!p`"""

    operand: Register


@dataclass(frozen=True, slots=True)
class Pair:
    """`p|q`: two results of one instruction."""

    first: Operand
    second: Operand


@dataclass(frozen=True, slots=True)
class Vector:
    """`{a, b, c, d}`"""

    items: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Address:
    """`[base+offset]`, or `[base, {x, y}]` with the coordinates of a tensor map's box."""

    base: Operand
    offset: int
    coordinates: Vector | None = None


@dataclass(frozen=True, slots=True)
class Arguments:
    """`(a, b)`: the arguments or results of a call."""

    items: tuple[Operand, ...]


Operand = Register | Special | Immediate | Symbol | Sink | Negated | Pair | Vector | Address | Arguments


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: `parts` are its mnemonic and modifiers, `predicate` guards it."""

    parts: tuple[str, ...]
    operands: tuple[Operand, ...]
    predicate: Register | Negated | None
    line: int
    source: str


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable or a parameter: its state space, size and alignment in bytes; `values` initialise it."""

    name: str
    space: str
    nbytes: int
    alignment: int
    is_extern: bool = False
    contents: bytes | None = None
    pointers: tuple[tuple[int, str, int], ...] = ()
    """Places in the contents that hold an address: byte offset, symbol, addend."""


@dataclass(slots=True)
class Function:
    """A kernel or a device function: instructions, where each label points, tables of branch targets."""

    name: str
    is_kernel: bool
    parameters: list[Variable]
    results: list[Variable]
    instructions: list[Instruction] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)
    branch_targets: dict[str, tuple[str, ...]] = field(default_factory=dict)
    registers: dict[str, Register] = field(default_factory=dict)
    variables: list[Variable] = field(default_factory=list)
    _mentions: Counter[str] = field(default_factory=Counter[str])

    def mentions(self, register: str) -> int:
        """How often the instructions name a register."""
        if not self._mentions:
            self._mentions.update(name for each in self.instructions for name in _registers(each))
        return self._mentions[register]


@dataclass(slots=True)
class File:
    """Everything in one PTX file."""

    target: str
    variables: list[Variable]
    functions: list[Function]


def _registers(instruction: Instruction) -> Iterator[str]:
    """The names of an instruction's registers, its predicate among them."""
    pending: list[object] = [*instruction.operands, instruction.predicate]
    while pending:
        match pending.pop():
            case Register(name):
                yield name
            case Negated(operand):
                pending.append(operand)
            case Pair(first, second):
                pending += (first, second)
            case Vector(items) | Arguments(items):
                pending += items
            case Address(base, _, coordinates):
                pending += (base, coordinates)
            case _:
                pass
