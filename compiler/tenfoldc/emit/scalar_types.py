"""Element types as LLVM names them: types in registers and in memory, literals, alignments."""

from __future__ import annotations

import ctypes
import struct

import numpy as np

from tenfold_rt.dtypes import DType
from tenfold_rt.errors import UnsupportedError

_FLOATS = {32: "float", 64: "double"}


def register_type(dtype: DType) -> str:
    """The type of a value in a register: a bool is one bit, a float of 16 bits an integer that holds its bits."""
    if not dtype.compiled:
        raise UnsupportedError(f"code for {dtype.name} is not generated", mend="convert to a type that is compiled")
    if dtype.is_bool:
        return "i1"
    return _FLOATS[dtype.bits] if dtype.is_float and not dtype.is_half else f"i{dtype.bits}"


def memory_type(dtype: DType) -> str:
    """The type of an element in memory: a bool is one byte."""
    return "i8" if dtype.is_bool else register_type(dtype)


def vector_type(dtype: DType, lanes: int) -> str:
    """`lanes` elements in one register; a single lane is a scalar."""
    return register_type(dtype) if lanes == 1 else f"<{lanes} x {register_type(dtype)}>"


def overload(dtype: DType) -> str:
    """The suffix of an intrinsic's name for this type: `f32`, `i64`."""
    return f"f{dtype.bits}" if dtype.is_float else register_type(dtype)


def literal(value: bool | int | float, dtype: DType) -> str:
    """A constant; integers wrap to the type's width, floats round to the type."""
    if dtype.is_bool:
        return "true" if value else "false"
    if dtype.is_half:
        return str(int(np.asarray(value, dtype.numpy).view(np.int16)))
    if dtype.is_float:
        number = ctypes.c_float(value).value if dtype.bits == 32 else float(value)
        return f"0x{struct.unpack('<Q', struct.pack('<d', number))[0]:016X}"
    wrapped = int(value) & ((1 << dtype.bits) - 1)
    return str(wrapped - (1 << dtype.bits) if wrapped >> (dtype.bits - 1) else wrapped)
