"""Tapes as LLVM text: memory that doubles when it is full, in the C library's heap, freed when the program ends.

A tape is a record of `TAPE_WORDS` words in the workspace.  Where memory runs out its elements are lost, the program
goes on with zeros in their place, and says so when it ends.
"""

from __future__ import annotations

from tenfold_rt.status import Status
from tenfoldc.emit.expressions import ExpressionText
from tenfoldc.emit.function_text import FunctionText
from tenfoldc.loops.ir import TAPE_WORDS, Buffer, ReadTape, WriteTape

_FIRST_BYTES = 65536

_WRITE = """\
declare ptr @realloc(ptr, i64) nounwind nonlazybind

define internal void {symbol}(ptr %tape, i64 %place, ptr %source, i64 %bytes) noinline nounwind {{
  %room.at = getelementptr i64, ptr %tape, i64 1
  %failed.at = getelementptr i64, ptr %tape, i64 2
  %room = load i64, ptr %room.at
  %start = mul i64 %place, %bytes
  %end = add i64 %start, %bytes
  %fits = icmp ule i64 %end, %room
  br i1 %fits, label %copy, label %full
full:
  %failed = load i64, ptr %failed.at
  %has.failed = icmp ne i64 %failed, 0
  br i1 %has.failed, label %done, label %grow
grow:
  %double = shl i64 %room, 1
  %least = call i64 @llvm.umax.i64(i64 %end, i64 {first})
  %more = call i64 @llvm.umax.i64(i64 %double, i64 %least)
  %old = load ptr, ptr %tape
  %new = call ptr @realloc(ptr %old, i64 %more)
  %made = icmp ne ptr %new, null
  br i1 %made, label %grown, label %lost
grown:
  store ptr %new, ptr %tape
  store i64 %more, ptr %room.at
  br label %copy
lost:
  store i64 1, ptr %failed.at
  br label %done
copy:
  %elements = load ptr, ptr %tape
  %target = getelementptr i8, ptr %elements, i64 %start
  call void @llvm.memcpy.p0.p0.i64(ptr %target, ptr %source, i64 %bytes, i1 false)
  br label %done
done:
  ret void
}}
"""

_READ = """\
define internal void {symbol}(ptr %tape, i64 %place, ptr %target, i64 %bytes) noinline nounwind {{
  %failed.at = getelementptr i64, ptr %tape, i64 2
  %failed = load i64, ptr %failed.at
  %has.failed = icmp ne i64 %failed, 0
  br i1 %has.failed, label %lost, label %copy
lost:
  call void @llvm.memset.p0.i64(ptr %target, i8 0, i64 %bytes, i1 false)
  ret void
copy:
  %elements = load ptr, ptr %tape
  %start = mul i64 %place, %bytes
  %source = getelementptr i8, ptr %elements, i64 %start
  call void @llvm.memcpy.p0.p0.i64(ptr %target, ptr %source, i64 %bytes, i1 false)
  ret void
}}
"""


def write_tape(caller: ExpressionText, statement: WriteTape) -> None:
    """Write the call that copies a buffer to a tape."""
    symbol = caller.module.once(
        "write_tape", "tenfold.write_tape", lambda name: _WRITE.format(symbol=name, first=_FIRST_BYTES)
    )
    _call(caller, symbol, statement, statement.source)


def read_tape(caller: ExpressionText, statement: ReadTape) -> None:
    """Write the call that copies an element of a tape to a buffer."""
    symbol = caller.module.once("read_tape", "tenfold.read_tape", lambda name: _READ.format(symbol=name))
    _call(caller, symbol, statement, statement.target)


def _call(caller: ExpressionText, symbol: str, statement: WriteTape | ReadTape, moved: Buffer) -> None:
    tape, memory = (caller.pointers[buffer.storage] for buffer in (statement.tape, moved))
    place = caller.value(statement.place)
    caller.text.effect(f"call void {symbol}(ptr {tape}, i64 {place}, ptr {memory}, i64 {moved.nbytes})")


def begin_tape(text: FunctionText, pointer: str) -> None:
    """Make the tape at `pointer` empty."""
    for word in range(TAPE_WORDS):
        address = text.pure(f"getelementptr i64, ptr {pointer}, i64 {word}")
        text.effect(f"store i64 0, ptr {address}")


def end_tape(text: FunctionText, pointer: str, status: str) -> str:
    """Give back a tape's memory; `status`, or out of memory where that ran out."""
    elements = text.fresh(f"load ptr, ptr {pointer}")
    text.effect(f"call void @free(ptr {elements})")
    failed = text.fresh(f"load i64, ptr {text.pure(f'getelementptr i64, ptr {pointer}, i64 2')}")
    is_whole = text.fresh(f"icmp eq i64 {failed}, 0")
    return text.fresh(f"select i1 {is_whole}, i32 {status}, i32 {int(Status.ENOMEM)}")
