"""Run in a fresh process: by how much calls of a CPU case raise the memory that the process has, as JSON.

python -m benchmarks.peak_memory tenfold "training MLP 784-512-256-10 b128"
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path

import numpy as np

CALLS = 5
"""Calls after the first."""

FIRST, LATER = "first", "later"


def main(name: str, case_name: str) -> None:
    """Print bytes: the peak of the first call, and that of later ones, above what was there before the first."""
    cases = importlib.import_module("benchmarks.cpu.cases").CASES
    contestants = importlib.import_module("benchmarks.cpu.contestants").CONTESTANTS
    case = next(case for case in cases if case.full_name == case_name)
    run = contestants[name](case, [case.inputs(np.random.default_rng(0))])
    before = resident("VmRSS")
    forget_peak()
    result = run.call(0)
    first = resident("VmHWM") - before
    forget_peak()
    for turn in range(CALLS):
        result = run.call(turn)
    later = resident("VmHWM") - before
    assert result is not None
    print(json.dumps({FIRST: first, LATER: later}))


def resident(field: str) -> int:
    """The bytes of memory that this process has: now (`VmRSS`), or at most since the peak was forgotten (`VmHWM`)."""
    found = re.search(rf"^{field}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return 1024 * int(found[1])


def forget_peak() -> None:
    """Let the peak begin at what there is now (proc(5), `/proc/pid/clear_refs`)."""
    Path("/proc/self/clear_refs").write_text("5")


if __name__ == "__main__":
    main(*sys.argv[1:])
