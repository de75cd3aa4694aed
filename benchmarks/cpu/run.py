"""Runs cases: prepares all contestants, compares what they give, then times them in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from benchmarks.cpu.case import Case, Tree
from benchmarks.cpu.contestants import CONTESTANTS, Run, leaves

SETS = 3
"""Sets of inputs that calls rotate through."""

_SEED = 20


_PATIENCE = 0.05
"""The share of a sample that the process may spend without a core before another process is held to have taken it."""

_SLOW = 1.0
"""Seconds of a call above which a contestant is timed once: the others' samples need not wait for it."""


_REST = 0.02
"""Seconds after which the threads of a contestant sleep: those of PyTorch keep their cores busy for some 0.01."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure: seconds per case and contestant at most, samples at the least, seconds per sample, and
    seconds of rest before a sample, so that the threads of one contestant leave the cores to the next."""

    seconds: float
    samples: int
    sample_seconds: float
    rest: float = 0.0

    @classmethod
    def of(cls, threads: int, *, quick: bool) -> Effort:
        """What suits contestants of `threads` threads."""
        return replace(QUICK if quick else THOROUGH, rest=_REST if threads > 1 else 0.0)


THOROUGH = Effort(seconds=0.6, samples=7, sample_seconds=4e-3)
QUICK = Effort(seconds=0.15, samples=3, sample_seconds=1e-3)


@dataclass(frozen=True, slots=True)
class Result:
    """Median seconds per call by contestant, and what went wrong with those that are missing."""

    case: Case
    seconds: Mapping[str, float]
    notes: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def best_peer(self) -> str | None:
        """The fastest contestant other than Tenfold; None where there is none."""
        peers = {name: seconds for name, seconds in self.seconds.items() if name != "tenfold"}
        return min(peers, key=peers.__getitem__) if peers else None

    @property
    def ratio(self) -> float | None:
        """How many times faster Tenfold is than the best peer."""
        best = self.best_peer
        if best is None or "tenfold" not in self.seconds:
            return None
        return self.seconds[best] / self.seconds["tenfold"]


def run_case(case: Case, names: Sequence[str], effort: Effort) -> Result:
    """Measure `case` for Tenfold and the peers in `names`."""
    rng = np.random.default_rng(_SEED)
    inputs = [case.inputs(rng) for _ in range(SETS)]
    notes = dict(case.excluded)
    runs: dict[str, Run] = {}
    answers: dict[str, Tree] = {}
    for name in names:
        if name in case.excluded:
            continue
        try:
            runs[name] = CONTESTANTS[name](case, inputs)
            answers[name] = [np.array(leaf) for leaf in leaves(runs[name].call(0))]
        except Exception as error:
            runs.pop(name, None)
            notes[name] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:200]
    notes |= _disagreements(case, answers)
    samples = alternate(runs, effort)
    return Result(case, {name: statistics.median(times) for name, times in samples.items()}, notes)


def alternate(runs: Mapping[str, Run], effort: Effort) -> dict[str, list[float]]:
    """Seconds per call, sample by sample, of runs that have been called before.

    Each round takes one of every contestant, and begins with another one.
    """
    once = {name: _once(run) for name, run in runs.items()}
    samples = {name: [seconds] if seconds > _SLOW else list[float]() for name, seconds in once.items()}
    start = time.perf_counter()
    turn = 1
    for order in _rotations([name for name, seconds in once.items() if seconds <= _SLOW]):
        for name in order:
            count = max(1, min(10_000, round(effort.sample_seconds / max(once[name], 1e-7))))
            time.sleep(effort.rest)
            samples[name].append(_sample(runs[name], turn, count))
        turn += 1
        enough = turn > effort.samples
        if enough and time.perf_counter() - start > effort.seconds * len(runs):
            break
    return samples


def _sample(run: Run, turn: int, count: int) -> float:
    """Seconds per call of `count` calls, after one that is not timed.

    Where another process took the core meanwhile, that time does not count.
    """
    run.call(turn)
    cpu, begin = time.process_time(), time.perf_counter()
    for number in range(turn + 1, turn + 1 + count):
        run.call(number)
    wall, cpu = time.perf_counter() - begin, time.process_time() - cpu
    disturbed = wall - cpu > max(_PATIENCE * wall, 2e-5)
    return (cpu if disturbed else wall) / count


def _rotations(names: list[str]) -> Iterator[list[str]]:
    while names:
        yield names
        names = [*names[1:], names[0]]


def _once(run: Run) -> float:
    """Seconds of one call."""
    begin = time.perf_counter()
    run.call(1)
    return time.perf_counter() - begin


def _disagreements(case: Case, answers: Mapping[str, Sequence[np.ndarray]]) -> dict[str, str]:
    """Peers whose first answer is not Tenfold's, within the case's tolerance of the largest element."""
    ours = answers.get("tenfold")
    found: dict[str, str] = {}
    for name, theirs in answers.items():
        if ours is None or name == "tenfold":
            continue
        if len(ours) != len(theirs):
            found[name] = f"gives {len(theirs)} arrays, not {len(ours)}"
            continue
        for number, (own, other) in enumerate(zip(ours, theirs, strict=True)):
            scale = max(1e-6, float(np.max(np.abs(other), initial=0)))
            if own.shape != other.shape:
                found[name] = f"result {number} has shape {other.shape}, not {own.shape}"
            elif not np.allclose(own / scale, other / scale, rtol=0, atol=case.tolerance):
                worst = float(np.max(np.abs(own / scale - other / scale)))
                found[name] = f"result {number} differs by {worst:.1e} of the largest element"
    return found
