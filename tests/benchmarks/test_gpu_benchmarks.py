"""The benchmarks of a GPU: cases are prepared and run on a simulated one, and what is said of them is right."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from simulated_device import SimulatedDevice

if importlib.util.find_spec("torch") is None or importlib.util.find_spec("jax") is None:
    pytest.skip("needs the peers", allow_module_level=True)

from benchmarks.cpu.case import Case, Mode, everywhere, normal
from benchmarks.cpu.run import Result
from benchmarks.gpu.cases import CASES
from benchmarks.gpu.contestants import host, tenfold
from benchmarks.gpu.run import disagreements
from benchmarks.gpu.table import GpuCeilings, GpuTable

from tenfold_rt.cuda import devices

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def simulated_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("TENFOLD_CACHE_DIR", str(tmp_path))
    with devices.standing_in([SimulatedDevice()]):
        yield


def small(mode: Mode) -> Case:
    return Case(
        "small",
        "square",
        lambda rng: (normal(rng, 4, 5), normal(rng, 4, 5)),
        everywhere(lambda x, y: (x * y).sum()),
        mode,
        bytes=160,
    )


def test_a_call_gives_what_numpy_gives() -> None:
    case = small(Mode.CALL)
    inputs = [case.inputs(np.random.default_rng(number)) for number in range(2)]
    run = tenfold(case, inputs)
    for turn in range(3):
        result = run.call(turn)
        run.finish(result)
        x, y = inputs[turn % 2]
        np.testing.assert_allclose(host(result), (x * y).sum(), rtol=1e-5)


def test_gradients_and_steps_are_what_they_ought_to_be() -> None:
    case = small(Mode.GRADIENT)
    x, y = case.inputs(np.random.default_rng(0))
    gradients = tenfold(case, [(x, y)]).call(0)
    np.testing.assert_allclose(host(gradients[0]), y, rtol=1e-6)
    step = Case("small", "step", case.inputs, everywhere(lambda state, x: (state["w"] * x).sum()), Mode.STEP)
    run = tenfold(step, [({"w": x}, y)])
    for number in range(1, 3):
        state, _ = run.call(number)
        np.testing.assert_allclose(host(state["w"]), x - number * 1e-3 * y, rtol=1e-5)


def test_who_differs_is_told() -> None:
    case = small(Mode.CALL)
    right, wrong = [np.float32(1)], [np.float32(1.1)]
    assert list(disagreements(case, {"tenfold": wrong, "torch": right})) == ["tenfold"]
    assert list(disagreements(case, {"tenfold": [np.float32(np.nan)], "torch": right})) == ["tenfold"]
    assert not disagreements(case, {"tenfold": right, "torch": right})


def test_the_table_gives_rates_shares_and_ratios() -> None:
    table = GpuTable(("tenfold", "torch"), GpuCeilings(4e12, 8e14, 5e13), "here")
    table.results.append(Result(small(Mode.CALL), {"tenfold": 80e-12, "torch": 160e-12}))
    assert "| 2000 GB/s | 50% | 2.00 | 2.00 (torch) |" in table.text()


def test_cases_have_names_of_their_own_and_say_what_bounds_them() -> None:
    assert len({case.full_name for case in CASES}) == len(CASES)
    assert all(case.flops or case.bytes for case in CASES if case.theme != "training")


def test_without_a_gpu_the_command_says_so() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "gpu", "--only", "chain"],
        capture_output=True,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        cwd=ROOT,
    )
    assert done.returncode == 1
    assert "there is no GPU" in done.stderr
