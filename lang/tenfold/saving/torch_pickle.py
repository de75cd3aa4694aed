"""Writes the pickle of a PyTorch file: containers, numbers and strings, and tensors as PyTorch describes them.

Only what `torch.load(weights_only=True)` reads is written, in the second version of the pickle format, which names
PyTorch's own functions; Python's `pickle` would need to import them.
"""

from __future__ import annotations

import pickle
import struct
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from tenfold.device import Device
from tenfold.saving import torch_names
from tenfold.saving.arrays import array_of
from tenfold.saving.storages import Placed, Placement, Storage
from tenfold.size import Size
from tenfold.specs import ElementType
from tenfold.tracing import Array, TensorValue, here
from tenfold_rt.errors import ArgumentError


def pickled(obj: object) -> tuple[bytes, list[Storage], Placement]:
    """The pickle of `obj`, the storages that it refers to, and what keeps their memory alive.

    `ArgumentError` for anything but tensors, numbers, strings, bytes, None, element types, sizes, devices, and dicts,
    lists, tuples and sets of them.
    """
    collector = _Writer(None)
    try:
        collector.write(obj, "")
    except RecursionError:
        raise ArgumentError("save: the object is nested too deeply", where=here()) from None
    placement = Placement(collector.arrays.values())
    writer = _Writer(placement, collector.arrays)
    writer.write(obj, "")
    return b"".join([pickle.PROTO, b"\x02", *writer.parts, pickle.STOP]), placement.storages, placement


class _Writer:
    """One walk over an object; the first, without a placement, collects the arrays of its tensors."""

    def __init__(self, placement: Placement | None, arrays: dict[int, Array] | None = None) -> None:
        self.parts: list[bytes] = []
        self.arrays: dict[int, Array] = {} if arrays is None else arrays
        self._placement = placement
        self._open: set[int] = set()

    def write(self, value: object, place: str) -> None:
        """Append what makes `value`, which is at `place` of the whole."""
        if isinstance(value, TensorValue):
            self._tensor(value)
            return
        writer = _WRITERS.get(type(value))
        if writer is None:
            raise ArgumentError(
                f"save: the object{place} is a {type(value).__qualname__}, which is not saved",
                where=here(),
                mend="save tensors, numbers, strings, and dicts, lists and tuples of them, such as model.state_dict()",
            )
        if id(value) in self._open:
            raise ArgumentError(f"save: the object{place} contains itself", where=here())
        self._open.add(id(value))
        writer(self, value, place)
        self._open.discard(id(value))

    def plain(self, *values: object) -> None:
        """Append what makes each of `values`."""
        for value in values:
            self.write(value, "")

    def global_(self, name: str) -> None:
        """Append a reference to what a module of the reader's has under a name: `module name`."""
        module, _, attribute = name.partition(" ")
        self.parts.append(pickle.GLOBAL + f"{module}\n{attribute}\n".encode())

    def called(self, name: str, *arguments: object) -> None:
        """Append what calls a global with arguments."""
        self.global_(name)
        self.plain(arguments)
        self.parts.append(pickle.REDUCE)

    def items(self, values: Iterable[tuple[object, str]], end: bytes) -> None:
        """Append a mark, the values, each with its place, and what takes all since the mark."""
        self.parts.append(pickle.MARK)
        for value, place in values:
            self.write(value, place)
        self.parts.append(end)

    def pairs(self, mapping: dict[object, object], place: str) -> None:
        """Append what puts the items of a dict into the one made last."""
        self.items(
            ((part, f"{place}[{key!r}]") for key, value in mapping.items() for part in (key, value)), pickle.SETITEMS
        )

    def _tensor(self, tensor: TensorValue) -> None:
        array = self.arrays.get(id(tensor))
        if array is None:
            array = self.arrays[id(tensor)] = array_of(tensor)
        if self._placement is None:
            return
        requires_grad = bool(getattr(tensor, "requires_grad", False))
        if not getattr(tensor, "is_parameter", False):
            self._placed(self._placement.of(array), requires_grad)
            return
        self.global_(torch_names.REBUILD_PARAMETER)
        self.parts.append(pickle.MARK)
        self._placed(self._placement.of(array), False)
        self.plain(requires_grad)
        self.called("collections OrderedDict")  # hooks
        self.parts += [pickle.TUPLE, pickle.REDUCE]

    def _placed(self, placed: Placed, requires_grad: bool) -> None:
        dtype = placed.storage.dtype
        typed = torch_names.STORAGE_NAMES.get(dtype)
        self.global_(torch_names.REBUILD_TENSOR_WITH_DTYPE if typed is None else torch_names.REBUILD_TENSOR)
        self.parts.append(pickle.MARK)
        self._storage(placed.storage, typed)
        self.plain(placed.offset, placed.shape, placed.strides, requires_grad)
        self.called("collections OrderedDict")  # hooks
        if typed is None:
            self.global_(f"torch {dtype.numpy_name}")
        self.parts += [pickle.TUPLE, pickle.REDUCE]

    def _storage(self, storage: Storage, typed: str | None) -> None:
        self.parts.append(pickle.MARK)
        self.plain("storage")
        self.global_(torch_names.UNTYPED_STORAGE if typed is None else f"torch {typed}")
        self.plain(storage.key, "cpu", storage.elements * (storage.dtype.itemsize if typed is None else 1))
        self.parts += [pickle.TUPLE, pickle.BINPERSID]


def _none(writer: _Writer, value: None, place: str) -> None:
    writer.parts.append(pickle.NONE)


def _bool(writer: _Writer, value: bool, place: str) -> None:
    writer.parts.append(pickle.NEWTRUE if value else pickle.NEWFALSE)


def _int(writer: _Writer, value: int, place: str) -> None:
    if -(2**31) <= value < 2**31:
        writer.parts.append(pickle.BININT + struct.pack("<i", value))
        return
    number = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    if len(number) > 255:
        raise ArgumentError(f"save: the object{place} is an int of {value.bit_length()} bits", where=here())
    writer.parts.append(pickle.LONG1 + bytes([len(number)]) + number)


def _float(writer: _Writer, value: float, place: str) -> None:
    writer.parts.append(pickle.BINFLOAT + struct.pack(">d", value))


def _complex(writer: _Writer, value: complex, place: str) -> None:
    writer.called("__builtin__ complex", value.real, value.imag)


def _str(writer: _Writer, value: str, place: str) -> None:
    text = value.encode("utf-8", "surrogatepass")
    writer.parts.append(pickle.BINUNICODE + struct.pack("<I", len(text)) + text)


def _bytes(writer: _Writer, value: bytes, place: str) -> None:
    writer.called("_codecs encode", value.decode("latin1"), "latin1")


def _tuple(writer: _Writer, value: tuple[object, ...], place: str) -> None:
    writer.items(((item, f"{place}[{number}]") for number, item in enumerate(value)), pickle.TUPLE)


def _list(writer: _Writer, value: list[object], place: str) -> None:
    writer.parts.append(pickle.EMPTY_LIST)
    writer.items(((item, f"{place}[{number}]") for number, item in enumerate(value)), pickle.APPENDS)


def _set(writer: _Writer, value: set[object], place: str) -> None:
    writer.global_("__builtin__ set")
    _list(writer, list(value), place)
    writer.parts += [pickle.TUPLE1, pickle.REDUCE]


def _dict(writer: _Writer, value: dict[object, object], place: str) -> None:
    writer.parts.append(pickle.EMPTY_DICT)
    writer.pairs(value, place)


def _ordered_dict(writer: _Writer, value: OrderedDict[object, object], place: str) -> None:
    """An ordered dict with its attributes, of which a state dict has `_metadata`."""
    writer.called("collections OrderedDict")
    writer.pairs(value, place)
    attributes: dict[object, object] = {name: a for name, a in vars(value).items() if not name.startswith("__")}
    if attributes:
        _dict(writer, attributes, place)
        writer.parts.append(pickle.BUILD)


def _counter(writer: _Writer, value: Counter[object], place: str) -> None:
    writer.global_("collections Counter")
    _dict(writer, dict(value), place)
    writer.parts += [pickle.TUPLE1, pickle.REDUCE]


def _element_type(writer: _Writer, value: ElementType, place: str) -> None:
    writer.global_(f"torch {value.element.numpy_name}")


def _size(writer: _Writer, value: Size, place: str) -> None:
    writer.called("torch Size", tuple(value))


def _device(writer: _Writer, value: Device, place: str) -> None:
    writer.called("torch device", str(value))


_WRITERS: dict[type, Callable[[_Writer, Any, str], None]] = {
    type(None): _none,
    bool: _bool,
    int: _int,
    float: _float,
    complex: _complex,
    str: _str,
    bytes: _bytes,
    tuple: _tuple,
    list: _list,
    set: _set,
    dict: _dict,
    OrderedDict: _ordered_dict,
    Counter: _counter,
    ElementType: _element_type,
    Size: _size,
    Device: _device,
}
