"""A module divided into units that are compiled apart, at one time, and of which equal ones are compiled once.

    a unit = declarations of what it refers to, copies of what is shared, and definitions of its own

A kernel is a unit, and so is a tile's function.  In the text of these the symbols are numbered, so that it says what
is computed and not where in which program: units with equal text are one machine code under several names.  The unit
of the library keeps its names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum

from tenfold_rt.frozen import frozen
from tenfoldc.emit.module_text import LIBRARY, SHARED, Part
from tenfoldc.emit.outlined import kept_alive, names_in_calls, vector_forms_in

_SYMBOL = re.compile(r'@(?:"[^"]*"|[-\w$.]+)')
_DEFINED = re.compile(rf"^(?:define [^@]*)?({_SYMBOL.pattern})(?: =|\()", re.MULTILINE)
_ATTACHED = re.compile(r"(!(?:llvm\.[\w.]+|nontemporal) )!(\d+)")
_NODE = re.compile(r"!(\d+)")
_ESCAPE = re.compile(r"\\([0-9A-F]{2})")
_OF_LIBRARY = {
    "@tenfold.parallel": "declare hidden void @tenfold.parallel(ptr, ptr, ptr, i64)",
    "@tenfold.tiles.granted": "declare hidden i32 @tenfold.tiles.granted()",
}
"""What the library's interface defines for kernels."""


_LONG_INTERFACE = 400_000
"""Characters, some 200 parameters, from which LLVM's optimiser, whose time grows with the square of a function's
length, costs more than it can save in code that runs once a call.  Nor is it worth while where work is shared between
threads: such calls take long."""


class Effort(Enum):
    """What LLVM does with a unit beside generating its code."""

    ALL = "all"
    """All that it has for loops: they become vectors, and are unrolled."""
    TIDY = "tidy"
    """Little: the text says what is to run, instruction by instruction, as tiles and the interface do."""
    NONE = "none"
    """Nothing, and code generation in linear time."""


@frozen
class Unit:
    """The text of a unit, the names of the symbols that are numbered in it, and what LLVM is to do with it."""

    text: str
    names: Mapping[str, str]
    effort: Effort


def divide(parts: Sequence[Part], metadata: Sequence[str], interface: str) -> list[Unit]:
    """The units of a module of `parts` with `metadata`; the `interface` belongs to the library's."""
    division = _Division(parts, metadata)
    units = dict.fromkeys(part.unit for part in parts if part.unit not in (SHARED, LIBRARY))
    tiles = {part.unit for part in parts if part.is_tile}
    efforts = {name: Effort.TIDY if name in tiles else Effort.ALL for name in units}
    return [division.library(interface), *(division.unit(name, effort) for name, effort in efforts.items())]


class _Division:
    """What is defined where."""

    def __init__(self, parts: Sequence[Part], metadata: Sequence[str]) -> None:
        self.metadata = metadata
        self.shared: dict[str, str] = {}
        self.declarations = dict(_OF_LIBRARY)
        self.of_unit: dict[str, dict[str, str]] = {LIBRARY: {}}
        for part in parts:
            found = _DEFINED.search(part.text)
            assert found is not None
            symbol = found[1]
            if part.unit == SHARED:
                self.shared[symbol] = part.text
            else:
                self.of_unit.setdefault(part.unit, {})[symbol] = part.text
                header = part.text.partition(" {\n")[0]
                self.declarations[symbol] = header.replace("define internal", "declare hidden", 1)
        self.references = {
            symbol: dict.fromkeys([*_SYMBOL.findall(text), *vector_forms_in(text)])
            for texts in (self.shared, *self.of_unit.values())
            for symbol, text in texts.items()
        }
        owners = {symbol: unit for unit, texts in self.of_unit.items() for symbol in texts}
        self.visible = {
            used
            for unit, texts in (*self.of_unit.items(), (SHARED, self.shared))
            for symbol in texts
            for used in self.references[symbol]
            if owners.get(used, unit) != unit
        }

    def library(self, interface: str) -> Unit:
        for declaration in _OF_LIBRARY.values():
            visible = declaration.partition("(")[0].replace("declare", "define", 1)
            interface = interface.replace(f"{visible.replace('hidden', 'internal', 1)}(", f"{visible}(")
        text = f"{self._text(LIBRARY)}\n{interface}"
        is_long = len(text) > _LONG_INTERFACE or " @tenfold.parallel(" in interface
        return Unit(text, {}, Effort.NONE if is_long else Effort.TIDY)

    def unit(self, name: str, effort: Effort) -> Unit:
        text = self._text(name)
        numbers: dict[str, str] = {}
        kept = names_in_calls(text)
        for symbol in _SYMBOL.findall(text):
            is_copied = symbol in self.shared and " = external" not in self.shared[symbol]
            if not is_copied and symbol not in kept and not symbol.startswith("@llvm."):
                numbers.setdefault(symbol, f"s{len(numbers)}")
        text = _SYMBOL.sub(lambda found: f"@{numbers[found[0]]}" if found[0] in numbers else found[0], text)
        return Unit(text, {number: _name(symbol) for symbol, number in numbers.items()}, effort)

    def _text(self, unit: str) -> str:
        own = self.of_unit[unit]
        copied: dict[str, str] = {}
        declared: dict[str, str] = {}
        pending = list(own)
        while pending:
            for symbol in self.references[pending.pop()]:
                if symbol in self.shared and symbol not in copied:
                    copied[symbol] = self.shared[symbol]
                    pending.append(symbol)
                elif symbol in self.declarations and symbol not in own:
                    declared[symbol] = self.declarations[symbol]
        defined = [_visible(text) if symbol in self.visible else text for symbol, text in own.items()]
        text = "\n\n".join([*declared.values(), *copied.values(), *defined])
        return _with_metadata(kept_alive(vector_forms_in(text)) + text, self.metadata)


def _visible(definition: str) -> str:
    return definition.replace("define internal", "define hidden", 1)


def _with_metadata(text: str, metadata: Sequence[str]) -> str:
    """`text` with the nodes that it refers to, numbered in order."""
    numbers: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        return f"!{numbers.setdefault(found[1], len(numbers))}"

    text = _ATTACHED.sub(lambda found: f"{found[1]}!{numbers.setdefault(found[2], len(numbers))}", text)
    nodes: list[str] = []
    while len(nodes) < len(numbers):
        following = list(numbers)[len(nodes)]
        nodes.append(f"!{len(nodes)} = {_NODE.sub(number, metadata[int(following)])}")
    return "\n".join([text, "", *nodes, ""])


def _name(symbol: str) -> str:
    """The name in the object file of what is `@name` or `@"name"` in the text."""
    inside = symbol[1:].removeprefix('"').removesuffix('"')
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), inside).encode("latin-1").decode()
