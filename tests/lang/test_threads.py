"""Compiled code on several threads: the same bits for any number, and no harm to what runs beside it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tenfold as tn
from tenfold_rt.settings import settings

COUNTS = (1, 2, 3, 7)


@pytest.fixture(autouse=True)
def count_restored() -> Iterator[None]:
    with tn.threads(tn.get_num_threads()):
        yield


def images(n: int, *rest: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(7).standard_normal((n, *rest), np.float32)


def network_gradient(x: Any, w: Any, v: Any, labels: Any) -> Any:
    def loss(w: Any, v: Any) -> Any:
        return tn.cross_entropy(tn.tanh(x @ w) @ v, labels)

    return tn.grad(loss, argnums=(0, 1))(w, v)


PROGRAMS: dict[str, tuple[Callable[..., Any], tuple[np.ndarray[Any, Any], ...]]] = {
    "elementwise": (lambda x: tn.tanh(x) * x + 1, (images(1_000_003),)),
    "transposed": (lambda x: x + x.T, (images(700, 700),)),
    "softmax": (lambda x: tn.softmax(x, dim=-1), (images(1000, 333),)),
    "sum of all": (tn.sum, (images(1_000_003),)),
    "sum of rows": (lambda x: tn.sum(x, dim=1), (images(1500, 700),)),
    "sum of columns": (lambda x: tn.sum(x, dim=0), (images(1500, 5000),)),
    "matmul": (lambda x, y: x @ y, (images(333, 500), images(500, 701))),
    "matmul with an epilogue": (lambda x, y: tn.relu(x @ y + 1), (images(650, 300), images(300, 400))),
    "tall matmul": (lambda x, y: x @ y, (images(5000, 40), images(40, 40))),
    "matrix times vector": (lambda x, y: x @ y, (images(2000, 1000), images(1000))),
    "batched matmul": (lambda x, y: x @ y, (images(30, 50, 64), images(30, 64, 50))),
    "convolution": (lambda x, k: tn.conv2d(x, k, padding=1), (images(3, 16, 30, 30), images(32, 16, 3, 3))),
    "depthwise": (lambda x, k: tn.conv2d(x, k, padding=1, groups=32), (images(4, 32, 40, 40), images(32, 1, 3, 3))),
    "pooling": (lambda x: tn.max_pool2d(x, 3, stride=2), (images(8, 16, 50, 50),)),
    "running sum": (lambda x: tn.cumsum(x, dim=1), (images(500, 1000),)),
    "loop of small products": (
        lambda x, w: tn.fori_loop(0, 200, lambda i, x: tn.tanh(x @ w), x),
        (images(32, 128), images(128, 128)),
    ),
    "sort": (lambda x: tn.sort(x, dim=1)[0], (images(64, 300),)),
    "network": (
        network_gradient,
        (images(256, 300), images(300, 200), images(200, 10), (np.arange(256) % 10).astype(np.int32)),
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_results_are_the_same_bits_for_any_number_of_threads(name: str) -> None:
    function, arguments = PROGRAMS[name]
    compiled = tn.compile(function)
    results: list[list[bytes]] = []
    for count in COUNTS:
        with tn.threads(count):
            result = compiled(*arguments)
        results.append([np.asarray(part).tobytes() for part in (result if isinstance(result, tuple) else (result,))])
    assert all(result == results[0] for result in results[1:])


def test_a_donated_parameter_is_updated_in_place_by_all_threads() -> None:
    step = tn.compile(lambda w, g: w - 0.5 * g, donate="w")
    w, g = images(1_000_000), images(1_000_000)
    expected = w - np.float32(0.5) * g
    with tn.threads(3):
        updated = step(w, g)
    np.testing.assert_array_equal(updated, expected)


def test_many_python_threads_may_call_at_once() -> None:
    product = tn.compile(lambda x, y: tn.softmax(x @ y, dim=-1))
    x, y = images(300, 200), images(200, 300)
    with tn.threads(1):
        expected = np.asarray(product(x, y))
    wrong: list[int] = []

    def call() -> None:
        for turn in range(20):
            if not np.array_equal(np.asarray(product(x, y)), expected):
                wrong.append(turn)

    with tn.threads(3):
        callers = [threading.Thread(target=call) for _ in range(5)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    assert not wrong


def test_the_number_of_threads_is_checked_and_restored() -> None:
    tn.set_num_threads(2)
    with tn.threads(5):
        assert tn.get_num_threads() == 5
    assert tn.get_num_threads() == 2
    with contextlib.suppress(ZeroDivisionError), tn.threads(5):
        raise ZeroDivisionError
    assert tn.get_num_threads() == 2
    for wrong in (0, 257, 2.0, True):
        with pytest.raises(tn.SpecError, match="from 1 to 256"):
            tn.set_num_threads(wrong)  # type: ignore[arg-type]


def run(source: str, **environ: str) -> str:
    """What a program in a process of its own prints."""
    head = "import os, time, numpy as np, tenfold as tn\ndef threads(): return len(os.listdir('/proc/self/task'))\n"
    command = [sys.executable, "-c", head + textwrap.dedent(source)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1", **environ}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_small_work_and_one_thread_start_no_thread(tmp_path: Path) -> None:
    source = """
    small, large = tn.compile(lambda x: x * 2), tn.compile(lambda x: tn.tanh(x))
    x = np.ones(1_000_000, np.float32)
    small(x[:100]); large(x)
    before = threads()
    small(x[:100])
    tn.set_num_threads(1)
    large(x)
    one = threads()
    tn.set_num_threads(4)
    small(x[:100])
    still = threads()
    large(x)
    print(one - before, still - before, threads() - before)
    """
    assert run(source, TENFOLD_NUM_THREADS="1", TENFOLD_CACHE_DIR=str(tmp_path)) == "0 0 3"


def test_the_libraries_of_a_process_share_one_pool(tmp_path: Path) -> None:
    source = """
    x = np.ones(1_000_000, np.float32)
    first, second = tn.compile(lambda x: tn.tanh(x)), tn.compile(lambda x: tn.exp(x))
    before = threads()
    first(x), second(x), first(x)
    for _ in range(100):  # threads that compiled may take a moment to end
        if threads() - before <= 2:
            break
        time.sleep(0.05)
    print(threads() - before)
    """
    assert run(source, TENFOLD_NUM_THREADS="3", TENFOLD_CACHE_DIR=str(tmp_path)) == "2"


def test_the_environment_gives_the_number_of_threads(tmp_path: Path) -> None:
    assert run("print(tn.get_num_threads())", TENFOLD_NUM_THREADS="5") == "5"
    assert run("print(tn.get_num_threads() == len(os.sched_getaffinity(0)))", TENFOLD_NUM_THREADS="") == "True"


@pytest.mark.parametrize("wrong", ["two", "0", "-1", "257", "1.5"])
def test_a_number_of_threads_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(tn.ArgumentError, match=f"TENFOLD_NUM_THREADS must be a number from 1 to 256, not '{wrong}'"):
        settings({"TENFOLD_NUM_THREADS": wrong})


def test_a_function_may_have_a_number_of_threads_of_its_own(tmp_path: Path) -> None:
    source = """
    x = np.ones(1_000_000, np.float32)
    common = tn.compile(lambda x: tn.tanh(x))
    own, listed = common.with_threads(3), tn.compile(lambda xs: [tn.exp(xs[0])], threads=5)
    common(x)
    before = threads()
    common(x)
    still = threads()
    own(x), own(x)
    own_threads = threads()
    listed([x]), listed([x])
    for _ in range(100):  # threads that compiled may take a moment to end
        if threads() - before <= 4:
            break
        time.sleep(0.05)
    print(still - before, own_threads - before, threads() - before)
    """
    assert run(source, TENFOLD_NUM_THREADS="1", TENFOLD_CACHE_DIR=str(tmp_path)) == "0 2 4"


def test_another_number_of_threads_compiles_nothing_anew_and_gives_the_same_bits() -> None:
    traces: list[int] = []

    @tn.compile
    def total(x: Any, *, scale: Any) -> Any:
        traces.append(1)
        return tn.sum(tn.exp(x) * scale, dim=1)

    x = images(300, 2000)
    expected = np.asarray(total(x, scale=2.0)).tobytes()
    for count in COUNTS:
        assert np.asarray(total.with_threads(count)(x, scale=2.0)).tobytes() == expected
    assert len(traces) == 1


@pytest.mark.parametrize("wrong", [0, 257, True, "2"])
def test_a_function_s_number_of_threads_is_checked(wrong: Any) -> None:
    with pytest.raises(tn.SpecError, match="from 1 to 256"):
        tn.compile(np.negative, threads=wrong)


def test_a_fork_waits_for_what_other_threads_compile(tmp_path: Path) -> None:
    source = """
    import signal, threading, time
    tracing = threading.Event()
    def slowly(x):
        tracing.set()
        time.sleep(0.3)
        return x * 2
    compiled, x = tn.compile(slowly), np.ones(10, np.float32)
    other = threading.Thread(target=compiled, args=(x,))
    other.start()
    tracing.wait()
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        anew = tn.compile(lambda x: x * 3)
        os._exit(0 if compiled(x)[0] == 2 and anew(x)[0] == 3 else 1)
    print(os.waitpid(child, 0)[1])
    """
    assert run(source, TENFOLD_CACHE_DIR=str(tmp_path)) == "0"


def test_a_forked_child_computes_what_was_recorded(tmp_path: Path) -> None:
    source = """
    pending = tn.ones(3) * 5
    child = os.fork()
    if child == 0:
        os._exit(0 if (pending + 1).tolist() == [6, 6, 6] else 1)
    print(os.waitpid(child, 0)[1], pending.tolist())
    """
    assert run(source, TENFOLD_CACHE_DIR=str(tmp_path)) == "0 [5.0, 5.0, 5.0]"


def test_a_forked_child_computes_with_threads_of_its_own(tmp_path: Path) -> None:
    source = """
    x = np.linspace(-3, 3, 1_000_000, dtype=np.float32)
    f = tn.compile(lambda x: tn.tanh(x))
    expected = f(x)
    for turn in range(5):
        child = os.fork()
        if child == 0:
            good = all(np.array_equal(f(x), expected) for _ in range(20)) and threads() == 3
            os._exit(0 if good else 1)
        assert np.array_equal(f(x), expected)
        assert os.waitpid(child, 0)[1] == 0
    print("done")
    """
    assert run(source, TENFOLD_NUM_THREADS="3", TENFOLD_CACHE_DIR=str(tmp_path)) == "done"


def test_other_python_threads_run_meanwhile() -> None:
    product = tn.compile(lambda x, y: x @ y)
    x = images(1200, 1200)
    product(x, x)
    steps: list[int] = []
    stop = threading.Event()

    def count() -> None:
        while not stop.is_set():
            steps.append(1)
            stop.wait(0.001)

    counter = threading.Thread(target=count)
    counter.start()
    with tn.threads(2):
        before = len(steps)
        for _ in range(5):
            product(x, x)
        during = len(steps) - before
    stop.set()
    counter.join()
    assert during > 5


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
def test_a_woken_thread_leaves_the_caller_its_processor_and_keeps_its_own_set(tmp_path: Path) -> None:
    source = """
    x = np.linspace(-3, 3, 500_000, dtype=np.float32)
    f = tn.compile(lambda x: tn.tanh(x))
    f(x)
    time.sleep(0.2)  # threads that compiled end
    before = set(os.listdir('/proc/self/task'))
    tn.set_num_threads(2)
    f(x)
    worker = int(*(set(os.listdir('/proc/self/task')) - before))
    def where(thread):
        return int(open(f'/proc/self/task/{thread}/stat').read().rpartition(')')[2].split()[36])
    both = set(sorted(os.sched_getaffinity(0))[:2])
    apart = 0
    for here in [*both] * 5:
        os.sched_setaffinity(0, {here})
        os.sched_setaffinity(worker, {here})
        f(x)
        time.sleep(0.05)
        assert (where(worker), os.sched_getaffinity(worker)) == (here, {here})
        os.sched_setaffinity(worker, both)
        f(x)
        apart += where(worker) != here
        time.sleep(0.05)
        assert os.sched_getaffinity(worker) == both
    print(apart >= 8)  # the system may move it back at once
    """
    assert run(source, TENFOLD_NUM_THREADS="1", TENFOLD_CACHE_DIR=str(tmp_path)) == "True"


@pytest.mark.parametrize("count", [0, 257, True, 1.0, "2", None])
def test_what_is_no_number_of_threads_is_refused(count: Any) -> None:
    with pytest.raises(tn.SpecError, match=f"the number of threads must be an integer from 1 to 256, not {count!r}"):
        tn.set_num_threads(count)


def test_numpys_integers_are_numbers_of_threads() -> None:
    with tn.threads(np.int64(1)):  # pyright: ignore[reportArgumentType]
        assert tn.get_num_threads() == 1
