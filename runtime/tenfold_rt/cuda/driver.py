"""NVIDIA's driver as cuda-python offers it: calls that raise our errors.

`Driver` stands for the module `cuda.bindings.driver`, which is imported by `open_driver` alone: whatever else imports
this needs neither the package nor a GPU.
"""

from __future__ import annotations

import importlib
from typing import Any

from tenfold_rt.errors import DeviceError

OLDEST_DRIVER = (12, 0)
"""The CUDA version that a driver must know: from it on drivers read PTX 8.0, in which kernels are written."""

STICKY = frozenset({214, 220, 226, 700, 701, 702, 709, 710, 713, 714, 715, 716, 717, 718, 719, 720})
"""Results after which a device refuses all further work of this process: a kernel failed, or the hardware did."""

OUT_OF_MEMORY = 2
_NO_DEVICE = 100
_TRAPS = {
    700: "a kernel read or wrote memory that it may not",
    702: "a kernel took longer than the system allows",
    710: "an assertion in a kernel failed",
    714: "the stack of a kernel was damaged",
    715: "a kernel came upon an illegal instruction",
    716: "a kernel read or wrote at a misaligned address",
    717: "a kernel used an address outside of the address space that it named",
    718: "a kernel jumped to where no code is",
    719: "a kernel was stopped by a trap",
}
_UNREADABLE = {
    209: "has no code for this GPU",
    218: "is not what the driver takes for PTX",
    222: "is of a version of PTX that the driver does not know",
}


class DriverError(DeviceError):
    """A call of the driver that failed; `code` is its result."""

    code = 0


class Driver:
    """The driver's functions and constants; `api` is the module."""

    def __init__(self, api: Any) -> None:
        self.api = api

    def __getattr__(self, name: str) -> Any:
        """A constant or a type of the driver's."""
        return getattr(self.api, name)

    def call(self, name: str, *arguments: Any) -> Any:
        """What the function `name` gives beside its result code: nothing, one value, or a tuple of them.

        `DriverError` where the code is one of failure, or where the driver has no such function.
        """
        try:
            code, *values = getattr(self.api, name)(*arguments)
        except RuntimeError as error:
            raise DeviceError(f"{name}: the driver has no such function: {error}", mend="update the driver") from error
        number = int(code)
        if number:
            raise self._failure(number, name)
        return values[0] if len(values) == 1 else tuple(values) or None

    def _failure(self, code: int, name: str) -> DriverError:
        found = _TRAPS.get(code) or self._text(code)
        mend = "run the program with CUDA_LAUNCH_BLOCKING=1 to learn where" if code in _TRAPS else ""
        if code in _UNREADABLE:
            found, mend = f"the program {_UNREADABLE[code]}", "update the driver, or compile for an older architecture"
        error = DriverError(f"{found} ({name}: {code})", mend=mend)
        error.code = code
        return error

    def _text(self, code: int) -> str:
        """What the driver says of a result code."""
        try:
            found, text = self.api.cuGetErrorString(self.api.CUresult(code))
        except (RuntimeError, ValueError):
            return f"error {code} of the driver"
        return f"error {code} of the driver" if int(found) or text is None else text.decode()


def open_driver(api: Any = None) -> Driver:
    """The driver, ready for use; `DeviceError` says why there is none.

    `api` stands in for the module `cuda.bindings.driver`.
    """
    driver = Driver(_module() if api is None else api)
    try:
        driver.api.cuDriverGetVersion()
    except RuntimeError as error:
        raise DeviceError(
            "there is no driver for NVIDIA's GPUs (libcuda.so.1)", mend="install NVIDIA's driver, or use the cpu"
        ) from error
    try:
        driver.call("cuInit", 0)
    except DriverError as error:
        if error.code == _NO_DEVICE:
            raise DeviceError("there is no GPU of NVIDIA's", mend="use the cpu") from error
        raise DeviceError(f"NVIDIA's driver cannot be used: {error.what}", mend="use the cpu") from error
    version = driver_version(driver)
    if version < OLDEST_DRIVER:
        raise DeviceError(
            "NVIDIA's driver is too old: it is for CUDA {}.{}, and {}.{} is needed".format(*version, *OLDEST_DRIVER),
            mend="update the driver",
        )
    return driver


def driver_version(driver: Driver) -> tuple[int, int]:
    """The newest version of CUDA that the driver knows."""
    number: int = driver.call("cuDriverGetVersion")
    return number // 1000, number % 1000 // 10


def _module() -> Any:
    try:
        return importlib.import_module("cuda.bindings.driver")
    except ImportError as error:
        raise DeviceError(
            f"the package cuda-python, which GPUs are used through, cannot be imported: {error}",
            mend="pip install 'tenfold[cuda]'",
        ) from error
