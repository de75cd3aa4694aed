"""Programs of the loop IR as one LLVM module: loop IR, allocations and a target in; text out.

A program NAME becomes `define internal i32 @"NAME.impl"(ptr team, ptr workspace, ptr parameters..., ptr
results...)`, which calls one function per kernel; `team`, which may be null, is handed to `@tenfold.parallel` by the
loops that threads share (`tenfoldc.emit.parallel`).  The text has neither triple nor module flags
(`compile_text` adds them), so other text, such as the exported entries that call `NAME.impl`, can be
appended.  Numbered metadata in appended text would clash and is not to be used.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from tenfold_rt.frozen import frozen
from tenfoldc.emit.accesses import origins
from tenfoldc.emit.function_text import FunctionText
from tenfoldc.emit.module_text import ModuleText, Part
from tenfoldc.emit.outlined import MOST_INLINED_CALLS, MOST_OPTIMISED_CALLS, kept_alive, vector_forms_in
from tenfoldc.emit.parallel import Surroundings
from tenfoldc.emit.statements import StatementText
from tenfoldc.emit.tapes import begin_tape, end_tape
from tenfoldc.emit.timing import KernelTimer
from tenfoldc.loops.ir import (
    Allocation,
    Buffer,
    Call,
    Function,
    Kernel,
    Program,
)
from tenfoldc.loops.traversal import all_expressions
from tenfoldc.target import Target


@frozen
class LlvmText:
    """LLVM IR text, and the bytes of the hidden symbols that it declares but leaves to the object writer."""

    text: str
    external_data: Mapping[str, bytes]
    parts: Sequence[Part]
    metadata: Sequence[str]


def emit_program(program: Program, allocation: Allocation, target: Target) -> LlvmText:
    """`emit_programs` for one program."""
    return emit_programs([(program, allocation)], target)


def emit_programs(
    programs: Iterable[tuple[Program, Allocation]], target: Target, *, inline_data: bool = False, timed: bool = False
) -> LlvmText:
    """One module for all `programs`, whose names differ; they share scalar functions, tiles and constants.

    `inline_data` writes even large constants into the text, for an object that another linker is to read.  `timed`
    has the calls of kernels counted and timed (`tenfoldc.emit.timing`).
    """
    module = ModuleText(target, inline_data=inline_data)
    for program, allocation in programs:
        _ProgramText(module, program, allocation).write(timed=timed)
    text = str(module)
    return LlvmText(f"{kept_alive(vector_forms_in(text))}{text}", module.external_data, module.parts, module.metadata)


class _ProgramText:
    """Writes one program into a module."""

    def __init__(self, module: ModuleText, program: Program, allocation: Allocation) -> None:
        self.module = module
        self.program = program
        self.allocation = allocation
        self.text = FunctionText()
        self.arguments = {buffer.storage: f"%p{number}" for number, buffer in enumerate(program.parameters)}
        self.arguments |= {buffer.storage: f"%r{number}" for number, buffer in enumerate(program.results)}
        calls = _calls(program.kernels)
        self.called_by_many = {function for function, count in calls.items() if count > MOST_OPTIMISED_CALLS}
        self.constants = {buffer.storage: array for buffer, array in program.constants.items()}

    def write(self, *, timed: bool) -> None:
        """Write the kernels and the function that calls them in order."""
        tapes = [self._memory(tape) for tape in self.program.tapes]
        for pointer in tapes:
            begin_tape(self.text, pointer)
        for parameter, result in self.program.donated:
            self._take(self.program.parameters[parameter], self.program.results[result])
        kernels = self.program.kernels
        timer = KernelTimer(self.module, self.text, self.program.name, len(kernels)) if timed else None
        for number, kernel in enumerate(kernels):
            self._call_kernel(f"{self.program.name}.kernel{number}.{kernel.name}", kernel)
            if timer is not None:
                timer.called(number)
        status = "0"
        for pointer in tapes:
            status = end_tape(self.text, pointer, status)
        self.text.effect(f"ret i32 {status}")
        parameters = [f"ptr %p{number}" for number in range(len(self.program.parameters))]
        results = [f"ptr %r{number}" for number in range(len(self.program.results))]
        signature = ", ".join(["ptr %team", "ptr noalias align 64 %workspace", *parameters, *results])
        symbol = self.module.symbol(f"{self.program.name}.impl")
        attributes = f"noinline {self.module.function_attributes}"
        self.module.append(f"define internal i32 {symbol}({signature}) {attributes} {{\n{self.text}\n}}")

    def _take(self, parameter: Buffer, result: Buffer) -> None:
        """Let a donated parameter live where its result is to be: a caller that gives other memory has it copied.

        So kernels are written once, for the one case, and know that their pointers are distinct.
        """
        text, source, target = self.text, self.arguments[parameter.storage], self.arguments[result.storage]
        copied, taken = text.label("copied"), text.label("taken")
        text.branch_if(text.fresh(f"icmp eq ptr {source}, {target}"), taken, copied)
        text.start(copied)
        text.effect(f"call void @llvm.memcpy.p0.p0.i64(ptr {target}, ptr {source}, i64 {parameter.nbytes}, i1 false)")
        text.branch(taken)
        text.start(taken)
        self.arguments[parameter.storage] = target

    def _call_kernel(self, name: str, kernel: Kernel) -> None:
        with self.module.unit(name):
            call = self._define_kernel(name, kernel)
        self.text.effect(call)

    def _memory(self, buffer: Buffer) -> str:
        """The pointer to a buffer in the function that calls the kernels."""
        if buffer in self.arguments:
            return self.arguments[buffer]
        if buffer in self.constants:
            return self.module.data(f"{self.program.name}.{buffer.name}", self.constants[buffer])
        offset = self.allocation.offsets[buffer]
        return self.text.pure(f"getelementptr inbounds i8, ptr %workspace, i64 {offset}")

    def _define_kernel(self, name: str, kernel: Kernel) -> str:
        """Write a kernel's function, which takes each distinct pointer once; the text of a call of it."""
        least = origins(kernel.body)
        memory = {buffer: self._memory(buffer) for buffer in least}
        sharing: dict[str, list[Buffer]] = {}
        for buffer, pointer in memory.items():
            sharing.setdefault(pointer, []).append(buffer)
        overlapping = self._overlapping(memory)
        pointers: dict[Buffer, str] = {}
        attributes: dict[str, str] = {}
        given = ["%team"]
        for pointer, buffers in sharing.items():
            first = 0 if pointer.startswith("@") else _common_origin(buffers, least)
            least |= {buffer: first // buffer.dtype.itemsize for buffer in buffers}
            local = pointer if pointer.startswith("@") else f"%b{len(attributes)}"
            pointers |= dict.fromkeys(buffers, local)
            if not pointer.startswith("@"):
                is_alone = not any(buffer in overlapping for buffer in buffers)
                attributes[local] = self._pointer_attributes(buffers, is_alone, first)
                given.append(
                    self.text.pure(f"getelementptr inbounds i8, ptr {pointer}, i64 {first}") if first else pointer
                )
        surroundings = Surroundings(name, attributes, self.allocation.private_bytes)
        writer = StatementText(self.module, FunctionText(), pointers, least, self.program.name, surroundings)
        often = {function for function, count in _calls([kernel]).items() if count > MOST_INLINED_CALLS}
        with self.module.calling(frozenset(often & self.called_by_many)):
            writer.function_body(kernel.body)
        writer.text.effect("ret void")
        symbol = self.module.symbol(name)
        signature = ", ".join(["ptr %team", *(f"ptr {about} {local}" for local, about in attributes.items())])
        self.module.append(
            f"define internal fastcc void {symbol}({signature}) noinline "
            f"{self.module.function_attributes}{writer.text.attributes} {{\n{writer.text}\n}}"
        )
        return f"call fastcc void {symbol}({', '.join(f'ptr {pointer}' for pointer in given)})"

    def _pointer_attributes(self, buffers: Sequence[Buffer], is_alone: bool, first: int) -> str:
        """What is true of a kernel's pointer to `buffers`, which are one piece of memory, from byte `first` on."""
        in_workspace = all(buffer in self.allocation.offsets for buffer in buffers)
        alignment = math.gcd(64, first) if in_workspace else max(buffer.dtype.itemsize for buffer in buffers)
        size = max(_bytes_from(buffer, first) for buffer in buffers)
        attributes = ["noalias"] if is_alone else []
        attributes.append(f"align {alignment}")
        if size:
            attributes.append(f"dereferenceable({size})")
        return " ".join(attributes)

    def _overlapping(self, memory: Mapping[Buffer, str]) -> set[Buffer]:
        """Buffers in the workspace that share bytes with another one but do not begin where it does."""
        placed = [buffer for buffer in memory if buffer in self.allocation.offsets]
        placed.sort(key=self.allocation.offsets.__getitem__)
        overlapping: set[Buffer] = set()
        for number, first in enumerate(placed):
            start = self.allocation.offsets[first]
            for second in placed[number + 1 :]:
                offset = self.allocation.offsets[second]
                if offset >= start + first.nbytes:
                    break
                if offset != start:
                    overlapping |= {first, second}
        return overlapping


def _calls(kernels: Sequence[Kernel]) -> Counter[Function]:
    """How often each scalar function is called."""
    return Counter(
        expression.function
        for kernel in kernels
        for expression in all_expressions(kernel.body)
        if isinstance(expression, Call)
    )


def _common_origin(buffers: Sequence[Buffer], least: Mapping[Buffer, int]) -> int:
    """The byte from which on `buffers`, which begin at one place, are touched; whole elements of all of them."""
    first = min(least[buffer] * buffer.dtype.itemsize for buffer in buffers)
    return first - first % max(buffer.dtype.itemsize for buffer in buffers)


def _bytes_from(buffer: Buffer, first: int) -> int:
    """How much of a buffer lies from byte `first` on, as far as that is the same for all rows."""
    rows = max(1, buffer.shape[0]) if buffer.shape else 1
    return min(buffer.nbytes - first, buffer.nbytes // rows) if first else buffer.nbytes
