"""Memory: by how much the first call and later ones raise what a process has, each library in processes of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence

from benchmarks.measure import Timing, child, conditions, is_installed, timing
from benchmarks.peak_memory import FIRST, LATER
from benchmarks.report import BYTES, Section, skipped

CASES = {
    "MLP training step": "training MLP 784-512-256-10 b128",
    "transformer block step": "training transformer block b4 t128 d256",
    "attention, forward and gradient": "attention full gradient",
    "softmax 4096x1024": "rows softmax 4096x1024",
}

_COLUMNS = {
    "tenfold": "tenfold",
    "tenfold, cached": "tenfold",
    "torch": "torch",
    "torch.compile": "compile",
    "jax.jit": "jax",
}
"""Column → contestant.  The second process of Tenfold's finds what the first has compiled."""

_TITLE = "Peak memory, in fresh processes"
_PACKAGES = ("tenfold", "torch", "jax")

_NOTES = (
    "Peak of a process above what it had, inputs included, before the first call.  The first call traces and compiles;"
    " `later` is the peak of the five after it, with what the first has left.  Other processes, as the C++ compiler"
    " of torch.compile, do not count.",
)


def section(rounds: int, *, peers: bool, cases: Mapping[str, str] = CASES) -> Section:
    """Peaks of `cases`, labels with names of CPU cases, each in `rounds` fresh processes."""
    columns = [column for column in _COLUMNS if peers or column.startswith("tenfold")]
    if not (is_installed("torch") and is_installed("jax")):
        return Section("memory", _TITLE, conditions(_PACKAGES), {}, skipped(["torch and jax, which the cases need"]))
    rows: dict[str, dict[str, Timing]] = {}
    for label, case in cases.items():
        peaks = _peaks(case, columns, rounds)
        for kind, suffix in ((FIRST, "first call"), (LATER, "later")):
            row = {column: timing([float(peak[kind]) for peak in found]) for column, found in peaks.items()}
            rows[f"{label}: {suffix}"] = row
    return Section("memory", _TITLE, conditions(_PACKAGES), rows, _NOTES, BYTES)


def _peaks(case: str, columns: Sequence[str], rounds: int) -> dict[str, list[dict[str, int]]]:
    """What each process of a case printed, by column."""
    peaks: dict[str, list[dict[str, int]]] = {column: [] for column in columns}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as cache:
            for column in columns:
                arguments = ["-m", "benchmarks.peak_memory", _COLUMNS[column], case]
                peaks[column].append(child(arguments, {"TENFOLD_CACHE_DIR": cache, "JAX_PLATFORMS": "cpu"}))
    return peaks
