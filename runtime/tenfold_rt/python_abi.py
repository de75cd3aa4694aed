"""The table through which compiled libraries reach Python and NumPy, so that they need not link to either.

A library's Python functions are compiled into it, but it has no undefined Python symbol: the loader fills
this table once per process and hands it over.  `Slot` is its layout; `DTYPE_BASE` onwards are the NumPy dtype
objects in the order of `dtypes.ALL`.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import sys
from enum import IntEnum, auto

import numpy as np

from tenfold_rt import dtypes, threads
from tenfold_rt.dtypes import DType
from tenfold_rt.errors import ArtifactError

# Offsets into CPython's and NumPy's objects where the header takes 16 bytes: every build but free-threaded
# ones.
OBJECT_TYPE = 8
ARRAY_DATA, ARRAY_NDIM, ARRAY_DIMENSIONS, ARRAY_DTYPE, ARRAY_FLAGS = 16, 24, 32, 56, 64
CTYPES_DATA = 16
DTYPE_BYTE_ORDER, DTYPE_TYPE_NUMBER = 26, 28

C_CONTIGUOUS, ALIGNED, WRITEABLE = 0x1, 0x100, 0x400
METHOD_FASTCALL, METHOD_KEYWORDS = 0x80, 0x02


class Slot(IntEnum):
    """What the table holds, each a pointer."""

    ARRAY_TYPE = 0
    FLOAT_TYPE = auto()
    LONG_TYPE = auto()
    TRUE = auto()
    FALSE = auto()
    NOT_IMPLEMENTED = auto()
    ARTIFACT_ERROR = auto()
    ARRAY_NEW = auto()
    FLOAT_AS_DOUBLE = auto()
    LONG_AS_DOUBLE = auto()
    LONG_AS_LONG_LONG = auto()
    LONG_AS_UNSIGNED_LONG_LONG = auto()
    ERROR_OCCURRED = auto()
    ERROR_CLEAR = auto()
    ERROR_SET_STRING = auto()
    TUPLE_NEW = auto()
    TUPLE_SET_ITEM = auto()
    SAVE_THREAD = auto()
    RESTORE_THREAD = auto()
    INCREF = auto()
    DECREF = auto()
    VECTORCALL = auto()
    CONTEXT = auto()
    """The context of every call: see `tenfold_rt.threads`."""
    POOL = auto()
    """The pool of threads that all libraries use: the first that has one puts it here."""
    CAPSULE_NEW = auto()
    SET_HANDLER = auto()
    RESULT_HANDLER = auto()
    """NumPy's handler for the memory of large results: the first library that has one puts its capsule here."""
    OWN_CONTEXT_TYPE = auto()
    """The type of what an entry is bound to if its calls have a context of their own."""


DTYPE_BASE = 32
TABLE_SLOTS = DTYPE_BASE + len(dtypes.ALL)

_FUNCTIONS = {
    Slot.FLOAT_AS_DOUBLE: "PyFloat_AsDouble",
    Slot.LONG_AS_DOUBLE: "PyLong_AsDouble",
    Slot.LONG_AS_LONG_LONG: "PyLong_AsLongLong",
    Slot.LONG_AS_UNSIGNED_LONG_LONG: "PyLong_AsUnsignedLongLong",
    Slot.ERROR_OCCURRED: "PyErr_Occurred",
    Slot.ERROR_CLEAR: "PyErr_Clear",
    Slot.ERROR_SET_STRING: "PyErr_SetString",
    Slot.TUPLE_NEW: "PyTuple_New",
    Slot.TUPLE_SET_ITEM: "PyTuple_SetItem",
    Slot.SAVE_THREAD: "PyEval_SaveThread",
    Slot.RESTORE_THREAD: "PyEval_RestoreThread",
    Slot.INCREF: "Py_IncRef",
    Slot.DECREF: "Py_DecRef",
    Slot.VECTORCALL: "PyObject_Vectorcall",
    Slot.CAPSULE_NEW: "PyCapsule_New",
}
_OBJECTS: dict[Slot, object] = {
    Slot.ARRAY_TYPE: np.ndarray,
    Slot.FLOAT_TYPE: float,
    Slot.LONG_TYPE: int,
    Slot.TRUE: True,
    Slot.FALSE: False,
    Slot.NOT_IMPLEMENTED: NotImplemented,
    Slot.ARTIFACT_ERROR: ArtifactError,
    Slot.OWN_CONTEXT_TYPE: threads.OwnContext,
}
# Places in NumPy's own table, which never change: since NumPy 1.7, and since 1.22.
_NUMPY_FUNCTIONS = {Slot.ARRAY_NEW: 94, Slot.SET_HANDLER: 304}


def dtype_slot(dtype: DType) -> int:
    """The slot of a NumPy dtype object."""
    return DTYPE_BASE + dtypes.ALL.index(dtype)


@functools.cache
def table() -> ctypes.Array[ctypes.c_void_p]:
    """The table, filled on first use and kept for the life of the process."""
    if sys.implementation.name != "cpython":
        raise ArtifactError(f"compiled libraries are called through CPython's C API; this is {sys.implementation.name}")
    if "t" in sys.abiflags:
        raise ArtifactError(
            "compiled libraries cannot be called from a free-threaded build of Python yet",
            mend="use a build with the GIL, or call the library from C",
        )
    filled = (ctypes.c_void_p * TABLE_SLOTS)()
    for slot, name in _FUNCTIONS.items():
        filled[slot] = ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value
    for slot, value in _OBJECTS.items():
        filled[slot] = id(value)
    for dtype in dtypes.ALL:
        if dtype is not dtypes.bf16:
            # NumPy keeps one immortal object for each built-in dtype, so a borrowed reference is enough.
            filled[dtype_slot(dtype)] = id(dtype.numpy)
    filled[Slot.CONTEXT] = threads.context_address()
    numpy_functions = _numpy_functions()
    for slot, place in _NUMPY_FUNCTIONS.items():
        filled[slot] = numpy_functions[place]
    return filled


def provide_bfloat16() -> None:
    """Complete the table for libraries with bf16 arrays: the dtype's package is imported for them alone."""
    table()[dtype_slot(dtypes.bf16)] = id(dtypes.bf16.numpy)


def _numpy_functions() -> ctypes.Array[ctypes.c_void_p]:
    # NumPy 2 moved its core; asking 2.x for the old name warns, so the new one is tried first.
    try:
        module = importlib.import_module("numpy._core._multiarray_umath")
    except ModuleNotFoundError:
        module = importlib.import_module("numpy.core._multiarray_umath")
    get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
    get_pointer.restype, get_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    address = get_pointer(module._ARRAY_API, None)
    return (ctypes.c_void_p * (max(_NUMPY_FUNCTIONS.values()) + 1)).from_address(address)
