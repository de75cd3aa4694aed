"""What the steps of all entries call, as LLVM IR: launches, copies, looks at the GPU's memory, and tapes.

All of it gives statuses.  What steps and arguments are is said in `steps_text`; a tape is `{ address, how many elements
there is room for }`, and its elements are in memory that grows by doubling.
"""

from __future__ import annotations

from tenfoldc.artifact.gpu.context_text import CALL_KEPT, CALL_STREAM
from tenfoldc.artifact.gpu.driver_text import HostText

STEP = "{ i64, i64, i32, i32, i32, i32, i64 }"
ARGUMENT = "{ i64, i64 }"
MAP_BYTES, TAPE_BYTES = 128, 16

_FEWEST_ELEMENTS = 16


def functions(most_arguments: int) -> str:
    """What the steps of all entries call; no launch has more arguments."""
    parts = [_launch(), _copy(), _gather(), _run(max(most_arguments, 2)), _read(), _write_tape(), _read_tape(), _free()]
    return "".join(parts)


def _launch() -> str:
    text = HostText(
        "internal i32 @tenfold.gpu.launch(ptr %call, i64 %kernel, i32 %grid, i32 %threads, i32 %shared, ptr %pointers)"
        " noinline nounwind"
    )
    kept, stream = text.load("ptr", "%call", CALL_KEPT), text.load("i64", "%call", CALL_STREAM)
    kernel = text.value(f"load ptr, ptr {text.value(f'getelementptr i8, ptr {kept}, i64 %kernel')}")
    sizes = "i32 %grid, i32 1, i32 1, i32 %threads, i32 1, i32 1, i32 %shared"
    result = text.driver("cuLaunchKernel", f"ptr {kernel}, {sizes}, i64 {stream}, ptr %pointers, ptr null")
    return _returned(text, result)


def _copy() -> str:
    text = HostText("internal i32 @tenfold.gpu.copy(ptr %call, i64 %to, i64 %from, i64 %bytes) noinline nounwind")
    stream = text.load("i64", "%call", CALL_STREAM)
    return _returned(text, text.driver("cuMemcpyDtoDAsync_v2", f"i64 %to, i64 %from, i64 %bytes, i64 {stream}"))


def _returned(text: HostText, result: str) -> str:
    text.do(f"ret i32 {text.value(f'call i32 @tenfold.gpu.status(i32 {result})')}")
    return text.text()


def _gather() -> str:
    """`tenfold.gpu.value(bases, argument)`: what an argument that is no tensor map stands for."""
    text = HostText("internal i64 @tenfold.gpu.value(ptr %bases, ptr %argument) nounwind")
    number, offset = text.load("i64", "%argument", 0), text.load("i64", "%argument", 8)
    base = text.value(f"load i64, ptr {text.value(f'getelementptr i64, ptr %bases, i64 {number}')}")
    text.do(f"ret i64 {text.value(f'add i64 {base}, {offset}')}")
    return text.text()


def _step_fields() -> str:
    """Loads of what the step at `%at` holds, in the order of `STEP`."""
    names = ("kernel", "bytes", "grid", "threads", "shared", "given.narrow", "first")
    lines: list[str] = []
    for number, (name, kind) in enumerate(zip(names, STEP.strip("{ }").split(", "), strict=True)):
        lines.append(f"  %{name}.at = getelementptr {STEP}, ptr %at, i64 0, i32 {number}\n")
        lines.append(f"  %{name} = load {kind}, ptr %{name}.at\n")
    return "".join(lines)


# Puts into %pointers where the arguments of a launch are: tensor maps as they are, the values of others in %values.
_GATHER_ARGUMENTS = f"""\
gather:
  %index = phi i64 [ 0, %step ], [ %index.next, %gathered ]
  %all = icmp eq i64 %index, %given
  br i1 %all, label %launch, label %argument
argument:
  %argument.at = getelementptr {ARGUMENT}, ptr %own, i64 %index
  %base = load i64, ptr %argument.at
  %is.map = icmp slt i64 %base, 0
  br i1 %is.map, label %map, label %value
map:
  %map.number = xor i64 %base, -1
  %map.at = getelementptr [{MAP_BYTES} x i8], ptr %maps, i64 %map.number
  br label %gathered
value:
  %found = call i64 @tenfold.gpu.value(ptr %bases, ptr %argument.at)
  %value.at = getelementptr i64, ptr %values, i64 %index
  store i64 %found, ptr %value.at
  br label %gathered
gathered:
  %pointer = phi ptr [ %map.at, %map ], [ %value.at, %value ]
  %pointer.at = getelementptr ptr, ptr %pointers, i64 %index
  store ptr %pointer, ptr %pointer.at
  %index.next = add i64 %index, 1
  br label %gather
"""


def _run(most_arguments: int) -> str:
    """`tenfold.gpu.run(…)`: `count` steps that are data, one after another until one fails."""
    return f"""\
define internal i32 @tenfold.gpu.run(ptr %call, ptr %bases, ptr %maps, ptr %steps, ptr %arguments, i64 %count)
    noinline nounwind {{
entry:
  %values = alloca [{most_arguments} x i64], align 16
  %pointers = alloca [{most_arguments} x ptr], align 16
  br label %step
step:
  %number = phi i64 [ 0, %entry ], [ %following, %next ]
  %at = getelementptr {STEP}, ptr %steps, i64 %number
{_step_fields()}  %given = zext i32 %given.narrow to i64
  %own = getelementptr {ARGUMENT}, ptr %arguments, i64 %first
  %is.copy = icmp eq i64 %kernel, 0
  br i1 %is.copy, label %copy, label %gather
copy:
  %to = call i64 @tenfold.gpu.value(ptr %bases, ptr %own)
  %source = getelementptr {ARGUMENT}, ptr %own, i64 1
  %from = call i64 @tenfold.gpu.value(ptr %bases, ptr %source)
  %copied = call i32 @tenfold.gpu.copy(ptr %call, i64 %to, i64 %from, i64 %bytes)
  br label %done
{_GATHER_ARGUMENTS}launch:
  %launched = call i32 @tenfold.gpu.launch(ptr %call, i64 %kernel, i32 %grid, i32 %threads, i32 %shared, ptr %pointers)
  br label %done
done:
  %status = phi i32 [ %copied, %copy ], [ %launched, %launch ]
  %good = icmp eq i32 %status, 0
  br i1 %good, label %next, label %end
next:
  %following = add i64 %number, 1
  %more = icmp ult i64 %following, %count
  br i1 %more, label %step, label %end
end:
  ret i32 %status
}}
"""


def _read() -> str:
    """`tenfold.gpu.read(call, address, to, bytes)`: what lies there when all asked for so far is done."""
    text = HostText("internal i32 @tenfold.gpu.read(ptr %call, i64 %from, ptr %to, i64 %bytes) noinline nounwind")
    text.begin()
    stream = text.load("i64", "%call", CALL_STREAM)
    text.drive("cuMemcpyDtoHAsync_v2", f"ptr %to, i64 %from, i64 %bytes, i64 {stream}", "failed")
    text.drive("cuStreamSynchronize", f"i64 {stream}", "failed")
    text.jump("failed")
    text.block("failed")
    text.end()
    return text.text()


def _number(text: HostText, place: str) -> str:
    """The i64 at `place` in the GPU's memory."""
    text.do("%number = alloca i64")
    text.require(text.value(f"call i32 @tenfold.gpu.read(ptr %call, i64 {place}, ptr %number, i64 8)"), "failed")
    return text.value("load i64, ptr %number")


def _write_tape() -> str:
    """A tape that is full gets twice the room; what was written is copied."""
    text = HostText(
        "internal i32 @tenfold.gpu.write(ptr %call, ptr %tape, i64 %place, i64 %from, i64 %bytes) noinline nounwind"
    )
    text.begin()
    text.do("%memory = alloca i64")
    number = _number(text, "%place")
    old, room_at = text.value("load i64, ptr %tape"), text.at("%tape", 8)
    room = text.value(f"load i64, ptr {room_at}")
    text.do(f"br i1 {text.value(f'icmp slt i64 {number}, {room}')}, label %write, label %grow")
    text.block("grow")
    twice = text.value(f"shl i64 {number}, 1")
    larger = text.value(f"call i64 @llvm.smax.i64(i64 {twice}, i64 {_FEWEST_ELEMENTS})")
    size = text.value(f"mul i64 {larger}, %bytes")
    text.require(text.value(f"call i32 @tenfold.gpu.allocate(ptr %call, i64 {size}, ptr %memory)"), "failed")
    new = text.value("load i64, ptr %memory")
    text.do(f"store i64 {new}, ptr %tape")
    text.do(f"store i64 {larger}, ptr {room_at}")
    text.do(f"br i1 {text.value(f'icmp eq i64 {room}, 0')}, label %write, label %move")
    text.block("move")
    written = text.value(f"mul i64 {room}, %bytes")
    moved = text.value(f"call i32 @tenfold.gpu.copy(ptr %call, i64 {new}, i64 {old}, i64 {written})")
    text.do(f"call void @tenfold.gpu.free(ptr %call, i64 {old})")
    text.require(moved, "failed")
    text.jump("write")
    text.block("write")
    start = text.value("load i64, ptr %tape")
    to = text.value(f"add i64 {start}, {text.value(f'mul i64 {number}, %bytes')}")
    text.do(f"%copied = call i32 @tenfold.gpu.copy(ptr %call, i64 {to}, i64 %from, i64 %bytes)")
    text.do("ret i32 %copied")
    text.block("failed")
    text.end()
    return text.text()


def _read_tape() -> str:
    text = HostText(
        "internal i32 @tenfold.gpu.read.tape(ptr %call, ptr %tape, i64 %place, i64 %to, i64 %bytes) noinline nounwind"
    )
    text.begin()
    number = _number(text, "%place")
    start = text.value("load i64, ptr %tape")
    source = text.value(f"add i64 {start}, {text.value(f'mul i64 {number}, %bytes')}")
    text.do(f"%copied = call i32 @tenfold.gpu.copy(ptr %call, i64 %to, i64 {source}, i64 %bytes)")
    text.do("ret i32 %copied")
    text.block("failed")
    text.end()
    return text.text()


def _free() -> str:
    """`tenfold.gpu.free(call, address)`: give memory back in the order of the stream; 0 is none."""
    text = HostText("internal void @tenfold.gpu.free(ptr %call, i64 %address) noinline nounwind")
    text.unless(text.value("icmp ne i64 %address, 0"), "done")
    stream = text.load("i64", "%call", CALL_STREAM)
    text.driver("cuMemFreeAsync", f"i64 %address, i64 {stream}")
    text.jump("done")
    text.block("done")
    text.do("ret void")
    return text.text()
