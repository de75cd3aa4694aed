"""Permission to use the matrix unit, as IR text of the library's interface.

Linux gives a process the registers of AMX, eight kilobytes that it saves for each thread, when it asks for them
(Documentation/arch/x86/xstate.rst).  It refuses where the processor has none, where a limit says so, and, before
Linux 5.16, always.  The answer holds for all threads and is kept: the question is put once.
"""

from __future__ import annotations

_ARCH_PRCTL = 158
_ARCH_REQ_XCOMP_PERM = 0x1023
_XFEATURE_XTILE_DATA = 18

FUNCTIONS = f"""\
@tenfold.tiles.answer = internal global i32 0
define internal i32 @tenfold.tiles.granted() nounwind {{
entry:
  %known = load atomic i32, ptr @tenfold.tiles.answer monotonic, align 4
  %is.known = icmp ne i32 %known, 0
  br i1 %is.known, label %done, label %ask
ask:
  %status = call i64 (i64, ...) @syscall(i64 {_ARCH_PRCTL}, i64 {_ARCH_REQ_XCOMP_PERM}, i64 {_XFEATURE_XTILE_DATA})
  %is.granted = icmp eq i64 %status, 0
  %found = select i1 %is.granted, i32 1, i32 2
  store atomic i32 %found, ptr @tenfold.tiles.answer monotonic, align 4
  br label %done
done:
  %answer = phi i32 [ %known, %entry ], [ %found, %ask ]
  %yes = icmp eq i32 %answer, 1
  %granted = zext i1 %yes to i32
  ret i32 %granted
}}
"""
