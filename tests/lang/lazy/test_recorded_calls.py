"""Calls that are recorded: their values, what fails in them, interruptions, and what a long run keeps."""

from __future__ import annotations

import os
import resource
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import tenfold as tn
from tenfold.gradients import graph
from tenfold.lazy.graph import GRAPH
from tenfold.lazy.tables import Table

TOO_MANY = 1 << 46


def test_values_are_those_at_the_time_of_the_call() -> None:
    x = tn.tensor([1.0, 2.0])
    part, twice = x[1:], x * 2
    x.add_(1)
    thrice = part * 3
    x.mul_(0)
    assert (twice.tolist(), thrice.tolist(), part.tolist()) == ([2, 4], [9], [0])


def test_a_call_that_fails_fails_alone() -> None:
    before = tn.ones(3) + 1
    huge = tn.zeros(TOO_MANY)
    doomed, fine = huge.sum() + before, before * 3
    assert fine.tolist() == [6, 6, 6]
    for _ in range(2):
        with pytest.raises(MemoryError):
            doomed.tolist()
    later = doomed + 1
    assert (fine + 1).tolist() == [7, 7, 7]
    with pytest.raises(MemoryError):
        later.tolist()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt, also where the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interruption_computes_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    x = tn.zeros(4)
    x.add_(1)
    assert x[0].item() == 1
    x.add_(1)  # takes the memory of x
    settle = GRAPH._run

    def interrupted(recording: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        settle(recording)

    monkeypatch.setattr(GRAPH, "_run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        x.tolist()
    monkeypatch.undo()
    assert x.tolist() == [2, 2, 2, 2]


def test_what_compiled_code_gave_is_kept_when_it_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    x = tn.zeros(5)
    for _ in range(2):  # so that the group is known
        x.add_(1)
        assert x.tolist()
    run = GRAPH._groups.get

    def known(key: Any) -> Any:
        group = run(key)
        assert group is not None
        entry = group.entry

        class Interrupted:
            donated = group.donated

            def run(self, inputs: Any, results: list[Any]) -> None:
                results.extend([entry(*inputs)])
                raise KeyboardInterrupt

        return Interrupted()

    x.add_(1)
    monkeypatch.setattr(GRAPH, "_groups", type("Known", (), {"get": staticmethod(known)})())
    with pytest.raises(KeyboardInterrupt):
        x.tolist()
    monkeypatch.undo()
    assert x.tolist() == [3] * 5


def test_a_loop_that_looks_at_nothing_compiles_a_few_groups() -> None:
    before = tn.lazy.counters().compiled
    x = tn.ones(4)
    for _ in range(1500):
        x = x * 0.5 + 0.5
    assert x.tolist() == [1, 1, 1, 1]
    assert tn.lazy.counters().compiled - before <= 4


def _resident() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_a_long_run_keeps_nothing() -> None:
    weights = tn.ones(4, requires_grad=True)

    def steps(count: int) -> None:
        for _ in range(count):
            (weights * weights).sum().backward()
            with tn.no_grad():
                weights.sub_(weights.grad * 0.01)
            weights.grad = None

    steps(100)
    groups, alive, resident = len(GRAPH._groups), graph._CENSUS.alive, _resident()
    steps(1500)
    assert (len(GRAPH._groups), graph._CENSUS.alive) == (groups, alive)
    assert _resident() - resident < 8 << 10


def test_tables_forget_what_was_used_least_recently() -> None:
    table: Table[int] = Table(4)
    for key in range(4):
        table.add(key, key)
    assert table.get(0) == 0
    table.add(4, 4)
    assert [key for key in range(5) if table.get(key) is not None] == [0, 3, 4]


def test_losses_that_are_kept_are_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "MANY", 20)
    monkeypatch.setattr(graph, "_CENSUS", graph._Census())
    x = tn.ones(2, requires_grad=True)
    with pytest.warns(UserWarning, match="remembered for gradients"):
        kept = [(x * 2).sum() for _ in range(15)]
    assert len(kept) == 15


def _run_in_threads(work: Callable[[int], None], count: int = 3) -> None:
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:  # shown by the test
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors


def test_threads_compute_and_go_back_at_once() -> None:
    weights = tn.ones(8, requires_grad=True)
    view = weights.reshape(2, 4)

    def work(number: int) -> None:
        x = tn.ones(8, requires_grad=True)
        for _ in range(40):
            ((view.reshape(8) * x) * (number + 1)).sum().backward()
        assert x.grad.tolist() == [40.0 * (number + 1)] * 8

    _run_in_threads(work)
    assert weights.grad.tolist() == [240.0] * 8


def test_one_thread_compiles_while_others_compute_with_the_same_tensors() -> None:
    weights = tn.ones(4, requires_grad=True)
    weights.grad = tn.ones(4)

    def work(number: int) -> None:
        if number:
            for _ in range(60):
                assert (weights * 2 + weights.grad).tolist() == [3, 3, 3, 3]
            return
        for size in range(1, 5):

            @tn.compile
            def step(x: Any) -> Any:
                return x.sum() * weights + weights.grad

            assert step(tn.ones(size)).tolist() == [size + 1] * 4

    _run_in_threads(work)
