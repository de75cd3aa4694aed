"""`tn.accelerator`: what programs ask about a device faster than the CPU.  Tenfold has a back end for none."""

from __future__ import annotations

from tenfold.device import Device


def is_available() -> bool:
    """Whether there is an accelerator that tensors can be on: False."""
    return False


def device_count() -> int:
    """How many accelerators tensors can be on: 0."""
    return 0


def current_accelerator(check_available: bool = False) -> Device | None:
    """The accelerator that is in use: None, with or without a look at whether it is available."""
    return None
