"""Memory shared with other libraries through DLPack, bfloat16 included, which NumPy leaves out.

NumPy takes and gives such a tensor as one of 16-bit integers: only the type in the DLPack structure differs.  A
structure belongs to whoever was given its capsule, so that type can be changed in place.
"""

from __future__ import annotations

import ctypes
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tenfold_rt import dtypes

Array = NDArray[Any]

_UNSIGNED, _BFLOAT = 1, 4
VERSIONED_OFFSET = 32
"""Where the tensor lies within a structure that begins with a version."""


class DLTensor(ctypes.Structure):
    """DLTensor of dlpack.h."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("byte_offset", ctypes.c_uint64),
    )


class _Capsule:
    """A capsule as an object that NumPy can be given."""

    def __init__(self, capsule: object, device: tuple[int, int]) -> None:
        self._capsule, self._device = capsule, device

    def __dlpack__(self, **_: object) -> object:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._device


def array_over(data: Any) -> Array:
    """The memory of another library's tensor as an array; NumPy's errors where it cannot be shared."""
    try:
        return np.from_dlpack(data)
    except RuntimeError:  # an element type that NumPy does not have
        capsule = capsule_of(data)
        tensor = tensor_of(capsule)
        if (tensor.code, tensor.bits, tensor.lanes) != (_BFLOAT, 16, 1):
            raise
        tensor.code = _UNSIGNED
        shared = np.from_dlpack(cast("Any", _Capsule(capsule, data.__dlpack_device__())))
        return shared.view(dtypes.bf16.numpy)


def capsule_of(data: Any, **arguments: Any) -> object:
    """The capsule that a tensor of another library gives; one with a version, which says whether it may be written."""
    try:
        return data.__dlpack__(max_version=(1, 0), **arguments)
    except TypeError:  # from before there were versions
        return data.__dlpack__(**arguments)


def capsule_over(array: Array, **arguments: Any) -> object:
    """A capsule over the memory of `array`, as its `__dlpack__` gives."""
    if dtypes.from_numpy(array.dtype) is not dtypes.bf16:
        return array.__dlpack__(**arguments)
    capsule = array.view(np.uint16).__dlpack__(**arguments)
    tensor_of(capsule).code = _BFLOAT
    return capsule


def tensor_of(capsule: object) -> DLTensor:
    """The tensor in a capsule, in place."""
    address, is_versioned = content_of(capsule)
    return DLTensor.from_address(address + (VERSIONED_OFFSET if is_versioned else 0))


def content_of(capsule: object) -> tuple[int, bool]:
    """The address of the structure in a capsule, and whether that begins with a version."""
    get_name, get_pointer = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    get_name.restype, get_name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    get_pointer.restype, get_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    name: bytes = get_name(capsule)
    address: int = get_pointer(capsule, name)
    return address, name == b"dltensor_versioned"
