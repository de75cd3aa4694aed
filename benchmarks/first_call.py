"""Run in a fresh process: what importing a library and the first call of a compiled program cost, as JSON.

python -m benchmarks.first_call tenfold mlp
"""

from __future__ import annotations

import json
import sys
import time

from benchmarks.programs import library, program


def main(name: str, program_name: str) -> None:
    """Print seconds by the clock for the import, and for the first call also those of the processor."""
    start = time.perf_counter()
    using = library(name)
    imported = time.perf_counter() - start
    function, arguments = program(program_name, using)
    start, start_cpu = time.perf_counter(), time.process_time()
    using.ready(using.compile(function)(*arguments))
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    print(json.dumps({"import": imported, "first call": seconds, "first call, CPU": cpu}))


if __name__ == "__main__":
    main(*sys.argv[1:])
