"""LLVM IR as text: the few pieces of syntax that the interface's functions are written with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def symbol(name: str) -> str:
    """`@"name"`, with what a quoted name cannot hold escaped."""
    return f'@"{"".join(_escaped(byte) for byte in name.encode())}"'


def _escaped(byte: int) -> str:
    return chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\' else f"\\{byte:02X}"


def bytes_literal(content: bytes) -> str:
    """`c"…"`, an array constant of i8."""
    return f'c"{"".join(_escaped(byte) for byte in content)}"'


def string_constant(name: str, text: str) -> str:
    """A private NUL-terminated string called `name`."""
    content = text.encode() + b"\0"
    return f"{symbol(name)} = private unnamed_addr constant [{len(content)} x i8] {bytes_literal(content)}\n"


def array_constant(name: str, element: str, values: Sequence[int] | Sequence[str]) -> str:
    """A private array called `name`; a string value is written as it stands."""
    items = ", ".join(f"{element} {value}" for value in values)
    return f"{symbol(name)} = private unnamed_addr constant [{len(values)} x {element}] [{items}]\n"


class FunctionText:
    """The lines of one function; values and blocks get numbered names so that pieces never clash."""

    def __init__(self, signature: str) -> None:
        self.lines = [f"define {signature} {{", "entry:"]
        self.count = 0

    def name(self, hint: str) -> str:
        """A fresh name, without its `%`."""
        self.count += 1
        return f"{hint}.{self.count}"

    def value(self, expression: str, hint: str = "v") -> str:
        """Compute `expression`; return the name of its value."""
        name = "%" + self.name(hint)
        self.lines.append(f"  {name} = {expression}")
        return name

    def do(self, instruction: str) -> None:
        """An instruction without a value."""
        self.lines.append(f"  {instruction}")

    def at(self, base: str, offset: int) -> str:
        """The address `offset` bytes past `base`."""
        return self.value(f"getelementptr i8, ptr {base}, i64 {offset}", "at")

    def load(self, type_: str, base: str, offset: int) -> str:
        """What lies `offset` bytes past `base`."""
        return self.value(f"load {type_}, ptr {self.at(base, offset)}")

    def block(self, label: str) -> None:
        """Begin the block `label`."""
        self.lines.append(f"{label}:")

    def jump(self, label: str) -> None:
        self.do(f"br label %{label}")

    def unless(self, condition: str, target: str, hint: str = "ok") -> None:
        """Go on where `condition` holds, else to block `target`."""
        label = self.name(hint)
        self.do(f"br i1 {condition}, label %{label}, label %{target}")
        self.block(label)

    def text(self) -> str:
        """The whole function."""
        return "\n".join([*self.lines, "}", ""])


def joined(arguments: Iterable[str], type_: str = "ptr") -> str:
    """`ptr %a, ptr %b`: arguments of one type."""
    return ", ".join(f"{type_} {argument}" for argument in arguments)
