"""Memory of a GPU: allocations that give themselves back, and dense tensors over them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold_rt import dtypes
from tenfold_rt.cuda.alignment import ALIGNMENT
from tenfold_rt.cuda.device import Device
from tenfold_rt.dtypes import DType
from tenfold_rt.errors import DTypeError

Array = NDArray[Any]


class Allocation:
    """Device memory, which is given back when nobody refers to this any more."""

    __slots__ = ("__weakref__", "address", "device", "size")

    def __init__(self, device: Device, size: int) -> None:
        self.device = device
        self.size = max(size, ALIGNMENT)
        self.address = device.allocate(self.size)

    def __del__(self) -> None:
        if hasattr(self, "address"):
            self.device.free(self.address)


class DeviceArray:
    """A dense, row-major tensor in a device's memory.  `owner` keeps the memory alive: it may be another library's."""

    __slots__ = ("__weakref__", "address", "device", "dtype", "is_writable", "owner", "shape")

    def __init__(
        self,
        device: Device,
        dtype: DType,
        shape: Sequence[int],
        owner: object,
        address: int,
        *,
        is_writable: bool = True,
    ) -> None:
        self.device, self.dtype, self.shape = device, dtype, tuple(shape)
        self.owner, self.address = owner, address
        self.is_writable = is_writable

    @staticmethod
    def empty(device: Device, dtype: DType, shape: Sequence[int]) -> DeviceArray:
        """Memory for a tensor; `DeviceMemoryError` where there is too little."""
        owner = Allocation(device, math.prod(shape) * dtype.itemsize)
        return DeviceArray(device, dtype, shape, owner, owner.address)

    @staticmethod
    def of_host(device: Device, array: Array) -> DeviceArray:
        """A copy of an array of NumPy's in the device's memory; `DTypeError` for elements that tensors do not have."""
        dtype = dtypes.from_numpy(array.dtype)
        if dtype is None:
            raise DTypeError(f"an array of {array.dtype} elements cannot be in a GPU's memory")
        made = DeviceArray.empty(device, dtype, array.shape)
        made.take(array)
        return made

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The number of bytes."""
        return self.size * self.dtype.itemsize

    def take(self, array: Array) -> None:
        """Let the elements be those of an array of the same element type and as many elements."""
        if self.size:
            dense = np.ascontiguousarray(array)
            self.device.copy_in(self.address, dense.reshape(-1).view(np.uint8).data)

    def host(self) -> Array:
        """A copy as an array of NumPy's; waits for the work that computes it."""
        made = np.empty(self.shape, self.dtype.numpy)
        if self.size:
            self.device.copy_out(made.reshape(-1).view(np.uint8).data, self.address)
        return made

    def copy(self) -> DeviceArray:
        """A copy in memory of its own, on the same device."""
        made = DeviceArray.empty(self.device, self.dtype, self.shape)
        if self.size:
            self.device.copy(made.address, self.address, self.nbytes)
        return made

    def copied_to(self, device: Device) -> DeviceArray:
        """A copy on another device, through the memory of the CPU."""
        return DeviceArray.of_host(device, self.host())

    def part(self, offset: int, shape: Sequence[int]) -> DeviceArray:
        """The elements from number `offset` on, as a tensor of `shape` over the same memory.

        It refers to the tensor that has all of the memory, as an array of NumPy's does to its base.
        """
        whole = self.owner if isinstance(self.owner, DeviceArray) else self
        address = self.address + offset * self.dtype.itemsize
        return DeviceArray(self.device, self.dtype, shape, whole, address, is_writable=self.is_writable)

    def overlaps(self, other: DeviceArray) -> bool:
        """Whether a byte belongs to both."""
        return (
            self.device is other.device
            and self.address < other.address + other.nbytes
            and other.address < self.address + self.nbytes
        )
