"""The memory that tensors lie in, for writing: what overlaps is one storage, so that views stay views.

A tensor is where it begins in its storage and how far its elements are apart, both counted in elements.  Memory that
no tensor covers is not written.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tenfold.specs import array_element_type
from tenfold.tracing import Array
from tenfold_rt.dtypes import DType
from tenfold_rt.frozen import frozen


@frozen
class Placed:
    """An array in a storage: `offset` and `strides` in elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(slots=True)
class Storage:
    """Memory from one address to below another, of elements of one type; its arrays keep it alive."""

    key: str
    dtype: DType
    start: int
    stop: int

    @property
    def elements(self) -> int:
        return (self.stop - self.start) // self.dtype.itemsize

    def bytes(self) -> memoryview:
        """What it holds, without a copy."""
        if self.start == self.stop:
            return memoryview(b"")
        return memoryview((ctypes.c_ubyte * (self.stop - self.start)).from_address(self.start))


class Placement:
    """Where each of some arrays is; keeps the arrays alive."""

    def __init__(self, arrays: Iterable[Array]) -> None:
        self._arrays = {id(array): _plain(array) for array in arrays}
        self._storages: dict[int, Storage] = {}
        self.storages: list[Storage] = []
        extents = sorted((_phase(array), *_extent(array), key) for key, array in self._arrays.items())
        phase: tuple[str, int] | None = None
        for new_phase, start, stop, key in extents:
            last = self.storages[-1] if self.storages else None
            if last is None or new_phase != phase or start >= last.stop or start == stop:
                dtype = array_element_type(self._arrays[key])
                last = Storage(str(len(self.storages)), dtype, start, stop)
                self.storages.append(last)
            last.stop = max(last.stop, stop)
            phase = new_phase
            self._storages[key] = last

    def of(self, array: Array) -> Placed:
        """The place of one of the arrays that this was made for."""
        storage, plain = self._storages[id(array)], self._arrays[id(array)]
        itemsize = plain.itemsize
        offset = (_extent(plain)[0] - storage.start) // itemsize
        return Placed(storage, offset, plain.shape, tuple(stride // itemsize for stride in plain.strides))


def _plain(array: Array) -> Array:
    """`array`, or a copy where its elements are not a whole number of elements apart, or go backwards."""
    fits = all(stride >= 0 and stride % array.itemsize == 0 for stride in array.strides)
    return array if fits and array.size else np.array(array, order="C", copy=True)


def _extent(array: Array) -> tuple[int, int]:
    """The address of the first element and the one behind the last."""
    start = array.ctypes.data
    if not array.size:
        return start, start
    last = sum((size - 1) * stride for size, stride in zip(array.shape, array.strides, strict=True))
    return start, start + last + array.itemsize


def _phase(array: Array) -> tuple[str, int]:
    """Arrays that can share a storage have equal ones: of one type, and a whole number of elements apart."""
    return array.dtype.name, array.ctypes.data % array.itemsize
