"""`tn.accelerator`: the device faster than the CPU, whichever it is: NVIDIA's GPUs where there are some."""

from __future__ import annotations

from tenfold import cuda
from tenfold.device import Device


def is_available() -> bool:
    """Whether there is an accelerator that tensors can be on."""
    return cuda.is_available()


def device_count() -> int:
    """How many accelerators tensors can be on."""
    return cuda.device_count() if cuda.is_available() else 0


def current_accelerator(check_available: bool = False) -> Device | None:
    """The accelerator that is in use: `cuda`, or None where there is none."""
    return Device("cuda") if cuda.is_available() else None


def current_device_index() -> int:
    """The number of the accelerator that is in use; `DeviceError` where there is none."""
    return cuda.current_device()


def set_device_index(device: Device | str | int) -> None:
    """Let another accelerator be the one in use, in this thread."""
    cuda.set_device(device)


def synchronize(device: Device | str | int | None = None) -> None:
    """Compute all that is recorded, and wait until the accelerator is done; raises what failed there meanwhile."""
    cuda.synchronize(device)
