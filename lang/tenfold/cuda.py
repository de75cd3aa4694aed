"""`tn.cuda`: what programs ask about NVIDIA's GPUs.  Tenfold has no back end for them, so there are none to use."""

from __future__ import annotations


def is_available() -> bool:
    """Whether tensors can be on a GPU of NVIDIA's: False."""
    return False


def device_count() -> int:
    """How many GPUs of NVIDIA's tensors can be on: 0."""
    return 0


def manual_seed(seed: int) -> None:
    """Nothing: no GPU of NVIDIA's draws random numbers."""


def manual_seed_all(seed: int) -> None:
    """Nothing, as `manual_seed`."""
