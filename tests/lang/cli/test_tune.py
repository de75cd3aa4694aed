"""`tenfold tune` and `@tn.compile(tune=True)`: what is measured is kept, and used by what is compiled after."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import tenfold as tn
from tenfold import program
from tenfold.cli.main import cli
from tenfoldc import target, tuner
from tenfoldc.tuning import UNTUNED
from tenfoldc.tuning_store import keep, known

SCRIPT = """\
import tenfold as tn


@tn.compile
def layer(x: tn.f32[20, 30], w: tn.f32[30, 40]):
    return x @ w
"""


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache of the test's own, and calls that are not repeated."""
    monkeypatch.setenv("TENFOLD_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(tuner, "_SECONDS", 0.0)
    return tmp_path / "cache"


def tuned(path: Path) -> Result:
    return CliRunner().invoke(cli, ["tune", str(path)])


def script(tmp_path: Path) -> Path:
    path = tmp_path / "model.py"
    path.write_text(SCRIPT)
    return path


def test_the_table_has_a_line_for_each_decision(tmp_path: Path) -> None:
    first = tuned(script(tmp_path))
    lines = first.output.splitlines()
    assert first.exit_code == 0
    assert lines[0].split() == ["kernel", "default", "ms", "best", "ms", "choice"]
    assert [line for line in lines if "blocking of" in line and "layer.k0_dot_general" in line]
    assert [line for line in lines if "packing of" in line and "layer.k0_dot_general" in line]
    assert lines[-1].startswith("2 decisions measured")


def test_what_is_known_is_not_measured_again(tmp_path: Path) -> None:
    tuned(script(tmp_path))
    assert "0 decisions measured" in tuned(script(tmp_path)).output


def test_a_disk_that_refuses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenfold.program.keep", lambda *_: False)
    result = tuned(script(tmp_path))
    assert result.exit_code == 2
    assert "cannot be kept" in result.output


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    result = tuned(tmp_path / "none.py")
    assert (result.exit_code, "there is no file" in result.output) == (2, True)


def test_tune_measures_at_the_first_call(cache: Path) -> None:
    x, w = np.ones((20, 30), np.float32), np.ones((30, 40), np.float32)
    layer = tn.compile(lambda x, w: x @ w, tune=True)
    np.testing.assert_array_equal(np.asarray(layer(x, w)), x @ w)
    found = known(program.compiled_cache(), target.host())
    assert len(found.settled) + len(found.choices) == 2


def test_answers_are_part_of_what_programs_are_kept_under(cache: Path) -> None:
    module: Any = tn.compile(lambda x: x + 1.0).lower(tn.f32[8]).module
    machine = target.host()

    def key() -> str:
        return program.cache_key(module, machine, program.known_tuning(machine))

    plain = key()
    assert plain == program.cache_key(module, machine, UNTUNED)
    keep(program.compiled_cache(), machine, [("settled", None)])
    assert key() == plain
    keep(program.compiled_cache(), machine, [("question", (1,))])
    assert key() != plain


def test_what_was_found_is_used_without_asking(cache: Path) -> None:
    lowered = tn.compile(lambda x, w: x @ w).lower(tn.f32[200, 300], tn.f32[300, 400])
    machine, plain = target.host(), lowered.text("loops")
    kernels = program.compiler().kernels(lowered.module, target=machine)
    (kernel,) = kernels[lowered.module.entries[0]]
    question = next(decision for decision in kernel.decisions if decision.name.startswith("blocking"))
    keep(program.compiled_cache(), machine, [(question.name, question.others[0])])
    assert lowered.text("loops") != plain
