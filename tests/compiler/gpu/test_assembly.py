"""NVIDIA's assembler takes every kernel for every architecture: no register is spilled, and it warns of nothing.

Run with `-s` to see the table of what the kernels take.
"""

from __future__ import annotations

import functools
import importlib.util
import shutil
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
from gpu_programs import PROGRAMS

from tenfold_rt.errors import VerificationError
from tenfoldc.gpu import assemble as assembling
from tenfoldc.gpu import compile_plan
from tenfoldc.gpu.assemble import Assembled, KernelUse, assemble, assembler_name, find_ptxas
from tenfoldc.target import gpu

ARCHITECTURES = ("sm_80", "sm_90", "sm_90a")
NEWEST = "sm_90a"
MOST_REGISTERS = 255

needs_assembler = pytest.mark.skipif(
    assembler_name() is None, reason="neither ptxas nor nvJitLink is here: pip install nvidia-cuda-nvcc"
)


@functools.cache
def assembled(program: str, architecture: str) -> Assembled:
    plan = compile_plan(PROGRAMS[program](), target=gpu(architecture), library=program)
    made = assemble(plan.ptx, architecture)
    assert made is not None
    assert {kernel.name for kernel in plan.kernels} == made.kernels.keys()
    return made


@needs_assembler
@pytest.mark.parametrize(
    "architecture",
    [NEWEST, *(pytest.param(name, marks=pytest.mark.slow) for name in ARCHITECTURES if name != NEWEST)],
)
@pytest.mark.parametrize("program", PROGRAMS)
def test_kernels_assemble_and_fit_their_registers(program: str, architecture: str) -> None:
    made = assembled(program, architecture)
    assert made.cubin.startswith(b"\x7fELF")
    for kernel in made.kernels.values():
        shown = f"{architecture:7} {kernel.name:60} {kernel.registers:4} registers {kernel.shared_bytes:6} B shared"
        print(f"{shown} {kernel.stack_bytes:5} B stack")
        assert 0 < kernel.registers <= MOST_REGISTERS
        assert (kernel.spill_stores, kernel.spill_loads) == (0, 0)


_LOG = """
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'first' for 'sm_90a'
ptxas info    : Function properties for first
    24 bytes stack frame, 8 bytes spill stores, 16 bytes spill loads
ptxas info    : Used 255 registers, used 1 barriers, 24 bytes cumulative stack size, 4096 bytes smem
ptxas info    : Compiling entry function 'second' for 'sm_90a'
ptxas info    : Function properties for second
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 31 registers, used 0 barriers
"""


def stand_in(monkeypatch: pytest.MonkeyPatch, log: str) -> None:
    monkeypatch.setattr(assembling, "_assembler", lambda: ("stand-in", lambda ptx, architecture: (b"\x7fELF", log)))


def test_what_kernels_take_is_read_from_what_the_assembler_says(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, _LOG)
    made = assemble("", "sm_90a")
    assert made is not None
    assert made.kernels == {
        "first": KernelUse("first", 255, 4096, 24, 8, 16),
        "second": KernelUse("second", 31, 0, 0, 0, 0),
    }


def test_a_warning_about_matrix_products_is_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, _LOG + "ptxas info : (C7510) Potential Performance Loss: wgmma.mma_async are serialized\n")
    with pytest.raises(VerificationError, match="C7510"):
        assemble("", "sm_90a")


def test_without_an_assembler_there_is_no_machine_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembling, "_assembler", lambda: None)
    assert assemble(".version 8.0", "sm_80") is None
    assert assembler_name() is None


@needs_assembler
def test_what_the_assembler_refuses_is_told_with_its_line() -> None:
    with pytest.raises(VerificationError, match="line 4"):
        assemble(".version 8.0\n.target sm_80\n.address_size 64\nnonsense\n", "sm_80")


@pytest.mark.parametrize("place", ["cu13/bin/ptxas", "cuda_nvcc/bin/ptxas"])
def test_the_assembler_is_found_in_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    program = tmp_path / "nvidia" / place
    program.parent.mkdir(parents=True)
    program.touch()
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: ModuleSpec(name, None, is_package=True))
    assert find_ptxas() is None
    spec = ModuleSpec("nvidia", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path / "nvidia")]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec if name == "nvidia" else None)
    assert find_ptxas() == program
