"""How many threads compiled code may use: one number for the process, which every call reads.

It stands in a `tenfold_ctx` (see the header of any compiled library) whose address the libraries are given when they
are loaded.  So setting it costs nothing, and a call reads it where it is about to use it.
"""

from __future__ import annotations

import ctypes
import operator
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from tenfold_rt.errors import SpecError
from tenfold_rt.settings import MOST_THREADS, settings


class Context(ctypes.Structure):
    """`tenfold_ctx`, of which Python uses the number of threads alone."""

    _fields_ = (
        ("size", ctypes.c_size_t),
        ("workspace", ctypes.c_void_p),
        ("workspace_bytes", ctypes.c_size_t),
        ("alloc", ctypes.c_void_p),
        ("dealloc", ctypes.c_void_p),
        ("num_threads", ctypes.c_int32),
        ("parallel_for", ctypes.c_void_p),
        ("user", ctypes.c_void_p),
    )


class OwnContext(Context):
    """The context of a function with a number of threads of its own, which its entry is bound to.

    Compiled code knows the type and finds the context in the object.  What it declines it calls the object with, which
    hands on to `otherwise`.
    """

    def __init__(self, count: int, otherwise: Callable[..., Any] | None) -> None:
        super().__init__(size=ctypes.sizeof(Context), num_threads=checked(count))
        self.otherwise = otherwise

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return NotImplemented if self.otherwise is None else self.otherwise(*args, **kwargs)


def checked(count: int) -> int:
    """`count` as Python's integer, which must be from 1 to 256: else `SpecError`."""
    number = 0 if isinstance(count, bool) or not hasattr(count, "__index__") else operator.index(count)
    if not 1 <= number <= MOST_THREADS:
        raise SpecError(f"the number of threads must be an integer from 1 to {MOST_THREADS}, not {count!r}")
    return number


def _default() -> int:
    """What the environment asks for, else as many as this process has processors to run on."""
    return settings().num_threads or min(len(os.sched_getaffinity(0)), MOST_THREADS)


_CONTEXT = Context(size=ctypes.sizeof(Context), num_threads=_default())


def context_address() -> int:
    """Where the context of this process lies, for good."""
    return ctypes.addressof(_CONTEXT)


def get_num_threads() -> int:
    """How many threads a call of compiled code may use."""
    return int(_CONTEXT.num_threads)


def set_num_threads(count: int) -> None:
    """Let calls of compiled code use up to `count` threads, in the whole process and from the next call on.

    Results are the same bits for any number.  `SpecError` where `count` is not from 1 to 256.
    """
    _CONTEXT.num_threads = checked(count)


@contextmanager
def threads(count: int) -> Generator[None]:
    """`with threads(2): ...`: `set_num_threads(count)`, and the number from before at the end.

    The number is the process's, not this Python thread's.
    """
    before = get_num_threads()
    set_num_threads(count)
    try:
        yield
    finally:
        set_num_threads(before)
