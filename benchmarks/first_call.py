"""Run in a fresh process: what importing a library and the first call of a compiled program cost, as JSON.

python -m benchmarks.first_call tenfold mlp
python -m benchmarks.first_call jax "case CNN b64 28x28"
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable

import numpy as np

from benchmarks.programs import Library, library, program

CASE = "case "
"""What begins the name of a program that is a case of `benchmarks.cpu.training`."""


def main(name: str, program_name: str) -> None:
    """Print seconds by the clock for the import, and for the first call also those of the processor."""
    start = time.perf_counter()
    using = library(name)
    imported = time.perf_counter() - start
    call = (
        _case(name, program_name.removeprefix(CASE)) if program_name.startswith(CASE) else _program(program_name, using)
    )
    start, start_cpu = time.perf_counter(), time.process_time()
    call()
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    print(json.dumps({"import": imported, "first call": seconds, "first call, CPU": cpu}))


def _program(program_name: str, using: Library) -> Callable[[], object]:
    function, arguments = program(program_name, using)
    return lambda: using.ready(using.compile(function)(*arguments))


def _case(name: str, case_name: str) -> Callable[[], object]:
    """A training step of the CPU benchmarks, which import all peers, made ready to be called by one of them."""
    cases = importlib.import_module("benchmarks.cpu.training").CASES
    case = next(case for case in cases if case.name == case_name)
    run = importlib.import_module("benchmarks.cpu.contestants").CONTESTANTS[name](
        case, [case.inputs(np.random.default_rng(0))]
    )
    return lambda: run.call(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
