"""Kernels as LLVM writes them for sm_80 and sm_90a, in `data`, and how to run each over small matrices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import ml_dtypes
import numpy as np
from ptx_machine import Memory, Module, Schedule, TensorMap
from ptx_programs import Array, fetch, place

DATA = Path(__file__).parent / "data"
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


@dataclass(frozen=True)
class Program:
    """A kernel's PTX text, and a function that runs a text with a schedule and returns (found, expected)."""

    text: str
    run: Callable[[str, Schedule], tuple[Array, Array]]


def _read(name: str) -> str:
    return (DATA / f"{name}.ptx").read_text()


def _matrices(shape: tuple[int, int, int], dtype: np.dtype) -> tuple[Array, Array]:
    m, n, k = shape
    rng = np.random.default_rng(7)
    return rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)


def _product(lhs: Array, rhs: Array) -> Array:
    return lhs.astype(np.float64) @ rhs.astype(np.float64)


def matmul_tiled(text: str, schedule: Schedule) -> tuple[Array, Array]:
    """f32, tiles of 16 x 16 in shared memory."""
    m, n, k = 32, 16, 48
    lhs, rhs = _matrices((m, n, k), np.dtype(np.float32))
    memory = Memory()
    arguments = [place(memory, lhs), place(memory, rhs), memory.allocate(4 * m * n), m, n, k]
    Module(text).launch("matmul_tiled", (n // 16, m // 16, 1), (16, 16, 1), arguments, memory, schedule=schedule)
    return fetch(memory, arguments[2], (m, n), np.float32), _product(lhs, rhs)


def row_sums(text: str, schedule: Schedule) -> tuple[Array, Array]:
    """f32 sums of rows of 1,024 elements by 4 warps, with shuffles and one exchange."""
    x = np.random.default_rng(7).standard_normal((3, 1024)).astype(np.float32)
    memory = Memory()
    arguments = [place(memory, x), memory.allocate(12), 1024]
    Module(text).launch("row_sums", (3, 1, 1), (128, 1, 1), arguments, memory, schedule=schedule)
    return fetch(memory, arguments[1], (3,), np.float32), x.astype(np.float64).sum(1)


def matmul_mma(text: str, schedule: Schedule) -> tuple[Array, Array]:
    """bf16 to f32 by mma, with two stages of cp.async and ldmatrix."""
    m, n, k = 64, 64, 96
    lhs, rhs = _matrices((m, n, k), BFLOAT16)
    memory = Memory()
    arguments = [place(memory, lhs), place(memory, rhs), memory.allocate(4 * m * n), m, n, k]
    Module(text).launch("matmul_mma", (n // 64, m // 64, 1), (128, 1, 1), arguments, memory, schedule=schedule)
    return fetch(memory, arguments[2], (m, n), np.float32), _product(lhs, rhs)


def matmul_wgmma(text: str, schedule: Schedule) -> tuple[Array, Array]:
    """bf16 by warp-group products: a producer warp fills four stages by tensor copies, two warp groups consume."""
    m, n, k = 128, 64, 384
    lhs, rhs = _matrices((m, n, k), BFLOAT16)
    memory = Memory()
    columns = np.ascontiguousarray(rhs.T)
    maps = [
        TensorMap(place(memory, each), BFLOAT16, (k, rows), (2 * k,), (64, box), 128).pack()
        for each, rows, box in ((lhs, m, 128), (columns, n, 64))
    ]
    out = memory.allocate(2 * m * n)
    stages = 4 * (128 + 64) * 64 * 2
    Module(text).launch("matmul_wgmma", (1, 1, 1), (384, 1, 1), [*maps, out, m, n, k], memory, stages, schedule)
    return fetch(memory, out, (m, n), BFLOAT16).astype(np.float64), _product(lhs, rhs)


PROGRAMS = {each.__name__: Program(_read(each.__name__), each) for each in (
    matmul_tiled, row_sums, matmul_mma, matmul_wgmma,
)}  # fmt: skip

TOLERANCE = {"matmul_tiled": 1e-4, "row_sums": 1e-3, "matmul_mma": 1e-3, "matmul_wgmma": 0.3}
"""Absolute; the result of `matmul_wgmma` is rounded to bf16, whose spacing at 64 is 0.5."""
