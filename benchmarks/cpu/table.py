"""The table of CPU cases: milliseconds, rates, shares of the ceilings, ratios to the best peer and their means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.cpu.run import Result
from tenfoldc.ceilings import Ceilings


@dataclass(frozen=True, slots=True)
class CpuTable:
    """Results in the order they were measured, with what is needed to read them."""

    contestants: Sequence[str]
    threads: int
    ceilings: Ceilings
    conditions: str
    results: list[Result] = field(default_factory=list[Result])

    @property
    def name(self) -> str:
        """The section of RESULTS.md."""
        return f"cpu-{self.threads}"

    def heading(self) -> str:
        """The table's first two lines."""
        names = " | ".join(f"{name} ms" for name in self.contestants)
        return f"| case | {names} | rate | of ceiling | ratio |\n|---|{'---:|' * (len(self.contestants) + 3)}"

    def line(self, result: Result) -> str:
        """One case."""
        cells = [_milliseconds(result.seconds.get(name)) for name in self.contestants]
        rate, share = self._rate(result)
        ratio = "" if result.ratio is None else f"{result.ratio:.2f} ({result.best_peer})"
        return f"| {result.case.full_name} | {' | '.join(cells)} | {rate} | {share} | {ratio} |"

    def means(self) -> str:
        """Geometric means of the ratios by theme and over all, and the notes."""
        themes: dict[str, list[float]] = {}
        for result in self.results:
            if result.ratio is not None:
                themes.setdefault(result.case.theme, []).append(result.ratio)
        every = [ratio for ratios in themes.values() for ratio in ratios]
        lines = ["| theme | cases | behind | geometric mean |", "|---|---:|---:|---:|"]
        for theme, ratios in [*themes.items(), ("all", every)]:
            behind = sum(ratio < 1 for ratio in ratios)
            lines.append(f"| {theme} | {len(ratios)} | {behind} | {geometric_mean(ratios):.2f} |")
        notes = [
            f"- {result.case.full_name}, {name}: {note}"
            for result in self.results
            for name, note in result.notes.items()
        ]
        return "\n".join([*lines, *([""] if notes else []), *notes])

    def text(self) -> str:
        """The section as Markdown."""
        title = f"CPU, {self.threads} thread{'s' if self.threads > 1 else ''}"
        explanation = (
            "Median time of a call. The ratio is the best peer's time over Tenfold's: above 1, Tenfold is faster. "
            "The rate is what the case must compute or move at the least over Tenfold's time."
        )
        rows = [self.heading(), *(self.line(result) for result in self.results)]
        parts = [f"## {title}", f"{self.conditions}. {self.ceilings}.", explanation, "\n".join(rows), self.means()]
        return "\n\n".join(parts) + "\n"

    def _rate(self, result: Result) -> tuple[str, str]:
        seconds, case = result.seconds.get("tenfold"), result.case
        if seconds is None or not (case.flops or case.bytes):
            return "", ""
        if case.flops:
            peak = self.ceilings.f64_flops if "float64" in case.name else self.ceilings.f32_flops
            return f"{case.flops / seconds / 1e9:.1f} GFLOP/s", f"{case.flops / seconds / peak:.0%}"
        rate = case.bytes / seconds
        return f"{rate / 1e9:.1f} GB/s", f"{rate / self.ceilings.copy_bytes:.0%}"


def geometric_mean(ratios: Sequence[float]) -> float:
    """The geometric mean; NaN of nothing."""
    return float(np.exp(np.mean(np.log(ratios)))) if ratios else float("nan")


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e3:.4g}"
