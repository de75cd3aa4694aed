"""The steps of a plan's entry as LLVM IR: launches and copies are asked for one after another.

For an entry called NAME this defines

    define internal i32 @"NAME.steps"(ptr %call, i64 %workspace, i64 %a0, …)

with the addresses of the workspace, the parameters and the results, which gives a status.  Everything is asynchronous
but what the host must look at: the flags of loops and choices, and the places on tapes.

Launches and copies are data, so that a program of thousands of them is compiled as fast as one of a few.  A *step* is
`{ kernel or 0 for a copy, bytes, blocks, threads, shared memory, how many arguments, number of the first }`, an
*argument* `{ base, offset }`: what stands at that number of the entry's *bases*, plus the offset.  Bases are the
workspace, the constants, the buffers and the indices of the host's loops; those below 0 are tensor maps.
`carrying_out_text` has the functions that carry them out.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

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
from tenfoldc.artifact.gpu.carrying_out_text import ARGUMENT, MAP_BYTES, STEP, TAPE_BYTES
from tenfoldc.artifact.gpu.context_text import CALL_KEPT, KEPT_CONSTANTS, KEPT_KERNELS
from tenfoldc.artifact.gpu.driver_text import HostText
from tenfoldc.artifact.llvm_text import array_constant, joined, symbol

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


_WORKSPACE, _CONSTANTS, _BUFFERS = 0, 1, 2


class StepsText:
    """Writes the function of one entry; `kernels` gives a kernel's number by its name."""

    def __init__(self, entry: PlanEntry, kernels: Mapping[str, int]) -> None:
        self._entry, self._kernels = entry, kernels
        steps = tuple(all_steps(entry.steps))
        launches = [step for step in steps if isinstance(step, Launch)]
        self._maps = {each: number for number, each in enumerate(dict.fromkeys(_maps(launches)))}
        self._buffers = len(entry.parameters) + len(entry.results)
        repeats = [step for step in steps if isinstance(step, Repeat)]
        self._axes = {step.axis: _BUFFERS + self._buffers + number for number, step in enumerate(repeats)}
        self._records: list[str] = []
        self._arguments: list[str] = []
        parameters = ", ".join(["ptr %call", "i64 %workspace", *(f"i64 %a{number}" for number in range(self._buffers))])
        self._text = HostText(f"internal i32 {self._symbol('steps')}({parameters}) nounwind")

    def function(self) -> str:
        """The function, and its constants."""
        text = self._text
        text.begin()
        text.do(f"%bases = alloca [{_BUFFERS + self._buffers + len(self._axes)} x i64], align 16")
        text.do("%flag = alloca i8")
        text.do(f"%maps = alloca [{MAP_BYTES * len(self._maps)} x i8], align {MAP_BYTES}")
        if self._entry.tapes:
            size = TAPE_BYTES * self._entry.tapes
            text.do(f"%tapes = alloca [{size} x i8], align 16")
            text.do(f"call void @llvm.memset.p0.i64(ptr %tapes, i8 0, i64 {size}, i1 false)")
        kept = text.load("ptr", "%call", CALL_KEPT)
        text.do(f"%constants = load i64, ptr {text.at(kept, KEPT_CONSTANTS)}")
        buffers = [f"%a{number}" for number in range(self._buffers)]
        for number, value in enumerate(["%workspace", "%constants", *buffers]):
            text.do(f"store i64 {value}, ptr {self._base(number)}")
        for each in self._maps:
            self._encode(each)
        self._steps(self._entry.steps)
        text.jump("end")
        text.block("end")
        for number in range(self._entry.tapes):
            text.do(f"call void @tenfold.gpu.free(ptr %call, i64 {text.load('i64', '%tapes', TAPE_BYTES * number)})")
        text.end()
        return self._map_constants() + self._tables() + text.text()

    def _symbol(self, part: str) -> str:
        return symbol(f"{self._entry.name}.{part}")

    def _tables(self) -> str:
        lines = [
            f"{self._symbol(name)} = private constant [{len(rows)} x {type_}] [{', '.join(rows)}], align 8\n"
            for name, type_, rows in (("records", STEP, self._records), ("arguments", ARGUMENT, self._arguments))
        ]
        return "".join(lines)

    def _base(self, number: int) -> str:
        return self._text.at("%bases", 8 * number)

    def _steps(self, steps: Sequence[Step]) -> None:
        """Steps that are data are carried out as many at a time as stand together."""
        for is_data, group in itertools.groupby(steps, lambda step: isinstance(step, (Launch, Copy))):
            if is_data:
                self._run(group)
                continue
            for step in group:
                self._control(step)

    def _run(self, steps: Iterable[Step]) -> None:
        first = len(self._records)
        for step in steps:
            match step:
                case Launch(grid=grid) if grid:
                    kernel = KEPT_KERNELS + 8 * self._kernels[step.kernel]
                    self._record(kernel, 0, (grid, step.threads, step.shared_bytes), step.arguments)
                case Copy():
                    self._record(0, step.bytes, (0, 0, 0), (step.target, step.source))
                case _:
                    pass
        count = len(self._records) - first
        if count:
            records = f"getelementptr ({STEP}, ptr {self._symbol('records')}, i64 {first})"
            tables = f"ptr %bases, ptr %maps, ptr {records}, ptr {self._symbol('arguments')}"
            self._require(f"@tenfold.gpu.run(ptr %call, {tables}, i64 {count})")

    def _record(self, kernel: int, size: int, shape: tuple[int, int, int], arguments: Sequence[Argument]) -> None:
        numbers = ", ".join(f"i32 {number}" for number in (*shape, len(arguments)))
        self._records.append(f"{STEP} {{ i64 {kernel}, i64 {size}, {numbers}, i64 {len(self._arguments)} }}")
        for argument in arguments:
            base, offset = self._argument(argument)
            self._arguments.append(f"{ARGUMENT} {{ i64 {base}, i64 {offset} }}")

    def _argument(self, argument: Argument) -> tuple[int, int]:
        match argument:
            case HostAxis():
                return self._axes[argument.name], 0
            case TensorMap():
                return -1 - self._maps[argument], 0
            case Place():
                return self._number(argument), argument.offset

    def _number(self, place: Place) -> int:
        """The number of the base of a place."""
        return {
            Region.WORKSPACE: _WORKSPACE,
            Region.CONSTANTS: _CONSTANTS,
            Region.PARAMETER: _BUFFERS + place.number,
            Region.RESULT: _BUFFERS + len(self._entry.parameters) + place.number,
        }[place.region]

    def _address(self, place: Place) -> str:
        number = self._number(place)
        base = {_WORKSPACE: "%workspace", _CONSTANTS: "%constants"}.get(number, f"%a{number - _BUFFERS}")
        return self._text.value(f"add i64 {base}, {place.offset}") if place.offset else base

    def _control(self, step: Step) -> None:
        match step:
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
            case _:
                pass

    def _require(self, call: str) -> None:
        self._text.require(self._text.value(f"call i32 {call}", "status"), "end")

    def _tape(self, number: int) -> str:
        return self._text.at("%tapes", TAPE_BYTES * number)

    def _repeat(self, step: Repeat) -> None:
        text, axis = self._text, self._base(self._axes[step.axis])
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
