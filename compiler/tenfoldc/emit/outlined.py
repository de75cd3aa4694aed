"""Scalar functions that are called instead of inlined: compiled once, for single numbers and for vectors of them.

A call names the vector forms of its function, so that LLVM's vectoriser calls them as it would call intrinsics.  So
are compiled the functions of which a kernel has many calls, which take LLVM long to inline and to optimise again and
again, and those with a rare case, around which only code that is vectors already can branch.

A vector form is the scalar body in a loop over the lanes, which LLVM makes the instructions of one vector.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from tenfoldc.emit.function_text import FunctionText
from tenfoldc.emit.module_text import ModuleText
from tenfoldc.emit.scalar_types import register_type
from tenfoldc.loops.ir import Function

MOST_INLINED_CALLS = 4
"""Calls of one function in one kernel up to which its body is written in line."""
MOST_OPTIMISED_CALLS = 32
"""Calls of one function in one program up to which it is written in line even where a kernel has many."""

_VARIANT = re.compile(r"_ZGV_LLVM_N\d+v+_([^(]+)\(([^)]+)\)")

Inlined = Callable[[ModuleText, Function], str]
"""Gives the symbol of the form of a function that is inlined where it is called."""


def vector_forms_in(text: str) -> list[str]:
    """The symbols of the vector forms that calls in `text` name."""
    return list(dict.fromkeys(f'@"{vector}"' for _, vector in _VARIANT.findall(text)))


def names_in_calls(text: str) -> set[str]:
    """The symbols that calls in `text` name as text, which are to keep their names."""
    return {f'@"{name}"' for pair in _VARIANT.findall(text) for name in pair}


def kept_alive(symbols: Sequence[str]) -> str:
    """What keeps LLVM from removing `symbols` before its vectoriser looks for them."""
    if not symbols:
        return ""
    pointers = ", ".join(f"ptr {symbol}" for symbol in symbols)
    return f'@llvm.compiler.used = appending global [{len(symbols)} x ptr] [{pointers}], section "llvm.metadata"\n'


def outlined_call(module: ModuleText, function: Function, arguments: str, inlined: Inlined) -> str:
    """The text of a call of `function`, which is written at its first use."""
    symbol = _scalar_form(module, function, inlined)
    variants: list[str] = []
    for lanes in (module.target.vector_bytes // 8, module.target.vector_bytes // 4):
        vector = _vector_form(module, function, lanes, inlined)
        marks = "v" * len(function.parameters)
        variants.append(f"_ZGV_LLVM_N{lanes}{marks}_{_bare(symbol)}({_bare(vector)})")
    kind = register_type(function.body.dtype)
    return f'call {kind} {symbol}({arguments}) "vector-function-abi-variant"="{",".join(variants)}"'


def _bare(symbol: str) -> str:
    return symbol.removeprefix('@"').removesuffix('"')


def _attributes(module: ModuleText) -> str:
    return f"noinline willreturn memory(none) {module.function_attributes}"


def _scalar_form(module: ModuleText, function: Function, inlined: Inlined) -> str:
    """The symbol of the form for one number."""

    def write(symbol: str) -> str:
        text, kind = FunctionText(), register_type(function.body.dtype)
        arguments = ", ".join(f"{kind} %p{number}" for number in range(len(function.parameters)))
        if function.rare is not None:
            is_rare = text.fresh(f"call i1 {inlined(module, function.rare.condition)}({arguments})")
            text.branch_if(is_rare, "rare", "common")
            text.start("rare")
            rare = text.fresh(f"call {kind} {inlined(module, function.rare.result)}({arguments})")
            text.effect(f"ret {kind} {rare}")
            text.start("common")
        text.effect(f"ret {kind} {text.fresh(f'call {kind} {inlined(module, function)}({arguments})')}")
        return f"define internal {kind} {symbol}({arguments}) {_attributes(module)} {{\n{text}\n}}"

    return module.once(("called", function), function.name, write, unit=function.name)


def _vector_form(module: ModuleText, function: Function, lanes: int, inlined: Inlined) -> str:
    """The symbol of the form for `lanes` numbers."""

    def write(symbol: str) -> str:
        kind = register_type(function.body.dtype)
        vector = f"<{lanes} x {kind}>"
        form = _Lanes(module, FunctionText(), lanes, kind, len(function.parameters))
        if function.rare is not None:
            flags = form.each("i1", inlined(module, function.rare.condition))
            bits = form.text.fresh(f"load i{8 * lanes}, ptr {flags}")
            form.text.branch_if(form.text.fresh(f"icmp eq i{8 * lanes} {bits}, 0"), "common", "rare")
            form.text.start("rare")
            form.give(form.each(kind, _scalar_form(module, function, inlined), as_vector=False))
            form.text.start("common")
        form.give(form.each(kind, inlined(module, function)))
        parameters = ", ".join(f"{vector} %p{number}" for number in range(len(function.parameters)))
        return f"define internal {vector} {symbol}({parameters}) {_attributes(module)} {{\n{form.text}\n}}"

    return module.once(("called", function, lanes), f"{function.name}.x{lanes}", write, unit=function.name)


class _Lanes:
    """Writes what is done for each lane of the parameters, which are put into memory for that."""

    def __init__(self, module: ModuleText, text: FunctionText, lanes: int, kind: str, parameters: int) -> None:
        self.module, self.text, self.lanes, self.kind = module, text, lanes, kind
        self.vector = f"<{lanes} x {kind}>"
        self.memory = [text.fresh(f"alloca {self.vector}") for _ in range(parameters)]
        for number, pointer in enumerate(self.memory):
            text.effect(f"store {self.vector} %p{number}, ptr {pointer}")

    def give(self, pointer: str) -> None:
        """Return the vector at `pointer`."""
        self.text.effect(f"ret {self.vector} {self.text.fresh(f'load {self.vector}, ptr {pointer}')}")

    def each(self, kind: str, callee: str, *, as_vector: bool = True) -> str:
        """A pointer to what `callee` gives for each lane; a bit is a byte there."""
        text, stored = self.text, "i8" if kind == "i1" else kind
        group = self.module.access_group()
        properties = lanes_properties(group, self.lanes) if as_vector else ['!"llvm.loop.unroll.disable"']
        result = text.fresh(f"alloca <{self.lanes} x {stored}>")
        before, body, done = text.block, text.label("lane"), text.label("lanes")
        text.branch(body)
        text.start(body)
        lane, following = text.name(), text.name()
        text.effect(f"{lane} = phi i64 [ 0, %{before} ], [ {following}, %{body} ]")
        operands: list[str] = []
        for pointer in self.memory:
            address = text.fresh(f"getelementptr inbounds nuw {self.kind}, ptr {pointer}, i64 {lane}")
            operands.append(f"{self.kind} {text.fresh(f'load {self.kind}, ptr {address}, !llvm.access.group {group}')}")
        value = text.fresh(f"call {kind} {callee}({', '.join(operands)})")
        if kind == "i1":
            value = text.fresh(f"zext i1 {value} to i8")
        address = text.fresh(f"getelementptr inbounds nuw {stored}, ptr {result}, i64 {lane}")
        text.effect(f"store {stored} {value}, ptr {address}, !llvm.access.group {group}")
        text.effect(f"{following} = add nuw nsw i64 {lane}, 1")
        again = text.fresh(f"icmp ult i64 {following}, {self.lanes}")
        text.branch_if(again, body, done, self.module.loop_metadata(properties))
        text.start(done)
        return result


def lanes_properties(group: str, lanes: int) -> list[str]:
    """The properties of a loop over the `lanes` of one vector, whose accesses to memory are of `group`."""
    return [
        f'!"llvm.loop.parallel_accesses", {group}',
        '!"llvm.loop.vectorize.enable", i1 true',
        f'!"llvm.loop.vectorize.width", i32 {lanes}',
        '!"llvm.loop.interleave.count", i32 1',
        '!"llvm.loop.unroll.disable"',
    ]
