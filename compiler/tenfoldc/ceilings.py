"""What this machine can do at best: multiply-adds a second, and bytes copied a second, by measurement.

The multiply-adds run in a loop of independent vector FMAs that touches no memory; the copy is of arrays larger than
any cache, and counts each byte read and each byte written.
"""

from __future__ import annotations

import ctypes
import functools
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple

import numpy as np

from tenfold_rt.frozen import frozen
from tenfoldc.artifact import elf
from tenfoldc.emit import compile_text
from tenfoldc.target import Target, host

_CHAINS = 12
"""FMAs in flight: at least latency times units, and few enough for 16 registers."""

_TURNS = 2_000_000
_COPIED = 32 * 1024 * 1024
_ATTEMPTS = 40
"""The best of many short attempts: others may be using the machine."""


@frozen
class Ceilings:
    """Floating-point operations a second in f32 and f64, and bytes a second."""

    f32_flops: float
    f64_flops: float
    copy_bytes: float

    def __str__(self) -> str:
        return (
            f"FMA peak {self.f32_flops / 1e9:.0f} GFLOP/s in f32, {self.f64_flops / 1e9:.0f} in f64; "
            f"copy bandwidth {self.copy_bytes / 1e9:.1f} GB/s"
        )


def measure(threads: int = 1, attempts: int = _ATTEMPTS) -> Ceilings:
    """The ceilings of `threads` threads together: the best of so many attempts, each of some 4 ms a figure."""
    target = host()
    single, double = (_flops(target, kind, threads, attempts) for kind in ("float", "double"))
    return Ceilings(single, double, _copy(threads, attempts))


def higher(first: Ceilings, second: Ceilings) -> Ceilings:
    """The better of two measurements, figure by figure: what else runs on a machine only ever lowers them."""
    return Ceilings(*map(max, astuple(first), astuple(second)))


def _best(work: Callable[[int], object], threads: int, attempts: int) -> float:
    """The least seconds in which all threads did `work`, which is told its thread's number."""
    times: list[float] = []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(attempts):
            start = time.perf_counter()
            list(pool.map(work, range(threads)))
            times.append(time.perf_counter() - start)
    return min(times)


def _flops(target: Target, kind: str, threads: int, attempts: int) -> float:
    bits = 32 if kind == "float" else 64
    lanes = 8 * target.vector_bytes // bits
    loop = _fma_loop(target, f"<{lanes} x {kind}>", f"f{bits}")
    seconds = _best(lambda _: loop(_TURNS), threads, attempts)
    return 2 * lanes * _CHAINS * _TURNS * threads / seconds


def _copy(threads: int, attempts: int) -> float:
    sources = [np.ones(_COPIED // threads, np.uint8) for _ in range(threads)]
    targets = [np.zeros_like(source) for source in sources]
    seconds = _best(lambda number: np.copyto(targets[number], sources[number]), threads, attempts)
    return 2 * sum(source.nbytes for source in sources) / seconds


@functools.cache
def _fma_loop(target: Target, vector: str, suffix: str) -> Callable[[int], None]:
    """A native function of a number of turns, each of one FMA per chain."""
    compiled = compile_text(_fma_text(vector, suffix), target)
    with tempfile.NamedTemporaryFile(prefix="tenfold-", suffix=".so") as file:
        file.write(elf.link(compiled.object_code, soname="libceilings.so", exports={"fma_loop"}))
        file.flush()
        library = ctypes.CDLL(file.name)
    native = library.fma_loop
    native.restype, native.argtypes = None, (ctypes.c_int64, ctypes.c_void_p)

    def loop(turns: int) -> None:
        sink = np.zeros(_CHAINS * target.vector_bytes, np.uint8)
        native(turns, sink.ctypes.data)

    return loop


def _fma_text(vector: str, suffix: str) -> str:
    lanes = vector[1:].split()[0]
    name = f"@llvm.fma.v{lanes}{suffix}"
    chains = range(_CHAINS)
    lines = [
        f"declare {vector} {name}({vector}, {vector}, {vector})",
        "define void @fma_loop(i64 %turns, ptr %sink) {",
        "entry:",
        f"  %x = load {vector}, ptr %sink, align 4",
        "  br label %loop",
        "loop:",
        "  %i = phi i64 [ 0, %entry ], [ %next, %loop ]",
        *(f"  %a{n} = phi {vector} [ %x, %entry ], [ %b{n}, %loop ]" for n in chains),
        *(f"  %b{n} = call {vector} {name}({vector} %x, {vector} %x, {vector} %a{n})" for n in chains),
        "  %next = add i64 %i, 1",
        "  %more = icmp slt i64 %next, %turns",
        "  br i1 %more, label %loop, label %done",
        "done:",
        *(f"  %p{n} = getelementptr {vector}, ptr %sink, i64 {n}" for n in chains),
        *(f"  store {vector} %b{n}, ptr %p{n}, align 4" for n in chains),
        "  ret void",
        "}",
    ]
    return "\n".join(lines)
