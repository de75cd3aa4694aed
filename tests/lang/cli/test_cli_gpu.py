"""`tenfold compile --target cuda` and `tenfold inspect` of libraries."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import tenfold as tn
from tenfold.cli.main import cli
from tenfold_rt.errors import RequestError
from tenfold_rt.library_file import read_manifest
from tenfoldc.gpu.assemble import assembler_name

MODEL = '''\
import tenfold as tn


@tn.compile
def total(x: tn.f32[300]):
    """The sum."""
    return tn.sum(x)
'''


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a Python file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text(MODEL)
    return tmp_path


def tenfold(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


@pytest.mark.parametrize(("target", "architecture"), [("cuda", "sm_80"), ("cuda:sm_90a", "sm_90a")])
def test_a_library_for_gpus(directory: Path, target: str, architecture: str) -> None:
    done = tenfold("compile", "model.py", "--target", target)
    assert done.exit_code == 0, done.output
    manifest, _ = read_manifest(directory / "libmodel.so")
    assert manifest.gpu is not None
    assert manifest.gpu.architecture == architecture
    assert "total_device(" in (directory / "model.h").read_text()


def test_a_library_for_the_cpu_has_nothing_of_gpus(directory: Path) -> None:
    assert tenfold("compile", "model.py", "--target", "cpu").exit_code == 0
    manifest, _ = read_manifest(directory / "libmodel.so")
    assert manifest.gpu is None
    assert "device" not in (directory / "model.h").read_text()


def test_the_text_of_a_stage() -> None:
    text = tenfold("compile", "model.py", "--target", "cuda:sm_90", "--emit", "asm").output
    assert ".target sm_90\n" in text
    assert ".entry total_" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--target", "cuda:sm_70"], "there is no GPU architecture 'sm_70'; choose one of sm_80"),
        (["--target", "tpu"], "there is no target 'tpu'; choose cpu, cuda"),
        (["--target", "cuda", "--cpu", "x86-64-v3"], "--cpu x86-64-v3 is not for --target cuda"),
        (["--target", "cuda", "--emit", "object"], "programs for GPUs are written as so, not as object"),
    ],
)
def test_requests_that_cannot_be_met(directory: Path, arguments: list[str], said: str) -> None:
    done = tenfold("compile", "model.py", *arguments)
    assert done.exit_code == 2
    assert done.output.startswith(f"tenfold: {said}")
    assert not (directory / "libmodel.so").exists()


def test_inspect_tells_what_a_library_for_gpus_holds() -> None:
    tenfold("compile", "model.py", "--target", "cuda:sm_90a")
    lines = tenfold("inspect", "libmodel.so").output.splitlines()
    forms = "ptx" if assembler_name() is None else "cubin and ptx"
    assert lines[0].startswith("library  model, made by Tenfold ")
    assert lines[2:4] == [f"GPU      sm_90a, as {forms}", "entry    total(x: f32[300]) -> (result: f32[])"]
    assert lines[4].split() == ["kernel", "registers", "shared", "spilled", "from"]
    assert all(line.split()[0].startswith("total_") and "model.py:7" in line for line in lines[5:])


def test_inspect_tells_what_a_library_for_the_cpu_holds() -> None:
    tenfold("compile", "model.py", "--cpu", "x86-64-v2")
    lines = tenfold("inspect", "libmodel.so").output.splitlines()
    assert lines[1:] == [
        "target   x86_64-unknown-linux-gnu, x86-64-v2",
        "entry    total(x: f32[300]) -> (result: f32[])",
    ]


def test_inspect_tells_what_a_program_takes_of_a_gpu() -> None:
    lines = tenfold("inspect", "model.py", "--target", "cuda:sm_90a").output.splitlines()
    assert lines[0].split() == ["entry", "parameters", "results", "constants", "workspace"]
    assert lines[1].split()[:5] == ["total", "1.172", "KiB", "4", "B"]
    assert lines[2].split() == ["kernel", "registers", "shared", "spilled", "from"]
    assert ("?" in lines[3].split()) == (assembler_name() is None)


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        ("libmodel.so", "cuda", "--target cuda is for files that are compiled; libmodel.so has its target"),
        ("model.py", "gpu", "there is no target 'gpu'"),
    ],
)
def test_inspect_refuses_targets(source: str, target: str, said: str) -> None:
    done = tenfold("inspect", source, "--target", target)
    assert done.exit_code == 2
    assert done.output.startswith(f"tenfold: {said}")


def test_inspect_takes_no_types_for_a_library() -> None:
    tenfold("compile", "model.py")
    done = tenfold("inspect", "libmodel.so", "--arg", "x=f32[3]")
    assert done.exit_code == 2
    assert "--arg gives types to Python functions; libmodel.so is compiled" in done.output


def test_export_takes_a_target(directory: Path) -> None:
    def total(x: tn.Tensor) -> tn.Tensor:
        return tn.sum(x)

    path = tn.compile(total).export("libtotal.so", tn.f32[300], target="cuda:sm_89")
    manifest, _ = read_manifest(path)
    assert manifest.gpu is not None
    assert manifest.gpu.architecture == "sm_89"
    with pytest.raises(RequestError, match="there is no GPU architecture 'sm_1'"):
        tn.compile(total).export("libtotal.so", tn.f32[300], target="cuda:sm_1")
