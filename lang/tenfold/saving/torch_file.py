"""PyTorch's files: a zip of a pickle, `data.pkl`, and the memory of its tensors, one member for each storage.

Members are stored as they are, each beginning at a multiple of 64 bytes, so that a file can be mapped into memory.
"""

from __future__ import annotations

import math
import struct
from collections import Counter, OrderedDict
from collections.abc import Iterable
from typing import IO, Any
from zipfile import ZIP64_LIMIT, ZIP_STORED, ZipFile, ZipInfo

import numpy as np

from tenfold.device import Device
from tenfold.layouts import Layout
from tenfold.nn.parameter import Parameter
from tenfold.saving import torch_names
from tenfold.saving.arrays import tensor_over, view_of
from tenfold.saving.torch_pickle import pickled
from tenfold.saving.torch_unpickle import Function, hashable, unpickled
from tenfold.size import Size
from tenfold.specs import ELEMENT_TYPES, ElementType
from tenfold.tensor import Tensor
from tenfold.tracing import Array
from tenfold_rt.dtypes import DType
from tenfold_rt.errors import FileFormatError
from tenfold_rt.frozen import frozen

_ALIGNMENT = 64
_LOCAL_HEADER, _EXTRA_HEADER, _ZIP64_EXTRA = 30, 4, 20
_PADDING = 0x4246  # the extra field in which PyTorch pads, too
_CHUNK = 1 << 20


def save_torch(obj: object, file: IO[bytes]) -> None:
    """Write `obj` to an open file so that `torch.load(weights_only=True)` reads it."""
    pickle, storages, _placement = pickled(obj)
    with ZipFile(file, "w", ZIP_STORED, allowZip64=True) as archive:
        _add(archive, "data.pkl", pickle)
        _add(archive, "byteorder", b"little")
        for storage in storages:
            _add(archive, f"data/{storage.key}", storage.bytes())
        _add(archive, "version", b"3\n")


def _add(archive: ZipFile, name: str, data: bytes | memoryview) -> None:
    member = ZipInfo(f"archive/{name}")
    start = archive.start_dir + _LOCAL_HEADER + len(member.filename) + _EXTRA_HEADER
    start += _ZIP64_EXTRA if len(data) * 1.05 > ZIP64_LIMIT else 0
    padding = -start % _ALIGNMENT
    member.extra = struct.pack("<HH", _PADDING, padding) + bytes(padding)
    member.file_size = len(data)
    with archive.open(member, "w") as file:
        file.write(data)


def load_torch(archive: ZipFile, path: str, size: int) -> object:
    """The object in an archive of `size` bytes; its tensors share memory as those that were saved did.

    `UnsafeFileError` where it refers to anything but what state dicts are made of; `FileFormatError` where it is
    damaged, cut short, or not of weights.
    """
    return _Reader(archive, path, size).object()


@frozen
class _StorageType:
    """A class of storages: of elements of one type, or of bytes."""

    dtype: DType | None


@frozen
class _Memory:
    """A storage: its bytes, and the type of its elements where it has one."""

    key: str
    data: Array
    dtype: DType | None


class _Reader:
    """One file that is read: its members by name, and the storages met so far."""

    def __init__(self, archive: ZipFile, path: str, size: int) -> None:
        self._archive, self._path = archive, path
        members = archive.infolist()
        if any(member.compress_type != ZIP_STORED for member in members):
            raise FileFormatError(f"load: {path}: its members are compressed, as PyTorch does not write them")
        if sum(member.file_size for member in members) > size:
            raise FileFormatError(f"load: {path}: its members claim more than the {size} bytes of the file")
        self._members = {member.filename: member for member in members}
        self._root = self._find_root()
        self._storages: dict[str, Array] = {}
        self._bases: dict[tuple[str, DType], Tensor] = {}

    def object(self) -> object:
        """What was saved."""
        order = self._members.get(f"{self._root}/byteorder")
        if order is not None and self._archive.read(order) != b"little":
            raise FileFormatError(f"load: {self._path}: its numbers are in the byte order of another machine")
        return unpickled(self._archive.read(f"{self._root}/data.pkl"), self._path, self._names(), self._memory)

    def _find_root(self) -> str:
        """The directory that all members are in."""
        roots = [name.removesuffix("/data.pkl") for name in self._members if name.endswith("/data.pkl")]
        if len(roots) != 1:
            raise FileFormatError(f"load: {self._path} is a zip archive, but not one of PyTorch's or of arrays")
        if f"{roots[0]}/constants.pkl" in self._members:
            raise FileFormatError(
                f"load: {self._path} is a program of TorchScript", mend="save the state dict alone, model.state_dict()"
            )
        return roots[0]

    def _names(self) -> dict[str, object]:
        """What the file may refer to."""
        functions = {
            torch_names.REBUILD_TENSOR: self._tensor,
            torch_names.REBUILD_TENSOR_WITH_DTYPE: self._tensor_with_dtype,
            torch_names.REBUILD_PARAMETER: self._parameter,
            torch_names.REBUILD_PARAMETER_WITH_STATE: self._parameter,
            "collections OrderedDict": _ordered_dict,
            "collections Counter": _counter,
            "__builtin__ set": _set,
            "builtins set": _set,
            "__builtin__ complex": complex,
            "builtins complex": complex,
            "_codecs encode": _encoded,
            "torch Size": Size,
            "torch device": Device,
        }
        names: dict[str, object] = {name: Function(name, function) for name, function in functions.items()}
        names[torch_names.UNTYPED_STORAGE] = _StorageType(None)
        names |= {f"torch {name}": _StorageType(dtype) for name, dtype in torch_names.STORAGES.items()}
        return names | {f"torch {name}": ELEMENT_TYPES[dtype] for name, dtype in torch_names.DTYPES.items()}

    def _memory(self, identity: tuple[Any, ...]) -> _Memory:
        """The storage of a persistent id: the word `storage`, its class, its key, the device it was on, its size."""
        word, kind, key, _, elements = identity
        if word != "storage" or not isinstance(kind, _StorageType) or not isinstance(elements, int):
            raise ValueError(f"no storage, {word!r}")
        data = self._storages.get(key)
        if data is None:
            data = self._storages[key] = self._data(f"{self._root}/data/{key}")
        if elements * (kind.dtype.itemsize if kind.dtype else 1) != data.size:
            raise FileFormatError(f"load: {self._path}: storage {key} has {data.size} bytes, not {elements} elements")
        return _Memory(key, data, kind.dtype)

    def _data(self, name: str) -> Array:
        member = self._members[name]
        data = np.empty(member.file_size, np.uint8)
        position = 0
        with self._archive.open(member) as file:
            while chunk := file.read(_CHUNK):
                data[position : position + len(chunk)] = np.frombuffer(chunk, np.uint8)
                position += len(chunk)
        if position != data.size:
            raise FileFormatError(f"load: {self._path}: {name} is cut short")
        return data

    def _tensor(self, memory: Any, offset: Any, shape: Any, strides: Any, grad: Any, *rest: Any) -> Tensor:
        """A tensor over typed memory; what else is known of it is its hooks, which are not kept, and its flags."""
        return self._view(memory, memory.dtype, (offset, shape, strides), grad, rest[1:])

    def _tensor_with_dtype(
        self, memory: Any, offset: Any, shape: Any, strides: Any, grad: Any, hooks: Any, dtype: Any, *rest: Any
    ) -> Tensor:
        """A tensor over bytes."""
        if not isinstance(dtype, ElementType):
            raise TypeError(f"the element type is a {type(dtype).__name__}")
        return self._view(memory, dtype.element, (offset, shape, strides), grad, rest)

    def _view(
        self, memory: Any, dtype: DType | None, layout: tuple[Any, ...], grad: Any, flags: Iterable[Any]
    ) -> Tensor:
        if not isinstance(memory, _Memory) or dtype is None:
            raise TypeError("a tensor over something that is no storage of its type")
        if any(flags):
            raise FileFormatError(
                f"load: {self._path}: a tensor is kept as the conjugate or the negative of its memory",
                mend="save tensor.resolve_conj().resolve_neg()",
            )
        offset, shape, strides = layout
        if min((offset, *shape, *strides)) < 0 or len(shape) != len(strides):
            raise ValueError(f"a tensor of shape {shape} with strides {strides} at {offset}")
        last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
        if math.prod(shape) and (last + 1) * dtype.itemsize > memory.data.size:
            raise FileFormatError(f"load: {self._path}: a tensor reaches beyond the end of storage {memory.key}")
        made = self._over(memory, dtype, Layout(tuple(shape), tuple(strides), offset if math.prod(shape) else 0))
        return made.requires_grad_() if grad is True else made

    def _over(self, memory: _Memory, dtype: DType, layout: Layout) -> Tensor:
        """A tensor over part of a storage, a view of the one tensor over all of it where it can be."""
        key = memory.key, dtype
        whole = memory.data[: memory.data.size // dtype.itemsize * dtype.itemsize].view(dtype.numpy)
        base = self._bases.get(key)
        if base is None:
            covers = layout.is_dense and layout.offset == 0 and math.prod(layout.shape) == whole.size
            base = tensor_over(whole.reshape(layout.shape) if covers else whole, self._path, f"storage {memory.key}")
            self._bases[key] = base
            if covers:
                return base
        return view_of(base, layout)

    def _parameter(self, tensor: Any, grad: Any, *_: Any) -> Tensor:
        """A parameter; its hooks and attributes are not kept."""
        if not isinstance(tensor, Tensor):
            raise TypeError(f"a parameter over a {type(tensor).__name__}")
        return Parameter(tensor, requires_grad=grad is True)


def _ordered_dict() -> OrderedDict[object, object]:
    return OrderedDict()


def _counter(counts: dict[object, int]) -> Counter[object]:
    if type(counts) is not dict:
        raise TypeError("a Counter that is not made of a dict")
    return Counter(counts)


def _set(items: list[object]) -> set[object]:
    return {hashable(item) for item in items}


def _encoded(text: str, encoding: str) -> bytes:
    """Bytes, which old pickles keep as text."""
    if encoding != "latin1":
        raise ValueError(f"bytes in the encoding {encoding!r}")
    return text.encode("latin1")
