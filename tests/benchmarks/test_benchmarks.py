"""The benchmarks run and print their tables; what they measure is not tested."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.measure import Timing, in_turns, timing
from benchmarks.report import Section, write

ROOT = Path(__file__).parent.parent.parent


def test_command_prints_a_table() -> None:
    """One tiny case from the command line, compiled in a process of its own."""
    command = [sys.executable, "-m", "benchmarks", "startup", "--rounds", "1", "--no-peers"]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "| | tenfold |" in output
    assert "| first cached call, x + y of 16 elements | " in output


def test_timing_is_the_median_with_its_quartiles() -> None:
    assert timing([5.0, 1.0, 3.0, 2.0, 4.0]) == Timing(3.0, 2.0, 4.0)
    assert timing([2.0]) == Timing(2.0, 2.0, 2.0)


def test_candidates_take_turns() -> None:
    calls: list[str] = []
    timings = in_turns({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=2)
    assert timings.keys() == {"a", "b"}
    turns = [name for name, before in zip(calls, ["", *calls], strict=False) if name != before]
    assert turns == ["a", "b", "a", "b", "a", "b"]


def test_cells_give_quartiles_and_the_ratio_to_the_first_column() -> None:
    section = Section(
        "s", "Title", "here", {"row": {"ours": Timing(2e-6, 1e-6, 3e-6), "peer": Timing(5e-3, 4e-3, 6e-3)}}
    )
    assert "| row | 2 µs (1 to 3) | 5 ms (4 to 6, ×2.5e+03) |" in section.text()


def test_write_replaces_only_its_own_section(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    for name, value in (("a", 1.0), ("b", 2.0), ("a", 3.0)):
        write(Section(name, name, "here", {"row": {"ours": Timing(value, value, value)}}), path)
    text = path.read_text()
    assert "| row | 1 s" not in text
    assert text.index("| row | 3 s") < text.index("| row | 2 s")
