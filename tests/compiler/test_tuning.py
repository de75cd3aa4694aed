"""Tuning: every answer gives right results, the best ones are kept, and nothing changes where nothing was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import tenfold as tn
from tenfold_rt.cache import Cache
from tenfold_rt.load import load
from tenfoldc import pipeline, tuner
from tenfoldc.random_inputs import random_arguments
from tenfoldc.target import host
from tenfoldc.tuning import UNTUNED, Decision, Decisions, Tuning
from tenfoldc.tuning_store import keep, known

PROGRAMS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "a product": (lambda x, w: tn.relu(x @ w), (tn.f32[100, 300], tn.f32[300, 200])),
    "a transposed product": (lambda x, w: x @ w.T, (tn.f64[37, 600], tn.f64[100, 600])),
    "a convolution": (lambda x, w: tn.conv2d(x, w, padding=1), (tn.f32[2, 5, 12, 12], tn.f32[7, 5, 3, 3])),
    "minimal filtering": (lambda x, w: tn.conv2d(x, w, padding=1), (tn.f32[2, 32, 12, 12], tn.f32[24, 32, 3, 3])),
    "attention": (lambda q, k: tn.softmax(q @ k.mT, dim=-1) @ k, (tn.f32[3, 150, 32], tn.f32[3, 150, 32])),
    "a loop": (lambda x: tn.tanh(x) + 1.0, (tn.f32[300_000],)),
}


def module_of(name: str) -> Any:
    function, specs = PROGRAMS[name]
    return tn.compile(function).lower(*specs).module


def decisions_of(module: Any, tuning: Tuning = UNTUNED) -> dict[str, Decision]:
    kernels = pipeline.kernels(module, target=host(), tuning=tuning)
    return {decision.name: decision for each in kernels.values() for kernel in each for decision in kernel.decisions}


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_answer_gives_right_results(name: str, tmp_path: Any) -> None:
    module = module_of(name)
    (entry,) = module.entries
    asked = decisions_of(module)
    assert any(decision.others for decision in asked.values())
    arguments = random_arguments(module[entry])
    results: list[Any] = []
    for turn in range(1 + max(len(decision.others) for decision in asked.values())):
        answers = {n: d.others[turn - 1] for n, d in asked.items() if 0 < turn <= len(d.others)}
        code, _ = pipeline.compile_module(module, target=host(), library=f"l{turn}", tuning=Tuning(answers))
        path = tmp_path / f"{turn}.so"
        path.write_bytes(code)
        results.append(load(path).call(entry, arguments))
    for found in results[1:]:
        for array, expected in zip(found, results[0], strict=True):
            np.testing.assert_allclose(array, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_an_answer_changes_the_loops() -> None:
    module = module_of("a product")
    question = next(name for name in decisions_of(module) if name.startswith("blocking"))
    other = decisions_of(module)[question].others[0]
    plain, tuned = (
        pipeline.stage_text(module, "loops", target=host(), tuning=tuning)
        for tuning in (UNTUNED, Tuning({question: other}))
    )
    assert plain != tuned
    assert decisions_of(module, Tuning({question: other}))[question].choice == other


def test_an_answer_that_is_none_of_those_asked_for_is_not_taken() -> None:
    decisions = Decisions(Tuning({"size": (7,)}))
    assert decisions.choose("size", (1,), [(2,), (4,)]) == (1,)
    assert decisions.made == [Decision("size", (1,), ((2,), (4,)))]


def faked(monkeypatch: pytest.MonkeyPatch, speed: Mapping[str, float]) -> None:
    """Let a kernel take a second, times the factors of the answers that it was compiled with."""
    compiled: list[Tuning] = []
    original = tuner.pipeline.compile_module

    def compile_module(module: Any, **options: Any) -> Any:
        compiled.append(options["tuning"])
        return original(module, **options)

    def measure(version: Any) -> None:
        factor = float(np.prod([speed.get(name, 1.0) for name in tunings[version].choices]))
        version.seconds = {("f", "k0_dot_general"): factor}

    tunings: dict[Any, Tuning] = {}
    create = tuner._Version.__init__

    def init(version: Any, *arguments: Any) -> None:
        create(version, *arguments)
        tunings[version] = compiled[-1]

    monkeypatch.setattr(tuner.pipeline, "compile_module", compile_module)
    monkeypatch.setattr(tuner._Version, "__init__", init)
    monkeypatch.setattr(tuner._Version, "measure", measure)


def product() -> Any:
    def f(x: Any, w: Any) -> Any:
        return x @ w

    return tn.compile(f).lower(tn.f32[20, 30], tn.f32[30, 40]).module


def test_the_fastest_answer_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    module = product()
    question = next(name for name in decisions_of(module) if name.startswith("packing"))
    faked(monkeypatch, {question: 0.5})
    found = {tuned.name: tuned for tuned in tuner.tune(module, target=host(), tuning=UNTUNED)}
    assert found[question].choice in decisions_of(module)[question].others
    assert (found[question].default_seconds, found[question].best_seconds) == (1.0, 0.5)
    assert all(tuned.choice is None for name, tuned in found.items() if name != question)


def test_an_answer_with_wrong_results_does_not_win(monkeypatch: pytest.MonkeyPatch) -> None:
    module = product()
    faked(monkeypatch, dict.fromkeys(decisions_of(module), 0.5))
    monkeypatch.setattr(tuner, "_agree", lambda results, expected: False)
    assert all(tuned.choice is None for tuned in tuner.tune(module, target=host(), tuning=UNTUNED))


def test_rounding_is_forgiven_and_nothing_else() -> None:
    x = np.array([1.0, -3.0, np.nan, np.inf], np.float32)
    assert tuner._agree([x * np.float32(1 + 1e-6)], [x])
    assert not tuner._agree([x * np.float32(1 + 1e-3)], [x])
    assert not tuner._agree([np.where(np.isnan(x), np.float32(0), x)], [x])
    assert not tuner._agree([np.array([1, 2])], [np.array([1, 3])])


def test_what_is_known_is_not_measured_again() -> None:
    module = product()
    names = decisions_of(module)
    assert tuner.tune(module, target=host(), tuning=Tuning(settled=frozenset(names))) == []


def test_answers_are_kept_for_this_machine_and_compiler(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(tmp_path)
    assert known(cache, host()) == UNTUNED
    assert keep(cache, host(), [("a", (1, 2)), ("b", None)])
    found = known(Cache(tmp_path), host())
    assert dict(found.choices) == {"a": (1, 2)}
    assert found.answers("b")
    monkeypatch.setattr("tenfoldc.tuning_store.revision", lambda: "another")
    assert known(Cache(tmp_path), host()) == UNTUNED


def test_answers_are_kept_in_memory_where_the_disk_refuses(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tenfold_rt.cache._write", full)
    cache = Cache(tmp_path)
    assert not keep(cache, host(), [("a", (1,))])
    assert dict(known(cache, host()).choices) == {"a": (1,)}


def test_a_damaged_note_is_as_none(tmp_path: Any) -> None:
    cache = Cache(tmp_path)
    keep(cache, host(), [("a", (1,))])
    (note,) = (tmp_path / "notes").iterdir()
    note.chmod(0o600)
    note.write_bytes(note.read_bytes()[:-3])
    assert known(Cache(tmp_path), host()) == UNTUNED


def test_clearing_the_cache_forgets_answers(tmp_path: Any) -> None:
    cache = Cache(tmp_path)
    keep(cache, host(), [("a", (1,))])
    cache.clear()
    assert known(cache, host()) == UNTUNED
