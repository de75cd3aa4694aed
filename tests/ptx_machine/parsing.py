"""From the text of a PTX file to its syntax tree.  A directive that is not known raises `UnknownInstruction`."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, replace

from ptx_machine.errors import Place, UnknownInstruction
from ptx_machine.scalars import SCALARS
from ptx_machine.syntax import (
    Address,
    Arguments,
    File,
    Function,
    Immediate,
    Instruction,
    Negated,
    Operand,
    Pair,
    Register,
    Sink,
    Special,
    Symbol,
    Variable,
    Vector,
)

_TOKEN = re.compile(r"""//[^\n]*|/\*.*?\*/|\s+|(?P<string>"[^"]*")|(?P<word>(?:[\w$%.]|::)+)|(?P<mark>.)""", re.S)
_LINKING = (".visible", ".extern", ".weak", ".common")
_SPACES = (".global", ".const", ".shared", ".local", ".param")
_PERFORMANCE = {".maxntid", ".reqntid", ".minnctapersm", ".maxnctapersm", ".maxnreg", ".noreturn", ".pragma"}
SPECIAL_REGISTERS = frozenset(
    [f"%{name}.{axis}" for name in ("tid", "ntid", "ctaid", "nctaid") for axis in "xyz"]
    + ["%laneid", "%warpid", "%nwarpid", "%dynamic_smem_size", "%total_smem_size", "%WARP_SZ"]
    + [f"%lanemask_{which}" for which in ("eq", "lt", "le", "gt", "ge")]
)


@dataclass(frozen=True, slots=True)
class Token:
    text: str
    line: int
    start: int


def tokens(text: str) -> list[Token]:
    """The tokens of `text`, without comments and white space, closed by an empty token."""
    found: list[Token] = []
    line = 1
    for match in _TOKEN.finditer(text):
        if match.lastgroup is not None:
            found.append(Token(match.group(), line, match.start()))
        line += match.group().count("\n")
    return [*found, Token("", line, len(text))]


def parse(text: str) -> File:
    """The syntax tree of a PTX file.

    Raises:
        UnknownInstruction: a directive, an operand or a special register is not known.
    """
    return _Parser(text).file()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokens(text)
        self.position = 0
        self.function: Function | None = None
        self.scopes: list[dict[str, Register | str]] = []
        self.scope_count = 0

    # ---- tokens

    @property
    def next(self) -> str:
        return self.tokens[self.position].text

    def take(self) -> str:
        token = self.tokens[self.position]
        self.position += 1
        return token.text

    def accept(self, text: str) -> bool:
        if self.next == text:
            self.position += 1
            return True
        return False

    def expect(self, text: str) -> None:
        if not self.accept(text):
            raise self.unknown(f"expected {text!r}, found {self.next!r}")

    def unknown(self, message: str) -> UnknownInstruction:
        line = self.tokens[self.position].line
        name = self.function.name if self.function else "the file"
        source = self.text.splitlines()[line - 1].strip() if self.text else ""
        return UnknownInstruction(message, Place(name, line, source, None, None))

    # ---- the file

    def file(self) -> File:
        file = File("", [], [])
        while self.next:
            word = self.take()
            if word == ".version" or word == ".address_size":
                self.take()
            elif word == ".target":
                file.target = self.take()
                while self.accept(","):
                    self.take()
            elif word in _LINKING:
                continue
            elif word in _SPACES:
                file.variables += self.variables(word, is_extern=self.tokens[self.position - 2].text == ".extern")
            elif word in (".entry", ".func"):
                function = self.function_of(word == ".entry")
                if function is not None:
                    file.functions.append(function)
            else:
                self.position -= 1
                raise self.unknown(f"unknown directive {word!r}")
        return file

    def variables(self, space: str, is_extern: bool = False) -> list[Variable]:
        """Variables up to the semicolon: `.align 4 .b8 name[16] = {1, 2}`."""
        alignment, kind = self.type_of_variable()
        found = [self.variable(space[1:], alignment, kind, is_extern)]
        while self.accept(","):
            found.append(self.variable(space[1:], alignment, kind, is_extern))
        self.expect(";")
        return found

    def type_of_variable(self) -> tuple[int | None, str]:
        alignment: int | None = None
        kind = ""
        while True:
            word = self.take()
            if word == ".align":
                alignment = int(self.take())
            elif word == ".ptr":
                while self.next in (".global", ".shared", ".const", ".local", ".align"):
                    if self.take() == ".align":
                        self.take()
                return alignment, kind
            elif word[1:] in SCALARS:
                kind = word[1:]
                if self.next != ".ptr":
                    return alignment, kind
            elif word != ".visible":
                self.position -= 1
                raise self.unknown(f"unknown type {word!r}")

    def variable(self, space: str, alignment: int | None, kind: str, is_extern: bool) -> Variable:
        name, count = self.take(), 1
        while self.accept("["):
            if self.next == "]":
                count = 0
            else:
                count *= self.integer()
            self.expect("]")
        size = SCALARS[kind].nbytes
        contents, pointers = None, ()
        if self.accept("="):
            contents, pointers = self.initialiser(kind, count)
        return Variable(name, space, count * size, alignment or size, is_extern, contents, pointers)

    def initialiser(self, kind: str, count: int) -> tuple[bytes, tuple[tuple[int, str, int], ...]]:
        scalar = SCALARS[kind]
        contents = bytearray(count * scalar.nbytes)
        pointers: list[tuple[int, str, int]] = []
        braces = self.accept("{")
        offset = 0
        while not (braces and self.accept("}")):
            if re.match(r"[A-Za-z_$]", self.next):
                name, addend = self.address_value()
                pointers.append((offset, name, addend))
            else:
                value = self.literal()
                contents[offset : offset + scalar.nbytes] = _literal_bytes(value, kind)
            offset += scalar.nbytes
            if not braces:
                break
            self.accept(",")
        return bytes(contents), tuple(pointers)

    def address_value(self) -> tuple[str, int]:
        """`name`, `generic(name)` or either `+ 8`."""
        name = self.take()
        if name == "generic":
            self.expect("(")
            name = self.take()
            self.expect(")")
        return name, self.integer() if self.accept("+") else 0

    def integer(self) -> int:
        literal = self.literal()
        if not isinstance(literal.value, int) or literal.float_bits:
            raise self.unknown("expected an integer")
        return literal.value

    def literal(self) -> Immediate:
        sign = -1 if self.accept("-") else 1
        word = self.take()
        if re.fullmatch(r"0[fF][0-9a-fA-F]{8}", word):
            return Immediate(int(word[2:], 16), 32)
        if re.fullmatch(r"0[dD][0-9a-fA-F]{16}", word):
            return Immediate(int(word[2:], 16), 64)
        digits = word.rstrip("uU") if not word.lower().startswith("0x") else word.rstrip("U")
        try:
            return Immediate(sign * int(digits, 0))
        except ValueError:
            pass
        try:
            return Immediate(sign * float(word))
        except ValueError:
            self.position -= 1
            raise self.unknown(f"unknown literal {word!r}") from None

    # ---- functions

    def function_of(self, is_kernel: bool) -> Function | None:
        """A function with a body; None for a declaration."""
        results = self.parameters() if self.next == "(" else []
        name = self.take()
        function = Function(name, is_kernel, self.parameters() if self.next == "(" else [], results)
        self.function = function
        while self.next != "{":
            word = self.take()
            if word == ";":
                self.function = None
                return None
            if word not in _PERFORMANCE:
                self.position -= 1
                raise self.unknown(f"unknown directive {word!r}")
            while re.match(r'\d|,|"', self.next) or (word == ".pragma" and self.next == ";"):
                self.take()
        self.expect("{")
        self.scopes = []
        self.block()
        self.function = None
        return function

    def parameters(self) -> list[Variable]:
        self.expect("(")
        found: list[Variable] = []
        while not self.accept(")"):
            self.expect(".param")
            alignment, kind = self.type_of_variable()
            found.append(self.variable("param", alignment, kind, False))
            self.accept(",")
        return found

    def block(self) -> None:
        """The statements up to the closing brace, in a scope of their own."""
        self.scopes.append({})
        self.scope_count += 1
        while not self.accept("}"):
            self.statement()
        self.scopes.pop()

    def statement(self) -> None:
        assert self.function is not None
        word = self.next
        if word == "":
            raise self.unknown("the file ends inside a function")
        if word == "{":
            self.take()
            self.block()
        elif word == ";":
            self.take()
        elif word == ".reg":
            self.take()
            self.registers()
        elif word in _SPACES:
            self.take()
            for variable in self.variables(word):
                self.declare(variable)
        elif word in (".loc", ".pragma"):
            line = self.tokens[self.position].line
            while self.tokens[self.position].line == line and self.next != ";":
                self.take()
        elif self.tokens[self.position + 1].text == ":":
            label = self.take()
            self.take()
            if self.accept(".branchtargets"):
                self.function.branch_targets[label] = self.label_list()
            else:
                self.function.labels[label] = len(self.function.instructions)
        elif word.startswith("."):
            raise self.unknown(f"unknown directive {word!r}")
        else:
            self.instruction()

    def label_list(self) -> tuple[str, ...]:
        labels = [self.take()]
        while self.accept(","):
            labels.append(self.take())
        self.expect(";")
        return tuple(labels)

    def declare(self, variable: Variable) -> None:
        """Give a variable of an inner scope a name of its own."""
        assert self.function is not None
        name = variable.name
        unique = name if variable.space != "param" else f"{self.function.name}.{name}.{self.scope_count}"
        self.scopes[-1][name] = unique
        self.function.variables.append(replace(variable, name=unique))

    def registers(self) -> None:
        assert self.function is not None
        kind = self.take()[1:]
        if kind not in SCALARS:
            raise self.unknown(f"unknown register type {kind!r}")
        bits = SCALARS[kind].width
        while True:
            name, count = self.take(), None
            if self.accept("<"):
                count = self.integer()
                self.expect(">")
            names = [name] if count is None else [f"{name}{i}" for i in range(count)]
            for each in names:
                unique = each if len(self.scopes) == 1 else f"{each}.{self.scope_count}"
                register = Register(f"{self.function.name}.{unique}", bits)
                self.scopes[-1][each] = self.function.registers[register.name] = register
            if not self.accept(","):
                break
        self.expect(";")

    # ---- instructions

    def instruction(self) -> None:
        assert self.function is not None
        first = self.tokens[self.position]
        predicate: Register | Negated | None = None
        if self.accept("@"):
            operand = self.operand()
            if not isinstance(operand, Register | Negated):
                raise self.unknown("a predicate is a register")
            predicate = operand
        parts = tuple(self.take().split("."))
        operands: list[Operand] = []
        while not self.accept(";"):
            operands.append(self.operand())
            if self.next != ";":
                self.expect(",")
        source = " ".join(self.text[first.start : self.tokens[self.position - 1].start].split())
        if len(source) > 160:
            source = source[:150] + " ..."
        self.function.instructions.append(Instruction(parts, tuple(operands), predicate, first.line, source))

    def operand(self) -> Operand:
        word = self.next
        if word == "{":
            return self.vector()
        if word == "[":
            return self.address()
        if word == "(":
            self.take()
            items: list[Operand] = []
            while not self.accept(")"):
                items.append(self.operand())
                self.accept(",")
            return Arguments(tuple(items))
        if self.accept("!"):
            operand = self.operand()
            if not isinstance(operand, Register):
                raise self.unknown("only a predicate can be negated")
            return Negated(operand)
        if word == "-" or word[:1].isdigit():
            return self.literal()
        first = self.name()
        if self.accept("|"):
            return Pair(first, self.name())
        return first

    def name(self) -> Operand:
        word = self.take()
        if word == "_":
            return Sink()
        if word == "WARP_SZ":
            return Immediate(32)
        for scope in reversed(self.scopes):
            if word in scope:
                found = scope[word]
                return found if isinstance(found, Register) else Symbol(found)
        if word in SPECIAL_REGISTERS:
            return Special(word[1:])
        if word.startswith("%") or not re.fullmatch(r"[\w$.]+", word):
            self.position -= 1
            raise self.unknown(f"unknown register {word!r}")
        return Symbol(word)

    def vector(self) -> Vector:
        self.expect("{")
        items: list[Operand] = []
        while not self.accept("}"):
            items.append(self.operand())
            self.accept(",")
        return Vector(tuple(items))

    def address(self) -> Address:
        self.expect("[")
        base = self.operand()
        offset = 0
        while self.next in ("+", "-"):
            self.accept("+")
            offset += self.integer()
        coordinates = self.vector() if self.accept(",") else None
        self.expect("]")
        return Address(base, offset, coordinates)


def _literal_bytes(literal: Immediate, kind: str) -> bytes:
    scalar = SCALARS[kind]
    if literal.float_bits or isinstance(literal.value, int):
        return (int(literal.value) & ((1 << scalar.bits) - 1)).to_bytes(scalar.nbytes, "little")
    return struct.pack("<f" if scalar.bits == 32 else "<d", literal.value)
