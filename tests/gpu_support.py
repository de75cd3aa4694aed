"""Devices that stand in for GPUs in a test, with nothing left of those that stood in before."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager

from tenfold.lazy.graph import GRAPH
from tenfold.random import generator
from tenfold_rt.cuda import devices
from tenfold_rt.cuda.device import Device


@contextmanager
def standing_in(stand_ins: Sequence[Device]) -> Generator[None]:
    """While this lasts, the GPUs are `stand_ins`; what was compiled for others, and their generators, are forgotten."""
    _forget()
    try:
        with devices.standing_in(stand_ins):
            yield
    finally:
        _forget()


def _forget() -> None:
    GRAPH._groups.clear()
    generator._OF_GPUS.clear()
