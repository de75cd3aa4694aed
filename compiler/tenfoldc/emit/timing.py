"""Timing of kernels as LLVM text: how often each was called and for how long, in memory that the library keeps.

    NAME.times = a pair of i64 for each kernel of the program NAME: calls, and nanoseconds in all of them

The time is that between one look at the clock and the next, so the times of a call's kernels add up to the call's.
Calls from many threads at once all count.
"""

from __future__ import annotations

from tenfoldc.emit.function_text import FunctionText
from tenfoldc.emit.module_text import ModuleText

_NOW = """\
declare i32 @clock_gettime(i32, ptr) nounwind nonlazybind

define internal i64 {symbol}() noinline nounwind {{
  %time = alloca [2 x i64]
  %failed = call i32 @clock_gettime(i32 {clock}, ptr %time)
  %nanoseconds.at = getelementptr i64, ptr %time, i64 1
  %seconds = load i64, ptr %time
  %nanoseconds = load i64, ptr %nanoseconds.at
  %whole = mul i64 %seconds, 1000000000
  %now = add i64 %whole, %nanoseconds
  ret i64 %now
}}
"""

_LAP = """\
define internal i64 {symbol}(ptr %times, i64 %since) noinline nounwind {{
  %now = call i64 {now}()
  %passed = sub i64 %now, %since
  %nanoseconds = getelementptr i64, ptr %times, i64 1
  %calls = atomicrmw add ptr %times, i64 1 monotonic
  %before = atomicrmw add ptr %nanoseconds, i64 %passed monotonic
  ret i64 %now
}}
"""

_CLOCK_MONOTONIC = 1


class KernelTimer:
    """Writes the timing of one program's kernels into the function that calls them, `text`."""

    def __init__(self, module: ModuleText, text: FunctionText, program: str, kernels: int) -> None:
        self._text = text
        self._times = module.symbol(f"{program}.times")
        now = module.once("now", "tenfold.now", lambda name: _NOW.format(symbol=name, clock=_CLOCK_MONOTONIC))
        self._lap = module.once("lap", "tenfold.lap", lambda name: _LAP.format(symbol=name, now=now))
        module.append(f"{self._times} = internal global [{kernels} x [2 x i64]] zeroinitializer, align 64")
        self._since = text.fresh(f"call i64 {now}()")

    def called(self, kernel: int) -> None:
        """Count the call of kernel number `kernel`, which has just been written."""
        place = self._text.pure(f"getelementptr [2 x i64], ptr {self._times}, i64 {kernel}")
        self._since = self._text.fresh(f"call i64 {self._lap}(ptr {place}, i64 {self._since})")
