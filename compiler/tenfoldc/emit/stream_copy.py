"""Copies that pass the cache by: whole lines of 64 bytes are written as such, and none is read before.

A line is written at once when all of it has been, so what comes before the first whole line of the target and after
the last is stored as usual.  Other cores see these stores only after a fence, which ends each function that has some.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tenfoldc.emit.expressions import ExpressionText
from tenfoldc.emit.function_text import FunctionText
from tenfoldc.emit.module_text import ModuleText
from tenfoldc.loops.ir import For, Mode, Statement, StreamCopy
from tenfoldc.loops.traversal import inner_statements

_LINE = 64


def stream_copy(caller: ExpressionText, statement: StreamCopy) -> None:
    """Write the call that copies; the function it calls is written at its first use."""
    size = statement.source.dtype.itemsize
    source = caller.place(statement.source, ())
    target = caller.address(statement.target, (statement.target_first,))
    count = caller.typed(statement.count)
    symbol = caller.module.once(
        ("stream", size), f"stream.{8 * size}", lambda symbol: _define(caller.module, size, symbol), is_tile=True
    )
    caller.text.effect(f"call fastcc void {symbol}(ptr {source}, ptr {target}, {count})")


def end_streams(text: FunctionText, statements: Sequence[Statement]) -> None:
    """Write the fence at the end of a function of `statements` that has such copies of its own."""
    if any(isinstance(statement, StreamCopy) for statement in _own(statements)):
        text.effect("call void @llvm.x86.sse.sfence()")


def _own(statements: Sequence[Statement]) -> Iterator[Statement]:
    """All statements but those of parallel loops, which are functions of their own."""
    for statement in statements:
        yield statement
        if not (isinstance(statement, For) and statement.mode is Mode.PARALLEL):
            yield from _own(inner_statements(statement))


def _define(module: ModuleText, size: int, symbol: str) -> str:
    """The function `symbol(source, target, count)` for elements of `size` bytes."""
    parameters = "ptr noalias readonly %source, ptr noalias writeonly %target, i64 %count"
    return f"""\
define internal fastcc void {symbol}({parameters}) noinline "no-builtins" {module.function_attributes} {{
entry:
  %address = ptrtoint ptr %target to i64
  %negative = sub i64 0, %address
  %before = and i64 %negative, {_LINE - 1}
  %head.most = udiv exact i64 %before, {size}
  %head.end = call i64 @llvm.umin.i64(i64 %head.most, i64 %count)
  %rest = sub nuw i64 %count, %head.end
  %whole = and i64 %rest, -{_LINE // size}
  %lines.end = add nuw i64 %head.end, %whole
  br label %head.test
{_elements("head", "entry", "0", "%head.end", "line.test", size)}
line.test:
  %l = phi i64 [ %head.end, %head.test ], [ %l.next, %line ]
  %l.more = icmp ult i64 %l, %lines.end
  br i1 %l.more, label %line, label %tail.test
line:
{_line(module, size)}
  %l.next = add nuw i64 %l, {_LINE // size}
  br label %line.test
{_elements("tail", "line.test", "%lines.end", "%count", "done", size)}
done:
  ret void
}}"""


def _elements(name: str, before: str, first: str, end: str, after: str, size: int) -> str:
    """A loop, from the block `before`, that copies elements from `first` up to `end` as usual, and goes to `after`."""
    kind, i = f"i{8 * size}", f"%{name}.i"
    return f"""\
{name}.test:
  {i} = phi i64 [ {first}, %{before} ], [ {i}.next, %{name} ]
  {i}.more = icmp ult i64 {i}, {end}
  br i1 {i}.more, label %{name}, label %{after}
{name}:
  {i}.from = getelementptr inbounds {kind}, ptr %source, i64 {i}
  {i}.value = load {kind}, ptr {i}.from, align {size}
  {i}.to = getelementptr inbounds {kind}, ptr %target, i64 {i}
  store {kind} {i}.value, ptr {i}.to, align {size}
  {i}.next = add nuw i64 {i}, 1
  br label %{name}.test"""


def _line(module: ModuleText, size: int) -> str:
    """A line of the target, written at element %l, in vectors."""
    text = FunctionText()
    text.lines.clear()
    kind, width = f"i{8 * size}", module.target.vector_bytes
    vector = f"<{width // size} x {kind}>"
    source = text.pure(f"getelementptr inbounds {kind}, ptr %source, i64 %l")
    target = text.pure(f"getelementptr inbounds {kind}, ptr %target, i64 %l")
    values: list[str] = []
    for start in range(0, _LINE, width):
        at = text.pure(f"getelementptr inbounds i8, ptr {source}, i64 {start}")
        values.append(text.fresh(f"load {vector}, ptr {at}, align {size}"))
    node = module.node("!{i32 1}")
    for start, value in zip(range(0, _LINE, width), values, strict=True):
        at = text.pure(f"getelementptr inbounds i8, ptr {target}, i64 {start}")
        text.effect(f"store {vector} {value}, ptr {at}, align {width}, !nontemporal {node}")
    return str(text)
