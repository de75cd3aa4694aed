"""Tuning: a program goes in, and comes out as answers to the questions that its kernels ask, found by running them.

Each kernel's time depends on its own decisions alone, so in one round every decision that is still open takes its next
answer, the program is compiled once with all of them, and each kernel is timed by itself.  Kernels come from the store
of object code where nothing changed.  An answer counts only if all results are, but for how sums round, those of the
program as the compiler makes it by itself; and it wins only if it does so again, in turns with the program as it was.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tenfold_rt.frozen import frozen
from tenfold_rt.kernel_times import kernel_times
from tenfold_rt.load import Library, load
from tenfold_rt.threads import get_num_threads
from tenfoldc import pipeline
from tenfoldc.emit import ObjectStore
from tenfoldc.ir.core import Module
from tenfoldc.random_inputs import own_arguments, random_arguments
from tenfoldc.target import Target
from tenfoldc.tuning import Choice, Decision, Tuning

Array: TypeAlias = NDArray[Any]

_SECONDS = 0.15
"""How long one way to compile a program is run in a round, at least."""
_FEWEST_CALLS, _MOST_CALLS = 3, 200
_GAIN = 0.97
"""An answer wins where the kernel takes at most this part of its time."""
_TOLERANCE = {np.dtype(np.float32): 1e-4, np.dtype(np.float64): 1e-12}
"""By how much of the largest element a result may be rounded otherwise; `_HALF_TOLERANCE` for floats of 16 bits."""
_HALF_TOLERANCE = 2e-2


@frozen
class Tuned:
    """A decision that was measured: the kernel that asked, and seconds before and with the best answer.

    `choice` is None where that is the compiler's own.
    """

    entry: str
    kernel: str
    name: str
    choice: Choice | None
    default_seconds: float
    best_seconds: float


def tune(
    module: Module,
    *,
    target: Target,
    tuning: Tuning,
    store: ObjectStore | None = None,
    report: Callable[[Tuned], None] | None = None,
) -> list[Tuned]:
    """Answers to those questions of the kernels of `module` that `tuning` has none for, `report`ed as they are found.

    `target` is this machine.  Calls use as many threads as others do, and take random arguments.
    """
    with tempfile.TemporaryDirectory() as directory:
        search = _Search(module, target, tuning, store, Path(directory))
        found: list[Tuned] = []
        for tuned in search.run():
            found.append(tuned)
            if report is not None:
                report(tuned)
        return found


class _Version:
    """A program compiled in one way, and the least time that each kernel has taken so far."""

    def __init__(self, library: Library, module: Module, arguments: Mapping[str, Sequence[Array]]) -> None:
        self._library, self._module, self._arguments = library, module, arguments
        self.seconds: dict[tuple[str, str], float] = {}

    def results(self) -> list[Array]:
        """What all entries give."""
        return [np.array(array) for name in self._module.entries for array in self._call(name)]

    def measure(self) -> None:
        """Call all entries for a while."""
        for name in self._module.entries:
            start, calls = time.perf_counter(), 0
            while calls < _FEWEST_CALLS or (calls < _MOST_CALLS and time.perf_counter() - start < _SECONDS):
                self._time_call(name)
                calls += 1

    def _time_call(self, name: str) -> None:
        before = kernel_times(self._library)
        self._call(name)
        for now, then in zip(kernel_times(self._library), before, strict=True):
            if now.calls > then.calls:
                key = now.entry, now.kernel.name
                self.seconds[key] = min(self.seconds.get(key, np.inf), now.seconds - then.seconds)

    def _call(self, name: str) -> Sequence[Array]:
        return self._library.call(name, own_arguments(self._arguments[name], self._module[name]))


class _Search:
    """The tuning of one program."""

    def __init__(
        self, module: Module, target: Target, tuning: Tuning, store: ObjectStore | None, directory: Path
    ) -> None:
        self.module, self.target, self.tuning, self.store = module, target, tuning, store
        self.directory = directory
        self.arguments = {name: random_arguments(module[name]) for name in module.entries}
        self._versions = 0
        self.asked: dict[str, Decision] = {}
        self.places: dict[str, tuple[str, str]] = {}
        """For each open question the first kernel that asks it."""
        for entry, kernels in pipeline.kernels(module, target=target, tuning=tuning).items():
            for kernel in kernels:
                for decision in kernel.decisions:
                    self._ask(decision, entry, kernel.name)

    def _ask(self, decision: Decision, entry: str, kernel: str) -> None:
        is_open = not self.tuning.answers(decision.name) and bool(decision.others)
        if is_open and (get_num_threads() > 1 or not decision.for_threads):
            self.asked.setdefault(decision.name, decision)
            self.places.setdefault(decision.name, (entry, kernel))

    def run(self) -> Iterator[Tuned]:
        """Each decision once its best answer is known."""
        if not self.asked:
            return
        plain = self._version({})
        expected = plain.results()
        plain.measure()
        # Of a kernel's decisions one is open at a time: what is best for one may depend on the other.
        for group in _one_per_kernel(self.asked, self.places):
            yield from self._round(group, plain, expected)

    def _round(self, names: Sequence[str], plain: _Version, expected: Sequence[Array]) -> Iterator[Tuned]:
        """The best answers to questions of different kernels."""
        best: dict[str, tuple[float, Choice]] = {}
        for turn in range(max(len(self.asked[name].others) for name in names)):
            tried = {name: self.asked[name].others[turn] for name in names if turn < len(self.asked[name].others)}
            for choices in self._right(tried, expected):
                version = self._version(choices)
                version.measure()
                for name, choice in choices.items():
                    found = version.seconds.get(self.places[name], np.inf), choice
                    best[name] = min(best.get(name, found), found)
        plain.measure()
        winners = {
            name: choice
            for name, (seconds, choice) in best.items()
            if seconds < _GAIN * plain.seconds.get(self.places[name], 0.0)
        }
        winner = self._version(winners) if winners else plain
        for version in (winner, plain, winner):
            version.measure()
        for name in names:
            place = self.places[name]
            before, after = plain.seconds.get(place, 0.0), winner.seconds.get(place, 0.0)
            choice = winners[name] if name in winners and after < _GAIN * before else None
            if choice is not None:
                self.tuning = self.tuning.with_choices({name: choice})
            yield Tuned(*place, name, choice, before, before if choice is None else after)

    def _right(self, tried: dict[str, Choice], expected: Sequence[Array]) -> Iterator[dict[str, Choice]]:
        """`tried`, if results are right with it; else those of its choices, one by one, with which they are."""
        if _agree(self._version(tried).results(), expected):
            yield tried
        elif len(tried) > 1:
            for name, choice in tried.items():
                yield from self._right({name: choice}, expected)

    def _version(self, choices: Mapping[str, Choice]) -> _Version:
        """The program with these answers and those found so far."""
        code, _ = pipeline.compile_module(
            self.module,
            target=self.target,
            library=f"tuned{self._versions}",
            store=self.store,
            timed=True,
            tuning=self.tuning.with_choices(choices),
        )
        path = self.directory / f"{self._versions}.so"
        self._versions += 1
        path.write_bytes(code)
        return _Version(load(path), self.module, self.arguments)


def _one_per_kernel(asked: Mapping[str, Decision], places: Mapping[str, tuple[str, str]]) -> Iterator[list[str]]:
    """The questions in lists, in none of which a kernel has two."""
    ordered = sorted(asked, key=lambda name: places[name])
    queues = [list(names) for _, names in itertools.groupby(ordered, key=lambda name: places[name])]
    for group in itertools.zip_longest(*queues):
        yield [name for name in group if name is not None]


def _agree(results: Sequence[Array], expected: Sequence[Array]) -> bool:
    """Whether results are those expected, but for how sums round."""
    return all(itertools.starmap(_is_close, zip(results, expected, strict=True)))


def _is_close(result: Array, expected: Array) -> bool:
    if expected.dtype.kind in "biu":
        return bool(np.array_equal(result, expected))
    tolerance = _TOLERANCE.get(expected.dtype, _HALF_TOLERANCE)
    result, expected = (array.astype(np.float64) for array in (result, expected))
    finite = np.isfinite(expected)
    if not np.array_equal(result[~finite], expected[~finite], equal_nan=True):
        return False
    bound = tolerance * float(np.max(np.abs(expected[finite]), initial=0.0))
    return bool((np.abs(result[finite] - expected[finite]) <= bound).all())
