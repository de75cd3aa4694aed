"""Plans written by hand as libraries: steps and arguments that no small program needs, and machine code."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from c_calls import CLibrary
from fake_libcuda import FakeGpu
from ptx_machine import TensorMap as Encoded

from tenfold_rt import dtypes
from tenfold_rt.cuda.plan import (
    Choose,
    Copy,
    HostAxis,
    KernelInfo,
    Launch,
    Place,
    Plan,
    PlanEntry,
    Region,
    Repeat,
    Step,
    TensorMap,
)
from tenfold_rt.errors import ArtifactError
from tenfold_rt.library_file import read_manifest
from tenfold_rt.manifest import Buffer
from tenfold_rt.status import DRIVER_FAILURE, Status
from tenfoldc.gpu import library as gpu_library
from tenfoldc.gpu.assemble import assemble, assembler_name
from tenfoldc.gpu.library import library_of_plan
from tenfoldc.target import Target

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")

_HEAD = ".version 8.0\n.target sm_90\n.address_size 64\n"
_DESCRIBE = "\n".join(
    f"  ld.param.b64 %rd2, [map+{at}];\n  st.global.b64 [%rd1+{at}], %rd2;" for at in range(0, 128, 8)
)
PTX = f"""{_HEAD}
.visible .entry add_axes(.param .u64 sum, .param .u64 outer, .param .u64 inner)
{{
  .reg .b64 %rd<8>;
  ld.param.b64 %rd1, [sum];
  ld.param.b64 %rd2, [outer];
  ld.param.b64 %rd3, [inner];
  ld.global.b64 %rd4, [%rd1];
  mul.lo.s64 %rd5, %rd2, 10;
  add.s64 %rd5, %rd5, %rd3;
  add.s64 %rd4, %rd4, %rd5;
  st.global.b64 [%rd1], %rd4;
  ret;
}}
.visible .entry describe(.param .align 64 .b8 map[128], .param .u64 found)
{{
  .reg .b64 %rd<4>;
  ld.param.b64 %rd1, [found];
{_DESCRIBE}
  ret;
}}
.visible .entry stop()
{{
  trap;
}}
"""

X, R = Place(Region.PARAMETER, 0, 0), Place(Region.RESULT, 0, 0)
MAP = TensorMap(Place(Region.PARAMETER, 0, 64), "bf16", (24, 5), (64,), (8, 4), 0)
ADD = Launch("add_axes", 1, 1, 0, (R, HostAxis("i"), HostAxis("j")))


def entry(name: str, x: Buffer, result: Buffer, *steps: Step, workspace: int = 0) -> PlanEntry:
    return PlanEntry(name, (x,), (result,), (), workspace, 0, steps)


_I64, _BYTE = Buffer("x", dtypes.i64, ()), Buffer("x", dtypes.u8, ())
PLAN = Plan(
    "plans",
    "0.1.0",
    "sm_90",
    PTX,
    b"\x01" * 8,
    (
        entry("nested", _I64, _I64, Copy(R, X, 8), Repeat("i", 3, (Repeat("j", 2, (ADD,)), Repeat("k", 0, ())))),
        entry(
            "described",
            Buffer("x", dtypes.bf16, (8, 32)),
            Buffer("map", dtypes.u8, (128,)),
            Launch("describe", 1, 1, 49 << 10, (MAP, R)),
        ),
        entry("stopped", _I64, _I64, Copy(R, X, 8), Launch("stop", 1, 1, 0, ()), workspace=64),
        entry("fixed", _I64, _I64, Copy(R, Place(Region.CONSTANTS, 0, 0), 8), Launch("stop", 0, 1, 0, ())),
        entry("chosen", _I64, _I64, Copy(R, X, 8), Choose(X, (), (Copy(R, Place(Region.CONSTANTS, 0, 0), 8),))),
    ),
    tuple(KernelInfo(name, "plans.py:1", None, None, None) for name in ("add_axes", "describe", "stop")),
)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> CLibrary:
    return CLibrary(tmp_path_factory.mktemp("plans"), *library_of_plan(PLAN))


BOTH = pytest.mark.parametrize("device", [False, True], ids=["host", "device"])


@BOTH
def test_nested_repeats_give_kernels_their_indices(library: CLibrary, device: bool) -> None:
    with FakeGpu(library.directory) as gpu:
        outcome = library.call("nested", [np.array(5)], gpu.environment, device=device)
    assert outcome.results[0] == 5 + sum(10 * i + j for i in range(3) for j in range(2))
    assert [launch.kernel for launch in gpu.launches] == ["add_axes"] * 6


@BOTH
def test_tensor_maps_are_made_and_passed_by_value(library: CLibrary, device: bool) -> None:
    with FakeGpu(library.directory) as gpu:
        outcome = library.call("described", [np.zeros((8, 32))], gpu.environment, device=device)
    found = Encoded.unpack(outcome.results[0].tobytes())
    assert found.address % 256 == 64
    assert (found.shape, found.strides_bytes, found.box) == (MAP.shape, MAP.strides, MAP.box)
    assert found.dtype == np.dtype(dtypes.bf16.numpy)


def test_kernels_may_have_the_shared_memory_that_they_are_started_with(library: CLibrary) -> None:
    with FakeGpu(library.directory) as gpu:
        library.call("described", [np.zeros((8, 32))], gpu.environment)
    assert [launch.shared_bytes for launch in gpu.launches] == [49 << 10]
    assert [numbers[1:] for name, numbers in gpu.calls if name == "cuFuncSetAttribute"] == [(8, 49 << 10)]


@pytest.mark.parametrize("flag", [0, 1, 7, 256])
def test_a_choice_reads_one_byte(library: CLibrary, flag: int) -> None:
    with FakeGpu(library.directory) as gpu:
        outcome = library.call("chosen", [np.array(flag)], gpu.environment)
    assert outcome.results[0] == (flag if flag % 256 else 0x0101010101010101)


def test_launches_of_no_blocks_are_left_out(library: CLibrary) -> None:
    with FakeGpu(library.directory) as gpu:
        outcome = library.call("fixed", [np.array(0)], gpu.environment, device=True)
    assert outcome.lines == (f"0 {Status.OK.message}",)
    assert outcome.results[0] == 0x0101010101010101
    assert gpu.launches == []


def test_a_kernel_that_traps_is_told_and_the_process_lives_on(library: CLibrary) -> None:
    with FakeGpu(library.directory) as gpu:
        outcome = library.call("stopped", [np.array(1)], gpu.environment, times=2)
    assert outcome.lines == (f"{DRIVER_FAILURE - 719} what 719 means",) * 2
    assert outcome.results[0] == 0


@pytest.mark.skipif(
    assembler_name() is None, reason="neither ptxas nor nvJitLink is here: pip install nvidia-cuda-nvcc"
)
def test_machine_code_is_loaded_where_the_gpu_takes_it(library: CLibrary) -> None:
    assembled = assemble(PTX, "sm_90")
    assert assembled is not None
    gpu = FakeGpu(library.directory)
    gpu.cubins[assembled.cubin] = PTX
    with gpu:
        outcome = library.call("nested", [np.array(0)], gpu.environment)
    assert outcome.lines == (f"0 {Status.OK.message}",)
    assert gpu.called("cuModuleLoadData") == 1
    manifest, _ = read_manifest(library.path)
    assert manifest.gpu is not None
    assert manifest.gpu.forms == ("cubin", "ptx")
    assert {kernel.name: kernel.registers for kernel in manifest.gpu.kernels} == {
        name: use.registers for name, use in assembled.kernels.items()
    }


def test_without_an_assembler_the_driver_translates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_library, "assemble", lambda ptx, architecture: None)
    code, manifest = library_of_plan(PLAN)
    assert manifest.gpu is not None
    assert manifest.gpu.forms == ("ptx",)
    assert {kernel.registers for kernel in manifest.gpu.kernels} == {None}
    library = CLibrary(tmp_path, code, manifest)
    with FakeGpu(tmp_path) as gpu:
        assert library.call("nested", [np.array(0)], gpu.environment).results[0] == 63
    assert gpu.called("cuModuleLoadData") == 1


def test_each_context_has_kernels_of_its_own_and_is_left_as_it_was(library: CLibrary) -> None:
    body = """
  void *contexts[2], *now;
  int64_t x = 7, result;
  told(nested(&x, &result));
  if (cuCtxGetCurrent(&now) || now) fail("a context was left");
  for (int i = 0; i < 2; ++i) {
    if (cuDevicePrimaryCtxRetain(&contexts[i], i) || cuCtxPushCurrent_v2(contexts[i])) fail("context");
    for (int time = 0; time < 2; ++time) told(nested(&x, &result));
    if (cuCtxGetCurrent(&now) || now != contexts[i] || result != 70) fail("another context");
  }
"""
    with FakeGpu(library.directory) as gpu:
        program = library.program("contexts", body, before="int cuCtxGetCurrent(void **);", driver=True)
        assert library.run(program, gpu.environment) == (f"0 {Status.OK.message}",) * 5
    assert gpu.errors == []
    loaded = [numbers[0] for name, numbers in gpu.calls if name == "cuModuleLoadData"]
    assert len(dict.fromkeys(loaded)) == gpu.called("cuMemPoolCreate") == 2


def test_libraries_are_linked_for_aarch64_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_library, "least_host", lambda: Target("aarch64-unknown-linux-gnu", "generic", ()))
    code, manifest = library_of_plan(PLAN)
    assert int.from_bytes(code[18:20], "little") == 183
    assert manifest.triple.startswith("aarch64")


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="needs valgrind")
def test_memory_of_the_cpu_is_used_rightly(library: CLibrary) -> None:
    with FakeGpu(library.directory) as gpu:
        library.call("described", [np.zeros((8, 32))], gpu.environment, times=2)
        done = subprocess.run(
            ["valgrind", "-q", "--error-exitcode=9", str(library.directory / "call_described")],
            cwd=library.directory,
            env={**os.environ, **gpu.environment},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"0 {Status.OK.message}"] * 2


def test_the_copy_engine_does_not_take_every_element_type() -> None:
    described = PLAN.entries[1]
    launch = Launch("describe", 1, 1, 0, (replace(MAP, dtype="c64"), R))
    with pytest.raises(ArtifactError, match="c64"):
        library_of_plan(replace(PLAN, entries=(replace(described, steps=(launch,)),)))
