"""What compiled code is kept under changes with the compiler's own files."""

from __future__ import annotations

import os
from pathlib import Path

from tenfold_rt.version import __version__
from tenfoldc.revision import digest, is_checkout, revision


def package(tmp_path: Path) -> Path:
    inner = tmp_path / "compiler" / "package" / "stage"
    inner.mkdir(parents=True)
    (inner / "code.py").write_text("x = 1")
    return inner.parent


def test_a_changed_file_changes_the_digest(tmp_path: Path) -> None:
    directory = package(tmp_path)
    before = digest(directory)
    (directory / "stage" / "notes.txt").write_text("not code")
    assert digest(directory) == before
    os.utime(directory / "stage" / "code.py", ns=(0, 10**18))
    assert digest(directory) != before


def test_only_a_checkout_has_files_that_change(tmp_path: Path) -> None:
    directory = package(tmp_path)
    assert not is_checkout(directory)
    (tmp_path / "pyproject.toml").touch()
    assert is_checkout(directory)
    assert revision().startswith(__version__)
