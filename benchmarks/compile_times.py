"""Compiling: training steps and ever longer chains, traced, compiled and called once, in fresh processes."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence

from benchmarks.first_call import CASE
from benchmarks.measure import Timing, child, conditions, is_installed, timing
from benchmarks.report import Section, skipped

_PEERS = ("jax",)
_ROWS = {"": ("first call",), ", import included": ("import", "first call"), ", CPU time": ("first call, CPU",)}
_STEPS = ("MLP 784-512-256-10 b128", "CNN b64 28x28", "transformer block b4 t128 d256")


def section(rounds: int, lengths: Sequence[int], *, peers: bool) -> Section:
    """Cold and cached times of training steps and of chains of `lengths` operations."""
    wanted = _PEERS if peers else ()
    present = [name for name in wanted if is_installed(name)]
    steps = {f"step of {name}": CASE + name for name in _STEPS if is_installed("jax") and is_installed("torch")}
    chains = {f"chain of {length:,} operations": f"chain-{length}" for length in lengths}
    programs = {"MLP training step": "mlp"} | steps | chains
    rows: dict[str, dict[str, Timing]] = {}
    for label, program in programs.items():
        samples: dict[str, list[dict[str, float]]] = {name: [] for name in ("tenfold", "tenfold, cached", *present)}
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as cache:
                for name in samples:  # the second process finds what the first has kept
                    library = name.partition(",")[0]
                    arguments = ["-m", "benchmarks.first_call", library, program]
                    samples[name].append(child(arguments, {"TENFOLD_CACHE_DIR": cache}))
        for suffix, units in _ROWS.items():
            rows[label + suffix] = {
                name: timing([sum(run[unit] for unit in units) for run in runs]) for name, runs in samples.items()
            }
    return Section(
        "compile",
        "Compiling: the first call beyond the import, in fresh processes",
        conditions(("tenfold", "llvmlite", "jax")),
        rows,
        skipped(name for name in wanted if name not in present),
    )
