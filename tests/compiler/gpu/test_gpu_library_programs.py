"""Whole programs as libraries for GPUs, called from C, agree with the same programs as libraries for the CPU."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from c_calls import Array, CLibrary
from fake_libcuda import FakeGpu
from gpu_programs import PROGRAMS

from tenfold_rt.load import load
from tenfold_rt.manifest import Buffer
from tenfold_rt.status import Status
from tenfoldc.gpu.library import compile_library
from tenfoldc.pipeline import compile_module
from tenfoldc.target import gpu, host

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")


def drawn(buffer: Buffer, rng: np.random.Generator) -> Array:
    shape = tuple(int(size) for size in buffer.shape)
    if buffer.dtype.is_integer:
        return rng.integers(0, 7, shape).astype(buffer.dtype.numpy)
    return (0.3 * rng.standard_normal(shape)).astype(buffer.dtype.numpy)


@pytest.mark.parametrize(
    "program", ["mlp_training_step", "cnn_training_step", "lstm", "attention", "transformer_block", "solve", "sort"]
)
def test_programs_agree_with_the_cpu(program: str, tmp_path: Path, rng: np.random.Generator) -> None:
    module = PROGRAMS[program]()
    library = CLibrary(tmp_path, *compile_library(module, target=gpu("sm_90a"), library="shipped"))
    entry = library.manifest.entries[0]
    arrays = [drawn(buffer, rng) for buffer in entry.parameters]
    path = tmp_path / "libcpu.so"
    path.write_bytes(compile_module(module, target=host(), library="cpu")[0])
    expected = load(path).call(entry.name, [array.copy() for array in arrays])
    with FakeGpu(tmp_path) as gpu_:
        outcome = library.call(entry.name, arrays, gpu_.environment)
    assert (outcome.lines, gpu_.errors, gpu_.leaked()) == ((f"0 {Status.OK.message}",), [], 0)
    for found, wanted in zip(outcome.results, expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
