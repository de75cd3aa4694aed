"""What the lanes of a warp do together: shfl vote match redux activemask elect, and setmaxnreg."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ptx_machine.errors import Uninitialised
from ptx_machine.instructions.control import collective
from ptx_machine.instructions.table import builds, builds_control
from ptx_machine.operands import Array, Assembler, Execute
from ptx_machine.scalars import B32, PRED, U32
from ptx_machine.syntax import Register

if TYPE_CHECKING:
    from ptx_machine.wave import Wave


@builds_control("shfl")
def build_shuffle(a: Assembler) -> Execute:
    a.required("sync")
    mode = a.required("up", "down", "bfly", "idx")
    a.required("b32")
    a.end(5)
    first, second = a.pair(0)
    write = a.write(first, B32)
    write_valid = a.write(second, PRED) if second is not None else None
    read, lane_argument, bounds = a.source(1, B32), a.source(2, U32), a.source(3, U32)

    def execute(w: Wave) -> None:
        lane = w.lane[w.ix]
        b, c = lane_argument(w).astype(np.int64) & 31, bounds(w).astype(np.int64)
        segment, clamp = c >> 8 & 31, c & 31
        lowest = lane & segment
        highest = lowest | (clamp & ~segment)
        if mode == "up":
            source = lane - b
            valid = source >= highest
        elif mode == "idx":
            source = lowest | (b & ~segment)
            valid = source <= highest
        else:
            source = lane + b if mode == "down" else lane ^ b
            valid = source <= highest
        source = np.where(valid, source, lane)
        write_shuffled(w, source, read(w), write)
        if write_valid is not None:
            write_valid(w, valid)

    return collective(a, a.source(4, U32), execute)


def write_shuffled(w: Wave, source: Array, value: Any, write: Any) -> None:
    """Give each active thread the value of lane `source` of its warp, which must be active too."""
    where = w.indices + source - w.lane[w.ix]
    position = np.full(w.size + 32, -1, np.int64)
    position[w.ix] = np.arange(w.count)
    chosen = position[where]
    if (chosen < 0).any():
        at = int(np.argmax(chosen < 0))
        w.fault(Uninitialised, f"a value from lane {int(source[at])}, which takes no part", at)
    write(w, w.each(value)[chosen])


def _by_warp(w: Wave, flags: Array) -> Array:
    """For each active thread the bits of its warp's active lanes whose flag holds."""
    totals = np.bincount(
        w.warp[w.ix], weights=np.where(flags, w.lane_bit[w.ix], 0), minlength=w.blocks * w.warps
    ).astype(np.uint32)
    return totals[w.warp[w.ix]]


@builds_control("vote")
def build_vote(a: Assembler) -> Execute:
    a.required("sync")
    mode = a.required("all", "any", "uni", "ballot")
    a.required("b32" if mode == "ballot" else "pred")
    a.end(3)
    write, read = a.target(0, B32 if mode == "ballot" else PRED), a.source(1, PRED)

    def execute(w: Wave) -> None:
        flags = w.each(read(w))
        ballot, present = _by_warp(w, flags), _by_warp(w, np.ones(w.count, np.bool_))
        results = {
            "ballot": ballot,
            "all": ballot == present,
            "any": ballot != 0,
            "uni": (ballot == present) | (ballot == 0),
        }
        write(w, results[mode])

    return collective(a, a.source(2, U32), execute)


@builds_control("match")
def build_match(a: Assembler) -> Execute:
    mode = a.required("any", "all")
    a.required("sync")
    scalar = a.scalar("b32", "b64")
    a.end(3)
    first, second = a.pair(0)
    write, read = a.write(first, B32), a.source(1, scalar)
    write_all = a.write(second, PRED) if second is not None else None

    def execute(w: Wave) -> None:
        values = w.each(read(w))
        result = np.zeros(w.count, np.uint32)
        for value in np.unique(values):
            here = values == value
            result[here] = _by_warp(w, here)[here]
        if mode == "all":
            same = result == _by_warp(w, np.ones(w.count, np.bool_))
            result = np.where(same, result, np.uint32(0))
            if write_all is not None:
                write_all(w, same)
        write(w, result)

    return collective(a, a.source(2, U32), execute)


@builds_control("redux")
def build_redux(a: Assembler) -> Execute:
    a.required("sync")
    name = a.required("add", "min", "max", "and", "or", "xor")
    scalar = a.scalar("u32", "s32", "b32")
    a.end(3)
    combine = {
        "add": np.add,
        "min": np.minimum,
        "max": np.maximum,
        "and": np.bitwise_and,
        "or": np.bitwise_or,
        "xor": np.bitwise_xor,
    }[name]
    write, read = a.target(0, scalar), a.source(1, scalar)

    def execute(w: Wave) -> None:
        values, warps = w.each(read(w)), w.warp[w.ix]
        _, starts, back = np.unique(warps, return_index=True, return_inverse=True)
        write(w, combine.reduceat(values, starts)[back])

    return collective(a, a.source(2, U32), execute)


@builds("activemask")
def build_active_mask(a: Assembler) -> Execute:
    a.required("b32")
    a.end(1)
    write = a.target(0, B32)
    return lambda w: write(w, _by_warp(w, np.ones(w.count, np.bool_)))


@builds_control("elect")
def build_elect(a: Assembler) -> Execute:
    a.required("sync")
    a.end(2)
    first, second = a.pair(0)
    if not isinstance(second, Register):
        raise a.unknown("elect gives a predicate")
    write_lane, write = a.write(first, B32), a.write(second, PRED)

    def execute(w: Wave) -> None:
        present = _by_warp(w, np.ones(w.count, np.bool_))
        lowest = present & (~present + np.uint32(1))
        write(w, w.lane_bit[w.ix] == lowest)
        write_lane(w, np.bitwise_count(lowest - np.uint32(1)).astype(np.uint32))

    return collective(a, a.source(1, U32), execute)


@builds("setmaxnreg")
def build_set_registers(a: Assembler) -> Execute:
    a.required("inc", "dec")
    a.sequence("sync", "aligned", "u32")
    a.end(1)
    number = a.integer(0)
    if number % 8 or not 24 <= number <= 256:
        raise a.unknown(f"{number} registers")
    return lambda w: None
