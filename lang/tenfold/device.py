"""`tn.Device`, which users call `tn.device`: where a tensor's memory is, such as `cpu` or `cuda:1`.

Every name that PyTorch's programs ask for can be made and compared.  Tensors are on the devices that `usable_device`
gives, of each of which there is one object: the CPU, and NVIDIA's GPUs where there are some.
"""

from __future__ import annotations

import re
import threading
from typing import Any

from tenfold_rt.cuda import devices
from tenfold_rt.cuda.device import Device as GpuDevice
from tenfold_rt.errors import ArgumentError, UnsupportedError

_TYPES = ("cpu", "cuda", "mps", "xpu", "meta")
_NAME = re.compile(r"(?P<type>[a-z]+)(:(?P<index>0|[1-9][0-9]*))?")


class Device:
    """A kind of device and, where one is meant, its number: `device("cuda:1")`, `device("cuda", 1)`.

    In a `with` block, tensors that are made of sizes and numbers are on it.  `ArgumentError` for a name that means no
    device.
    """

    __slots__ = ("index", "type")

    def __init__(self, type: str | Device | int, index: int | None = None) -> None:  # noqa: A002 - PyTorch's name
        name = f"cuda:{type}" if isinstance(type, int) else str(type)
        match = _NAME.fullmatch(name)
        if match is None or match["type"] not in _TYPES:
            raise ArgumentError(
                f"{name!r} is not a device", mend=f"use one of {', '.join(_TYPES)}, or cuda:0 and so on"
            )
        if index is not None and (match["index"] is not None or index < 0):
            raise ArgumentError(f"device {name!r} with index {index}", mend="give one index of at least 0")
        self.type: str = match["type"]
        self.index: int | None = index if match["index"] is None else int(match["index"])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        index = "" if self.index is None else f", index={self.index}"
        return f"device(type={self.type!r}{index})"

    def __enter__(self) -> Device:
        _STATE.before.append(_STATE.default)
        _STATE.default = usable_device(self)
        return self

    def __exit__(self, *_: object) -> None:
        _STATE.default = _STATE.before.pop()


CPU = Device("cpu")

_CUDA: dict[int, Device] = {}
"""The one object of each GPU that tensors have been on."""


class _State(threading.local):
    """Of a thread: the device that tensors are made on, those of the `with` blocks around it, and the GPU in use."""

    def __init__(self) -> None:
        self.default = CPU
        self.before: list[Device] = []
        self.current = 0


_STATE = _State()


def usable_device(device: Device | str | int) -> Device:
    """`device` where tensors can be on it, `cuda` with its number.

    `UnsupportedError` where there is no back end for it; `DeviceError` says why there is no GPU, or none of a number.
    """
    asked = device if isinstance(device, Device) else Device(device)
    if asked.type == CPU.type:
        return CPU
    if asked.type != "cuda":
        raise UnsupportedError(f"there is no back end for {asked}", mend="use cpu or cuda")
    found = named_device(asked)
    gpu(found)
    return found


def named_device(device: Device) -> Device:
    """The one object of the CPU or of a GPU, whether or not there is such a GPU."""
    if device.type == CPU.type:
        return CPU
    index = _STATE.current if device.index is None else device.index
    return _CUDA.setdefault(index, Device("cuda", index))


def gpu(device: Device) -> GpuDevice:
    """The GPU that `device`, which is usable and not the CPU, means."""
    assert device.index is not None
    return devices.device(device.index)


def device_of_gpu(device: GpuDevice) -> Device:
    """What tensors on a GPU say that they are on."""
    return _CUDA.setdefault(device.index, Device("cuda", device.index))


def default_device() -> Device:
    """The device that tensors are on which are made of sizes and numbers, where none is given."""
    return _STATE.default


def get_default_device() -> Device:
    """The device that tensors are on which are made of sizes and numbers, where none is given."""
    return _STATE.default


def set_default_device(device: Device | str | int | None) -> None:
    """Let tensors that are made of sizes and numbers be on `device`, in this thread; None is the CPU."""
    _STATE.default = CPU if device is None else usable_device(device)


def current_gpu() -> int:
    """The number that `cuda` without one means, in this thread."""
    return _STATE.current


def set_current_gpu(index: int) -> None:
    """Let `cuda` without a number mean another one, in this thread; `DeviceError` where there is none of it."""
    devices.device(index)
    _STATE.current = index


def asked_device(device: Any) -> Device | None:
    """The usable device that an argument `device=` means; None where none was given."""
    return None if device is None else usable_device(device)
