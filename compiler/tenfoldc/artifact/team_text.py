"""How a call shares its loops out between threads, as LLVM IR.

`tenfold.threads` reads how many threads the context allows; `tenfold.team` makes of them a team, or null for one
thread.  `tenfold.parallel(team, task, arguments, count)` runs `task(arguments, index, worker)` for each index below
`count`, in order where the team is null; else each of the team's workers takes the next index until there are none.
So a worker that comes late, or never, costs nothing, and one that is interrupted costs as much as its one task.  The
workers are those of the host, or of the library's own pool (`tenfoldc.artifact.pool_text`).
"""

from __future__ import annotations

from tenfoldc.artifact.pool_text import MOST_THREADS

# Offsets in tenfold_ctx; see `header`.
_NUM_THREADS, _PARALLEL_FOR, _USER = 40, 48, 56

_TEAM = f"""\
%tenfold.team.type = type {{ i32, ptr, ptr }}
define internal i32 @tenfold.threads(ptr %ctx) nounwind {{
  %none = icmp eq ptr %ctx, null
  br i1 %none, label %one, label %given
given:
  %at = getelementptr i8, ptr %ctx, i64 {_NUM_THREADS}
  %wanted = load atomic i32, ptr %at monotonic, align 4
  %least = call i32 @llvm.smax.i32(i32 %wanted, i32 1)
  %threads = call i32 @llvm.smin.i32(i32 %least, i32 {MOST_THREADS})
  ret i32 %threads
one:
  ret i32 1
}}
define internal ptr @tenfold.team(ptr %ctx, i32 %threads, ptr %team) nounwind {{
  %one = icmp eq i32 %threads, 1
  br i1 %one, label %alone, label %several
several:
  store i32 %threads, ptr %team
  %for.at = getelementptr i8, ptr %ctx, i64 {_PARALLEL_FOR}
  %for = load ptr, ptr %for.at
  %user.at = getelementptr i8, ptr %ctx, i64 {_USER}
  %user = load ptr, ptr %user.at
  %team.user = getelementptr %tenfold.team.type, ptr %team, i32 0, i32 2
  store ptr %user, ptr %team.user
  %team.for = getelementptr %tenfold.team.type, ptr %team, i32 0, i32 1
  %own = icmp eq ptr %for, null
  br i1 %own, label %library, label %host
host:
  store ptr %for, ptr %team.for
  ret ptr %team
library:
  %pool = load atomic ptr, ptr @tenfold.pool.used acquire, align 8
  %prepare = load ptr, ptr %pool
  call void %prepare(i32 %threads)
  %run.at = getelementptr i8, ptr %pool, i64 8
  %run = load ptr, ptr %run.at
  store ptr %run, ptr %team.for
  ret ptr %team
alone:
  ret ptr null
}}
"""

# A region is { task, arguments, count, next index } on one line of the cache, which a worker gets with its first index.
_PARALLEL = """\
define internal void @tenfold.parallel(ptr %team, ptr %task, ptr %arguments, i64 %count) noinline nounwind {
entry:
  %region = alloca { ptr, ptr, i64, i64 }, align 64
  %alone = icmp eq ptr %team, null
  br i1 %alone, label %test, label %share
test:
  %index = phi i64 [ 0, %entry ], [ %following, %turn ]
  %more = icmp slt i64 %index, %count
  br i1 %more, label %turn, label %done
turn:
  call void %task(ptr %arguments, i64 %index, i32 0)
  %following = add nuw nsw i64 %index, 1
  br label %test
share:
  store ptr %task, ptr %region
  %arguments.at = getelementptr i8, ptr %region, i64 8
  store ptr %arguments, ptr %arguments.at
  %count.at = getelementptr i8, ptr %region, i64 16
  store i64 %count, ptr %count.at
  %next.at = getelementptr i8, ptr %region, i64 24
  store atomic i64 0, ptr %next.at monotonic, align 8
  %threads = load i32, ptr %team
  %wide = zext i32 %threads to i64
  %most = call i64 @llvm.umin.i64(i64 %wide, i64 %count)
  %workers = trunc i64 %most to i32
  %for.at = getelementptr %tenfold.team.type, ptr %team, i32 0, i32 1
  %for = load ptr, ptr %for.at
  %user.at = getelementptr %tenfold.team.type, ptr %team, i32 0, i32 2
  %user = load ptr, ptr %user.at
  call void %for(ptr %user, ptr @tenfold.work, ptr %region, i32 %workers)
  br label %done
done:
  ret void
}
define internal void @tenfold.work(ptr %region, i32 %worker) nounwind {
entry:
  %next.at = getelementptr i8, ptr %region, i64 24
  %first = atomicrmw add ptr %next.at, i64 1 monotonic
  %task = load ptr, ptr %region
  %arguments.at = getelementptr i8, ptr %region, i64 8
  %arguments = load ptr, ptr %arguments.at
  %count.at = getelementptr i8, ptr %region, i64 16
  %count = load i64, ptr %count.at
  br label %take
take:
  %index = phi i64 [ %first, %entry ], [ %following, %run ]
  %more = icmp ult i64 %index, %count
  br i1 %more, label %run, label %done
run:
  call void %task(ptr %arguments, i64 %index, i32 %worker)
  %following = atomicrmw add ptr %next.at, i64 1 monotonic
  br label %take
done:
  ret void
}
"""

FUNCTIONS = _TEAM + _PARALLEL
