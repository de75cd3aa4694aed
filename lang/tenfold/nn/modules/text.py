"""The text of a module: its class, its settings, and the modules in it, indented, as PyTorch prints them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from tenfold.nn.modules.registry import own_modules

if TYPE_CHECKING:
    from tenfold.nn.modules.module import Module


def described(module: Module, name: str) -> str:
    """`name(settings)` on one line, or with a line for each module in it."""
    settings = module.extra_repr()
    lines = [f"({label}): {indented(repr(child))}" for label, child in own_modules(module).items()]
    return enclosed(name, settings.split("\n") if settings else [], lines)


def enclosed(name: str, settings: Sequence[str], lines: Sequence[str]) -> str:
    """`name(...)` around lines; a single setting without more stays on the line of the name."""
    if not lines and len(settings) <= 1:
        return f"{name}({''.join(settings)})"
    inside = "\n  ".join([*settings, *lines])
    return f"{name}(\n  {inside}\n)"


def indented(text: str) -> str:
    """`text` with each line but the first two columns further to the right."""
    return text.replace("\n", "\n  ")


def runs(texts: Iterable[str]) -> list[tuple[int, int, str]]:
    """The first and last position of equal texts that follow each other, and the text."""
    result: list[tuple[int, int, str]] = []
    for position, text in enumerate(texts):
        if result and result[-1][2] == text:
            result[-1] = (result[-1][0], position, text)
        else:
            result.append((position, position, text))
    return result


def keywords(**settings: Any) -> str:
    """`a=1, b='x'`."""
    return ", ".join(f"{name}={value!r}" for name, value in settings.items())
