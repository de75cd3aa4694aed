"""The operations of a matrix unit as functions that are inlined where they are called: Intel's AMX, or an emulation.

    tenfold.tile.zero.N(tiles)                 tile N becomes zero
    tenfold.tile.load.N(tiles, from)           tile N becomes the kilobyte at `from`: 16 rows of 64 bytes
    tenfold.tile.stream.N(tiles, from)         the same of memory that will not be read again soon
    tenfold.tile.store.N(tiles, to)            the kilobyte at `to` becomes tile N
    tenfold.tile.multiply.C.A.B(tiles)         tile C, of f32, += tile A @ tile B, of pairs of bf16
    tenfold.tile.configure(tiles), tenfold.tile.release(tiles)     around all use of tiles in a thread

`tiles` is a pointer to `TILE_MEMORY` bytes in which an emulation keeps the eight tiles; AMX, whose tiles are registers,
leaves it alone.  The tiles' numbers are chosen here and not by LLVM, so that nothing spills.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tenfoldc.emit.function_text import FunctionText
from tenfoldc.emit.module_text import ModuleText
from tenfoldc.emit.tile_emulation import TILE_BYTES, emulated

TILE_MEMORY = 8 * TILE_BYTES

GRANTED = "@tenfold.tiles.granted"
"""The function, of the library's interface, that says whether this process may use the matrix unit."""


class TileOperations:
    """Writes calls of the operations into one function, which has the pointer `tiles`."""

    def __init__(self, module: ModuleText, text: FunctionText, tiles: str) -> None:
        self._module = module
        self._text = text
        self._tiles = tiles
        self._definition = emulated if module.target.emulates_tiles else _native

    def configure(self) -> None:
        self._call("configure")

    def release(self) -> None:
        self._call("release")

    def zero(self, tile: int) -> None:
        self._call("zero", (tile,))

    def load(self, tile: int, place: str, *, once: bool = False) -> None:
        self._call("stream" if once else "load", (tile,), place)

    def store(self, tile: int, place: str) -> None:
        self._call("store", (tile,), place)

    def multiply(self, total: int, lhs: int, rhs: int) -> None:
        self._call("multiply", (total, lhs, rhs))

    def _call(self, operation: str, tiles: Sequence[int] = (), place: str | None = None) -> None:
        name = ".".join(["tenfold.tile", operation, *map(str, tiles)])
        parameters = "ptr %tiles" if place is None else "ptr %tiles, ptr %place"

        def define(symbol: str) -> str:
            body = self._definition(self._module, operation, tiles)
            attributes = f"alwaysinline {self._module.function_attributes}"
            return f"define internal void {symbol}({parameters}) {attributes} {{\n{body}\n  ret void\n}}"

        symbol = self._module.once((name,), name, define)
        given = f"ptr {self._tiles}" if place is None else f"ptr {self._tiles}, ptr {place}"
        self._text.effect(f"call void {symbol}({given})")


def _native(module: ModuleText, operation: str, tiles: Sequence[int]) -> str:
    """An operation as AMX's instruction."""
    numbers = ", ".join(f"i8 {tile}" for tile in tiles)
    match operation:
        case "configure":
            return f"  call void @llvm.x86.ldtilecfg(ptr {module.data('tenfold.tile.configuration', _configuration())})"
        case "release":
            return "  call void @llvm.x86.tilerelease()"
        case "zero":
            return f"  call void @llvm.x86.tilezero({numbers})"
        case "load":
            return f"  call void @llvm.x86.tileloadd64({numbers}, ptr %place, i64 64)"
        case "stream":
            return f"  call void @llvm.x86.tileloaddt164({numbers}, ptr %place, i64 64)"
        case "store":
            return f"  call void @llvm.x86.tilestored64({numbers}, ptr %place, i64 64)"
        case _:
            return f"  call void @llvm.x86.tdpbf16ps({numbers})"


def _configuration() -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """What `ldtilecfg` reads: palette 1, in which all eight tiles have 16 rows of 64 bytes."""
    configuration = np.zeros(64, np.uint8)
    configuration[0] = 1
    configuration[16:32:2] = 64
    configuration[48:56] = 16
    return configuration
