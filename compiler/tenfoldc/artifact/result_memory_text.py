"""The memory of large results of calls from Python, as LLVM IR text: blocks that are kept when an array dies.

Fresh memory costs a page fault and the zeroing of each page at its first use, about as long as it takes to compute
a plain result.  So results of `LARGE` bytes and more come from here, through a memory handler of NumPy's (NEP 49):
such an array owns its memory like any other, and NumPy calls `free` below when the last view of it is gone.

Freed blocks are *idle*, in the order in which they were freed; one that is asked for is the newest that fits and is
at most a quarter too large.  At most `MOST_BLOCKS` are idle, and `MOST_BYTES` together; the oldest are released to
make place, after `PATIENCE` frees of others, and all when memory is short.  Whoever finds the list locked, or meets
a lock taken over by a fork, does without it.

A block is 64 bytes that hold its capacity and the time of its last free, counted in frees, and the array's memory.
The first library of a process that has large results provides the handler for all (`Slot.RESULT_HANDLER`).
"""

from __future__ import annotations

from tenfold_rt.python_abi import Slot

LARGE = 1 << 20
"""Bytes from which fresh memory is seen to cost time: smaller results the C library's heap has at hand."""

MOST_BLOCKS = 64
MOST_BYTES = 1 << 28
PATIENCE = 256

_HEADER = 64
_NAME = "tenfold"
_CAPSULE = "mem_handler"  # what NumPy wants a handler's capsule to be called


def functions() -> str:
    """The handler and what makes an array with it; wants `@tenfold.allocate` (see `abi_text`)."""
    return _STATE + _BLOCK + _MALLOC + _CALLOC + _REALLOC + _FREE + _NEW_LARGE


def share(table: str) -> str:
    """Lines that let the first library provide the handler, given the `table` that all of them see."""
    return f"""\
  %handler.at = getelementptr i8, ptr {table}, i64 {8 * Slot.RESULT_HANDLER}
  %handler.known = load ptr, ptr %handler.at
  %handler.none = icmp eq ptr %handler.known, null
  br i1 %handler.none, label %handler.provide, label %handler.done
handler.provide:
  %capsule.at = getelementptr i8, ptr {table}, i64 {8 * Slot.CAPSULE_NEW}
  %capsule.new = load ptr, ptr %capsule.at
  %handler = call ptr %capsule.new(ptr @tenfold.results.handler, ptr @tenfold.results.capsule, ptr null)
  store ptr %handler, ptr %handler.at
  br label %handler.done
handler.done:
"""


# What NumPy calls PyDataMem_Handler: a name of 127 bytes, a version, and the functions after their context.
_HANDLER = "{ [127 x i8], i8, ptr, ptr, ptr, ptr, ptr }"
_STATE = f"""\
@tenfold.results.lock = internal global i32 0, align 64
@tenfold.results.count = internal global i64 0, align 8
@tenfold.results.bytes = internal global i64 0, align 8
@tenfold.results.time = internal global i64 0, align 8
@tenfold.results.idle = internal global [{MOST_BLOCKS} x ptr] zeroinitializer, align 8
@tenfold.results.capsule = internal constant [{len(_CAPSULE) + 1} x i8] c"{_CAPSULE}\\00"
@tenfold.results.handler = internal constant {_HANDLER} {{
  [127 x i8] c"{_NAME}{chr(92) + "00"}{(127 - len(_NAME) - 1) * (chr(92) + "00")}", i8 1, ptr null,
  ptr @tenfold.results.malloc, ptr @tenfold.results.calloc, ptr @tenfold.results.realloc, ptr @tenfold.results.free }}
"""

# `take`: an idle block of fit size, or null.  `drop`: release the oldest; the caller holds the lock.
_BLOCK = """\
define internal i1 @tenfold.results.try() nounwind {
  %before = atomicrmw xchg ptr @tenfold.results.lock, i32 1 acquire
  %free = icmp eq i32 %before, 0
  ret i1 %free
}
define internal void @tenfold.results.unlock() nounwind {
  store atomic i32 0, ptr @tenfold.results.lock release, align 4
  ret void
}
define internal ptr @tenfold.results.remove(i64 %index) nounwind {
  %at = getelementptr ptr, ptr @tenfold.results.idle, i64 %index
  %block = load ptr, ptr %at
  %capacity = load i64, ptr %block
  %bytes = load i64, ptr @tenfold.results.bytes
  %fewer = sub i64 %bytes, %capacity
  store i64 %fewer, ptr @tenfold.results.bytes
  %count = load i64, ptr @tenfold.results.count
  %last = sub i64 %count, 1
  store i64 %last, ptr @tenfold.results.count
  %following = getelementptr i8, ptr %at, i64 8
  %moved = sub i64 %last, %index
  %size = shl i64 %moved, 3
  call void @llvm.memmove.p0.p0.i64(ptr %at, ptr %following, i64 %size, i1 false)
  ret ptr %block
}
define internal void @tenfold.results.drop() nounwind {
  %block = call ptr @tenfold.results.remove(i64 0)
  call void @free(ptr %block)
  ret void
}
define internal ptr @tenfold.results.take(i64 %bytes) nounwind {
entry:
  %locked = call i1 @tenfold.results.try()
  br i1 %locked, label %start, label %fail
start:
  %count = load i64, ptr @tenfold.results.count
  %quarter = lshr i64 %bytes, 2
  %most = add i64 %bytes, %quarter
  br label %test
test:
  %i = phi i64 [%count, %start], [%index, %look]
  %more = icmp ne i64 %i, 0
  br i1 %more, label %look, label %none
look:
  %index = sub i64 %i, 1
  %at = getelementptr ptr, ptr @tenfold.results.idle, i64 %index
  %block = load ptr, ptr %at
  %capacity = load i64, ptr %block
  %enough = icmp uge i64 %capacity, %bytes
  %near = icmp ule i64 %capacity, %most
  %fits = and i1 %enough, %near
  br i1 %fits, label %found, label %test
found:
  %taken = call ptr @tenfold.results.remove(i64 %index)
  call void @tenfold.results.unlock()
  ret ptr %taken
none:
  call void @tenfold.results.unlock()
  br label %fail
fail:
  ret ptr null
}
define internal void @tenfold.results.drop.all() noinline cold nounwind {
entry:
  %locked = call i1 @tenfold.results.try()
  br i1 %locked, label %test, label %done
test:
  %count = load i64, ptr @tenfold.results.count
  %none = icmp eq i64 %count, 0
  br i1 %none, label %unlock, label %one
one:
  call void @tenfold.results.drop()
  br label %test
unlock:
  call void @tenfold.results.unlock()
  br label %done
done:
  ret void
}
"""

_MALLOC = f"""\
define internal ptr @tenfold.results.malloc(ptr %context, i64 %bytes) nounwind {{
  %idle = call ptr @tenfold.results.take(i64 %bytes)
  %none = icmp eq ptr %idle, null
  br i1 %none, label %allocate, label %use
allocate:
  %total = add i64 %bytes, {_HEADER}
  %fresh = call ptr @tenfold.allocate(i64 %total)
  %short = icmp eq ptr %fresh, null
  br i1 %short, label %again, label %made
again:
  call void @tenfold.results.drop.all()
  %second = call ptr @tenfold.allocate(i64 %total)
  %failed = icmp eq ptr %second, null
  br i1 %failed, label %fail, label %made
made:
  %block = phi ptr [%fresh, %allocate], [%second, %again]
  store i64 %bytes, ptr %block
  %memory = getelementptr i8, ptr %block, i64 {_HEADER}
  ret ptr %memory
use:
  %kept = getelementptr i8, ptr %idle, i64 {_HEADER}
  ret ptr %kept
fail:
  ret ptr null
}}
"""

_CALLOC = """\
define internal ptr @tenfold.results.calloc(ptr %context, i64 %count, i64 %size) nounwind {
  %pair = call { i64, i1 } @llvm.umul.with.overflow.i64(i64 %count, i64 %size)
  %bytes = extractvalue { i64, i1 } %pair, 0
  %beyond = extractvalue { i64, i1 } %pair, 1
  br i1 %beyond, label %fail, label %allocate
allocate:
  %memory = call ptr @tenfold.results.malloc(ptr %context, i64 %bytes)
  %failed = icmp eq ptr %memory, null
  br i1 %failed, label %fail, label %clear
clear:
  call void @llvm.memset.p0.i64(ptr %memory, i8 0, i64 %bytes, i1 false)
  ret ptr %memory
fail:
  ret ptr null
}
"""

# What grows or shrinks moves to a block of its own size.
_REALLOC = f"""\
define internal ptr @tenfold.results.realloc(ptr %context, ptr %memory, i64 %bytes) nounwind {{
  %block = getelementptr i8, ptr %memory, i64 -{_HEADER}
  %capacity = load i64, ptr %block
  %moved = call ptr @tenfold.results.malloc(ptr %context, i64 %bytes)
  %failed = icmp eq ptr %moved, null
  br i1 %failed, label %fail, label %copy
copy:
  %size = call i64 @llvm.umin.i64(i64 %capacity, i64 %bytes)
  call void @llvm.memcpy.p0.p0.i64(ptr %moved, ptr %memory, i64 %size, i1 false)
  call void @tenfold.results.free(ptr %context, ptr %memory, i64 %capacity)
  ret ptr %moved
fail:
  ret ptr null
}}
"""

_FREE = f"""\
define internal void @tenfold.results.free(ptr %context, ptr %memory, i64 %bytes) nounwind {{
entry:
  %none = icmp eq ptr %memory, null
  br i1 %none, label %done, label %some
some:
  %block = getelementptr i8, ptr %memory, i64 -{_HEADER}
  %capacity = load i64, ptr %block
  %large = icmp uge i64 %capacity, {LARGE}
  %small.enough = icmp ule i64 %capacity, {MOST_BYTES}
  %keep = and i1 %large, %small.enough
  br i1 %keep, label %lock, label %release
lock:
  %locked = call i1 @tenfold.results.try()
  br i1 %locked, label %stamp, label %release
stamp:
  %last = load i64, ptr @tenfold.results.time
  %now = add i64 %last, 1
  store i64 %now, ptr @tenfold.results.time
  %stamp.at = getelementptr i8, ptr %block, i64 8
  store i64 %now, ptr %stamp.at
  br label %test
test:
  %count = load i64, ptr @tenfold.results.count
  %idle.bytes = load i64, ptr @tenfold.results.bytes
  %sum = add i64 %idle.bytes, %capacity
  %empty = icmp eq i64 %count, 0
  br i1 %empty, label %append, label %measure
measure:
  %oldest = load ptr, ptr @tenfold.results.idle
  %oldest.at = getelementptr i8, ptr %oldest, i64 8
  %then = load i64, ptr %oldest.at
  %age = sub i64 %now, %then
  %stale = icmp ugt i64 %age, {PATIENCE}
  %full = icmp eq i64 %count, {MOST_BLOCKS}
  %heavy = icmp ugt i64 %sum, {MOST_BYTES}
  %crowded = or i1 %full, %heavy
  %release.oldest = or i1 %stale, %crowded
  br i1 %release.oldest, label %drop, label %append
drop:
  call void @tenfold.results.drop()
  br label %test
append:
  %place = getelementptr ptr, ptr @tenfold.results.idle, i64 %count
  store ptr %block, ptr %place
  %larger = add i64 %count, 1
  store i64 %larger, ptr @tenfold.results.count
  store i64 %sum, ptr @tenfold.results.bytes
  call void @tenfold.results.unlock()
  br label %done
release:
  call void @free(ptr %block)
  br label %done
done:
  ret void
}}
"""

# The handler is the thread's while the array is made, and no Python code runs meanwhile.
_NEW_LARGE = f"""\
define internal ptr @tenfold.new.large(ptr %api, i64 %slot, i32 %rank, ptr %shape) noinline nounwind {{
entry:
  %handler.at = getelementptr i8, ptr %api, i64 {8 * Slot.RESULT_HANDLER}
  %handler = load ptr, ptr %handler.at
  %set.at = getelementptr i8, ptr %api, i64 {8 * Slot.SET_HANDLER}
  %set = load ptr, ptr %set.at
  %decref.at = getelementptr i8, ptr %api, i64 {8 * Slot.DECREF}
  %decref = load ptr, ptr %decref.at
  %before = call ptr %set(ptr %handler)
  %refused = icmp eq ptr %before, null
  br i1 %refused, label %fail, label %make
make:
  %array = call ptr @tenfold.new(ptr %api, i64 %slot, i32 %rank, ptr %shape)
  %again = call ptr %set(ptr %before)
  call void %decref(ptr %before)
  %stuck = icmp eq ptr %again, null
  br i1 %stuck, label %fail, label %done
done:
  call void %decref(ptr %again)
  ret ptr %array
fail:
  ret ptr null
}}
"""
