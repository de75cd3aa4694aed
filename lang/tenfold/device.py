"""`tn.Device`, which users call `tn.device`: where a tensor's memory is, such as `cpu` or `cuda:1`.

Every name that PyTorch's programs ask for can be made and compared; tensors are on the CPU alone so far.
"""

from __future__ import annotations

import re

from tenfold_rt.errors import ArgumentError, UnsupportedError

_TYPES = ("cpu", "cuda", "mps", "xpu", "meta")
_NAME = re.compile(r"(?P<type>[a-z]+)(:(?P<index>0|[1-9][0-9]*))?")


class Device:
    """A kind of device and, where one is meant, its number: `device("cuda:1")`, `device("cuda", 1)`.

    `ArgumentError` for a name that means no device.
    """

    __slots__ = ("index", "type")

    def __init__(self, type: str | Device, index: int | None = None) -> None:  # noqa: A002 - PyTorch's name
        name = str(type)
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


CPU = Device("cpu")


def usable_device(device: Device | str) -> Device:
    """`device` where tensors can be on it; `UnsupportedError` where there is no back end for it."""
    asked = Device(device)
    if asked.type != CPU.type:
        raise UnsupportedError(f"there is no back end for {asked}", mend="use the cpu")
    return asked
