"""Timing: functions called in turns, processes started anew, and the machine that they ran on.

Every figure is a median with its quartiles over rounds in which each candidate has its turn, so that what slows the
machine for a while slows them all.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BATCH_SECONDS = 0.002
"""A function is called as often as fills this time between two looks at the clock."""

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds, or bytes: the median, and the quartiles around it."""

    median: float
    low: float
    high: float


def timing(samples: Sequence[float]) -> Timing:
    """The summary of at least one sample."""
    if len(samples) == 1:
        return Timing(samples[0], samples[0], samples[0])
    low, median, high = statistics.quantiles(samples, n=4, method="inclusive")
    return Timing(median, low, high)


def in_turns(candidates: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Timing]:
    """Seconds per call of each candidate, over `rounds` rounds of one batch each."""
    batches = {name: _batch_size(call) for name, call in candidates.items()}
    samples: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, call in candidates.items():
            samples[name].append(_seconds(call, batches[name]) / batches[name])
    return {name: timing(values) for name, values in samples.items()}


def _batch_size(call: Callable[[], object]) -> int:
    call()
    size = 1
    while _seconds(call, size) < BATCH_SECONDS:
        size *= 2
    return size


def _seconds(call: Callable[[], object], times: int) -> float:
    turns = range(times)
    start = time.perf_counter()
    for _ in turns:
        call()
    return time.perf_counter() - start


def child(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What a fresh Python process prints as JSON; it can import what this one can, and `benchmarks`.

    It writes byte code even where the environment says not to, as the processes of users do.
    """
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    path = os.pathsep.join([str(ROOT), *(entry for entry in sys.path if entry)])
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**inherited, "PYTHONPATH": path, **(environment or {})},
    )
    return json.loads(done.stdout.splitlines()[-1])


def is_installed(module: str) -> bool:
    """Whether `module` can be imported; it is not."""
    return importlib.util.find_spec(module) is not None


def conditions(packages: Iterable[str]) -> str:
    """The date, the machine, and the versions of Python and of `packages`, in one line of text."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in packages if is_installed(name)]
    parts = [
        datetime.datetime.now(datetime.UTC).date().isoformat(),
        f"{_processor()}, {os.cpu_count()} cores",
        f"Python {platform.python_version()}",
        *versions,
        f"load {os.getloadavg()[0]:.1f}",
    ]
    return ", ".join(parts)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
