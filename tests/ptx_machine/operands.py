"""From operands to closures that read and write them for the threads that are active in a wave.

Registers are arrays of bits, one element a thread.  A `View` number stands for one register seen as one NumPy type; a
wave holds the array of each view it needs, so reading is one index operation.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ptx_machine.errors import Place, UnknownInstruction
from ptx_machine.scalars import BITS, S64, SCALARS, Scalar
from ptx_machine.syntax import (
    Address,
    Function,
    Immediate,
    Instruction,
    Negated,
    Operand,
    Pair,
    Register,
    Sink,
    Special,
    Symbol,
    Vector,
)

if TYPE_CHECKING:
    from ptx_machine.wave import Wave

Array = NDArray[Any]
Reader = Callable[["Wave"], Any]
Writer = Callable[["Wave", Any], None]
Execute = Callable[["Wave"], "int | None"]
"""What a step does: None lets the next step follow, a number is the step to go on with, STOP ends the stretch."""

STOP = -1

EXITED = 1 << 30
"""The program counter of a thread that has exited."""


@dataclass(slots=True)
class Views:
    """The views that the code of a module needs: (register, NumPy type) and the number of each."""

    numbers: dict[tuple[str, np.dtype[Any]], int] = field(default_factory=dict)
    registers: dict[str, Register] = field(default_factory=dict)

    def number(self, register: Register, dtype: np.dtype[Any]) -> int:
        self.registers[register.name] = register
        return self.numbers.setdefault((register.name, dtype), len(self.numbers))


@dataclass(slots=True)
class Symbols:
    """What a name means: an offset in shared memory, a place in local memory, a parameter, or a global variable."""

    shared: dict[str, int] = field(default_factory=dict)
    local: dict[str, int] = field(default_factory=dict)
    parameters: dict[str, int] = field(default_factory=dict)
    device: set[str] = field(default_factory=set)


class Assembler:
    """What the builder of one instruction sees: its operands, its modifiers and its place in the code."""

    def __init__(
        self,
        instruction: Instruction,
        function: Function,
        views: Views,
        symbols: Symbols,
        pc: int,
        labels: dict[str, int],
    ) -> None:
        self.instruction = instruction
        self.function = function
        self.views = views
        self.symbols = symbols
        self.pc = pc
        self.labels = labels
        self._rest = list(instruction.parts[1:])

    # ---- modifiers

    @property
    def name(self) -> str:
        return self.instruction.parts[0]

    def optional(self, *choices: str) -> str | None:
        """The next modifier, if it is one of `choices`."""
        if self._rest and self._rest[0] in choices:
            return self._rest.pop(0)
        return None

    def flag(self, name: str) -> bool:
        return self.optional(name) is not None

    def required(self, *choices: str) -> str:
        """The next modifier, which must be one of `choices`."""
        found = self.optional(*choices)
        if found is None:
            raise self.unknown(
                f"expected one of {', '.join(choices)}" + (f", found {self._rest[0]!r}" if self._rest else "")
            )
        return found

    def sequence(self, *modifiers: str) -> None:
        """All of `modifiers`, in their order."""
        for each in modifiers:
            self.required(each)

    def scalar(self, *kinds: str) -> Scalar:
        """The next modifier as a scalar type, whose name must begin with one of `kinds`."""
        if not self._rest or self._rest[0] not in SCALARS or not self._rest[0].startswith(kinds or ("",)):
            raise self.unknown("unknown type" + (f" {self._rest[0]!r}" if self._rest else ""))
        return SCALARS[self._rest.pop(0)]

    def peek(self) -> str:
        return self._rest[0] if self._rest else ""

    def end(self, operands: int | tuple[int, ...]) -> None:
        """Check that no modifier is left, and the number of operands."""
        if self._rest:
            raise self.unknown(f"unknown modifier {self._rest[0]!r}")
        allowed = (operands,) if isinstance(operands, int) else operands
        if self.operand_count not in allowed:
            raise self.unknown(f"{self.operand_count} operands")

    @property
    def operand_count(self) -> int:
        return len(self.instruction.operands)

    def unknown(self, message: str) -> UnknownInstruction:
        place = Place(self.function.name, self.instruction.line, self.instruction.source, None, None)
        return UnknownInstruction(f"{self.name}: {message}", place)

    # ---- operands

    def operand(self, index: int) -> Operand:
        return self.instruction.operands[index]

    def source(self, index: int, scalar: Scalar) -> Reader:
        """Reads operand `index` as `scalar`: an array with an element for each active thread, or one scalar for all."""
        return self.read(self.operand(index), scalar)

    def target(self, index: int, scalar: Scalar) -> Writer:
        """Writes operand `index`, extending values narrower than the register by their sign or by zeros."""
        return self.write(self.operand(index), scalar)

    def read(self, operand: Operand, scalar: Scalar) -> Reader:
        match operand:
            case Register():
                return self._register(operand, scalar)
            case Immediate():
                return _constant(self.immediate(operand, scalar))
            case Special(name):
                return _special(name, scalar)
            case Symbol(name):
                return self.symbol(name, scalar)
            case Negated(register) if scalar.kind == "pred":
                view = self.views.number(register, np.dtype(np.bool_))
                return lambda w: ~w.views[view][w.ix]
        raise self.unknown(f"operand {operand} cannot be read as {scalar.name}")

    def _register(self, register: Register, scalar: Scalar) -> Reader:
        if (register.bits == 1) != (scalar.kind == "pred") or scalar.width > max(register.bits, 1):
            raise self.unknown(f"register {register.name} has {register.bits} bits, not those of {scalar.name}")
        if scalar.packed:
            view = self.views.number(register, BITS[32])
            dtype = scalar.dtype
            return lambda w: np.ascontiguousarray(w.views[view][w.ix]).view(dtype).reshape(-1, 2)
        if scalar.kind == "pred" or scalar.bits == register.bits:
            view = self.views.number(register, scalar.dtype)
            return lambda w: w.views[view][w.ix]
        view = self.views.number(register, BITS[register.bits])
        narrow, dtype = BITS[scalar.bits], scalar.dtype
        return lambda w: w.views[view][w.ix].astype(narrow).view(dtype)

    def immediate(self, operand: Immediate, scalar: Scalar) -> Any:
        """A literal as a NumPy scalar (or, of a packed type, an array of two)."""
        if scalar.kind == "pred":
            return np.bool_(operand.value != 0)
        value = operand.value
        if operand.float_bits and operand.float_bits != scalar.width:
            raise self.unknown(f"a literal of {operand.float_bits} bits as {scalar.name}")
        if isinstance(value, float):
            if not (scalar.is_float and scalar.bits >= 32):
                raise self.unknown(f"literal {value} as {scalar.name}")
            value = int.from_bytes(struct.pack("<f" if scalar.bits == 32 else "<d", value), "little")
        elif scalar.is_float and not operand.float_bits and scalar.bits >= 32:
            raise self.unknown(f"integer literal {value} as {scalar.name}")
        bits = np.array([value & ((1 << scalar.width) - 1)], BITS[scalar.width])
        return bits.view(scalar.dtype) if scalar.packed else bits.view(scalar.dtype)[0]

    def symbol(self, name: str, scalar: Scalar) -> Reader:
        """The address of a variable, in its own state space (a global variable's is its generic one)."""
        for table in (self.symbols.shared, self.symbols.local, self.symbols.parameters):
            if name in table:
                return _constant(np.array([table[name]], np.uint64).astype(scalar.dtype)[0])
        if name in self.symbols.device:
            dtype = scalar.dtype.type
            return lambda w: dtype(w.variables[name])
        raise self.unknown(f"unknown name {name!r}")

    def address(self, index: int) -> Reader:
        """Reads `[base+offset]` as int64."""
        operand = self.operand(index)
        if not isinstance(operand, Address):
            raise self.unknown(f"operand {operand} is no address")
        return self.address_of(operand)

    def address_of(self, operand: Address) -> Reader:
        offset = operand.offset
        if isinstance(operand.base, Register) and operand.base.bits == 32:
            narrow = self.read(operand.base, SCALARS["u32"])
            return lambda w: narrow(w).astype(np.int64) + offset
        base = self.read(operand.base, S64)
        return base if offset == 0 else lambda w: base(w) + offset

    def predicate(self, operand: Register | Negated) -> Reader:
        return self.read(operand, SCALARS["pred"])

    def write(self, operand: Operand, scalar: Scalar) -> Writer:
        if isinstance(operand, Sink):
            return _discard
        if not isinstance(operand, Register):
            raise self.unknown(f"operand {operand} cannot be written")
        if (operand.bits == 1) != (scalar.kind == "pred") or scalar.width > max(operand.bits, 1):
            raise self.unknown(f"register {operand.name} has {operand.bits} bits, not those of {scalar.name}")
        if scalar.packed:
            return self._packed_writer(operand, scalar)
        if scalar.kind == "pred" or scalar.bits == operand.bits:
            view = self.views.number(operand, scalar.dtype)

            def write(w: Wave, value: Any) -> None:
                w.views[view][w.ix] = value

            return write
        wide = np.dtype(f"{'i' if scalar.is_signed else 'u'}{operand.bits // 8}")
        view = self.views.number(operand, wide)
        narrow = scalar.dtype if scalar.kind in "sub" else BITS[scalar.bits]

        def write_extended(w: Wave, value: Any) -> None:
            w.views[view][w.ix] = np.asarray(value).view(narrow)

        return write_extended

    def _packed_writer(self, register: Register, scalar: Scalar) -> Writer:
        view = self.views.number(register, BITS[32])
        dtype = scalar.dtype

        def write(w: Wave, value: Any) -> None:
            w.views[view][w.ix] = np.ascontiguousarray(value, dtype).view(np.uint32).reshape(-1)

        return write

    def items(self, index: int) -> tuple[Operand, ...]:
        """The operands in `{...}`, or the single operand that stands for them."""
        operand = self.operand(index)
        return operand.items if isinstance(operand, Vector) else (operand,)

    def sources(self, index: int, scalar: Scalar) -> list[Reader]:
        return [self.read(item, scalar) for item in self.items(index)]

    def targets(self, index: int, scalar: Scalar) -> list[Writer]:
        return [self.write(item, scalar) for item in self.items(index)]

    def pair(self, index: int) -> tuple[Operand, Operand | None]:
        """`first|second`, or the first alone."""
        operand = self.operand(index)
        return (operand.first, operand.second) if isinstance(operand, Pair) else (operand, None)

    def integer(self, index: int) -> int:
        """Operand `index`, which must be an integer literal."""
        operand = self.operand(index)
        if not isinstance(operand, Immediate) or not isinstance(operand.value, int):
            raise self.unknown(f"operand {operand} is no integer literal")
        return operand.value

    def target_of_branch(self, label: str) -> int:
        if label not in self.labels:
            raise self.unknown(f"unknown label {label!r}")
        return self.labels[label]


def _constant(value: Any) -> Reader:
    return lambda w: value


def _discard(w: Wave, value: Any) -> None:
    """The writer of `_`."""


def _special(name: str, scalar: Scalar) -> Reader:
    dtype = scalar.dtype
    return lambda w: w.special[name][w.ix].astype(dtype)
