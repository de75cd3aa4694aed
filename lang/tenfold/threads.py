"""How many threads compiled code may use: `set_num_threads`, `get_num_threads`, and `threads` for a `with` block."""

from __future__ import annotations

from contextlib import AbstractContextManager

from tenfold_rt import threads as process_threads


def get_num_threads() -> int:
    """How many threads a call of compiled code may use."""
    return process_threads.get_num_threads()


def set_num_threads(count: int) -> None:
    """Let calls of compiled code use up to `count` threads, in the whole process and from the next call on.

    Results are the same bits for any number.  `SpecError` where `count` is not from 1 to 256.
    """
    process_threads.set_num_threads(count)


def threads(count: int) -> AbstractContextManager[None]:
    """`with threads(2): ...`: up to `count` threads within the block, then as many as before.

    The number is the process's, not this Python thread's.  `SpecError` where `count` is not from 1 to 256.
    """
    return process_threads.threads(count)
