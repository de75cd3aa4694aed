"""The memory of large results: used again when an array dies, and never while anything sees it."""

from __future__ import annotations

import ctypes
import gc
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tenfold as tn
from tenfold_rt import python_abi
from tenfold_rt.python_abi import Slot
from tenfoldc.artifact import result_memory_text

Array = np.ndarray[Any, np.dtype[Any]]
SIZE = 2 * result_memory_text.LARGE // 4
X = np.arange(SIZE, dtype=np.float32)


@tn.compile
def plus(x: Any, y: Any) -> Any:
    return x + y


def test_the_memory_of_a_dead_result_is_used_again() -> None:
    result = plus(X, 1.0)
    address = result.ctypes.data
    del result
    gc.collect()
    assert plus(X, 2.0).ctypes.data == address


def test_results_that_are_kept_share_nothing() -> None:
    results = [plus(X, float(number)) for number in range(6)]
    assert len({result.ctypes.data for result in results}) == 6
    for number, result in enumerate(results):
        np.testing.assert_array_equal(result, X + np.float32(number))


def test_a_view_keeps_its_memory() -> None:
    view = plus(X, 1.0)[10:20]
    others = [plus(X, 5.0) for _ in range(3)]
    np.testing.assert_array_equal(view, X[10:20] + 1)
    assert not any(np.shares_memory(view, other) for other in others)


def test_a_result_owns_its_memory_which_is_aligned_for_any_vector() -> None:
    result = plus(X, 1.0)
    assert result.flags.owndata
    assert result.base is None
    assert result.ctypes.data % 64 == 0


@pytest.mark.parametrize("size", [7, SIZE // 2, SIZE + 1000])
def test_a_result_can_be_resized(size: int) -> None:
    result = plus(X, 1.0)
    result.resize(size, refcheck=False)
    expected = np.resize(X + 1, size)
    expected[SIZE:] = 0
    np.testing.assert_array_equal(result, expected)


def test_a_pickled_result_comes_back() -> None:
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(plus(X, 3.0))), X + 3)


def test_other_arrays_keep_numpy_s_handler() -> None:
    plus(X, 1.0)
    made: Array = np.empty(SIZE, np.float32)
    handlers = pytest.importorskip("numpy._core.multiarray").get_handler_name
    assert handlers(plus(X, 1.0)) == "tenfold"
    assert handlers(made) == handlers() != "tenfold"


def test_threads_do_not_see_each_other_s_results() -> None:
    wrong: list[int] = []

    def work(number: int) -> None:
        for turn in range(30):
            if not np.array_equal(plus(X, float(number + turn)), X + np.float32(number + turn)):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(100 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_memory_of_its_own() -> None:
    """In a process of its own: that of the tests may hold threads of other libraries, and cannot fork."""
    program = (
        "import os, numpy as np, tenfold as tn\n"
        f"x = np.ones({SIZE}, np.float32)\n"
        "plus = tn.compile(lambda x, n: x + n)\n"
        "kept, dead = plus(x, np.float32(1)), plus(x, np.float32(2))\n"
        "del dead\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    good = np.array_equal(plus(x, np.float32(7)), x + 7) and np.array_equal(kept, x + 1)\n"
        "    os._exit(0 if good else 1)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "assert np.array_equal(kept, x + 1)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_results_may_outlive_the_interpreter() -> None:
    program = (
        "import numpy as np, tenfold as tn\n"
        f"x = np.ones({SIZE}, np.float32)\n"
        "f = tn.compile(lambda x: (x + 1, x * 2))\n"
        "kept, (_, dead) = f(x), f(x)\n"
        "del dead\n"
        "class Late:\n"
        "    def __init__(self, value): self.value = value\n"
        "    def __del__(self): del self.value\n"
        "kept[0].flags.writeable = False\n"
        "late = Late(f(x)); late.me = late\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env=os.environ | {"PYTHONMALLOC": "debug"})


class _Handler(ctypes.Structure):
    """NumPy's PyDataMem_Handler."""

    _fields_ = (
        ("name", ctypes.c_char * 127),
        ("version", ctypes.c_uint8),
        ("context", ctypes.c_void_p),
        ("malloc", ctypes.c_void_p),
        ("calloc", ctypes.c_void_p),
        ("realloc", ctypes.c_void_p),
        ("free", ctypes.c_void_p),
    )


def _functions() -> tuple[Callable[[int], int], Callable[[int], None]]:
    """The handler's `malloc` and `free`."""
    plus(X, 1.0)
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_char_p]
    handler = _Handler.from_address(get(python_abi.table()[Slot.RESULT_HANDLER], b"mem_handler"))
    malloc = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)(handler.malloc)
    free = ctypes.PYFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)(handler.free)
    return lambda size: malloc(None, size), lambda memory: free(None, memory, 0)


def _used_again(size: int, count: int) -> int:
    """How many of `count` blocks of `size` bytes are at hand after they were freed.

    Slightly smaller ones are asked for: a block's capacity, which lies before it, tells a used one from a new one.
    """
    malloc, free = _functions()
    for memory in [malloc(size) for _ in range(count)]:
        free(memory)
    blocks = [malloc(size - 4096) for _ in range(count)]
    capacities = [ctypes.c_size_t.from_address(memory - 64).value for memory in blocks]
    for memory in blocks:
        free(memory)
    return capacities.count(size)


def test_idle_memory_is_bounded_in_bytes() -> None:
    assert _used_again(result_memory_text.MOST_BYTES // 4, 6) == 4


def test_idle_memory_is_bounded_in_blocks() -> None:
    most = result_memory_text.MOST_BLOCKS
    assert _used_again(result_memory_text.LARGE + 65536, most + 5) == most


def test_a_block_beyond_the_bound_is_not_kept() -> None:
    assert _used_again(result_memory_text.MOST_BYTES + 8192, 1) == 0


def test_a_block_far_too_large_is_left_to_others() -> None:
    malloc, free = _functions()
    free(malloc(16 << 20))
    memory = malloc(8 << 20)
    assert ctypes.c_size_t.from_address(memory - 64).value == 8 << 20
    free(memory)


def test_blocks_that_nobody_wants_are_released() -> None:
    malloc, free = _functions()
    free(malloc(24 << 20))
    for _ in range(result_memory_text.PATIENCE + 1):
        free(malloc(result_memory_text.LARGE))
    memory = malloc((24 << 20) - 4096)
    assert ctypes.c_size_t.from_address(memory - 64).value == (24 << 20) - 4096
    free(memory)
