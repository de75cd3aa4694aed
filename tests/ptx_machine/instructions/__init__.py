"""The instructions, by family; importing this package fills the tables `PLAIN` and `CONTROL`."""

from ptx_machine.instructions import (
    arithmetic,
    async_copies,
    atomics,
    bits,
    control,
    matrix,
    mbarrier,
    memory_access,
    moves,
    warp,
    wgmma,
)
from ptx_machine.instructions.table import CONTROL, PLAIN

__all__ = [
    "CONTROL",
    "PLAIN",
    "arithmetic",
    "async_copies",
    "atomics",
    "bits",
    "control",
    "matrix",
    "mbarrier",
    "memory_access",
    "moves",
    "warp",
    "wgmma",
]
