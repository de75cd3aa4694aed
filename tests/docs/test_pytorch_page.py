"""`docs/pytorch.md` is what the code says, and there is as much as it promises."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "docs" / "pytorch_page.py"
PAGE = SCRIPT.with_name("pytorch.md")


def test_the_page_is_what_the_code_gives() -> None:
    written = PAGE.read_text(encoding="utf-8")
    assert written == runpy.run_path(str(SCRIPT))["page"](), f"the page is old: run python docs/{SCRIPT.name}"


def test_most_names_are_there() -> None:
    counts = dict(re.findall(r"## (.+)\n\n.*\n.*\n\| (\d+) here", PAGE.read_text(encoding="utf-8")))
    assert int(counts["torch"]) >= 300
    assert int(counts["torch.Tensor"]) >= 400


def test_the_names_are_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    for owner, given in runpy.run_path(str(SCRIPT))["names"]().items():
        holder = torch
        for part in owner.split(".")[1:]:
            holder = getattr(holder, part)
        assert [name for name in given if not hasattr(holder, name)] == []
