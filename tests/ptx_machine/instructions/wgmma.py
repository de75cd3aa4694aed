"""Warp-group products: wgmma.fence, mma_async, commit_group, wait_group."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from ptx_machine.errors import BarrierDeadlock
from ptx_machine.instructions.control import collective
from ptx_machine.instructions.matrix import elements, everyone
from ptx_machine.instructions.table import builds_control
from ptx_machine.operands import Array, Assembler, Execute
from ptx_machine.scalars import F32, PRED, SCALARS, U32, U64
from ptx_machine.swizzles import matrix_addresses
from ptx_machine.syntax import Register, Vector

if TYPE_CHECKING:
    from ptx_machine.wave import Wave

_DEPTH = {"bf16": 16, "f16": 16, "tf32": 8}
_THREAD = np.arange(128)
_ROW = _THREAD // 32 * 16 + _THREAD % 32 // 4
_COLUMN = _THREAD % 4


@builds_control("wgmma")
def build_wgmma(a: Assembler) -> Execute:
    action = a.required("fence", "commit_group", "wait_group", "mma_async")
    a.sequence("sync", "aligned")
    if action == "mma_async":
        return _product(a)
    a.end(1 if action == "wait_group" else 0)
    if action == "wait_group":
        groups = a.integer(0)
        return _of_warp_groups(a, lambda w: w.groups.wait(groups))
    if action == "fence":
        return _of_warp_groups(a, lambda w: w.groups.fence())
    return _of_warp_groups(a, lambda w: w.groups.commit())


def _of_warp_groups(a: Assembler, execute: Any) -> Execute:
    """A collective of all threads of warp groups."""

    def checked(w: Wave) -> None:
        first = w.indices.reshape(-1, 128)[:, :1] if w.count % 128 == 0 else None
        starts = None if first is None else (first - w.block[first] * w.threads_per_block) % 128
        if first is None or starts is None or starts.any() or (w.indices.reshape(-1, 128) != first + _THREAD).any():
            w.fault(BarrierDeadlock, "a warp group with missing threads runs one of its instructions", 0)
        execute(w)

    return collective(a, everyone, checked)


def _product(a: Assembler) -> Execute:
    match = re.fullmatch(r"m64n(\d+)k(8|16)", a.peek())
    if match is None or int(match[1]) % 8 or not 8 <= int(match[1]) <= 256:
        raise a.unknown(f"shape {a.peek()}")
    columns, depth = int(match[1]), int(match[2])
    a.required(match[0])
    a.required("f32")
    kind = a.required(*_DEPTH)
    a.required(kind)
    if _DEPTH[kind] != depth:
        raise a.unknown(f"depth {depth} of {kind}")
    return _of_warp_groups(a, _AsyncProduct(a, columns, depth, kind).execute)


class _AsyncProduct:
    """d = a b + d, or a b where the predicate does not hold; a in registers or in shared memory, b in shared memory."""

    def __init__(self, a: Assembler, columns: int, depth: int, kind: str) -> None:
        self.columns, self.depth, self.kind = columns, depth, kind
        self.itemsize = 4 if kind == "tf32" else 2
        in_registers = isinstance(a.operand(1), Vector)
        flags = 0 if kind == "tf32" else 1 if in_registers else 2
        a.end(6 + flags)
        self.accumulators = self._names(a, 0)
        self.fragments = self._names(a, 1) if in_registers else ()
        if len(self.accumulators) != columns // 2 or len(self.fragments) != (4 if in_registers else 0):
            raise a.unknown(f"{len(self.accumulators)} accumulators and {len(self.fragments)} fragments")
        self.views = [a.views.number(item, F32.dtype) for item in a.items(0) if isinstance(item, Register)]
        number = np.arange(len(self.views))[:, None]
        self.places = _ROW + 8 * (number >> 1 & 1), 8 * (number >> 2) + 2 * _COLUMN + (number & 1)
        self.lhs = a.sources(1, U32) if in_registers else [a.source(1, U64)]
        self.rhs, self.keep = a.source(2, U64), a.source(3, PRED)
        self.sign = a.integer(4) * a.integer(5)
        if self.sign not in (1, -1):
            raise a.unknown("a factor is 1 or -1")
        transposed = [a.integer(6 + i) for i in range(flags)]
        self.lhs_transposed = bool(transposed[0]) if flags == 2 else False
        self.rhs_transposed = bool(transposed[-1]) if flags else False

    def _names(self, a: Assembler, index: int) -> tuple[str, ...]:
        items = a.items(index)
        if not all(isinstance(item, Register) and item.bits == 32 for item in items):
            raise a.unknown("registers of 32 bits take part")
        return tuple(item.name for item in items if isinstance(item, Register))

    def execute(self, w: Wave) -> None:
        lhs = [np.array(w.each(read(w))).reshape(-1, 128) for read in self.lhs]
        rhs, keep = w.each(self.rhs(w)).reshape(-1, 128), w.each(self.keep(w)).reshape(-1, 128)
        for i, first in enumerate(w.indices[::128].tolist()):
            for same in (rhs[i], keep[i], *([] if self.fragments else [lhs[0][i]])):
                if (same != same[0]).any():
                    w.fault(BarrierDeadlock, "threads of a warp group give different descriptors", 128 * i)
            self._issue(w, first, [each[i] for each in lhs], int(rhs[i][0]), bool(keep[i][0]))

    def _issue(self, w: Wave, first: int, lhs: list[Array], rhs: int, keep: bool) -> None:
        warps = w.warp[first : first + 128 : 32]
        known = w.clocks.known_to_all(warps)
        fenced = w.clocks.fenced[int(w.block[first])].copy()
        reader = w.clocks.warps + int(warps[0]) % w.clocks.warps // 4

        def read(descriptor: int, rows: int, transposed: bool) -> Array:
            addresses = matrix_addresses(descriptor, rows, self.depth, self.itemsize, transposed)
            return self._elements(w.shared.engine_load(w, addresses, self.itemsize, reader, known, fenced))

        def land() -> None:
            left = self._fragments(lhs) if self.fragments else read(int(lhs[0][0]), 64, self.lhs_transposed)
            product = self.sign * (left @ read(rhs, self.columns, self.rhs_transposed).T)
            self._accumulate(w, slice(first, first + 128), product, keep)

        w.groups.issue(first, land, self.accumulators, self.fragments)

    def _elements(self, data: Array) -> Array:
        if self.kind == "tf32":
            return (data & np.uint32(0xFFFFE000)).view(np.float32).astype(np.float64)
        return data.view(SCALARS[self.kind].dtype).astype(np.float64)

    def _fragments(self, registers: list[Array]) -> Array:
        """The matrix whose rows the threads hold as mma's fragments."""
        matrix = np.zeros((64, self.depth))
        for i, register in enumerate(registers):
            for element, value in enumerate(elements(self.kind, register)):
                column = _COLUMN + 4 * (i >> 1) if self.kind == "tf32" else 2 * _COLUMN + 8 * (i >> 1) + element
                matrix[_ROW + 8 * (i & 1), column] = value
        return matrix

    def _accumulate(self, w: Wave, threads: slice, product: Array, keep: bool) -> None:
        values = product[self.places]
        for value, view in zip(values, self.views, strict=True):
            accumulator = w.views[view]
            accumulator[threads] = value + accumulator[threads] if keep else value
