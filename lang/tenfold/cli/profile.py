"""A recorded run beside the limits of the machine: a table for people, or JSON for programs.

The least time that a kernel could take is that of its floating-point operations at the peak of multiply-adds, or that
of its bytes at the bandwidth of a copy, whichever is longer: that is the limit that binds it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tenfold_rt.frozen import frozen
from tenfold_rt.kernel_times import KernelTime
from tenfoldc.ceilings import Ceilings

COMPUTE, MEMORY = "compute", "memory"

_COLUMNS = ("time", "share", "calls", "a call", "flops", "bytes", "rate", "limit", "of it", "kernel", "line")
_TEXT_COLUMNS = 2
"""The last columns, which are aligned at their left."""


@frozen
class Machine:
    """The limits of one thread, and those of all threads that calls use."""

    threads: int
    one_thread: Ceilings
    all_threads: Ceilings

    def by_threads(self) -> list[tuple[int, Ceilings]]:
        """The limits with the number of threads that have them together."""
        return list({1: self.one_thread, self.threads: self.all_threads}.items())


@frozen
class Timed:
    """A kernel's time and what it could be; `limit` is None where what the kernel does depends on data."""

    time: KernelTime
    limit: str | None
    least_seconds: float

    @property
    def of_limit(self) -> float | None:
        """The least time as a share of the measured one: over 1 where data came from caches, not from memory."""
        return None if self.limit is None else self.least_seconds * self.time.calls / max(1e-12, self.time.seconds)


@frozen
class Profile:
    """A run: kernels by time, longest first, how long it took in all, and what was compiled for it."""

    kernels: Sequence[KernelTime]
    seconds: float
    programs: int
    compiled: int
    compile_seconds: float
    stages: dict[str, float]
    machine: Machine

    @property
    def kernel_seconds(self) -> float:
        return sum(kernel.seconds for kernel in self.kernels)

    @property
    def outside_seconds(self) -> float:
        """The time in neither kernels nor compiler; none where kernels ran at one time on several Python threads."""
        return max(0.0, self.seconds - self.kernel_seconds - self.compile_seconds)

    def timed(self, top: int | None = None) -> list[Timed]:
        """The kernels, or the `top` first, beside their limits."""
        return [_timed(kernel, self.machine) for kernel in self.kernels[:top]]

    def lines(self, top: int | None = None) -> Iterator[str]:
        """The table as lines of text, then the totals."""
        yield from _aligned([_COLUMNS, *(_row(timed, self.kernel_seconds) for timed in self.timed(top))])
        left_out = self.kernels[len(self.kernels) if top is None else top :]
        if left_out:
            yield f"and {len(left_out)} more, which took {_seconds(sum(kernel.seconds for kernel in left_out))}"
        yield ""
        calls = sum(kernel.calls for kernel in self.kernels)
        cached = self.programs - self.compiled
        yield self._total("kernels", self.kernel_seconds, f"{len(self.kernels)} kernels, called {calls} times")
        yield self._total(
            "compiler", self.compile_seconds, f"programs: {self.compiled} compiled, {cached} from the cache"
        )
        for stage, seconds in self.stages.items():
            yield self._total(f"  {stage}", seconds, "")
        loading = self.compile_seconds - sum(self.stages.values())
        yield self._total("  load", loading, "the compiler itself, and programs")
        yield self._total("elsewhere", self.outside_seconds, "Python, and calls of compiled code outside of kernels")
        yield self._total("in all", self.seconds, "")
        yield ""
        for threads, ceilings in self.machine.by_threads():
            yield f"{threads} thread{'' if threads == 1 else 's'}: {ceilings}"

    def _total(self, name: str, seconds: float, about: str) -> str:
        return f"{name:10} {_seconds(seconds):>9}  {seconds / max(1e-12, self.seconds):4.0%}  {about}".rstrip()

    def as_json(self, top: int | None = None) -> dict[str, Any]:
        """The same as numbers: seconds, operations and bytes; `null` where they depend on data."""
        return {
            "kernels": [_as_json(timed) for timed in self.timed(top)],
            "totals": {
                "seconds": self.seconds,
                "kernels": len(self.kernels),
                "kernel_calls": sum(kernel.calls for kernel in self.kernels),
                "kernel_seconds": self.kernel_seconds,
                "compile_seconds": self.compile_seconds,
                "outside_seconds": self.outside_seconds,
            },
            "compiler": {"programs": self.programs, "compiled": self.compiled, "stages": self.stages},
            "ceilings": {
                str(threads): {
                    "f32_flops": ceilings.f32_flops,
                    "f64_flops": ceilings.f64_flops,
                    "copy_bytes": ceilings.copy_bytes,
                }
                for threads, ceilings in (
                    (1, self.machine.one_thread),
                    (self.machine.threads, self.machine.all_threads),
                )
            },
        }


def _timed(time: KernelTime, machine: Machine) -> Timed:
    kernel = time.kernel
    if kernel.f32_flops is None or kernel.f64_flops is None or kernel.bytes is None:
        return Timed(time, None, 0.0)
    ceilings = machine.all_threads if kernel.is_shared else machine.one_thread
    computing = kernel.f32_flops / ceilings.f32_flops + kernel.f64_flops / ceilings.f64_flops
    moving = kernel.bytes / ceilings.copy_bytes
    return Timed(time, COMPUTE if computing > moving else MEMORY, max(computing, moving))


def _as_json(timed: Timed) -> dict[str, Any]:
    time, kernel = timed.time, timed.time.kernel
    return {
        "function": time.entry,
        "kernel": kernel.name,
        "line": kernel.location,
        "threads_share_it": kernel.is_shared,
        "calls": time.calls,
        "seconds": time.seconds,
        "f32_flops": kernel.f32_flops,
        "f64_flops": kernel.f64_flops,
        "bytes": kernel.bytes,
        "limit": timed.limit,
        "share_of_limit": timed.of_limit,
    }


def _row(timed: Timed, total: float) -> tuple[str, ...]:
    time, kernel = timed.time, timed.time.kernel
    each = time.seconds / time.calls
    flops = None if kernel.f32_flops is None or kernel.f64_flops is None else kernel.f32_flops + kernel.f64_flops
    done, unit = (flops, "flop/s") if timed.limit == COMPUTE else (kernel.bytes, "B/s")
    return (
        _seconds(time.seconds),
        f"{time.seconds / max(1e-12, total):.0%}",
        str(time.calls),
        _seconds(each),
        _amount(flops, ""),
        _amount(kernel.bytes, "B"),
        _amount(None if done is None else done / max(1e-12, each), unit),
        timed.limit or "?",
        "?" if timed.of_limit is None else f"{timed.of_limit:.0%}",
        f"{time.entry}.{kernel.name}",
        _from_here(kernel.location),
    )


def _from_here(location: str) -> str:
    """A line of a file, with a path from the working directory where the file is in it."""
    here = f"{Path.cwd()}{os.sep}"
    return location.removeprefix(here)


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        numbers = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)][:-_TEXT_COLUMNS]
        words = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)][-_TEXT_COLUMNS:]
        yield "  ".join([*numbers, *words]).rstrip()


def _seconds(seconds: float) -> str:
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}" if seconds < 1000 * scale else f"{seconds:.0f} s"
    return f"{seconds / 1e-9:.0f} ns"


def _amount(amount: float | None, unit: str) -> str:
    if amount is None:
        return "?"
    for scale, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if amount >= scale:
            return f"{amount / scale:.3g} {prefix}{unit}".rstrip()
    return f"{amount:.0f} {unit}".rstrip()
