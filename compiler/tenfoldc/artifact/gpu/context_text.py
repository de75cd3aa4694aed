"""What a library keeps for each context of the driver, as LLVM IR: its kernels, its constants and a pool of memory.

`tenfold.gpu.enter(call)` makes the thread ready: the context is the thread's current one, or that of the first GPU,
which is then current until `tenfold.gpu.leave(call)`.  What the library keeps for it is made by the first call, under a
lock, and found without one from then on.  A *call* is `{ what is kept, stream, whether a context was pushed }`.
"""

from __future__ import annotations

from collections.abc import Sequence

from tenfold_rt.frozen import frozen
from tenfold_rt.status import Status
from tenfoldc.artifact.gpu.driver_text import HostText
from tenfoldc.artifact.llvm_text import array_constant, string_constant, symbol

# Offsets in a call.
CALL_BYTES, CALL_KEPT, CALL_STREAM, _CALL_PUSHED = 24, 0, 8, 16

# Offsets in what is kept for a context; the kernels are at its end.
_NEXT, _ID, _MODULE, KEPT_CONSTANTS, _POOL, KEPT_KERNELS = 0, 8, 16, 24, 32, 40

_MAX_DYNAMIC_SHARED = 8  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
_RELEASE_THRESHOLD = 4  # CU_MEMPOOL_ATTR_RELEASE_THRESHOLD
_STATIC_SHARED = 48 << 10
_POOL_PROPERTIES = 88  # CUmemPoolProps: allocation type, handle types, location's type and number, and more
_PINNED, _DEVICE_LOCATION = 1, 1
_OUT_OF_MEMORY = 2

CUBIN, PTX, CONSTANTS = "tenfold.gpu.cubin", "tenfold.gpu.ptx", "tenfold.gpu.constants"
"""The symbols of the library's data."""


@frozen
class Kept:
    """What is loaded into a context: kernels with their dynamic shared memory, and the sizes of the data."""

    kernels: Sequence[tuple[str, int]]
    cubin_bytes: int
    ptx_bytes: int
    constants_bytes: int


def functions(kept: Kept) -> str:
    """All of it."""
    return "".join([_STATE, _data(kept), _first(), _enter(), _leave(), _search(), _make(kept), _fill(kept), _pool()])


_STATE = """\
declare noalias ptr @malloc(i64) nounwind nonlazybind
@tenfold.gpu.kept = internal global ptr null, align 8
@tenfold.gpu.context = internal global ptr null, align 8
"""


def _data(kept: Kept) -> str:
    sizes = ((CUBIN, kept.cubin_bytes), (PTX, kept.ptx_bytes), (CONSTANTS, kept.constants_bytes))
    names = [string_constant(f"tenfold.gpu.kernel.{number}", name) for number, (name, _) in enumerate(kept.kernels)]
    pointers = [symbol(f"tenfold.gpu.kernel.{number}") for number in range(len(kept.kernels))]
    return "".join(
        [
            *(f"{symbol(name)} = external hidden constant [{size} x i8]\n" for name, size in sizes if size),
            *names,
            array_constant("tenfold.gpu.kernels", "ptr", pointers),
            array_constant("tenfold.gpu.shared", "i32", [shared for _, shared in kept.kernels]),
        ]
    )


def _first() -> str:
    """`tenfold.gpu.first(place)`: the context of the first GPU, which is kept."""
    text = HostText("internal i32 @tenfold.gpu.first(ptr %place) nounwind")
    text.begin()
    text.do("%device = alloca i32")
    text.do("%context = alloca ptr")
    known = text.value("load atomic ptr, ptr @tenfold.gpu.context acquire, align 8")
    text.do(f"store ptr {known}, ptr %place")
    text.unless(text.value(f"icmp eq ptr {known}, null"), "failed")
    text.drive("cuDeviceGet", "ptr %device, i32 0", "failed")
    # Two threads may both come here; the driver counts how often it is asked for a context, and gives the same one.
    device = text.value("load i32, ptr %device")
    text.drive("cuDevicePrimaryCtxRetain", f"ptr %context, i32 {device}", "failed")
    context = text.value("load ptr, ptr %context")
    text.do(f"store ptr {context}, ptr %place")
    text.do(f"store atomic ptr {context}, ptr @tenfold.gpu.context release, align 8")
    text.jump("failed")
    text.block("failed")
    text.end()
    return text.text()


def _enter() -> str:
    text = HostText("internal i32 @tenfold.gpu.enter(ptr %call, i64 %stream) nounwind")
    text.begin()
    for name, type_ in (("context", "ptr"), ("id", "i64")):
        text.do(f"%{name} = alloca {type_}")
    text.do("call void @llvm.memset.p0.i64(ptr %call, i8 0, i64 24, i1 false)")
    text.do(f"store i64 %stream, ptr {text.at('%call', CALL_STREAM)}")
    text.require(text.value("call i32 @tenfold.gpu.open()"), "failed")
    text.drive("cuCtxGetCurrent", "ptr %context", "failed")
    current = text.value("load ptr, ptr %context")
    text.do(f"br i1 {text.value(f'icmp eq ptr {current}, null')}, label %push, label %look")
    text.block("push")
    text.require(text.value("call i32 @tenfold.gpu.first(ptr %context)"), "failed")
    first = text.value("load ptr, ptr %context")
    text.drive("cuCtxPushCurrent_v2", f"ptr {first}", "failed")
    text.do(f"store i32 1, ptr {text.at('%call', _CALL_PUSHED)}")
    text.jump("look")
    text.block("look")
    context = text.value("load ptr, ptr %context")
    text.drive("cuCtxGetId", f"ptr {context}, ptr %id", "left")
    id_ = text.value("load i64, ptr %id")
    text.require(text.value(f"call i32 @tenfold.gpu.search(i64 {id_}, ptr %call)"), "left")
    text.do("ret i32 0")
    text.block("left")
    text.do("call void @tenfold.gpu.leave(ptr %call)")
    text.jump("failed")
    text.block("failed")
    text.end()
    return text.text()


def _leave() -> str:
    """`tenfold.gpu.leave(call)`: the thread has the context that it had before, if any."""
    text = HostText("internal void @tenfold.gpu.leave(ptr %call) nounwind")
    text.do("%context = alloca ptr")
    text.unless(text.value(f"icmp ne i32 {text.load('i32', '%call', _CALL_PUSHED)}, 0"), "done")
    text.driver("cuCtxPopCurrent_v2", "ptr %context")
    text.jump("done")
    text.block("done")
    text.do("ret void")
    return text.text()


def _search() -> str:
    """`tenfold.gpu.search(id, place)`: what is kept for a context, which is made where there is nothing yet."""
    found = f"""\
define internal ptr @tenfold.gpu.find.kept(i64 %id) nounwind {{
entry:
  %first = load atomic ptr, ptr @tenfold.gpu.kept acquire, align 8
  br label %look
look:
  %kept = phi ptr [ %first, %entry ], [ %next, %other ]
  %none = icmp eq ptr %kept, null
  br i1 %none, label %done, label %compare
compare:
  %at = getelementptr i8, ptr %kept, i64 {_ID}
  %its = load i64, ptr %at
  %same = icmp eq i64 %its, %id
  br i1 %same, label %done, label %other
other:
  %next.at = getelementptr i8, ptr %kept, i64 {_NEXT}
  %next = load ptr, ptr %next.at
  br label %look
done:
  ret ptr %kept
}}
"""
    text = HostText("internal i32 @tenfold.gpu.search(i64 %id, ptr %place) nounwind")
    known = text.value("call ptr @tenfold.gpu.find.kept(i64 %id)")
    text.do(f"store ptr {known}, ptr %place")
    text.do(f"br i1 {text.value(f'icmp ne ptr {known}, null')}, label %good, label %lock")
    text.block("lock")
    text.value("call i32 @pthread_mutex_lock(ptr @tenfold.gpu.lock)")
    again = text.value("call ptr @tenfold.gpu.find.kept(i64 %id)")
    text.do(f"store ptr {again}, ptr %place")
    text.do(f"br i1 {text.value(f'icmp ne ptr {again}, null')}, label %unlock, label %make")
    text.block("make")
    status = text.value("call i32 @tenfold.gpu.make(i64 %id, ptr %place)", "made")
    text.value("call i32 @pthread_mutex_unlock(ptr @tenfold.gpu.lock)")
    text.do(f"ret i32 {status}")
    text.block("unlock")
    text.value("call i32 @pthread_mutex_unlock(ptr @tenfold.gpu.lock)")
    text.jump("good")
    text.block("good")
    text.do("ret i32 0")
    return found + text.text()


def _make(kept: Kept) -> str:
    """`tenfold.gpu.make(id, place)`: fill what is kept for the current context, and put it before the others."""
    text = HostText("internal i32 @tenfold.gpu.make(i64 %id, ptr %place) nounwind")
    size = KEPT_KERNELS + 8 * len(kept.kernels)
    made = text.value(f"call ptr @malloc(i64 {size})")
    text.unless(text.value(f"icmp ne ptr {made}, null"), "full")
    text.do(f"call void @llvm.memset.p0.i64(ptr {made}, i8 0, i64 {size}, i1 false)")
    text.do(f"store i64 %id, ptr {text.at(made, _ID)}")
    status = text.value(f"call i32 @tenfold.gpu.fill(ptr {made})")
    text.unless(text.value(f"icmp eq i32 {status}, 0"), "failed")
    first = text.value("load ptr, ptr @tenfold.gpu.kept")
    text.do(f"store ptr {first}, ptr {text.at(made, _NEXT)}")
    text.do(f"store atomic ptr {made}, ptr @tenfold.gpu.kept release, align 8")
    text.do(f"store ptr {made}, ptr %place")
    text.do("ret i32 0")
    text.block("failed")
    for offset, type_, function in ((_POOL, "ptr", "cuMemPoolDestroy"), (_MODULE, "ptr", "cuModuleUnload")):
        _undo(text, made, offset, type_, function)
    _undo(text, made, KEPT_CONSTANTS, "i64", "cuMemFree_v2")
    text.do(f"call void @free(ptr {made})")
    text.do(f"ret i32 {status}")
    text.block("full")
    text.do(f"ret i32 {Status.ENOMEM:d}")
    return text.text()


def _undo(text: HostText, made: str, offset: int, type_: str, function: str) -> None:
    """Give back what was made before something failed."""
    value, done = text.load(type_, made, offset), text.name("undone")
    none = "null" if type_ == "ptr" else "0"
    text.unless(text.value(f"icmp ne {type_} {value}, {none}"), done)
    text.driver(function, f"{type_} {value}")
    text.jump(done)
    text.block(done)


def _fill(kept: Kept) -> str:
    """`tenfold.gpu.fill(kept)`: load the kernels, make a pool, and copy the constants."""
    text = HostText("internal i32 @tenfold.gpu.fill(ptr %kept) nounwind")
    text.begin()
    text.do("%number = alloca i64")
    module = text.at("%kept", _MODULE)
    if kept.cubin_bytes:
        # A driver that does not take the machine code, being older or for another GPU, may take the PTX.
        result = text.driver("cuModuleLoadData", f"ptr {module}, ptr {symbol(CUBIN)}")
        text.do(f"br i1 {text.value(f'icmp eq i32 {result}, 0')}, label %loaded, label %translate")
        text.block("translate")
    text.drive("cuModuleLoadData", f"ptr {module}, ptr {symbol(PTX)}", "failed")
    text.jump("loaded")
    text.block("loaded")
    if kept.kernels:
        _find_kernels(text, len(kept.kernels))
    text.require(text.value("call i32 @tenfold.gpu.pool(ptr %kept)"), "failed")
    if kept.constants_bytes:
        place = text.at("%kept", KEPT_CONSTANTS)
        text.drive("cuMemAlloc_v2", f"ptr {place}, i64 {kept.constants_bytes}", "failed")
        address = text.value(f"load i64, ptr {place}")
        text.drive("cuMemcpyHtoD_v2", f"i64 {address}, ptr {symbol(CONSTANTS)}, i64 {kept.constants_bytes}", "failed")
    text.jump("failed")
    text.block("failed")
    text.end()
    return text.text()


def _find_kernels(text: HostText, count: int) -> None:
    """Ask for each kernel, and let those that need it have more shared memory than kernels may have unasked."""
    module = text.load("ptr", "%kept", _MODULE)
    text.do("store i64 0, ptr %number")
    text.jump("next")
    text.block("next")
    number = text.value("load i64, ptr %number")
    name = text.value(f"load ptr, ptr {text.value(f'getelementptr ptr, ptr @tenfold.gpu.kernels, i64 {number}')}")
    slot = text.value(f"getelementptr ptr, ptr {text.at('%kept', KEPT_KERNELS)}, i64 {number}")
    text.drive("cuModuleGetFunction", f"ptr {slot}, ptr {module}, ptr {name}", "failed")
    shared = text.value(f"load i32, ptr {text.value(f'getelementptr i32, ptr @tenfold.gpu.shared, i64 {number}')}")
    text.do(f"br i1 {text.value(f'icmp ugt i32 {shared}, {_STATIC_SHARED}')}, label %share, label %asked")
    text.block("share")
    kernel = text.value(f"load ptr, ptr {slot}")
    text.drive("cuFuncSetAttribute", f"ptr {kernel}, i32 {_MAX_DYNAMIC_SHARED}, i32 {shared}", "failed")
    text.jump("asked")
    text.block("asked")
    following = text.value(f"add i64 {number}, 1")
    text.do(f"store i64 {following}, ptr %number")
    text.do(f"br i1 {text.value(f'icmp ult i64 {following}, {count}')}, label %next, label %found")
    text.block("found")


def _pool() -> str:
    """`tenfold.gpu.pool(kept)`: a pool of the current GPU's memory, which keeps what it was given.

    It is the library's own, so that the program's allocations are as if the library were not there.
    """
    text = HostText("internal i32 @tenfold.gpu.pool(ptr %kept) nounwind")
    text.begin()
    text.do(f"%properties = alloca [{_POOL_PROPERTIES} x i8], align 8")
    text.do("%device = alloca i32")
    text.do("%threshold = alloca i64")
    text.do("store i64 -1, ptr %threshold")
    text.do(f"call void @llvm.memset.p0.i64(ptr %properties, i8 0, i64 {_POOL_PROPERTIES}, i1 false)")
    text.drive("cuCtxGetDevice", "ptr %device", "failed")
    for offset, value in ((0, str(_PINNED)), (8, str(_DEVICE_LOCATION)), (12, text.value("load i32, ptr %device"))):
        text.do(f"store i32 {value}, ptr {text.at('%properties', offset)}")
    place = text.at("%kept", _POOL)
    text.drive("cuMemPoolCreate", f"ptr {place}, ptr %properties", "failed")
    pool = text.value(f"load ptr, ptr {place}")
    text.drive("cuMemPoolSetAttribute", f"ptr {pool}, i32 {_RELEASE_THRESHOLD}, ptr %threshold", "failed")
    text.jump("failed")
    text.block("failed")
    text.end()
    return text.text() + _allocate()


def _allocate() -> str:
    """`tenfold.gpu.allocate(call, bytes, place)`: memory in the order of the stream.

    What the pool has kept is let go of before memory is said to be short.
    """
    text = HostText("internal i32 @tenfold.gpu.allocate(ptr %call, i64 %bytes, ptr %place) nounwind")
    kept, stream = text.load("ptr", "%call", CALL_KEPT), text.load("i64", "%call", CALL_STREAM)
    pool = text.load("ptr", kept, _POOL)
    asked = f"ptr %place, i64 %bytes, ptr {pool}, i64 {stream}"
    result = text.driver("cuMemAllocFromPoolAsync", asked)
    text.do(f"br i1 {text.value(f'icmp eq i32 {result}, {_OUT_OF_MEMORY}')}, label %short, label %done")
    text.block("short")
    text.driver("cuStreamSynchronize", f"i64 {stream}")
    text.driver("cuMemPoolTrimTo", f"ptr {pool}, i64 0")
    again = text.driver("cuMemAllocFromPoolAsync", asked)
    text.jump("done")
    text.block("done")
    last = text.value(f"phi i32 [ {result}, %entry ], [ {again}, %short ]")
    text.do(f"ret i32 {text.value(f'call i32 @tenfold.gpu.status(i32 {last})')}")
    return text.text()
