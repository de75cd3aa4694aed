"""How many rows a block of a chain of products has, and how many columns it takes at a time."""

from __future__ import annotations

from collections.abc import Sequence

from tenfoldc.gpu.tile_memory import ChainMemory
from tenfoldc.loops.ir import ColumnPass
from tenfoldc.loops.tiles import WARP, Multiplier, Tiling
from tenfoldc.target import Target

_SHARED_BYTES = {"sm_80": 163 << 10, "sm_86": 99 << 10, "sm_89": 99 << 10, "sm_90": 227 << 10, "sm_90a": 227 << 10}
"""Shared memory that a block can have."""

_WARP_ROWS = 16
_REGISTERS = 184
"""Registers of a thread for what it holds: the rest of 255 is for addresses and for what is computed."""


def chain_tiling(target: Target, multiplier: Multiplier, passes: tuple[ColumnPass, ...], rows: int) -> Tiling | None:
    """The tiling of a chain; None where it fits neither registers nor shared memory.

    Blocks of the most warps, and as many columns at a time as leave memory for two of them; else what fits at all.
    """
    if not any(each.products for each in passes):
        return None
    widths = (32,) if multiplier is Multiplier.FMA else (64, 32, 16)
    warps = [count for count in (4, 2, 1) if count == 1 or rows > count // 2 * _WARP_ROWS]
    known = [Tiling(multiplier, n * _WARP_ROWS, width, 16, n, 1, 2) for n in warps for width in widths]
    fitting = [tiling for tiling in known if _registers(tiling, passes) <= _REGISTERS]
    largest = [tiling for tiling in fitting if tiling.warps == warps[0]]
    for bound, allowed in ((_SHARED_BYTES[target.cpu] // 2, largest), (_SHARED_BYTES[target.cpu], fitting)):
        for tiling in allowed:
            if ChainMemory(tiling, passes).bytes <= bound:
                return tiling
    return None


def _registers(tiling: Tiling, passes: Sequence[ColumnPass]) -> int:
    """What a thread holds at one time: sums, products, and elements that are multiplied again."""
    memory = ChainMemory(tiling, tuple(passes))
    return max(
        _WARP_ROWS * (sum(memory.of_sum(s).columns for s in each.sums) + _held(each) * tiling.columns) // WARP
        for each in passes
    )


def _held(each: ColumnPass) -> int:
    """How many numbers a thread has for each of its rows and columns."""
    return len(each.products) + max((len(row_sum.elements) for row_sum in each.sums), default=1)
