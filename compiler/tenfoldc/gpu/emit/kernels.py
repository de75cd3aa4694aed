"""One launch as a kernel: its function as LLVM text, and what it is to be given, in order."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tenfoldc.emit.function_text import FunctionText
from tenfoldc.emit.module_text import ModuleText
from tenfoldc.gpu.emit.statements import ThreadText
from tenfoldc.loops.ir import Axis, Buffer, Expr, For, Launch, Statement
from tenfoldc.loops.traversal import all_expressions, loaded, stored, walk_statements

_ALIGNMENT = 16
"""What memory is aligned to: the widest access of a thread."""

_RESIDENT_THREADS = 768
"""Threads that a multiprocessor is to have room for, with 85 registers each: of itself, ptxas takes 64 and spills."""

_FEW_THREADS = 128

_NAME = re.compile(r"[^A-Za-z0-9_]")


@dataclass(frozen=True, slots=True)
class KernelText:
    """A kernel that has been written: its name and its arguments, memory first, then indices of the host's loops."""

    name: str
    buffers: tuple[Buffer, ...]
    axes: tuple[Axis, ...]


def kernel_text(module: ModuleText, name: str, launch: Launch, memory: Mapping[Buffer, object]) -> KernelText:
    """Write the kernel of `launch` into `module`, or find one that does the same.

    `memory` tells for each buffer that owns memory where that is; buffers in one place are given once.
    """
    text = FunctionText()
    shared = {buffer.storage for buffer in launch.shared}
    used = dict.fromkeys(buffer.storage for buffer in (*loaded(launch.body), *stored(launch.body)))
    written = {memory[buffer.storage] for buffer in stored(launch.body) if buffer.storage not in shared}
    places: dict[object, list[Buffer]] = {}
    for buffer in used:
        if buffer not in shared:
            places.setdefault(memory[buffer], []).append(buffer)
    pointers: dict[Buffer, str] = {}
    parameters: list[str] = []
    for place, buffers in places.items():
        readonly = "" if place in written else " readonly noalias"
        parameter = f"%b{len(parameters)}"
        parameters.append(f"ptr addrspace(1){readonly} align {_ALIGNMENT} {parameter}")
        generic = text.pure(f"addrspacecast ptr addrspace(1) {parameter} to ptr")
        pointers |= dict.fromkeys(buffers, generic)
    axes = tuple(_outer_axes(launch))
    for number, axis in enumerate(axes):
        parameters.append(f"i64 %axis{number}")
        text.bind(axis, f"%axis{number}")
    for number, buffer in enumerate(launch.shared):
        pointers[buffer] = _shared_memory(module, text, number, buffer)
    thread, block = _own_numbers(text)
    text.bind(launch.thread, thread)
    text.bind(launch.block, block)
    for buffer in launch.private:
        if buffer in pointers:
            pointers[buffer] = _own_part(text, pointers[buffer], buffer, block, thread, launch.threads)
    writer = ThreadText(module, text, pointers, thread, launch.threads)
    writer.statements(launch.body)
    text.effect("ret void")
    together = max(1, _RESIDENT_THREADS // max(launch.threads, _FEW_THREADS))
    size = f'"nvvm.reqntid"="{launch.threads}" "nvvm.minctasm"="{together}"'
    attributes = f"{module.function_attributes} {size}"
    definition = f"({', '.join(parameters)}) {attributes} {{\n{text}\n}}"
    unique = f"{_NAME.sub('_', name)}_{len(module.parts)}"
    symbol = module.once(("kernel", definition), unique, lambda symbol: f"define ptx_kernel void {symbol}{definition}")
    return KernelText(symbol.strip('@"'), tuple(buffers[0] for buffers in places.values()), axes)


def _own_numbers(text: FunctionText) -> tuple[str, str]:
    """The numbers of the thread and of its block, as i64."""
    registers = [text.fresh(f"call i32 @llvm.nvvm.read.ptx.sreg.{name}.x()") for name in ("tid", "ctaid")]
    thread, block = (text.fresh(f"zext nneg i32 {register} to i64") for register in registers)
    return thread, block


def _own_part(text: FunctionText, pointer: str, buffer: Buffer, block: str, thread: str, threads: int) -> str:
    """The part of `buffer` that is this thread's own."""
    size = math.prod(buffer.shape[1:]) * buffer.dtype.itemsize
    number = text.fresh(f"add i64 {text.fresh(f'mul i64 {block}, {threads}')}, {thread}")
    return text.fresh(f"getelementptr i8, ptr {pointer}, i64 {text.fresh(f'mul i64 {number}, {size}')}")


def _shared_memory(module: ModuleText, text: FunctionText, number: int, buffer: Buffer) -> str:
    """A pointer to shared memory of a block; kernels share its name, and each block has its own."""
    size = max(1, math.prod(buffer.shape) * buffer.dtype.itemsize)

    def write(symbol: str) -> str:
        return f"{symbol} = internal addrspace(3) global [{size} x i8] undef, align 128"

    symbol = module.once(("shared", number, size), f"shared{number}_{size}", write)
    return text.pure(f"addrspacecast ptr addrspace(3) {symbol} to ptr")


def _outer_axes(launch: Launch) -> Sequence[Axis]:
    """The indices of loops around a launch that its threads use, in order of first use."""
    own = {launch.block, launch.thread, *_bound(launch.body)}
    used = dict.fromkeys(e for e in all_expressions(launch.body) if isinstance(e, Axis))
    return [axis for axis in used if axis not in own]


def _bound(statements: Sequence[Statement]) -> set[Expr]:
    return {statement.axis for statement in walk_statements(statements) if isinstance(statement, For)}
