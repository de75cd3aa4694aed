"""The table of GPU cases: times, rates, shares of what the card was measured to do, ratios to the peers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from benchmarks.cpu.run import Result
from benchmarks.cpu.table import geometric_mean

_COPIED = 1 << 31
_PRODUCT = 8192
_TURNS = 10


@dataclass(frozen=True, slots=True)
class GpuCeilings:
    """What the card does at best, as PyTorch measures it: bytes copied (read and written) and operations a second."""

    copy_bytes: float
    bf16_flops: float
    f32_flops: float

    def __str__(self) -> str:
        return (
            f"Copies move {self.copy_bytes / 1e12:.2f} TB/s; products of {_PRODUCT}^3 run at "
            f"{self.bf16_flops / 1e12:.0f} TFLOP/s in bf16 and {self.f32_flops / 1e12:.1f} in f32 (cuBLAS)"
        )


def measure() -> GpuCeilings:
    """The ceilings of the card that is there."""
    source = torch.zeros(_COPIED, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    flops = 2 * _PRODUCT**3
    rates: list[float] = []
    for dtype in (torch.bfloat16, torch.float32):
        x = torch.randn(_PRODUCT, _PRODUCT, device="cuda").to(dtype)
        rates.append(flops / _seconds(lambda x=x: x @ x))
    return GpuCeilings(2 * _COPIED / _seconds(lambda: target.copy_(source)), *rates)


def _seconds(call: object) -> float:
    """The best of some runs, by the card's own clock."""
    assert callable(call)
    best = float("inf")
    for _ in range(_TURNS):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        call()
        end.record()
        torch.cuda.synchronize()
        best = min(best, begin.elapsed_time(end) / 1e3)
    return best


@dataclass(frozen=True, slots=True)
class GpuTable:
    """Results in the order they were measured, with what is needed to read them."""

    contestants: Sequence[str]
    ceilings: GpuCeilings
    conditions: str
    results: list[Result] = field(default_factory=list[Result])
    name: str = "gpu"

    def heading(self) -> str:
        """The table's first two lines."""
        names = " | ".join(f"{name} ms" for name in self.contestants)
        return (
            f"| case | {names} | rate | of ceiling | to torch | to best |\n|---|{'---:|' * (len(self.contestants) + 4)}"
        )

    def line(self, result: Result) -> str:
        """One case."""
        cells = [_milliseconds(result.seconds.get(name)) for name in self.contestants]
        rate, share = self._rate(result)
        best = "" if result.ratio is None else f"{result.ratio:.2f} ({result.best_peer})"
        ours, torchs = result.seconds.get("tenfold"), result.seconds.get("torch")
        to_torch = "" if ours is None or torchs is None else f"{torchs / ours:.2f}"
        return f"| {result.case.full_name} | {' | '.join(cells)} | {rate} | {share} | {to_torch} | {best} |"

    def notes(self) -> str:
        """Geometric means by theme, and what went wrong."""
        themes: dict[str, list[float]] = {}
        for result in self.results:
            if result.ratio is not None:
                themes.setdefault(result.case.theme, []).append(result.ratio)
        lines = [f"- {theme}: geometric mean of the ratios to the best peer {geometric_mean(ratios):.2f}"
                 for theme, ratios in themes.items()]  # fmt: skip
        lines += [f"- {r.case.full_name}, {name}: {note}" for r in self.results for name, note in r.notes.items()]
        return "\n".join(lines)

    def text(self) -> str:
        """The section as Markdown."""
        explanation = (
            "Median time of a call among many that are asked for without waiting. Ratios are a peer's time over "
            "Tenfold's: above 1, Tenfold is faster. f32 is f32 everywhere: no tf32."
        )
        rows = [self.heading(), *(self.line(result) for result in self.results)]
        parts = ["## GPU", f"{self.conditions}. {self.ceilings}.", explanation, "\n".join(rows), self.notes()]
        return "\n\n".join(parts) + "\n"

    def _rate(self, result: Result) -> tuple[str, str]:
        seconds, case = result.seconds.get("tenfold"), result.case
        if seconds is None or not (case.flops or case.bytes):
            return "", ""
        if case.flops:
            rate = case.flops / seconds
            peak = self.ceilings.bf16_flops if "bfloat16" in case.name else self.ceilings.f32_flops
            return f"{rate / 1e12:.1f} TFLOP/s", f"{rate / peak:.0%}"
        rate = case.bytes / seconds
        return f"{rate / 1e9:.0f} GB/s", f"{rate / self.ceilings.copy_bytes:.0%}"


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e3:.4g}"
