"""Small PTX programs for the interpreter's tests: instructions wrapped into a kernel, and run over arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ptx_machine import Memory, Module, Schedule

Array = NDArray[Any]

_HEADER = ".version 8.6\n.target sm_90a\n.address_size 64\n"
_REGISTERS = ".reg .pred %p<16>; .reg .b16 %rs<16>; .reg .b32 %r<64>; .reg .b64 %rd<32>;"


def kernel(body: str, pointers: int = 2, declarations: str = "", outside: str = "") -> str:
    """A kernel `k` whose parameters are pointers, in %rd0, %rd1, ...; %r0 is the thread's number in its block.

    `declarations` come at the start of the body, `outside` before the kernel.
    """
    parameters = ", ".join(f".param .u64 k_param_{i}" for i in range(pointers))
    loads = "\n".join(f"ld.param.b64 %rd{i}, [k_param_{i}];" for i in range(pointers))
    start = f"{_REGISTERS}\n{declarations}\n{loads}\nmov.u32 %r0, %tid.x;\n"
    return f"{_HEADER}{outside}\n.visible .entry k({parameters})\n{{\n{start}{body}\nret;\n}}\n"


def elementwise(instructions: str, types: Sequence[str], result: str) -> str:
    """A kernel that loads one element of each input (`b32`, ...) to %x0, %x1, ..., and stores %y of type `result`."""
    register = {"b8": "b16", "b16": "b16", "b32": "b32", "b64": "b64"}
    names = " ".join(f".reg .{register[each]} %x{i};" for i, each in enumerate(types))
    names += f" .reg .{register[result]} %y;"
    lines = []
    for i, each in enumerate((*types, result)):
        lines.append(f"mul.wide.u32 %rd20, %r0, {int(each[1:]) // 8}; add.s64 %rd{10 + i}, %rd{i}, %rd20;")
    lines += [f"ld.global.{each} %x{i}, [%rd{10 + i}];" for i, each in enumerate(types)]
    lines += [instructions, f"st.global.{result} [%rd{10 + len(types)}], %y;"]
    return kernel("\n".join(lines), len(types) + 1, names)


def place(memory: Memory, array: Array) -> int:
    """The address of a copy of `array`."""
    address = memory.allocate(array.nbytes)
    memory.write(address, array)
    return address


def fetch(memory: Memory, address: int, shape: tuple[int, ...], dtype: Any) -> Array:
    """The array at `address`."""
    dtype = np.dtype(dtype)
    count = int(np.prod(shape))
    return np.frombuffer(memory.read(address, count * dtype.itemsize), dtype).reshape(shape)


def apply(instructions: str, inputs: Sequence[Array], dtype: Any) -> Array:
    """What the instructions of `elementwise` make of the inputs' elements, one thread for each."""
    bits = [f"b{8 * each.dtype.itemsize}" for each in inputs]
    text = elementwise(instructions, bits, f"b{8 * np.dtype(dtype).itemsize}")
    memory = Memory()
    count = inputs[0].size
    addresses = [place(memory, each) for each in inputs]
    out = memory.allocate(count * np.dtype(dtype).itemsize)
    Module(text).launch("k", (1, 1, 1), (count, 1, 1), [*addresses, out], memory)
    return fetch(memory, out, (count,), dtype)


def run(
    text: str,
    arrays: Sequence[Array | int],
    threads: int = 32,
    blocks: int = 1,
    seed: int = 0,
    shared_bytes: int = 0,
) -> list[Array]:
    """Launch kernel `k` with pointers to copies of the arrays (an integer: so many fresh bytes).

    Returns the arrays afterwards; of fresh bytes those that the kernel wrote must be all.
    """
    memory = Memory()
    addresses = [memory.allocate(each) if isinstance(each, int) else place(memory, each) for each in arrays]
    schedule = Schedule(seed)
    Module(text).launch("k", (blocks, 1, 1), (threads, 1, 1), addresses, memory, shared_bytes, schedule)
    found = []
    for each, address in zip(arrays, addresses, strict=True):
        if isinstance(each, int):
            found.append(fetch(memory, address, (each,), np.uint8))
        else:
            found.append(fetch(memory, address, each.shape, each.dtype))
    return found
