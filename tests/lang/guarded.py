"""Memory between guard pages: any access beyond an array kills the process that makes it.

`Fence` gives arrays that end at a page that cannot be touched, or begin right after one.  `call_guarded` calls a
compiled entry on such arrays, its workspace fenced too, in a child process, and says how that ended.
"""

from __future__ import annotations

import ctypes
import mmap
import multiprocessing
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold_rt.c_names import library_names
from tenfold_rt.dtypes import DType
from tenfold_rt.load import load
from tenfold_rt.threads import Context

Array = NDArray[Any]

_PAGE = mmap.PAGESIZE
_NO_ACCESS = 0
_LIBC = ctypes.CDLL(None, use_errno=True)

# Children come from a server that has loaded nothing but this module: the process that runs the tests has threads
# of other libraries, and cannot fork.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload([__name__])


class Fence:
    """Arrays between guard pages: at the end of their pages, or with `at_start` at the beginning."""

    def __init__(self, *, at_start: bool) -> None:
        self._at_start = at_start
        self._maps: list[mmap.mmap] = []

    def array(self, shape: Sequence[int], dtype: np.dtype[Any]) -> Array:
        """An array of `shape`, filled with a pattern; beyond it is nothing, up to its alignment."""
        count = int(np.prod(shape))
        size = count * dtype.itemsize
        room = -(-max(size, 1) // _PAGE) * _PAGE
        memory = mmap.mmap(-1, room + 2 * _PAGE)
        self._maps.append(memory)
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        for guard in (address, address + _PAGE + room):
            assert _LIBC.mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(_PAGE), _NO_ACCESS) == 0
        offset = _PAGE if self._at_start else _PAGE + room - size
        np.frombuffer(memory, np.uint8, size, offset)[...] = 0xA5
        return np.frombuffer(memory, dtype, count, offset).reshape(shape)

    def copy(self, array: Array) -> Array:
        """A fenced copy of `array`."""
        fenced = self.array(array.shape, array.dtype)
        fenced[...] = array
        return fenced


def call_guarded(library: Path, inputs: Sequence[Array], *, at_start: bool) -> list[Array]:
    """The results of the first entry of the library at a path, on fenced arrays.

    `AssertionError` where the entry leaves them or reports a failure.
    """
    receiver, sender = _PROCESSES.Pipe(duplex=False)
    child = _PROCESSES.Process(target=_call, args=(sender, library, [*inputs], at_start))
    child.start()
    sender.close()
    try:
        answer: int | list[Array] = receiver.recv()
    except EOFError:
        child.join()
        answer = child.exitcode or 0
    finally:
        receiver.close()
    child.join()
    assert isinstance(answer, list), f"the call ended with {answer}"
    return answer


def _call(sender: Connection, path: Path, inputs: Sequence[Array], at_start: bool) -> None:
    """Call the library's first entry, and send its results, or its status where that is not 0."""
    fence = Fence(at_start=at_start)
    library = load(path)
    entry, names = library.manifest.entries[0], library_names(library.manifest).entries[0]
    results = [fence.array(_sizes(result.shape), _numpy(result.dtype)) for result in entry.results]
    arrays = [*map(fence.copy, inputs), *results]
    workspace_bytes: Callable[[], int] = library.handle[names.workspace]
    workspace_bytes.restype = ctypes.c_int64
    workspace = fence.array((workspace_bytes(),), np.dtype(np.uint8))
    context = Context(ctypes.sizeof(Context), workspace.ctypes.data, workspace.size)
    function = library.handle[names.with_context]
    status: int = function(ctypes.byref(context), *(ctypes.c_void_p(array.ctypes.data) for array in arrays))
    sender.send(status or results)


def _numpy(dtype: DType) -> np.dtype[Any]:
    return np.dtype(dtype.numpy)


def _sizes(shape: Sequence[int | str]) -> tuple[int, ...]:
    return tuple(map(int, shape))
