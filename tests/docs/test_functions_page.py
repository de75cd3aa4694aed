"""`docs/functions.md` is what the code says, and leaves nothing out."""

from __future__ import annotations

import inspect
import re
import runpy
from pathlib import Path

import tenfold as tn

SCRIPT = Path(__file__).parents[2] / "docs" / "functions_page.py"
PAGE = SCRIPT.with_name("functions.md")


def test_the_page_is_what_the_code_gives() -> None:
    written = PAGE.read_text(encoding="utf-8")
    assert written == runpy.run_path(str(SCRIPT))["page"](), f"the page is old: run python docs/{SCRIPT.name}"


def test_every_public_function_is_on_the_page() -> None:
    rows = re.findall(r"^\| (`.*?`) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    listed = set(re.findall(r"`([\w.]+)", "".join(rows)))
    functions = {name for name in tn.__all__ if inspect.isfunction(getattr(tn, name))}
    functions |= {f"random.{name}" for name in tn.random.__all__}
    assert functions <= listed
