"""`tenfold profile`: the table of a run, whose numbers add up, and the one line that each bad request gets."""

from __future__ import annotations

import json
import re
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import tenfold as tn
from tenfold.cli import profiling
from tenfold.cli.main import cli
from tenfold.cli.profile import COMPUTE, MEMORY, Machine, Profile
from tenfold.recording import record, under_way
from tenfold_rt.errors import ArgumentError
from tenfold_rt.kernel_times import KernelTime, kernel_times
from tenfold_rt.load import load
from tenfold_rt.manifest import Kernel
from tenfoldc import pipeline
from tenfoldc.ceilings import Ceilings
from tenfoldc.target import host

SCRIPT = """\
import sys

import numpy as np
import tenfold as tn


@tn.compile
def layer(w, x):
    h = x @ w
    return tn.softmax(h, dim=-1)


@tn.compile(threads=1)
def add(x):
    return x + 1


w, x = np.ones((48, 32), np.float32), np.ones((64, 48), np.float32)
for _ in range(7):
    layer(w, x)
for _ in range(3):
    add(x)
if __name__ == "__main__":
    print("arguments", sys.argv[1:])
"""

PRODUCT = """\
func.func public @product(%w: tensor<16x8xf64>, %i: tensor<4xi32>, %p: tensor<4xi1>)
    -> (tensor<16x16xf64>, tensor<4xi32>) {
  %0 = stablehlo.dot_general %w, %w, contracting_dims = [1] x [1]
    : (tensor<16x8xf64>, tensor<16x8xf64>) -> tensor<16x16xf64>
  %1 = stablehlo.select %p, %i, %i : tensor<4xi1>, tensor<4xi32>
  return %0, %1 : tensor<16x16xf64>, tensor<4xi32>
}
"""

CEILINGS = Ceilings(1e11, 5e10, 1e10)


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(profiling, "measure", lambda threads=1, attempts=1: CEILINGS)
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "product.mlir").write_text(PRODUCT)
    return tmp_path


def tenfold(*words: str) -> Result:
    return CliRunner().invoke(cli, ["profile", *words])


def measured(*words: str) -> dict[str, Any]:
    result = tenfold(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refused(*words: str) -> str:
    result = tenfold(*words)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    (line,) = result.stderr.splitlines()
    assert under_way() is None
    return line.removeprefix("tenfold: ")


def line_of(text: str) -> int:
    return SCRIPT[: SCRIPT.index(text)].count("\n") + 1


def test_every_kernel_has_its_function_line_calls_and_work() -> None:
    kernels = {(each["function"], each["line"].rpartition(":")[2]): each for each in measured("script.py")["kernels"]}
    product = kernels["layer", str(line_of("x @ w"))]
    assert (product["calls"], product["f32_flops"], product["f64_flops"]) == (7, 2 * 48 * 32 * 64, 0)
    assert product["bytes"] == 4 * (48 * 32 + 64 * 48 + 64 * 32)
    assert product["line"].startswith(str(Path("script.py").resolve()))
    assert kernels["layer", str(line_of("tn.softmax"))]["calls"] == 7
    addition = kernels["add", str(line_of("x + 1"))]
    assert (addition["calls"], addition["f32_flops"], addition["bytes"]) == (3, 64 * 48, 2 * 4 * 64 * 48)


def test_the_numbers_add_up() -> None:
    data = measured("script.py")
    totals = data["totals"]
    times = [kernel["seconds"] for kernel in data["kernels"]]
    assert times == sorted(times, reverse=True)
    assert all(time > 0 for time in times)
    assert totals["kernel_seconds"] == pytest.approx(sum(times))
    assert totals["kernel_calls"] == sum(kernel["calls"] for kernel in data["kernels"])
    parts = [totals[f"{part}_seconds"] for part in ("kernel", "compile", "outside")]
    assert sum(parts) == pytest.approx(totals["seconds"])
    assert sum(data["compiler"]["stages"].values()) <= totals["compile_seconds"]


def test_what_is_in_the_cache_is_not_compiled_again() -> None:
    measured("script.py")
    again = measured("script.py")["compiler"]
    assert again == {"programs": 2, "compiled": 0, "stages": {}}


def test_lines_that_have_moved_are_told_as_they_are_now() -> None:
    lines: list[set[int]] = []
    for text in (SCRIPT, f"\n\n{SCRIPT}"):
        Path("script.py").write_text(text)
        lines.append({int(kernel["line"].rpartition(":")[2]) for kernel in measured("script.py")["kernels"]})
    assert lines[1] == {line + 2 for line in lines[0]}


def test_a_second_profile_counts_its_own_calls_alone() -> None:
    first, second = (measured("script.py")["totals"]["kernel_calls"] for _ in range(2))
    assert first == second


def test_the_table_is_sorted_and_cut_at_the_top() -> None:
    lines = tenfold("script.py", "--top", "1", "--", "--epochs", "3").stdout.splitlines()
    assert lines[0] == "arguments ['--epochs', '3']"
    assert lines[1].split()[:3] == ["time", "share", "calls"]
    assert re.search(r"(memory|compute) +\d+%  (layer|add)\.k\d+_\w+ +script\.py:\d+$", lines[2])
    assert re.fullmatch(r"and \d more, which took .+", lines[3])
    assert any(re.match(r"elsewhere +\S+ \S+ +\d+%", line) for line in lines)


def test_json_stands_alone_on_standard_output() -> None:
    result = tenfold("script.py", "--json")
    assert "arguments []" in result.stderr
    assert set(json.loads(result.stdout)) == {"kernels", "totals", "compiler", "ceilings"}


@pytest.mark.parametrize("inputs", [(), ("--inputs", "inputs.npz")])
def test_a_stablehlo_function_is_called_many_times(inputs: tuple[str, ...]) -> None:
    np.savez("inputs.npz", np.ones((16, 8)), np.ones(4, np.int32), np.ones(4, bool))
    data = measured("product.mlir:product", "--calls", "5", *inputs)
    assert {kernel["calls"] for kernel in data["kernels"]} == {5}
    assert sum(kernel["f64_flops"] for kernel in data["kernels"]) == 2 * 16 * 16 * 8
    assert data["compiler"]["programs"] == 1


def test_functions_of_other_threads_are_counted() -> None:
    double = tn.compile(lambda x: x + x)
    x = np.ones(1000, np.float32)
    with record() as recording:
        threads = [threading.Thread(target=lambda: [double(x) for _ in range(50)]) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sum(kernel.calls for kernel in recording.kernels()) == 150


def test_one_run_is_recorded_at_a_time() -> None:
    with record(), pytest.raises(ArgumentError, match="already"), record():
        pass
    assert under_way() is None


def test_results_are_those_of_a_plain_run() -> None:
    x = np.linspace(-3, 3, 4096, dtype=np.float32).reshape(64, 64)
    plain = tn.compile(lambda x: tn.softmax(x @ x, dim=0))(x)
    with record():
        timed = tn.compile(lambda x: tn.softmax(x @ x, dim=0))(x)
    np.testing.assert_array_equal(plain, timed)


def test_a_plain_library_has_nothing_of_it(tmp_path: Path) -> None:
    module = tn.compile(lambda x: tn.sum(x @ x)).lower(tn.f32[32, 32]).module
    texts: dict[str, str] = {}
    for timed in (False, True):

        def observe(report: Any, timed: bool = timed) -> None:
            if report.stage == "divide":
                texts[str(timed)] = report.text()

        code, manifest = pipeline.compile_module(module, target=host(), library="f", observe=observe, timed=timed)
        assert bool(manifest.entries[0].kernels) is timed
        assert (b"clock_gettime" in code) is timed
        if not timed:
            (tmp_path / "libf.so").write_bytes(code)
            assert kernel_times(load(tmp_path / "libf.so")) == []
    added = [line for line in texts["True"].splitlines() if line not in set(texts["False"].splitlines())]
    assert not any("define internal fastcc" in line for line in added)  # the kernels are the same
    assert "tenfold.lap" not in texts["False"]


def test_the_limit_that_binds_is_the_longer_one() -> None:
    def kernel(f32: int | None, f64: int | None, moved: int | None, *, shared: bool = False) -> KernelTime:
        return KernelTime("f", Kernel("k0_f", "f.py:1", shared, f32, f64, moved), 10, 1e-2)

    doubled = Ceilings(2e11, 1e11, 2e10)
    kernels = [
        kernel(10**8, 0, 10**6),
        kernel(0, 10**3, 10**7),
        kernel(None, None, None),
        kernel(10**8, 0, 0, shared=True),
    ]
    timed = Profile(kernels, 1.0, 1, 1, 0.0, {}, Machine(2, CEILINGS, doubled)).timed()
    assert [each.limit for each in timed] == [COMPUTE, MEMORY, None, COMPUTE]
    assert [each.of_limit for each in timed] == pytest.approx([1.0, 1.0, None, 0.5])


FAILING = {
    "raises.py": ("1 / 0\n", "running the file failed with ZeroDivisionError: division by zero, at raises.py:1"),
    "syntax.py": ("def f(:\n", "running the file failed with SyntaxError"),
    "exits.py": ("raise SystemExit(3)\n", "running the file failed with SystemExit: 3"),
    "idle.py": ("raise SystemExit(0)\n", "idle.py called no compiled function"),
    "refuses.py": ("import tenfold as tn\ntn.ones((2, 3)) @ tn.ones((4, 5))\n", "matmul"),
}


@pytest.mark.parametrize("name", FAILING)
def test_a_script_that_fails_is_told_in_one_line(name: str) -> None:
    text, message = FAILING[name]
    Path(name).write_text(text)
    before = list(sys.path), list(sys.argv)
    assert message in refused(name)
    assert before == (sys.path, sys.argv)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("missing.py",), "there is no file missing.py"),
        (("script.py:layer",), "a Python file is run as a script; leave out :layer"),
        (("script.py", "--calls", "3"), "--inputs and --calls are for StableHLO files"),
        (("product.mlir", "--", "more"), "product.mlir is no script"),
        (("product.mlir:sum",), "product.mlir has no function sum"),
        (("product.mlir", "--inputs", "script.py"), "cannot read script.py"),
        (("notes.txt",), "notes.txt is neither Python (.py) nor StableHLO (.mlir)"),
    ],
)
def test_bad_requests(words: tuple[str, ...], message: str) -> None:
    Path("notes.txt").write_text("")
    assert message in refused(*words)
