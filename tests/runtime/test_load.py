"""The loader: what it gives, and that it refuses what it cannot use with a reason, before running any of it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from artifact_support import add_entry, build, compile_text, elementwise, manifest

from tenfold_rt import cpu, load
from tenfold_rt.errors import ArtifactError, TenfoldError
from tenfold_rt.library_file import read_manifest
from tenfold_rt.manifest import Manifest
from tenfoldc.artifact import elf

TEXT = elementwise("add", "fadd float %e0, %e1", 4)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path, manifest(add_entry("add", 4)))


def write(directory: Path, described: Manifest) -> Path:
    path = directory / "libdemo.so"
    path.write_bytes(build(TEXT, described))
    return path


def test_library_has_its_manifest_path_and_entries(path: Path) -> None:
    library = load.load(path)
    assert library.manifest == manifest(add_entry("add", 4))
    assert library.path == path
    (total,) = library.call("add", (np.ones(4, "f4"), np.ones(4, "f4")))
    np.testing.assert_array_equal(total, np.full(4, 2, "f4"))


def test_relative_path_is_not_looked_for_elsewhere(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    assert load.load("libdemo.so").entry("add")


def test_unknown_entry_is_named_with_those_there_are(path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"no entry 'sub'.*add"):
        load.load(path).entry("sub")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="No such file"):
        load.load(tmp_path / "absent.so")


def test_directory(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="directory"):
        load.load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n", b"\x7fELF", b"\x7fELF\x02\x01\x01" + bytes(60)])
def test_what_is_no_library(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "libdemo.so"
    path.write_bytes(content)
    with pytest.raises(ArtifactError):
        load.load(path)


def test_library_cut_anywhere_is_refused(path: Path) -> None:
    content = path.read_bytes()
    # What follows the last loaded byte is for debuggers only, so a cut there does no harm.
    sections_at = content.index(b".shstrtab")
    for length in range(0, sections_at - 2000, 97):
        path.write_bytes(content[:length])
        with pytest.raises(ArtifactError):
            load.load(path)


def test_damaged_headers_are_refused_or_harmless(path: Path) -> None:
    content = path.read_bytes()
    for index in range(content.index(b"Tenfold")):
        path.write_bytes(content[:index] + bytes([content[index] ^ 0xFF]) + content[index + 1 :])
        with contextlib.suppress(ArtifactError):
            assert read_manifest(path)[0] == manifest(add_entry("add", 4))


def test_other_people_s_library_is_refused_without_running_it(tmp_path: Path) -> None:
    text = """
@start = hidden constant ptr @construct, section ".init_array"
declare void @abort()
define internal void @construct() nounwind {
  call void @abort()
  ret void
}
define i32 @f() { ret i32 0 }
"""
    path = tmp_path / "libother.so"
    path.write_bytes(elf.link(compile_text(text), soname="libother.so", exports={"f"}))
    with pytest.raises(ArtifactError, match="not one that Tenfold made"):
        load.load(path)


def test_features_that_this_machine_lacks_are_named(tmp_path: Path) -> None:
    path = write(tmp_path, manifest(add_entry("add", 4), features=("avx10.9-512", "sse2")))
    with pytest.raises(ArtifactError, match=r"avx10\.9-512, which this one lacks") as caught:
        load.load(path)
    assert "sse2" not in caught.value.what


def test_another_processor_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "machine", lambda: "aarch64")
    with pytest.raises(ArtifactError, match="compiled for x86_64; this machine is aarch64"):
        load.load(path)


def test_manifest_of_another_version_says_to_compile_again(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'{"abi":1,', b'{"abi":9,'))
    with pytest.raises(ArtifactError, match="compile it again"):
        load.load(path)


def test_all_refusals_are_one_family() -> None:
    assert issubclass(ArtifactError, TenfoldError)


def test_loading_imports_no_compiler(path: Path) -> None:
    program = (
        f"import sys; from tenfold_rt.load import load; load({str(path)!r});"
        "assert not {'llvmlite', 'tenfoldc', 'subprocess'} & set(sys.modules)"
    )
    environment = {"PYTHONPATH": ":".join(sys.path)}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
