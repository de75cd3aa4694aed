"""Bulk copies between global and shared memory: cp.async.bulk, of runs of bytes and of boxes of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ptx_machine import global_memory
from ptx_machine.addresses import PARAMETER_START, WINDOWS
from ptx_machine.errors import Misaligned, OutOfBounds, PtxError
from ptx_machine.operands import Array, Assembler, Execute, Reader
from ptx_machine.scalars import S32, U32, U64
from ptx_machine.swizzles import swizzled
from ptx_machine.syntax import Address
from ptx_machine.tensor_map import TensorMap

if TYPE_CHECKING:
    from ptx_machine.wave import Wave

_COMPLETION = "mbarrier::complete_tx::bytes"
_SHARED = ("shared::cluster", "shared::cta")


def build_bulk_copy(a: Assembler) -> Execute:
    """`cp.async.bulk` after these words."""
    if a.flag("commit_group"):
        a.end(0)
        return lambda w: w.work.commit_bulk()
    if a.flag("wait_group"):
        reads_only = a.flag("read")
        a.end(1)
        groups = a.integer(0)
        return lambda w: w.work.wait_bulk(groups, reads_only)
    rank = int(a.required("1d", "2d", "3d", "4d", "5d")[0]) if a.flag("tensor") else 0
    to_shared = a.required("global", *_SHARED) != "global"
    a.required("global") if to_shared else a.required("shared::cta")
    if rank:
        a.optional("tile")
    a.required(_COMPLETION if to_shared else "bulk_group")
    hint = a.flag("L2::cache_hint")
    a.end((3 if to_shared else 2) + (not rank) + hint)
    if rank:
        return _tensor_load(a, rank) if to_shared else _tensor_store(a, rank)
    return _load(a) if to_shared else _store(a)


def _each_thread(w: Wave, act: Callable[[int], None]) -> None:
    """Let the active threads act one by one, each alone."""
    before = w.ix, w.count, w.whole
    for position, thread in enumerate(w.indices.tolist()):
        w.ix, w.count, w.whole = slice(thread, thread + 1), 1, False
        act(position)
    w.ix, w.count, w.whole = before


# ---- runs of bytes


def _run(w: Wave, shared: int, address: int, nbytes: int) -> tuple[Array, Array]:
    """The shared and the global addresses of a run, 4 bytes each."""
    if shared % 16 or address % 16 or nbytes % 16:
        w.fault(Misaligned, f"a bulk copy of {nbytes} bytes between {shared} and {address:#x}, not multiples of 16", 0)
    steps = np.arange(0, nbytes, 4)
    return shared + steps, address + steps


def _load(a: Assembler) -> Execute:
    target, source, size, barrier = a.address(0), a.address(1), a.source(2, U32), a.address(3)

    def execute(w: Wave) -> None:
        targets, sources, sizes, barriers = (w.each(read(w)) for read in (target, source, size, barrier))

        def act(i: int) -> None:
            there, here = _run(w, int(targets[i]), int(sources[i]), int(sizes[i]))
            data = global_memory.load(w, here, 4, 1)[:, 0]
            w.work.bulk_load(there, data, int(barriers[i]))

        _each_thread(w, act)

    return execute


def _store(a: Assembler) -> Execute:
    target, source, size = a.address(0), a.address(1), a.source(2, U32)

    def execute(w: Wave) -> None:
        targets, sources, sizes = (w.each(read(w)) for read in (target, source, size))

        def act(i: int) -> None:
            here, there = _run(w, int(sources[i]), int(targets[i]), int(sizes[i]))
            w.work.bulk_store(here, there, np.ones(here.size, np.bool_), 4)

        _each_thread(w, act)

    return execute


# ---- boxes of tensors


class _Box:
    """The operand `[map, {x, y}]`."""

    def __init__(self, a: Assembler, index: int, rank: int) -> None:
        operand = a.operand(index)
        if not isinstance(operand, Address) or operand.coordinates is None or len(operand.coordinates.items) != rank:
            raise a.unknown(f"a tensor map with {rank} coordinates is expected")
        self.rank = rank
        self.map: Reader = a.read(operand.base, U64)
        self.coordinates = [a.read(item, S32) for item in operand.coordinates.items]

    def places(self, w: Wave) -> list[tuple[TensorMap, list[int]]]:
        """The map and the coordinates that each active thread gives."""
        maps = w.each(self.map(w)).tolist()
        columns = [w.each(read(w)).tolist() for read in self.coordinates]
        return [(self._unpack(w, maps[i]), [column[i] for column in columns]) for i in range(w.count)]

    def _unpack(self, w: Wave, address: int) -> TensorMap:
        if address % 64:
            w.fault(Misaligned, f"a tensor map at {address:#x}, no multiple of 64", 0)
        try:
            offset = address - WINDOWS["param"] - PARAMETER_START
            if address >> 56 == WINDOWS["param"] >> 56:
                found = TensorMap.unpack(w.parameters[offset : offset + 128].tobytes())
            else:
                found = TensorMap.unpack(w.memory.read(address, 128))
        except (ValueError, PtxError) as error:
            w.fault(OutOfBounds, f"{error}, at {address:#x}", 0)
        if found.rank != self.rank:
            w.fault(OutOfBounds, f"a tensor map of rank {found.rank} in a copy of rank {self.rank}", 0)
        return found


def _box_addresses(w: Wave, map_: TensorMap, coordinates: list[int], shared: int) -> tuple[Array, Array, Array]:
    """For each element of a box its shared address, its global address, and whether it lies inside the tensor."""
    if shared % 128:
        w.fault(Misaligned, f"a box at shared address {shared}, no multiple of 128", 0)
    counts = [-(-size // step) for size, step in zip(map_.box, (1, *map_.element_strides[1:]), strict=True)]
    strides = (map_.dtype.itemsize, *map_.strides_bytes)
    address, inside = np.full((1,) * map_.rank, map_.address, np.int64), np.ones((1,) * map_.rank, np.bool_)
    for axis, count in enumerate(counts):
        step = map_.element_strides[axis] if axis else 1
        index = coordinates[axis] + step * np.arange(count, dtype=np.int64)
        index = index.reshape([-1 if i == map_.rank - 1 - axis else 1 for i in range(map_.rank)])
        address = address + index * strides[axis]
        inside = inside & (index >= 0) & (index < map_.shape[axis])
    linear = shared + np.arange(address.size, dtype=np.int64) * map_.dtype.itemsize
    return swizzled(linear, map_.swizzle), address.reshape(-1), inside.reshape(-1)


def _tensor_load(a: Assembler, rank: int) -> Execute:
    target, box, barrier = a.address(0), _Box(a, 1, rank), a.address(2)

    def execute(w: Wave) -> None:
        targets, barriers, places = w.each(target(w)), w.each(barrier(w)), box.places(w)

        def act(i: int) -> None:
            map_, coordinates = places[i]
            there, here, inside = _box_addresses(w, map_, coordinates, int(targets[i]))
            size = map_.dtype.itemsize
            data = np.zeros(there.size, f"u{size}")
            if inside.any():
                data[inside] = global_memory.load(w, here[inside], size, 1)[:, 0]
            w.work.bulk_load(there, data, int(barriers[i]))

        _each_thread(w, act)

    return execute


def _tensor_store(a: Assembler, rank: int) -> Execute:
    box, source = _Box(a, 0, rank), a.address(1)

    def execute(w: Wave) -> None:
        sources, places = w.each(source(w)), box.places(w)

        def act(i: int) -> None:
            map_, coordinates = places[i]
            here, there, inside = _box_addresses(w, map_, coordinates, int(sources[i]))
            w.work.bulk_store(here, there, inside, map_.dtype.itemsize)

        _each_thread(w, act)

    return execute
