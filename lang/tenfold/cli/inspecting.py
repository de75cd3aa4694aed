"""`tenfold inspect`: a source file in; the memory that its functions take out, as lines of a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tenfold.cli.sources import read_module
from tenfold.program import compiler, refuse_uncompiled
from tenfoldc import target as targets

_COLUMNS = ("entry", "parameters", "results", "constants", "workspace", "live", "thread", "peak")
_UNITS = ("B", "KiB", "MiB", "GiB")


def memory(source: str, arguments: Sequence[str]) -> Iterator[str]:
    """The lines of the table; `TenfoldError` where `source` cannot be compiled."""
    module, _ = read_module(source, arguments)
    refuse_uncompiled(module)
    rows: list[tuple[str, ...]] = [_COLUMNS]
    for use in compiler().memory_usage(module, target=targets.host()):
        sizes = (use.parameters, use.results, use.constants, use.workspace, use.live, use.per_thread, use.peak)
        rows.append((use.entry, *map(_amount, sizes)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *sizes in rows:
        cells = (size.rjust(width) for size, width in zip(sizes, widths[1:], strict=True))
        yield "  ".join([name.ljust(widths[0]), *cells])


def _amount(size: int) -> str:
    amount, unit = float(size), 0
    while amount >= 1024 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{amount:.4g} {_UNITS[unit]}"
