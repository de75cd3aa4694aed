"""`tn.cuda`: what programs ask about NVIDIA's GPUs.  Tenfold has no back end for them, so there are none to use."""

from __future__ import annotations


def is_available() -> bool:
    """Whether tensors can be on a GPU of NVIDIA's: False."""
    return False


def device_count() -> int:
    """How many GPUs of NVIDIA's tensors can be on: 0."""
    return 0
