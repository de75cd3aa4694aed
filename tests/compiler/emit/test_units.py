"""Modules divided into units: equal kernels are one machine code, and what is kept is not compiled again."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import dataclass, field

import numpy as np
import pytest

import tenfold as tn
from tenfold_rt.load import load
from tenfoldc import pipeline
from tenfoldc.emit import Unit, compile_units, divide, object_code
from tenfoldc.emit.module_text import LIBRARY, Part
from tenfoldc.emit.units import Effort
from tenfoldc.target import host


@dataclass
class Kept:
    """A store that notes what is asked of it."""

    codes: dict[str, bytes] = field(default_factory=dict[str, bytes])
    made: int = 0

    def read(self, key: str) -> bytes | None:
        return self.codes.get(key)

    def write(self, key: str, data: bytes) -> None:
        self.codes[key] = data
        self.made += 1


def matrices(count: int) -> list[tn.Spec]:
    return [tn.f32[48, 48]] * count


def build(function, count, store, name="f"):
    module = tn.compile(function).lower(*matrices(count)).module
    return pipeline.compile_module(module, target=host(), library=name, store=store)[0]


def two_products(x, y, z):
    return x @ y, z @ y


def test_equal_kernels_are_compiled_once():
    one, two = Kept(), Kept()
    build(lambda x, y: x @ y, 2, one)
    build(two_products, 3, two)
    assert two.made <= one.made + 1  # the library's own unit and nothing else may differ


def test_threads_that_compile_may_run_on_every_processor():
    """Each begins on a processor of its own, and is then free, as is the thread that waits for them."""
    allowed, seen = os.sched_getaffinity(0), []

    class Noting(Kept):
        def write(self, key: str, data: bytes) -> None:
            seen.append(os.sched_getaffinity(0))

    build(two_products, 3, Noting())
    assert len(seen) > 1
    assert all(processors == allowed for processors in [*seen, os.sched_getaffinity(0)])


def unrolled(steps):
    def recurrent(x, w):
        state = w
        for step in range(steps):
            state = tn.tanh(state @ w + x[step])
        return state

    return recurrent


def test_the_steps_of_an_unrolled_loop_are_compiled_once():
    """They read one row each of a tensor, from which the pointers that their kernels are given point at theirs."""
    few, many = Kept(), Kept()
    build(unrolled(5), 2, few)
    build(unrolled(20), 2, many)
    assert many.made == few.made


def test_a_changed_line_compiles_what_it_changed():
    store = Kept()

    def first(x, y):
        return tn.exp(x).sum(), (x @ y).T.sum(1) @ y

    def second(x, y):
        return tn.tanh(x).sum(), (x @ y).T.sum(1) @ y

    build(first, 2, store)
    before = store.made
    build(first, 2, store)
    assert store.made == before
    build(second, 2, store)
    assert store.made == before + 2  # the sum, and what calls the kernels


def test_code_from_the_store_computes_the_same(tmp_path, rng):
    store = Kept()
    x, y, z = (rng.standard_normal((48, 48)).astype(np.float32) for _ in range(3))
    for number in range(2):
        path = tmp_path / f"{number}.so"
        path.write_bytes(build(two_products, 3, store))
        first, second = load(path).entry("two_products")(x, y, z)
        np.testing.assert_allclose(first, x @ y, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(second, z @ y, rtol=1e-4, atol=1e-4)


def test_tiles_and_the_interface_are_left_as_they_are_written(monkeypatch):
    units = []

    def note(given, target, store):
        units.extend(given)
        return compile_units(given, target, store)

    monkeypatch.setattr(pipeline, "compile_units", note)
    build(lambda x, y: tn.sin(x @ y), 2, Kept())
    tidy = [unit for unit in units if unit.effort is Effort.TIDY]
    assert len(tidy) >= 2
    assert all(("multiply" in str(unit.names)) == bool(unit.names) for unit in tidy)
    assert [unit.effort for unit in units if unit not in tidy] == [Effort.ALL] * (len(units) - len(tidy))


def test_many_parameters_are_an_interface_that_llvm_does_not_optimise():
    parts = [Part(LIBRARY, 'define internal i32 @"f.impl"() {\n  ret i32 0\n}')]
    assert divide(parts, [], "")[0].effort is Effort.TIDY
    assert divide(parts, [], "; " + "x" * 500_000)[0].effort is Effort.NONE


def test_the_interface_of_a_program_with_threads_is_generated_fast():
    parts = [Part(LIBRARY, 'define internal i32 @"f.impl"() {\n  ret i32 0\n}')]
    defined = (
        "define internal void @tenfold.parallel(ptr %team, ptr %task, ptr %arguments, i64 %count) {\n  ret void\n}"
    )
    assert divide(parts, [], defined)[0].effort is Effort.NONE


def test_tiles_are_given_the_stride_of_what_they_write(monkeypatch):
    units = []

    def note(given, target, store):
        units.extend(given)
        return compile_units(given, target, store)

    monkeypatch.setattr(pipeline, "compile_units", note)

    build(lambda x, y: x @ y, 2, Kept())
    tiles = [unit.text for unit in units if "multiply" in str(unit.names) and unit.effort is Effort.TIDY]
    assert tiles
    for text in tiles:
        assert "i64 %target_stride" in text


def test_an_interrupt_leaves_the_units_that_have_not_begun(monkeypatch):
    begun: list[str] = []

    def interrupted(text, *_):
        begun.append(text)
        if len(begun) == 1:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        time.sleep(0.01)
        return b""

    monkeypatch.setattr(object_code, "_kept", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # which tests in the background ignore
    units = [Unit(f"unit {number}", {}, Effort.NONE) for number in range(300)]
    with pytest.raises(KeyboardInterrupt):
        compile_units(units, host())
    signal.signal(signal.SIGINT, before)
    assert 0 < len(begun) < len(units)
