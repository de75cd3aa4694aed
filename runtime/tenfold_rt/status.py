"""What an entry of a library returns: 0, or a negative number that says why it did nothing.

The numbers are part of the ABI and are never reused.  The compiler writes the messages into every library,
and the names into every header.
"""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """A status by its name in the C header, less the `TENFOLD_` prefix."""

    OK = 0
    EARG = -1
    ESHAPE = -2
    EALIGN = -3
    EALIAS = -4
    ENOMEM = -5
    EABI = -6
    ECPU = -7

    @property
    def message(self) -> str:
        """What the status means, for a person."""
        return _MESSAGES[self]


_MESSAGES = {
    Status.OK: "success",
    Status.EARG: "a pointer to a tensor that is not empty is null",
    Status.ESHAPE: "a size is negative or larger than the function was compiled for",
    Status.EALIGN: "a pointer is not aligned to its elements, or the workspace not to 64 bytes",
    Status.EALIAS: "a result overlaps a parameter or another result",
    Status.ENOMEM: "out of memory for the workspace",
    Status.EABI: "tenfold_ctx.size is smaller than this library's tenfold_ctx",
    Status.ECPU: "this CPU lacks instructions that the library was compiled for",
}


class GpuStatus(IntEnum):
    """What a library for GPUs may return beside; numbers that `Status` does not have."""

    ENODRIVER = -8
    EOLDDRIVER = -9
    ENOGPU = -10
    EGPUCODE = -11
    EGPUMEM = -12

    @property
    def message(self) -> str:
        """What the status means, for a person."""
        return _GPU_MESSAGES[self]


DRIVER_FAILURE = -1000
"""`DRIVER_FAILURE - n` says that the driver gave the result n (a `CUresult`)."""

_GPU_MESSAGES = {
    GpuStatus.ENODRIVER: "there is no driver for NVIDIA's GPUs (libcuda.so.1)",
    GpuStatus.EOLDDRIVER: "NVIDIA's driver is too old for this library",
    GpuStatus.ENOGPU: "there is no GPU of NVIDIA's that can be used",
    GpuStatus.EGPUCODE: "this GPU, or its driver, does not run the code that the library was compiled to",
    GpuStatus.EGPUMEM: "out of memory on the GPU",
}
