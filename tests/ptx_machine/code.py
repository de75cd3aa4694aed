"""From the syntax tree of a file to steps: one closure for each instruction, all functions in one sequence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ptx_machine.addresses import LOCAL_START, PARAMETER_START, SHARED_START
from ptx_machine.errors import UnknownInstruction
from ptx_machine.instructions import CONTROL, PLAIN
from ptx_machine.instructions.control import conditional_branch, take_results
from ptx_machine.operands import STOP, Assembler, Execute, Reader, Symbols, Views
from ptx_machine.scalars import SCALARS
from ptx_machine.syntax import Arguments, File, Function, Instruction, Symbol, Variable
from ptx_machine.wgmma_registers import guard_registers

if TYPE_CHECKING:
    from ptx_machine.wave import Wave

ASYNCHRONOUS = {"cp", "wgmma", "mbarrier"}


@dataclass(slots=True)
class StepPlace:
    """Where a step comes from."""

    function: str
    line: int
    source: str


@dataclass(slots=True)
class Kernel:
    """What a launch needs to know of a kernel and the functions it calls."""

    name: str
    entry: int
    parameters: list[Variable]
    parameter_offsets: list[int]
    parameter_bytes: int
    static_shared_bytes: int
    dynamic_alignment: int
    local_bytes: int
    frames: dict[str, int]
    registers: set[str]
    opcodes: set[str]
    shared_grain: int
    global_grain: int
    synchronises_blocks: bool

    @property
    def is_asynchronous(self) -> bool:
        return bool(self.opcodes & ASYNCHRONOUS)


class Code:
    """The steps of all functions of a file.

    Raises:
        UnknownInstruction: an instruction, a modifier or a name is not known.
    """

    def __init__(self, file: File) -> None:
        self.file = file
        self.views = Views()
        self.steps: list[Execute] = []
        self.places: list[StepPlace] = []
        self.collective_span: dict[int, int] = {}
        self.parameter_frames: dict[str, list[str]] = {}
        self.result_frames: dict[str, list[str]] = {}
        self.functions = {function.name: function for function in file.functions}
        self.symbols: dict[str, Symbols] = {}
        self.entries = self._entries()
        self.kernels = {each.name: self._kernel(each) for each in file.functions if each.is_kernel}
        for function in file.functions:
            self._assemble(function)

    def _entries(self) -> dict[str, int]:
        position, entries = 0, {}
        for function in self.file.functions:
            entries[function.name] = position
            position += sum(1 + _takes_results(each) for each in function.instructions) + 1
            self.parameter_frames[function.name] = [f"{function.name}.{each.name}" for each in function.parameters]
            self.result_frames[function.name] = [f"{function.name}.{each.name}" for each in function.results]
        return entries

    # ---- layout

    def _called(self, function: Function, above: tuple[str, ...] = ()) -> list[Function]:
        """The function and all that it calls, directly or not."""
        if function.name in above:
            raise UnknownInstruction(f"function {function.name} calls itself, which is not supported")
        found = [function]
        for instruction in function.instructions:
            if instruction.parts[0] == "call":
                for operand in instruction.operands:
                    if isinstance(operand, Symbol) and operand.name in self.functions:
                        found += self._called(self.functions[operand.name], (*above, function.name))
        return found

    def _kernel(self, kernel: Function) -> Kernel:
        functions = {each.name: each for each in self._called(kernel)}
        offsets, parameter_bytes = _layout(kernel.parameters)
        shared, shared_bytes, dynamic_alignment = self._shared(list(functions.values()))
        local, local_bytes = {}, 0
        frames: dict[str, int] = {}
        for function in functions.values():
            for variable in function.variables:
                if variable.space == "local":
                    local_bytes = _align(local_bytes, variable.alignment)
                    local[variable.name] = LOCAL_START + local_bytes
                    local_bytes += variable.nbytes
                elif variable.space == "param":
                    frames[variable.name] = variable.nbytes
            if not function.is_kernel:
                frames |= {
                    f"{function.name}.{each.name}": each.nbytes for each in function.parameters + function.results
                }
                frames[f"{function.name}.return"] = 8
        device = {each.name for each in self.file.variables if each.space in ("global", "const")}
        places = {each.name: PARAMETER_START + at for each, at in zip(kernel.parameters, offsets, strict=True)}
        for function in functions.values():
            parameters = places if function.is_kernel else {}
            self.symbols[function.name] = Symbols(shared, local, parameters, device)
        instructions = [each for function in functions.values() for each in function.instructions]
        return Kernel(
            name=kernel.name,
            entry=self.entries[kernel.name],
            parameters=kernel.parameters,
            parameter_offsets=offsets,
            parameter_bytes=parameter_bytes,
            static_shared_bytes=shared_bytes,
            dynamic_alignment=dynamic_alignment,
            local_bytes=local_bytes,
            frames=frames,
            registers={name for function in functions.values() for name in function.registers},
            opcodes={each.parts[0] for each in instructions},
            shared_grain=_grain(instructions, ("shared", "shared::cta")),
            global_grain=_grain(instructions, ("global",)),
            synchronises_blocks=any(_synchronises(each) for each in instructions),
        )

    def _shared(self, functions: list[Function]) -> tuple[dict[str, int], int, int]:
        """Offsets of the shared variables, the bytes of the static ones, and the alignment of the dynamic one."""
        used = _symbols_of(functions)
        inner = [each for function in functions for each in function.variables if each.space == "shared"]
        outer = [each for each in self.file.variables if each.space == "shared" and each.name in used]
        offsets: dict[str, int] = {}
        end = 0
        for variable in sorted(inner + outer, key=lambda each: -each.alignment):
            if not variable.is_extern:
                end = _align(end, variable.alignment)
                offsets[variable.name] = SHARED_START + end
                end += variable.nbytes
        dynamic = [each for each in outer if each.is_extern]
        alignment = max((each.alignment for each in dynamic), default=1)
        end = _align(end, alignment) if dynamic else end
        offsets |= {each.name: SHARED_START + end for each in dynamic}
        return offsets, end, alignment

    # ---- steps

    def _assemble(self, function: Function) -> None:
        if function.name not in self.symbols:
            device = {each.name for each in self.file.variables if each.space in ("global", "const")}
            self.symbols[function.name] = Symbols(device=device)
        labels = dict(self.entries)
        starts, position = [], self.entries[function.name]
        for instruction in function.instructions:
            starts.append(position)
            position += 1 + _takes_results(instruction)
        labels |= {name: [*starts, position][index] for name, index in function.labels.items()}
        for instruction, pc in zip(function.instructions, starts, strict=True):
            a = Assembler(instruction, function, self.views, self.symbols[function.name], pc, labels)
            self._append(function, instruction, self._step(a))
            if a.name == "wgmma":
                self.collective_span[pc] = 4
            if _takes_results(instruction):
                self._append(function, instruction, take_results(a))
        self._append(function, Instruction(("ret",), (), None, 0, "the end of the function"), _falls_off)
        guard_registers(self.steps, function, starts)

    def _append(self, function: Function, instruction: Instruction, step: Execute) -> None:
        self.steps.append(step)
        self.places.append(StepPlace(function.name, instruction.line, instruction.source))

    def _step(self, a: Assembler) -> Execute:
        predicate = a.predicate(a.instruction.predicate) if a.instruction.predicate is not None else None
        if a.name in CONTROL:
            step = CONTROL[a.name](a)
            if predicate is None:
                return step
            if a.name == "bra":
                operand = a.operand(0)
                assert isinstance(operand, Symbol)
                return conditional_branch(a.target_of_branch(operand.name), a.pc + 1, predicate)
            return _predicated_control(step, predicate, a.pc + 1 + _takes_results(a.instruction))
        if a.name in PLAIN:
            step = PLAIN[a.name](a)
            return step if predicate is None else _predicated(step, predicate)
        raise a.unknown("unknown instruction")


def _predicated(step: Execute, predicate: Reader) -> Execute:
    """Run `step` for the active threads whose predicate holds."""

    def execute(w: Wave) -> None:
        mask = w.each(predicate(w))
        number = int(np.count_nonzero(mask))
        if number == mask.size:
            step(w)
        elif number:
            before = w.ix, w.count, w.whole
            w.focus(w.indices[mask])
            step(w)
            w.ix, w.count, w.whole = before

    return execute


def _predicated_control(step: Execute, predicate: Reader, following: int) -> Execute:
    """Run `step` for the active threads whose predicate holds; the others go on behind it."""

    def execute(w: Wave) -> int | None:
        mask = w.each(predicate(w))
        number = int(np.count_nonzero(mask))
        if number == mask.size:
            return step(w)
        if number == 0:
            return following
        indices = w.indices
        w.pc[indices[~mask]] = following
        w.focus(indices[mask])
        result = step(w)
        if result != STOP:
            w.pc[w.ix] = result
        return STOP

    return execute


def _falls_off(w: Wave) -> None:
    w.fault(UnknownInstruction, "the code runs off the end of the function", 0)


def _takes_results(instruction: Instruction) -> bool:
    return (
        instruction.parts[0] == "call"
        and isinstance(instruction.operands[0], Arguments)
        and len(instruction.operands) > 1
    )


def _align(offset: int, alignment: int) -> int:
    return -(-offset // alignment) * alignment


def _layout(parameters: list[Variable]) -> tuple[list[int], int]:
    offsets, end = [], 0
    for parameter in parameters:
        end = _align(end, parameter.alignment)
        offsets.append(end)
        end += parameter.nbytes
    return offsets, end


def _symbols_of(functions: list[Function]) -> set[str]:
    """The names that the operands of these functions mention."""
    found: set[str] = set()

    def visit(operand: object) -> None:
        if isinstance(operand, Symbol):
            found.add(operand.name)
        for name in getattr(operand, "__slots__", ()):
            value = getattr(operand, name)
            for each in value if isinstance(value, tuple) else (value,):
                if hasattr(each, "__slots__"):
                    visit(each)

    for function in functions:
        for instruction in function.instructions:
            for operand in instruction.operands:
                visit(operand)
    return found


def _grain(instructions: list[Instruction], spaces: tuple[str, ...]) -> int:
    """The size in bytes of the smallest element that is loaded or stored in a space, at most 4."""
    sizes = [4]
    for each in instructions:
        if each.parts[0] in ("ld", "st", "atom", "red") and each.parts[-1] in SCALARS:
            named = [part for part in each.parts if part.startswith(("global", "shared", "local", "param", "const"))]
            if not named or named[0] in spaces:
                sizes.append(SCALARS[each.parts[-1]].nbytes)
        elif each.parts[0] == "cp" and "bulk" in each.parts:
            sizes.append(1 if "tensor" in each.parts and "global" in spaces else 4)
    return min(sizes)


def _synchronises(instruction: Instruction) -> bool:
    """Whether an instruction can order what different blocks do."""
    if instruction.parts[0] in ("atom", "red"):
        return True
    return instruction.parts[0] in ("ld", "st") and instruction.parts[1] in (
        "volatile",
        "relaxed",
        "acquire",
        "release",
    )
