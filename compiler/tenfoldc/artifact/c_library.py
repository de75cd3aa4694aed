"""The C library that a compiled library may lean on: the names it may use and the files that hold them.

Both are what POSIX and C11 promise, save `syscall`, through which Linux makes threads sleep, and `madvise`, by which
it is asked for large pages.  Where the C library has
its threads in a file of their own, as glibc had before 2.34, code asks whether the program has loaded that.  What finds
other libraries had a file of its own, too; glibc still has one of that name, and musl answers to it.
"""

from __future__ import annotations

from collections.abc import Collection


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


LIBC = _words(
    "abort aligned_alloc calloc clock_gettime free getpid madvise malloc memchr memcmp memcpy memmove memset"
    " posix_memalign pthread_create pthread_join pthread_mutex_lock pthread_mutex_unlock pthread_sigmask realloc"
    " sched_yield syscall"
)

LIBDL = _words("dlopen dlsym")

_MATH = (
    "acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf erfc exp exp2 expm1 fabs"
    " floor fma fmax fmin fmod frexp hypot ldexp lgamma log log10 log1p log2 modf nearbyint pow"
    " remainder rint round scalbn sin sinh sqrt tan tanh tgamma trunc"
)
LIBM = frozenset(name + suffix for name in _MATH.split() for suffix in ("", "f"))

SYMBOLS = LIBC | LIBDL | LIBM


def needed(imported: Collection[str]) -> tuple[str, ...]:
    """The files, by glibc's names, that hold the symbols `imported`."""
    files: list[str] = []
    if not LIBM.isdisjoint(imported):
        files.append("libm.so.6")
    if not LIBDL.isdisjoint(imported):
        files.append("libdl.so.2")
    if not LIBC.isdisjoint(imported):
        files.append("libc.so.6")
    return tuple(files)
