"""Tables of timings and of amounts of memory, and RESULTS.md, whose sections they replace."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.measure import Timing

RESULTS = Path(__file__).parent / "RESULTS.md"

SECONDS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
BYTES = ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"))


@dataclass(frozen=True, slots=True)
class Section:
    """One table: a row for each case, a column for each candidate; the first column is the one compared with."""

    name: str
    title: str
    conditions: str
    rows: Mapping[str, Mapping[str, Timing]]
    notes: Sequence[str] = ()
    units: Sequence[tuple[float, str]] = SECONDS

    def text(self) -> str:
        """The table as Markdown."""
        columns = list(dict.fromkeys(name for row in self.rows.values() for name in row))
        lines = [f"## {self.title}", "", self.conditions, ""]
        lines += [f"| | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
        for label, row in self.rows.items():
            first = row.get(columns[0])
            cells = [self._cell(row.get(column), first if column != columns[0] else None) for column in columns]
            lines.append(f"| {label} | {' | '.join(cells)} |")
        return "\n".join([*lines, *(f"\n{note}" for note in self.notes)]) + "\n"

    def _cell(self, timing: Timing | None, reference: Timing | None) -> str:
        if timing is None:
            return ""
        scale, unit = next((unit for unit in self.units if timing.median >= unit[0]), self.units[-1])
        low, median, high = (f"{value / scale:.3g}" for value in (timing.low, timing.median, timing.high))
        ratio = f", ×{timing.median / reference.median:.3g}" if reference is not None and reference.median else ""
        return f"{median} {unit} ({low} to {high}{ratio})"


class Writable(Protocol):
    """What RESULTS.md can hold."""

    @property
    def name(self) -> str:
        """What its markers in the file say."""
        ...

    def text(self) -> str:
        """The section as Markdown."""
        ...


def write(section: Writable, path: Path = RESULTS) -> None:
    """Put `section` where the file has its markers, or at its end."""
    text = path.read_text(encoding="utf-8") if path.exists() else "# Results\n"
    begin, end = f"<!-- begin {section.name} -->", f"<!-- end {section.name} -->"
    block = f"{begin}\n{section.text()}{end}"
    if begin in text:
        text = re.sub(f"{begin}.*?{end}", lambda _: block, text, flags=re.DOTALL)
    else:
        text += f"\n{block}\n"
    path.write_text(text, encoding="utf-8")


def skipped(names: Iterable[str]) -> list[str]:
    """A note that names the peers that did not take part."""
    missing = ", ".join(names)
    return [f"Not here: {missing}."] if missing else []
