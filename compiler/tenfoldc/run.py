"""A run of a pipeline: stages one after the other, each reported, and dumped and verified where that is asked for."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import TypeAlias, TypeVar

from tenfold_rt.frozen import frozen
from tenfold_rt.settings import Settings, settings
from tenfoldc.ir.core import Function, Module
from tenfoldc.ir.printer import print_module
from tenfoldc.ir.verifier import verify
from tenfoldc.loops.ir import Program
from tenfoldc.loops.verifier import verify_program

T = TypeVar("T")


@frozen
class StageReport:
    """A stage that has ended: its name, the entry it worked on (or the library), its time, and its output as text."""

    stage: str
    subject: str
    seconds: float
    text: Callable[[], str]


Observer: TypeAlias = Callable[[StageReport], None]


class Run:
    """One run of the pipeline: tells observers of each stage, and writes the dumps that the settings ask for."""

    def __init__(self, observe: Observer | None) -> None:
        self.settings: Settings = settings()
        self._observe = observe
        self._numbers = itertools.count(1)

    def stage(self, name: str, subject: str, compute: Callable[[], T], text: Callable[[T], str]) -> T:
        """The output of `compute`, a stage called `name`, once it has been reported."""
        start = time.perf_counter()
        output = compute()
        report = StageReport(name, subject, time.perf_counter() - start, lambda: text(output))
        if self._observe is not None:
            self._observe(report)
        number = next(self._numbers)
        if self.settings.dumps(name):
            self.settings.dump_dir.mkdir(parents=True, exist_ok=True)
            path = self.settings.dump_dir / f"{number:02d}-{subject}-{name}.txt"
            path.write_text(report.text(), encoding="utf-8")
        if self.settings.verify:
            if isinstance(output, Function):
                verify(Module({output.name: output}, entries=(output.name,)))
            elif isinstance(output, Program):
                verify_program(output)
        return output


def function_text(function: Function) -> str:
    """`function` as a module's text."""
    return print_module(Module({function.name: function}, entries=(function.name,)))
