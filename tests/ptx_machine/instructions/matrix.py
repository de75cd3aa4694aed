"""Matrix products of a warp and the loads of their fragments: mma ldmatrix stmatrix.

Lane `4 g + t` holds the elements of row (or column) `g` and of the columns (or rows) that `t` chooses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ptx_machine.errors import BarrierDeadlock
from ptx_machine.instructions.control import collective
from ptx_machine.instructions.table import builds_control
from ptx_machine.operands import Array, Assembler, Execute, Reader
from ptx_machine.scalars import B32, SCALARS, U32, Scalar

if TYPE_CHECKING:
    from ptx_machine.wave import Wave

_LANE = np.arange(32)
_G, _T = _LANE // 4, _LANE % 4
_SHAPES: dict[str, tuple[str, ...]] = {
    "bf16": ("m16n8k8", "m16n8k16"),
    "f16": ("m16n8k8", "m16n8k16"),
    "tf32": ("m16n8k4", "m16n8k8"),
    "f64": ("m8n8k4", "m16n8k4", "m16n8k8", "m16n8k16"),
}


def check_warps(w: Wave) -> int:
    """The number of warps that are active, all of whose lanes must be."""
    if w.count % 32 or (w.lane[w.ix].reshape(-1, 32) != _LANE).any():
        w.fault(BarrierDeadlock, "a warp with missing lanes runs an instruction of the whole warp", 0)
    return w.count // 32


def everyone(w: Wave) -> Any:
    return np.uint32(0xFFFFFFFF)


def whole_warp(a: Assembler, execute: Any) -> Execute:
    """A collective of all lanes of a warp."""
    return collective(a, everyone, execute)


@builds_control("ldmatrix")
def build_load_matrix(a: Assembler) -> Execute:
    a.sequence("sync", "aligned", "m8n8")
    number = int(a.required("x1", "x2", "x4")[1])
    transposed = a.flag("trans")
    a.required("shared", "shared::cta")
    a.required("b16")
    a.end(2)
    writes, address = a.targets(0, B32), a.address(1)
    if len(writes) != number:
        raise a.unknown(f"{len(writes)} registers for {number} matrices")

    def execute(w: Wave) -> None:
        warps = check_warps(w)
        rows = _rows_focus(w, warps, number, address, lambda at: w.shared.load(w, at, 8, 2))
        matrices = np.ascontiguousarray(rows).view(np.uint16).reshape(warps, number, 8, 8)
        if transposed:
            matrices = matrices.swapaxes(2, 3)
        fragments = np.ascontiguousarray(matrices).view(np.uint32).reshape(warps, number, 32)
        for i, write in enumerate(writes):
            write(w, np.ascontiguousarray(fragments[:, i]).reshape(-1))

    return whole_warp(a, execute)


def _rows_focus(w: Wave, warps: int, number: int, address: Reader, act: Any) -> Any:
    """Let the `8 number` lanes of each warp that give the addresses of rows act."""
    addresses = w.each(address(w))
    if number == 4:
        return act(addresses)
    before = w.ix, w.count, w.whole
    givers = np.tile(8 * number > _LANE, warps)
    w.focus(w.indices[givers])
    result = act(addresses[givers])
    w.ix, w.count, w.whole = before
    return result


@builds_control("stmatrix")
def build_store_matrix(a: Assembler) -> Execute:
    a.sequence("sync", "aligned", "m8n8")
    number = int(a.required("x1", "x2", "x4")[1])
    transposed = a.flag("trans")
    a.required("shared", "shared::cta")
    a.required("b16")
    a.end(2)
    address, reads = a.address(0), a.sources(1, B32)
    if len(reads) != number:
        raise a.unknown(f"{len(reads)} registers for {number} matrices")

    def execute(w: Wave) -> None:
        warps = check_warps(w)
        fragments = np.stack([w.each(read(w)).reshape(warps, 32) for read in reads], axis=1)
        matrices = fragments.view(np.uint16).reshape(warps, number, 8, 8)
        if transposed:
            matrices = matrices.swapaxes(2, 3)
        rows = np.ascontiguousarray(matrices).view(np.uint64).reshape(-1, 2)
        _rows_focus(w, warps, number, address, lambda at: w.shared.store(w, at, 8, rows))

    return whole_warp(a, execute)


# ---- mma


def _columns(kind: str, register: int, element: int) -> Array:
    """The position along k of an element of a register, for each lane."""
    if kind in ("bf16", "f16"):
        return 2 * _T + 8 * register + element
    return _T + 4 * register


@builds_control("mma")
def build_mma(a: Assembler) -> Execute:
    a.sequence("sync", "aligned")
    shape = a.required(*{shape for shapes in _SHAPES.values() for shape in shapes})
    a.sequence("row", "col")
    result = a.scalar("f32", "f16", "f64")
    kind = a.required(*_SHAPES)
    a.required(kind)
    a.required(result.name)
    a.end(4)
    if shape not in _SHAPES[kind] or (kind == "f64") != (result.bits == 64) or (result.bits == 16 and kind != "f16"):
        raise a.unknown(f"{shape} of {kind} to {result.name}")
    m, _, k = (int(each) for each in shape.replace("m", " ").replace("n", " ").replace("k", " ").split())
    product = _Product(a, m, k, kind, result)
    return whole_warp(a, product.execute)


class _Product:
    """d = a b + c, with fragments of m x k, k x 8 and m x 8."""

    def __init__(self, a: Assembler, m: int, k: int, kind: str, result: Scalar) -> None:
        self.m, self.k, self.kind, self.result = m, k, kind, result
        register = SCALARS["f64"] if kind == "f64" else U32
        per_register = 2 if kind in ("bf16", "f16") else 1
        self.lhs, self.rhs = a.sources(1, register), a.sources(2, register)
        packed = SCALARS["f16x2"] if result.bits == 16 else result
        self.addend, self.targets = a.sources(3, packed), a.targets(0, packed)
        counts = (m * k // 32 // per_register, 8 * k // 32 // per_register, m * 8 // 32 // (2 if packed.packed else 1))
        found = (len(self.lhs), len(self.rhs), len(self.addend))
        if found != counts or len(self.targets) != counts[2]:
            raise a.unknown(f"fragments of {found} registers, not {counts}")

    def execute(self, w: Wave) -> None:
        warps = check_warps(w)
        lhs = np.zeros((warps, self.m, self.k))
        rhs = np.zeros((warps, self.k, 8))
        halves = self.m // 8
        for i, read in enumerate(self.lhs):
            row, register = _G + 8 * (i % halves), i // halves
            for element, value in enumerate(self._elements(w, read, warps)):
                lhs[:, row, _columns(self.kind, register, element)] = value
        for i, read in enumerate(self.rhs):
            for element, value in enumerate(self._elements(w, read, warps)):
                rhs[:, _columns(self.kind, i, element), _G] = value
        self._write(w, lhs @ rhs, warps)

    def _elements(self, w: Wave, read: Reader, warps: int) -> list[Array]:
        return [each.reshape(warps, 32) for each in elements(self.kind, w.each(read(w)))]

    def _write(self, w: Wave, product: Array, warps: int) -> None:
        packed = self.result.bits == 16
        for i, (read, write) in enumerate(zip(self.addend, self.targets, strict=True)):
            value = read(w)
            if packed:
                rows, columns = (_G + 8 * i)[:, None], 2 * _T[:, None] + np.arange(2)
                total = product[:, rows, columns].reshape(-1, 2) + value
                write(w, total.astype(np.float16))
            else:
                total = product[:, _G + 8 * (i >> 1), 2 * _T + (i & 1)].reshape(-1) + value
                write(w, total.astype(self.result.dtype))


def elements(kind: str, registers: Array) -> list[Array]:
    """What registers hold, as float64: two elements of 16 bits, one of tf32 (whose low bits do not count) or f64."""
    if kind == "f64":
        return [registers]
    if kind == "tf32":
        return [(registers & np.uint32(0xFFFFE000)).view(np.float32).astype(np.float64)]
    halves = np.ascontiguousarray(registers).view(np.uint16).reshape(-1, 2).view(SCALARS[kind].dtype)
    return [halves[:, 0].astype(np.float64), halves[:, 1].astype(np.float64)]
