"""One entry of a library for GPUs as LLVM IR: the functions that take pointers to the host's memory and the GPU's.

`NAME.run(ctx, …)` takes the host's, copies in and out, and waits; the plain function, that with a context and Python's
call it.  The exported `NAME_device` takes the GPU's and a stream, and waits for nothing but what the steps look at.
Both carry out `NAME.steps` (see `steps_text`).
"""

from __future__ import annotations

from collections.abc import Sequence

from tenfold_rt.c_names import EntryNames
from tenfold_rt.cuda.alignment import ALIGNMENT
from tenfold_rt.cuda.plan import PlanEntry
from tenfold_rt.manifest import Entry
from tenfoldc.artifact.gpu.context_text import CALL_BYTES
from tenfoldc.artifact.gpu.driver_text import HostText
from tenfoldc.artifact.llvm_text import array_constant, joined, symbol

_PER_THREAD_STREAM = 2
"""The driver's handle (`CU_STREAM_PER_THREAD`): calls of different threads overlap."""

_REGION = 256
"""Buffers begin at multiples of so many bytes, as what the driver gives does."""


def functions(entry: Entry, plan: PlanEntry, names: EntryNames, sizes: Sequence[int]) -> str:
    """`NAME.run` and `NAME_device`; `sizes` are the bytes of the parameters, then of the results."""
    assert names.device is not None
    partner = {result: parameter for parameter, result in entry.donated}
    return _run(entry, plan, sizes, partner) + _device(entry, plan, names.device, sizes, partner)


def _run(entry: Entry, plan: PlanEntry, sizes: Sequence[int], partner: dict[int, int]) -> str:
    """One allocation holds everything; a donated parameter is copied to where its result is."""
    count = len(entry.parameters)
    arguments = [f"%a{index}" for index in range(len(sizes))]
    text = HostText(f"internal i32 {symbol(f'{entry.name}.run')}({joined(['%ctx', *arguments])}) noinline nounwind")
    text.begin()
    text.do(f"%call = alloca [{CALL_BYTES} x i8], align 8")
    text.do("%memory = alloca i64")
    _enter(text, str(_PER_THREAD_STREAM))
    offsets, total = _layout(sizes, plan.workspace_bytes)
    for result, parameter in partner.items():
        offsets[parameter] = offsets[count + result]
    allocated = f"i64 {max(total, _REGION)}, ptr %memory"
    text.require(text.value(f"call i32 @tenfold.gpu.allocate(ptr %call, {allocated})"), "leave")
    base = text.value("load i64, ptr %memory")
    addresses = [text.value(f"add i64 {base}, {offset}") for offset in offsets]
    for pointer, address, size in zip(arguments[:count], addresses, sizes, strict=False):
        if size:
            moved = f"i64 {address}, ptr {pointer}, i64 {size}, i64 {_PER_THREAD_STREAM}"
            text.drive("cuMemcpyHtoDAsync_v2", moved, "free")
    _steps(text, entry, addresses, "free")
    text.drive("cuStreamSynchronize", f"i64 {_PER_THREAD_STREAM}", "free")
    for pointer, address, size in zip(arguments[count:], addresses[count:-1], sizes[count:], strict=True):
        if size:
            moved = f"ptr {pointer}, i64 {address}, i64 {size}, i64 {_PER_THREAD_STREAM}"
            text.drive("cuMemcpyDtoHAsync_v2", moved, "free")
    text.jump("free")
    text.block("free")
    text.do(f"call void @tenfold.gpu.free(ptr %call, i64 {base})")
    last = text.driver("cuStreamSynchronize", f"i64 {_PER_THREAD_STREAM}")
    status = text.value(f"call i32 @tenfold.gpu.status(i32 {last})")
    before = text.value("load i32, ptr %status")
    good = text.value(f"icmp eq i32 {before}, 0")
    text.do(f"store i32 {text.value(f'select i1 {good}, i32 {status}, i32 {before}')}, ptr %status")
    return _leave(text)


def _layout(sizes: Sequence[int], workspace: int) -> tuple[list[int], int]:
    """Where each buffer is, and then the workspace; and how much that is together."""
    offsets: list[int] = []
    end = 0
    for size in (*sizes, workspace):
        offsets.append(end)
        end += -(-size // _REGION) * _REGION
    return offsets, end


def _device(entry: Entry, plan: PlanEntry, exported: str, sizes: Sequence[int], partner: dict[int, int]) -> str:
    count = len(entry.parameters)
    arguments = [f"%a{index}" for index in range(len(sizes))]
    text = HostText(f"i32 {symbol(exported)}({joined([*arguments, '%stream'])}) nounwind")
    text.begin()
    text.do(f"%call = alloca [{CALL_BYTES} x i8], align 8")
    text.do("%memory = alloca i64")
    text.do("store i64 0, ptr %memory")
    text.do(f"%table = alloca [{max(len(arguments), 1)} x ptr]")
    for index, argument in enumerate(arguments):
        text.do(f"store ptr {argument}, ptr {text.at('%table', 8 * index)}")
    tables = joined(symbol(f"{entry.name}.{kind}") for kind in ("sizes", "device.masks", "partners"))
    checked = f"ptr %table, {tables}, i64 {count}, i64 {len(arguments)}"
    text.require(text.value(f"call i32 @tenfold.check({checked})"), "done")
    _enter(text, text.value("ptrtoint ptr %stream to i64"))
    if plan.workspace_bytes:
        allocated = f"i64 {plan.workspace_bytes}, ptr %memory"
        text.require(text.value(f"call i32 @tenfold.gpu.allocate(ptr %call, {allocated})"), "leave")
    addresses = [text.value(f"ptrtoint ptr {argument} to i64") for argument in arguments]
    for result, parameter in partner.items():
        _copy_unless_same(text, addresses[count + result], addresses[parameter], sizes[parameter])
    _steps(text, entry, [*addresses, text.value("load i64, ptr %memory")], "free")
    text.jump("free")
    text.block("free")
    text.do(f"call void @tenfold.gpu.free(ptr %call, i64 {text.value('load i64, ptr %memory')})")
    return _leave(text)


def _copy_unless_same(text: HostText, result: str, parameter: str, size: int) -> None:
    if size:
        copy, same = text.name("copy"), text.name("same")
        text.do(f"br i1 {text.value(f'icmp eq i64 {result}, {parameter}')}, label %{same}, label %{copy}")
        text.block(copy)
        moved = f"ptr %call, i64 {result}, i64 {parameter}, i64 {size}"
        text.require(text.value(f"call i32 @tenfold.gpu.copy({moved})"), "free")
        text.jump(same)
        text.block(same)


def _enter(text: HostText, stream: str) -> None:
    text.require(text.value(f"call i32 @tenfold.gpu.enter(ptr %call, i64 {stream})"), "done")


def _steps(text: HostText, entry: Entry, addresses: Sequence[str], otherwise: str) -> None:
    """`addresses` are those of parameters, results and workspace."""
    *buffers, workspace = addresses
    given = joined([workspace, *buffers], "i64")
    text.require(text.value(f"call i32 {symbol(f'{entry.name}.steps')}(ptr %call, {given})"), otherwise)


def _leave(text: HostText) -> str:
    """The end of a function, after the block `free`."""
    text.jump("leave")
    text.block("leave")
    text.do("call void @tenfold.gpu.leave(ptr %call)")
    text.jump("done")
    text.block("done")
    text.end()
    return text.text()


def constants(entry: Entry, sizes: Sequence[int]) -> str:
    """The table of what device pointers must be aligned to."""
    return array_constant(f"{entry.name}.device.masks", "i64", [ALIGNMENT - 1] * len(sizes))
