"""Copies past the cache: every element arrives wherever the target begins, whole lines by stores of their own."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfoldc.emit.object_code import compile_text
from tenfoldc.emit.program import emit_program
from tenfoldc.loops.ir import Allocation, Axis, Buffer, For, Kernel, Mode, Program, StreamCopy
from tenfoldc.loops.scalar import index
from tenfoldc.target import Target, named

SIZE, FIRST = 300, 3


def copying(dtype: DType, count: int) -> Program:
    """`count` elements to the target, from FIRST on."""
    source, target = Buffer("source", dtype, (SIZE,)), Buffer("target", dtype, (SIZE + FIRST,))
    copy = StreamCopy(target, index(FIRST), source, index(count))
    return Program("f", (source,), (target,), (), {}, (Kernel("copy", (copy,)),))


def assembly(program: Program) -> str:
    text = emit_program(program, Allocation({}, 0), named("x86-64-v3")).text.replace(
        "define internal i32", "define i32"
    )
    return compile_text(f"{text}\ndeclare void @tenfold.parallel(ptr, ptr, ptr, i64)\n", named("x86-64-v3")).assembly()


@pytest.mark.parametrize("vector_bytes", [16, 32, 64])
@pytest.mark.parametrize("dtype", [dtypes.bool_, dtypes.i8, dtypes.bf16, dtypes.f32, dtypes.f64], ids=str)
def test_every_element_arrives(
    dtype: DType, vector_bytes: int, load_program: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Target, "vector_bytes", vector_bytes)
    values = (np.arange(SIZE) % 113).astype(dtype.numpy)
    for count in (0, 1, 5, 64, SIZE - 1, SIZE):
        program = load_program(copying(dtype, count))
        for start in (0, 1, 7, 30):
            memory = np.zeros(SIZE + FIRST + 64 + 30, dtype.numpy)
            line = -memory.ctypes.data % 64 // dtype.itemsize
            target = memory[line + start :][: SIZE + FIRST]
            expected = memory.copy()
            expected[line + start + FIRST :][:count] = values[:count]
            program.into([target], values)
            np.testing.assert_array_equal(memory, expected)


def test_whole_lines_pass_the_cache_by_and_a_fence_ends_the_kernel() -> None:
    code = assembly(copying(dtypes.f32, SIZE))
    assert re.search(r"vmovnt\w+\s+%ymm", code)
    assert code.count("sfence") == 1
    assert "memcpy" not in code


def test_the_fence_belongs_to_the_task_that_copies() -> None:
    program = copying(dtypes.f32, SIZE)
    shared = For(Axis("i"), index(1), program.kernels[0].body, mode=Mode.PARALLEL)
    code = assembly(replace(program, kernels=(Kernel("copy", (shared,)),)))
    functions = re.split(r"^(?=\S+:\s*(?:#.*)?$)", code, flags=re.MULTILINE)
    (fenced,) = [function for function in functions if "sfence" in function]
    assert code.count("sfence") == 1
    assert "tenfold.parallel" not in fenced
