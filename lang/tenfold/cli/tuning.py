"""`tenfold tune`: a source file in; what decides how fast its kernels are, measured and kept, out as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from tenfold.cli.sources import read_module
from tenfold.program import compiled_cache, tune_module
from tenfold_rt.errors import RequestError

_WIDTHS = (28, 12, 12)
_COLUMNS = ("kernel", "default ms", "best ms", "choice")


def tune_file(source: str, arguments: Sequence[str]) -> None:
    """Tune the functions of `source`, a line for each decision; `TenfoldError` says why it cannot be done."""
    module, passed_over = read_module(source, arguments)
    _line(*_COLUMNS)
    found, kept = tune_module(module, _show)
    for name in passed_over:
        click.echo(f"tenfold: left out {name}, which lacks specs", err=True)
    better = sum(tuned.choice is not None for tuned in found)
    click.echo(f"{len(found)} decisions measured, {better} changed; others of these kernels are known already")
    if not kept:
        raise RequestError(
            f"what was found cannot be kept in {compiled_cache().directory}",
            mend="set TENFOLD_CACHE_DIR to a place that can be written to",
        )


def _show(tuned: Any) -> None:
    """A line of the table."""
    choice = "as it was" if tuned.choice is None else " ".join(map(str, tuned.choice))
    before, after = f"{1e3 * tuned.default_seconds:.4f}", f"{1e3 * tuned.best_seconds:.4f}"
    _line(f"{tuned.entry}.{tuned.kernel}", before, after, f"{choice}: {tuned.name}")


def _line(kernel: str, before: str, after: str, choice: str) -> None:
    first, *numbers = _WIDTHS
    times = (text.rjust(width) for text, width in zip((before, after), numbers, strict=True))
    click.echo("  ".join([kernel.ljust(first), *times, choice]))
