"""The hand-written part of the interface: IR that is the same in every library, or differs in a number or a
name.
"""

from __future__ import annotations

from tenfold_rt.status import Status
from tenfoldc.artifact.pool_text import MOST_THREADS

# Offsets in tenfold_ctx, the same for every 64-bit C compiler; see `header`.
CONTEXT_BYTES = 64
_WORKSPACE, _WORKSPACE_BYTES, _ALLOC, _DEALLOC, _USER = 8, 16, 24, 32, 56

# Where a workspace came from, and so what to do with it afterwards.
_FROM_CALLER, _FROM_ALLOCATOR, _FROM_LIBRARY = 0, 1, 2

# sizes, masks: one per buffer; partners: one per result, the parameter donated to it or -1.
CHECK_BUFFERS = f"""\
define internal i32 @tenfold.check(ptr %table, ptr %sizes, ptr %masks, ptr %partners, i64 %parameters,
    i64 %count) noinline nounwind {{
entry:
  %none = icmp eq i64 %count, 0
  br i1 %none, label %good, label %buffer
buffer:
  %i = phi i64 [0, %entry], [%i.next, %buffer.next]
  %i.sizes = getelementptr i64, ptr %sizes, i64 %i
  %i.size = load i64, ptr %i.sizes
  %i.empty = icmp eq i64 %i.size, 0
  br i1 %i.empty, label %buffer.next, label %pointer
pointer:
  %i.slot = getelementptr ptr, ptr %table, i64 %i
  %i.pointer = load ptr, ptr %i.slot
  %i.begin = ptrtoint ptr %i.pointer to i64
  %i.null = icmp eq i64 %i.begin, 0
  br i1 %i.null, label %null, label %aligned
aligned:
  %i.masks = getelementptr i64, ptr %masks, i64 %i
  %i.mask = load i64, ptr %i.masks
  %i.low = and i64 %i.begin, %i.mask
  %i.aligned = icmp eq i64 %i.low, 0
  br i1 %i.aligned, label %overlaps, label %misaligned
overlaps:
  %i.result = icmp uge i64 %i, %parameters
  %i.first = icmp eq i64 %i, 0
  %i.end = add i64 %i.begin, %i.size
  %i.skip = xor i1 %i.result, true
  %i.done = or i1 %i.skip, %i.first
  br i1 %i.done, label %buffer.next, label %result
result:
  %i.number = sub i64 %i, %parameters
  %i.partners = getelementptr i64, ptr %partners, i64 %i.number
  %i.partner = load i64, ptr %i.partners
  br label %other
other:
  %j = phi i64 [0, %result], [%j.next, %other.next]
  %j.slot = getelementptr ptr, ptr %table, i64 %j
  %j.pointer = load ptr, ptr %j.slot
  %j.begin = ptrtoint ptr %j.pointer to i64
  %j.sizes = getelementptr i64, ptr %sizes, i64 %j
  %j.size = load i64, ptr %j.sizes
  %j.end = add i64 %j.begin, %j.size
  %before = icmp ult i64 %i.begin, %j.end
  %after = icmp ult i64 %j.begin, %i.end
  %both = and i1 %before, %after
  %j.empty = icmp eq i64 %j.size, 0
  %same = icmp eq i64 %i.begin, %j.begin
  %donated = icmp eq i64 %i.partner, %j
  %in.place = and i1 %same, %donated
  %allowed = or i1 %in.place, %j.empty
  %refused = xor i1 %allowed, true
  %clash = and i1 %both, %refused
  br i1 %clash, label %overlap, label %other.next
other.next:
  %j.next = add i64 %j, 1
  %j.more = icmp ult i64 %j.next, %i
  br i1 %j.more, label %other, label %buffer.next
buffer.next:
  %i.next = add i64 %i, 1
  %i.more = icmp ult i64 %i.next, %count
  br i1 %i.more, label %buffer, label %good
good:
  ret i32 0
null:
  ret i32 {Status.EARG:d}
misaligned:
  ret i32 {Status.EALIGN:d}
overlap:
  ret i32 {Status.EALIAS:d}
}}
"""


HUGE_PAGE = 1 << 21
"""Bytes of the larger pages that Linux gives to memory which asks for them, on x86-64 and most of aarch64."""

_MADV_HUGEPAGE = 14

_ALLOCATE = """\
define internal ptr @tenfold.allocate(i64 %bytes) noinline nounwind {
  %more = add i64 %bytes, 63
  %rounded = and i64 %more, -64
  %block = call ptr @aligned_alloc(i64 64, i64 %rounded)
  ret ptr %block
}
"""

# Only whole pages are asked for, so that what is not used of the last is not taken from the system either.
_ALLOCATE_PAGES = f"""\
declare i32 @madvise(ptr, i64, i32) nounwind nonlazybind
define internal ptr @tenfold.allocate(i64 %bytes) noinline nounwind {{
  %is.large = icmp uge i64 %bytes, {HUGE_PAGE}
  %alignment = select i1 %is.large, i64 {HUGE_PAGE}, i64 64
  %mask = sub i64 %alignment, 1
  %more = add i64 %bytes, %mask
  %low = xor i64 %mask, -1
  %rounded = and i64 %more, %low
  %block = call ptr @aligned_alloc(i64 %alignment, i64 %rounded)
  %made = icmp ne ptr %block, null
  %advise = and i1 %is.large, %made
  br i1 %advise, label %large, label %done
large:
  %pages = and i64 %bytes, -{HUGE_PAGE}
  %ignored = call i32 @madvise(ptr %block, i64 %pages, i32 {_MADV_HUGEPAGE})
  br label %done
done:
  ret ptr %block
}}
"""


def declarations(*, large: bool) -> str:
    """`@tenfold.allocate` and the functions of libc for it; `large`: blocks are known to take large pages."""
    return (
        "declare noalias ptr @aligned_alloc(i64, i64) nounwind nonlazybind\n"
        "declare void @free(ptr) nounwind nonlazybind\n" + (_ALLOCATE_PAGES if large else _ALLOCATE)
    )


def status_functions(exported: str, count: int) -> str:
    """The function that gives a status its message, for C and for Python."""
    return f"""\
@tenfold.message.unknown = private unnamed_addr constant [15 x i8] c"unknown status\\00"
define internal ptr @tenfold.message(i32 %status) nounwind {{
  %index = sub i32 0, %status
  %known = icmp ult i32 %index, {count}
  br i1 %known, label %look.up, label %unknown
look.up:
  %wide = zext i32 %index to i64
  %slot = getelementptr ptr, ptr @tenfold.messages, i64 %wide
  %message = load ptr, ptr %slot
  ret ptr %message
unknown:
  ret ptr @tenfold.message.unknown
}}
define ptr {exported}(i32 %status) nounwind {{
  %message = call ptr @tenfold.message(i32 %status)
  ret ptr %message
}}
"""


def with_context(exported: str, checked: str, parameters: str) -> str:
    """The exported function that takes a context, which may be null."""
    return f"""\
define i32 {exported}({parameters}) nounwind {{
  %none = icmp eq ptr %ctx, null
  br i1 %none, label %go, label %given
given:
  %size = load i64, ptr %ctx
  %new = icmp uge i64 %size, {CONTEXT_BYTES}
  br i1 %new, label %go, label %old
old:
  ret i32 {Status.EABI:d}
go:
  %status = call i32 {checked}
  ret i32 %status
}}
"""


def run(signature: str, implementation: str, arguments: str, size: int, per_thread: int, *, is_parallel: bool) -> str:
    """Gather threads where the entry uses them, take a workspace where it needs one, run, give the workspace back.

    Each thread but the first needs `per_thread` bytes beside the `size` of one.
    """
    lines = [f"define internal i32 {signature} noinline nounwind {{"]
    threads, team = "1", "null"
    if is_parallel:
        lines += ["  %team.place = alloca %tenfold.team.type", "  %threads = call i32 @tenfold.threads(ptr %ctx)"]
        threads, team = "%threads", "%team"
    workspace = "null"
    if size:
        lines += [
            f"  %bytes = call i64 @tenfold.workspace.bytes(i64 {size}, i64 {per_thread}, i32 {threads})",
            "  %place = alloca ptr",
            "  %origin = call i32 @tenfold.workspace.take(ptr %ctx, i64 %bytes, ptr %place)",
            "  %failed = icmp slt i32 %origin, 0",
            "  br i1 %failed, label %refuse, label %run",
            "run:",
            "  %workspace = load ptr, ptr %place",
        ]
        workspace = "%workspace"
    if is_parallel:
        lines.append("  %team = call ptr @tenfold.team(ptr %ctx, i32 %threads, ptr %team.place)")
    given = f"ptr {team}, ptr {workspace}" + (f", {arguments}" if arguments else "")
    lines.append(f"  %status = call i32 {implementation}({given})")
    if size:
        lines.append("  call void @tenfold.workspace.give(ptr %ctx, i64 %bytes, ptr %workspace, i32 %origin)")
    lines.append("  ret i32 %status")
    if size:
        lines += ["refuse:", "  ret i32 %origin"]
    return "\n".join([*lines, "}", ""])


def workspace_size(exported: str, size: int, per_thread: int) -> str:
    """The exported function that tells how large a workspace to provide."""
    return f"""\
define i64 {exported}(i32 %threads) nounwind {{
  %bytes = call i64 @tenfold.workspace.bytes(i64 {size}, i64 {per_thread}, i32 %threads)
  ret i64 %bytes
}}
"""


WORKSPACE_BYTES = f"""\
define internal i64 @tenfold.workspace.bytes(i64 %size, i64 %per.thread, i32 %threads) alwaysinline nounwind {{
  %least = call i32 @llvm.smax.i32(i32 %threads, i32 1)
  %most = call i32 @llvm.smin.i32(i32 %least, i32 {MOST_THREADS})
  %others = sub i32 %most, 1
  %wide = zext i32 %others to i64
  %more = mul i64 %wide, %per.thread
  %bytes = add i64 %size, %more
  ret i64 %bytes
}}
"""


def workspace_functions(block_bytes: int) -> str:
    """The library's block and what takes and returns a workspace; empty where no entry needs one."""
    if block_bytes == 0:
        return ""
    return _BLOCK.replace("BLOCK_BYTES", str(block_bytes)) + _TAKE + _GIVE


# A block begins with 64 bytes that hold the size of the rest; `@tenfold.block` points to them.
_BLOCK = """\
@tenfold.block = internal global ptr null, align 8
@tenfold.fini = internal constant ptr @tenfold.block.free, section ".fini_array", align 8
define internal void @tenfold.block.free() nounwind {
  %block = atomicrmw xchg ptr @tenfold.block, ptr null acq_rel
  call void @free(ptr %block)
  ret void
}
define internal ptr @tenfold.block.take(i64 %bytes) nounwind {
  %kept = atomicrmw xchg ptr @tenfold.block, ptr null acq_rel
  %none = icmp eq ptr %kept, null
  br i1 %none, label %allocate, label %found
found:
  %kept.bytes = load i64, ptr %kept
  %large = icmp uge i64 %kept.bytes, %bytes
  br i1 %large, label %use, label %replace
use:
  %kept.start = getelementptr i8, ptr %kept, i64 64
  ret ptr %kept.start
replace:
  call void @free(ptr %kept)
  br label %allocate
allocate:
  %size = call i64 @llvm.umax.i64(i64 %bytes, i64 BLOCK_BYTES)
  %total = add i64 %size, 64
  %new = call ptr @tenfold.allocate(i64 %total)
  %failed = icmp eq ptr %new, null
  br i1 %failed, label %fail, label %made
made:
  store i64 %size, ptr %new
  %start = getelementptr i8, ptr %new, i64 64
  ret ptr %start
fail:
  ret ptr null
}
"""

_TAKE = f"""\
define internal i32 @tenfold.workspace.take(ptr %ctx, i64 %bytes, ptr %place) nounwind {{
  %none = icmp eq ptr %ctx, null
  br i1 %none, label %library, label %caller
caller:
  %own.at = getelementptr i8, ptr %ctx, i64 {_WORKSPACE}
  %own = load ptr, ptr %own.at
  %own.bytes.at = getelementptr i8, ptr %ctx, i64 {_WORKSPACE_BYTES}
  %own.bytes = load i64, ptr %own.bytes.at
  %present = icmp ne ptr %own, null
  %large = icmp uge i64 %own.bytes, %bytes
  %use.own = and i1 %present, %large
  br i1 %use.own, label %own.found, label %allocator
own.found:
  store ptr %own, ptr %place
  %own.address = ptrtoint ptr %own to i64
  %own.low = and i64 %own.address, 63
  %own.aligned = icmp eq i64 %own.low, 0
  br i1 %own.aligned, label %from.caller, label %misaligned
from.caller:
  ret i32 {_FROM_CALLER}
allocator:
  %alloc.at = getelementptr i8, ptr %ctx, i64 {_ALLOC}
  %alloc = load ptr, ptr %alloc.at
  %no.alloc = icmp eq ptr %alloc, null
  br i1 %no.alloc, label %library, label %allocate
allocate:
  %user.at = getelementptr i8, ptr %ctx, i64 {_USER}
  %user = load ptr, ptr %user.at
  %block = call ptr %alloc(ptr %user, i64 %bytes, i64 64)
  store ptr %block, ptr %place
  %block.null = icmp eq ptr %block, null
  br i1 %block.null, label %out.of.memory, label %allocated
allocated:
  %block.address = ptrtoint ptr %block to i64
  %block.low = and i64 %block.address, 63
  %block.aligned = icmp eq i64 %block.low, 0
  br i1 %block.aligned, label %from.allocator, label %give.back
from.allocator:
  ret i32 {_FROM_ALLOCATOR}
give.back:
  call void @tenfold.workspace.give(ptr %ctx, i64 %bytes, ptr %block, i32 {_FROM_ALLOCATOR})
  br label %misaligned
library:
  %kept = call ptr @tenfold.block.take(i64 %bytes)
  store ptr %kept, ptr %place
  %kept.null = icmp eq ptr %kept, null
  br i1 %kept.null, label %out.of.memory, label %from.library
from.library:
  ret i32 {_FROM_LIBRARY}
misaligned:
  ret i32 {Status.EALIGN:d}
out.of.memory:
  ret i32 {Status.ENOMEM:d}
}}
"""

_GIVE = f"""\
define internal void @tenfold.workspace.give(ptr %ctx, i64 %bytes, ptr %block, i32 %origin) nounwind {{
  switch i32 %origin, label %done [
    i32 {_FROM_LIBRARY}, label %library
    i32 {_FROM_ALLOCATOR}, label %allocator
  ]
library:
  %own = getelementptr i8, ptr %block, i64 -64
  %other = atomicrmw xchg ptr @tenfold.block, ptr %own acq_rel
  %empty = icmp eq ptr %other, null
  br i1 %empty, label %done, label %release
release:
  call void @free(ptr %other)
  ret void
allocator:
  %dealloc.at = getelementptr i8, ptr %ctx, i64 {_DEALLOC}
  %dealloc = load ptr, ptr %dealloc.at
  %user.at = getelementptr i8, ptr %ctx, i64 {_USER}
  %user = load ptr, ptr %user.at
  %keep = icmp eq ptr %dealloc, null
  br i1 %keep, label %done, label %return
return:
  call void %dealloc(ptr %user, ptr %block, i64 %bytes)
  br label %done
done:
  ret void
}}
"""
