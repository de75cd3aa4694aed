"""Recording a run: what is compiled meanwhile is compiled to be profiled, and is remembered with what it counts.

    with record() as recording: ...  →  recording.kernels(), recording.stages, ...

The process has one recording at a time, since programs are compiled wherever a compiled function is called, on any
thread.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from tenfold_rt.errors import ArgumentError
from tenfold_rt.kernel_times import KernelTime, kernel_times
from tenfold_rt.load import Library


class Stage(Protocol):
    """What the compiler reports of a stage that has ended."""

    @property
    def stage(self) -> str: ...
    @property
    def seconds(self) -> float: ...


class Recording:
    """What a run has compiled, loaded and called."""

    def __init__(self) -> None:
        self.stages: dict[str, float] = {}
        """Seconds in each stage of the compiler, in the order in which they first ended."""
        self.compile_seconds = 0.0
        """Seconds in which programs were compiled or loaded."""
        self.compiled = 0
        """Programs that were compiled; others were in the cache."""
        self._libraries: dict[Path, tuple[Library, list[KernelTime]]] = {}

    def ended(self, stage: Stage) -> None:
        """Take note of a stage of the compiler."""
        self.stages[stage.stage] = self.stages.get(stage.stage, 0.0) + stage.seconds

    @contextmanager
    def preparing(self) -> Generator[None]:
        """What runs meanwhile compiles or loads a program."""
        start = time.perf_counter()
        yield
        self.compile_seconds += time.perf_counter() - start

    def loaded(self, library: Library) -> None:
        """Take note of a library; what it has counted so far does not belong to this run."""
        self._libraries.setdefault(library.path, (library, kernel_times(library)))

    def restart(self) -> None:
        """Forget the calls, but not the compilations, of the run so far."""
        for path, (library, _) in self._libraries.items():
            self._libraries[path] = library, kernel_times(library)

    @property
    def libraries(self) -> int:
        """How many programs were compiled or loaded."""
        return len(self._libraries)

    def kernels(self) -> list[KernelTime]:
        """The kernels that were called, the one that took longest first."""
        found: list[KernelTime] = []
        for library, before in self._libraries.values():
            for now, then in zip(kernel_times(library), before, strict=True):
                calls = now.calls - then.calls
                if calls:
                    found.append(KernelTime(now.entry, now.kernel, calls, now.seconds - then.seconds))
        return sorted(found, key=lambda each: -each.seconds)


class _State:
    """The recording under way."""

    recording: Recording | None = None


def under_way() -> Recording | None:
    """The recording of this process, if there is one."""
    return _State.recording


@contextmanager
def record() -> Generator[Recording]:
    """Record what is compiled and called until the block ends; `ArgumentError` where that is being done already."""
    if _State.recording is not None:
        raise ArgumentError("a run is being recorded already")
    _State.recording = Recording()
    try:
        yield _State.recording
    finally:
        _State.recording = None
