"""Every example in the documentation runs: Python blocks of a page in one namespace, console blocks in one directory.

A console block's `$` lines are commands; lines below a command must appear in what it prints.  The page on GPUs runs on
simulated ones.
"""

from __future__ import annotations

import linecache
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from gpu_support import standing_in
from simulated_device import SimulatedDevice

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(?P<language>python|console)\n(?P<body>.*?)^```", re.MULTILINE | re.DOTALL)
FILE_LINE = re.compile(r"^# (?P<name>\w+\.py)$")


def command_environment() -> dict[str, str]:
    """The environment in which `tenfold` is the command of the Python that runs the tests."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def run_console(block: str, directory: Path) -> None:
    for command in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        line, _, expected = command.partition("\n")
        done = subprocess.run(
            line, shell=True, cwd=directory, env=command_environment(), capture_output=True, text=True, timeout=120
        )
        printed = done.stdout + done.stderr
        assert done.returncode == 0 or "tenfold: " in expected, f"$ {line}\n{printed}"
        for wanted in expected.splitlines():
            pattern = re.escape(wanted.strip()).replace(r"\.\.\.", ".*")
            assert re.search(pattern, printed), f"$ {line}\nwanted: {wanted}\nprinted: {printed}"


def register_source(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the Python blocks of `page`, at their lines, be its source: control flow is rewritten from source."""
    text = page.read_text(encoding="utf-8")
    lines = ["\n"] * (text.count("\n") + 1)
    for match in BLOCK.finditer(text):
        if match["language"] == "python":
            first = text[: match.start()].count("\n") + 1
            body = match["body"].splitlines(keepends=True)
            lines[first : first + len(body)] = body
    monkeypatch.setitem(linecache.cache, str(page), (len(text), None, lines, str(page)))


@pytest.fixture
def devices(page: Path) -> Iterator[None]:
    """For the page on GPUs, two that are simulated."""
    if page.name != "gpu.md":
        yield
        return
    with standing_in([SimulatedDevice(index=index) for index in range(2)]):
        yield


@pytest.mark.usefixtures("devices")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    register_source(page, monkeypatch)
    namespace: dict[str, object] = {"__name__": "example"}
    for match in BLOCK.finditer(page.read_text(encoding="utf-8")):
        body = match["body"]
        if match["language"] == "console":
            run_console(body, tmp_path)
            continue
        if named := FILE_LINE.match(body.partition("\n")[0]):
            (tmp_path / named["name"]).write_text(body, encoding="utf-8")
        line = page.read_text(encoding="utf-8")[: match.start()].count("\n") + 2
        exec(compile("\n" * (line - 1) + body, str(page), "exec"), namespace)
