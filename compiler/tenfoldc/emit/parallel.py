"""Parallel loops: the loop's body becomes a function of its own, which threads call for one turn after the other.

For a loop L two functions are written:

    L.turn(pointers..., values..., index)   the body, which knows what its pointers are to each other; `values` are what
                                            it uses of the code around it
    L.task(arguments, index, worker)        reads pointers and values from memory and calls L.turn

and in the loop's place `@tenfold.parallel(team, L.task, arguments, count)`, which runs all turns, by itself where the
team is null.  A worker's private memory lies `stride` bytes after that of the one before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from tenfold_rt.frozen import frozen
from tenfoldc.emit.accesses import varying_index
from tenfoldc.emit.function_text import FunctionText
from tenfoldc.emit.module_text import ModuleText
from tenfoldc.emit.scalar_types import register_type
from tenfoldc.loops.ir import Buffer, Constant, Expr, For, Statement
from tenfoldc.loops.traversal import loaded, operands_of, roots_of, stored, walk_statements


@frozen
class Surroundings:
    """What parallel loops must know of their kernel: its name, its pointers with their attributes, and the stride."""

    name: str
    attributes: Mapping[str, str]
    stride: int


@frozen
class _Argument:
    """An argument of the body's function: its type, attributes, the caller's name for it, and whether it is private."""

    kind: str
    attributes: str
    outside: str
    is_private: bool = False


def write_parallel_loop(
    module: ModuleText,
    text: FunctionText,
    loop: For,
    pointers: Mapping[Buffer, str],
    around: Surroundings,
    count: str,
    write_body: Callable[[FunctionText, Mapping[Buffer, str], Sequence[Statement]], None],
) -> None:
    """Write `loop` as a call that runs all its turns; `write_body` writes statements into a new function."""
    captured = _captured(text, loop.body)
    used = dict.fromkeys(buffer.storage for buffer in (*loaded(loop.body), *stored(loop.body)))
    private = {pointers[buffer.storage] for buffer in loop.private if buffer in used}
    passed = dict.fromkeys(pointers[buffer] for buffer in used if not pointers[buffer].startswith("@"))
    arguments = [_Argument("ptr", around.attributes[p], p, p in private) for p in passed]
    arguments += [_Argument(register_type(e.dtype), "", name) for e, name in captured.items()]
    inside = {argument.outside: f"%a{number}" for number, argument in enumerate(arguments)}

    body = FunctionText()
    for expression, name in captured.items():
        body.bind(expression, inside[name])
    body.bind(loop.axis, "%index")
    write_body(body, {buffer: inside.get(pointers[buffer], pointers[buffer]) for buffer in used}, loop.body)
    body.effect("ret void")

    base = f"{around.name}.{loop.axis.name}"
    turn, task = (module.symbol(f"{base}.{part}") for part in ("turn", "task"))
    signature = ", ".join(f"{a.kind} {a.attributes} %a{number}" for number, a in enumerate(arguments))
    attributes = module.function_attributes
    module.append(
        f"define internal fastcc void {turn}({_with(signature, 'i64 %index')}) noinline "
        f"{attributes}{body.attributes} {{\n{body}\n}}"
    )
    module.append(_task(task, turn, arguments, around.stride, attributes))
    block = text.words(max(1, len(arguments)))
    for number, argument in enumerate(arguments):
        place = text.fresh(f"getelementptr i8, ptr {block}, i64 {8 * number}")
        text.effect(f"store {argument.kind} {argument.outside}, ptr {place}, align 8")
    text.effect(f"call void @tenfold.parallel(ptr %team, ptr {task}, ptr {block}, i64 {count})")


def _with(first: str, second: str) -> str:
    return ", ".join(part for part in (first, second) if part)


def _captured(text: FunctionText, statements: Sequence[Statement]) -> dict[Expr, str]:
    """What `statements` use that the code around them has computed, with its names there.

    It is passed rather than computed again: memory that it was read from may have changed since.
    """
    captured: dict[Expr, str] = {}
    for expression in _needed(text, statements):
        known = text.find(expression)
        if known is not None:
            captured[expression] = known
    return captured


def _needed(text: FunctionText, statements: Sequence[Statement]) -> Iterator[Expr]:
    """The expressions that `statements` are computed from, down to what is known."""
    seen: set[Expr] = set()
    pending = [root for statement in walk_statements(statements) for root in roots_of(statement)]
    while pending:
        expression = pending.pop()
        if expression in seen or isinstance(expression, Constant):
            continue
        seen.add(expression)
        yield expression
        varying = varying_index(expression)
        if text.find(expression) is None:
            pending.extend(operands_of(expression))
        elif varying is not None:
            pending.append(varying)


def _task(symbol: str, turn: str, arguments: Sequence[_Argument], stride: int, attributes: str) -> str:
    """The function that threads call: arguments lie eight bytes apart."""
    text = FunctionText()
    offset = text.fresh("zext i32 %worker to i64")
    offset = text.fresh(f"mul i64 {offset}, {stride}")
    values: list[str] = []
    for number, argument in enumerate(arguments):
        place = text.fresh(f"getelementptr i8, ptr %arguments, i64 {8 * number}")
        value = text.fresh(f"load {argument.kind}, ptr {place}, align 8")
        if argument.is_private:
            value = text.fresh(f"getelementptr i8, ptr {value}, i64 {offset}")
        values.append(f"{argument.kind} {value}")
    text.effect(f"call fastcc void {turn}({', '.join([*values, 'i64 %index'])})")
    text.effect("ret void")
    return f"define internal void {symbol}(ptr %arguments, i64 %index, i32 %worker) {attributes} {{\n{text}\n}}"
