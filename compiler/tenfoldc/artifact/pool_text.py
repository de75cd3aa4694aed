"""The library's own pool of threads, as LLVM IR.

**The pool.**  Its `parallel_for` is the host's without the promise: index 0 runs on the calling thread and the others
where a thread is free, which is all that a team needs.  A *ticket* holds the number of the job, the next index and how
many there are; a thread that wants work raises the index by compare-and-exchange.  The caller, once done, closes the
ticket and waits for those that got an index, never for those that are still asleep.  A thread that finds no work
looks again for a while, then sleeps on a futex of its own.

**Waking.**  Linux may put a thread that it wakes on the processor of the thread that wakes it, even where another one
is free, and leave it there for some milliseconds: on two processors, say, whenever the other was busy a moment ago.
The caller has enough to do to keep its own processor that long.  So it bars it to those that it wakes, and each
allows itself again, as soon as it runs, all that it was allowed before.

**Other processes.**  Where one has the processor of a thread that got an index, the caller waits until that runs
again: milliseconds, for loops that may take microseconds.  A caller that has waited for far longer than it has worked
goes on alone for a multiple of the wait, so that all in all it loses little to a caller that is always alone.

One caller has the pool at a time; what others want done meanwhile they do themselves.  After a fork the child has
none of the threads: it starts afresh, as it sees from its process id.  Threads end when the library is closed.
Libraries that one Python process loads share the pool of the first (`tenfold_rt.python_abi.Slot.POOL`).
"""

from __future__ import annotations

from collections.abc import Mapping

from tenfold_rt.manifest import Manifest
from tenfold_rt.python_abi import Slot

MOST_THREADS = 256
LOOKS = 20_000
"""How often a thread looks for work before it sleeps: some 300 to 500 microseconds, longer than the parts of a program
that one thread does alone, after which to wake it would take 50."""
WAITS = 4000
"""How often a caller looks whether the others are done before it offers its core to them."""

_WORDS: Mapping[str, Mapping[str, str]] = {
    "x86_64": {
        "PAUSE": "@llvm.x86.sse2.pause()",
        "SYS_FUTEX": "202",
        "SYS_GETCPU": "309",
        "SYS_GETTID": "186",
        "SYS_SCHED_SETAFFINITY": "203",
        "SYS_SCHED_GETAFFINITY": "204",
    },
    "aarch64": {
        "PAUSE": "@llvm.aarch64.isb(i32 15)",
        "SYS_FUTEX": "98",
        "SYS_GETCPU": "168",
        "SYS_GETTID": "178",
        "SYS_SCHED_SETAFFINITY": "122",
        "SYS_SCHED_GETAFFINITY": "123",
    },
}
"""What the texts below call by a name that each kind of processor has a word of its own for."""
_WAIT, _WAKE = 128, 129  # FUTEX_WAIT and FUTEX_WAKE, both private to the process
_SET_BYTES = 128
"""Room for a set of processors, a bit each; where the system has more, none is barred."""

_CLOCK_MONOTONIC = 1
_UNEVEN = 2
"""So many times as long as it has worked, a caller may wait for others that have more to do."""
_ALONE = 8
"""So many times as long as it has waited for a thread that was interrupted, a caller goes on alone."""

_FINISHED, _TASK, _ARG = (f"getelementptr (i8, ptr @tenfold.pool.ticket, i64 {offset})" for offset in (8, 16, 24))
"""What belongs to a ticket, on its line of the cache: who has seen the one has the others."""


def declarations() -> str:
    """The functions of libc that the pool calls.  Old C libraries have threads only where the program wants them."""
    return (
        "declare extern_weak i32 @pthread_create(ptr, ptr, ptr, ptr) nounwind nonlazybind\n"
        "declare extern_weak i32 @pthread_join(i64, ptr) nounwind nonlazybind\n"
        "declare extern_weak i32 @pthread_sigmask(i32, ptr, ptr) nounwind nonlazybind\n"
        "declare i32 @getpid() nounwind nonlazybind\n"
        "declare i32 @sched_yield() nounwind nonlazybind\n"
    )


CLOCK = "declare i32 @clock_gettime(i32, ptr) nounwind nonlazybind\n"
"""The clock that the pool looks at, where nothing else of the library has declared it."""


def functions(manifest: Manifest) -> str:
    """All of it, for the processor of `manifest`."""
    processor = manifest.triple.partition("-")[0]
    texts = (_STATE, _SLEEP, _WAKE_UP, _MEMBER, _PREPARE, _RUN, _STOP)
    text = declarations() + "".join(texts)
    for name, word in _WORDS[processor].items():
        text = text.replace(name, word)
    return text


def share(table: str) -> str:
    """Lines that let the first library of a process provide the pool, given the `table` that all of them see."""
    return f"""\
  %pool.at = getelementptr i8, ptr {table}, i64 {8 * Slot.POOL}
  %pool.pair = cmpxchg ptr %pool.at, ptr null, ptr @tenfold.pool.own acq_rel acquire
  %pool.first = extractvalue {{ ptr, i1 }} %pool.pair, 0
  %pool.none = icmp eq ptr %pool.first, null
  %pool.use = select i1 %pool.none, ptr @tenfold.pool.own, ptr %pool.first
  store atomic ptr %pool.use, ptr @tenfold.pool.used release, align 8
"""


_STATE = f"""\
@tenfold.pool.ticket = internal global {{ i64, i32, ptr, ptr }} zeroinitializer, align 128
@tenfold.pool.lock = internal global i32 0, align 128
@tenfold.pool.owner = internal global i32 0, align 4
@tenfold.pool.stopped = internal global i32 0, align 4
@tenfold.pool.size = internal global i32 0, align 4
%tenfold.pool.member.type = type {{ i32, i32, i64, i64, i64, [{_SET_BYTES} x i8], [96 x i8] }}
@tenfold.pool.members = internal global [{MOST_THREADS} x %tenfold.pool.member.type] zeroinitializer, align 128
@tenfold.pool.alone.until = internal global i64 0, align 8
@tenfold.pool.own = internal constant {{ ptr, ptr }} {{ ptr @tenfold.pool.prepare, ptr @tenfold.pool.run }}
@tenfold.pool.used = internal global ptr @tenfold.pool.own, align 8
@tenfold.pool.fini = internal constant ptr @tenfold.pool.stop, section ".fini_array", align 8
"""

# A member is { whether it sleeps, what the system calls it, its handle, how many bytes of the next but one are in use,
# -, the processors that it was allowed before one was barred }.  It sleeps unless there is another ticket than the one
# that it saw: a caller leaves the ticket first and then looks who sleeps.
_SLEEP = f"""\
define internal void @tenfold.pool.sleep(ptr %member, i64 %ticket) nounwind {{
entry:
  store atomic i32 1, ptr %member seq_cst, align 4
  %again = load atomic i64, ptr @tenfold.pool.ticket seq_cst, align 8
  %same = icmp eq i64 %again, %ticket
  br i1 %same, label %doze, label %awake
doze:
  %slept = call i64 (i64, ...) @syscall(i64 SYS_FUTEX, ptr %member, i32 {_WAIT}, i32 1, ptr null)
  br label %awake
awake:
  store atomic i32 0, ptr %member monotonic, align 4
  %bytes.at = getelementptr %tenfold.pool.member.type, ptr %member, i32 0, i32 3
  %bytes = load atomic i64, ptr %bytes.at acquire, align 8
  %barred = icmp ne i64 %bytes, 0
  br i1 %barred, label %allow, label %done
allow:
  %allowed = getelementptr %tenfold.pool.member.type, ptr %member, i32 0, i32 5
  %set = call i64 (i64, ...) @syscall(i64 SYS_SCHED_SETAFFINITY, i64 0, i64 %bytes, ptr %allowed)
  store atomic i64 0, ptr %bytes.at release, align 8
  br label %done
done:
  ret void
}}
"""

# Wakes the first `count` members where they sleep, each on another processor than this one if it may.
_WAKE_UP = f"""\
define internal void @tenfold.pool.bar(ptr %member, i32 %processor) nounwind {{
entry:
  %rest = alloca [{_SET_BYTES} x i8], align 8
  %bytes.at = getelementptr %tenfold.pool.member.type, ptr %member, i32 0, i32 3
  %allowed = getelementptr %tenfold.pool.member.type, ptr %member, i32 0, i32 5
  %number.at = getelementptr %tenfold.pool.member.type, ptr %member, i32 0, i32 1
  %number = load atomic i32, ptr %number.at acquire, align 4
  %kept = load atomic i64, ptr %bytes.at acquire, align 8
  %fresh = icmp eq i64 %kept, 0
  br i1 %fresh, label %ask, label %narrow
ask:
  %asked = call i64 (i64, ...) @syscall(i64 SYS_SCHED_GETAFFINITY, i32 %number, i64 {_SET_BYTES}, ptr %allowed)
  %answered = icmp sgt i64 %asked, 0
  br i1 %answered, label %narrow, label %done
narrow:
  %bytes = phi i64 [ %kept, %entry ], [ %asked, %ask ]
  call void @llvm.memcpy.p0.p0.i64(ptr %rest, ptr %allowed, i64 %bytes, i1 false)
  %wide = zext i32 %processor to i64
  %byte = lshr i64 %wide, 3
  %within = icmp ult i64 %byte, %bytes
  br i1 %within, label %clear, label %done
clear:
  %byte.at = getelementptr i8, ptr %rest, i64 %byte
  %bits = load i8, ptr %byte.at
  %place = and i32 %processor, 7
  %bit = shl i32 1, %place
  %narrow.bit = trunc i32 %bit to i8
  %others = xor i8 %narrow.bit, -1
  %left = and i8 %bits, %others
  store i8 %left, ptr %byte.at
  store atomic i64 %bytes, ptr %bytes.at release, align 8
  %set = call i64 (i64, ...) @syscall(i64 SYS_SCHED_SETAFFINITY, i32 %number, i64 %bytes, ptr %rest)
  br label %done
done:
  ret void
}}
define internal void @tenfold.pool.wake(i32 %count) nounwind {{
entry:
  %processor.at = alloca i32, align 4
  store i32 -1, ptr %processor.at
  br label %test
test:
  %i = phi i32 [ 0, %entry ], [ %next, %following ]
  %more = icmp slt i32 %i, %count
  br i1 %more, label %look, label %done
look:
  %wide = zext i32 %i to i64
  %member = getelementptr %tenfold.pool.member.type, ptr @tenfold.pool.members, i64 %wide
  %pair = cmpxchg ptr %member, i32 1, i32 0 seq_cst seq_cst
  %sleeps = extractvalue {{ i32, i1 }} %pair, 1
  br i1 %sleeps, label %find, label %following
find:
  %known = load i32, ptr %processor.at
  %unknown = icmp slt i32 %known, 0
  br i1 %unknown, label %ask, label %rouse
ask:
  %asked = call i64 (i64, ...) @syscall(i64 SYS_GETCPU, ptr %processor.at, ptr null, ptr null)
  br label %rouse
rouse:
  %processor = load i32, ptr %processor.at
  call void @tenfold.pool.bar(ptr %member, i32 %processor)
  %woken = call i64 (i64, ...) @syscall(i64 SYS_FUTEX, ptr %member, i32 {_WAKE}, i32 1)
  br label %following
following:
  %next = add i32 %i, 1
  br label %test
done:
  ret void
}}
"""

# What each thread of the pool does.
_MEMBER = f"""\
define internal ptr @tenfold.pool.member(ptr %member) nounwind {{
entry:
  %number = call i64 (i64, ...) @syscall(i64 SYS_GETTID)
  %number.at = getelementptr %tenfold.pool.member.type, ptr %member, i32 0, i32 1
  %narrow = trunc i64 %number to i32
  store atomic i32 %narrow, ptr %number.at release, align 4
  br label %look
look:
  %turns = phi i32 [0, %entry], [%more, %spin], [0, %run], [0, %claim], [0, %sleep]
  %ticket = load atomic i64, ptr @tenfold.pool.ticket acquire, align 8
  %raised = lshr i64 %ticket, 16
  %slot = and i64 %raised, 65535
  %count = and i64 %ticket, 65535
  %open = icmp ult i64 %slot, %count
  br i1 %open, label %claim, label %idle
claim:
  %taken = add i64 %ticket, 65536
  %pair = cmpxchg ptr @tenfold.pool.ticket, i64 %ticket, i64 %taken acq_rel acquire
  %won = extractvalue {{ i64, i1 }} %pair, 1
  br i1 %won, label %run, label %look
run:
  %task = load ptr, ptr {_TASK}
  %arg = load ptr, ptr {_ARG}
  %index = trunc i64 %slot to i32
  call void %task(ptr %arg, i32 %index)
  %before = atomicrmw add ptr {_FINISHED}, i32 1 release
  br label %look
idle:
  %stopped = load atomic i32, ptr @tenfold.pool.stopped acquire, align 4
  %leaves = icmp ne i32 %stopped, 0
  br i1 %leaves, label %leave, label %wait
wait:
  %tired = icmp uge i32 %turns, {LOOKS}
  br i1 %tired, label %sleep, label %spin
spin:
  call void PAUSE
  %more = add i32 %turns, 1
  br label %look
sleep:
  call void @tenfold.pool.sleep(ptr %member, i64 %ticket)
  br label %look
leave:
  ret ptr null
}}
"""

# Makes the pool as large as `threads` needs, or leaves it if another thread is at it.  Threads take no signals.
_PREPARE = """\
define internal void @tenfold.pool.prepare(i32 %threads) nounwind {
entry:
  %new.mask = alloca [16 x i64]
  %old.mask = alloca [16 x i64]
  %process = call i32 @getpid()
  %owner = load atomic i32, ptr @tenfold.pool.owner acquire, align 4
  %mine = icmp eq i32 %owner, %process
  br i1 %mine, label %measure, label %foreign
foreign:
  %claimed = sub i32 0, %process
  %busy = icmp eq i32 %owner, %claimed
  br i1 %busy, label %done, label %claim
claim:
  %pair = cmpxchg ptr @tenfold.pool.owner, i32 %owner, i32 %claimed acq_rel acquire
  %won = extractvalue { i32, i1 } %pair, 1
  br i1 %won, label %reset, label %done
reset:
  store atomic i64 0, ptr @tenfold.pool.ticket monotonic, align 8
  store atomic i32 0, ptr @tenfold.pool.size monotonic, align 4
  store atomic i32 0, ptr @tenfold.pool.lock monotonic, align 4
  store atomic i32 %process, ptr @tenfold.pool.owner release, align 4
  br label %measure
measure:
  %first = load atomic i32, ptr @tenfold.pool.size acquire, align 4
  %wanted = sub i32 %threads, 1
  %enough = icmp sge i32 %first, %wanted
  br i1 %enough, label %done, label %able
able:
  %unable = icmp eq ptr @pthread_create, null
  br i1 %unable, label %done, label %lock
lock:
  %lock.pair = cmpxchg ptr @tenfold.pool.lock, i32 0, i32 1 acquire monotonic
  %locked = extractvalue { i32, i1 } %lock.pair, 1
  br i1 %locked, label %grow, label %done
grow:
  %start = load atomic i32, ptr @tenfold.pool.size monotonic, align 4
  call void @llvm.memset.p0.i64(ptr %new.mask, i8 -1, i64 128, i1 false)
  %masked = call i32 @pthread_sigmask(i32 2, ptr %new.mask, ptr %old.mask)
  br label %test
test:
  %size = phi i32 [%start, %grow], [%larger, %made]
  %grows = icmp slt i32 %size, %wanted
  br i1 %grows, label %make, label %grown
make:
  %wide = zext i32 %size to i64
  %member = getelementptr %tenfold.pool.member.type, ptr @tenfold.pool.members, i64 %wide
  call void @llvm.memset.p0.i64(ptr %member, i8 0, i64 256, i1 false)
  %handle = getelementptr %tenfold.pool.member.type, ptr %member, i32 0, i32 2
  %failed = call i32 @pthread_create(ptr %handle, ptr null, ptr @tenfold.pool.member, ptr %member)
  %good = icmp eq i32 %failed, 0
  br i1 %good, label %made, label %grown
made:
  %larger = add i32 %size, 1
  br label %test
grown:
  %unmasked = call i32 @pthread_sigmask(i32 2, ptr %old.mask, ptr null)
  store atomic i32 %size, ptr @tenfold.pool.size release, align 4
  store atomic i32 0, ptr @tenfold.pool.lock release, align 4
  br label %done
done:
  ret void
}
"""

# What `parallel_for` stands for.  The clock is looked at again only after a wait that is longer than most.
_RUN = f"""\
define internal i64 @tenfold.pool.now() nounwind {{
  %time = alloca {{ i64, i64 }}, align 8
  %failed = call i32 @clock_gettime(i32 {_CLOCK_MONOTONIC}, ptr %time)
  %seconds = load i64, ptr %time
  %rest.at = getelementptr i8, ptr %time, i64 8
  %rest = load i64, ptr %rest.at
  %whole = mul i64 %seconds, 1000000000
  %now = add i64 %whole, %rest
  ret i64 %now
}}
define internal void @tenfold.pool.run(ptr %user, ptr %task, ptr %arg, i32 %count) nounwind {{
entry:
  %size = load atomic i32, ptr @tenfold.pool.size acquire, align 4
  %none = icmp slt i32 %size, 1
  br i1 %none, label %alone, label %look
look:
  %begin = call i64 @tenfold.pool.now()
  %until = load atomic i64, ptr @tenfold.pool.alone.until monotonic, align 8
  %early = icmp slt i64 %begin, %until
  br i1 %early, label %alone, label %lock
lock:
  %lock.pair = cmpxchg ptr @tenfold.pool.lock, i32 0, i32 1 acquire monotonic
  %locked = extractvalue {{ i32, i1 }} %lock.pair, 1
  br i1 %locked, label %publish, label %alone
publish:
  %most = add i32 %size, 1
  %workers = call i32 @llvm.umin.i32(i32 %count, i32 %most)
  store ptr %task, ptr {_TASK}
  store ptr %arg, ptr {_ARG}
  store atomic i32 0, ptr {_FINISHED} monotonic, align 4
  %last = load atomic i64, ptr @tenfold.pool.ticket monotonic, align 8
  %last.job = lshr i64 %last, 32
  %job = add i64 %last.job, 1
  %closed = shl i64 %job, 32
  %wide = zext i32 %workers to i64
  %opened = or i64 %wide, 65536
  %open = or i64 %closed, %opened
  store atomic i64 %open, ptr @tenfold.pool.ticket seq_cst, align 8
  %helpers = sub i32 %workers, 1
  call void @tenfold.pool.wake(i32 %helpers)
  call void %task(ptr %arg, i32 0)
  %end = atomicrmw xchg ptr @tenfold.pool.ticket, i64 %closed acq_rel
  %raised = lshr i64 %end, 16
  %slots = and i64 %raised, 65535
  %narrow = trunc i64 %slots to i32
  %expected = sub i32 %narrow, 1
  br label %test
test:
  %turns = phi i32 [ 0, %publish ], [ %more, %spin ], [ %turns, %yield ]
  %done = phi i64 [ 0, %publish ], [ %done, %spin ], [ %noted, %yield ]
  %finished = load atomic i32, ptr {_FINISHED} acquire, align 4
  %complete = icmp eq i32 %finished, %expected
  br i1 %complete, label %judge, label %wait
wait:
  %long = icmp uge i32 %turns, {WAITS}
  br i1 %long, label %pause, label %spin
spin:
  call void PAUSE
  %more = add i32 %turns, 1
  br label %test
pause:
  %first = icmp eq i64 %done, 0
  br i1 %first, label %note, label %yield
note:
  %now = call i64 @tenfold.pool.now()
  br label %yield
yield:
  %noted = phi i64 [ %done, %pause ], [ %now, %note ]
  %yielded = call i32 @sched_yield()
  br label %test
judge:
  %soon = icmp eq i64 %done, 0
  br i1 %soon, label %unlock, label %measure
measure:
  %over = call i64 @tenfold.pool.now()
  %busy = sub i64 %done, %begin
  %waited = sub i64 %over, %done
  %most.expected = mul i64 %busy, {_UNEVEN}
  %lost = icmp sgt i64 %waited, %most.expected
  br i1 %lost, label %leave, label %unlock
leave:
  %span = mul i64 %waited, {_ALONE}
  %later = add i64 %over, %span
  store atomic i64 %later, ptr @tenfold.pool.alone.until monotonic, align 8
  br label %unlock
unlock:
  store atomic i32 0, ptr @tenfold.pool.lock release, align 4
  ret void
alone:
  call void %task(ptr %arg, i32 0)
  ret void
}}
"""

# Ends the threads, when the library is closed or the process ends.  The lock is kept: callers go on alone.
_STOP = """\
define internal void @tenfold.pool.stop() nounwind {
entry:
  %process = call i32 @getpid()
  %owner = load atomic i32, ptr @tenfold.pool.owner acquire, align 4
  %mine = icmp eq i32 %owner, %process
  br i1 %mine, label %lock, label %done
lock:
  %lock.pair = cmpxchg ptr @tenfold.pool.lock, i32 0, i32 1 acquire monotonic
  %locked = extractvalue { i32, i1 } %lock.pair, 1
  br i1 %locked, label %stop, label %yield
yield:
  %yielded = call i32 @sched_yield()
  br label %lock
stop:
  %size = load atomic i32, ptr @tenfold.pool.size monotonic, align 4
  store atomic i32 1, ptr @tenfold.pool.stopped release, align 4
  %closed = atomicrmw add ptr @tenfold.pool.ticket, i64 4294967296 seq_cst
  call void @tenfold.pool.wake(i32 %size)
  br label %test
test:
  %i = phi i32 [0, %stop], [%next, %join]
  %more = icmp slt i32 %i, %size
  br i1 %more, label %join, label %done
join:
  %wide = zext i32 %i to i64
  %handle.at = getelementptr %tenfold.pool.member.type, ptr @tenfold.pool.members, i64 %wide, i32 2
  %handle = load i64, ptr %handle.at
  %joined = call i32 @pthread_join(i64 %handle, ptr null)
  %next = add i32 %i, 1
  br label %test
done:
  ret void
}
"""
