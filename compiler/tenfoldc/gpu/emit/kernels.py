"""One launch as a kernel: its function as LLVM text, and what it is to be given, in order."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from tenfold_rt.frozen import frozen
from tenfoldc.emit.function_text import FunctionText
from tenfoldc.emit.module_text import ModuleText
from tenfoldc.gpu.emit.statements import ThreadText
from tenfoldc.gpu.tensor_maps import FactorMap, factor_maps
from tenfoldc.loops.ir import (
    Axis,
    Barrier,
    Buffer,
    Constant,
    Expr,
    For,
    Launch,
    Load,
    MultiplyChain,
    MultiplyTiles,
    Statement,
    TileFactor,
)
from tenfoldc.loops.traversal import all_expressions, loaded, owners, stored, walk_statements

_ALIGNMENT = 16
"""What memory is aligned to: the widest access of a thread."""

_RESIDENT_THREADS = 768
"""Threads that a multiprocessor is to have room for, with 85 registers each: of itself, ptxas takes 64 and spills."""

_FEW_THREADS = 128

_MULTIPLYING_THREADS = 512
"""The same for threads that multiply tiles as they lie in memory, whose sums take most of 128 registers each."""

_COMPUTING_THREADS = 384
"""The same for threads that compute what they multiply, and for those of processors before sm_90."""

_CHAIN_THREADS = 256
"""The same for threads that multiply what they have multiplied, which they hold in registers too."""

_STATIC_SHARED = 48 * 1024
"""Bytes of shared memory that a kernel can have without being given them."""

_NAME = re.compile(r"[^A-Za-z0-9_]")


@frozen
class KernelText:
    """A kernel that has been written: its name and its arguments, memory, then indices of the host's loops, then maps.

    `shared_bytes` of shared memory are given it by the launch, which is more than it can have by itself.
    """

    name: str
    buffers: tuple[Buffer, ...]
    axes: tuple[Axis, ...]
    maps: tuple[FactorMap, ...]
    shared_bytes: int


def kernel_text(module: ModuleText, name: str, launch: Launch, memory: Mapping[Buffer, object]) -> KernelText:
    """Write the kernel of `launch` into `module`, or find one that does the same.

    `memory` tells for each buffer that owns memory where that is; buffers in one place are given once, and those of
    different places do not overlap.
    """
    text = FunctionText()
    shared = owners(launch.shared)
    used = dict.fromkeys(buffer.storage for buffer in (*loaded(launch.body), *stored(launch.body)))
    written = {memory[buffer.storage] for buffer in stored(launch.body) if buffer.storage not in shared}
    exchanged = written & _read_after_barriers(launch, memory)
    places: dict[object, list[Buffer]] = {}
    for buffer in used:
        if buffer not in shared:
            places.setdefault(memory[buffer], []).append(buffer)
    pointers: dict[Buffer, str] = {}
    parameters: list[str] = []
    for place, buffers in places.items():
        alone = "" if place in exchanged else " noalias"
        readonly = "" if place in written else " readonly"
        parameter = f"%b{len(parameters)}"
        parameters.append(f"ptr addrspace(1){alone}{readonly} align {_ALIGNMENT} {parameter}")
        pointers |= dict.fromkeys(buffers, f"addrspace(1) {parameter}")
    axes = tuple(_outer_axes(launch))
    for number, axis in enumerate(axes):
        parameters.append(f"i64 %axis{number}")
        text.bind(axis, f"%axis{number}")
    is_dynamic = sum(map(_bytes, launch.shared)) > _STATIC_SHARED
    for number, buffer in enumerate(launch.shared):
        size = None if is_dynamic and number == len(launch.shared) - 1 else _bytes(buffer)
        pointers[buffer] = _shared_memory(module, text, number, size)
    thread, block = _own_numbers(text)
    text.bind(launch.thread, thread)
    text.bind(launch.block, block)
    for buffer in launch.private:
        if buffer in pointers:
            pointers[buffer] = _own_part(text, pointers[buffer], buffer, block, thread, launch.threads)
    writer = ThreadText(module, text, pointers, thread, launch.threads)
    writer.blocks = int(launch.blocks.value) if isinstance(launch.blocks, Constant) else 0
    maps: list[FactorMap] = []
    for statement in walk_statements(launch.body):
        if isinstance(statement, MultiplyTiles) and statement.tiling.bulk:
            own = factor_maps(statement)
            writer.tensor_maps[statement] = [f"%map{len(maps) + number}" for number in range(len(own))]
            maps += own
    parameters += [f'ptr byval([128 x i8]) align 64 "nvvm.grid_constant" %map{number}' for number in range(len(maps))]
    writer.statements(launch.body)
    text.effect("ret void")
    definition = f"({', '.join(parameters)}) {_attributes(module, launch)} {{\n{text}\n}}"
    unique = f"{_NAME.sub('_', name)}_{len(module.parts)}"
    symbol = module.once(("kernel", definition), unique, lambda symbol: f"define ptx_kernel void {symbol}{definition}")
    dynamic = _bytes(launch.shared[-1]) if is_dynamic else 0
    return KernelText(symbol.strip('@"'), tuple(buffers[0] for buffers in places.values()), axes, tuple(maps), dynamic)


def _read_after_barriers(launch: Launch, memory: Mapping[Buffer, object]) -> set[object]:
    """The places that a thread reads in a launch whose threads wait for each other: there, others may have written."""
    if not any(isinstance(statement, Barrier) for statement in walk_statements(launch.body)):
        return set()
    return {memory[buffer.storage] for buffer in loaded(launch.body) if buffer.storage in memory}


def _attributes(module: ModuleText, launch: Launch) -> str:
    """How many threads a block has, and how many blocks a multiprocessor is to have room for."""
    resident = _RESIDENT_THREADS
    for statement in walk_statements(launch.body):
        if isinstance(statement, MultiplyChain):
            resident = _CHAIN_THREADS
        if isinstance(statement, MultiplyTiles):
            is_plain = isinstance(statement.lhs.element, Load) and isinstance(statement.rhs.element, Load)
            is_late = module.target.cpu.startswith("sm_9")
            resident = _MULTIPLYING_THREADS if is_plain and is_late else _COMPUTING_THREADS
            if statement.tiling.bulk:
                resident = launch.threads
    together = max(1, resident // max(launch.threads, _FEW_THREADS))
    return f'{module.function_attributes} "nvvm.reqntid"="{launch.threads}" "nvvm.minctasm"="{together}"'


def _own_numbers(text: FunctionText) -> tuple[str, str]:
    """The numbers of the thread and of its block, as i64."""
    registers = [text.fresh(f"call i32 @llvm.nvvm.read.ptx.sreg.{name}.x()") for name in ("tid", "ctaid")]
    thread, block = (text.fresh(f"zext nneg i32 {register} to i64") for register in registers)
    return thread, block


def _own_part(text: FunctionText, pointer: str, buffer: Buffer, block: str, thread: str, threads: int) -> str:
    """The part of `buffer` that is this thread's own."""
    size = math.prod(buffer.shape[1:]) * buffer.dtype.itemsize
    number = text.fresh(f"add i64 {text.fresh(f'mul i64 {block}, {threads}')}, {thread}")
    place = text.fresh(f"getelementptr i8, ptr {pointer}, i64 {text.fresh(f'mul i64 {number}, {size}')}")
    return f"addrspace(1) {place}"


def _shared_memory(module: ModuleText, text: FunctionText, number: int, size: int | None) -> str:
    """A pointer to shared memory of a block, of `size` bytes, or, where that is None, to what a launch is given.

    Kernels share its name, and each block has its own.
    """

    def write(symbol: str) -> str:
        if size is None:
            return f"{symbol} = external addrspace(3) global [0 x i8], align 1024"
        return f"{symbol} = internal addrspace(3) global [{size} x i8] undef, align 1024"

    name = "given" if size is None else f"shared{number}_{size}"
    symbol = module.once(("shared", number, size), name, write)
    return text.pure(f"addrspacecast ptr addrspace(3) {symbol} to ptr")


def _bytes(buffer: Buffer) -> int:
    return max(1, buffer.nbytes)


def _outer_axes(launch: Launch) -> Sequence[Axis]:
    """The indices of loops around a launch that its threads use, in order of first use."""
    own = {launch.block, launch.thread, *_bound(launch.body)}
    used = dict.fromkeys(e for e in all_expressions(launch.body) if isinstance(e, Axis))
    return [axis for axis in used if axis not in own]


def _bound(statements: Sequence[Statement]) -> set[Expr]:
    found: set[Expr] = set()
    for statement in walk_statements(statements):
        if isinstance(statement, For):
            found.add(statement.axis)
        elif isinstance(statement, MultiplyTiles):
            found |= {statement.tile, statement.row, statement.column}
            found |= _own_axes((statement.lhs, statement.rhs))
        elif isinstance(statement, MultiplyChain):
            found |= {statement.row, statement.column, *(row_sum.feature for row_sum in statement.sums)}
            found |= _own_axes(statement.factors)
    return found


def _own_axes(factors: Sequence[TileFactor]) -> set[Expr]:
    return {axis for factor in factors for axis in (factor.line, factor.position, factor.channel)}
