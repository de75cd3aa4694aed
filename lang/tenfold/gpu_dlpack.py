"""DLPack for tensors in a GPU's memory: capsules over ours, and those of other libraries as ours.

A capsule that was taken from another library is kept and dropped with the tensor: its destructor gives memory back.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
from collections.abc import Sequence
from typing import Any

from tenfold.dlpack import DLTensor, capsule_of, content_of, tensor_of
from tenfold.layouts import dense_strides
from tenfold_rt import dtypes
from tenfold_rt.cuda.device import Device
from tenfold_rt.cuda.memory import DeviceArray
from tenfold_rt.dtypes import DType
from tenfold_rt.errors import DeviceError

_CUDA = 2
_VERSION = (1, 0)
_READ_ONLY = 1
_LEGACY_STREAM = 1
_NAME, _VERSIONED_NAME = b"dltensor", b"dltensor_versioned"


def _code(dtype: DType) -> int:
    """What dlpack.h calls the family of an element type."""
    if dtype is dtypes.bf16:
        return 4
    if dtype.is_bool:
        return 6
    if dtype.is_complex:
        return 5
    return 2 if dtype.is_float else 1 if dtype.is_unsigned else 0


_DTYPES = {(_code(dtype), dtype.bits): dtype for dtype in dtypes.ALL if dtype.bits >= 8}


class _Managed(ctypes.Structure):
    """DLManagedTensor."""

    _fields_ = (("tensor", DLTensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p))


class _ManagedVersioned(ctypes.Structure):
    """DLManagedTensorVersioned."""

    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", DLTensor),
    )


_GIVEN_AWAY: dict[int, tuple[object, ...]] = {}
"""By the addresses of structures that other libraries have: what must live as long as they do."""


@ctypes.CFUNCTYPE(None, ctypes.c_void_p)
def _delete(address: int) -> None:
    """Let go of what a structure refers to: its new owner needs it no more."""
    _GIVEN_AWAY.pop(address, None)


@ctypes.PYFUNCTYPE(None, ctypes.c_void_p)
def _destroy(capsule: int) -> None:
    """Let go of what an unused capsule refers to."""
    is_valid, get_pointer = ctypes.pythonapi["PyCapsule_IsValid"], ctypes.pythonapi["PyCapsule_GetPointer"]
    is_valid.argtypes = get_pointer.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
    get_pointer.restype = ctypes.c_void_p
    for name in (_NAME, _VERSIONED_NAME):
        if is_valid(capsule, name):
            _GIVEN_AWAY.pop(get_pointer(capsule, name), None)


_NEW_CAPSULE = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)(
    ("PyCapsule_New", ctypes.pythonapi)
)


def gpu_capsule(memory: DeviceArray, strides: Sequence[int], *, is_versioned: bool) -> object:
    """A capsule over a GPU's memory, whose elements are `strides` apart; with the version that it has, if asked."""
    rank = len(memory.shape)
    sizes, steps = (ctypes.c_int64 * rank)(*memory.shape), (ctypes.c_int64 * rank)(*strides)
    tensor = DLTensor(
        memory.address,
        _CUDA,
        memory.device.index,
        rank,
        _code(memory.dtype),
        memory.dtype.bits,
        1,
        ctypes.addressof(sizes),
        ctypes.addressof(steps),
        0,
    )
    deleter = ctypes.cast(_delete, ctypes.c_void_p).value
    flags = 0 if memory.is_writable else _READ_ONLY
    made: Any = (
        _ManagedVersioned(*_VERSION, None, deleter, flags, tensor) if is_versioned else _Managed(tensor, None, deleter)
    )
    address = ctypes.addressof(made)
    _GIVEN_AWAY[address] = (made, sizes, steps, memory)
    destructor = ctypes.cast(_destroy, ctypes.c_void_p)
    return _NEW_CAPSULE(address, _VERSIONED_NAME if is_versioned else _NAME, destructor)


class _Lender:
    """A capsule of another library's; its stream waits for ours before it has the memory back."""

    def __init__(self, capsule: object, device: Device) -> None:
        self._capsule, self._device = capsule, device

    def __del__(self) -> None:
        with contextlib.suppress(DeviceError):
            self._device.let_wait(_LEGACY_STREAM)


def gpu_tensor(data: Any, device: Device) -> DeviceArray:
    """The memory of another library's tensor on `device`; our stream waits for what computes its elements.

    `BufferError` where its elements have gaps between them or are of a type that tensors do not have.
    """
    capsule = capsule_of(data, stream=device.stream)
    tensor = tensor_of(capsule)
    sizes = _numbers(tensor.shape, tensor.ndim)
    dtype = _DTYPES.get((tensor.code, tensor.bits)) if tensor.lanes == 1 else None
    if dtype is None:
        raise BufferError(f"its elements are of type {tensor.code} with {tensor.bits} bits")
    steps = _numbers(tensor.strides, tensor.ndim) if tensor.strides else dense_strides(sizes)
    is_dense = 0 in sizes or all(
        size == 1 or step == wanted for size, step, wanted in zip(sizes, steps, dense_strides(sizes), strict=True)
    )
    if not is_dense:
        raise BufferError("its elements are not one after another in row-major order: give x.contiguous()")
    start, is_versioned = content_of(capsule)
    flags = _ManagedVersioned.from_address(start).flags if is_versioned else 0
    address: int = (tensor.data or 0) + tensor.byte_offset
    return DeviceArray(device, dtype, sizes, _Lender(capsule, device), address, is_writable=not flags & _READ_ONLY)


def _numbers(address: int | None, count: int) -> tuple[int, ...]:
    return tuple(itertools.islice((ctypes.c_int64 * count).from_address(address), count)) if count and address else ()
