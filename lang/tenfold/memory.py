"""Memory of values: arrays of NumPy's, and tensors in a GPU's memory.  What differs between them is decided here."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from tenfold.device import CPU, Device, device_of_gpu, gpu
from tenfold.layouts import Layout, dense_strides
from tenfold.specs import array_element_type
from tenfold_rt.cuda.memory import DeviceArray
from tenfold_rt.errors import ArgumentError
from tenfoldc.ir.types import TensorType

Array: TypeAlias = NDArray[Any]
Memory: TypeAlias = "Array | DeviceArray"


def device_of(memory: Memory) -> Device:
    """The device that it is of."""
    return device_of_gpu(memory.device) if isinstance(memory, DeviceArray) else CPU


def type_of(memory: Memory) -> TensorType:
    """Element type and shape."""
    dtype = memory.dtype if isinstance(memory, DeviceArray) else array_element_type(memory)
    return TensorType(dtype, memory.shape)


def is_writable(memory: Memory) -> bool:
    """Whether elements may be changed."""
    return memory.is_writable if isinstance(memory, DeviceArray) else bool(memory.flags.writeable)


def is_dense(memory: Memory) -> bool:
    """Whether elements lie one after another in row-major order."""
    return isinstance(memory, DeviceArray) or bool(memory.flags.c_contiguous)


def strides_of(memory: Memory) -> tuple[int, ...]:
    """How many elements lie between neighbours along each axis."""
    if isinstance(memory, DeviceArray):
        return dense_strides(memory.shape)
    return tuple(stride // memory.itemsize for stride in memory.strides)


def on_host(memory: Memory) -> Array:
    """The elements as an array of NumPy's: the memory itself, or a copy of a GPU's once that has computed them."""
    return memory.host() if isinstance(memory, DeviceArray) else memory


def on_device(memory: Memory, device: Device) -> Memory:
    """The elements in memory of `device`: a copy, unless they are there already."""
    if device_of(memory) is device:
        return memory
    host = on_host(memory)
    return host if device is CPU else DeviceArray.of_host(gpu(device), host)


def overwrite(target: Memory, source: Memory) -> None:
    """Write the elements of `source`, of the same type and on the same device, to the memory of `target`."""
    if not isinstance(target, DeviceArray):
        assert not isinstance(source, DeviceArray)
        np.copyto(target, source)
        return
    assert isinstance(source, DeviceArray)
    if target.nbytes and target.address != source.address:
        given = source.copy() if target.overlaps(source) else source
        target.device.copy(target.address, given.address, target.nbytes)


def require_writable(memory: Memory) -> None:
    """`ArgumentError` for memory that may not be changed."""
    if not is_writable(memory):
        raise ArgumentError("the memory of a tensor that is changed in place is read-only", mend="clone() it first")


def memory_part(memory: Memory, layout: Layout) -> Memory | None:
    """The elements that a layout names, over the same memory; None where a GPU's would have gaps between them."""
    if isinstance(memory, DeviceArray):
        return memory.part(layout.offset, layout.shape) if layout.is_dense else None
    return array_part(memory, layout)


def array_part(array: Array, layout: Layout) -> Array:
    """The elements of an array that a layout names, over the same memory."""
    if 0 in layout.shape:
        return array.reshape(-1)[:0].reshape(layout.shape)
    reach = sum((size - 1) * stride for size, stride in zip(array.shape, array.strides, strict=True))
    memory = as_strided(array, (reach // array.itemsize + 1,), (array.itemsize,))
    strides = tuple(stride * array.itemsize for stride in layout.strides)
    return as_strided(memory[layout.offset :], layout.shape, strides)
