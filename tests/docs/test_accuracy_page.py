"""`docs/accuracy.md` is what the functions do, and what they do is near what is exact."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

pytest.importorskip("mpmath")

SCRIPT = Path(__file__).parents[2] / "docs" / "accuracy_page.py"


@pytest.fixture(scope="module")
def written() -> str:
    return SCRIPT.with_name("accuracy.md").read_text(encoding="utf-8")


def test_the_page_is_what_the_functions_do(written: str) -> None:
    script = runpy.run_path(str(SCRIPT))
    assert written == script["page"](script["rows"]()), f"the page is old: run python docs/{SCRIPT.name}"


def test_errors_are_small(written: str) -> None:
    rows = re.findall(r"^\| (\w+) \| .*? \| ([\d.]+) \| .*? \| ([\d.]+) \|", written, re.MULTILINE)
    assert len(rows) > 30
    for function, f32, f64 in rows:
        assert float(f32) <= 2.0, function
        assert float(f64) <= 2.0, function
