"""The text of one LLVM module as it is written: functions, data and metadata, each written once.

Each definition belongs to a unit, one of which `tenfoldc.emit.units` makes a module of its own, or is shared: copied
into each unit that refers to it.  The declarations of intrinsics are left out: LLVM's parser knows them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold_rt.frozen import frozen
from tenfoldc.loops.ir import Function
from tenfoldc.target import Target

INLINE_DATA_BYTES = 4096
"""Constants above this size are left to the object writer: a large one takes long to print and to parse."""


SHARED = ""
"""The unit of what is copied into the units that refer to it."""

LIBRARY = "library"
"""The unit of what calls the kernels."""


@frozen
class Part:
    """A top-level definition, the unit that it belongs to, and whether it is a tile's function."""

    unit: str
    text: str
    is_tile: bool = False


class ModuleText:
    """A module under construction for one target."""

    def __init__(self, target: Target, *, inline_data: bool = False) -> None:
        self.target = target
        self.inline_data = inline_data
        self.external_data: dict[str, bytes] = {}
        self.parts: list[Part] = []
        self._names: dict[Hashable, str] = {}
        self._taken: set[str] = set()
        self._data: dict[bytes, str] = {}
        self.metadata: list[str] = []
        """The nodes, which refer to each other by number."""
        self._unit = LIBRARY
        self.called: frozenset[Function] = frozenset()
        """Functions that what is being written calls, instead of inlining them."""

    @property
    def function_attributes(self) -> str:
        """Attributes of every function that computes."""
        features = ",".join(f"+{feature}" for feature in self.target.llvm_features)
        return (
            f'nounwind "target-cpu"="{self.target.cpu}" "target-features"="{features}" '
            f'"prefer-vector-width"="{8 * self.target.vector_bytes}"'
        )

    def append(self, part: str) -> None:
        """Add a finished top-level definition to the current unit."""
        self.parts.append(Part(self._unit, part))

    @contextmanager
    def unit(self, name: str) -> Generator[None]:
        """What is added meanwhile belongs to the unit `name`."""
        before, self._unit = self._unit, name
        yield
        self._unit = before

    @contextmanager
    def calling(self, functions: frozenset[Function]) -> Generator[None]:
        """Meanwhile these functions, and no others, are called instead of inlined."""
        before, self.called = self.called, functions
        yield
        self.called = before

    def symbol(self, name: str) -> str:
        """A global name as text, `@"name"`, with a number added where it is taken."""
        unique, number = name, 1
        while unique in self._taken:
            unique, number = f"{name}.{number}", number + 1
        self._taken.add(unique)
        return f'@"{"".join(_escaped(byte) for byte in unique.encode())}"'

    def once(
        self, key: Hashable, name: str, write: Callable[[str], str], *, unit: str = SHARED, is_tile: bool = False
    ) -> str:
        """The symbol of the function known by `key`; `write(symbol)` gives its text the first time.

        It is shared, or belongs to the `unit` named; that of a tile, whose instructions are chosen already, is a unit
        of its own.
        """
        known = self._names.get(key)
        if known is None:
            known = self._names[key] = self.symbol(name)
            with self.unit(known if is_tile else unit):
                self.parts.append(Part(self._unit, write(known), is_tile))
        return known

    def data(self, name: str, array: NDArray[Any]) -> str:
        """The symbol of a 64-byte aligned constant that holds `array`; equal contents are shared."""
        content = np.ascontiguousarray(array).tobytes()
        known = self._data.get(content)
        if known is not None:
            return known
        symbol = self._data[content] = self.symbol(name)
        kind = f"[{len(content)} x i8]"
        if len(content) > INLINE_DATA_BYTES and not self.inline_data:
            self.external_data[name] = content
            text = f"{symbol} = external hidden constant {kind}, align 64"
        else:
            body = "".join(f"\\{byte:02X}" for byte in content)
            text = f'{symbol} = internal unnamed_addr constant {kind} c"{body}", align 64'
        with self.unit(SHARED):
            self.append(text)
        return symbol

    def node(self, text: str) -> str:
        """The number of a new node."""
        self.metadata.append(text)
        return f"!{len(self.metadata) - 1}"

    def access_group(self) -> str:
        """A new group of accesses to memory, which `llvm.loop.parallel_accesses` names."""
        return self.node("distinct !{}")

    def loop_metadata(self, properties: list[str]) -> str:
        """What follows a loop's last branch to give it `properties`, each the inside of a metadata node."""
        if not properties:
            return ""
        number = len(self.metadata)
        nodes = [number, *(number + 1 + offset for offset in range(len(properties)))]
        self.metadata.append(f"distinct !{{{', '.join(f'!{node}' for node in nodes)}}}")
        self.metadata += [f"!{{{inside}}}" for inside in properties]
        return f", !llvm.loop !{number}"

    def __str__(self) -> str:
        nodes = [f"!{number} = {node}" for number, node in enumerate(self.metadata)]
        return "\n\n".join([*(part.text for part in self.parts), "\n".join(nodes)]) + "\n"


def _escaped(byte: int) -> str:
    return chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\' else f"\\{byte:02X}"
