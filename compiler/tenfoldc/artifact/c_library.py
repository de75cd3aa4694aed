"""The C library that a compiled library may lean on: the names it may use and the files that hold them.

Both are what POSIX and C11 promise; nothing that a particular C library adds is here.
"""

from __future__ import annotations

from collections.abc import Collection


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


LIBC = _words(
    "abort aligned_alloc calloc free malloc memchr memcmp memcpy memmove memset posix_memalign realloc"
    " pthread_cond_broadcast pthread_cond_destroy pthread_cond_init pthread_cond_signal pthread_cond_wait"
    " pthread_create pthread_join pthread_mutex_destroy pthread_mutex_init pthread_mutex_lock"
    " pthread_mutex_unlock pthread_once sched_yield"
)

_MATH = (
    "acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf erfc exp exp2 expm1 fabs"
    " floor fma fmax fmin fmod frexp hypot ldexp lgamma log log10 log1p log2 modf nearbyint pow"
    " remainder rint round scalbn sin sinh sqrt tan tanh tgamma trunc"
)
LIBM = frozenset(name + suffix for name in _MATH.split() for suffix in ("", "f"))

SYMBOLS = LIBC | LIBM


def needed(imported: Collection[str]) -> tuple[str, ...]:
    """The files, by glibc's names, that hold the symbols `imported`."""
    files: list[str] = []
    if not LIBM.isdisjoint(imported):
        files.append("libm.so.6")
    if not LIBC.isdisjoint(imported):
        files.append("libc.so.6")
    return tuple(files)
