"""Libraries for GPUs as C programs see them: over a driver that is none, whose kernels the interpreter of PTX runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from c_calls import Array, CLibrary
from fake_libcuda import FakeGpu

import tenfold as tn
from tenfold import nn
from tenfold.export import merge
from tenfold_rt.cuda.driver import OLDEST_DRIVER
from tenfold_rt.status import DRIVER_FAILURE, GpuStatus, Status
from tenfoldc.gpu.library import compile_library
from tenfoldc.gpu.lower.products import tilings
from tenfoldc.target import gpu as gpu_target

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")

DATA = np.random.default_rng(7)
W1, W2 = DATA.standard_normal((6, 9), np.float32), DATA.standard_normal((9, 4), np.float32)
RATE = np.float32(0.125)


@tn.compile
def mlp(x: tn.f32[5, 6]) -> Any:
    """The classes' scores."""
    return tn.relu(x @ tn.tensor(W1)) @ tn.tensor(W2)


def step(w: Any, x: Any, y: Any) -> Any:
    def loss(w: Any) -> Any:
        return nn.functional.mse_loss(x @ w, y)

    return w - RATE * tn.grad(loss)(w)


training_step = tn.compile(step, donate="w")


@tn.compile
def halved(x: tn.f32[7], least: tn.f32[()]) -> Any:
    turns = tn.zeros((), dtype=tn.int64)
    while tn.sum(x * x) > least:
        x = x / 2
        turns = turns + 1
    return x, turns


def _shrunk(x: Any) -> Any:
    while tn.sum(x * x) > 1:
        x = x - x * x / 50
    return tn.sum(x)


@tn.compile
def slopes(x: tn.f32[7]) -> Any:
    """The gradient of a loop whose turns are not known: its way back reads a tape."""
    return tn.grad(_shrunk)(x)


@tn.compile
def either(x: tn.f32[4], flag: tn.bool_[()]) -> Any:
    return tn.sort(x)[0] if flag else -x


@tn.compile
def nothing(x: tn.f32[0, 3]) -> Any:
    return x + 1


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> CLibrary:
    lowered = [f.lower() for f in (mlp, halved, slopes, either, nothing)]
    lowered.append(training_step.lower(w=tn.f32[6, 2], x=tn.f32[8, 6], y=tn.f32[8, 2]))
    module = merge([each.module for each in lowered])
    code, manifest = compile_library(module, target=gpu_target("sm_80"), library="demo")
    return CLibrary(tmp_path_factory.mktemp("library"), code, manifest)


OK = f"0 {Status.OK.message}"
BOTH = pytest.mark.parametrize("device", [False, True], ids=["host", "device"])


def check(
    library: CLibrary, name: str, arrays: list[Array], wanted: list[Any], *, device: bool, **options: Any
) -> FakeGpu:
    with FakeGpu(library.directory) as gpu:
        outcome = library.call(name, arrays, gpu.environment, device=device, **options)
    assert gpu.errors == []
    assert set(outcome.lines) == {OK}
    for found, expected in zip(outcome.results, wanted, strict=True):
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-6)
    assert gpu.leaked() == 0
    return gpu


@BOTH
def test_a_network_with_weights_as_constants(library: CLibrary, device: bool) -> None:
    x = DATA.standard_normal((5, 6), np.float32)
    gpu = check(library, "mlp", [x], [np.maximum(x @ W1, 0) @ W2], device=device, times=3)
    assert gpu.called("cuInit") == 1 + device
    assert gpu.called("cuMemPoolCreate") == 1
    uploads = [numbers for name, numbers in gpu.calls if name == "cuMemcpyHtoD"]
    assert len(uploads) == 1 + device
    assert {launch.stream for launch in gpu.launches} == ({0} if device else {2})
    assert len(gpu.launches) % 3 == 0


@pytest.mark.parametrize("in_place", [False, True], ids=["beside", "in place"])
@BOTH
def test_a_training_step_updates_donated_weights(library: CLibrary, device: bool, in_place: bool) -> None:
    w, x, y = (DATA.standard_normal(shape, np.float32) for shape in ((6, 2), (8, 6), (8, 2)))
    once = w - RATE * (2 / y.size) * x.T @ (x @ w - y)
    check(library, "step", [w, x, y], [once], device=device, in_place=in_place)
    if in_place:
        twice = once - RATE * (2 / y.size) * x.T @ (x @ once - y)
        check(library, "step", [w, x, y], [twice], device=device, in_place=True, times=2)


@pytest.mark.parametrize("least", [0.001, 0.1, 1e9])
@BOTH
def test_a_loop_ends_where_its_data_say(library: CLibrary, device: bool, least: float) -> None:
    x = np.linspace(0.5, 2, 7, dtype=np.float32)
    expected, turns = x, 0
    while np.sum(expected * expected) > least:
        expected, turns = expected / 2, turns + 1
    check(library, "halved", [x, np.array(least, np.float32)], [expected, turns], device=device)


@pytest.mark.parametrize(("factor", "turns"), [(0.1, 0), (0.5, 2), (1.5, 86)])
def test_the_way_back_of_a_loop_reads_its_tape(library: CLibrary, factor: float, turns: int) -> None:
    """A tape has room for 16 elements at first."""
    x = factor * np.linspace(0.5, 1, 7, dtype=np.float32)
    value, slope, done = x, np.ones(7, np.float32), 0
    while np.sum(value * value) > 1:
        value, slope, done = value - value * value / 50, slope * (1 - value / 25), done + 1
    assert done == turns
    check(library, "slopes", [x], [slope], device=True)


@pytest.mark.parametrize("flag", [False, True])
@BOTH
def test_a_choice_looks_at_its_flag(library: CLibrary, device: bool, flag: bool) -> None:
    x = np.array([3, -1, 2, 0], np.float32)
    check(library, "either", [x, np.array(flag)], [np.sort(x) if flag else -x], device=device)


@BOTH
def test_tensors_without_elements(library: CLibrary, device: bool) -> None:
    check(library, "nothing", [np.zeros((0, 3), np.float32)], [np.zeros((0, 3), np.float32)], device=device)


# What goes wrong is told, and the process lives on.


def statuses(library: CLibrary, gpu: FakeGpu, *, times: int = 1) -> tuple[str, ...]:
    x = np.ones((5, 6), np.float32)
    with gpu:
        return library.call("mlp", [x], gpu.environment, times=times).lines


def test_without_a_driver(library: CLibrary) -> None:
    said = library.call("mlp", [np.ones((5, 6), np.float32)], {}, times=2).lines
    assert said == (f"{GpuStatus.ENODRIVER:d} {GpuStatus.ENODRIVER.message}",) * 2


@pytest.mark.parametrize(
    "options",
    [{"version": 1000 * OLDEST_DRIVER[0] + 10 * OLDEST_DRIVER[1] - 1}, {"old": True}],
    ids=["version", "function missing"],
)
def test_a_driver_that_is_too_old(library: CLibrary, options: dict[str, Any]) -> None:
    said = statuses(library, FakeGpu(library.directory, **options))
    assert said == (f"{GpuStatus.EOLDDRIVER:d} {GpuStatus.EOLDDRIVER.message}",)


def test_no_gpu(library: CLibrary) -> None:
    gpu = FakeGpu(library.directory)
    gpu.failing["cuInit"] = 100
    assert statuses(library, gpu, times=2) == (f"{GpuStatus.ENOGPU:d} {GpuStatus.ENOGPU.message}",) * 2


def test_out_of_memory_on_the_gpu(library: CLibrary) -> None:
    gpu = FakeGpu(library.directory, total=255)
    assert statuses(library, gpu) == (f"{GpuStatus.EGPUMEM:d} {GpuStatus.EGPUMEM.message}",)
    assert gpu.called("cuMemPoolTrimTo") == 1
    assert gpu.called("cuMemAllocFromPoolAsync") == 2


def test_a_gpu_of_another_architecture(library: CLibrary) -> None:
    gpu = FakeGpu(library.directory)
    gpu.failing["cuModuleLoadData"] = 209
    (said,) = statuses(library, gpu)
    assert said.startswith(f"{GpuStatus.EGPUCODE:d} ")
    assert "sm_80" in said


@pytest.mark.parametrize(
    "function", ["cuLaunchKernel", "cuMemcpyHtoDAsync", "cuStreamSynchronize", "cuMemcpyDtoHAsync"]
)
def test_what_the_driver_says_of_a_failure(library: CLibrary, function: str) -> None:
    gpu = FakeGpu(library.directory)
    gpu.failing[function] = 719
    assert statuses(library, gpu, times=2) == (f"{DRIVER_FAILURE - 719} what 719 means",) * 2
    assert gpu.leaked() == 0


@pytest.mark.parametrize("function", ["cuMemPoolCreate", "cuMemAlloc", "cuMemcpyHtoD", "cuModuleGetFunction"])
def test_what_was_loaded_before_a_failure_is_given_back(library: CLibrary, function: str) -> None:
    gpu = FakeGpu(library.directory)
    gpu.failing[function] = 2
    assert set(statuses(library, gpu, times=2)) == {f"{GpuStatus.EGPUMEM:d} {GpuStatus.EGPUMEM.message}"}
    assert gpu.called("cuModuleUnload") == 2
    assert not list(gpu.memory)


def test_pointers_to_the_gpus_memory_are_checked(library: CLibrary) -> None:
    body = """
  char *x = (char *)4096, *r = (char *)8192;
  told(mlp_device((void *)(x + 4), (void *)r, 0));
  told(mlp_device(0, (void *)r, 0));
  told(mlp_device((void *)x, (void *)(x + 16), 0));
"""
    said = library.run(library.program("pointers", body), {})
    assert [line.partition(" ")[0] for line in said] == [f"{s:d}" for s in (Status.EALIGN, Status.EARG, Status.EALIAS)]


_THREADS = """
  pthread_t threads[2];
  for (int i = 0; i < 2; ++i) pthread_create(&threads[i], NULL, work, (void *)(intptr_t)(i + 1));
  for (int i = 0; i < 2; ++i) pthread_join(threads[i], NULL);
  puts(failures ? "wrong" : "right");
"""
_WORK = """
#include <pthread.h>
static int failures;
static void *work(void *factor) {
  float x[7], least = 0.01f, result[7];
  int64_t turns;
  for (int i = 0; i < 7; ++i) x[i] = (float)(intptr_t)factor * (float)(i + 1);
  for (int time = 0; time < 4; ++time) {
    if (halved(x, &least, result, &turns)) __atomic_add_fetch(&failures, 1, __ATOMIC_SEQ_CST);
    float scale = 1;
    for (int i = 0; i < turns; ++i) scale /= 2;
    for (int i = 0; i < 7; ++i) if (result[i] != x[i] * scale) __atomic_add_fetch(&failures, 1, __ATOMIC_SEQ_CST);
  }
  return NULL;
}
"""


def test_two_threads_at_once(library: CLibrary) -> None:
    with FakeGpu(library.directory) as gpu:
        program = library.program("threads", _THREADS, before=_WORK)
        assert library.run(program, gpu.environment) == ("right",)
    assert gpu.errors == []
    assert gpu.leaked() == 0
    assert gpu.called("cuMemPoolCreate") == 1


def test_python_loads_it_too(library: CLibrary, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, numpy as np, tenfold as tn\n"
        "library = tn.load(sys.argv[1])\n"
        "x = np.array([3, -1, 2, 0], np.float32)\n"
        "print(library.either(x, True), library.either(x, False))\n"
        "w, x, y = np.ones((6, 2), np.float32), np.ones((8, 6), np.float32), np.zeros((8, 2), np.float32)\n"
        "print(library.step(w, x, y) is w, w[0])\n"
    )
    with FakeGpu(library.directory) as gpu:
        done = subprocess.run(
            [sys.executable, str(script), str(library.path)],
            env={**os.environ, **gpu.environment, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[-1.  0.  2.  3.] [-3.  1. -2. -0.]", "True [0.25 0.25]"]


def test_python_raises_where_there_is_no_driver(library: CLibrary) -> None:
    with pytest.raises(tn.ArtifactError, match=r"no driver for NVIDIA's GPUs"):
        tn.load(library.path).either(np.zeros(4, np.float32), True)


@BOTH
def test_products_by_the_copy_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: bool) -> None:
    """Small products do not use it unless no other way to cut them is better."""
    known = tilings.bulk_candidates
    monkeypatch.setattr(
        tilings, "bulk_candidates", lambda m: [tilings.Candidate(known(m)[-1].tiling, 1e6)] if known(m) else []
    )

    def product(a: Any, b: Any) -> Any:
        return a @ b

    module = tn.compile(product).lower(tn.bf16[72, 136], tn.bf16[136, 264]).module
    library = CLibrary(tmp_path, *compile_library(module, target=gpu_target("sm_90a"), library="products"))
    a, b = (DATA.standard_normal(shape, np.float32).astype(ml_dtypes.bfloat16) for shape in ((72, 136), (136, 264)))
    with FakeGpu(tmp_path) as gpu:
        outcome = library.call("product", [a, b], gpu.environment, device=device)
    assert (outcome.lines, gpu.errors) == ((OK,), [])
    assert gpu.called("cuTensorMapEncodeTiled") == 2
    assert gpu.called("cuFuncSetAttribute") == sum(launch.shared_bytes > 48 << 10 for launch in gpu.launches) == 1
    expected = a.astype(np.float32) @ b.astype(np.float32)
    np.testing.assert_allclose(outcome.results[0].astype(np.float32), expected, rtol=1e-2, atol=1e-2)
