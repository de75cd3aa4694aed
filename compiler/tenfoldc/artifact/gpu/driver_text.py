"""NVIDIA's driver as LLVM IR sees it: found by `dlopen` when it is first needed, its functions in a table.

`tenfold.gpu.open` gives a status; a thread that comes while another looks waits for it.  What was not found is looked
for again by the next call.  `tenfold.gpu.status` makes a status of what a function of the driver gives, and
`tenfold.message` says what a status means: the driver's own words for its failures.
"""

from __future__ import annotations

from collections.abc import Mapping

from tenfold_rt.cuda.driver import OLDEST_DRIVER
from tenfold_rt.status import DRIVER_FAILURE, GpuStatus, Status
from tenfoldc.artifact.llvm_text import FunctionText, array_constant, string_constant, symbol

FUNCTIONS = (
    "cuInit",
    "cuDriverGetVersion",
    "cuGetErrorString",
    "cuDeviceGet",
    "cuDevicePrimaryCtxRetain",
    "cuCtxGetCurrent",
    "cuCtxGetDevice",
    "cuCtxGetId",
    "cuCtxPushCurrent_v2",
    "cuCtxPopCurrent_v2",
    "cuModuleLoadData",
    "cuModuleUnload",
    "cuModuleGetFunction",
    "cuFuncSetAttribute",
    "cuLaunchKernel",
    "cuMemPoolCreate",
    "cuMemPoolDestroy",
    "cuMemPoolSetAttribute",
    "cuMemPoolTrimTo",
    "cuMemAlloc_v2",
    "cuMemAllocFromPoolAsync",
    "cuMemFree_v2",
    "cuMemFreeAsync",
    "cuMemcpyHtoD_v2",
    "cuMemcpyHtoDAsync_v2",
    "cuMemcpyDtoHAsync_v2",
    "cuMemcpyDtoDAsync_v2",
    "cuStreamSynchronize",
    "cuTensorMapEncodeTiled",
)
"""What a library calls: by the names that drivers export, which say how many times a function has changed."""

_NUMBERS = {name: number for number, name in enumerate(FUNCTIONS)}

_MEANINGS = {
    2: GpuStatus.EGPUMEM,
    100: GpuStatus.ENOGPU,
    101: GpuStatus.ENOGPU,
    200: GpuStatus.EGPUCODE,
    209: GpuStatus.EGPUCODE,
    218: GpuStatus.EGPUCODE,
    222: GpuStatus.EGPUCODE,
}
"""Results of the driver that a status stands for; the others have the driver's words."""

_RTLD_NOW = 2
_OLDEST = 1000 * OLDEST_DRIVER[0] + 10 * OLDEST_DRIVER[1]


class HostText(FunctionText):
    """A function that calls the driver.  `%status` is the last status, where the function has one."""

    def driver(self, name: str, arguments: str) -> str:
        """Call the driver; the result as it gives it."""
        place = f"getelementptr ([{len(FUNCTIONS)} x ptr], ptr @tenfold.gpu.functions, i64 0, i64 {_NUMBERS[name]})"
        return self.value(f"call i32 {self.value(f'load ptr, ptr {place}', 'function')}({arguments})", "result")

    def drive(self, name: str, arguments: str, otherwise: str) -> None:
        """Call the driver, and go on where it succeeds, else to block `otherwise`."""
        result = self.driver(name, arguments)
        self.require(self.value(f"call i32 @tenfold.gpu.status(i32 {result})", "status"), otherwise)

    def require(self, status: str, otherwise: str) -> None:
        """Keep `status`, and go on where it is that of success, else to block `otherwise`."""
        self.do(f"store i32 {status}, ptr %status")
        self.unless(self.value(f"icmp eq i32 {status}, 0"), otherwise)

    def begin(self) -> None:
        """Make `%status`."""
        self.do("%status = alloca i32")
        self.do("store i32 0, ptr %status")

    def end(self) -> None:
        """Return `%status`."""
        self.do(f"ret i32 {self.value('load i32, ptr %status')}")


def functions(exported_status: str, messages: Mapping[int, str]) -> str:
    """All of it; `messages` are those of statuses, from 0 downwards without a gap."""
    return "".join([_DECLARED, _tables(), _find(), _OPEN, _status(), _messages(exported_status, messages)])


def status_messages(messages: Mapping[Status | GpuStatus, str]) -> dict[int, str]:
    """What each status means, save where `messages` says it better."""
    return {int(each): messages.get(each, each.message) for each in (*Status, *GpuStatus)}


_DECLARED = """\
declare ptr @dlopen(ptr, i32) nounwind nonlazybind
declare ptr @dlsym(ptr, ptr) nounwind nonlazybind
declare i32 @pthread_mutex_lock(ptr) nounwind nonlazybind
declare i32 @pthread_mutex_unlock(ptr) nounwind nonlazybind
@tenfold.gpu.lock = internal global [64 x i8] zeroinitializer, align 16
@tenfold.gpu.ready = internal global i32 0, align 4
"""

_OPEN = """\
define internal i32 @tenfold.gpu.open() nounwind {
  %ready = load atomic i32, ptr @tenfold.gpu.ready acquire, align 4
  %found = icmp ne i32 %ready, 0
  br i1 %found, label %known, label %look
known:
  ret i32 0
look:
  %locked = call i32 @pthread_mutex_lock(ptr @tenfold.gpu.lock)
  %status = call i32 @tenfold.gpu.find()
  %good = icmp eq i32 %status, 0
  br i1 %good, label %publish, label %leave
publish:
  store atomic i32 1, ptr @tenfold.gpu.ready release, align 4
  br label %leave
leave:
  %unlocked = call i32 @pthread_mutex_unlock(ptr @tenfold.gpu.lock)
  ret i32 %status
}
"""


def _tables() -> str:
    names = [string_constant(f"tenfold.gpu.name.{name}", name) for name in FUNCTIONS]
    table = array_constant("tenfold.gpu.names", "ptr", [symbol(f"tenfold.gpu.name.{name}") for name in FUNCTIONS])
    return (
        "".join(names)
        + table
        + string_constant("tenfold.gpu.library", "libcuda.so.1")
        + f"@tenfold.gpu.functions = internal global [{len(FUNCTIONS)} x ptr] zeroinitializer, align 8\n"
    )


def _find() -> str:
    """`tenfold.gpu.find()`: fill the table, start the driver and ask how new it is."""
    text = HostText("internal i32 @tenfold.gpu.find() nounwind")
    text.begin()
    text.do("%number = alloca i64")
    text.do("store i64 0, ptr %number")
    text.do("%version = alloca i32")
    library = text.value(f"call ptr @dlopen(ptr @tenfold.gpu.library, i32 {_RTLD_NOW})")
    text.unless(text.value(f"icmp ne ptr {library}, null"), "absent")
    text.jump("next")
    text.block("next")
    number = text.value("load i64, ptr %number")
    name = text.value(f"load ptr, ptr {text.value(f'getelementptr ptr, ptr @tenfold.gpu.names, i64 {number}')}")
    function = text.value(f"call ptr @dlsym(ptr {library}, ptr {name})")
    text.do(f"store ptr {function}, ptr {text.value(f'getelementptr ptr, ptr @tenfold.gpu.functions, i64 {number}')}")
    text.unless(text.value(f"icmp ne ptr {function}, null"), "old")
    following = text.value(f"add i64 {number}, 1")
    text.do(f"store i64 {following}, ptr %number")
    text.do(f"br i1 {text.value(f'icmp ult i64 {following}, {len(FUNCTIONS)}')}, label %next, label %complete")
    text.block("complete")
    text.drive("cuInit", "i32 0", "failed")
    text.drive("cuDriverGetVersion", "ptr %version", "failed")
    version = text.value("load i32, ptr %version")
    text.unless(text.value(f"icmp sge i32 {version}, {_OLDEST}"), "old")
    text.do("ret i32 0")
    text.block("absent")
    text.do(f"ret i32 {GpuStatus.ENODRIVER:d}")
    text.block("old")
    text.do(f"ret i32 {GpuStatus.EOLDDRIVER:d}")
    text.block("failed")
    text.end()
    return text.text()


def _status() -> str:
    cases = "".join(f"    i32 {result}, label %r{result}\n" for result in _MEANINGS)
    returns = "".join(f"r{result}:\n  ret i32 {status:d}\n" for result, status in _MEANINGS.items())
    return f"""\
define internal i32 @tenfold.gpu.status(i32 %result) nounwind {{
  switch i32 %result, label %other [
    i32 0, label %good
{cases}  ]
good:
  ret i32 0
{returns}other:
  %status = sub i32 {DRIVER_FAILURE}, %result
  ret i32 %status
}}
"""


def _messages(exported: str, messages: Mapping[int, str]) -> str:
    texts = [string_constant(f"tenfold.message.{-status}", text) for status, text in messages.items()]
    ordered = [symbol(f"tenfold.message.{number}") for number in range(len(messages))]
    table = array_constant("tenfold.messages", "ptr", ordered)
    unknown = string_constant("tenfold.message.unknown", "unknown status")
    driver = string_constant("tenfold.message.driver", "NVIDIA's driver failed")
    text = HostText("internal ptr @tenfold.message(i32 %status) nounwind")
    text.do("%said = alloca ptr")
    text.do("%index = sub i32 0, %status")
    text.do(f"br i1 {text.value(f'icmp ult i32 %index, {len(messages)}')}, label %known, label %other")
    text.block("known")
    slot = text.value(f"getelementptr ptr, ptr @tenfold.messages, i64 {text.value('zext i32 %index to i64')}")
    text.do(f"ret ptr {text.value(f'load ptr, ptr {slot}')}")
    text.block("other")
    text.unless(text.value(f"icmp slt i32 %status, {DRIVER_FAILURE}"), "unknown")
    ready = text.value("load atomic i32, ptr @tenfold.gpu.ready acquire, align 4")
    text.unless(text.value(f"icmp ne i32 {ready}, 0"), "silent")
    code = text.value(f"sub i32 {DRIVER_FAILURE}, %status")
    result = text.driver("cuGetErrorString", f"i32 {code}, ptr %said")
    text.unless(text.value(f"icmp eq i32 {result}, 0"), "silent")
    text.do(f"ret ptr {text.value('load ptr, ptr %said')}")
    text.block("silent")
    text.do("ret ptr @tenfold.message.driver")
    text.block("unknown")
    text.do("ret ptr @tenfold.message.unknown")
    return (
        "".join(texts)
        + table
        + unknown
        + driver
        + text.text()
        + f"define ptr {exported}(i32 %status) nounwind {{\n"
        + "  %message = call ptr @tenfold.message(i32 %status)\n  ret ptr %message\n}\n"
    )
