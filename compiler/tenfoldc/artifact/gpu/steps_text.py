"""The steps of a plan's entry as LLVM IR: launches and copies are asked for one after another.

For an entry called NAME this defines

    define internal i32 @"NAME.steps"(ptr %call, i64 %workspace, i64 %a0, …)

with the addresses of the workspace, the parameters and the results, which gives a status.  Everything is asynchronous
but what the host must look at: the flags of loops and choices, and the places on tapes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tenfold_rt.cuda.plan import (
    Argument,
    Choose,
    Copy,
    HostAxis,
    Launch,
    Loop,
    Place,
    PlanEntry,
    ReadTape,
    Region,
    Repeat,
    Step,
    TensorMap,
    WriteTape,
)
from tenfold_rt.cuda.walking import all_steps
from tenfold_rt.errors import ArtifactError
from tenfoldc.artifact.gpu.context_text import CALL_KEPT, CALL_STREAM, KEPT_CONSTANTS, KEPT_KERNELS
from tenfoldc.artifact.gpu.driver_text import HostText
from tenfoldc.artifact.llvm_text import array_constant, joined, symbol

MAP_BYTES = 128
_TAPE_BYTES = 16
"""A tape is { address, how many elements there is room for }."""
_FEWEST_ELEMENTS = 16

_MAP_TYPES = {
    "u8": 0,
    "i8": 0,
    "bool": 0,
    "u16": 1,
    "i16": 1,
    "u32": 2,
    "i32": 3,
    "u64": 4,
    "i64": 5,
    "f16": 6,
    "f32": 7,
    "f64": 8,
    "bf16": 9,
}
"""The driver's numbers (`CUtensorMapDataType`)."""
_SWIZZLES = {0: 0, 32: 1, 64: 2, 128: 3}
_LINES_OF_128_BYTES = 2  # CU_TENSOR_MAP_L2_PROMOTION_L2_128B


def functions() -> str:
    """What the steps of all entries call."""
    return "".join([_launch(), _copy(), _read(), _write_tape(), _read_tape(), _free()])


class StepsText:
    """Writes the function of one entry; `kernels` gives a kernel's number by its name."""

    def __init__(self, entry: PlanEntry, kernels: Mapping[str, int]) -> None:
        self._entry, self._kernels = entry, kernels
        steps = tuple(all_steps(entry.steps))
        launches = [step for step in steps if isinstance(step, Launch)]
        self._maps = {each: number for number, each in enumerate(dict.fromkeys(_maps(launches)))}
        self._axes = {step.axis: f"%axis{number}" for number, step in enumerate(_repeats(steps))}
        self._most = max([1, *(len(launch.arguments) for launch in launches)])
        buffers = len(entry.parameters) + len(entry.results)
        parameters = ", ".join(["ptr %call", "i64 %workspace", *(f"i64 %a{number}" for number in range(buffers))])
        self._text = HostText(f"internal i32 {symbol(f'{entry.name}.steps')}({parameters}) nounwind")

    def function(self) -> str:
        """The function, and its constants."""
        text = self._text
        text.begin()
        text.do(f"%values = alloca [{self._most} x i64], align 16")
        text.do(f"%pointers = alloca [{self._most} x ptr], align 16")
        text.do("%flag = alloca i8")
        for place in self._axes.values():
            text.do(f"{place} = alloca i64")
        if self._maps:
            text.do(f"%maps = alloca [{MAP_BYTES * len(self._maps)} x i8], align 64")
        if self._entry.tapes:
            size = _TAPE_BYTES * self._entry.tapes
            text.do(f"%tapes = alloca [{size} x i8], align 16")
            text.do(f"call void @llvm.memset.p0.i64(ptr %tapes, i8 0, i64 {size}, i1 false)")
        kept = text.load("ptr", "%call", CALL_KEPT)
        text.do(f"%constants = load i64, ptr {text.at(kept, KEPT_CONSTANTS)}")
        for each in self._maps:
            self._encode(each)
        self._steps(self._entry.steps)
        text.jump("end")
        text.block("end")
        for number in range(self._entry.tapes):
            text.do(f"call void @tenfold.gpu.free(ptr %call, i64 {text.load('i64', '%tapes', _TAPE_BYTES * number)})")
        text.end()
        return self._map_constants() + text.text()

    def _steps(self, steps: Sequence[Step]) -> None:
        for step in steps:
            match step:
                case Launch():
                    self._launch(step)
                case Copy():
                    moved = f"i64 {self._address(step.target)}, i64 {self._address(step.source)}, i64 {step.bytes}"
                    self._require(f"@tenfold.gpu.copy(ptr %call, {moved})")
                case Repeat():
                    self._repeat(step)
                case Loop():
                    self._loop(step)
                case Choose():
                    self._choose(step)
                case WriteTape():
                    moved = f"i64 {self._address(step.place)}, i64 {self._address(step.source)}, i64 {step.bytes}"
                    self._require(f"@tenfold.gpu.write(ptr %call, ptr {self._tape(step.tape)}, {moved})")
                case ReadTape():
                    moved = f"i64 {self._address(step.place)}, i64 {self._address(step.target)}, i64 {step.bytes}"
                    self._require(f"@tenfold.gpu.read.tape(ptr %call, ptr {self._tape(step.tape)}, {moved})")

    def _require(self, call: str) -> None:
        self._text.require(self._text.value(f"call i32 {call}", "status"), "end")

    def _launch(self, launch: Launch) -> None:
        if not launch.grid:
            return
        text = self._text
        for number, argument in enumerate(launch.arguments):
            slot = text.at("%pointers", 8 * number)
            if isinstance(argument, TensorMap):
                text.do(f"store ptr {text.at('%maps', MAP_BYTES * self._maps[argument])}, ptr {slot}")
                continue
            value = text.at("%values", 8 * number)
            text.do(f"store i64 {self._value(argument)}, ptr {value}")
            text.do(f"store ptr {value}, ptr {slot}")
        kernel = KEPT_KERNELS + 8 * self._kernels[launch.kernel]
        numbers = f"i64 {kernel}, i32 {launch.grid}, i32 {launch.threads}, i32 {launch.shared_bytes}"
        self._require(f"@tenfold.gpu.launch(ptr %call, {numbers}, ptr %pointers)")

    def _value(self, argument: Place | HostAxis) -> str:
        if isinstance(argument, HostAxis):
            return self._text.value(f"load i64, ptr {self._axes[argument.name]}")
        return self._address(argument)

    def _address(self, place: Place) -> str:
        base = {
            Region.PARAMETER: f"%a{place.number}",
            Region.RESULT: f"%a{len(self._entry.parameters) + place.number}",
            Region.WORKSPACE: "%workspace",
            Region.CONSTANTS: "%constants",
        }[place.region]
        return self._text.value(f"add i64 {base}, {place.offset}") if place.offset else base

    def _tape(self, number: int) -> str:
        return self._text.at("%tapes", _TAPE_BYTES * number)

    def _repeat(self, step: Repeat) -> None:
        text, axis = self._text, self._axes[step.axis]
        test, body, done = map(text.name, ("test", "body", "done"))
        text.do(f"store i64 0, ptr {axis}")
        text.jump(test)
        text.block(test)
        index = text.value(f"load i64, ptr {axis}")
        text.do(f"br i1 {text.value(f'icmp ult i64 {index}, {step.count}')}, label %{body}, label %{done}")
        text.block(body)
        self._steps(step.steps)
        text.do(f"store i64 {text.value(f'add i64 {index}, 1')}, ptr {axis}")
        text.jump(test)
        text.block(done)

    def _loop(self, step: Loop) -> None:
        text = self._text
        test, body, done = map(text.name, ("test", "body", "done"))
        text.jump(test)
        text.block(test)
        text.do(f"br i1 {self._flag(step.flag)}, label %{body}, label %{done}")
        text.block(body)
        self._steps(step.body)
        text.jump(test)
        text.block(done)

    def _choose(self, step: Choose) -> None:
        text = self._text
        then, otherwise, done = map(text.name, ("then", "otherwise", "done"))
        text.do(f"br i1 {self._flag(step.flag)}, label %{then}, label %{otherwise}")
        for label, steps in ((then, step.then), (otherwise, step.otherwise)):
            text.block(label)
            self._steps(steps)
            text.jump(done)
        text.block(done)

    def _flag(self, place: Place) -> str:
        """Whether the byte at a place is set, once everything asked for so far is done."""
        self._require(f"@tenfold.gpu.read(ptr %call, i64 {self._address(place)}, ptr %flag, i64 1)")
        return self._text.value(f"icmp ne i8 {self._text.value('load i8, ptr %flag')}, 0")

    def _encode(self, each: TensorMap) -> None:
        """Have the driver make a descriptor."""
        number, text = self._maps[each], self._text
        if each.dtype not in _MAP_TYPES:
            raise ArtifactError(f"the copy engine does not copy {each.dtype}")
        tables = joined(symbol(f"{self._entry.name}.map{number}.{part}") for part in _PARTS)
        place = text.at("%maps", MAP_BYTES * number)
        tensor = f"i32 {_MAP_TYPES[each.dtype]}, i32 {len(each.shape)}, i64 {self._address(each.place)}"
        ways = f"i32 0, i32 {_SWIZZLES[each.swizzle]}, i32 {_LINES_OF_128_BYTES}, i32 0"
        text.drive("cuTensorMapEncodeTiled", f"ptr {place}, {tensor}, {tables}, {ways}", "end")

    def _map_constants(self) -> str:
        lines: list[str] = []
        for each, number in self._maps.items():
            values = (each.shape, each.strides, each.box, (1,) * len(each.box))
            for (part, type_), numbers in zip(_PARTS.items(), values, strict=True):
                lines.append(array_constant(f"{self._entry.name}.map{number}.{part}", type_, numbers))
        return "".join(lines)


_PARTS = {"shape": "i64", "strides": "i64", "box": "i32", "steps": "i32"}
"""The tables that describe a tensor to the driver, and their elements."""


def _maps(launches: Sequence[Launch]) -> Iterator[TensorMap]:
    arguments: list[Argument] = [argument for launch in launches for argument in launch.arguments]
    return (argument for argument in arguments if isinstance(argument, TensorMap))


def _repeats(steps: Sequence[Step]) -> Iterator[Repeat]:
    return (step for step in steps if isinstance(step, Repeat))


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
