"""The GPUs that this process can use: those of the driver, or others that stand in for them."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from tenfold_rt.cuda.device import Device
from tenfold_rt.cuda.driver import Driver, open_driver
from tenfold_rt.errors import DeviceError


class _Devices:
    """What is known: the driver or why there is none, the devices opened so far, and stand-ins."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.driver: Driver | None = None
        self.error: DeviceError | None = None
        self.opened: dict[int, Device] = {}
        self.others: Sequence[Device] | None = None

    def of_driver(self) -> Driver:
        """The driver, looked for once; `DeviceError` where there is none."""
        with self.lock:
            if self.error is not None:
                raise DeviceError(self.error.what, mend=self.error.mend)
            if self.driver is None:
                try:
                    self.driver = open_driver()
                except DeviceError as error:
                    self.error = error
                    raise
            return self.driver


_DEVICES = _Devices()


def why_unavailable() -> str:
    """Why no GPU can be used, with what to do about it; empty where one can be."""
    try:
        if device_count():
            device(0)
            return ""
    except DeviceError as error:
        return str(error)
    return "there is no GPU of NVIDIA's"


def gpu_available() -> bool:
    """Whether programs can run on a GPU."""
    return not why_unavailable()


def device_count() -> int:
    """How many GPUs there are; `DeviceError` where there is no driver."""
    if _DEVICES.others is not None:
        return len(_DEVICES.others)
    return int(_DEVICES.of_driver().call("cuDeviceGetCount"))


def device(index: int) -> Device:
    """GPU number `index`; `DeviceError` where there is none of that number, or where it cannot be used."""
    count = device_count()
    if index >= count:
        known = "there are none" if not count else "there is only cuda:0" if count == 1 else f"there are {count}"
        raise DeviceError(f"there is no device cuda:{index}", mend=f"{known}, counted from 0")
    if _DEVICES.others is not None:
        return _DEVICES.others[index]
    with _DEVICES.lock:
        found = _DEVICES.opened.get(index)
        if found is None:
            found = _DEVICES.opened[index] = _opened(index)
        return found


def _opened(index: int) -> Device:
    """GPU number `index` of the driver's; what it takes to work with one is loaded with the first."""
    return importlib.import_module("tenfold_rt.cuda.driver_device").DriverDevice(_DEVICES.of_driver(), index)


@contextmanager
def standing_in(devices: Sequence[Device]) -> Generator[None]:
    """While this lasts, `devices` take the place of the driver's, in the whole process."""
    before, _DEVICES.others = _DEVICES.others, devices
    try:
        yield
    finally:
        _DEVICES.others = before
