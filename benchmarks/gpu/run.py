"""Runs cases on a GPU: prepares all contestants, compares what they give, then times them in turn.

A sample is as many calls as fill some milliseconds, asked for one after the other, and the wait for the last: what a
program that keeps the GPU busy pays per call.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.cpu.case import Case, Tree
from benchmarks.cpu.contestants import leaves, tree_map
from benchmarks.cpu.run import Result
from benchmarks.gpu.contestants import CONTESTANTS, GpuRun, host

SETS = 2
"""Sets of inputs that calls rotate through."""

_SEED = 20
_SAMPLE_SECONDS = 0.03
_SAMPLES = 9
_WARM = 3
"""Calls before anything is timed: what is recorded after some calls is recorded then."""


def run_case(case: Case, names: Sequence[str]) -> Result:
    """Measure `case` for the contestants in `names`; what fails is told in the notes."""
    rng = np.random.default_rng(_SEED)
    inputs = [case.inputs(rng) for _ in range(SETS)]
    notes = dict(case.excluded)
    runs: dict[str, GpuRun] = {}
    answers: dict[str, Tree] = {}
    for name in names:
        if name in case.excluded:
            continue
        try:
            run = CONTESTANTS[name](case, inputs)
            answers[name] = leaves(tree_map(host, run.call(0)))
            for turn in range(1, _WARM):
                run.finish(run.call(turn))
            runs[name] = run
        except Exception as error:
            notes[name] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:200]
    notes |= disagreements(case, answers)
    samples = in_turns(runs)
    gc.collect()
    return Result(case, {name: statistics.median(times) for name, times in samples.items()}, notes)


def in_turns(runs: Mapping[str, GpuRun]) -> dict[str, list[float]]:
    """Seconds per call, sample by sample, each round with one of every contestant."""
    calls = {name: _calls(run) for name, run in runs.items()}
    samples: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(_SAMPLES):
        for name, run in runs.items():
            samples[name].append(_sample(run, calls[name]))
    return samples


def disagreements(case: Case, answers: Mapping[str, Sequence[Tree]]) -> dict[str, str]:
    """Contestants whose first results are not PyTorch's, or, where it has none, not those of the first."""
    if not answers:
        return {}
    reference = "torch" if "torch" in answers else next(iter(answers))
    notes: dict[str, str] = {}
    for name, answer in answers.items():
        for own, wanted in zip(answer, answers[reference], strict=True):
            scale = float(np.max(np.abs(wanted), initial=1.0))
            error = float(np.max(np.abs(own - wanted), initial=0.0)) / scale
            if not error <= case.tolerance:
                notes[name] = f"differs from {reference} by {error:.2g} of the largest element"
    return notes


def _calls(run: GpuRun) -> int:
    """How many calls fill a sample."""
    count = 1
    while (seconds := _sample(run, count) * count) < _SAMPLE_SECONDS:
        count = max(count + 1, min(10 * count, int(count * _SAMPLE_SECONDS / max(seconds, 1e-9)) + 1))
    return count


def _sample(run: GpuRun, count: int) -> float:
    run.finish(run.call(0))
    start = time.perf_counter()
    for turn in range(1, count):
        run.call(turn)
    run.finish(run.call(count))
    return (time.perf_counter() - start) / count
