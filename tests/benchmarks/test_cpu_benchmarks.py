"""The CPU cases: what is measured, in which order, and how it is told.  How fast anything is, is not tested."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

if importlib.util.find_spec("torch") is None or importlib.util.find_spec("jax") is None:
    pytest.skip("needs the peers", allow_module_level=True)

from benchmarks import memory
from benchmarks.cpu.case import Case, Mode, everywhere
from benchmarks.cpu.cases import CASES
from benchmarks.cpu.contestants import CONTESTANTS, Run, leaves
from benchmarks.cpu.run import Effort, Result, alternate, run_case
from benchmarks.cpu.table import CpuTable, geometric_mean
from benchmarks.peak_memory import forget_peak, resident

from tenfoldc import ceilings
from tenfoldc.ceilings import Ceilings

ROOT = Path(__file__).parent.parent.parent
TINY = Effort(seconds=0.0, samples=2, sample_seconds=0.0)
NAMES = ["tenfold", "torch", "jax"]


def ones(_: np.random.Generator):
    return (np.ones(4, np.float32),)


def case(functions, mode: Mode = Mode.CALL) -> Case:
    return Case("theme", "name", ones, functions, mode, bytes=32)


def test_command_prints_a_table() -> None:
    command = [sys.executable, "-m", "benchmarks", "cpu", "--only", "17x33x129", "--peers", "torch", "--quick"]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "| case | tenfold ms | torch ms | rate | of ceiling | ratio |" in output
    assert "| products 17x33x129 | " in output
    assert "| all | 1 | " in output


def test_memory_of_later_calls_holds_what_they_return() -> None:
    """Softmax gives 16 MiB, and the one that the first call gave lives until the next is there."""
    section = memory.section(1, peers=False, cases={"softmax": memory.CASES["softmax 4096x1024"]})
    for peaks in section.rows.values():
        assert peaks.keys() == {"tenfold", "tenfold, cached"}
        assert all(peak.median > 15 << 20 for peak in peaks.values())
    assert "MiB" in section.text()


def test_memory_cases_are_cases() -> None:
    assert set(memory.CASES.values()) <= {case.full_name for case in CASES}


def test_peak_counts_memory_that_is_given_back() -> None:
    before = resident("VmRSS")
    forget_peak()
    np.ones(4 << 20)  # 32 MiB
    assert resident("VmHWM") - before > 31 << 20


def test_names_are_unique() -> None:
    names = [case.full_name for case in CASES]
    assert len(set(names)) == len(names)


def test_answers_that_agree_leave_no_note() -> None:
    result = run_case(case(everywhere(lambda x: x + x)), NAMES, TINY)
    assert result.notes == {}
    assert result.seconds.keys() == set(NAMES)


def test_answers_that_differ_are_noted() -> None:
    functions = everywhere(lambda x: x + x) | {"torch": lambda x: x + 3}
    result = run_case(case(functions), NAMES, TINY)
    assert result.notes == {"torch": "result 0 differs by 5.0e-01 of the largest element"}


def test_a_peer_that_fails_is_noted_and_not_timed() -> None:
    result = run_case(case(everywhere(lambda x: x + x) | {"jax": lambda x: x.nothing}), NAMES, TINY)
    assert result.seconds.keys() == {"tenfold", "torch"}
    assert result.notes["jax"].startswith("AttributeError: ")


@pytest.mark.parametrize("name", NAMES)
def test_a_step_moves_the_state_against_the_gradient(name: str) -> None:
    def loss(state, x):
        return (state["w"] * x).sum()

    step = Case("t", "n", lambda rng: ({"w": np.ones(4, np.float32)}, *ones(rng)), everywhere(loss), Mode.STEP)
    run = CONTESTANTS[name](step, [step.inputs(np.random.default_rng(0))])
    run.call(0)
    weights, value = leaves(run.call(1))
    np.testing.assert_allclose(weights, np.full(4, 0.998), rtol=1e-6)
    np.testing.assert_allclose(value, 4 * 0.999, rtol=1e-6)


def test_each_round_begins_with_another_contestant() -> None:
    calls: list[str] = []

    class Noted:
        def __init__(self, name: str) -> None:
            self.name = name

        def call(self, turn: int) -> None:
            calls.append(self.name)

    samples = alternate({name: Noted(name) for name in "ab"}, TINY)
    assert [len(values) for values in samples.values()] == [2, 2]
    assert "".join(name for name, before in zip(calls[2:], ["", *calls[2:]], strict=False) if name != before) == "aba"


def test_a_contestant_that_takes_seconds_is_timed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr("benchmarks.cpu.run._SLOW", 0.0)
    samples = alternate({"slow": Run(calls.append)}, TINY)
    assert calls == [1]
    assert len(samples["slow"]) == 1


def test_the_table_gives_rates_shares_and_ratios() -> None:
    table = CpuTable(NAMES, 1, Ceilings(1e11, 5e10, 1e10), "here")
    table.results.append(Result(case(everywhere(abs)), {"tenfold": 1e-3, "torch": 4e-3, "jax": 2e-3}))
    assert "| theme name | 1 | 4 | 2 | 0.0 GB/s | 0% | 2.00 (jax) |" in table.text()
    assert "| all | 1 | 0 | 2.00 |" in table.means()


def test_geometric_mean() -> None:
    assert geometric_mean([1.0, 4.0]) == pytest.approx(2.0)


def test_ceilings_are_those_of_a_computer() -> None:
    measured = ceilings.measure()
    assert 1e9 < measured.f64_flops <= 1.2 * measured.f32_flops < 1e12
    assert 1e8 < measured.copy_bytes < 1e12
