"""Runs loop IR programs as native code: emitted, compiled, linked to a shared library and called."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tenfoldc.artifact import elf
from tenfoldc.emit.object_code import compile_text
from tenfoldc.emit.program import emit_program
from tenfoldc.loops.ir import Allocation, Buffer, Program
from tenfoldc.target import Target, host

Array = NDArray[Any]


def place(buffers: Sequence[Buffer]) -> Allocation:
    """Every buffer at an address of its own."""
    offsets: dict[Buffer, int] = {}
    end = 0
    for buffer in buffers:
        if buffer.base is None and buffer not in offsets:
            offsets[buffer] = end
            end += -(-int(np.prod(buffer.shape)) * buffer.dtype.itemsize // 64) * 64
    return Allocation(offsets, end)


NO_TEAM = """
define internal void @tenfold.parallel(ptr %team, ptr %task, ptr %arguments, i64 %count) {
entry:
  br label %test
test:
  %index = phi i64 [ 0, %entry ], [ %next, %turn ]
  %more = icmp slt i64 %index, %count
  br i1 %more, label %turn, label %done
turn:
  call void %task(ptr %arguments, i64 %index, i32 0)
  %next = add i64 %index, 1
  br label %test
done:
  ret void
}
"""


def _aligned(nbytes: int) -> Array:
    memory = np.zeros(nbytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + nbytes]


def _garbage(buffer: Buffer) -> Array:
    dtype = buffer.dtype.numpy
    return np.full(int(np.prod(buffer.shape)) * dtype.itemsize, 0xA5, np.uint8).view(dtype).reshape(buffer.shape)


class LoadedProgram:
    """A program's native code.  Results are filled with a pattern first, so that what is not written shows."""

    def __init__(self, program: Program, directory: Path, target: Target) -> None:
        self.program = program
        scratch = [buffer for kernel in program.kernels for buffer in kernel.scratch]
        allocation = place([*program.temporaries, *scratch])
        emitted = emit_program(program, allocation, target)
        self.text, self.external_data = emitted.text, dict(emitted.external_data)
        count = 2 + len(program.parameters) + len(program.results)
        arguments = ", ".join(f"ptr %a{number}" for number in range(count))
        wrapper = f'define i32 @run({arguments}) {{ %s = call i32 @"{program.name}.impl"({arguments}) ret i32 %s }}'
        self.compiled = compile_text(self.text + wrapper + NO_TEAM, target)
        library = directory / f"{len(list(directory.iterdir()))}.so"
        linked = elf.link(self.compiled.object_code, soname="test.so", exports={"run"}, data=self.external_data)
        library.write_bytes(linked)
        self._run = ctypes.CDLL(str(library)).run
        self._workspace = _aligned(allocation.workspace_bytes)

    def __call__(self, *inputs: Array) -> list[Array]:
        return self.into([_garbage(buffer) for buffer in self.program.results], *inputs)

    def into(self, results: list[Array], *inputs: Array) -> list[Array]:
        """Run with memory for the results that the caller chose."""
        for buffer, array in zip(self.program.parameters, inputs, strict=True):
            assert array.shape == buffer.shape
            assert array.dtype == buffer.dtype.numpy
            assert array.flags.c_contiguous
        arrays = [self._workspace, *inputs, *results]
        assert self._run(None, *(ctypes.c_void_p(array.ctypes.data) for array in arrays)) == 0
        return results


@pytest.fixture
def load_program(tmp_path: Path) -> Callable[..., LoadedProgram]:
    """Compiles a program for this machine, or for the target given."""

    def load(program: Program, target: Target | None = None) -> LoadedProgram:
        return LoadedProgram(program, tmp_path, host() if target is None else target)

    return load
