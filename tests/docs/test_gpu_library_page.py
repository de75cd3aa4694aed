"""The C programs of the page on libraries for GPUs do what it says, over a driver that is none."""

from __future__ import annotations

import contextlib
import os
import re
import runpy
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from fake_libcuda import FakeGpu

PAGE = (Path(__file__).parents[2] / "docs" / "gpu-library.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[0]
PROGRAMS = dict(re.findall(r"^```c\n// (\w+)\.c\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
HEADERS = sorted(Path("/usr/local").glob("cuda*/include/cuda.h"))

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library of the page, with its header."""
    made = tmp_path_factory.mktemp("classify")
    (made / "classify.py").write_text(PYTHON)
    with contextlib.chdir(made):
        runpy.run_path("classify.py")
    return made


def run(directory: Path, name: str, *flags: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    source = directory / f"{name}.c"
    source.write_text(PROGRAMS[name])
    linked = [f"-L{directory}", "-lclassify", f"-Wl,-rpath,{directory}"]
    command = ["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", str(source), "-o", str(directory / name), *linked]
    subprocess.run([*command, *flags], check=True)
    return subprocess.run(
        [str(directory / name)], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def test_the_program_with_memory_of_the_cpu(directory: Path) -> None:
    with FakeGpu(directory) as gpu:
        done = run(directory, "on_cpu", environment=gpu.environment)
    scores = np.exp(np.arange(10.0))
    assert done.stdout == f"{scores[9] / scores.sum():.4f}\n"


def test_the_program_without_a_driver(directory: Path) -> None:
    done = run(directory, "on_cpu", environment={})
    assert (done.returncode, done.stderr) == (1, "predict: there is no driver for NVIDIA's GPUs (libcuda.so.1)\n")


@pytest.mark.skipif(not HEADERS, reason="NVIDIA's cuda.h is not in /usr/local/cuda/include")
def test_the_program_with_memory_of_the_gpu(directory: Path) -> None:
    with FakeGpu(directory) as gpu:
        flags = ["-isystem", str(HEADERS[-1].parent), str(directory / "libcuda.so.1")]
        done = run(directory, "on_gpu", *flags, environment=gpu.environment)
    assert done.stdout == "0.7\n"
    assert gpu.errors == []
