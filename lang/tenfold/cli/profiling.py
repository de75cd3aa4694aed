"""`tenfold profile`: a script or a StableHLO function is run, and where its time went is told."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

from tenfold.cli.profile import Machine, Profile
from tenfold.cli.running import read_arguments
from tenfold.cli.sources import read_mlir, run_script, split_source
from tenfold.program import compiled_library
from tenfold.recording import Recording, record
from tenfold_rt.errors import RequestError
from tenfold_rt.threads import get_num_threads
from tenfoldc.ceilings import higher, measure
from tenfoldc.random_inputs import own_arguments, random_arguments

_ATTEMPTS = 12
"""At each limit: fewer than a benchmark makes, since somebody waits."""

_CALLS = 20
"""Of a function of a StableHLO file, unless another number is asked for."""


def profile(
    source: str, arguments: Sequence[str], *, inputs: Path | None, calls: int | None, top: int | None, as_json: bool
) -> None:
    """Do what `tenfold profile` was asked; `TenfoldError` says why it cannot be done."""
    path, name = split_source(source)
    if not path.is_file():
        raise RequestError(f"there is no file {path}")
    if path.suffix not in (".py", ".mlir"):
        raise RequestError(f"{path} is neither Python (.py) nor StableHLO (.mlir)")
    with record() as recording:
        if path.suffix == ".py":
            if name is not None:
                raise RequestError("a Python file is run as a script", mend=f"leave out :{name}")
            if inputs is not None or calls is not None:
                raise RequestError("--inputs and --calls are for StableHLO files", mend="let the script make the calls")
            # What the script prints is not to be mixed with the JSON.
            with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
                seconds = _run_script(path, arguments)
        else:
            if arguments:
                raise RequestError(f"{path} is no script, and takes no arguments")
            seconds = _run_function(path, name, inputs, _CALLS if calls is None else calls, recording)
    if not recording.kernels():
        raise RequestError(f"{path} called no compiled function", mend="call one that is under @tn.compile")
    measured = _profile(recording, seconds)
    if as_json:
        click.echo(json.dumps(measured.as_json(top), indent=2))
    else:
        click.echo("\n".join(measured.lines(top)))


def _profile(recording: Recording, seconds: float) -> Profile:
    one = measure(attempts=_ATTEMPTS)
    threads = get_num_threads()
    return Profile(
        recording.kernels(),
        seconds,
        recording.libraries,
        recording.compiled,
        recording.compile_seconds,
        recording.stages,
        Machine(threads, one, one if threads == 1 else higher(one, measure(threads, _ATTEMPTS))),
    )


def _run_script(path: Path, arguments: Sequence[str]) -> float:
    start = time.perf_counter()
    run_script(path, arguments)
    return time.perf_counter() - start


def _run_function(path: Path, name: str | None, inputs: Path | None, calls: int, recording: Recording) -> float:
    """Call a function of a StableHLO file; its first call, which is not like the others, is not counted."""
    module = read_mlir(path, name)
    function = module[module.entries[0]]
    arrays = random_arguments(function) if inputs is None else read_arguments(function, inputs)
    library = compiled_library(module)
    library.call(function.name, own_arguments(arrays, function))
    recording.restart()
    start = time.perf_counter()
    for _ in range(calls):
        library.call(function.name, own_arguments(arrays, function))
    return time.perf_counter() - start + recording.compile_seconds
